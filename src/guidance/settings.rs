//! The settings of a run: meaning, default and limits.
//!
//! [`limits`] defines the allowed ranges. The window builds its sliders from them, and
//! [`Settings::validate`] checks them.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::steer::{self, Instructions, Steer};

/// The allowed range of every setting.
pub mod limits {
    use super::RangeInclusive;

    /// Token guidance strength β.
    pub(crate) const BETA: RangeInclusive<f32> = -3.0..=3.0;
    /// Finite chunk guidance strength λ; `f32::INFINITY` is also allowed.
    pub(crate) const LAMBDA: RangeInclusive<f32> = 0.0..=100.0;
    /// Beams kept, W.
    pub(crate) const BEAMS: RangeInclusive<usize> = 1..=16;
    /// Successors per beam, K.
    pub(crate) const SUCCESSORS: RangeInclusive<usize> = 1..=16;
    /// Rows decoded together, W·K.
    pub(crate) const ROWS: RangeInclusive<usize> = 1..=64;
    /// Tokens per chunk, L.
    pub(crate) const CHUNK_TOKENS: RangeInclusive<usize> = 1..=128;
    /// Maximum number of tokens in a response.
    pub(crate) const MAX_TOKENS: RangeInclusive<usize> = 1..=2048;
    /// Sampling temperature; 0 is greedy.
    pub(crate) const TEMPERATURE: RangeInclusive<f32> = 0.0..=2.0;
    /// Nucleus mass; 1 is off.
    pub(crate) const TOP_P: RangeInclusive<f32> = 0.01..=1.0;
    /// Columns shown side by side.
    pub(crate) const COLUMNS: RangeInclusive<usize> = 1..=4;
    /// Guides made from sentences.
    pub(crate) const STEERS: RangeInclusive<usize> = 0..=3;
    /// Length of an instruction, in characters.
    pub(crate) const INSTRUCTION_CHARS: RangeInclusive<usize> = 0..=2000;
    /// KL budget of a response in nats; `f32::INFINITY` is off.
    pub(crate) const KL_BUDGET: RangeInclusive<f32> = 0.0..=1000.0;
    /// Width of the plausibility mask in nats; `f32::INFINITY` is off.
    pub(crate) const MASK: RangeInclusive<f32> = 0.0..=20.0;
    /// Candidates kept by top-k; 0 is off.
    pub(crate) const TOP_K: RangeInclusive<usize> = 0..=1000;
}

/// The estimate of the final reward that ranks partial responses or guides tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    /// The value model's prediction (explicit value function).
    #[default]
    Explicit,
    /// The sum of log π_tuned − log π_untuned over the response (implicit value function).
    Implicit,
}

impl ValueSource {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_implicit(&self) -> bool {
        *self == Self::Implicit
    }
}

/// The decoding settings of a run. `Default` is the paper's sentiment setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Token guidance strength β; 0 is off.
    pub beta: f32,
    /// Chunk guidance strength λ; 0 is off, infinity keeps the top W (the paper's rule).
    #[serde(with = "infinite")]
    pub lambda: f32,
    /// Beams kept after every chunk, W.
    pub beams: usize,
    /// Successors sampled per beam, K.
    pub successors: usize,
    /// Tokens per chunk, L.
    pub chunk_tokens: usize,
    /// Maximum number of tokens in a response.
    pub max_tokens: usize,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f32,
    /// Keeps only the k likeliest tokens; 0 is off.
    pub top_k: usize,
    /// Keeps the likeliest tokens up to this probability mass; 1 is off.
    pub top_p: f32,
    /// Seed of every random draw.
    pub seed: u64,
    /// The values that rank partial responses.
    pub value_source: ValueSource,
    /// Whether control tokens written in a prompt, such as `<|im_end|>`, are recognised. If false,
    /// they are read as text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub special_tokens: bool,
    /// What guides the tokens with strength β: the pair, or the value model.
    #[serde(skip_serializing_if = "ValueSource::is_implicit")]
    pub token_source: ValueSource,
    /// Divergence from the base that the tokens of a response may add up to, in nats. Where they
    /// would exceed it, the strength of all token guides is lowered; infinity is off.
    #[serde(with = "infinite", skip_serializing_if = "is_infinite")]
    pub kl_budget_nats: f32,
    /// Token guidance may only choose tokens whose base log-probability is at most this far below
    /// that of the likeliest token, in nats (the plausibility constraint of contrastive decoding, Li
    /// et al., arXiv 2210.15097); infinity is off.
    #[serde(with = "infinite", skip_serializing_if = "is_infinite")]
    pub mask_nats: f32,
    /// Token guides made from sentences. They act together with the pack's pair.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steers: Vec<Steer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            beta: 1.0,
            lambda: f32::INFINITY,
            beams: 4,
            successors: 4,
            chunk_tokens: 5,
            max_tokens: 50,
            temperature: 0.7,
            top_k: 0,
            top_p: 1.0,
            seed: 1,
            value_source: ValueSource::Explicit,
            special_tokens: false,
            token_source: ValueSource::Implicit,
            kl_budget_nats: f32::INFINITY,
            mask_nats: f32::INFINITY,
            steers: Vec::new(),
        }
    }
}

