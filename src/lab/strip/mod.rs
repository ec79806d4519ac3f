//! The strength strip: one prompt at seven strengths of β, then of λ, then of L, each judged, so
//! that what guidance buys (gold reward) can be drawn against what it costs (KL from the base).

mod curve;
mod dial;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use curve::{Curve, Point, Strip};
pub use dial::{Abilities, Dial};

use super::respond;
use crate::guidance::settings::{Arm, SettingError, Settings, infinite};
use crate::guidance::trace::ArmTrace;
use crate::guidance::{GuidanceError, Prefilled};
use crate::local_time::LocalTime;
use crate::packs::{Pack, Reading};

/// Responses at every setting, unless another number is asked for.
pub const REPEATS: u64 = 4;
/// Most of them.
pub const MAX_REPEATS: u64 = 64;
/// From one seed of a strip to the next: further than the seeds that people try by hand, so that
/// the strip of the next seed shares no text with this one.
const SEED_STRIDE: u64 = 1_000_000;

/// Why there is no strip.
#[derive(Debug, Error)]
pub enum StripError {
    /// No dial applies; the reason is the first one's.
    #[error("nothing to turn: {0}; choose another pack")]
    NothingApplies(&'static str),
    /// Texts that nothing measures.
    #[error(
        "nothing in this pack measures a text: it has no judge and not the models of the chosen \
         value; choose another pack"
    )]
    NothingMeasures,
    /// A number of responses that is not allowed.
    #[error("{0} responses at every setting; choose 1 to {MAX_REPEATS}")]
    Repeats(u64),
    /// A setting out of range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A run that cannot begin or go on.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
}

/// What the height of a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Gold reward, by a judge that guides nothing.
    Gold,
    /// The value V of the response: what the search itself aims at, for packs without a judge.
    Value,
}

impl Measure {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Gold => "gold",
            Measure::Value => "value",
        }
    }

    fn of(self, sample: &Sample) -> Option<f32> {
        match self {
            Measure::Gold => sample.gold_reward,
            Measure::Value => sample.value,
        }
    }
}

/// A dial that is not turned, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The dial.
    pub dial: Dial,
    /// One sentence.
    pub reason: &'static str,
}

/// Everything that decides what a strip shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The prompt as typed.
    pub prompt: String,
    /// The settings of the IVG arm; a dial turns one of them and holds the others.
    pub settings: Settings,
    /// Responses at every setting, each at a seed of its own.
    pub repeats: u64,
    /// What is drawn upwards.
    pub measure: Measure,
    /// The dials that are turned, in this order.
    pub dials: Vec<Dial>,
    /// The others.
    pub left_out: Vec<LeftOut>,
    /// The time that chat templates are told; none is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_time: Option<LocalTime>,
}

/// One response of a plan, still to be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// What is turned.
    pub dial: Dial,
    /// To where.
    pub setting: f32,
    /// What the sampler is keyed with.
    pub seed: u64,
}

impl Plan {
    /// A strip of everything that these models and settings allow to turn.
    ///
    /// # Errors
    /// A setting out of range, no response asked for, nothing to turn, nothing to measure with.
    pub fn new(
        can: Abilities,
        prompt: &str,
        settings: &Settings,
        repeats: u64,
    ) -> Result<Self, StripError> {
        let (mut dials, mut left_out) = (Vec::new(), Vec::new());
        for dial in Dial::ALL {
            match dial.why_not(settings, can) {
                None => dials.push(dial),
                Some(reason) => left_out.push(LeftOut { dial, reason }),
            }
        }
        let measure = match (can.judge, can.value_of(settings)) {
            (true, _) => Measure::Gold,
            (false, true) => Measure::Value,
            (false, false) => return Err(StripError::NothingMeasures),
        };
        let (prompt, settings) = (prompt.to_owned(), settings.clone());
        let plan = Self { prompt, settings, repeats, measure, dials, left_out, local_time: None };
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), StripError> {
        self.settings.validate()?;
        if !(1..=MAX_REPEATS).contains(&self.repeats) {
            return Err(StripError::Repeats(self.repeats));
        }
        if self.dials.is_empty() {
            let reason = self.left_out.first().map_or("no dial is named", |l| l.reason);
            return Err(StripError::NothingApplies(reason.trim_end_matches('.')));
        }
        Ok(())
    }

    /// The seed of a repetition, counted from 0: `generate --seed` repeats its texts with it.
    pub fn seed(&self, repetition: u64) -> u64 {
        self.settings.seed.wrapping_add(repetition.wrapping_mul(SEED_STRIDE))
    }

    /// Every response, in the order in which they are made: all settings of all dials at the
    /// first seed, so that whole curves stand soon, then all of them again at the next.
    pub fn tasks(&self) -> impl Iterator<Item = Task> + '_ {
        (0..self.repeats).map(|repetition| self.seed(repetition)).flat_map(move |seed| {
            self.dials.iter().flat_map(move |&dial| {
                let values = dial.values(&self.settings).into_iter();
                values.map(move |setting| Task { dial, setting, seed })
            })
        })
    }

    /// Responses in all.
    pub fn len(&self) -> usize {
        let points: usize = self.dials.iter().map(|d| d.values(&self.settings).len()).sum();
        points * self.repeats as usize
    }

    /// Whether there is nothing to make.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn settings_of(&self, task: Task) -> Settings {
        Settings { seed: task.seed, ..task.dial.turned(&self.settings, task.setting) }
    }
}

