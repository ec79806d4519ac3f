//! Guides made from sentences: one model reads the prompt twice, with two different instructions.
//!
//! The model with the instruction `towards` plays the role of the tuned model, the model with the
//! instruction `away` that of the untuned model. With an empty `away` and strength 1, the guided
//! distribution is that of the model with the instruction in its prompt; a larger strength amplifies
//! the difference beyond what the instruction alone does. The same contrast of two prompts is known
//! as context-aware decoding (Shi et al., arXiv 2305.14739).

use serde::{Deserialize, Serialize};

/// A token guide made from two instructions to the base model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Steer {
    /// The instruction to steer towards, such as "Answer in one sentence.".
    pub towards: String,
    /// The instruction to steer away from. If it is empty, the plain prompt takes its place.
    pub away: String,
    /// Strength; 0 is off, negative values reverse the guide.
    pub beta: f32,
}

impl Default for Steer {
    fn default() -> Self {
        Self { towards: String::new(), away: String::new(), beta: 1.5 }
    }
}

impl Steer {
    /// Returns whether no instruction is given. Such a steer is ignored.
    pub fn is_empty(&self) -> bool {
        self.towards.trim().is_empty() && self.away.trim().is_empty()
    }

    /// Returns whether both instructions are equal, so that nothing can be steered.
    pub fn is_without_effect(&self) -> bool {
        self.towards.trim() == self.away.trim()
    }

    /// Returns the instructions without the strength.
    pub fn instructions(&self) -> Instructions {
        Instructions { towards: self.towards.trim().into(), away: self.away.trim().into() }
    }

    /// Returns the name of the guide: its instruction in quotation marks.
    pub fn name(&self) -> String {
        match (self.towards.trim(), self.away.trim()) {
            ("", away) => format!("away from “{away}”"),
            (towards, _) => format!("“{towards}”"),
        }
    }
}

/// The instructions of a steer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instructions {
    /// The instruction to steer towards.
    pub towards: String,
    /// The instruction to steer away from.
    pub away: String,
}

/// Returns the steer whose guided distribution at strength 1 is that of the base with all
/// instructions of `steers` in its prompt.
pub(super) fn as_prompt<'a>(steers: impl Iterator<Item = &'a Steer>) -> Steer {
    let sentences: Vec<&str> =
        steers.map(|steer| steer.towards.trim()).filter(|text| !text.is_empty()).collect();
    Steer { towards: sentences.join(" "), away: String::new(), beta: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steer(towards: &str, away: &str) -> Steer {
        Steer { towards: towards.into(), away: away.into(), beta: 1.0 }
    }

    #[test]
    fn steers_without_effect_are_recognised() {
        assert!(steer(" ", "").is_empty() && steer("", "").is_without_effect());
        assert!(steer("Be brief.", "Be brief. ").is_without_effect());
        assert!(!steer("", "Be brief.").is_empty() && !steer("", "a").is_without_effect());
    }

    #[test]
    fn a_name_quotes_the_instruction() {
        assert_eq!(steer(" Be brief.", "Be long.").name(), "“Be brief.”");
        assert_eq!(steer("", "Be long.").name(), "away from “Be long.”");
    }

    #[test]
    fn one_prompt_contains_all_instructions() {
        let steers = [steer("Be brief. ", "Be long."), steer("", "Be rude."), steer("Rhyme.", "")];
        let one = as_prompt(steers.iter());
        assert_eq!(
            (one.towards.as_str(), one.away.as_str(), one.beta),
            ("Be brief. Rhyme.", "", 1.0)
        );
    }
}
