//! A slider with its own scale, with marks, and with a fill that starts at the "off" value.
//!
//! egui's slider has no marks and fills from the left end. But β deviates from 0 in both
//! directions, and λ ends at infinity.

use eframe::egui::{
    self, Align2, EventFilter, Key, Rect, Response, Sense, Stroke, Ui, Widget, WidgetInfo,
    accesskit, pos2, vec2,
};

use super::scale::Scale;
use crate::app::theme::{Palette, text};

/// Radius of the handle, in points.
const HANDLE_RADIUS: f32 = 7.0;
/// Height of the rail, in points.
const RAIL_HEIGHT: f32 = 4.0;
/// Height of the slider without captions, in points.
const BAR_HEIGHT: f32 = 24.0;
/// Height of the captions, in points.
const CAPTION_HEIGHT: f32 = 14.0;

/// A slider. It changes the value while it is dragged; [`Edit`](super::Edit) tells when a change is
/// committed.
pub struct Slider<'a> {
    value: &'a mut f64,
    label: &'a str,
    scale: Scale,
    origin: f64,
    marks: &'a [(f64, &'a str)],
    width: f32,
}

impl<'a> Slider<'a> {
    /// Height of a slider with captions, in points.
    pub(crate) const MARKED: f32 = BAR_HEIGHT + CAPTION_HEIGHT;

    /// Creates a slider with the accessible name `label`.
    pub fn new(value: &'a mut f64, label: &'a str, scale: Scale, width: f32) -> Self {
        let origin = scale.ends().0;
        Self { value, label, scale, origin, marks: &[], width }
    }

    /// Sets the value at which the fill starts: the value without effect.
    pub fn origin(mut self, origin: f64) -> Self {
        self.origin = origin;
        self
    }

    /// Sets the values that are marked, each with a caption.
    pub(crate) fn marks(mut self, marks: &'a [(f64, &'a str)]) -> Self {
        self.marks = marks;
        self
    }

    fn interact(&mut self, ui: &Ui, response: &mut Response, span: (f32, f32)) {
        let mut value = *self.value;
        if let Some(at) = response.interact_pointer_pos()
            && response.is_pointer_button_down_on()
            && ui.input(|i| i.pointer.primary_down())
        {
            value = self.scale.value(f64::from((at.x - span.0) / (span.1 - span.0)));
        }
        let steps = key_steps(ui, response);
        if steps != 0.0 {
            value = self.scale.stepped(value, steps);
        }
        if let Some(requested) = requested_value(ui, response.id) {
            let (low, high) = self.scale.ends();
            value = requested.clamp(low, high);
        }
        if value != *self.value {
            *self.value = value;
            response.mark_changed();
        }
    }

    fn paint(&self, ui: &Ui, response: &Response, rect: Rect, span: (f32, f32)) {
        let p = Palette::of(ui);
        let painter = ui.painter();
        let x = |value: f64| egui::lerp(span.0..=span.1, self.scale.position(value) as f32);
        let y = rect.top() + BAR_HEIGHT / 2.0;
        let bar = |from: f32, to: f32| {
            Rect::from_min_max(
                pos2(from.min(to), y - RAIL_HEIGHT / 2.0),
                pos2(from.max(to), y + RAIL_HEIGHT / 2.0),
            )
        };
        painter.rect_filled(bar(span.0, span.1), RAIL_HEIGHT / 2.0, p.rail);
        for &(value, _) in self.marks {
            let top = pos2(x(value), y - 7.0);
            painter.line_segment([top, top + vec2(0.0, 14.0)], Stroke::new(1.5, p.outline));
        }
        self.captions(ui, rect, x);
        let at = x(*self.value);
        let fill = if ui.is_enabled() { p.guided } else { p.weak };
        painter.rect_filled(bar(x(self.origin), at), RAIL_HEIGHT / 2.0, fill);
        let is_active = response.hovered() || response.dragged() || response.has_focus();
        if response.has_focus() {
            painter.circle_filled(pos2(at, y), HANDLE_RADIUS + 4.0, p.selection);
        }
        let stroke = Stroke::new(if is_active { 3.0 } else { 2.0 }, fill);
        painter.circle(pos2(at, y), HANDLE_RADIUS, p.handle, stroke);
    }

    /// Draws the captions of the marks, those of both ends first. Leaves out a caption that would
    /// touch another one.
    fn captions(&self, ui: &Ui, rect: Rect, x: impl Fn(f64) -> f32) {
        let color = Palette::of(ui).weak;
        let ends = self.marks.first().into_iter().chain(self.marks.last());
        let inner = self.marks.get(1..self.marks.len().saturating_sub(1)).unwrap_or_default();
        let mut drawn: Vec<Rect> = Vec::new();
        for &(value, caption) in ends.chain(inner) {
            let galley = ui.painter().layout_no_wrap(caption.to_owned(), text::small(), color);
            let at = pos2(x(value), rect.bottom());
            let placed = Align2::CENTER_BOTTOM.anchor_size(at, galley.size());
            // Keeps the captions of both ends inside the slider.
            let shift =
                (rect.left() - placed.left()).max(0.0) - (placed.right() - rect.right()).max(0.0);
            let placed = placed.translate(vec2(shift, 0.0));
            if drawn.iter().all(|other| !other.expand(2.0).intersects(placed)) {
                ui.painter().galley(placed.min, galley, color);
                drawn.push(placed);
            }
        }
    }

    fn describe(&self, ui: &Ui, response: &Response) {
        let (value, enabled) = (*self.value, ui.is_enabled());
        response.widget_info(|| WidgetInfo::slider(enabled, value, self.label));
        let (low, high) = self.scale.ends();
        ui.ctx().accesskit_node_builder(response.id, |node| {
            node.set_min_numeric_value(low);
            node.set_max_numeric_value(high);
            for action in [
                accesskit::Action::SetValue,
                accesskit::Action::Increment,
                accesskit::Action::Decrement,
            ] {
                node.add_action(action);
            }
        });
    }
}

