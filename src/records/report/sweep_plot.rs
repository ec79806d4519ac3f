//! The layout of the sweep plot: its points, and the ranges and names of its axes. The window draws
//! it with egui, the figure as SVG.

use std::ops::RangeInclusive;

use crate::guidance::settings::{Settings, ValueSource};
use crate::lab::sweep::{Curve, Measure, Point};

/// Minimum span of the horizontal axis, in nats. In a smaller span, noise looks like an effect.
const MIN_SPAN_NATS: f64 = 8.0;
/// Minimum span of the vertical axis.
const MIN_SPAN_REWARD: f64 = 2.0;
/// The name of the horizontal axis. Unlike the metric KL, this distance includes the choice between
/// chunks, of which only an upper bound is known.
pub(crate) const DISTANCE: &str = "Distance from base (KL upper bound, nats)";
/// What the distance is, for tooltips.
pub(crate) const DISTANCE_MEANING: &str = "How far guidance moves the responses from those of the base model: the KL divergence of token \
     guidance plus an upper bound for choosing between chunks, as a mean over the seeds.";

/// A point with at least one response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CurvePoint {
    /// Index in the curve.
    pub(crate) index: usize,
    /// Upper bound of the KL in nats, and the mean of the measure.
    pub(crate) at: [f64; 2],
    /// Standard error of the mean; 0 if unknown.
    pub(crate) error: f64,
    /// The bound and the measure of each response. Empty for a single one, which is the point.
    pub(crate) seeds: Vec<[f64; 2]>,
}

/// Returns the points of a curve that have responses, in the order of the axis.
pub(crate) fn curve_points(curve: &Curve, measure: Measure) -> Vec<CurvePoint> {
    let is_finite = |at: &[f64; 2]| at.iter().all(|v| v.is_finite());
    let curve_point = |(index, p): (usize, &Point)| {
        let at = Some([p.kl_bound_nats?, p.mean?]).filter(is_finite)?;
        let seeds = p.samples.iter().filter(|_| p.samples.len() > 1);
        let seeds = seeds.filter_map(|s| Some([s.kl_bound_nats().into(), measure.of(s)?.into()]));
        let seeds = seeds.filter(is_finite).collect();
        Some(CurvePoint { index, at, error: p.standard_error.unwrap_or(0.0), seeds })
    };
    curve.points.iter().enumerate().filter_map(curve_point).collect()
}

/// Returns the ranges of both axes: all points with their seeds and error bars and a margin, at
/// least [`MIN_SPAN_NATS`] and [`MIN_SPAN_REWARD`].
pub(crate) fn bounds(curve_points: &[CurvePoint]) -> (RangeInclusive<f64>, RangeInclusive<f64>) {
    let seeds = || curve_points.iter().flat_map(|s| &s.seeds);
    let (left, right) =
        ends(curve_points.iter().map(|s| s.at[0]).chain(seeds().map(|seed| seed[0])));
    let heights = curve_points.iter().flat_map(|s| [s.at[1] - s.error, s.at[1] + s.error]);
    let (low, high) = ends(heights.chain(seeds().map(|seed| seed[1])));
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

/// Returns the name of the vertical axis, and its unit.
pub(crate) fn measure_name(measure: Measure, settings: &Settings) -> [&'static str; 2] {
    match (measure, settings.value_source) {
        (Measure::Gold, _) => ["Judge", "log-odds"],
        (Measure::Value, ValueSource::Explicit) => ["Value V", "predicted reward"],
        (Measure::Value, ValueSource::Implicit) => ["Value", "summed advantage, nats"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve_point(index: usize, kl: f64, mean: f64, error: f64) -> CurvePoint {
        CurvePoint { index, at: [kl, mean], error, seeds: Vec::new() }
    }

    #[test]
    fn the_axes_contain_all_points_seeds_and_error_bars() {
        let mut curve_points = [curve_point(0, 15.0, -3.0, 0.5), curve_point(1, 30.0, 4.0, 1.0)];
        let (x, y) = bounds(&curve_points);
        assert!(*x.start() < 15.0 && *x.end() > 30.0 && *x.start() > 10.0);
        assert!(*y.start() < -3.5 && *y.end() > 5.0);
        curve_points[1].seeds = vec![[29.0, 9.0], [44.0, -1.0]];
        let (x, y) = bounds(&curve_points);
        assert!(*x.end() > 44.0 && *y.end() > 9.0);
        // A single point still gets the minimum spans.
        let (x, y) = bounds(&curve_points[..1]);
        assert!(x.end() - x.start() >= MIN_SPAN_NATS && y.end() - y.start() >= MIN_SPAN_REWARD);
        // The KL axis does not extend far below 0.
        let (x, _) = bounds(&[curve_point(0, 0.0, 1.0, 0.0), curve_point(1, 50.0, 1.0, 0.0)]);
        assert!(*x.start() > -2.0);
    }
}
