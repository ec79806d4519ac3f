//! What there is to say of one point of the strip: shown where the pointer rests on it.

use eframe::egui::{Label, RichText, Ui};

use super::theme::{Palette, space, text};
use crate::lab::strip::{Dial, Measure, Point};
use crate::words::{excerpt, minus};

const WIDTH: f32 = 400.0;
/// Texts shown.
const TEXTS: usize = 4;
/// Characters of each.
const LENGTH: usize = 160;

/// The card of a point.
pub struct StripCard<'a> {
    /// The point.
    pub point: &'a Point,
    /// What was turned.
    pub dial: Dial,
    /// What its height is.
    pub measure: Measure,
    /// Whether the settings stand here.
    pub is_current: bool,
}

impl StripCard<'_> {
    /// Shows it.
    pub fn show(self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let name = self.dial.words(self.point.setting);
        ui.set_width(WIDTH);
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.horizontal(|ui| {
            ui.add(Label::new(RichText::new(&name).font(text::heading())));
            let words = RichText::new(self.facts()).font(text::small()).color(p.weak);
            ui.add(Label::new(words));
        });
        for sample in self.point.samples.iter().take(TEXTS) {
            let height = match self.measure {
                Measure::Gold => sample.gold_reward,
                Measure::Value => sample.value,
            };
            let height = height.map_or("–".into(), |v| minus(&format!("{v:+.2}")));
            let words = format!("{height}  {}", excerpt(&sample.text, LENGTH));
            ui.add(Label::new(RichText::new(words).font(text::small())).wrap());
        }
        let what = if self.is_current {
            format!("{name} is set.")
        } else {
            format!("Click to set {name}.")
        };
        ui.add(Label::new(RichText::new(what).font(text::small()).color(p.weak)));
    }

    /// Everything that is known of the point, in one line.
    fn facts(&self) -> String {
        let Point { mean, standard_error, kl_bound_nats, base_perplexity, .. } = self.point;
        let count = self.point.samples.len();
        if count == 0 {
            return "no text yet".into();
        }
        let mut facts = vec![match (mean, standard_error) {
            (Some(mean), Some(error)) => format!("{} {mean:+.2} ± {error:.2}", self.measure.name()),
            (Some(mean), None) => format!("{} {mean:+.2}", self.measure.name()),
            (None, _) => format!("no {}", self.measure.name()),
        }];
        facts.extend(kl_bound_nats.map(|kl| format!("KL ≤ {kl:.1} nats")));
        facts.extend(base_perplexity.map(|ppl| format!("perplexity {ppl:.1}")));
        facts.push(format!("{count} {}", if count == 1 { "text" } else { "texts" }));
        minus(&facts.join(" · "))
    }
}