/// A setting outside its limits.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{name} is {given}; choose {allowed}")]
pub struct SettingError {
    /// Name of the setting, as shown in the window.
    pub name: &'static str,
    /// The rejected value.
    pub given: String,
    /// The allowed range.
    pub allowed: String,
}

impl Settings {
    /// Checks every setting against [`limits`].
    ///
    /// # Errors
    /// Returns the first setting that is not finite or out of range.
    pub fn validate(&self) -> Result<(), SettingError> {
        check("token guidance β", self.beta, &limits::BETA)?;
        check_or_infinite("chunk guidance λ", self.lambda, &limits::LAMBDA)?;
        check("beams W", self.beams, &limits::BEAMS)?;
        check("successors K", self.successors, &limits::SUCCESSORS)?;
        check("rows W·K", self.beams * self.successors, &limits::ROWS)?;
        check("chunk length L", self.chunk_tokens, &limits::CHUNK_TOKENS)?;
        check("length", self.max_tokens, &limits::MAX_TOKENS)?;
        check("temperature", self.temperature, &limits::TEMPERATURE)?;
        check("top-p", self.top_p, &limits::TOP_P)?;
        check("top-k", self.top_k, &limits::TOP_K)?;
        check_or_infinite("KL budget", self.kl_budget_nats, &limits::KL_BUDGET)?;
        check_or_infinite("plausibility mask", self.mask_nats, &limits::MASK)?;
        check("number of steers", self.steers.len(), &limits::STEERS)?;
        for steer in &self.steers {
            check("strength of a steer", steer.beta, &limits::BETA)?;
            for text in [&steer.towards, &steer.away] {
                let characters = text.chars().count();
                check("characters of an instruction", characters, &limits::INSTRUCTION_CHARS)?;
            }
        }
        Ok(())
    }

    /// Returns whether a pack with these guides, or a steer, guides the tokens under these settings.
    pub fn has_token_guide(&self, has_pair: bool, has_value: bool) -> bool {
        let is_present = match self.token_source {
            ValueSource::Implicit => has_pair,
            ValueSource::Explicit => has_value,
        };
        is_present || self.active_steers().next().is_some()
    }

    /// Returns the steers that have an instruction.
    pub fn active_steers(&self) -> impl Iterator<Item = &Steer> {
        self.steers.iter().filter(|steer| !steer.is_empty())
    }

    /// Returns the instructions of the steers. Runs with equal instructions can share a prefill.
    pub fn instructions(&self) -> Vec<Instructions> {
        self.active_steers().map(Steer::instructions).collect()
    }
}

/// Returns whether a limit is off.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_infinite(number: &f32) -> bool {
    *number == f32::INFINITY
}

fn check_or_infinite(
    name: &'static str,
    given: f32,
    range: &RangeInclusive<f32>,
) -> Result<(), SettingError> {
    if given == f32::INFINITY {
        return Ok(());
    }
    check(name, given, range).map_err(|mut e| {
        e.allowed.push_str(", or inf");
        e
    })
}

fn check<T: PartialOrd + fmt::Display>(
    name: &'static str,
    given: T,
    range: &RangeInclusive<T>,
) -> Result<(), SettingError> {
    // A range does not contain NaN, so NaN is rejected too.
    if range.contains(&given) {
        return Ok(());
    }
    Err(SettingError {
        name,
        given: given.to_string(),
        allowed: format!("{} to {}", range.start(), range.end()),
    })
}

