//! Evals: generate and judge responses of several arms to many prompts, to measure the benefit and
//! the cost of guidance.

mod record;
mod store;
mod summary;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use record::Record;
pub use store::Resumed;
pub use store::Store;
pub use summary::ArmSummary;
pub use summary::Summary;

use super::respond;
use crate::bounded_read::read_all;
use crate::guidance::GuidanceError;
use crate::guidance::settings::{Arm, Settings, ValueSource};
use crate::local_time::LocalTime;
use crate::packs::{MAX_PROMPTS_BYTES, Pack, PackError, PromptCache, PromptOptions};

/// Maximum number of seeds, and distance between the sampling seeds of consecutive prompts.
pub const MAX_SEEDS: u64 = 1000;

/// Reads a file of prompts, which may be a pipe.
///
/// # Errors
/// Fails if the file cannot be read or is longer than 64 MiB.
pub fn read_prompts(file: &Path) -> std::io::Result<String> {
    read_all(File::open(file)?, MAX_PROMPTS_BYTES)
}

/// An error that prevents or ends an eval.
#[derive(Debug, Error)]
pub enum EvalError {
    /// The folder already holds results of the same plan.
    #[error(
        "{} already holds an eval; continue it with --resume, or choose another folder with --out",
        .folder.display()
    )]
    Exists {
        /// Path of the folder.
        folder: PathBuf,
    },
    /// The folder holds results of another plan.
    #[error(
        "{} holds an eval of other settings ({difference}); choose another folder with --out",
        .folder.display()
    )]
    OtherPlan {
        /// Path of the folder.
        folder: PathBuf,
        /// The first field that differs.
        difference: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .file.display())]
    File {
        /// Path of the file.
        file: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file of the folder is missing or has invalid content.
    #[error("{}: {reason}", .file.display())]
    Damaged {
        /// Path of the file.
        file: PathBuf,
        /// The problem and how to solve it.
        reason: String,
    },
    /// A prompt cannot be continued.
    #[error("prompt {number} ({prompt:?}): {source}")]
    Prompt {
        /// Number of the prompt, counted from 1.
        number: usize,
        /// The first characters of the prompt.
        prompt: String,
        /// The error.
        source: Box<GuidanceError>,
    },
    /// The files of the pack cannot be read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The plan has no arm, seed or prompt.
    #[error("the eval has no {0}; specify at least one")]
    EmptyPlan(&'static str),
}

/// A way of decoding in an eval: the arms of [`Arm`], and chunk guidance by implicit values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvalArm {
    /// The base model alone.
    Base,
    /// Best-of-N: W·K whole responses, of which the one with the highest value is kept.
    BestOfN,
    /// Token guidance alone.
    Token,
    /// Chunk guidance alone, by `Settings::value_source`.
    Chunk,
    /// Chunk guidance alone, by implicit values.
    ChunkImplicit,
    /// Token and chunk guidance.
    Ivg,
    /// The base with the instructions of the steers in its prompt.
    PromptOnly,
}

impl EvalArm {
    /// Every arm, in the order of tables.
    pub const ALL: [EvalArm; 7] = [
        EvalArm::Base,
        EvalArm::BestOfN,
        EvalArm::Token,
        EvalArm::Chunk,
        EvalArm::ChunkImplicit,
        EvalArm::Ivg,
        EvalArm::PromptOnly,
    ];