/// One finished and judged response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What was turned.
    pub dial: Dial,
    /// To where.
    #[serde(with = "infinite")]
    pub setting: f32,
    /// What the sampler was keyed with.
    pub seed: u64,
    /// The response, without the prompt.
    pub text: String,
    /// Gold reward of prompt and response; none without a judge.
    pub gold_reward: Option<f32>,
    /// V(x, y) of the response; none if the pack cannot give one.
    pub value: Option<f32>,
    /// KL(guided ‖ base) summed over the tokens, in nats.
    pub kl_nats: f32,
    /// [`ArmTrace::kl_selection_bound_nats`].
    pub kl_selection_bound_nats: f32,
    /// Tokens of the response.
    pub tokens: usize,
    /// Perplexity of the response under the base; none for an empty response.
    pub base_perplexity: Option<f32>,
    /// Time, in milliseconds.
    pub elapsed_ms: f64,
}

impl Sample {
    fn new(task: Task, trace: &ArmTrace) -> Self {
        Self {
            dial: task.dial,
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

    /// Most that the divergence from the base can be, tokens and choice together, in nats.
    pub fn kl_bound_nats(&self) -> f32 {
        self.kl_nats + self.kl_selection_bound_nats
    }
}

/// Makes every response of the plan from one reading of the prompt. `on_sample` takes each as it
/// is finished. `is_stopped` is asked between any two forward passes; a response that is not
/// finished then is dropped. True if the plan was done to its end.
///
/// # Errors
/// A prompt that cannot be continued, guidance that the pack cannot give.
pub fn run(
    pack: &Pack,
    plan: &Plan,
    is_stopped: &dyn Fn() -> bool,
    on_sample: &mut dyn FnMut(Sample),
) -> Result<bool, StripError> {
    plan.check()?;
    let time = plan.local_time.unwrap_or_else(LocalTime::now);
    let reading = Reading { special_tokens: plan.settings.special_tokens, time };
    let prompt = Prefilled::new(&pack.models, &pack.prompts(&plan.prompt, reading)?)?;
    let prompt_read = (plan.prompt.as_str(), &prompt);
    // Where a dial passes the setting that was chosen, it meets the other dials there: the same
    // response again, which need not be made again.
    let mut met: Vec<(Settings, Sample)> = Vec::new();
    for task in plan.tasks() {
        let settings = plan.settings_of(task);
        let known = met.iter().find(|(s, _)| *s == settings);
        let sample = match known {
            Some((_, sample)) => {
                Sample { dial: task.dial, setting: task.setting, ..sample.clone() }
            }
            None => match respond(pack, prompt_read, Arm::Ivg, &settings, is_stopped)? {
                Some(trace) => Sample::new(task, &trace),
                None => return Ok(false),
            },
        };
        if task.dial.of(&plan.settings) == task.setting {
            met.push((settings, sample.clone()));
        }
        on_sample(sample);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Abilities = Abilities { pair: true, value: true, judge: true };

    #[test]
    fn curves_stand_after_the_first_seed_and_are_averaged_after_it() {
        let settings = Settings { seed: 7, ..Settings::default() };
        let plan = Plan::new(ALL, "A", &settings, 3).expect("a plan");
        let tasks: Vec<Task> = plan.tasks().collect();
        assert_eq!((tasks.len(), plan.len()), (63, 63));
        assert!(tasks[..21].iter().all(|t| t.seed == 7));
        let dials: Vec<Dial> = tasks.iter().map(|t| t.dial).collect();
        assert!(dials[..7].iter().all(|d| *d == Dial::Beta));
        assert!(dials[7..14].iter().all(|d| *d == Dial::Lambda));
        assert!(dials[14..21].iter().all(|d| *d == Dial::ChunkTokens));
        for (first, later) in tasks[..21].iter().zip(&tasks[21..42]) {
            assert_eq!((first.dial, first.setting), (later.dial, later.setting));
            assert_eq!(later.seed, 1_000_007);
        }
        // Whatever the seed, there is a next one.
        let last = Settings { seed: u64::MAX, ..Settings::default() };
        let plan = Plan::new(ALL, "A", &last, 2).expect("a plan");
        assert_ne!(plan.seed(1), plan.seed(0));
    }

    #[test]
    fn a_plan_leaves_out_what_cannot_apply() {
        let single = Settings { beams: 1, successors: 1, ..Settings::default() };
        let plan = Plan::new(ALL, "A", &single, 4).expect("a plan");
        assert_eq!((plan.dials, plan.measure), (vec![Dial::Beta], Measure::Gold));
        assert_eq!(plan.left_out.len(), 2);
        let unjudged = Abilities { judge: false, ..ALL };
        let plan = Plan::new(unjudged, "A", &Settings::default(), 4).expect("a plan");
        assert_eq!((plan.dials.len(), plan.measure), (3, Measure::Value));
    }

    #[test]
    fn a_plan_that_would_show_nothing_is_refused_in_words() {
        let refused = |can, settings: &Settings, repeats| {
            Plan::new(can, "A", settings, repeats).expect_err("refused").to_string()
        };
        let chosen = Settings::default();
        let none = Abilities { pair: false, value: false, judge: true };
        assert!(refused(none, &chosen, 4).contains("no tuned/untuned pair"));
        let unmeasured = Abilities { pair: true, value: false, judge: false };
        assert!(refused(unmeasured, &chosen, 4).contains("measures"));
        assert!(refused(ALL, &chosen, 0).contains("choose 1 to 64"));
        let bad = Settings { beta: f32::NAN, ..chosen };
        assert!(refused(ALL, &bad, 4).contains("β is NaN"));
    }
}
