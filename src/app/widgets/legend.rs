//! Entries of a plot legend.

use eframe::egui::{Label, RichText, Sense, Ui, vec2};

use super::marker::{Mark, marker};
use crate::app::theme::{Palette, text};

/// Width of the two entries for kept and dropped candidates, in points.
pub(crate) const LEGEND_KEY_WIDTH: f32 = 150.0;

/// Draws a mark and its name, for a row that is laid out from right to left.
pub(crate) fn legend_key(ui: &mut Ui, name: &str, mark: Mark) {
    let p = Palette::of(ui);
    let words = RichText::new(name).font(text::small()).color(p.weak);
    ui.add(Label::new(words).selectable(false));
    let (rect, _) = ui.allocate_exact_size(vec2(12.0, 16.0), Sense::hover());
    marker(ui.painter(), rect.center(), mark, p.weak);
}
