//! How a person looks at the plot: which part of it, and whose candidates.

use eframe::egui::{CursorIcon, PointerButton, Pos2, Rect, Response, Stroke, StrokeKind, Ui, Vec2};
use egui_plot::{PlotBounds, PlotTransform};

use super::theme::Palette;
use crate::guidance::settings::limits;

/// Most columns there are.
const COLUMNS: usize = *limits::COLUMNS.end();
/// A box smaller than this, in points, is a slip of the hand.
const LEAST_BOX: f32 = 6.0;
/// The smallest share of the whole plot that can be looked at.
const CLOSEST: f64 = 1e-3;

/// The part of the plot that is shown, and the columns whose candidates are not.
#[derive(Debug, Default)]
pub struct PlotView {
    /// What is shown; none for everything.
    zoom: Option<PlotBounds>,
    /// Where a box is being drawn from.
    box_from: Option<Pos2>,
    hidden: [bool; COLUMNS],
}

impl PlotView {
    /// Whether a column's candidates are shown beside its answer.
    pub fn shows(&self, slot: usize) -> bool {
        !self.hidden.get(slot).copied().unwrap_or(false)
    }

    /// Hides a column's candidates, or shows them again.
    pub fn toggle(&mut self, slot: usize) {
        if let Some(hidden) = self.hidden.get_mut(slot) {
            *hidden = !*hidden;
        }
    }

    /// Shows the candidates of all columns: they are others now.
    pub fn show_all(&mut self) {
        self.hidden = Default::default();
    }

    /// Shows the whole plot.
    pub fn reset(&mut self) {
        (self.zoom, self.box_from) = (None, None);
    }

    /// Whether only a part is shown.
    pub fn is_zoomed(&self) -> bool {
        self.zoom.is_some()
    }

    /// What is shown of a plot that has all of `whole`.
    pub fn bounds(&self, whole: PlotBounds) -> PlotBounds {
        self.zoom.unwrap_or(whole)
    }

    /// Ctrl with the wheel and a box that is drawn go closer, a drag moves what is close, a
    /// double-click leads back. The plain wheel does nothing here.
    pub fn steer(
        &mut self,
        ui: &Ui,
        response: &Response,
        transform: &PlotTransform,
        whole: PlotBounds,
    ) {
        if response.double_clicked() {
            return self.reset();
        }
        let factor = ui.input(|i| i.zoom_delta());
        if let Some(pointer) = response.hover_pos().filter(|_| factor != 1.0) {
            let mut closer = *transform;
            closer.zoom(Vec2::splat(factor), pointer);
            return self.look_at(*closer.bounds(), whole);
        }
        let boxing = response.dragged_by(PointerButton::Secondary)
            || (response.dragged_by(PointerButton::Primary) && !self.is_zoomed());
        if response.drag_started() && boxing {
            self.box_from = ui.input(|i| i.pointer.press_origin());
        }
        let pointer = ui.input(|i| i.pointer.latest_pos());
        if let Some((from, to)) = self.box_from.zip(pointer) {
            self.draw_box(ui, response, transform, Rect::from_two_pos(from, to), whole);
        } else if self.is_zoomed() && response.dragged_by(PointerButton::Primary) {
            ui.set_cursor_icon(CursorIcon::Grabbing);
            let delta = -response.drag_delta();
            let mut moved = *transform;
            moved.translate_bounds((f64::from(delta.x), f64::from(delta.y)));
            self.zoom = Some(*moved.bounds());
        }
    }

    fn draw_box(
        &mut self,
        ui: &Ui,
        response: &Response,
        transform: &PlotTransform,
        drawn: Rect,
        whole: PlotBounds,
    ) {
        let drawn = drawn.intersect(*transform.frame());
        if response.drag_stopped() {
            self.box_from = None;
            if drawn.width().min(drawn.height()) >= LEAST_BOX {
                let low = transform.value_from_position(drawn.left_bottom());
                let high = transform.value_from_position(drawn.right_top());
                let bounds = PlotBounds::from_min_max([low.x, low.y], [high.x, high.y]);
                self.look_at(bounds, whole);
            }
        } else if response.dragged() {
            let p = Palette::of(ui);
            let stroke = Stroke::new(1.5, p.guided);
            let painter = ui.painter().with_clip_rect(*transform.frame());
            painter.rect(drawn, 0.0, p.guided.gamma_multiply(0.1), stroke, StrokeKind::Inside);
        } else {
            // The button came up elsewhere.
            self.box_from = None;
        }
    }

    /// Everything is the most there is to see.
    fn look_at(&mut self, bounds: PlotBounds, whole: PlotBounds) {
        let share = (bounds.width() / whole.width()).min(bounds.height() / whole.height());
        if bounds.width() >= whole.width() || bounds.height() >= whole.height() {
            self.zoom = None;
        } else if share >= CLOSEST {
            self.zoom = Some(bounds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_closer_than_a_thousandth_or_farther_than_everything() {
        let whole = PlotBounds::from_min_max([0.0, -1.0], [50.0, 1.0]);
        let part = PlotBounds::from_min_max([10.0, 0.0], [20.0, 0.5]);
        let mut view = PlotView::default();
        view.look_at(part, whole);
        assert_eq!((view.bounds(whole), view.is_zoomed()), (part, true));
        view.look_at(PlotBounds::from_min_max([10.0, 0.0], [10.01, 0.5]), whole);
        assert_eq!(view.bounds(whole), part, "too close");
        view.look_at(PlotBounds::from_min_max([-10.0, -2.0], [60.0, 2.0]), whole);
        assert_eq!((view.bounds(whole), view.is_zoomed()), (whole, false));
    }

    #[test]
    fn candidates_are_hidden_column_by_column() {
        let mut view = PlotView::default();
        view.toggle(1);
        assert_eq!([0, 1, 2, 3].map(|slot| view.shows(slot)), [true, false, true, true]);
        view.show_all();
        assert!(view.shows(1));
    }
}
