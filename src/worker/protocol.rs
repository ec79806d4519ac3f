//! What the window and the worker say to each other.

use crate::guidance::settings::{Column, Settings};
use crate::guidance::trace::{ArmTrace, ChunkTrace, TokenTrace, Trace};
use crate::lab::strip::Abilities;
pub use crate::lab::strip::{Plan as SweepRequest, Sample};
use crate::local_time::LocalTime;
pub use crate::packs::device::no_gpu_support;
pub use crate::packs::hub::Progress;
pub use crate::packs::{DeviceChoice, PackSource};

/// Stamped on every event of a run; grows by one a run.
pub type RunId = u64;

/// One prompt, side by side in some columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The prompt as typed; every role's template is applied by the worker.
    pub prompt: String,
    /// The time that chat templates are told; none is now.
    pub local_time: Option<LocalTime>,
    /// The columns to run, together, at least one.
    pub columns: Vec<Column>,
    /// The settings as chosen; a column may have settings of its own.
    pub settings: Settings,
}

/// From the window to the worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Where the packs that are loaded from now on compute.
    UseDevice(DeviceChoice),
    /// Load a pack; the one before stays in use if this fails.
    LoadPack(PackSource),
    /// Start a run; a run in progress is stopped first.
    Generate(RunId, Request),
    /// Run one prompt at many strengths, see [`crate::lab::strip`]. Numbered, and stopped, as the
    /// runs of `Generate` are.
    Sweep(RunId, Box<SweepRequest>),
    /// Stop this run, keeping its text.
    Stop(RunId),
    /// End the thread.
    Shutdown,
}

/// From the worker to the window.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A pack is being read.
    Loading {
        /// What is read now, for people.
        what: String,
        /// 0 to 1.
        fraction: f32,
    },
    /// Files of the pack arrive from the hub.
    Downloading(Progress),
    /// The pack is in use.
    Loaded(PackInfo),
    /// The pack could not be loaded; whatever was loaded before is still in use.
    LoadFailed(String),
    /// A run has begun: prompt read, arms ready.
    Started {
        /// The run.
        run: RunId,
    },
    /// One more token of an arm's leading row. Provisional until the next `Chunk` of that arm.
    Token {
        /// The run.
        run: RunId,
        /// Index into the request's columns.
        arm: usize,
        /// The token, its range counted from the start of the response.
        token: TokenTrace,
        /// Cost so far.
        cost: Cost,
    },
    /// A chunk was decided.
    Chunk {
        /// The run.
        run: RunId,
        /// Index into the request's columns.
        arm: usize,
        /// Every candidate.
        chunk: ChunkTrace,
        /// The tokens of the leading survivor, from the start of the response: replaces what
        /// the `Token` events gave.
        lead: Vec<TokenTrace>,
    },
    /// An arm ended (or was stopped): its final report.
    ArmDone {
        /// The run.
        run: RunId,
        /// Index into the request's columns.
        arm: usize,
        /// The report.
        trace: Box<ArmTrace>,
    },
    /// All arms ended or were stopped. What was generated is in the trace.
    Done {
        /// The run.
        run: RunId,
        /// Everything.
        trace: Box<Trace>,
    },
    /// The run ended with an error; what was shown stays.
    Failed {
        /// The run.
        run: RunId,
        /// One sentence: what is wrong, and what to do.
        message: String,
    },
    /// One response of a sweep is finished.
    SweepPoint {
        /// The run.
        run: RunId,
        /// The response, judged.
        sample: Box<Sample>,
    },
    /// A sweep has ended.
    SweepDone {
        /// The run.
        run: RunId,
        /// Whether it was stopped before its end.
        stopped: bool,
    },
    /// A sweep ended with an error; its points so far stay.
    SweepFailed {
        /// The run.
        run: RunId,
        /// One sentence: what is wrong, and what to do.
        message: String,
    },
}

/// What an arm has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Tokens drawn over all rows.
    pub sampled_tokens: usize,
    /// This arm's own time, in milliseconds.
    pub elapsed_ms: f64,
}

/// What the window needs to know of a loaded pack.
#[derive(Debug, Clone, PartialEq)]
pub struct PackInfo {
    /// Where it was loaded from.
    pub source: PackSource,
    /// Name, for people and files.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Roles present, with their size.
    pub roles: Vec<RoleInfo>,
    /// Prompts that suit these models.
    pub examples: Vec<String>,
    /// Control tokens of the base, as they are written out.
    pub controls: Vec<String>,
    /// Where the sliders start with this pack.
    pub defaults: Settings,
    /// Longest prompt + response, in tokens, that every role can read.
    pub context_tokens: usize,
    /// Device in words, such as "CPU, 2 threads".
    pub device: String,
    /// What is to be said of how it was chosen: one sentence.
    pub device_note: Option<String>,
    /// Has a tuned/untuned pair: token guidance applies.
    pub has_pair: bool,
    /// Has a value model: explicit chunk guidance applies.
    pub has_value: bool,
    /// Has a gold judge: finished texts are measured.
    pub has_judge: bool,
}

impl PackInfo {
    /// A control token of the base that is written out in `text`.
    pub fn control_in(&self, text: &str) -> Option<&str> {
        let is_there = |name: &&String| {
            name.chars().next().is_some_and(|first| text.contains(first)) && text.contains(*name)
        };
        self.controls.iter().find(is_there).map(String::as_str)
    }
}

impl From<&PackInfo> for Abilities {
    fn from(pack: &PackInfo) -> Self {
        Self { pair: pack.has_pair, value: pack.has_value, judge: pack.has_judge }
    }
}

/// One model of a pack.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleInfo {
    /// base, untuned, tuned, value.
    pub role: String,
    /// Parameters.
    pub parameters: usize,
}
