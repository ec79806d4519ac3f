//! The plot of one sweep curve: the measured reward (vertical) against KL (horizontal).

use std::ops::RangeInclusive;

use eframe::egui::{
    Color32, Pos2, Rangef, Rect, Response, Role, Sense, TextStyle, Ui, Vec2, Vec2b, WidgetInfo,
    vec2,
};
use egui_plot::{
    AxisHints, HPlacement, Line, Plot, PlotPoint, PlotPoints, PlotTransform, PlotUi, Points,
};

use crate::app::theme::{Palette, text};
use crate::app::widgets::{grid_marks, tick_label};
use crate::format::{minus, plain};
use crate::lab::sweep::{Curve, Measure};

/// Height of the horizontal axis with its title, in points.
const AXIS_HEIGHT: f32 = 36.0;
/// Target distance between ticks of the horizontal and the vertical axis, in points.
const TICK_DISTANCE: [f64; 2] = [64.0, 32.0];
/// Maximum distance from the pointer to a dot, in points.
const MAX_POINTER_DISTANCE: f32 = 16.0;
/// Radius of a dot, in points.
const RADIUS: f32 = 4.5;
/// Minimum span of the horizontal axis, in nats. In a smaller span, noise looks like an effect.
const MIN_SPAN_NATS: f64 = 8.0;
/// Minimum span of the vertical axis.
const MIN_SPAN_REWARD: f64 = 2.0;

pub(crate) struct SweepPlot<'a> {
    /// The points to draw.
    pub(crate) curve: &'a Curve,
    /// The measure on the vertical axis.
    pub(crate) measure: Measure,
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

/// A point with at least one response.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CurvePoint {
    /// Index in the curve.
    index: usize,
    /// Upper bound of the KL in nats, and the mean of the measure.
    at: [f64; 2],
    /// Standard error of the mean; 0 if unknown.
    error: f64,
}

impl SweepPlot<'_> {
    /// Draws the plot over the whole area of `ui`.
    pub(crate) fn show(self, ui: &mut Ui) -> SweepPlotResponse {
        let p = Palette::of(ui);
        let curve_points = curve_points(self.curve);
        let (xs, ys) = bounds(&curve_points);
        let columns = f64::from(ui.available_width()) / TICK_DISTANCE[0];
        let rows = f64::from(ui.available_height() - AXIS_HEIGHT) / TICK_DISTANCE[1];
        ui.style_mut().text_styles.insert(TextStyle::Body, text::small());
        let height = match self.measure {
            Measure::Gold => "gold reward",
            Measure::Value => "value V(x, y)",
        };
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
                    AxisHints::new_x().label("KL ≤, nats").label_spacing(Rangef::new(24.0, 40.0)),
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
        let height = self.measure.name();
        let measured = self.curve.points.iter().filter_map(|p| Some((p.setting, p.mean?)));
        let points: Vec<String> = measured
            .map(|(setting, mean)| format!("{mean:+.2} at {}", axis.format_value(setting)))
            .collect();
        let points = if points.is_empty() { "no points yet".into() } else { points.join(", ") };
        minus(&format!("{}: {height} against KL: {points}.", axis.label()))
    }
}

fn curve_line(name: &str, path: Vec<[f64; 2]>, color: Color32, width: f32) -> Line<'static> {
    Line::new(name, PlotPoints::from(path)).color(color).width(width).allow_hover(false)
}

/// Returns the points of a curve that have responses, in the order of the axis.
fn curve_points(curve: &Curve) -> Vec<CurvePoint> {
    let curve_point = |(index, p): (usize, &crate::lab::sweep::Point)| {
        let at = [p.kl_bound_nats?, p.mean?];
        let is_finite = at.iter().all(|v| v.is_finite());
        is_finite.then(|| CurvePoint { index, at, error: p.standard_error.unwrap_or(0.0) })
    };
    curve.points.iter().enumerate().filter_map(curve_point).collect()
}

/// Returns the ranges of both axes: all points with their error bars and a margin, at least
/// [`MIN_SPAN_NATS`] and [`MIN_SPAN_REWARD`].
fn bounds(curve_points: &[CurvePoint]) -> (RangeInclusive<f64>, RangeInclusive<f64>) {
    let (left, right) = ends(curve_points.iter().map(|s| s.at[0]));
    let heights = curve_points.iter().flat_map(|s| [s.at[1] - s.error, s.at[1] + s.error]);
    let (low, high) = ends(heights);
    let x = widened(left, right, MIN_SPAN_NATS);
    // KL is never negative. A small margin keeps a dot at 0 whole.
    (x.start().max(-0.03 * x.end())..=*x.end(), widened(low, high, MIN_SPAN_REWARD))
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let ends = values.fold(None, |ends: Option<(f64, f64)>, v| {
        let (low, high) = ends.unwrap_or((v, v));
        Some((low.min(v), high.max(v)))
    });
    ends.unwrap_or((0.0, 0.0))
}

