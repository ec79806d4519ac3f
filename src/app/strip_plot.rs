//! One curve of the strip: what a setting buys upwards, what it costs to the right.

use std::ops::RangeInclusive;

use eframe::egui::{
    Color32, Pos2, Rangef, Rect, Response, Role, Sense, TextStyle, Ui, Vec2, Vec2b, WidgetInfo,
    vec2,
};
use egui_plot::{
    AxisHints, HPlacement, Line, Plot, PlotPoint, PlotPoints, PlotTransform, PlotUi, Points,
};

use super::panels::plot::{ruler, tick};
use super::theme::{Palette, text};
use crate::lab::strip::{Curve, Measure};
use crate::words::{minus, plain};

/// Height of the axis below the plot, in points.
const AXIS: f32 = 36.0;
/// Marks of the upward axis stand about this far apart, in points, and those of the other.
const MARKS: [f64; 2] = [64.0, 32.0];
/// The pointer means a point that is nearer than this, in points.
const REACH: f32 = 16.0;
const RADIUS: f32 = 4.5;
/// The least that the axes span: with less, chance would look like an effect.
const LEAST_NATS: f64 = 8.0;
const LEAST_REWARD: f64 = 2.0;

/// The plot.
pub struct StripPlot<'a> {
    /// What it shows.
    pub curve: &'a Curve,
    /// What is drawn upwards.
    pub measure: Measure,
    /// The point that is set.
    pub current: Option<usize>,
    /// The point to be stressed.
    pub hovered: Option<usize>,
}

/// What became of it.
pub struct Shown {
    /// The plot's own response.
    pub response: Response,
    /// The point that the pointer means.
    pub pointed: Option<usize>,
}

/// A point that has responses.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spot {
    /// Its place in the curve.
    index: usize,
    /// KL ≤ in nats, and the measure.
    at: [f64; 2],
    /// Standard error of the measure; 0 where it is not known.
    error: f64,
}

