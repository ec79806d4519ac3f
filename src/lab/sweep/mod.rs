//! Sweeps: generates and judges responses to one prompt at seven values of β, then of λ, then of L.
//! The results compare the benefit of guidance (gold reward) with its cost (KL from the base).

mod axis;
mod curve;
mod table;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use axis::{PackCapabilities, SweepAxis};
pub use curve::{Curve, Point, SweepResults};

use super::respond;
use crate::guidance::GuidanceError;
use crate::guidance::settings::{Arm, SettingError, Settings, infinite};
use crate::guidance::trace::ArmTrace;
use crate::local_time::LocalTime;
use crate::packs::{Pack, PromptCache, PromptOptions};

/// Default number of responses per point.
pub const REPEATS: u64 = 4;
/// Maximum number of responses per point.
pub const MAX_REPEATS: u64 = 64;
/// Distance between the seeds of a sweep. It is larger than the steps between seeds set by hand, so
/// that sweeps started at nearby seeds share no responses.
const SEED_STRIDE: u64 = 1_000_000;

/// An error that prevents or ends a sweep.
#[derive(Debug, Error)]
pub enum SweepError {
    /// No setting can be swept. Holds the reason for the first setting.
    #[error("no setting can be swept: {0}; choose another pack")]
    NothingApplies(&'static str),
    /// The pack has neither a judge nor the models for the chosen value.
    #[error(
        "this pack cannot measure a response: it has neither a judge nor the models for the chosen \
         value; choose another pack"
    )]
    NothingMeasures,
    /// The number of responses per point is out of range.
    #[error("responses per point is {0}; choose 1 to {MAX_REPEATS}")]
    Repeats(u64),
    /// A setting is out of range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A run failed.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
}

/// The measure on the vertical axis of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Gold reward of the judge.
    Gold,
    /// Value V of the response, for packs without a judge. The search itself maximises it.
    Value,
}

impl Measure {
    /// Returns the name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Gold => "judge",
            Measure::Value => "value",
        }
    }

    /// Returns the measure of a response.
    pub(crate) fn of(self, sample: &Sample) -> Option<f32> {
        match self {
            Measure::Gold => sample.gold_reward,
            Measure::Value => sample.value,
        }
    }
}

/// A setting that is not swept, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedAxis {
    /// The setting.
    #[serde(rename = "dial")]
    pub axis: SweepAxis,
    /// The reason, as one sentence.
    pub reason: &'static str,
}

/// The input of a sweep: everything that determines its responses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The prompt as typed.
    pub prompt: String,
    /// The settings of the IVG arm. A sweep changes one of them and keeps the others.
    pub settings: Settings,
    /// Responses per point, each with a different seed.
    pub repeats: u64,
    /// The measure of a response.
    pub measure: Measure,
    /// The settings that are swept, in this order.
    #[serde(rename = "dials")]
    pub axes: Vec<SweepAxis>,
    /// The settings that are not swept.
    #[serde(rename = "left_out")]
    pub skipped: Vec<SkippedAxis>,
    /// Time passed to the chat templates; `None` is the current time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_time: Option<LocalTime>,
}

/// One response of a plan, not generated yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// The swept setting.
    pub axis: SweepAxis,
    /// The value of the swept setting.
    pub setting: f32,
    /// The sampling seed.
    pub seed: u64,
}

impl Plan {
    /// Creates a plan that sweeps every setting which applies to these models and settings.
    ///
    /// # Errors
    /// Fails if a setting or `repeats` is out of range, no setting can be swept, or the pack cannot
    /// measure a response.
    pub fn new(
        can: PackCapabilities,
        prompt: &str,
        settings: &Settings,
        repeats: u64,
    ) -> Result<Self, SweepError> {
        let (mut axes, mut skipped) = (Vec::new(), Vec::new());
        for axis in SweepAxis::ALL {
            match axis.disabled_reason(settings, can) {
                None => axes.push(axis),
                Some(reason) => skipped.push(SkippedAxis { axis, reason }),
            }
        }
        let measure = match (can.judge, can.has_value_for(settings)) {
            (true, _) => Measure::Gold,
            (false, true) => Measure::Value,
            (false, false) => return Err(SweepError::NothingMeasures),
        };
        let (prompt, settings) = (prompt.to_owned(), settings.clone());
        let plan = Self { prompt, settings, repeats, measure, axes, skipped, local_time: None };
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), SweepError> {
        self.settings.validate()?;
        if !(1..=MAX_REPEATS).contains(&self.repeats) {
            return Err(SweepError::Repeats(self.repeats));
        }
        if self.axes.is_empty() {
            let reason = self.skipped.first().map_or("no setting is selected", |l| l.reason);
            return Err(SweepError::NothingApplies(reason.trim_end_matches('.')));
        }
        Ok(())
    }

