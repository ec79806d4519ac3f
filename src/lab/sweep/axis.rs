//! The settings that a sweep can vary, and their values.

use serde::{Deserialize, Serialize};

use crate::format::plain;
use crate::guidance::settings::{Settings, ValueSource};
use crate::packs::Pack;

/// Values of β, from −1 (away from the tuned model) to 2 (twice its difference to untuned).
const BETAS: [f32; 7] = [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0];
/// Values of λ, from 0 (random choice) to infinity (the paper's rule).
const LAMBDAS: [f32; 7] = [0.0, 0.3, 1.0, 3.0, 10.0, 30.0, f32::INFINITY];
/// Values of L, from one token to a whole response of the paper's length.
const LENGTHS: [usize; 7] = [1, 2, 5, 10, 17, 25, 50];

/// A setting that a sweep varies while all others stay fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SweepAxis {
    /// Token guidance β.
    #[default]
    Beta,
    /// Chunk guidance λ.
    Lambda,
    /// Tokens per chunk L.
    ChunkTokens,
}

impl SweepAxis {
    /// Every axis, in the order they are run.
    pub const ALL: [SweepAxis; 3] = [SweepAxis::Beta, SweepAxis::Lambda, SweepAxis::ChunkTokens];

    /// Returns the symbol of the setting in the method.
    pub fn symbol(self) -> &'static str {
        match self {
            SweepAxis::Beta => "β",
            SweepAxis::Lambda => "λ",
            SweepAxis::ChunkTokens => "L",
        }
    }

    /// Returns the name and the symbol.
    pub fn label(self) -> &'static str {
        match self {
            SweepAxis::Beta => "Token β",
            SweepAxis::Lambda => "Chunk λ",
            SweepAxis::ChunkTokens => "Length L",
        }
    }

    /// Returns the name for titles.
    pub(crate) fn name(self) -> &'static str {
        match self {
            SweepAxis::Beta => "token guidance β",
            SweepAxis::Lambda => "chunk guidance λ",
            SweepAxis::ChunkTokens => "tokens per chunk L",
        }
    }

    /// Returns the values of the sweep, ascending: seven, or fewer for L if `max_tokens` is below
    /// the longest chunk lengths.
    pub fn values(self, settings: &Settings) -> Vec<f32> {
        match self {
            SweepAxis::Beta => BETAS.into(),
            SweepAxis::Lambda => LAMBDAS.into(),
            SweepAxis::ChunkTokens => {
                let mut lengths = LENGTHS.map(|l| l.min(settings.max_tokens) as f32).to_vec();
                lengths.dedup();
                lengths
            }
        }
    }

    /// Returns the value of this setting in `settings`.
    pub fn value_in(self, settings: &Settings) -> f32 {
        match self {
            SweepAxis::Beta => settings.beta,
            SweepAxis::Lambda => settings.lambda,
            SweepAxis::ChunkTokens => settings.chunk_tokens as f32,
        }
    }

    /// Returns `settings` with this setting changed to `value`.
    pub fn with_value(self, settings: &Settings, value: f32) -> Settings {
        let mut changed = settings.clone();
        match self {
            SweepAxis::Beta => changed.beta = value,
            SweepAxis::Lambda => changed.lambda = value,
            SweepAxis::ChunkTokens => changed.chunk_tokens = value as usize,
        }
        changed
    }

    /// Returns symbol and value for display, such as "λ ∞".
    pub fn format_value(self, value: f32) -> String {
        format!("{} {}", self.symbol(), plain(value.into()))
    }

    /// Returns the reason why this setting has no effect under `settings` or is not supported by
    /// the pack, or `None` if it can be swept.
    pub(crate) fn disabled_reason(
        self,
        settings: &Settings,
        can: PackCapabilities,
    ) -> Option<&'static str> {
        match self {
            SweepAxis::Beta => match settings.token_source {
                ValueSource::Implicit if !can.pair => {
                    Some("This pack has no tuned/untuned pair, so there are no token values.")
                }
                ValueSource::Explicit if !can.value => {
                    Some("This pack has no value model to guide the tokens.")
                }
                _ => None,
            },
            _ if !can.has_value_for(settings) => {
                Some("This pack does not have the models for the chosen value of a chunk.")
            }
            _ if settings.beams * settings.successors == 1 => {
                Some("With a single row (W·K = 1) there is nothing to choose between.")
            }
            _ => None,
        }
    }
}

