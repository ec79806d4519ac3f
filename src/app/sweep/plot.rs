//! The plot of one sweep curve: the measured reward (vertical) against the distance from the base (horizontal).

use eframe::egui::{
    Color32, Pos2, Rangef, Rect, Response, Role, Sense, TextStyle, Ui, Vec2, Vec2b, WidgetInfo,
};
use egui_plot::{
    AxisHints, HPlacement, Line, Plot, PlotPoint, PlotPoints, PlotTransform, PlotUi, Points,
};

use crate::app::theme::{Palette, text};
use crate::app::widgets::{grid_marks, tick_label};
use crate::format::{minus, plain};
use crate::lab::sweep::{Curve, Plan};
use crate::records::report::captions::caption_rect;
use crate::records::report::sweep_plot::{
    CurvePoint, DISTANCE, bounds, curve_points, measure_name,
};

/// Height of the horizontal axis with its title, in points.
const AXIS_HEIGHT: f32 = 36.0;
/// Minimum height of a plot that names the unit of its vertical axis, in points.
const MIN_UNIT_HEIGHT: f32 = 220.0;
/// Target distance between ticks of the horizontal and the vertical axis, in points.
const TICK_DISTANCE: [f64; 2] = [64.0, 32.0];
/// Maximum distance from the pointer to a dot, in points.
const MAX_POINTER_DISTANCE: f32 = 16.0;
/// Radius of a dot, in points.
const RADIUS: f32 = 4.5;

pub(crate) struct SweepPlot<'a> {
    /// The points to draw.
    pub(crate) curve: &'a Curve,
    /// The plan, with the measure on the vertical axis.
    pub(crate) plan: &'a Plan,
    /// Index of the point with the current settings.
    pub(crate) current: Option<usize>,
    /// Index of the point to highlight.
    pub(crate) hovered: Option<usize>,
}

/// The result of drawing the plot.
pub(crate) struct SweepPlotResponse {
    /// egui's response of the plot.
    pub(crate) response: Response,
    /// Index of the point under the pointer.
    pub(crate) pointed: Option<usize>,
}

