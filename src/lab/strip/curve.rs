//! What the responses of a strip come to: one curve a dial.

use serde::Serialize;

use super::{Dial, Measure, Plan, Sample};
use crate::guidance::settings::infinite;

/// The responses of a plan so far, summed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Strip {
    /// What was asked for.
    #[serde(flatten)]
    pub plan: Plan,
    /// One a dial, in the plan's order.
    pub curves: Vec<Curve>,
}

/// The points of one dial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// What is turned.
    pub dial: Dial,
    /// One a setting, ascending; those without responses yet are there too.
    pub points: Vec<Point>,
}

/// One setting, and the means over its responses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Where the dial stands.
    #[serde(with = "infinite")]
    pub setting: f32,
    /// Mean of the plan's measure; none without a response.
    pub mean: Option<f64>,
    /// Standard error of `mean`; none with fewer than two responses.
    pub standard_error: Option<f64>,
    /// Mean of the most that the divergence from the base can be, in nats a response; none
    /// without a response.
    pub kl_bound_nats: Option<f64>,
    /// Perplexity of all responses together under the base; none without a token.
    pub base_perplexity: Option<f64>,
    /// Mean time, in milliseconds.
    pub elapsed_ms: Option<f64>,
    /// The responses, in the order of their seeds.
    pub samples: Vec<Sample>,
}

impl Strip {
    /// A strip without responses.
    pub fn new(plan: Plan) -> Self {
        let curve = |&dial: &Dial| {
            let points = dial.values(&plan.settings).into_iter().map(Point::new).collect();
            Curve { dial, points }
        };
        Self { curves: plan.dials.iter().map(curve).collect(), plan }
    }

    /// Takes a response in. One that is not of this plan is left alone.
    pub fn add(&mut self, sample: Sample) {
        let measure = self.plan.measure;
        let curve = self.curves.iter_mut().find(|c| c.dial == sample.dial);
        let points = curve.into_iter().flat_map(|c| &mut c.points);
        if let Some(point) = points.into_iter().find(|p| p.setting == sample.setting) {
            point.samples.push(sample);
            point.sum_up(measure);
        }
    }

    /// The curve of a dial; none if it was left out.
    pub fn curve(&self, dial: Dial) -> Option<&Curve> {
        self.curves.iter().find(|c| c.dial == dial)
    }

    /// Responses that are in.
    pub fn done(&self) -> usize {
        self.points().map(|p| p.samples.len()).sum()
    }