/// The models of a pack that decide what can be swept and measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackCapabilities {
    /// Whether the pack has a tuned/untuned pair.
    pub pair: bool,
    /// Whether the pack has a value model.
    pub value: bool,
    /// Whether the pack has a gold judge.
    pub judge: bool,
}

impl PackCapabilities {
    /// Checks whether the pack has the models for `settings.value_source`.
    pub(super) fn has_value_for(self, settings: &Settings) -> bool {
        match settings.value_source {
            ValueSource::Explicit => self.value,
            ValueSource::Implicit => self.pair,
        }
    }
}

impl From<&Pack> for PackCapabilities {
    fn from(pack: &Pack) -> Self {
        Self {
            pair: pack.models.pair.is_some(),
            value: pack.models.value.is_some(),
            judge: pack.judge.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_valid_and_ascending() {
        for axis in SweepAxis::ALL {
            let settings = Settings::default();
            let values = axis.values(&settings);
            assert_eq!(values.len(), 7);
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{axis:?}");
            for value in values {
                let changed = axis.with_value(&settings, value);
                assert_eq!((changed.validate(), axis.value_in(&changed)), (Ok(()), value));
                // All other settings are unchanged.
                assert_eq!(axis.with_value(&changed, axis.value_in(&settings)), settings);
            }
        }
    }

    #[test]
    fn chunk_lengths_are_distinct_and_at_most_the_response_length() {
        let lengths = |max_tokens| {
            SweepAxis::ChunkTokens.values(&Settings { max_tokens, ..Settings::default() })
        };
        assert_eq!(lengths(12), [1.0, 2.0, 5.0, 10.0, 12.0]);
        assert_eq!(lengths(17), [1.0, 2.0, 5.0, 10.0, 17.0]);
        assert_eq!(lengths(1), [1.0]);
    }

    #[test]
    fn an_axis_that_cannot_apply_has_a_reason() {
        let all = PackCapabilities { pair: true, value: true, judge: true };
        let (chosen, no_value) = (Settings::default(), PackCapabilities { value: false, ..all });
        let implicit = Settings { value_source: ValueSource::Implicit, ..chosen.clone() };
        let single = Settings { beams: 1, successors: 1, ..chosen.clone() };
        for axis in SweepAxis::ALL {
            assert_eq!(axis.disabled_reason(&chosen, all), None);
            assert_eq!(axis.disabled_reason(&implicit, no_value), None);
        }
        assert_eq!(SweepAxis::Beta.disabled_reason(&single, all), None);
        for axis in [SweepAxis::Lambda, SweepAxis::ChunkTokens] {
            let reason = axis.disabled_reason(&chosen, no_value);
            assert!(reason.is_some_and(|r| r.contains("value of a chunk")));
            assert!(axis.disabled_reason(&single, all).is_some_and(|r| r.contains("W·K = 1")));
        }
        let no_pair = PackCapabilities { pair: false, ..all };
        assert!(
            SweepAxis::Beta.disabled_reason(&chosen, no_pair).is_some_and(|r| r.contains("pair"))
        );
    }

    #[test]
    fn values_are_formatted_for_display() {
        assert_eq!(SweepAxis::Lambda.format_value(f32::INFINITY), "λ ∞");
        assert_eq!(SweepAxis::Lambda.format_value(0.3), "λ 0.3");
        assert_eq!(SweepAxis::Beta.format_value(-0.5), "β −0.5");
        assert_eq!(SweepAxis::ChunkTokens.format_value(17.0), "L 17");
    }
}