impl StripPlot<'_> {
    /// Shows it over the whole of `ui`.
    pub fn show(self, ui: &mut Ui) -> Shown {
        let p = Palette::of(ui);
        let spots = spots(self.curve);
        let (xs, ys) = bounds(&spots);
        let columns = f64::from(ui.available_width()) / MARKS[0];
        let rows = f64::from(ui.available_height() - AXIS) / MARKS[1];
        ui.style_mut().text_styles.insert(TextStyle::Body, text::small());
        let height = match self.measure {
            Measure::Gold => "gold reward",
            Measure::Value => "value V(x, y)",
        };
        let words = self.summary();
        let shown = ui.scope(|ui| {
            ui.visuals_mut().override_text_color = Some(p.weak);
            let plot = Plot::new("strip")
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
                .x_grid_spacer(move |input| ruler(input, columns))
                .y_grid_spacer(move |input| ruler(input, rows))
                .x_axis_formatter(|mark, _| tick(mark))
                .y_axis_formatter(|mark, _| tick(mark))
                .label_formatter(|_| None);
            plot.show(ui, |plot| {
                plot.set_plot_bounds_x(xs);
                plot.set_plot_bounds_y(ys);
                self.draw(plot, p, &spots);
            })
        });
        let (response, transform) = (shown.inner.response, shown.inner.transform);
        let places = places(&transform, &spots);
        self.captions(ui, &transform, &spots, &places);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
        let pointed = response.hover_pos().and_then(|pointer| nearest(&places, pointer));
        Shown { response, pointed: pointed.map(|i| spots[i].index) }
    }

    fn draw(&self, plot: &mut PlotUi<'_>, p: &Palette, spots: &[Spot]) {
        let faint = p.guided.gamma_multiply(0.55);
        let path: Vec<[f64; 2]> = spots.iter().map(|s| s.at).collect();
        plot.line(curve_line("curve", path, faint, 1.5));
        for spot in spots.iter().filter(|s| s.error > 0.0) {
            let [x, y] = spot.at;
            let bar = vec![[x, y - spot.error], [x, y + spot.error]];
            plot.line(curve_line("error", bar, p.guided.gamma_multiply(0.7), 1.2));
        }
        for spot in spots {
            let stressed = self.hovered == Some(spot.index);
            let dot = |radius: f32| {
                let dot = Points::new("point", PlotPoints::from(vec![spot.at]));
                dot.color(p.guided).radius(radius).allow_hover(false)
            };
            plot.points(dot(if stressed { RADIUS + 2.0 } else { RADIUS }));
            if self.current == Some(spot.index) {
                plot.points(dot(RADIUS + 4.5).color(p.text).filled(false));
            }
        }
    }

    /// Every point's setting beside it, clear of points, lines and other captions where possible.
    fn captions(&self, ui: &Ui, transform: &PlotTransform, spots: &[Spot], places: &[Pos2]) {
        let p = Palette::of(ui);
        let frame = *transform.frame();
        let painter = ui.painter().with_clip_rect(frame.intersect(ui.clip_rect()));
        let mut taken: Vec<Rect> =
            places.iter().map(|at| Rect::from_center_size(*at, Vec2::splat(10.0))).collect();
        let mut lines: Vec<[Pos2; 2]> = places.windows(2).map(|w| [w[0], w[1]]).collect();
        lines.extend(spots.iter().filter(|s| s.error > 0.0).map(|s| {
            let end = |y: f64| transform.position_from_point(&PlotPoint::new(s.at[0], y));
            [end(s.at[1] - s.error), end(s.at[1] + s.error)]
        }));
        for (spot, at) in spots.iter().zip(places) {
            let is_current = self.current == Some(spot.index);
            let words = plain(self.curve.points[spot.index].setting.into());
            let ink = if is_current { p.text } else { p.weak };
            let galley = painter.layout_no_wrap(words, text::small(), ink);
            let clearance = if is_current { RADIUS + 8.0 } else { RADIUS + 3.5 };
            let place = free_place(*at, galley.size(), clearance, (&taken, &lines), frame);
            painter.galley(place.min, galley, ink);
            taken.push(place);
        }
    }

    /// The curve for those who cannot see it; the rows beside it name every point.
    fn summary(&self) -> String {
        let dial = self.curve.dial;
        let height = self.measure.name();
        let known = self.curve.points.iter().filter_map(|p| Some((p.setting, p.mean?)));
        let points: Vec<String> =
            known.map(|(setting, mean)| format!("{mean:+.2} at {}", dial.words(setting))).collect();
        let points = if points.is_empty() { "no points yet".into() } else { points.join(", ") };
        minus(&format!("{}: {height} against KL: {points}.", dial.label()))
    }
}

fn curve_line(name: &str, path: Vec<[f64; 2]>, ink: Color32, width: f32) -> Line<'static> {
    Line::new(name, PlotPoints::from(path)).color(ink).width(width).allow_hover(false)
}

/// The points of a curve that have responses, in the order of the dial.
fn spots(curve: &Curve) -> Vec<Spot> {
    let spot = |(index, p): (usize, &crate::lab::strip::Point)| {
        let at = [p.kl_bound_nats?, p.mean?];
        let is_finite = at.iter().all(|v| v.is_finite());
        is_finite.then(|| Spot { index, at, error: p.standard_error.unwrap_or(0.0) })
    };
    curve.points.iter().enumerate().filter_map(spot).collect()
}

/// What both axes span: all points with their error bars, a margin around, and never so little
/// that chance looks like an effect.
fn bounds(spots: &[Spot]) -> (RangeInclusive<f64>, RangeInclusive<f64>) {
    let (left, right) = ends(spots.iter().map(|s| s.at[0]));
    let heights = spots.iter().flat_map(|s| [s.at[1] - s.error, s.at[1] + s.error]);
    let (low, high) = ends(heights);
    let x = widened(left, right, LEAST_NATS);
    // A divergence is never below 0; a little room, so that a point there is whole.
    (x.start().max(-0.03 * x.end())..=*x.end(), widened(low, high, LEAST_REWARD))
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let ends = values.fold(None, |ends: Option<(f64, f64)>, v| {
        let (low, high) = ends.unwrap_or((v, v));
        Some((low.min(v), high.max(v)))
    });
    ends.unwrap_or((0.0, 0.0))
}

fn widened(low: f64, high: f64, least: f64) -> RangeInclusive<f64> {
    let margin = ((high - low) * 0.12).max((least - (high - low)) / 2.0);
    low - margin..=high + margin
}

