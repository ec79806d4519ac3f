//! One setting: its name, its rail, its number box and its way back to the default.

use std::ops::BitOrAssign;

use eframe::egui::{
    Align, DragValue, Label, Layout, Rect, Response, RichText, Sense, Ui, UiBuilder, Vec2, vec2,
};

use super::buttons::{Icon, icon_button};
use super::{Rail, Scale};
use crate::app::theme::{Palette, space, text};
use crate::words::plain;

const LABEL: f32 = 104.0;
const NUMBER: f32 = 68.0;
const WIDE_NUMBER: f32 = 88.0;
const RESET: f32 = 24.0;

/// What a person did to a setting in this frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edit {
    /// The value moved.
    pub changed: bool,
    /// The value is meant: a slider was let go, a number was entered, a key was pressed.
    pub committed: bool,
}

impl Edit {
    /// A change in one go, such as a click.
    pub fn at_once(changed: bool) -> Self {
        Self { changed, committed: changed }
    }

    /// What `response` says about the value it edits.
    fn of(response: &Response) -> Self {
        let holding = response.is_pointer_button_down_on() || response.dragged();
        let released = response.drag_stopped() || response.clicked();
        let changed = response.changed();
        Self { changed, committed: (changed && !holding) || released }
    }
}

impl BitOrAssign for Edit {
    fn bitor_assign(&mut self, other: Self) {
        self.changed |= other.changed;
        self.committed |= other.committed;
    }
}

/// How to show a number setting. Built by the controls panel, from the limits in
/// [`crate::guidance::settings`].
pub struct Setting<'a> {
    label: &'a str,
    hint: &'a str,
    scale: Scale,
    default: f64,
    origin: Option<f64>,
    marks: &'a [(f64, &'a str)],
    format: fn(f64) -> String,
    parse: fn(&str) -> Option<f64>,
    why_not: Option<&'a str>,
}

impl<'a> Setting<'a> {
    /// A setting named `label`, explained by one sentence.
    pub fn new(label: &'a str, hint: &'a str, scale: Scale, default: f64) -> Self {
        let origin = None;
        Self {
            label,
            hint,
            scale,
            default,
            origin,
            marks: &[],
            format: plain,
            parse: |text| text.trim().parse().ok(),
            why_not: None,
        }
    }

