//! Buttons, switches and icons.

use std::f32::consts::TAU;

use eframe::egui::{
    Button, Color32, CornerRadius, Id, Painter, Pos2, Rect, Response, RichText, Role, Sense, Shape,
    Stroke, StrokeKind, TextWrapMode, Ui, UiBuilder, WidgetInfo, pos2, vec2,
};

use super::marker::{Mark, marker};
use crate::app::theme::{Palette, space, text};

/// Drawn, not typed: no font has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// Back to the default.
    Reset,
    /// Draw another number.
    Dice,
    /// Take away.
    Close,
    /// A menu with more.
    More,
    /// Make a panel small.
    Fold,
    /// Make it large again.
    Unfold,
}

/// A small button that shows an icon and is called `name`.
pub fn icon_button(ui: &mut Ui, icon: Icon, name: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(24.0, 24.0), Sense::click());
    let p = Palette::of(ui);
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, space::RADIUS, p.hover);
    }
    if response.has_focus() {
        let stroke = Stroke::new(1.5, p.guided);
        ui.painter().rect_stroke(rect, space::RADIUS, stroke, StrokeKind::Inside);
    }
    let ink = if icon == Icon::Close { p.danger } else { p.weak };
    icon.paint(ui.painter(), rect.center(), if response.hovered() { p.text } else { ink });
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, name));
    response.on_hover_text(name)
}

impl Icon {
    fn paint(self, painter: &Painter, at: Pos2, ink: Color32) {
        let stroke = Stroke::new(1.6, ink);
        match self {
            Icon::Close => {
                for flip in [1.0, -1.0] {
                    let arm = vec2(4.5, 4.5 * flip);
                    painter.line_segment([at - arm, at + arm], stroke);
                }
            }
            Icon::Reset => {
                // From the top clockwise to the left, the head pointing back against the clock.
                let point = |turn: f32| at + 5.0 * vec2((turn * TAU).cos(), (turn * TAU).sin());
                let arc = (0..=20).map(|i| point(-0.27 + 0.77 * i as f32 / 20.0)).collect();
                painter.add(Shape::line(arc, stroke));
                let base = point(-0.27);
                let head = [vec2(-4.5, 0.2), vec2(0.8, -3.4), vec2(0.8, 3.4)];
                let head = head.map(|d| base + d).to_vec();
                painter.add(Shape::convex_polygon(head, ink, Stroke::NONE));
            }
            Icon::More => {
                for step in [-1.0, 0.0, 1.0] {
                    painter.circle_filled(at + vec2(5.0 * step, 0.0), 1.7, ink);
                }
            }
            Icon::Fold | Icon::Unfold => {
                let up = if self == Icon::Unfold { -1.0 } else { 1.0 };
                let tip = at + vec2(0.0, 2.5 * up);
                let ends = [-5.0, 5.0].map(|x| at + vec2(x, -2.5 * up));
                painter.add(Shape::line(vec![ends[0], tip, ends[1]], stroke));
            }
            Icon::Dice => {
                let face = Rect::from_center_size(at, vec2(15.0, 15.0));
                painter.rect_stroke(face, 3.5, stroke, StrokeKind::Inside);
                for (x, y) in [(-1.0, -1.0), (1.0, -1.0), (0.0, 0.0), (-1.0, 1.0), (1.0, 1.0)] {
                    painter.circle_filled(at + vec2(3.4 * x, 3.4 * y), 1.3, ink);
                }
            }
        }
    }
}

/// The one button that matters most.
pub fn primary_button(ui: &mut Ui, label: &str, width: f32, enabled: bool) -> Response {
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
        // The ring of focus cannot be the button's own colour.
        v.widgets.active.bg_stroke = Stroke::new(2.0, p.text);
        let words = RichText::new(label).font(text::button()).color(p.on_accent);
        ui.add_enabled(enabled, Button::new(words).min_size(vec2(width, 36.0)))
    })
    .inner
}