    /// Returns the name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            EvalArm::ChunkImplicit => "chunk-implicit",
            _ => self.arm().name(),
        }
    }

    /// Returns the label for tables. `settings` are the settings of the plan.
    pub fn label(self, settings: &Settings) -> String {
        let rows = settings.beams * settings.successors;
        match self {
            EvalArm::Base => "base".into(),
            EvalArm::BestOfN => format!("best of {rows}"),
            EvalArm::Token => {
                let steers = settings.active_steers().map(|steer| steer.beta);
                let steers: String = steers.map(|beta| format!(", sentence {beta}")).collect();
                let pair = if settings.beta == 0.0 && !steers.is_empty() {
                    String::new()
                } else {
                    format!(", β {}", settings.beta)
                };
                format!("token only{pair}{steers}")
            }
            EvalArm::Chunk if settings.value_source == ValueSource::Explicit => {
                "chunk only, explicit value".into()
            }
            EvalArm::Chunk | EvalArm::ChunkImplicit => "chunk only, implicit value".into(),
            EvalArm::Ivg => "IVG".into(),
            EvalArm::PromptOnly => "prompt only".into(),
        }
    }

    /// Checks whether the pack has the models for this arm.
    pub fn is_possible(self, pack: &Pack, settings: &Settings) -> bool {
        let (has_pair, has_value) = (pack.models.pair.is_some(), pack.models.value.is_some());
        let missing = self.arm().missing_guide(&self.settings(settings), has_pair, has_value);
        let guides_tokens = settings.has_token_guide(has_pair, has_value);
        // Without a token guide, IVG would equal chunk guidance alone.
        missing.is_none() && (guides_tokens || self != EvalArm::Ivg)
    }

    fn arm(self) -> Arm {
        match self {
            EvalArm::Base => Arm::Base,
            EvalArm::BestOfN => Arm::BestOfN,
            EvalArm::Token => Arm::Token,
            EvalArm::Chunk | EvalArm::ChunkImplicit => Arm::Chunk,
            EvalArm::Ivg => Arm::Ivg,
            EvalArm::PromptOnly => Arm::PromptOnly,
        }
    }

    fn settings(self, chosen: &Settings) -> Settings {
        match self {
            EvalArm::ChunkImplicit => {
                Settings { value_source: ValueSource::Implicit, ..chosen.clone() }
            }
            _ => chosen.clone(),
        }
    }
}

impl FromStr for EvalArm {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let arm = EvalArm::ALL.into_iter().find(|arm| arm.name() == s);
        let known = || EvalArm::ALL.map(EvalArm::name).join(", ");
        arm.ok_or_else(|| format!("unknown arm '{s}'; choose one of {}", known()))
    }
}

/// The input of an eval: everything that determines its responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the program.
    pub program: String,
    /// Name of the pack.
    pub pack: String,
    /// Checksum of the weights, from [`Pack::fingerprint`].
    pub weights_crc32: u32,
    /// The settings. Each arm uses those that apply to it.
    pub settings: Settings,
    /// The arms that respond to every prompt.
    pub arms: Vec<EvalArm>,
    /// Responses of every arm to every prompt, with seeds 1 to `seeds`.
    pub seeds: u64,
    /// The prompts as typed.
    pub prompts: Vec<String>,
    /// Time passed to the chat templates; `None` if no template uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_time: Option<LocalTime>,
}

impl Plan {
    /// Creates a plan for this program version and `pack`.
    ///
    /// # Errors
    /// Fails if there is no arm, seed or prompt, or the weights cannot be read.
    pub fn new(
        pack: &Pack,
        settings: Settings,
        arms: Vec<EvalArm>,
        seeds: u64,
        prompts: Vec<String>,
    ) -> Result<Self, EvalError> {
        for (is_empty, what) in
            [(arms.is_empty(), "arm"), (seeds == 0, "seed"), (prompts.is_empty(), "prompt")]
        {
            if is_empty {
                return Err(EvalError::EmptyPlan(what));
            }
        }
        Ok(Self {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pack: pack.manifest.name.clone(),
            weights_crc32: pack.fingerprint()?,
            settings,
            arms,
            seeds,
            prompts,
            local_time: pack.uses_time().then(LocalTime::now),
        })
    }

    /// Returns this plan with the time of `stored`, so that an eval can be resumed on another day.
    #[must_use]
    fn at_time_of(&self, stored: Option<&Plan>) -> Self {
        let time = stored.and_then(|plan| plan.local_time).filter(|_| self.local_time.is_some());
        Self { local_time: time.or(self.local_time), ..self.clone() }
    }