    /// Where the rail's fill begins.
    pub fn origin(mut self, origin: f64) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Marks with captions; a setting that has some gets a rail of full width.
    pub fn marks(mut self, marks: &'a [(f64, &'a str)]) -> Self {
        self.marks = marks;
        self
    }

    /// How the number is written and read.
    pub fn words(mut self, format: fn(f64) -> String, parse: fn(&str) -> Option<f64>) -> Self {
        self.format = format;
        self.parse = parse;
        self
    }

    /// Why the setting cannot apply now, if so.
    pub fn why_not(mut self, reason: Option<&'a str>) -> Self {
        self.why_not = reason;
        self
    }

    /// Shows it.
    pub fn show(self, ui: &mut Ui, value: &mut f64) -> Edit {
        let wide = !self.marks.is_empty();
        let places = Places::of(ui, wide);
        let name = self.within(ui, places.name, |ui| self.name(ui));
        let mut edit = self.within(ui, places.rail, |ui| self.rail(ui, value, places.rail.width()));
        edit |= self.within(ui, places.reset, |ui| self.reset(ui, value));
        edit |= self
            .within(ui, places.number, |ui| self.number(ui, value, places.number.size(), &name));
        edit
    }

    fn within<R>(&self, ui: &mut Ui, place: Rect, add: impl FnOnce(&mut Ui) -> R) -> R {
        within(ui, place, |ui| {
            if self.why_not.is_some() {
                ui.disable();
            }
            add(ui)
        })
    }

    fn name(&self, ui: &mut Ui) -> Response {
        let words = RichText::new(self.label).font(text::body());
        self.explain(ui.add(Label::new(words).selectable(false)))
    }

    fn rail(&self, ui: &mut Ui, value: &mut f64, width: f32) -> Edit {
        let origin = self.origin.unwrap_or(self.scale.ends().0);
        let rail = Rail::new(value, self.label, self.scale, width).origin(origin);
        let response = self.explain(ui.add(rail.marks(self.marks)));
        let edit = Edit::of(&response);
        if response.double_clicked() {
            *value = self.default;
            return Edit::at_once(true);
        }
        edit
    }

    fn number(&self, ui: &mut Ui, value: &mut f64, size: Vec2, name: &Response) -> Edit {
        let (low, high) = self.scale.ends();
        let speed = match self.scale {
            Scale::Linear { step, .. } => step / 2.0,
            Scale::Decades { .. } if value.is_finite() => value.abs().max(1.0) / 100.0,
            Scale::Decades { .. } => 0.0,
        };
        let format = self.format;
        let number = DragValue::new(value)
            .range(low..=high)
            .speed(speed)
            .custom_formatter(move |v, _| format(v))
            .custom_parser(self.parse)
            .update_while_editing(false)
            .clip_text(true)
            .min_size(size);
        let response = ui.add_sized(size, number).labelled_by(name.id);
        // A click opens the box for typing and means no value yet.
        let edit = Edit::of(&response);
        let response = self.explain(response);
        let entered = response.changed() && !response.dragged();
        Edit { committed: entered || response.drag_stopped(), ..edit }
    }

    fn reset(&self, ui: &mut Ui, value: &mut f64) -> Edit {
        if *value == self.default || self.why_not.is_some() {
            return Edit::default();
        }
        let name = format!("Reset {} to {}", self.label, (self.format)(self.default));
        let clicked = icon_button(ui, Icon::Reset, &name).clicked();
        if clicked {
            *value = self.default;
        }
        Edit::at_once(clicked)
    }

    fn explain(&self, response: Response) -> Response {
        match self.why_not {
            Some(reason) => response.on_disabled_hover_text(reason),
            None => response.on_hover_ui(|ui| {
                ui.label(self.hint);
                let weak = Palette::of(ui).weak;
                let default =
                    format!("Default {}; double-click to reset.", (self.format)(self.default));
                ui.label(RichText::new(default).font(text::small()).color(weak));
            }),
        }
    }
}

/// Where the parts of a setting stand. Numbers end at the right edge, below one another.
struct Places {
    name: Rect,
    rail: Rect,
    reset: Rect,
    number: Rect,
}

impl Places {
    /// In one line, or in two with a rail of full width below.
    fn of(ui: &mut Ui, wide: bool) -> Self {
        let width = ui.available_width();
        let height = if wide { space::ROW + Rail::MARKED } else { space::ROW };
        let (all, _) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
        let row = all.with_max_y(all.top() + space::ROW);
        let number_width = if wide { WIDE_NUMBER } else { NUMBER };
        let number = row.with_min_x(row.right() - number_width).shrink2(vec2(0.0, 1.0));
        let reset = row.with_max_x(number.left() - space::XS);
        let reset = reset.with_min_x(reset.right() - RESET);
        let (name, rail) = if wide {
            (row.with_max_x(reset.left()), all.with_min_y(row.bottom()))
        } else {
            let name = row.with_max_x(row.left() + LABEL);
            let rail = row.with_min_x(name.right() + space::S).with_max_x(reset.left() - space::XS);
            (name, rail)
        };
        Self { name, rail, reset, number }
    }
}

/// Adds something in a place of its own, centred in height.
pub fn within<R>(ui: &mut Ui, place: Rect, add: impl FnOnce(&mut Ui) -> R) -> R {
    let layout = Layout::left_to_right(Align::Center);
    let mut child = ui.new_child(UiBuilder::new().max_rect(place).layout(layout));
    add(&mut child)
}