    /// Returns the seed of a repetition, counted from 0. `generate --seed` with this seed
    /// reproduces the response.
    pub fn seed(&self, repetition: u64) -> u64 {
        self.settings.seed.wrapping_add(repetition.wrapping_mul(SEED_STRIDE))
    }

    /// Returns all tasks in the order they are run: all values of all swept settings at the first
    /// seed, then all at the next seed. Whole curves are thus complete after the first seed.
    pub fn tasks(&self) -> impl Iterator<Item = Task> + '_ {
        (0..self.repeats).map(|repetition| self.seed(repetition)).flat_map(move |seed| {
            self.axes.iter().flat_map(move |&axis| {
                let values = axis.values(&self.settings).into_iter();
                values.map(move |setting| Task { axis, setting, seed })
            })
        })
    }

    /// Returns the total number of responses.
    pub fn len(&self) -> usize {
        let points: usize = self.axes.iter().map(|d| d.values(&self.settings).len()).sum();
        points * self.repeats as usize
    }

    /// Returns whether the plan has no responses.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn settings_of(&self, task: Task) -> Settings {
        Settings { seed: task.seed, ..task.axis.with_value(&self.settings, task.setting) }
    }
}

/// A finished and judged response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The swept setting.
    #[serde(rename = "dial")]
    pub axis: SweepAxis,
    /// The value of the swept setting.
    #[serde(with = "infinite")]
    pub setting: f32,
    /// The sampling seed.
    pub seed: u64,
    /// The response, without the prompt.
    pub text: String,
    /// Gold reward of prompt and response; `None` without a judge.
    pub gold_reward: Option<f32>,
    /// V(x, y) of the response; `None` if the pack has no model for it.
    pub value: Option<f32>,
    /// KL(guided ‖ base) summed over the tokens, in nats.
    pub kl_nats: f32,
    /// [`ArmTrace::kl_selection_bound_nats`].
    pub kl_selection_bound_nats: f32,
    /// Number of tokens in the response.
    pub tokens: usize,
    /// Perplexity of the response under the base; `None` for an empty response.
    pub base_perplexity: Option<f32>,
    /// Time spent on the response, in milliseconds.
    pub elapsed_ms: f64,
}

impl Sample {
    fn new(task: Task, trace: &ArmTrace) -> Self {
        Self {
            axis: task.axis,
            setting: task.setting,
            seed: task.seed,
            text: trace.text.clone(),
            gold_reward: trace.gold_reward,
            value: trace.value,
            kl_nats: trace.kl_nats(),
            kl_selection_bound_nats: trace.kl_selection_bound_nats(),
            tokens: trace.tokens.len(),
            base_perplexity: trace.base_perplexity(),
            elapsed_ms: trace.elapsed_ms,
        }
    }

    /// Returns an upper bound on the divergence from the base, tokens and selection together, in
    /// nats.
    pub fn kl_bound_nats(&self) -> f32 {
        self.kl_nats + self.kl_selection_bound_nats
    }
}

/// Generates every response of the plan, as [`resume`] does.
///
/// # Errors
/// Same as [`resume`].
pub fn run(
    pack: &Pack,
    plan: &Plan,
    is_stopped: &dyn Fn() -> bool,
    on_sample: &mut dyn FnMut(Sample),
) -> Result<bool, SweepError> {
    resume(pack, &SweepResults::new(plan.clone()), is_stopped, on_sample)
}