    /// Returns the total number of responses.
    pub fn texts(&self) -> usize {
        self.prompts.len() * self.seeds as usize * self.arms.len()
    }

    /// Checks whether `record` is a response of this plan.
    pub fn contains(&self, record: &Record) -> bool {
        self.arms.contains(&record.arm)
            && (1..=self.seeds).contains(&record.seed)
            && self.prompts.get(record.prompt_index) == Some(&record.prompt)
    }

    /// Describes the first field in which `stored` differs. Returns `None` if the plans are equal.
    fn difference(&self, stored: &Plan) -> Option<String> {
        let fields = |plan: &Plan| serde_json::to_value(plan).ok();
        let (ours, theirs) = (fields(self)?, fields(stored)?);
        first_difference("", &ours, &theirs)
    }
}

fn first_difference(
    name: &str,
    ours: &serde_json::Value,
    theirs: &serde_json::Value,
) -> Option<String> {
    use serde_json::Value;
    match (ours, theirs) {
        _ if ours == theirs => None,
        (Value::Object(a), Value::Object(b)) => a.iter().find_map(|(key, value)| {
            first_difference(key, value, b.get(key).unwrap_or(&Value::Null))
        }),
        (Value::Array(a), Value::Array(b)) if a.len() != b.len() => {
            Some(format!("{} {name} in the folder, {} in this run", b.len(), a.len()))
        }
        (Value::Array(a), Value::Array(b)) => {
            let at = a.iter().zip(b).position(|(a, b)| a != b)?;
            Some(format!("{name}: {} in the folder, {} in this run", b[at], a[at]))
        }
        _ => Some(format!("{name}: {theirs} in the folder, {ours} in this run")),
    }
}

/// Generates every response of the plan that is not in `done`. Calls `on_record` with each finished
/// response. Stops early, without an error, once `is_stopped` returns true.
///
/// # Errors
/// Fails if a prompt cannot be continued or `on_record` fails.
pub fn run(
    pack: &Pack,
    plan: &Plan,
    done: &[Record],
    is_stopped: &dyn Fn() -> bool,
    on_record: &mut dyn FnMut(Record) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let done: HashSet<_> = done.iter().map(Record::key).collect();
    for (index, prompt) in plan.prompts.iter().enumerate() {
        let failed = |source: GuidanceError| EvalError::Prompt {
            number: index + 1,
            prompt: prompt.chars().take(40).collect(),
            source: Box::new(source),
        };
        let seeds = 1..=plan.seeds;
        let all = seeds.flat_map(|seed| plan.arms.iter().map(move |&arm| (arm, index, seed)));
        let missing: Vec<_> = all.filter(|key| !done.contains(key)).collect();
        if missing.is_empty() {
            continue;
        }
        let time = plan.local_time.unwrap_or_else(LocalTime::now);
        let reading = PromptOptions { special_tokens: plan.settings.special_tokens, time };
        let mut prompts = PromptCache::new(pack, prompt, reading);
        for (arm, _, seed) in missing {
            let settings = Settings { seed: sampling_seed(index, seed), ..plan.settings.clone() };
            let chosen = arm.settings(&settings);
            let instructions = arm.arm().apply(&chosen).instructions();
            let prefilled = prompts.prefilled(&instructions).map_err(failed)?;
            let prompt_read = (prompt.as_str(), prefilled);
            let response = respond(pack, prompt_read, arm.arm(), &chosen, is_stopped);
            let Some(trace) = response.map_err(failed)? else { return Ok(()) };
            on_record(Record::new(arm, index, prompt, seed, &trace))?;
        }
    }
    Ok(())
}

/// Returns a sampling seed that no other prompt uses. If prompts shared seeds, their responses
/// would be correlated, and the confidence interval over prompts would be too narrow.
fn sampling_seed(prompt_index: usize, seed: u64) -> u64 {
    prompt_index as u64 * MAX_SEEDS + seed
}