/// One way of decoding in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// The base model alone.
    Base,
    /// Best-of-N: W·K whole responses of the base, of which the one with the highest value is kept.
    BestOfN,
    /// Token guidance alone (emulated fine-tuning).
    Token,
    /// Chunk guidance alone.
    Chunk,
    /// Integrated Value Guidance: token and chunk guidance.
    Ivg,
    /// The base model with the instructions of the steers in its prompt, without guidance.
    PromptOnly,
}

impl Arm {
    /// Every arm, in the order of tables.
    pub const ALL: [Arm; 6] =
        [Arm::Base, Arm::BestOfN, Arm::Token, Arm::Chunk, Arm::Ivg, Arm::PromptOnly];

    /// Returns the name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Arm::Base => "base",
            Arm::BestOfN => "best-of-n",
            Arm::Token => "token",
            Arm::Chunk => "chunk",
            Arm::Ivg => "ivg",
            Arm::PromptOnly => "prompt-only",
        }
    }

    /// Returns the settings that this arm decodes with if the user has chosen `chosen`. All arms
    /// share one implementation and differ only in these settings.
    pub fn apply(self, chosen: &Settings) -> Settings {
        let mut s = chosen.clone();
        let uses_tokens = matches!(self, Arm::Token | Arm::Ivg);
        if !uses_tokens {
            s.beta = 0.0;
            s.steers.iter_mut().for_each(|steer| steer.beta = 0.0);
            (s.kl_budget_nats, s.mask_nats) = (f32::INFINITY, f32::INFINITY);
            s.token_source = ValueSource::Implicit;
        }
        match self {
            Arm::Base | Arm::Token => (s.beams, s.successors) = (1, 1),
            Arm::PromptOnly => {
                (s.beams, s.successors) = (1, 1);
                s.steers = vec![steer::as_prompt(chosen.active_steers())];
            }
            Arm::BestOfN => {
                s.successors *= s.beams;
                s.beams = 1;
                s.chunk_tokens = s.max_tokens;
                s.lambda = f32::INFINITY;
            }
            Arm::Chunk | Arm::Ivg => {}
        }
        s
    }
}

/// A guide that an arm needs and the pack does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingGuide {
    /// The tuned/untuned pair, for token guidance.
    TokenGuide,
    /// The value model, for guiding tokens by explicit values.
    TokenValues,
    /// The tuned/untuned pair, for ranking by implicit values.
    ImplicitValues,
    /// The value model, for ranking by explicit values.
    ExplicitValues,
    /// An instruction, for the arm without guidance that reads it in its prompt.
    Instruction,
}

impl Arm {
    /// Returns the guide that this arm needs for the settings `chosen` and the pack does not have.
    /// Returns `None` if no guide is missing. [`Arm::Token`] needs a pair even at β = 0, because it
    /// would otherwise equal [`Arm::Base`].
    pub fn missing_guide(
        self,
        chosen: &Settings,
        has_pair: bool,
        has_value: bool,
    ) -> Option<MissingGuide> {
        let s = self.apply(chosen);
        let has_instruction = chosen.active_steers().any(|s| !s.towards.trim().is_empty());
        if self == Self::PromptOnly {
            return (!has_instruction).then_some(MissingGuide::Instruction);
        }
        let has_pair = has_pair || chosen.active_steers().next().is_some();
        let guides_by_value = s.token_source == ValueSource::Explicit;
        if guides_by_value && !has_value && s.beta != 0.0 {
            return Some(MissingGuide::TokenValues);
        }
        let has_token_guide = has_pair || s.has_token_guide(has_pair, has_value);
        if !has_token_guide && (s.beta != 0.0 || self == Self::Token) {
            return Some(MissingGuide::TokenGuide);
        }
        let needs_values = match self {
            Self::Base | Self::Token | Self::PromptOnly => false,
            Self::BestOfN | Self::Chunk => true,
            // With a single row only the tokens are guided.
            Self::Ivg => !has_token_guide || s.beams * s.successors > 1,
        };
        match s.value_source {
            ValueSource::Explicit if needs_values && !has_value => {
                Some(MissingGuide::ExplicitValues)
            }
            ValueSource::Implicit if needs_values && !has_pair => {
                Some(MissingGuide::ImplicitValues)
            }
            _ => None,
        }
    }
}

