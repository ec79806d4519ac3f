//! The sliders of both guidance strengths on the stage.

use eframe::egui::{Align, Label, Layout, RichText, Ui, vec2};

use super::panel::Controls;
use super::scales::{beta_scale, lambda_scale, rounded};
use crate::app::state::availability::{Control, disabled_reason};
use crate::app::theme::text;
use crate::app::widgets::{Edit, Scale, Slider};
use crate::format::{minus, plain};

/// Marks of β on the stage.
const BETA_MARKS: [(f64, &str); 3] = [(-3.0, "away"), (0.0, "off"), (3.0, "towards")];
/// Marks of λ on the stage.
const LAMBDA_MARKS: [(f64, &str); 2] = [(0.0, "off"), (f64::INFINITY, "towards")];
/// Width of the symbol and the number before a slider, in points.
const NUMBER_WIDTH: f32 = 58.0;

impl Controls<'_> {
    /// Draws both sliders, each `width` points wide with its number.
    pub(crate) fn stage_strengths(&mut self, ui: &mut Ui, width: f32) -> Edit {
        let pack = self.session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let reason = disabled_reason(Control::Beta, s, pack);
        let number = minus(&format!("{:.2}", s.beta));
        let beta = Strength { symbol: "β", name: "Token guidance β", number, reason, width };
        let mut edit = beta.show(ui, &mut s.beta, beta_scale(), &BETA_MARKS);
        let reason = disabled_reason(Control::Lambda, s, pack);
        let number = plain(s.lambda.into());
        let lambda = Strength { symbol: "λ", name: "Chunk guidance λ", number, reason, width };
        edit |= lambda.show(ui, &mut s.lambda, lambda_scale(), &LAMBDA_MARKS);
        edit
    }
}

struct Strength<'a> {
    symbol: &'a str,
    name: &'a str,
    number: String,
    reason: Option<&'a str>,
    width: f32,
}

impl Strength<'_> {
    fn show(self, ui: &mut Ui, value: &mut f32, scale: Scale, marks: &[(f64, &str)]) -> Edit {
        let size = vec2(self.width, Slider::MARKED);
        let layout = Layout::left_to_right(Align::Center);
        let response = ui.allocate_ui_with_layout(size, layout, |ui| {
            if self.reason.is_some() {
                ui.disable();
            }
            let words = RichText::new(format!("{} {}", self.symbol, self.number));
            let label = Label::new(words.font(text::heading())).selectable(false);
            ui.add_sized(vec2(NUMBER_WIDTH, Slider::MARKED), label);
            let mut number = rounded(*value);
            let width = (self.width - NUMBER_WIDTH - ui.spacing().item_spacing.x).max(40.0);
            let slider = Slider::new(&mut number, self.name, scale, width).origin(0.0).marks(marks);
            let response = ui.add(slider);
            let edit = Edit::of(&response);
            if edit.changed {
                *value = number as f32;
            }
            if let Some(reason) = self.reason {
                response.on_disabled_hover_text(reason);
            }
            edit
        });
        response.inner
    }
}
