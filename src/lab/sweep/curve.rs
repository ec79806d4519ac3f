//! Summarises the responses of a sweep as one curve per swept setting.

use serde::Serialize;

use super::{Measure, Plan, Sample, SweepAxis, Task};
use crate::guidance::settings::infinite;

/// The results of a sweep so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepResults {
    /// The plan of the sweep.
    #[serde(flatten)]
    pub plan: Plan,
    /// One curve per swept setting, in the order of the plan.
    pub curves: Vec<Curve>,
}

/// The points of one swept setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// The swept setting.
    #[serde(rename = "dial")]
    pub axis: SweepAxis,
    /// One point per value of the setting, ascending. Points without responses are included.
    pub points: Vec<Point>,
}

/// One value of the swept setting, with means over its responses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The value of the swept setting.
    #[serde(with = "infinite")]
    pub setting: f32,
    /// Mean of the plan's measure; `None` without a response.
    pub mean: Option<f64>,
    /// Standard error of `mean`; `None` with fewer than two responses.
    pub standard_error: Option<f64>,
    /// Mean of the upper bounds on the divergence from the base, in nats per response; `None`
    /// without a response.
    pub kl_bound_nats: Option<f64>,
    /// Perplexity of all responses together under the base; `None` without a token.
    pub base_perplexity: Option<f64>,
    /// Mean time per response, in milliseconds; `None` without a response.
    pub elapsed_ms: Option<f64>,
    /// The responses, in seed order.
    pub samples: Vec<Sample>,
}

impl SweepResults {
    /// Creates the results of a plan, without responses.
    pub fn new(plan: Plan) -> Self {
        let curve = |&axis: &SweepAxis| {
            let points = axis.values(&plan.settings).into_iter().map(Point::new).collect();
            Curve { axis, points }
        };
        Self { curves: plan.axes.iter().map(curve).collect(), plan }
    }

    /// Adds a response. Ignores a response that does not belong to the plan.
    pub fn add(&mut self, sample: Sample) {
        let measure = self.plan.measure;
        let curve = self.curves.iter_mut().find(|c| c.axis == sample.axis);
        let points = curve.into_iter().flat_map(|c| &mut c.points);
        if let Some(point) = points.into_iter().find(|p| p.setting == sample.setting) {
            point.samples.push(sample);
            point.summarise(measure);
        }
    }

    /// Returns the curve of a setting, or `None` if the plan does not sweep it.
    pub fn curve(&self, axis: SweepAxis) -> Option<&Curve> {
        self.curves.iter().find(|c| c.axis == axis)
    }

    /// Returns the response of a task, or `None` if it is not generated yet.
    pub(super) fn sample(&self, task: Task) -> Option<&Sample> {
        let mut points = self.curve(task.axis)?.points.iter();
        let point = points.find(|point| point.setting == task.setting)?;
        point.samples.iter().find(|sample| sample.seed == task.seed)
    }

    /// Returns the number of responses so far.
    pub fn done(&self) -> usize {
        self.points().map(|p| p.samples.len()).sum()
    }

    /// Returns an estimate of the remaining time in milliseconds, or `None` before the first
    /// response. A missing response counts as the mean of its point, or as the mean over all points
    /// if its point has no response yet.
    pub fn left_ms(&self) -> Option<f64> {
        let known: Vec<f64> = self.points().filter_map(|p| p.elapsed_ms).collect();
        if known.is_empty() {
            return None;
        }
        let average = known.iter().sum::<f64>() / known.len() as f64;
        let remaining = |p: &Point| {
            let missing = (self.plan.repeats as usize).saturating_sub(p.samples.len());
            missing as f64 * p.elapsed_ms.unwrap_or(average)
        };
        Some(self.points().map(remaining).sum())
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.curves.iter().flat_map(|c| &c.points)
    }
}

impl Point {
    fn new(setting: f32) -> Self {
        Self {
            setting,
            mean: None,
            standard_error: None,
            kl_bound_nats: None,
            base_perplexity: None,
            elapsed_ms: None,
            samples: Vec::new(),
        }
    }