impl Widget for Slider<'_> {
    fn ui(mut self, ui: &mut Ui) -> Response {
        let captions = if self.marks.is_empty() { 0.0 } else { CAPTION_HEIGHT };
        let size = vec2(self.width, BAR_HEIGHT + captions);
        let (rect, mut response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        let span = (rect.left() + HANDLE_RADIUS + 2.0, rect.right() - HANDLE_RADIUS - 2.0);
        self.interact(ui, &mut response, span);
        if ui.is_rect_visible(rect) {
            self.paint(ui, &response, rect, span);
        }
        self.describe(ui, &response);
        response
    }
}

/// Returns the steps requested by keys and screen readers.
fn key_steps(ui: &Ui, response: &Response) -> f64 {
    let mut steps = 0.0;
    if response.has_focus() {
        let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|m| m.set_focus_lock_filter(response.id, filter));
        ui.input(|i| {
            steps += i.num_presses(Key::ArrowRight) as f64 - i.num_presses(Key::ArrowLeft) as f64;
            steps +=
                10.0 * (i.num_presses(Key::PageUp) as f64 - i.num_presses(Key::PageDown) as f64);
        });
    }
    ui.input(|i| {
        steps + i.num_accesskit_action_requests(response.id, accesskit::Action::Increment) as f64
            - i.num_accesskit_action_requests(response.id, accesskit::Action::Decrement) as f64
    })
}

/// Returns the value requested by a screen reader.
fn requested_value(ui: &Ui, id: egui::Id) -> Option<f64> {
    ui.input(|i| {
        let requests = i.accesskit_action_requests(id, accesskit::Action::SetValue);
        let numbers = requests.filter_map(|request| match &request.data {
            Some(accesskit::ActionData::NumericValue(value)) => Some(*value),
            _ => None,
        });
        numbers.last().filter(|v| !v.is_nan())
    })
}