/// One column of a comparison: an arm and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The way of decoding.
    pub arm: Arm,
    /// Settings pinned to this column; `None` uses the settings of the run.
    #[serde(default)]
    pub pinned: Option<Settings>,
}

impl Column {
    /// Creates a column with pinned settings.
    pub fn pinned(arm: Arm, settings: Settings) -> Self {
        Self { arm, pinned: Some(settings) }
    }

    /// Returns the settings of this column in a run with the settings `chosen`, before
    /// [`Arm::apply`]. Seed, length and recognition of control tokens are those of the run in every
    /// column, so that the responses can be compared.
    pub fn chosen(&self, chosen: &Settings) -> Settings {
        match &self.pinned {
            None => chosen.clone(),
            Some(pinned) => Settings {
                seed: chosen.seed,
                max_tokens: chosen.max_tokens,
                special_tokens: chosen.special_tokens,
                ..pinned.clone()
            },
        }
    }

    /// Returns the settings that this column decodes with in a run with the settings `chosen`.
    pub fn applied(&self, chosen: &Settings) -> Settings {
        self.arm.apply(&self.chosen(chosen))
    }
}

impl From<Arm> for Column {
    fn from(arm: Arm) -> Self {
        Self { arm, pinned: None }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arm {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let known = || Arm::ALL.map(Arm::name).join(", ");
        let arm = Arm::ALL.into_iter().find(|a| a.name() == s);
        arm.ok_or_else(|| format!("unknown arm '{s}'; choose one of {}", known()))
    }
}

/// Writes infinity as the string `"inf"`, because JSON has no infinity.
pub(crate) mod infinite {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Repr {
        Number(f32),
        Word(String),
    }

    pub(crate) fn serialize<S: Serializer>(v: &f32, s: S) -> Result<S::Ok, S::Error> {
        if *v == f32::INFINITY { Repr::Word("inf".into()).serialize(s) } else { v.serialize(s) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f32, D::Error> {
        match Repr::deserialize(d)? {
            Repr::Number(v) => Ok(v),
            Repr::Word(w) if w == "inf" => Ok(f32::INFINITY),
            Repr::Word(w) => Err(D::Error::custom(format!("'{w}' is not a number or \"inf\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_reports_the_guide_that_is_missing() {
        let explicit = Settings::default();
        let implicit =
            Settings { value_source: ValueSource::Implicit, beta: 0.0, ..explicit.clone() };
        let one_row = Settings { beams: 1, successors: 1, ..explicit.clone() };
        let (token, values) = (Some(MissingGuide::TokenGuide), Some(MissingGuide::ExplicitValues));
        let told = Some(MissingGuide::Instruction);
        let none = |arm: Arm, s: &Settings| arm.missing_guide(s, false, false);
        let expected = [None, values, token, values, token, told];
        assert_eq!(Arm::ALL.map(|a| none(a, &explicit)), expected);
        let value_alone = |arm: Arm, s: &Settings| arm.missing_guide(s, false, true);
        let expected = [None, None, token, None, token, told];
        assert_eq!(Arm::ALL.map(|a| value_alone(a, &explicit)), expected);
        let ranks = Some(MissingGuide::ImplicitValues);
        assert_eq!(
            Arm::ALL.map(|a| value_alone(a, &implicit)),
            [None, ranks, token, ranks, ranks, told],
            "with β 0 only the token arm needs a token guide"
        );
        let pair_alone = |arm: Arm, s: &Settings| arm.missing_guide(s, true, false);
        assert_eq!(
            Arm::ALL.map(|a| pair_alone(a, &explicit)),
            [None, values, None, values, values, told]
        );
        assert_eq!(
            Arm::ALL.map(|a| pair_alone(a, &implicit)),
            [None, None, None, None, None, told]
        );
        let steers = vec![Steer { towards: "Be brief.".into(), ..Steer::default() }];
        let steered = Settings { steers, ..implicit.clone() };
        assert_eq!(Arm::ALL.map(|a| none(a, &steered)), [None; 6], "a steer is a token guide");
        let away = vec![Steer { away: "Be brief.".into(), ..Steer::default() }];
        let away = Settings { steers: away, ..implicit };
        assert_eq!(none(Arm::PromptOnly, &away), told, "a prompt has no opposite");
        assert_eq!(Arm::Ivg.missing_guide(&one_row, true, false), None, "only the pair guides");
    }
}