    fn summarise(&mut self, measure: Measure) {
        let samples = &self.samples;
        let measured = samples.iter().map(|s| measure.of(s).map(f64::from));
        let measured: Option<Vec<f64>> = measured.collect();
        self.mean = measured.as_deref().and_then(mean);
        self.standard_error = measured.as_deref().and_then(standard_error);
        let mean_of = |number: &dyn Fn(&Sample) -> f64| {
            mean(&samples.iter().map(number).collect::<Vec<f64>>())
        };
        self.kl_bound_nats = mean_of(&|s| s.kl_bound_nats().into());
        self.elapsed_ms = mean_of(&|s| s.elapsed_ms);
        let tokens: usize = samples.iter().map(|s| s.tokens).sum();
        // The logarithm of a perplexity is the mean negative log-probability per token, in nats.
        let nats: f64 = samples
            .iter()
            .filter_map(|s| Some(s.tokens as f64 * f64::from(s.base_perplexity?).ln()))
            .sum();
        self.base_perplexity = (tokens > 0).then(|| (nats / tokens as f64).exp());
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Returns the sample standard deviation divided by √n, or `None` for fewer than two values.
fn standard_error(values: &[f64]) -> Option<f64> {
    let (count, mean) = (values.len() as f64, mean(values)?);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (count > 1.0).then(|| (squares / (count - 1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::settings::Settings;
    use crate::lab::sweep::PackCapabilities;

    fn sweep(judge: bool, repeats: u64) -> SweepResults {
        let can = PackCapabilities { pair: true, value: true, judge };
        SweepResults::new(Plan::new(can, "A", &Settings::default(), repeats).expect("a plan"))
    }

    fn sample(axis: SweepAxis, setting: f32, gold: f32, elapsed_ms: f64) -> Sample {
        Sample {
            axis,
            setting,
            seed: 1,
            text: " text".into(),
            gold_reward: Some(gold),
            value: Some(-gold),
            kl_nats: 1.0 + gold,
            kl_selection_bound_nats: 10.0,
            tokens: 10,
            base_perplexity: Some(20.0),
            elapsed_ms,
        }
    }

    #[test]
    fn a_point_holds_the_means_of_its_responses() {
        let mut sweep = sweep(true, 4);
        for gold in [1.0, 2.0, 3.0] {
            sweep.add(sample(SweepAxis::Beta, 0.5, gold, 100.0));
        }
        sweep.add(sample(SweepAxis::Lambda, f32::INFINITY, 9.0, 100.0));
        let points = &sweep.curve(SweepAxis::Beta).expect("a curve").points;
        let point = points.iter().find(|p| p.setting == 0.5).expect("a point");
        assert_eq!((point.mean, point.kl_bound_nats), (Some(2.0), Some(13.0)));
        // Deviation 1 divided by √3.
        let error = point.standard_error.expect("three responses");
        assert!((error - 3f64.sqrt().recip()).abs() < 1e-12);
        assert!((point.base_perplexity.expect("tokens") - 20.0).abs() < 1e-9);
        assert!(points.iter().filter(|p| p.setting != 0.5).all(|p| p.mean.is_none()));
        let last = sweep.curve(SweepAxis::Lambda).and_then(|c| c.points.last()).expect("λ = ∞");
        assert_eq!((last.mean, last.standard_error), (Some(9.0), None));
        assert_eq!(sweep.done(), 4);
    }

    #[test]
    fn perplexity_weights_texts_by_their_length() {
        let mut sweep = sweep(true, 2);
        let short = Sample { tokens: 1, ..sample(SweepAxis::Beta, 0.0, 0.0, 1.0) };
        sweep.add(Sample { base_perplexity: Some(100.0), ..short.clone() });
        sweep.add(Sample { tokens: 0, base_perplexity: None, ..short.clone() });
        sweep.add(Sample { tokens: 3, base_perplexity: Some(1.0), ..short });
        let point = &sweep.curves[0].points[2];
        // One of four tokens costs ln 100 nats, the others none.
        assert!((point.base_perplexity.expect("tokens") - 100f64.powf(0.25)).abs() < 1e-4);
    }

    #[test]
    fn without_a_judge_the_measure_is_the_value() {
        let mut sweep = sweep(false, 1);
        sweep.add(sample(SweepAxis::ChunkTokens, 5.0, 2.0, 1.0));
        let curve = sweep.curve(SweepAxis::ChunkTokens).expect("a curve");
        let means: Vec<f64> = curve.points.iter().filter_map(|p| p.mean).collect();
        assert_eq!(means, [-2.0]);
    }

    #[test]
    fn remaining_time_uses_the_mean_of_each_point() {
        let mut sweep = sweep(true, 2);
        assert_eq!(sweep.left_ms(), None);
        sweep.add(sample(SweepAxis::Beta, 0.0, 0.0, 100.0));
        // 41 of 42 responses remain, at the time of the only one.
        assert_eq!(sweep.left_ms(), Some(4100.0));
        sweep.add(sample(SweepAxis::Beta, 0.5, 0.0, 300.0));
        // One response remains at each of the two points, 38 at the other points.
        assert_eq!(sweep.left_ms(), Some(100.0 + 300.0 + 38.0 * 200.0));
    }

    #[test]
    fn a_response_of_another_plan_is_ignored() {
        let mut sweep = sweep(true, 2);
        let before = sweep.clone();
        sweep.add(sample(SweepAxis::Beta, 0.7, 1.0, 1.0));
        assert_eq!(sweep, before);
    }

    #[test]
    fn infinity_is_serialised_as_inf() {
        let mut sweep = sweep(true, 1);
        sweep.add(sample(SweepAxis::Lambda, f32::INFINITY, 1.0, 1.0));
        let json = serde_json::to_value(&sweep).expect("serialises");
        let last = &json["curves"][1]["points"][6];
        assert_eq!(
            (&last["setting"], &last["samples"][0]["setting"]),
            (&"inf".into(), &"inf".into())
        );
        assert_eq!((&json["prompt"], &json["measure"]), (&"A".into(), &"gold".into()));
    }
}