impl SweepPlot<'_> {
    /// Draws the plot over the whole area of `ui`.
    pub(crate) fn show(self, ui: &mut Ui) -> SweepPlotResponse {
        let p = Palette::of(ui);
        let curve_points = curve_points(self.curve, self.plan.measure);
        let (xs, ys) = bounds(&curve_points);
        let columns = f64::from(ui.available_width()) / TICK_DISTANCE[0];
        let rows = f64::from(ui.available_height() - AXIS_HEIGHT) / TICK_DISTANCE[1];
        ui.style_mut().text_styles.insert(TextStyle::Body, text::small());
        let [name, unit] = measure_name(self.plan.measure, &self.plan.settings);
        let has_room = ui.available_height() > MIN_UNIT_HEIGHT;
        let height = if has_room { format!("{name} ({unit})") } else { name.to_owned() };
        let words = self.summary();
        let shown = ui.scope(|ui| {
            ui.visuals_mut().override_text_color = Some(p.weak);
            let plot = Plot::new("sweep")
                .sense(Sense::click())
                .allow_zoom(false)
                .allow_drag(false)
                .allow_scroll(false)
                .allow_boxed_zoom(false)
                .allow_axis_zoom_drag(false)
                .allow_double_click_reset(false)
                .show_background(false)
                .show_crosshair(false)
                .grid_color(p.grid)
                .auto_bounds(Vec2b::FALSE)
                .custom_x_axes(vec![
                    AxisHints::new_x().label(DISTANCE).label_spacing(Rangef::new(24.0, 40.0)),
                ])
                .custom_y_axes(vec![
                    AxisHints::new_y()
                        .label(height)
                        .placement(HPlacement::Left)
                        .label_spacing(Rangef::new(12.0, 20.0)),
                ])
                .x_grid_spacer(move |input| grid_marks(input, columns))
                .y_grid_spacer(move |input| grid_marks(input, rows))
                .x_axis_formatter(|mark, _| tick_label(mark))
                .y_axis_formatter(|mark, _| tick_label(mark))
                .label_formatter(|_| None);
            plot.show(ui, |plot| {
                plot.set_plot_bounds_x(xs);
                plot.set_plot_bounds_y(ys);
                self.draw(plot, p, &curve_points);
            })
        });
        let (response, transform) = (shown.inner.response, shown.inner.transform);
        let positions = positions(&transform, &curve_points);
        self.captions(ui, &transform, &curve_points, &positions);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
        let pointed = response.hover_pos().and_then(|pointer| nearest(&positions, pointer));
        SweepPlotResponse { response, pointed: pointed.map(|i| curve_points[i].index) }
    }

    fn draw(&self, plot: &mut PlotUi<'_>, p: &Palette, curve_points: &[CurvePoint]) {
        let weak_color = p.guided.gamma_multiply(0.55);
        let path: Vec<[f64; 2]> = curve_points.iter().map(|s| s.at).collect();
        plot.line(curve_line("curve", path, weak_color, 1.5));
        for curve_point in curve_points.iter().filter(|s| s.error > 0.0) {
            let [x, y] = curve_point.at;
            let bar = vec![[x, y - curve_point.error], [x, y + curve_point.error]];
            plot.line(curve_line("error", bar, p.guided.gamma_multiply(0.7), 1.2));
        }
        // The dots of single seeds are faint, and below the means.
        let seeds: Vec<[f64; 2]> = curve_points.iter().flat_map(|s| s.seeds.clone()).collect();
        let seeds = Points::new("seeds", PlotPoints::from(seeds)).radius(2.5).allow_hover(false);
        plot.points(seeds.color(p.guided.gamma_multiply(0.35)));
        for curve_point in curve_points {
            let is_highlighted = self.hovered == Some(curve_point.index);
            let dot = |radius: f32| {
                let dot = Points::new("point", PlotPoints::from(vec![curve_point.at]));
                dot.color(p.guided).radius(radius).allow_hover(false)
            };
            plot.points(dot(if is_highlighted { RADIUS + 2.0 } else { RADIUS }));
            if self.current == Some(curve_point.index) {
                plot.points(dot(RADIUS + 4.5).color(p.text).filled(false));
            }
        }
    }

    /// Draws the value of the setting beside each point. Avoids points, lines and other captions if
    /// possible.
    fn captions(
        &self,
        ui: &Ui,
        transform: &PlotTransform,
        curve_points: &[CurvePoint],
        positions: &[Pos2],
    ) {
        let p = Palette::of(ui);
        let frame = *transform.frame();
        let painter = ui.painter().with_clip_rect(frame.intersect(ui.clip_rect()));
        let mut taken: Vec<Rect> =
            positions.iter().map(|at| Rect::from_center_size(*at, Vec2::splat(10.0))).collect();
        let mut lines: Vec<[Pos2; 2]> = positions.windows(2).map(|w| [w[0], w[1]]).collect();
        lines.extend(curve_points.iter().filter(|s| s.error > 0.0).map(|s| {
            let end = |y: f64| transform.position_from_point(&PlotPoint::new(s.at[0], y));
            [end(s.at[1] - s.error), end(s.at[1] + s.error)]
        }));
        for (curve_point, at) in curve_points.iter().zip(positions) {
            let is_current = self.current == Some(curve_point.index);
            let words = plain(self.curve.points[curve_point.index].setting.into());
            let color = if is_current { p.text } else { p.weak };
            let galley = painter.layout_no_wrap(words, text::small(), color);
            let clearance = if is_current { RADIUS + 8.0 } else { RADIUS + 3.5 };
            let place = caption_rect(*at, galley.size(), clearance, (&taken, &lines), frame);
            painter.galley(place.min, galley, color);
            taken.push(place);
        }
    }

    /// Returns the accessible text of the curve. The rows of the list name each point.
    fn summary(&self) -> String {
        let axis = self.curve.axis;
        let height = self.plan.measure.name();
        let measured = self.curve.points.iter().filter_map(|p| Some((p.setting, p.mean?)));
        let points: Vec<String> = measured
            .map(|(setting, mean)| format!("{mean:+.2} at {}", axis.format_value(setting)))
            .collect();
        let points = if points.is_empty() { "no points yet".into() } else { points.join(", ") };
        minus(&format!("{}: {height} against the KL upper bound: {points}.", axis.label()))
    }
}

fn curve_line(name: &str, path: Vec<[f64; 2]>, color: Color32, width: f32) -> Line<'static> {
    Line::new(name, PlotPoints::from(path)).color(color).width(width).allow_hover(false)
}

fn positions(transform: &PlotTransform, curve_points: &[CurvePoint]) -> Vec<Pos2> {
    let place = |s: &CurvePoint| transform.position_from_point(&PlotPoint::new(s.at[0], s.at[1]));
    curve_points.iter().map(place).collect()
}

/// Returns the index of the nearest position within reach of the pointer.
fn nearest(positions: &[Pos2], pointer: Pos2) -> Option<usize> {
    let distance = |i: &usize| positions[*i].distance(pointer);
    let near = (0..positions.len()).filter(|i| distance(i) <= MAX_POINTER_DISTANCE);
    near.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

#[cfg(test)]
mod tests {
    use eframe::egui::pos2;

    use super::*;

    #[test]
    fn finds_the_nearest_point_within_reach() {
        let positions = [pos2(100.0, 100.0), pos2(110.0, 100.0)];
        assert_eq!(nearest(&positions, pos2(106.0, 100.0)), Some(1));
        assert_eq!(nearest(&positions, pos2(102.0, 104.0)), Some(0));
        assert_eq!(nearest(&positions, pos2(150.0, 100.0)), None);
        assert_eq!(nearest(&[], pos2(0.0, 0.0)), None);
    }
}
