//! The tooltip of a sweep point: its means, and some of its responses.

use eframe::egui::{Label, RichText, Ui};

use crate::app::theme::{Palette, space, text};
use crate::format::{excerpt, minus};
use crate::lab::sweep::{Measure, Point, SweepAxis};

const WIDTH: f32 = 400.0;
/// Maximum number of responses shown.
const MAX_RESPONSES: usize = 4;
/// Maximum characters of each response.
const MAX_CHARACTERS: usize = 160;

/// The tooltip of a sweep point.
pub(crate) struct SweepTooltip<'a> {
    /// The point with its means and responses.
    pub(crate) point: &'a Point,
    /// The swept setting.
    pub(crate) axis: SweepAxis,
    /// The measure on the vertical axis.
    pub(crate) measure: Measure,
    /// Whether the point has the current settings.
    pub(crate) is_current: bool,
}

impl SweepTooltip<'_> {
    pub(crate) fn show(self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let name = self.axis.format_value(self.point.setting);
        ui.set_width(WIDTH);
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.horizontal(|ui| {
            ui.add(Label::new(RichText::new(&name).font(text::heading())));
            let words = RichText::new(self.facts()).font(text::small()).color(p.weak);
            ui.add(Label::new(words));
        });
        for sample in self.point.samples.iter().take(MAX_RESPONSES) {
            let measured = match self.measure {
                Measure::Gold => sample.gold_reward,
                Measure::Value => sample.value,
            };
            let measured = measured.map_or("–".into(), |v| minus(&format!("{v:+.2}")));
            let words = format!("{measured}  {}", excerpt(&sample.text, MAX_CHARACTERS));
            ui.add(Label::new(RichText::new(words).font(text::small())).wrap());
        }
        let hint = if self.is_current {
            format!("{name} is the current setting.")
        } else {
            format!("Click to set {name}.")
        };
        ui.add(Label::new(RichText::new(hint).font(text::small()).color(p.weak)));
    }

    fn facts(&self) -> String {
        let Point { mean, standard_error, kl_bound_nats, base_perplexity, .. } = self.point;
        let count = self.point.samples.len();
        if count == 0 {
            return "no response yet".into();
        }
        let mut facts = vec![match (mean, standard_error) {
            (Some(mean), Some(error)) => format!("{} {mean:+.2} ± {error:.2}", self.measure.name()),
            (Some(mean), None) => format!("{} {mean:+.2}", self.measure.name()),
            (None, _) => format!("no {}", self.measure.name()),
        }];
        facts.extend(kl_bound_nats.map(|kl| format!("KL upper bound {kl:.1} nats")));
        facts.extend(base_perplexity.map(|ppl| format!("perplexity {ppl:.1}")));
        facts.push(format!("{count} {}", if count == 1 { "response" } else { "responses" }));
        minus(&facts.join(" · "))
    }
}
