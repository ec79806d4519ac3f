//! The metrics of a response, for the window, the reports and the command line.

use crate::format::minus;
use crate::guidance::aim::Aim;
use crate::guidance::trace::ArmTrace;

/// Shown if a metric has no value.
pub const NONE: &str = "–";

/// A metric of a response.
#[derive(Debug)]
pub struct Metric {
    /// The name in tables and tooltips.
    pub name: &'static str,
    /// The name for narrow places.
    pub(crate) short_name: &'static str,
    /// The definition, in one or two sentences.
    pub(crate) meaning: &'static str,
    /// Whether the metric is also shown in presentation mode.
    pub(crate) is_primary: bool,
    /// Whether differences between two responses are meaningful.
    pub(crate) is_compared: bool,
    value: fn(&ArmTrace) -> Option<f64>,
    decimals: usize,
    is_signed: bool,
}

/// Gold reward, in log-odds.
pub const GOLD_REWARD: Metric = Metric {
    name: "Judge",
    short_name: "Judge",
    meaning: "Score of the finished text by an independent judge: log p(positive) − log \
              p(negative). It is used only to measure, never to guide.",
    is_primary: true,
    is_compared: true,
    value: |arm| arm.gold_reward.map(f64::from),
    decimals: 2,
    is_signed: true,
};

/// Value V(x, y) of the response.
pub const VALUE: Metric = Metric {
    name: "Value",
    short_name: "Value",
    meaning: "V(x, y): the reward that the value model predicts for this text. With implicit \
              values, the summed advantage of its tokens.",
    is_primary: true,
    is_compared: true,
    value: |arm| arm.value.map(f64::from),
    decimals: 2,
    is_signed: true,
};

/// Σ KL(guided ‖ base) over the tokens, in nats.
pub const KL: Metric = Metric {
    name: "KL, nats",
    short_name: "KL, nats",
    meaning: "How far token guidance moved the model from its own probabilities (chunk choice not \
              included).",
    is_primary: true,
    is_compared: true,
    value: |arm| Some(arm.kl_nats().into()),
    decimals: 2,
    is_signed: false,
};

/// Perplexity: exp of the mean negative log-probability per token under the base model.
pub(crate) const PERPLEXITY: Metric = Metric {
    name: "Perplexity",
    short_name: "Perplexity",
    meaning: "Perplexity of this text under the unguided base model, per token. Lower is more \
              natural.",
    is_primary: true,
    is_compared: true,
    value: |arm| arm.base_perplexity().map(f64::from),
    decimals: 1,
    is_signed: false,
};

/// Number of tokens in the response.
pub const TOKENS: Metric = Metric {
    name: "Tokens",
    short_name: "Tokens",
    meaning: "Number of tokens in this response.",
    is_primary: false,
    is_compared: false,
    value: |arm| Some(arm.tokens.len() as f64),
    decimals: 0,
    is_signed: false,
};

/// Number of tokens drawn over all rows.
pub const SAMPLED: Metric = Metric {
    name: "Sampled",
    short_name: "Sampled",
    meaning: "Tokens drawn over all rows, kept or dropped: the cost of the search.",
    is_primary: false,
    is_compared: false,
    value: |arm| Some(arm.sampled_tokens as f64),
    decimals: 0,
    is_signed: false,
};

/// Tokens drawn per second over all rows.
pub(crate) const SPEED: Metric = Metric {
    name: "Tokens/s",
    short_name: "Tokens/s",
    meaning: "Tokens drawn per second over all rows, kept or dropped.",
    is_primary: false,
    is_compared: false,
    value: |arm| Some(arm.tokens_per_second()),
    decimals: 0,
    is_signed: false,
};

/// Time spent on the response, in seconds.
pub const SECONDS: Metric = Metric {
    name: "Seconds",
    short_name: "Seconds",
    meaning: "Time spent on this response.",
    is_primary: false,
    is_compared: true,
    value: |arm| Some(arm.elapsed_ms / 1e3),
    decimals: 2,
    is_signed: false,
};

