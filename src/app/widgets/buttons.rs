//! Buttons, switches, legend entries and icons.

use std::f32::consts::TAU;

use eframe::egui::{
    Button, Color32, CornerRadius, Id, Painter, Pos2, Rect, Response, RichText, Role, Sense, Shape,
    Stroke, StrokeKind, TextWrapMode, Ui, UiBuilder, WidgetInfo, pos2, vec2,
};

use super::marker::{Mark, marker};
use super::tooltip::Explain;
use crate::app::theme::{Palette, space, text};

/// An icon. Icons are drawn as shapes, because no font contains all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    /// Resets to the default.
    Reset,
    /// Draws another random number.
    Dice,
    /// Makes a copy.
    Copy,
    /// Shows or hides the sidebar.
    Sidebar,
    /// Goes back.
    Left,
    /// Goes on.
    Right,
    /// Closes or deletes.
    Close,
    /// Opens a menu.
    More,
    /// Folds a panel.
    Fold,
    /// Unfolds a panel.
    Unfold,
    /// Saves to a file.
    Save,
}

/// Draws a small button with an icon. `name` is its accessible name and its tooltip.
pub(crate) fn icon_button(ui: &mut Ui, icon: Icon, name: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(24.0, 24.0), Sense::click());
    let p = Palette::of(ui);
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, space::RADIUS, p.hover);
    }
    if response.has_focus() {
        let stroke = Stroke::new(1.5, p.guided);
        ui.painter().rect_stroke(rect, space::RADIUS, stroke, StrokeKind::Inside);
    }
    let color = if icon == Icon::Close { p.danger } else { p.weak };
    icon.paint(ui.painter(), rect.center(), if response.hovered() { p.text } else { color });
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, name));
    response.explain(ui, name)
}

impl Icon {
    fn paint(self, painter: &Painter, at: Pos2, color: Color32) {
        let stroke = Stroke::new(1.6, color);
        match self {
            Icon::Close => {
                for flip in [1.0, -1.0] {
                    let half_diagonal = vec2(4.5, 4.5 * flip);
                    painter.line_segment([at - half_diagonal, at + half_diagonal], stroke);
                }
            }
            Icon::Reset => {
                // An arc clockwise from the top to the left, with the arrow head at its start.
                let point = |turn: f32| at + 5.0 * vec2((turn * TAU).cos(), (turn * TAU).sin());
                let arc = (0..=20).map(|i| point(-0.27 + 0.77 * i as f32 / 20.0)).collect();
                painter.add(Shape::line(arc, stroke));
                let base = point(-0.27);
                let head = [vec2(-4.5, 0.2), vec2(0.8, -3.4), vec2(0.8, 3.4)];
                let head = head.map(|d| base + d).to_vec();
                painter.add(Shape::convex_polygon(head, color, Stroke::NONE));
            }
            Icon::More => {
                for step in [-1.0, 0.0, 1.0] {
                    painter.circle_filled(at + vec2(5.0 * step, 0.0), 1.7, color);
                }
            }
            Icon::Fold | Icon::Unfold => {
                let up = if self == Icon::Unfold { -1.0 } else { 1.0 };
                let tip = at + vec2(0.0, 2.5 * up);
                let ends = [-5.0, 5.0].map(|x| at + vec2(x, -2.5 * up));
                painter.add(Shape::line(vec![ends[0], tip, ends[1]], stroke));
            }
            Icon::Left | Icon::Right => {
                let side = if self == Icon::Right { 1.0 } else { -1.0 };
                let tip = at + vec2(3.0 * side, 0.0);
                let ends = [-5.0, 5.0].map(|y| at + vec2(-2.5 * side, y));
                painter.add(Shape::line(vec![ends[0], tip, ends[1]], stroke));
            }
            Icon::Copy => {
                for shift in [vec2(-2.0, 2.0), vec2(2.0, -2.0)] {
                    let sheet = Rect::from_center_size(at + shift, vec2(9.0, 9.0));
                    painter.rect_stroke(sheet, 2.0, stroke, StrokeKind::Inside);
                }
            }
            Icon::Sidebar => {
                let frame = Rect::from_center_size(at, vec2(16.0, 13.0));
                painter.rect_stroke(frame, 2.5, stroke, StrokeKind::Inside);
                painter.vline(frame.left() + 5.5, frame.y_range(), stroke);
            }
            Icon::Save => {
                // An arrow down onto a line.
                let tip = at + vec2(0.0, 3.0);
                painter.line_segment([at - vec2(0.0, 6.0), tip], stroke);
                let head = [vec2(-3.5, -0.5), vec2(0.0, 3.0), vec2(3.5, -0.5)];
                painter.add(Shape::line(head.map(|d| at + d).to_vec(), stroke));
                let end = vec2(5.5, 6.0);
                painter.line_segment([at + vec2(-end.x, end.y), at + end], stroke);
            }
            Icon::Dice => {
                let face = Rect::from_center_size(at, vec2(15.0, 15.0));
                painter.rect_stroke(face, 3.5, stroke, StrokeKind::Inside);
                for (x, y) in [(-1.0, -1.0), (1.0, -1.0), (0.0, 0.0), (-1.0, 1.0), (1.0, 1.0)] {
                    painter.circle_filled(at + vec2(3.4 * x, 3.4 * y), 1.3, color);
                }
            }
        }
    }
}

