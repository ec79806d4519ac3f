//! A thin progress bar.

use eframe::egui::{Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::theme::Palette;

/// Draws a progress bar; `fraction` is 0 to 1. It replaces the bar of egui, which has no colour for
/// the empty part.
pub(crate) fn progress_bar(ui: &mut Ui, width: f32, fraction: f32) {
    let p = Palette::of(ui);
    let (bar, response) = ui.allocate_exact_size(vec2(width, 6.0), Sense::hover());
    ui.painter().rect_filled(bar, 3.0, p.rail);
    let done = bar.with_max_x(bar.left() + bar.width() * fraction.clamp(0.0, 1.0));
    ui.painter().rect_filled(done, 3.0, p.accent);
    response.widget_info(|| {
        let value = Some(f64::from(fraction));
        WidgetInfo { value, ..WidgetInfo::labeled(Role::ProgressIndicator, true, "Progress") }
    });
}