/// Generates every response that `so_far` lacks after one prefill of the prompt. Calls `on_sample`
/// with each finished response. Calls `is_stopped` between any two forward passes. Once it is true, the
/// unfinished response is dropped. Returns whether all responses of the plan were generated.
///
/// # Errors
/// Fails if the plan is invalid, the prompt cannot be continued, or the pack has no guide for it.
pub fn resume(
    pack: &Pack,
    so_far: &SweepResults,
    is_stopped: &dyn Fn() -> bool,
    on_sample: &mut dyn FnMut(Sample),
) -> Result<bool, SweepError> {
    let plan = &so_far.plan;
    plan.check()?;
    let time = plan.local_time.unwrap_or_else(LocalTime::now);
    let reading = PromptOptions { special_tokens: plan.settings.special_tokens, time };
    let mut prompts = PromptCache::new(pack, &plan.prompt, reading);
    let prompt = prompts.prefilled(&plan.settings.instructions())?;
    let prompt_read = (plan.prompt.as_str(), prompt);
    // The curves share the response at the chosen settings, so it is generated once per seed.
    let mut shared: Vec<(Settings, Sample)> = Vec::new();
    for task in plan.tasks() {
        let settings = plan.settings_of(task);
        let done = so_far.sample(task);
        let known = shared.iter().find(|(s, _)| *s == settings);
        let sample = match (done, known) {
            (Some(done), _) => done.clone(),
            (None, Some((_, sample))) => {
                Sample { axis: task.axis, setting: task.setting, ..sample.clone() }
            }
            (None, None) => match respond(pack, prompt_read, Arm::Ivg, &settings, is_stopped)? {
                Some(trace) => Sample::new(task, &trace),
                None => return Ok(false),
            },
        };
        if task.axis.value_in(&plan.settings) == task.setting {
            shared.push((settings, sample.clone()));
        }
        if done.is_none() {
            on_sample(sample);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: PackCapabilities = PackCapabilities { pair: true, value: true, judge: true };

    #[test]
    fn tasks_run_all_values_at_one_seed_before_the_next() {
        let settings = Settings { seed: 7, ..Settings::default() };
        let plan = Plan::new(ALL, "A", &settings, 3).expect("a plan");
        let tasks: Vec<Task> = plan.tasks().collect();
        assert_eq!((tasks.len(), plan.len()), (63, 63));
        assert!(tasks[..21].iter().all(|t| t.seed == 7));
        let axes: Vec<SweepAxis> = tasks.iter().map(|t| t.axis).collect();
        assert!(axes[..7].iter().all(|d| *d == SweepAxis::Beta));
        assert!(axes[7..14].iter().all(|d| *d == SweepAxis::Lambda));
        assert!(axes[14..21].iter().all(|d| *d == SweepAxis::ChunkTokens));
        for (first, later) in tasks[..21].iter().zip(&tasks[21..42]) {
            assert_eq!((first.axis, first.setting), (later.axis, later.setting));
            assert_eq!(later.seed, 1_000_007);
        }
        // The largest seed wraps around.
        let last = Settings { seed: u64::MAX, ..Settings::default() };
        let plan = Plan::new(ALL, "A", &last, 2).expect("a plan");
        assert_ne!(plan.seed(1), plan.seed(0));
    }

    #[test]
    fn a_plan_leaves_out_settings_that_do_not_apply() {
        let single = Settings { beams: 1, successors: 1, ..Settings::default() };
        let plan = Plan::new(ALL, "A", &single, 4).expect("a plan");
        assert_eq!((plan.axes, plan.measure), (vec![SweepAxis::Beta], Measure::Gold));
        assert_eq!(plan.skipped.len(), 2);
        let no_judge = PackCapabilities { judge: false, ..ALL };
        let plan = Plan::new(no_judge, "A", &Settings::default(), 4).expect("a plan");
        assert_eq!((plan.axes.len(), plan.measure), (3, Measure::Value));
    }

    #[test]
    fn rejects_a_plan_without_results() {
        let error = |can, settings: &Settings, repeats| {
            Plan::new(can, "A", settings, repeats).expect_err("an invalid plan").to_string()
        };
        let chosen = Settings::default();
        let none = PackCapabilities { pair: false, value: false, judge: true };
        assert!(error(none, &chosen, 4).contains("no tuned/untuned pair"));
        let unmeasured = PackCapabilities { pair: true, value: false, judge: false };
        assert!(error(unmeasured, &chosen, 4).contains("cannot measure"));
        assert!(error(ALL, &chosen, 0).contains("choose 1 to 64"));
        let bad = Settings { beta: f32::NAN, ..chosen };
        assert!(error(ALL, &bad, 4).contains("β is NaN"));
    }
}