/// All metrics, in the order of the tables.
pub(crate) const METRICS: [Metric; 8] =
    [GOLD_REWARD, VALUE, KL, PERPLEXITY, TOKENS, SAMPLED, SPEED, SECONDS];

/// Score of a judge beyond which a text is clearly of one kind, in nats.
const CLEAR_NATS: f32 = 4.0;
/// Score of a judge below which a text is mixed, in nats.
const MIXED_NATS: f32 = 1.0;

/// Returns the title of the judge's score, such as "Judge: praise".
pub fn judge_title(aim: Option<&Aim>) -> String {
    aim.map_or("Judge".to_owned(), |aim| format!("Judge: {}", aim.towards))
}

/// Returns in a few words what a judge's score means, such as "clearly praise".
pub fn judge_meaning(gold_reward: f32, aim: Option<&Aim>) -> String {
    let towards = aim.map_or("positive", |aim| aim.towards.as_str());
    let away = match aim {
        Some(aim) => aim.away.clone().unwrap_or_else(|| format!("no {}", aim.towards)),
        None => "negative".to_owned(),
    };
    let side = if gold_reward > 0.0 { towards } else { away.as_str() };
    match gold_reward.abs() {
        score if score >= CLEAR_NATS => format!("clearly {side}"),
        score if score >= MIXED_NATS => format!("rather {side}"),
        _ => "mixed".to_owned(),
    }
}

impl Metric {
    /// Returns the title in tables. The judge's score names the aim of the pack.
    pub fn title(&self, aim: Option<&Aim>) -> String {
        if self.name == GOLD_REWARD.name { judge_title(aim) } else { self.name.to_owned() }
    }

    /// Returns the value, or `None` if the pack has no model that computes it.
    pub fn value(&self, arm: &ArmTrace) -> Option<f64> {
        (self.value)(arm)
    }

    /// Returns the value as text, or `None` if there is no value.
    pub fn text(&self, arm: &ArmTrace) -> Option<String> {
        let value = self.value(arm)?;
        Some(if self.is_signed {
            signed(value, self.decimals)
        } else {
            decimals(value, self.decimals)
        })
    }

    /// Returns the value as text, or [`NONE`].
    pub fn text_or_none(&self, arm: &ArmTrace) -> String {
        self.text(arm).unwrap_or_else(|| NONE.to_owned())
    }

    /// Returns the value of `arm` minus that of `reference` as short text. Returns `None` if a
    /// value is missing or differences of this metric are not meaningful.
    pub fn difference(&self, arm: &ArmTrace, reference: &ArmTrace) -> Option<String> {
        let difference = self.value(arm)? - self.value(reference)?;
        let places = usize::from(difference.abs() < 9.95);
        self.is_compared.then(|| signed(difference, places))
    }
}

/// Formats a number with its sign and `places` decimals.
pub fn signed(number: f64, places: usize) -> String {
    minus(&format!("{:+.places$}", without_negative_zero(number, places)))
}

/// Formats a number with `places` decimals, or ∞ if it is not finite.
pub fn decimals(number: f64, places: usize) -> String {
    if !number.is_finite() {
        return "∞".into();
    }
    minus(&format!("{:.places$}", without_negative_zero(number, places)))
}

/// Avoids “−0.00”.
fn without_negative_zero(number: f64, places: usize) -> f64 {
    let half_unit = 0.5 * 10f64.powi(-(places as i32));
    if number.abs() < half_unit { 0.0 } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_negative_zero_and_show_infinity_as_a_symbol() {
        assert_eq!([signed(-0.004, 2), signed(-1.5, 2)], ["+0.00", "−1.50"]);
        assert_eq!([decimals(-0.04, 1), decimals(f64::INFINITY, 1)], ["0.0", "∞"]);
    }
}
