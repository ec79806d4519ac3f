//! The settings that the strip turns, one at a time.

use serde::{Deserialize, Serialize};

use crate::guidance::settings::{Settings, ValueSource};
use crate::packs::Pack;
use crate::words::plain;

/// Strengths of token guidance, from against it to twice the tuned model's own.
const BETAS: [f32; 7] = [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0];
/// Strengths of chunk guidance, from a choice at random to the paper's rule.
const LAMBDAS: [f32; 7] = [0.0, 0.3, 1.0, 3.0, 10.0, 30.0, f32::INFINITY];
/// Chunk lengths, from one token to a whole response of the paper's length.
const LENGTHS: [usize; 7] = [1, 2, 5, 10, 17, 25, 50];

/// A setting that is turned while all others are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dial {
    /// Token guidance β.
    #[default]
    Beta,
    /// Chunk guidance λ.
    Lambda,
    /// Tokens per chunk L.
    ChunkTokens,
}

impl Dial {
    /// Every dial, in the order in which they are run.
    pub const ALL: [Dial; 3] = [Dial::Beta, Dial::Lambda, Dial::ChunkTokens];

    /// The letter of the method.
    pub fn symbol(self) -> &'static str {
        match self {
            Dial::Beta => "β",
            Dial::Lambda => "λ",
            Dial::ChunkTokens => "L",
        }
    }

    /// The name and the letter.
    pub fn label(self) -> &'static str {
        match self {
            Dial::Beta => "Token β",
            Dial::Lambda => "Chunk λ",
            Dial::ChunkTokens => "Length L",
        }
    }

    /// The seven settings of the strip, ascending; fewer where responses are shorter than the
    /// longest chunks, which would all be one whole response.
    pub fn values(self, settings: &Settings) -> Vec<f32> {
        match self {
            Dial::Beta => BETAS.into(),
            Dial::Lambda => LAMBDAS.into(),
            Dial::ChunkTokens => {
                let mut lengths = LENGTHS.map(|l| l.min(settings.max_tokens) as f32).to_vec();
                lengths.dedup();
                lengths
            }
        }
    }

    /// Where the dial stands.
    pub fn of(self, settings: &Settings) -> f32 {
        match self {
            Dial::Beta => settings.beta,
            Dial::Lambda => settings.lambda,
            Dial::ChunkTokens => settings.chunk_tokens as f32,
        }
    }

    /// These settings with the dial turned to `value`.
    pub fn turned(self, settings: &Settings, value: f32) -> Settings {
        let mut turned = settings.clone();
        match self {
            Dial::Beta => turned.beta = value,
            Dial::Lambda => turned.lambda = value,
            Dial::ChunkTokens => turned.chunk_tokens = value as usize,
        }
        turned
    }

    /// A setting as people write it, such as "λ ∞".
    pub fn words(self, value: f32) -> String {
        format!("{} {}", self.symbol(), plain(value.into()))
    }

    /// Why turning it changes nothing, or cannot be done; none if it applies.
    pub fn why_not(self, settings: &Settings, can: Abilities) -> Option<&'static str> {
        match self {
            Dial::Beta if !can.pair => {
                Some("This pack has no tuned/untuned pair, so there are no token values.")
            }
            Dial::Beta => None,
            _ if !can.value_of(settings) => {
                Some("This pack has not the models that give the chosen value of a chunk.")
            }
            _ if settings.beams * settings.successors == 1 => {
                Some("With a single row (W·K = 1) there is nothing to choose between.")
            }
            _ => None,
        }
    }
}

/// What a pack's models can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Has a tuned/untuned pair.
    pub pair: bool,
    /// Has a value model.
    pub value: bool,
    /// Has a gold judge.
    pub judge: bool,
}

impl Abilities {
    /// Whether responses can be valued as these settings say.
    pub(super) fn value_of(self, settings: &Settings) -> bool {
        match settings.value_source {
            ValueSource::Explicit => self.value,
            ValueSource::Implicit => self.pair,
        }
    }
}

impl From<&Pack> for Abilities {
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
    fn every_value_is_allowed_and_above_the_one_before() {
        for dial in Dial::ALL {
            let settings = Settings::default();
            let values = dial.values(&settings);
            assert_eq!(values.len(), 7);
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{dial:?}");
            for value in values {
                let turned = dial.turned(&settings, value);
                assert_eq!((turned.validate(), dial.of(&turned)), (Ok(()), value));
                // Nothing else has moved.
                assert_eq!(dial.turned(&turned, dial.of(&settings)), settings);
            }
        }
    }

    #[test]
    fn no_chunk_is_longer_than_the_response_and_none_comes_twice() {
        let lengths =
            |max_tokens| Dial::ChunkTokens.values(&Settings { max_tokens, ..Settings::default() });
        assert_eq!(lengths(12), [1.0, 2.0, 5.0, 10.0, 12.0]);
        assert_eq!(lengths(17), [1.0, 2.0, 5.0, 10.0, 17.0]);
        assert_eq!(lengths(1), [1.0]);
    }

    #[test]
    fn what_cannot_apply_says_why() {
        let all = Abilities { pair: true, value: true, judge: true };
        let (chosen, alone) = (Settings::default(), Abilities { value: false, ..all });
        let implicit = Settings { value_source: ValueSource::Implicit, ..chosen.clone() };
        let single = Settings { beams: 1, successors: 1, ..chosen.clone() };
        for dial in Dial::ALL {
            assert_eq!(dial.why_not(&chosen, all), None);
            assert_eq!(dial.why_not(&implicit, alone), None);
        }
        assert_eq!(Dial::Beta.why_not(&single, all), None);
        for dial in [Dial::Lambda, Dial::ChunkTokens] {
            assert!(dial.why_not(&chosen, alone).is_some_and(|r| r.contains("value of a chunk")));
            assert!(dial.why_not(&single, all).is_some_and(|r| r.contains("W·K = 1")));
        }
        let unpaired = Abilities { pair: false, ..all };
        assert!(Dial::Beta.why_not(&chosen, unpaired).is_some_and(|r| r.contains("pair")));
    }

    #[test]
    fn a_setting_is_written_as_people_do() {
        assert_eq!(Dial::Lambda.words(f32::INFINITY), "λ ∞");
        assert_eq!(Dial::Lambda.words(0.3), "λ 0.3");
        assert_eq!(Dial::Beta.words(-0.5), "β −0.5");
        assert_eq!(Dial::ChunkTokens.words(17.0), "L 17");
    }
}