/// Draws the main button of a panel.
pub(crate) fn primary_button(ui: &mut Ui, label: &str, width: f32, enabled: bool) -> Response {
    let p = Palette::of(ui);
    ui.scope(|ui| {
        let v = ui.visuals_mut();
        v.widgets.inactive.weak_bg_fill = p.accent;
        v.widgets.hovered.weak_bg_fill = p.accent_hover;
        v.widgets.active.weak_bg_fill = p.accent_hover;
        for state in [&mut v.widgets.inactive, &mut v.widgets.hovered, &mut v.widgets.active] {
            state.bg_stroke = Stroke::new(1.0, p.accent);
            state.fg_stroke = Stroke::new(1.0, p.on_accent);
        }
        // The focus ring needs a colour that differs from the button.
        v.widgets.active.bg_stroke = Stroke::new(2.0, p.text);
        let words = RichText::new(label).font(text::button()).color(p.on_accent);
        ui.add_enabled(enabled, Button::new(words).min_size(vec2(width, 36.0)))
    })
    .inner
}

/// Draws a button beside the main button.
pub(crate) fn secondary_button(ui: &mut Ui, label: &str, width: f32, enabled: bool) -> Response {
    let words = RichText::new(label).font(text::button());
    ui.add_enabled(enabled, Button::new(words).min_size(vec2(width, 36.0)))
}

/// Draws a small button with round ends.
pub(crate) fn chip(ui: &mut Ui, label: &str, selected: bool) -> Response {
    let p = Palette::of(ui);
    let words = RichText::new(label).font(text::small());
    let stroke = Stroke::new(1.0, if selected { p.guided } else { p.outline });
    let button = Button::new(words).corner_radius(CornerRadius::same(12)).stroke(stroke);
    // Added directly to `ui`, because a child `Ui` would not wrap to the next line.
    ui.add(button.wrap_mode(TextWrapMode::Extend))
}

/// Sets the width and spacing of a menu.
pub fn menu(ui: &mut Ui, width: f32) {
    ui.set_min_width(width);
    ui.spacing_mut().item_spacing = vec2(space::XS, space::XS);
    ui.spacing_mut().button_padding = vec2(10.0, 4.0);
}

/// Returns a menu entry for one of several choices.
pub fn choice(ui: &Ui, chosen: bool, name: &str) -> Button<'static> {
    let words = RichText::new(name).color(Palette::of(ui).text);
    Button::selectable(chosen, words)
}

/// Draws a label in a rounded frame.
pub(crate) fn pill(ui: &mut Ui, words: &str) -> Response {
    let p = Palette::of(ui);
    let galley = ui.painter().layout_no_wrap(words.to_owned(), text::small(), p.weak);
    let (rect, response) = ui.allocate_exact_size(galley.size() + vec2(20.0, 8.0), Sense::hover());
    let stroke = Stroke::new(1.0, p.border);
    ui.painter().rect(rect, rect.height() / 2.0, p.inset, stroke, StrokeKind::Inside);
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, p.weak);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    response
}

/// Width of the mark of a legend entry, in points.
const MARK_WIDTH: f32 = 30.0;
/// Width of a legend entry without its name, in points.
pub(crate) const LEGEND_MARK: f32 = MARK_WIDTH + space::L;

