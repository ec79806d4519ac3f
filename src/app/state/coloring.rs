//! Measures that the background colour of a token can show.

use eframe::egui::Color32;
use serde::{Deserialize, Serialize};

use crate::app::theme::Palette;
use crate::guidance::trace::TokenTrace;

/// A measure of tokens that is drawn as their background colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coloring {
    /// No colour.
    #[default]
    Plain,
    /// log π_tuned − log π_untuned, in nats.
    Advantage,
    /// KL(guided ‖ base) at the token, in nats.
    Kl,
    /// π_guided of the token, from 0 to 1.
    Probability,
    /// Marks where the text leaves that of the first column, and tints the words that are new.
    Changes,
}

/// The labels of a colour scale. Values beyond its ends have the colour of the end.
pub struct Legend {
    /// Label of the left end.
    pub low: &'static str,
    /// Label of the right end.
    pub high: &'static str,
    /// Description for screen readers.
    pub words: &'static str,
}

/// Advantage at the end of the scale, in nats.
const ADVANTAGE_NATS: f32 = 1.0;
/// KL at the end of the scale, in nats.
const KL_NATS: f32 = 0.3;

impl Coloring {
    /// All measures, each with its name and a description.
    pub const ALL: [(Coloring, &'static str, &'static str); 5] = [
        (Coloring::Plain, "Plain", "No colour."),
        (
            Coloring::Advantage,
            "Advantage",
            "How much more likely the token is under the tuned model than under the untuned one. \
             Token guidance favours tokens with a high advantage.",
        ),
        (
            Coloring::Kl,
            "KL",
            "KL divergence of the guided from the base distribution at the token.",
        ),
        (
            Coloring::Probability,
            "Probability",
            "Probability of the token under guidance, before temperature and truncation.",
        ),
        (
            Coloring::Changes,
            "Changes",
            "How the text differs from the first column. The first difference is marked; new words \
             are tinted. If the texts share few words, only the first difference is marked.",
        ),
    ];

    /// Returns the background colour of `token`, or `None` if the measure has no value for it.
    pub fn of(self, token: &TokenTrace, p: &Palette) -> Option<Color32> {
        let share = match self {
            Coloring::Plain | Coloring::Changes => return None,
            Coloring::Advantage => token.advantage? / ADVANTAGE_NATS,
            Coloring::Kl => token.kl_nats / KL_NATS,
            Coloring::Probability => token.logp_guided.exp(),
        };
        Some(self.shade(share, p))
    }

    /// Returns the colour of a scaled value: −1 to 1 for the advantage, 0 to 1 for the others.
    fn shade(self, share: f32, p: &Palette) -> Color32 {
        match self {
            Coloring::Advantage => p.diverging(share),
            _ => p.sequential(share),
        }
    }

    /// Returns the labels of the colour scale, or `None` if the measure has no colours.
    pub fn legend(self) -> Option<Legend> {
        let (low, high, words) = match self {
            Coloring::Plain | Coloring::Changes => return None,
            Coloring::Advantage => ("≤ −1", "≥ +1 nat", "Colours: advantage, −1 to +1 nat"),
            Coloring::Kl => ("0", "≥ 0.3 nats", "Colours: KL, 0 to 0.3 nats"),
            Coloring::Probability => ("0%", "100%", "Colours: probability, 0 to 100 percent"),
        };
        Some(Legend { low, high, words })
    }

    /// Returns the colour of the scale at `x`, from 0 (left end) to 1 (right end).
    pub(crate) fn color_at(self, x: f32, p: &Palette) -> Color32 {
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
            steer_advantages: Vec::new(),
            unguided_mass: None,
            strength_factor: None,
            kl_nats,
            alternatives: Vec::new(),
        }
    }

    #[test]
    fn every_measure_colours_tokens_and_clamps_values_to_the_scale() {
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
            Some(Coloring::Advantage.color_at(1.0, &DARK))
        );
    }
}