fn widened(low: f64, high: f64, min_span: f64) -> RangeInclusive<f64> {
    let margin = ((high - low) * 0.12).max((min_span - (high - low)) / 2.0);
    low - margin..=high + margin
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

/// Returns the rectangle for the caption of a point: the one around it that covers the fewest other
/// items.
fn caption_rect(
    at: Pos2,
    size: Vec2,
    clearance: f32,
    (taken, lines): (&[Rect], &[[Pos2; 2]]),
    frame: Rect,
) -> Rect {
    let (x, y) = (size.x / 2.0 + clearance, size.y / 2.0 + clearance);
    let (near_x, near_y) = (x - 2.0, y - 4.0);
    let around = [
        vec2(x, 0.0),
        vec2(-x, 0.0),
        vec2(near_x, -near_y),
        vec2(near_x, near_y),
        vec2(-near_x, -near_y),
        vec2(-near_x, near_y),
        vec2(0.0, -y),
        vec2(0.0, y),
    ];
    let positions = around.map(|d| Rect::from_center_size(at + d, size));
    // Covering a caption or a point costs more than covering a line. Leaving the frame costs most.
    let cost = |place: &Rect| {
        let outside = if frame.contains_rect(*place) { 0 } else { 20 };
        let covered = taken.iter().filter(|t| t.intersects(*place)).count();
        let crossed = lines.iter().filter(|line| crosses(**line, place.shrink(1.0))).count();
        outside + 5 * covered + crossed
    };
    positions.into_iter().min_by_key(cost).unwrap_or(positions[0])
}

/// Checks whether a line passes through `rect`. Samples the line about every three points.
fn crosses([from, to]: [Pos2; 2], rect: Rect) -> bool {
    let steps = (from.distance(to) / 3.0).ceil().clamp(1.0, 1000.0) as usize;
    (0..=steps).any(|i| rect.contains(from.lerp(to, i as f32 / steps as f32)))
}

#[cfg(test)]
mod tests {
    use eframe::egui::pos2;

    use super::*;

    fn curve_point(index: usize, kl: f64, mean: f64, error: f64) -> CurvePoint {
        CurvePoint { index, at: [kl, mean], error }
    }

    #[test]
    fn the_axes_contain_all_points_and_error_bars() {
        let curve_points = [curve_point(0, 15.0, -3.0, 0.5), curve_point(1, 30.0, 4.0, 1.0)];
        let (x, y) = bounds(&curve_points);
        assert!(*x.start() < 15.0 && *x.end() > 30.0 && *x.start() > 10.0);
        assert!(*y.start() < -3.5 && *y.end() > 5.0);
        // A single point still gets the minimum spans.
        let (x, y) = bounds(&curve_points[..1]);
        assert!(x.end() - x.start() >= MIN_SPAN_NATS && y.end() - y.start() >= MIN_SPAN_REWARD);
        // The KL axis does not extend far below 0.
        let (x, _) = bounds(&[curve_point(0, 0.0, 1.0, 0.0), curve_point(1, 50.0, 1.0, 0.0)]);
        assert!(*x.start() > -2.0);
    }

    #[test]
    fn a_caption_avoids_lines_captions_and_edges() {
        let frame = Rect::from_min_max(pos2(0.0, 0.0), pos2(200.0, 100.0));
        let (at, size) = (pos2(100.0, 50.0), vec2(20.0, 12.0));
        let place = |taken: &[Rect], lines: &[[Pos2; 2]]| {
            caption_rect(at, size, 8.0, (taken, lines), frame)
        };
        let right = place(&[], &[]);
        assert!(right.left() > at.x);
        // A line to the right, then also a caption to the left.
        let line = [at, pos2(190.0, 50.0)];
        let left = place(&[], &[line]);
        assert!(left.right() < at.x);
        let third = place(&[left], &[line]);
        assert!(!third.intersects(left) && !crosses(line, third));
        // At the edge, the caption stays inside the frame.
        let edge = caption_rect(pos2(195.0, 50.0), size, 8.0, (&[], &[]), frame);
        assert!(frame.contains_rect(edge));
    }

    #[test]
    fn finds_the_nearest_point_within_reach() {
        let positions = [pos2(100.0, 100.0), pos2(110.0, 100.0)];
        assert_eq!(nearest(&positions, pos2(106.0, 100.0)), Some(1));
        assert_eq!(nearest(&positions, pos2(102.0, 104.0)), Some(0));
        assert_eq!(nearest(&positions, pos2(150.0, 100.0)), None);
        assert_eq!(nearest(&[], pos2(0.0, 0.0)), None);
    }
}