/// Draws the legend entry of a column: a button with its mark and, if `named`, its title. `shown`
/// tells whether the column's candidates are shown.
pub(crate) fn legend_entry(
    ui: &mut Ui,
    title: &str,
    named: bool,
    (mark, mark_color): (Mark, Color32),
    shown: bool,
) -> Response {
    let p = Palette::of(ui);
    let color = if shown { p.text } else { p.weak };
    let name = if named { title } else { "" };
    let words = ui.painter().layout_no_wrap(name.to_owned(), text::small(), color);
    let size = vec2(words.size().x + LEGEND_MARK, 24.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    if response.hovered() {
        ui.painter().rect_filled(rect, space::RADIUS, p.hover);
    }
    if response.has_focus() {
        let stroke = Stroke::new(1.5, p.guided);
        ui.painter().rect_stroke(rect, space::RADIUS, stroke, StrokeKind::Inside);
    }
    let left = rect.left_center() + vec2(6.0, 0.0);
    let mark_color = if shown { mark_color } else { mark_color.gamma_multiply(0.35) };
    marker(ui.painter(), left + vec2(MARK_WIDTH / 2.0 - 3.0, 0.0), mark, mark_color);
    let at = left + vec2(MARK_WIDTH, -words.size().y / 2.0);
    let (start, end) = (at.x, at.x + words.size().x);
    ui.painter().galley(at, words, color);
    if !shown {
        ui.painter().hline(start..=end, rect.center().y, Stroke::new(1.0, p.weak));
    }
    let state = if shown { "shown" } else { "hidden" };
    let (enabled, name) = (ui.is_enabled(), format!("Candidates of {title}: {state}"));
    response.widget_info(|| WidgetInfo::selected(Role::Button, enabled, shown, &name));
    response
}

/// Draws a switch with its name on the left.
pub fn switch(ui: &mut Ui, on: &mut bool, name: &str) -> Response {
    let p = Palette::of(ui);
    let words = ui.painter().layout_no_wrap(name.to_owned(), text::body(), p.text);
    let size = vec2(words.size().x + space::S + 36.0, space::ROW);
    let (rect, mut response) = ui.allocate_exact_size(size, Sense::click());
    if response.clicked() {
        *on = !*on;
        response.mark_changed();
    }
    let y = rect.center().y;
    ui.painter().galley(pos2(rect.left(), y - words.size().y / 2.0), words, p.text);
    let track = Rect::from_center_size(pos2(rect.right() - 18.0, y), vec2(36.0, 20.0));
    let fill = if *on { p.accent } else { p.rail };
    ui.painter().rect_filled(track, 10.0, fill);
    if response.has_focus() || response.hovered() {
        let stroke = Stroke::new(if response.has_focus() { 2.0 } else { 1.0 }, p.guided);
        ui.painter().rect_stroke(track, 10.0, stroke, StrokeKind::Outside);
    }
    let handle_x = if *on { track.right() - 10.0 } else { track.left() + 10.0 };
    let color = if *on { p.on_accent } else { p.handle };
    ui.painter().circle_filled(pos2(handle_x, y), 7.0, color);
    let (enabled, state) = (ui.is_enabled(), *on);
    response.widget_info(|| WidgetInfo::selected(Role::Switch, enabled, state, name));
    response
}

/// Draws a few choices next to each other, and returns whether the choice changed. A choice has a
/// value, a name, a tooltip, and a reason if it is disabled. Accessible names start with `group`.
pub(crate) fn segmented<T: PartialEq + Copy>(
    ui: &mut Ui,
    group: &str,
    choices: &[(T, &str, &str, Option<&str>)],
    chosen: &mut T,
) -> bool {
    let p = Palette::of(ui);
    let widths: Vec<f32> = choices
        .iter()
        .map(|c| ui.painter().layout_no_wrap(c.1.to_owned(), text::small(), p.text).size().x + 20.0)
        .collect();
    let size = vec2(widths.iter().sum::<f32>() + 4.0, space::ROW);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    ui.painter().rect(rect, space::RADIUS, p.inset, Stroke::new(1.0, p.border), StrokeKind::Inside);
    let mut left = rect.left() + 2.0;
    let mut changed = false;
    for (&(value, label, hint, disabled_reason), width) in choices.iter().zip(widths) {
        let cell = Rect::from_min_size(pos2(left, rect.top() + 2.0), vec2(width, size.y - 4.0));
        left += width;
        let id = ui.scope_id().with((group, label));
        let name = format!("{group}: {label}");
        let response =
            segment(ui, id, cell, (label, &name), *chosen == value, disabled_reason.is_none());
        if response.clicked() && *chosen != value {
            *chosen = value;
            changed = true;
        }
        match disabled_reason {
            Some(reason) => response.explain_disabled(ui, reason),
            None => response.explain(ui, hint),
        };
    }
    changed
}

fn segment(
    ui: &mut Ui,
    id: Id,
    cell: Rect,
    (label, name): (&str, &str),
    on: bool,
    enabled: bool,
) -> Response {
    let p = Palette::of(ui);
    // A separate child `Ui`, because `segmented` has already allocated the space.
    let ui = &mut ui.new_child(UiBuilder::new().max_rect(cell));
    if !enabled {
        ui.disable();
    }
    let response = ui.interact(cell, id, Sense::click());
    let radius = space::RADIUS - 1;
    if on {
        let stroke = Stroke::new(1.0, p.outline);
        ui.painter().rect(cell, radius, p.surface, stroke, StrokeKind::Inside);
    } else if response.hovered() {
        ui.painter().rect_filled(cell, radius, p.hover);
    }
    if response.has_focus() {
        let stroke = Stroke::new(1.5, p.guided);
        ui.painter().rect_stroke(cell, radius, stroke, StrokeKind::Inside);
    }
    let color = if on { p.text } else { p.weak };
    let words = ui.painter().layout_no_wrap(label.to_owned(), text::small(), color);
    let at = cell.center() - words.size() / 2.0;
    ui.painter().galley(at, words, color);
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, enabled, on, name));
    response
}
