//! Many prompts through several arms, judged: how far guidance aligns, and what it costs.

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
pub use store::{Resumed, Store};
pub use summary::{ArmSummary, Summary};

use super::respond;
use crate::guidance::settings::{Arm, Settings, ValueSource};
use crate::guidance::{GuidanceError, Prefilled};
use crate::local_time::LocalTime;
use crate::packs::{MAX_PROMPTS_BYTES, Pack, PackError, Reading};
use crate::text::read_all;

/// Most seeds: so far apart are the sampling seeds of neighbouring prompts.
pub const MAX_SEEDS: u64 = 1000;

/// What a file of prompts that a person names holds; it may be a pipe.
///
/// # Errors
/// What the system says; a text that does not end.
pub fn read_prompts(file: &Path) -> std::io::Result<String> {
    read_all(File::open(file)?, MAX_PROMPTS_BYTES)
}

/// Why an eval could not go on.
#[derive(Debug, Error)]
pub enum EvalError {
    /// The folder holds results already.
    #[error(
        "{} already holds an eval; go on with it by --resume, or name another folder with --out",
        .folder.display()
    )]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds results of something else.
    #[error(
        "{} holds an eval of other settings ({difference}); name another folder with --out",
        .folder.display()
    )]
    Other {
        /// The folder.
        folder: PathBuf,
        /// The first setting that differs.
        difference: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that is not what an eval has written.
    #[error("{}: {reason}", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// One prompt cannot be continued.
    #[error("prompt {number} ({prompt:?}): {source}")]
    Prompt {
        /// Counted from 1.
        number: usize,
        /// Its first characters.
        prompt: String,
        /// What is wrong.
        source: Box<GuidanceError>,
    },
    /// The pack cannot be read again.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Nothing to do.
    #[error("no {0}; name at least one")]
    Nothing(&'static str),
}

/// A way of decoding, as compared here: chunk guidance stands twice, with either value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvalArm {
    /// The base model alone.
    Base,
    /// W·K whole responses, the one with the highest value kept.
    BestOfN,
    /// Token guidance alone.
    Token,
    /// Chunk guidance alone, by the value the settings name.
    Chunk,
    /// Chunk guidance alone, by implicit values.
    ChunkImplicit,
    /// Both.
    Ivg,
}

impl EvalArm {
    /// Every arm, in the order of tables.
    pub const ALL: [EvalArm; 6] = [
        EvalArm::Base,
        EvalArm::BestOfN,
        EvalArm::Token,
        EvalArm::Chunk,
        EvalArm::ChunkImplicit,
        EvalArm::Ivg,
    ];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            EvalArm::ChunkImplicit => "chunk-implicit",
            _ => self.arm().name(),
        }
    }

    /// For people, at these settings.
    pub fn label(self, settings: &Settings) -> String {
        let rows = settings.beams * settings.successors;
        match self {
            EvalArm::Base => "base".into(),
            EvalArm::BestOfN => format!("best of {rows}"),
            EvalArm::Token => format!("token only, β {}", settings.beta),
            EvalArm::Chunk if settings.value_source == ValueSource::Explicit => {
                "chunk only, explicit value".into()
            }
            EvalArm::Chunk | EvalArm::ChunkImplicit => "chunk only, implicit value".into(),
            EvalArm::Ivg => "IVG".into(),
        }
    }

    /// Whether the pack has the models for it.
    pub fn is_possible(self, pack: &Pack, settings: &Settings) -> bool {
        let (has_pair, has_value) = (pack.models.pair.is_some(), pack.models.value.is_some());
        let lack = self.arm().lacks(&self.settings(settings), has_pair, has_value);
        // Without a pair, guidance by both would be that by chunks alone.
        lack.is_none() && (has_pair || self != EvalArm::Ivg)
    }

    fn arm(self) -> Arm {
        match self {
            EvalArm::Base => Arm::Base,
            EvalArm::BestOfN => Arm::BestOfN,
            EvalArm::Token => Arm::Token,
            EvalArm::Chunk | EvalArm::ChunkImplicit => Arm::Chunk,
            EvalArm::Ivg => Arm::Ivg,
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

/// Everything that decides what an eval gives. Two folders of one plan hold the same texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the program.
    pub program: String,
    /// Name of the pack.
    pub pack: String,
    /// [`Pack::fingerprint`].
    pub weights_crc32: u32,
    /// The settings; each arm uses what applies to it.
    pub settings: Settings,
    /// The arms.
    pub arms: Vec<EvalArm>,
    /// Responses of every arm to every prompt: seeds 1 to this.
    pub seeds: u64,
    /// The prompts.
    pub prompts: Vec<String>,
    /// The time that chat templates are told; none where no template asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_time: Option<LocalTime>,
}

impl Plan {
    /// A plan for this program and pack.
    ///
    /// # Errors
    /// Nothing to run, or weights that can no longer be read.
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
                return Err(EvalError::Nothing(what));
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
            local_time: pack.asks_time().then(LocalTime::now),
        })
    }

    /// This plan with the time of `held`, so that an eval can be resumed on another day.
    #[must_use]
    fn at_time_of(&self, held: Option<&Plan>) -> Self {
        let held = held.and_then(|held| held.local_time).filter(|_| self.local_time.is_some());
        Self { local_time: held.or(self.local_time), ..self.clone() }
    }

    /// Texts in all.
    pub fn texts(&self) -> usize {
        self.prompts.len() * self.seeds as usize * self.arms.len()
    }

    /// Whether `record` is one of this plan's texts.
    pub fn contains(&self, record: &Record) -> bool {
        self.arms.contains(&record.arm)
            && (1..=self.seeds).contains(&record.seed)
            && self.prompts.get(record.prompt_index) == Some(&record.prompt)
    }

    /// The first thing in which `other` differs, in words.
    fn difference(&self, other: &Plan) -> Option<String> {
        let fields = |plan: &Plan| serde_json::to_value(plan).ok();
        let (ours, theirs) = (fields(self)?, fields(other)?);
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
            Some(format!("{} {name} there, {} here", b.len(), a.len()))
        }
        (Value::Array(a), Value::Array(b)) => {
            let at = a.iter().zip(b).position(|(a, b)| a != b)?;
            Some(format!("{name}: {} there, {} here", b[at], a[at]))
        }
        _ => Some(format!("{name}: {theirs} there, {ours} here")),
    }
}

/// Generates every text of the plan that `done` does not hold. `on_record` takes each as it is
/// finished; the work ends early, without an error, once `is_stopped` says so.
///
/// # Errors
/// A prompt that cannot be continued, and whatever `on_record` gives.
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
        let reading = Reading { special_tokens: plan.settings.special_tokens, time };
        let prompts = pack.prompts(prompt, reading);
        let prefilled = prompts.and_then(|prompts| Prefilled::new(&pack.models, &prompts));
        let prefilled = prefilled.map_err(failed)?;
        for (arm, _, seed) in missing {
            let settings = Settings { seed: sampling_seed(index, seed), ..plan.settings.clone() };
            let chosen = arm.settings(&settings);
            let prompt_read = (prompt.as_str(), &prefilled);
            let response = respond(pack, prompt_read, arm.arm(), &chosen, is_stopped);
            let Some(trace) = response.map_err(failed)? else { return Ok(()) };
            on_record(Record::new(arm, index, prompt, seed, &trace))?;
        }
    }
    Ok(())
}

/// Sampling seeds of two prompts never meet: with one seed for all, one lucky draw would show in
/// every text, and the interval over prompts would not know.
fn sampling_seed(prompt_index: usize, seed: u64) -> u64 {
    prompt_index as u64 * MAX_SEEDS + seed
}