/// A button beside the main one.
pub fn secondary_button(ui: &mut Ui, label: &str, width: f32, enabled: bool) -> Response {
    let words = RichText::new(label).font(text::button());
    ui.add_enabled(enabled, Button::new(words).min_size(vec2(width, 36.0)))
}

/// A small round-ended button.
pub fn chip(ui: &mut Ui, label: &str, selected: bool) -> Response {
    let p = Palette::of(ui);
    let words = RichText::new(label).font(text::small());
    let stroke = Stroke::new(1.0, if selected { p.guided } else { p.outline });
    let button = Button::new(words).corner_radius(CornerRadius::same(12)).stroke(stroke);
    // Straight into `ui`: a child of its own would never wrap to the next line.
    ui.add(button.wrap_mode(TextWrapMode::Extend))
}

/// Prepares the inside of a menu.
pub fn menu(ui: &mut Ui, width: f32) {
    ui.set_min_width(width);
    ui.spacing_mut().item_spacing = vec2(space::XS, space::XS);
    ui.spacing_mut().button_padding = vec2(10.0, 4.0);
}

/// An entry of a menu that is one of several choices.
pub fn choice(ui: &Ui, chosen: bool, name: &str) -> Button<'static> {
    let words = RichText::new(name).color(Palette::of(ui).text);
    Button::selectable(chosen, words)
}

/// A word in a rounded frame, not to be clicked.
pub fn pill(ui: &mut Ui, words: &str) -> Response {
    let p = Palette::of(ui);
    let galley = ui.painter().layout_no_wrap(words.to_owned(), text::small(), p.weak);
    let (rect, response) = ui.allocate_exact_size(galley.size() + vec2(20.0, 8.0), Sense::hover());
    let stroke = Stroke::new(1.0, p.border);
    ui.painter().rect(rect, rect.height() / 2.0, p.inset, stroke, StrokeKind::Inside);
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, p.weak);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    response
}

/// Room for the mark of an entry of a legend.
const MARK: f32 = 30.0;
/// What an entry of a legend takes beside its name.
pub const LEGEND_MARK: f32 = MARK + space::L;

/// A column's entry in a legend: its mark and its title, a button that shows and hides its
/// candidates.
pub fn legend_entry(
    ui: &mut Ui,
    title: &str,
    named: bool,
    (mark, ink): (Mark, Color32),
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
    let ink = if shown { ink } else { ink.gamma_multiply(0.35) };
    marker(ui.painter(), left + vec2(MARK / 2.0 - 3.0, 0.0), mark, ink);
    let at = left + vec2(MARK, -words.size().y / 2.0);
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

/// A switch with its name to the left.
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
    let knob = if *on { track.right() - 10.0 } else { track.left() + 10.0 };
    let ink = if *on { p.on_accent } else { p.handle };
    ui.painter().circle_filled(pos2(knob, y), 7.0, ink);
    let (enabled, state) = (ui.is_enabled(), *on);
    response.widget_info(|| WidgetInfo::selected(Role::Switch, enabled, state, name));
    response
}

/// One of a few choices, side by side. Every choice comes with its name, a sentence about it,
/// and the reason why it cannot be taken, if there is one.
pub fn segmented<T: PartialEq + Copy>(
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
    for (&(value, label, hint, why_not), width) in choices.iter().zip(widths) {
        let cell = Rect::from_min_size(pos2(left, rect.top() + 2.0), vec2(width, size.y - 4.0));
        left += width;
        let id = ui.scope_id().with((group, label));
        let name = format!("{group}: {label}");
        let response = segment(ui, id, cell, (label, &name), *chosen == value, why_not.is_none());
        if response.clicked() && *chosen != value {
            *chosen = value;
            changed = true;
        }
        match why_not {
            Some(reason) => response.on_disabled_hover_text(reason),
            None => response.on_hover_text(hint),
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
    // A child of its own that takes no part in the layout: the group has its place already.
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
    let ink = if on { p.text } else { p.weak };
    let words = ui.painter().layout_no_wrap(label.to_owned(), text::small(), ink);
    let at = cell.center() - words.size() / 2.0;
    ui.painter().galley(at, words, ink);
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, enabled, on, name));
    response
}