    /// How long the missing responses will take, in milliseconds: as long as others at the same
    /// setting, or where there is none, as long as all others on average. None before the first.
    pub fn left_ms(&self) -> Option<f64> {
        let known: Vec<f64> = self.points().filter_map(|p| p.elapsed_ms).collect();
        if known.is_empty() {
            return None;
        }
        let usual = known.iter().sum::<f64>() / known.len() as f64;
        let left = |p: &Point| {
            let missing = (self.plan.repeats as usize).saturating_sub(p.samples.len());
            missing as f64 * p.elapsed_ms.unwrap_or(usual)
        };
        Some(self.points().map(left).sum())
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

    fn sum_up(&mut self, measure: Measure) {
        let samples = &self.samples;
        let heights = samples.iter().map(|s| measure.of(s).map(f64::from));
        let heights: Option<Vec<f64>> = heights.collect();
        self.mean = heights.as_deref().and_then(mean);
        self.standard_error = heights.as_deref().and_then(standard_error);
        let of = |figure: &dyn Fn(&Sample) -> f64| {
            mean(&samples.iter().map(figure).collect::<Vec<f64>>())
        };
        self.kl_bound_nats = of(&|s| s.kl_bound_nats().into());
        self.elapsed_ms = of(&|s| s.elapsed_ms);
        let tokens: usize = samples.iter().map(|s| s.tokens).sum();
        // The logarithm of each perplexity is the mean surprise of its tokens, in nats.
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

/// The sample deviation over √n.
fn standard_error(values: &[f64]) -> Option<f64> {
    let (count, mean) = (values.len() as f64, mean(values)?);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (count > 1.0).then(|| (squares / (count - 1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::Abilities;
    use super::*;
    use crate::guidance::settings::Settings;

    fn strip(judge: bool, repeats: u64) -> Strip {
        let can = Abilities { pair: true, value: true, judge };
        Strip::new(Plan::new(can, "A", &Settings::default(), repeats).expect("a plan"))
    }

    fn sample(dial: Dial, setting: f32, gold: f32, elapsed_ms: f64) -> Sample {
        Sample {
            dial,
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
    fn a_point_is_the_mean_of_its_responses() {
        let mut strip = strip(true, 4);
        for gold in [1.0, 2.0, 3.0] {
            strip.add(sample(Dial::Beta, 0.5, gold, 100.0));
        }
        strip.add(sample(Dial::Lambda, f32::INFINITY, 9.0, 100.0));
        let points = &strip.curve(Dial::Beta).expect("a curve").points;
        let point = points.iter().find(|p| p.setting == 0.5).expect("a point");
        assert_eq!((point.mean, point.kl_bound_nats), (Some(2.0), Some(13.0)));
        // Deviation 1 over √3.
        let error = point.standard_error.expect("three responses");
        assert!((error - 3f64.sqrt().recip()).abs() < 1e-12);
        assert!((point.base_perplexity.expect("tokens") - 20.0).abs() < 1e-9);
        assert!(points.iter().filter(|p| p.setting != 0.5).all(|p| p.mean.is_none()));
        let last = strip.curve(Dial::Lambda).and_then(|c| c.points.last()).expect("λ = ∞");
        assert_eq!((last.mean, last.standard_error), (Some(9.0), None));
        assert_eq!(strip.done(), 4);
    }

    #[test]
    fn a_longer_text_weighs_more_in_the_perplexity() {
        let mut strip = strip(true, 2);
        let short = Sample { tokens: 1, ..sample(Dial::Beta, 0.0, 0.0, 1.0) };
        strip.add(Sample { base_perplexity: Some(100.0), ..short.clone() });
        strip.add(Sample { tokens: 0, base_perplexity: None, ..short.clone() });
        strip.add(Sample { tokens: 3, base_perplexity: Some(1.0), ..short });
        let point = &strip.curves[0].points[2];
        // One token of ln 100 nats among four.
        assert!((point.base_perplexity.expect("tokens") - 100f64.powf(0.25)).abs() < 1e-4);
    }

    #[test]
    fn without_a_judge_the_value_stands_for_the_reward() {
        let mut strip = strip(false, 1);
        strip.add(sample(Dial::ChunkTokens, 5.0, 2.0, 1.0));
        let curve = strip.curve(Dial::ChunkTokens).expect("a curve");
        let means: Vec<f64> = curve.points.iter().filter_map(|p| p.mean).collect();
        assert_eq!(means, [-2.0]);
    }

    #[test]
    fn the_time_left_is_that_of_the_same_settings() {
        let mut strip = strip(true, 2);
        assert_eq!(strip.left_ms(), None);
        strip.add(sample(Dial::Beta, 0.0, 0.0, 100.0));
        // 41 of 42 as long as the only one.
        assert_eq!(strip.left_ms(), Some(4100.0));
        strip.add(sample(Dial::Beta, 0.5, 0.0, 300.0));
        // One each at its own, forty at the mean.
        assert_eq!(strip.left_ms(), Some(100.0 + 300.0 + 38.0 * 200.0));
    }

    #[test]
    fn a_response_of_another_plan_changes_nothing() {
        let mut strip = strip(true, 2);
        let before = strip.clone();
        strip.add(sample(Dial::Beta, 0.7, 1.0, 1.0));
        assert_eq!(strip, before);
    }

    #[test]
    fn the_file_says_inf_where_json_has_no_number() {
        let mut strip = strip(true, 1);
        strip.add(sample(Dial::Lambda, f32::INFINITY, 1.0, 1.0));
        let json = serde_json::to_value(&strip).expect("serialises");
        let last = &json["curves"][1]["points"][6];
        assert_eq!(
            (&last["setting"], &last["samples"][0]["setting"]),
            (&"inf".into(), &"inf".into())
        );
        assert_eq!((&json["prompt"], &json["measure"]), (&"A".into(), &"gold".into()));
    }
}
