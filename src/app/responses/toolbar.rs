//! The row above the columns: token colours, details, scrolling, and the button that adds a column.

use eframe::egui::{
    Button, Label, Popup, Rect, RichText, Role, Sense, Stroke, StrokeKind, TextWrapMode, Ui,
    WidgetInfo, pos2, vec2,
};

use super::column_menu::{ColumnEdit, add_disabled_reason, description};
use crate::app::state::availability::arm_disabled_reason;
use crate::app::state::coloring::Coloring;
use crate::app::state::preferences::Preferences;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{chip, menu, segmented};
use crate::guidance::labels;
use crate::guidance::settings::Arm;
use crate::worker::protocol::PackInfo;

/// Width of the colour scale with its numbers, in points.
pub(in crate::app) const LEGEND_WIDTH: f32 = 230.0;

/// Draws the row. It wraps in a narrow window.
pub(super) fn toolbar(
    ui: &mut Ui,
    preferences: &mut Preferences,
    pack: Option<&PackInfo>,
) -> Option<ColumnEdit> {
    let p = Palette::of(ui);
    let mut edit = None;
    ui.horizontal_wrapped(|ui| {
        if ui.available_width() >= 620.0 {
            let words = RichText::new("Colour tokens by").font(text::small()).color(p.weak);
            ui.add(Label::new(words).selectable(false));
        }
        let choices = Coloring::ALL.map(|(value, label, hint)| (value, label, hint, None));
        segmented(ui, "Colour tokens by", &choices, &mut preferences.coloring);
        if ui.available_size_before_wrap().x >= LEGEND_WIDTH {
            color_scale(ui, preferences.coloring);
        }
        removed_words(ui, preferences);
        edit = add_column(ui, preferences, pack);
        let details = chip(ui, "Details", preferences.details);
        let details = details.on_hover_text("Value, KL, perplexity, tokens and speed.");
        if details.clicked() {
            preferences.details = !preferences.details;
        }
        let together = chip(ui, "Scroll together", preferences.scroll_together);
        if together.on_hover_text("Scrolls all columns at the same time.").clicked() {
            preferences.scroll_together = !preferences.scroll_together;
        }
    });
    ui.add_space(space::XS);
    edit
}

/// Draws the choice whether [`Coloring::Changes`] shows removed words, if that is chosen.
fn removed_words(ui: &mut Ui, preferences: &mut Preferences) {
    if preferences.coloring == Coloring::Changes {
        let words = RichText::new("Show removed words").font(text::small());
        ui.checkbox(&mut preferences.show_removed_words, words).on_hover_text(
            "Also shows the words of the first column that this column does not have, struck \
             through.",
        );
    }
}

/// Draws the button that adds a column, and its menu of arms.
fn add_column(
    ui: &mut Ui,
    preferences: &Preferences,
    pack: Option<&PackInfo>,
) -> Option<ColumnEdit> {
    let mut edit = None;
    let reason = add_disabled_reason(&preferences.columns);
    // Added directly to `ui`, because a child `Ui` would not wrap to the next line.
    let words = RichText::new("Add column ⌄").font(text::small());
    let button = Button::new(words).corner_radius(12).wrap_mode(TextWrapMode::Extend);
    let add = ui.add_enabled(reason.is_none(), button);
    let add = add.accessible_name("Add column");
    let add = add.on_hover_text("Adds a column that generates text in another way.");
    let add = add.on_disabled_hover_text(reason.unwrap_or_default());
    Popup::menu(&add).show(|ui| {
        menu(ui, 200.0);
        let settings = &preferences.settings;
        for arm in Arm::ALL {
            let name = labels::title(arm, &arm.apply(settings));
            let reason = arm_disabled_reason(arm, settings, pack);
            let entry = ui.add_enabled(reason.is_none(), Button::new(&name));
            let entry = entry.accessible_name(format!("Add column: {name}"));
            let entry = entry.on_hover_text(description(arm));
            if let Some(reason) = reason {
                entry.on_disabled_hover_text(reason);
            } else if entry.clicked() {
                edit = Some(ColumnEdit::Add(arm));
            }
        }
    });
    edit
}

/// Draws the colour scale of a measure, with its lowest and highest value. Draws nothing if the
/// measure has no scale.
pub(in crate::app) fn color_scale(ui: &mut Ui, coloring: Coloring) {
    const STEPS: usize = 32;
    let Some(legend) = coloring.legend() else { return };
    let p = Palette::of(ui);
    let number = |words: &str| {
        Label::new(RichText::new(words).font(text::small()).color(p.weak)).selectable(false)
    };
    ui.add(number(legend.low));
    let (bar, response) = ui.allocate_exact_size(vec2(96.0, 12.0), Sense::hover());
    let width = bar.width() / STEPS as f32;
    for step in 0..STEPS {
        let left = bar.left() + step as f32 * width;
        let part = Rect::from_min_size(pos2(left, bar.top()), vec2(width, bar.height()));
        let color = coloring.color_at((step as f32 + 0.5) / STEPS as f32, p);
        ui.painter().rect_filled(part, 0.0, color);
    }
    ui.painter().rect_stroke(bar, 2.0, Stroke::new(1.0, p.border), StrokeKind::Outside);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, legend.words));
    ui.add(number(legend.high));
}
