//! The numbers of a report, in the words that people read.

use crate::guidance::settings::{Settings, ValueSource};
use crate::guidance::trace::{ArmTrace, Trace};
use crate::words::{minus, plain, settings_line};

/// What stands where a pack cannot give a number.
pub(super) const NONE: &str = "–";

/// A measure of every column: its name, its unit or meaning, and how to write it.
pub(super) struct Figure {
    /// The head of its column.
    pub name: &'static str,
    /// For who has never met it; nothing where the name says it.
    pub meaning: &'static str,
    /// The number of one arm.
    pub of: fn(&ArmTrace) -> String,
}

/// Every figure, in the order of the tables.
pub(super) const FIGURES: [Figure; 7] = [
    Figure {
        name: "Gold reward",
        meaning: "what an independent judge, which never guides, thinks of prompt and text: \
                  log p(positive) − log p(negative)",
        of: |arm| signed(arm.gold_reward, 2),
    },
    Figure {
        name: "Value",
        meaning: "what the search took the text to be worth, by the value model or by the summed \
                  advantage",
        of: |arm| signed(arm.value, 2),
    },
    Figure {
        name: "KL, nats",
        meaning: "how far token guidance bent the base's probabilities, summed over the text",
        of: |arm| decimals(arm.kl_nats().into(), 2),
    },
    Figure {
        name: "Perplexity",
        meaning: "how surprised the unguided base model is by the text, per token; lower reads \
                  more natural to it",
        of: |arm| arm.base_perplexity().map_or(NONE.into(), |v| decimals(v.into(), 1)),
    },
    Figure { name: "Tokens", meaning: "", of: |arm| arm.tokens.len().to_string() },
    Figure {
        name: "Sampled",
        meaning: "tokens drawn to find it, kept or not",
        of: |arm| arm.sampled_tokens.to_string(),
    },
    Figure { name: "Seconds", meaning: "", of: |arm| decimals(arm.elapsed_ms / 1e3, 2) },
];

/// A number with its sign.
pub(super) fn signed(number: Option<f32>, places: usize) -> String {
    number.map_or(NONE.into(), |v| minus(&format!("{:+.places$}", rounded(v.into(), places))))
}

/// A number that may have grown beyond all bounds.
pub(super) fn decimals(number: f64, places: usize) -> String {
    if !number.is_finite() {
        return "∞".into();
    }
    minus(&format!("{:.places$}", rounded(number, places)))
}

/// What would be written as a nothing with a minus is a nothing.
fn rounded(number: f64, places: usize) -> f64 {
    let least = 0.5 * 10f64.powi(-(places as i32));
    if number.abs() < least { 0.0 } else { number }
}

/// What each column decoded with: name and value of every setting.
pub(super) fn settings(s: &Settings) -> [(&'static str, String); 11] {
    let off = |number: usize| if number == 0 { "off".to_owned() } else { number.to_string() };
    let source = match s.value_source {
        ValueSource::Explicit => "explicit",
        ValueSource::Implicit => "implicit",
    };
    [
        ("Token guidance β", plain(s.beta.into())),
        ("Chunk guidance λ", plain(s.lambda.into())),
        ("Beams kept W", s.beams.to_string()),
        ("Successors per beam K", s.successors.to_string()),
        ("Tokens per chunk L", s.chunk_tokens.to_string()),
        ("Length, tokens", s.max_tokens.to_string()),
        ("Temperature", plain(s.temperature.into())),
        ("Top-k", off(s.top_k)),
        ("Top-p", if s.top_p >= 1.0 { "off".into() } else { plain(s.top_p.into()) }),
        ("Seed", s.seed.to_string()),
        ("Values", source.into()),
    ]
}

/// Settings line of an arm.
pub(super) fn line(arm: &ArmTrace) -> String {
    settings_line(arm.name, &arm.settings)
}

/// Whether any token knows how the tuned and the untuned model differ.
pub(super) fn has_advantage(trace: &Trace) -> bool {
    trace.arms.iter().flat_map(|a| &a.tokens).any(|t| t.advantage.is_some())
}