fn places(transform: &PlotTransform, spots: &[Spot]) -> Vec<Pos2> {
    let place = |s: &Spot| transform.position_from_point(&PlotPoint::new(s.at[0], s.at[1]));
    spots.iter().map(place).collect()
}

/// The place that `pointer` means: the nearest within reach.
fn nearest(places: &[Pos2], pointer: Pos2) -> Option<usize> {
    let far = |i: &usize| places[*i].distance(pointer);
    let near = (0..places.len()).filter(|i| far(i) <= REACH);
    near.min_by(|a, b| far(a).total_cmp(&far(b)))
}

/// Where a caption of a point stands: around it, where it covers least.
fn free_place(
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
    let places = around.map(|d| Rect::from_center_size(at + d, size));
    // Another caption is worse than a line, and a cut one worst.
    let cost = |place: &Rect| {
        let outside = if frame.contains_rect(*place) { 0 } else { 20 };
        let covered = taken.iter().filter(|t| t.intersects(*place)).count();
        let crossed = lines.iter().filter(|line| crosses(**line, place.shrink(1.0))).count();
        outside + 5 * covered + crossed
    };
    places.into_iter().min_by_key(cost).unwrap_or(places[0])
}

/// Whether a line passes through `place`, looked at every few points of its length.
fn crosses([from, to]: [Pos2; 2], place: Rect) -> bool {
    let steps = (from.distance(to) / 3.0).ceil().clamp(1.0, 1000.0) as usize;
    (0..=steps).any(|i| place.contains(from.lerp(to, i as f32 / steps as f32)))
}

#[cfg(test)]
mod tests {
    use eframe::egui::pos2;

    use super::*;

    fn spot(index: usize, kl: f64, mean: f64, error: f64) -> Spot {
        Spot { index, at: [kl, mean], error }
    }

    #[test]
    fn both_axes_hold_every_point_and_its_error() {
        let spots = [spot(0, 15.0, -3.0, 0.5), spot(1, 30.0, 4.0, 1.0)];
        let (x, y) = bounds(&spots);
        assert!(*x.start() < 15.0 && *x.end() > 30.0 && *x.start() > 10.0);
        assert!(*y.start() < -3.5 && *y.end() > 5.0);
        // A single point is not stretched over the whole plot by its last decimals.
        let (x, y) = bounds(&spots[..1]);
        assert!(x.end() - x.start() >= LEAST_NATS && y.end() - y.start() >= LEAST_REWARD);
        // And nothing costs less than nothing.
        let (x, _) = bounds(&[spot(0, 0.0, 1.0, 0.0), spot(1, 50.0, 1.0, 0.0)]);
        assert!(*x.start() > -2.0);
    }

    #[test]
    fn a_caption_stands_where_it_covers_nothing() {
        let frame = Rect::from_min_max(pos2(0.0, 0.0), pos2(200.0, 100.0));
        let (at, size) = (pos2(100.0, 50.0), vec2(20.0, 12.0));
        let place =
            |taken: &[Rect], lines: &[[Pos2; 2]]| free_place(at, size, 8.0, (taken, lines), frame);
        let right = place(&[], &[]);
        assert!(right.left() > at.x);
        // A line to the right, then a caption to the left besides.
        let line = [at, pos2(190.0, 50.0)];
        let left = place(&[], &[line]);
        assert!(left.right() < at.x);
        let third = place(&[left], &[line]);
        assert!(!third.intersects(left) && !crosses(line, third));
        // At the edge it stays inside.
        let edge = free_place(pos2(195.0, 50.0), size, 8.0, (&[], &[]), frame);
        assert!(frame.contains_rect(edge));
    }

    #[test]
    fn the_pointer_means_the_nearest_point_within_reach() {
        let places = [pos2(100.0, 100.0), pos2(110.0, 100.0)];
        assert_eq!(nearest(&places, pos2(106.0, 100.0)), Some(1));
        assert_eq!(nearest(&places, pos2(102.0, 104.0)), Some(0));
        assert_eq!(nearest(&places, pos2(150.0, 100.0)), None);
        assert_eq!(nearest(&[], pos2(0.0, 0.0)), None);
    }
}
