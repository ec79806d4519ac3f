//! What the background of a token can show.

use eframe::egui::Color32;
use serde::{Deserialize, Serialize};

use super::theme::Palette;
use crate::guidance::trace::TokenTrace;

/// A measure of tokens, drawn as colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coloring {
    /// Nothing.
    #[default]
    Plain,
    /// log π_tuned − log π_untuned.
    Advantage,
    /// KL(guided ‖ base) at the token.
    Kl,
    /// π_guided of the token.
    Probability,
    /// No measure of tokens: the words that differ from the first column's.
    Changes,
}

/// The two ends of a scale, in words. Beyond them the colour does not change any more.
pub struct Legend {
    /// At the left.
    pub low: &'static str,
    /// At the right.
    pub high: &'static str,
    /// For people who cannot see it.
    pub words: &'static str,
}

/// Advantage with the strongest colour, in nats.
const ADVANTAGE_NATS: f32 = 1.0;
/// KL with the strongest colour, in nats.
const KL_NATS: f32 = 0.3;

impl Coloring {
    /// Every measure: its name, and what it means in one sentence.
    pub const ALL: [(Coloring, &'static str, &'static str); 5] = [
        (Coloring::Plain, "Plain", "No colour."),
        (
            Coloring::Advantage,
            "Advantage",
            "How much likelier the tuned model finds a token than the untuned one: what token \
             guidance rewards.",
        ),
        (
            Coloring::Kl,
            "KL",
            "How far guidance bent the base's probabilities where a token was drawn.",
        ),
        (
            Coloring::Probability,
            "Probability",
            "How likely a token was under guidance, before temperature and truncation.",
        ),
        (
            Coloring::Changes,
            "Changes",
            "Words that the first column does not have are bold; those it has instead are \
             struck through.",
        ),
    ];

    /// The background of `token`; none where there is nothing to show.
    pub fn of(self, token: &TokenTrace, p: &Palette) -> Option<Color32> {
        let share = match self {
            Coloring::Plain | Coloring::Changes => return None,
            Coloring::Advantage => token.advantage? / ADVANTAGE_NATS,
            Coloring::Kl => token.kl_nats / KL_NATS,
            Coloring::Probability => token.logp_guided.exp(),
        };
        Some(self.shade(share, p))
    }

    /// The colour at a place of the scale: −1 to 1 for the advantage, 0 to 1 for the others.
    fn shade(self, share: f32, p: &Palette) -> Color32 {
        match self {
            Coloring::Advantage => p.diverging(share),
            _ => p.sequential(share),
        }
    }

    /// The scale; none for plain text.
    pub fn legend(self) -> Option<Legend> {
        let (low, high, words) = match self {
            Coloring::Plain | Coloring::Changes => return None,
            Coloring::Advantage => ("≤ −1", "≥ +1 nat", "Colours: advantage, −1 to +1 nat"),
            Coloring::Kl => ("0", "≥ 0.3 nats", "Colours: KL, 0 to 0.3 nats"),
            Coloring::Probability => ("0%", "100%", "Colours: probability, 0 to 100 percent"),
        };
        Some(Legend { low, high, words })
    }

    /// The colour of the scale at `x` from its left end (0) to its right (1).
    pub fn along(self, x: f32, p: &Palette) -> Color32 {
        match self {
            Coloring::Advantage => self.shade(2.0 * x - 1.0, p),
            _ => self.shade(x, p),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::theme::DARK;

    fn token(advantage: Option<f32>, kl_nats: f32, logp_guided: f32) -> TokenTrace {
        TokenTrace {
            id: 1,
            text: " a".into(),
            start: 0,
            end: 2,
            logp_base: -1.0,
            logp_guided,
            logp_untuned: None,
            logp_tuned: None,
            advantage,
            kl_nats,
            alternatives: Vec::new(),
        }
    }

    #[test]
    fn each_measure_has_colours_of_its_own() {
        let (up, down) = (token(Some(0.5), 0.0, -9.0), token(Some(-0.5), 0.3, 0.0));
        let differ = |measure: Coloring| measure.of(&up, &DARK) != measure.of(&down, &DARK);
        assert!(
            differ(Coloring::Advantage) && differ(Coloring::Kl) && differ(Coloring::Probability)
        );
        assert_eq!(Coloring::Plain.of(&up, &DARK), None);
        assert_eq!(
            Coloring::Advantage.of(&token(None, 0.0, 0.0), &DARK),
            None,
            "no pair, no colour"
        );
        let beyond = token(Some(7.0), 0.0, 0.0);
        assert_eq!(
            Coloring::Advantage.of(&beyond, &DARK),
            Some(Coloring::Advantage.along(1.0, &DARK))
        );
    }
}
