//! The view of the plot: zoom, and the columns whose candidates are hidden.

use eframe::egui::{CursorIcon, PointerButton, Pos2, Rect, Response, Stroke, StrokeKind, Ui, Vec2};
use egui_plot::{PlotBounds, PlotTransform};

use crate::app::theme::Palette;
use crate::guidance::settings::limits;

const MAX_COLUMNS: usize = *limits::COLUMNS.end();
/// Minimum width and height of a zoom box, in points. Smaller boxes are ignored as accidental.
const MIN_BOX_SIZE: f32 = 6.0;
/// Minimum visible share of the whole plot.
const MIN_VISIBLE_SHARE: f64 = 1e-3;

#[derive(Debug, Default)]
pub(crate) struct PlotView {
    /// The visible part. `None` if the whole plot is visible.
    zoom: Option<PlotBounds>,
    /// First corner of the zoom box that is being drawn.
    box_start: Option<Pos2>,
    hidden: [bool; MAX_COLUMNS],
}

impl PlotView {
    /// Returns whether a column shows all its candidates, not only those of its response.
    pub(crate) fn shows(&self, column: usize) -> bool {
        !self.hidden.get(column).copied().unwrap_or(false)
    }

    /// Shows or hides a column's candidates.
    pub(crate) fn toggle(&mut self, column: usize) {
        if let Some(hidden) = self.hidden.get_mut(column) {
            *hidden = !*hidden;
        }
    }

    /// Shows the candidates of all columns, after the columns have changed.
    pub(crate) fn show_all(&mut self) {
        self.hidden = Default::default();
    }

    /// Zooms out to the whole plot.
    pub(crate) fn reset(&mut self) {
        (self.zoom, self.box_start) = (None, None);
    }

    pub(crate) fn is_zoomed(&self) -> bool {
        self.zoom.is_some()
    }

    /// Returns the visible part of a plot with the bounds `whole`.
    pub(crate) fn bounds(&self, whole: PlotBounds) -> PlotBounds {
        self.zoom.unwrap_or(whole)
    }

    /// Handles the pointer. Ctrl and wheel, or a drawn box, zoom in. A drag moves a zoomed plot. A
    /// double-click shows the whole plot. The wheel alone does nothing.
    pub(crate) fn handle_pointer(
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
            let mut zoomed = *transform;
            zoomed.zoom(Vec2::splat(factor), pointer);
            return self.zoom_to(*zoomed.bounds(), whole);
        }
        let boxing = response.dragged_by(PointerButton::Secondary)
            || (response.dragged_by(PointerButton::Primary) && !self.is_zoomed());
        if response.drag_started() && boxing {
            self.box_start = ui.input(|i| i.pointer.press_origin());
        }
        let pointer = ui.input(|i| i.pointer.latest_pos());
        if let Some((from, to)) = self.box_start.zip(pointer) {
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
            self.box_start = None;
            if drawn.width().min(drawn.height()) >= MIN_BOX_SIZE {
                let low = transform.value_from_position(drawn.left_bottom());
                let high = transform.value_from_position(drawn.right_top());
                let bounds = PlotBounds::from_min_max([low.x, low.y], [high.x, high.y]);
                self.zoom_to(bounds, whole);
            }
        } else if response.dragged() {
            let p = Palette::of(ui);
            let stroke = Stroke::new(1.5, p.guided);
            let painter = ui.painter().with_clip_rect(*transform.frame());
            painter.rect(drawn, 0.0, p.guided.gamma_multiply(0.1), stroke, StrokeKind::Inside);
        } else {
            // The button was released outside the plot.
            self.box_start = None;
        }
    }

    /// Zooms to `bounds`, between the whole plot and [`MIN_VISIBLE_SHARE`] of it.
    fn zoom_to(&mut self, bounds: PlotBounds, whole: PlotBounds) {
        let share = (bounds.width() / whole.width()).min(bounds.height() / whole.height());
        if bounds.width() >= whole.width() || bounds.height() >= whole.height() {
            self.zoom = None;
        } else if share >= MIN_VISIBLE_SHARE {
            self.zoom = Some(bounds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zoom_stays_between_a_thousandth_and_the_whole_plot() {
        let whole = PlotBounds::from_min_max([0.0, -1.0], [50.0, 1.0]);
        let part = PlotBounds::from_min_max([10.0, 0.0], [20.0, 0.5]);
        let mut view = PlotView::default();
        view.zoom_to(part, whole);
        assert_eq!((view.bounds(whole), view.is_zoomed()), (part, true));
        view.zoom_to(PlotBounds::from_min_max([10.0, 0.0], [10.01, 0.5]), whole);
        assert_eq!(view.bounds(whole), part, "too close");
        view.zoom_to(PlotBounds::from_min_max([-10.0, -2.0], [60.0, 2.0]), whole);
        assert_eq!((view.bounds(whole), view.is_zoomed()), (whole, false));
    }

    #[test]
    fn hides_candidates_per_column() {
        let mut view = PlotView::default();
        view.toggle(1);
        assert_eq!([0, 1, 2, 3].map(|column| view.shows(column)), [true, false, true, true]);
        view.show_all();
        assert!(view.shows(1));
    }
}
