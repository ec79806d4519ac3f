//! One number setting: its name, slider, number box and reset button.

use std::ops::BitOrAssign;

use eframe::egui::{
    Align, DragValue, Label, Layout, Rect, Response, RichText, Sense, Ui, UiBuilder, Vec2, vec2,
};

use super::buttons::{Icon, icon_button};
use super::{Explain, Scale, Slider};
use crate::app::theme::{Palette, space, text};
use crate::format::plain;

const LABEL_WIDTH: f32 = 104.0;
const NUMBER_WIDTH: f32 = 68.0;
const WIDE_NUMBER_WIDTH: f32 = 88.0;
const RESET_WIDTH: f32 = 24.0;

/// The user's change of a setting in this frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edit {
    /// Whether the value changed.
    pub changed: bool,
    /// Whether the change is complete: a slider was released, a number was entered or a key was
    /// pressed.
    pub(crate) committed: bool,
}

impl Edit {
    /// Creates an edit that is committed at once, such as a click.
    pub(crate) fn at_once(changed: bool) -> Self {
        Self { changed, committed: changed }
    }

    /// Reads the edit from the response of a widget.
    pub(crate) fn of(response: &Response) -> Self {
        let is_held = response.is_pointer_button_down_on() || response.dragged();
        let released = response.drag_stopped() || response.clicked();
        let changed = response.changed();
        Self { changed, committed: (changed && !is_held) || released }
    }
}

impl BitOrAssign for Edit {
    fn bitor_assign(&mut self, other: Self) {
        self.changed |= other.changed;
        self.committed |= other.committed;
    }
}

/// A number setting with its limits and texts.
pub(crate) struct Setting<'a> {
    label: &'a str,
    hint: &'a str,
    scale: Scale,
    default: f64,
    origin: Option<f64>,
    marks: &'a [(f64, &'a str)],
    format: fn(f64) -> String,
    parse: fn(&str) -> Option<f64>,
    disabled_reason: Option<&'a str>,
}

impl<'a> Setting<'a> {
    /// Creates a setting named `label`. `hint` is the sentence in its tooltip.
    pub(crate) fn new(label: &'a str, hint: &'a str, scale: Scale, default: f64) -> Self {
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
            disabled_reason: None,
        }
    }

    /// Sets the value at which the slider's fill starts.
    pub(crate) fn origin(mut self, origin: f64) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Sets the marked values and their captions. A setting with marks has a slider of full width.
    pub(crate) fn marks(mut self, marks: &'a [(f64, &'a str)]) -> Self {
        self.marks = marks;
        self
    }

    /// Sets the functions that format and parse the number.
    pub(crate) fn number_format(
        mut self,
        format: fn(f64) -> String,
        parse: fn(&str) -> Option<f64>,
    ) -> Self {
        self.format = format;
        self.parse = parse;
        self
    }

    /// Disables the setting and shows the reason on hover, if there is one.
    pub(crate) fn disabled_reason(mut self, reason: Option<&'a str>) -> Self {
        self.disabled_reason = reason;
        self
    }

    pub(crate) fn show(self, ui: &mut Ui, value: &mut f64) -> Edit {
        let wide = !self.marks.is_empty();
        let rects = Rects::of(ui, wide);
        let name = self.within(ui, rects.name, |ui| self.name(ui));
        let mut edit =
            self.within(ui, rects.slider, |ui| self.slider(ui, value, rects.slider.width()));
        edit |= self.within(ui, rects.reset, |ui| self.reset(ui, value));
        edit |=
            self.within(ui, rects.number, |ui| self.number(ui, value, rects.number.size(), &name));
        edit
    }

    fn within<R>(&self, ui: &mut Ui, rect: Rect, add: impl FnOnce(&mut Ui) -> R) -> R {
        within(ui, rect, |ui| {
            if self.disabled_reason.is_some() {
                ui.disable();
            }
            add(ui)
        })
    }

    fn name(&self, ui: &mut Ui) -> Response {
        let words = RichText::new(self.label).font(text::body());
        let response = ui.add(Label::new(words).selectable(false));
        self.explain(ui, response)
    }

    fn slider(&self, ui: &mut Ui, value: &mut f64, width: f32) -> Edit {
        let origin = self.origin.unwrap_or(self.scale.ends().0);
        let slider = Slider::new(value, self.label, self.scale, width).origin(origin);
        let response = ui.add(slider.marks(self.marks));
        let response = self.explain(ui, response);
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
        // A click only opens the box for typing and commits nothing.
        let edit = Edit::of(&response);
        let response = self.explain(ui, response);
        let entered = response.changed() && !response.dragged();
        Edit { committed: entered || response.drag_stopped(), ..edit }
    }

    fn reset(&self, ui: &mut Ui, value: &mut f64) -> Edit {
        if *value == self.default || self.disabled_reason.is_some() {
            return Edit::default();
        }
        let name = format!("Reset {} to {}", self.label, (self.format)(self.default));
        let clicked = icon_button(ui, Icon::Reset, &name).clicked();
        if clicked {
            *value = self.default;
        }
        Edit::at_once(clicked)
    }

    fn explain(&self, ui: &Ui, response: Response) -> Response {
        match self.disabled_reason {
            Some(reason) => response.explain_disabled(ui, reason),
            None => response.explain_ui(ui, |ui| {
                ui.label(self.hint);
                let weak = Palette::of(ui).weak;
                let default =
                    format!("Default {}. Double-click to reset.", (self.format)(self.default));
                ui.label(RichText::new(default).font(text::small()).color(weak));
            }),
        }
    }
}

/// The rectangles of the parts of a setting. The number boxes are aligned at the right edge.
struct Rects {
    name: Rect,
    slider: Rect,
    reset: Rect,
    number: Rect,
}

impl Rects {
    /// Lays out one row, or with `wide` two rows with the slider in the second.
    fn of(ui: &mut Ui, wide: bool) -> Self {
        let width = ui.available_width();
        let height = if wide { space::ROW + Slider::MARKED } else { space::ROW };
        let (all, _) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
        let row = all.with_max_y(all.top() + space::ROW);
        let number_width = if wide { WIDE_NUMBER_WIDTH } else { NUMBER_WIDTH };
        let number = row.with_min_x(row.right() - number_width).shrink2(vec2(0.0, 1.0));
        let reset = row.with_max_x(number.left() - space::XS);
        let reset = reset.with_min_x(reset.right() - RESET_WIDTH);
        let (name, slider) = if wide {
            (row.with_max_x(reset.left()), all.with_min_y(row.bottom()))
        } else {
            let name = row.with_max_x(row.left() + LABEL_WIDTH);
            let slider =
                row.with_min_x(name.right() + space::S).with_max_x(reset.left() - space::XS);
            (name, slider)
        };
        Self { name, slider, reset, number }
    }
}

/// Adds widgets inside `rect`, from left to right and centred vertically.
pub fn within<R>(ui: &mut Ui, rect: Rect, add: impl FnOnce(&mut Ui) -> R) -> R {
    let layout = Layout::left_to_right(Align::Center);
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect).layout(layout));
    add(&mut child)
}
