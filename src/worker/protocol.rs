//! The commands of the worker and its events.

use crate::guidance::aim::Aim;
use crate::guidance::settings::{Column, Settings};
use crate::guidance::steer::Steer;
use crate::guidance::trace::{ArmTrace, ChunkTrace, TokenTrace, Trace};
use crate::lab::sweep::PackCapabilities;
pub use crate::lab::sweep::{Plan as SweepRequest, Sample, SweepResults};
use crate::local_time::LocalTime;
pub use crate::packs::device::no_gpu_support;
pub use crate::packs::hub::Progress;
pub use crate::packs::{DeviceChoice, PackSource, Story};

/// Number of a run. It increases by one with every run and is part of every event of the run.
pub type RunId = u64;

/// A run of one prompt in one or more columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The prompt as typed. The worker applies the template of every role.
    pub prompt: String,
    /// Time passed to the chat templates; `None` is the current time.
    pub local_time: Option<LocalTime>,
    /// The columns to run together, at least one.
    pub columns: Vec<Column>,
    /// The settings of the columns without pinned settings.
    pub settings: Settings,
}

/// A command from the window to the worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Sets the device of the packs loaded from now on.
    UseDevice(DeviceChoice),
    /// Loads a pack. The previous pack stays in use if this fails.
    LoadPack(PackSource),
    /// Starts a run. A run in progress is stopped first.
    Generate(RunId, Request),
    /// Runs a sweep, see [`crate::lab::sweep`]. Sweeps share the numbers of `Generate` and are
    /// stopped in the same way.
    Sweep(RunId, Box<SweepRequest>),
    /// Generates the responses that a stopped sweep lacks. The pack must be the one that it started
    /// with. Each response is sent like those of `Sweep`.
    ResumeSweep(RunId, Box<SweepResults>),
    /// Stops this run and keeps its text.
    Stop(RunId),
}

/// An event from the worker to the window.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The worker is reading the files of a pack.
    Loading {
        /// The model that is being read, as text for the user.
        what: String,
        /// Fraction read so far, 0 to 1.
        fraction: f32,
    },
    /// Files of the pack are being downloaded from the hub.
    Downloading(Progress),
    /// The pack is loaded and in use.
    Loaded(Box<PackInfo>),
    /// The pack could not be loaded, with the error as one sentence. The previous pack is still in
    /// use.
    LoadFailed {
        /// The pack.
        source: PackSource,
        /// Why, in one sentence.
        message: String,
    },
    /// A run has started: the prompt is prefilled and the arms are ready.
    Started {
        /// Number of the run.
        run: RunId,
    },
    /// One more token of an arm's leading row. Provisional until the next `Chunk` of that arm.
    Token {
        /// Number of the run.
        run: RunId,
        /// Index into the request's columns.
        arm: usize,
        /// The token. Its byte range counts from the start of the response.
        token: TokenTrace,
        /// Cost of the arm so far.
        cost: Cost,
    },
    /// A chunk is finished and its survivors are selected.
    Chunk {
        /// Number of the run.
        run: RunId,
        /// Index into the request's columns.
        arm: usize,
        /// The chunk with all its candidates.
        chunk: ChunkTrace,
        /// All tokens of the leading survivor, from the start of the response. They replace the
        /// tokens of the `Token` events.
        lead: Vec<TokenTrace>,
    },
    /// An arm has ended or was stopped.
    ArmDone {
        /// Number of the run.
        run: RunId,
        /// Index into the request's columns.
        arm: usize,
        /// The trace of the arm.
        trace: Box<ArmTrace>,
    },
    /// All arms have ended or were stopped.
    Done {
        /// Number of the run.
        run: RunId,
        /// The trace of the run, with everything generated so far.
        trace: Box<Trace>,
    },
    /// The run failed. The text shown so far stays on screen.
    Failed {
        /// Number of the run.
        run: RunId,
        /// The error and its remedy, as one sentence.
        message: String,
    },
    /// One response of a sweep is finished.
    SweepPoint {
        /// Number of the run.
        run: RunId,
        /// The measured response.
        sample: Box<Sample>,
    },
    /// A sweep has ended.
    SweepDone {
        /// Number of the run.
        run: RunId,
        /// Whether it was stopped before its end.
        stopped: bool,
    },
    /// A sweep failed. Its finished responses stay on screen.
    SweepFailed {
        /// Number of the run.
        run: RunId,
        /// The error and its remedy, as one sentence.
        message: String,
    },
}

/// The cost of an arm so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Tokens drawn over all rows.
    pub sampled_tokens: usize,
    /// Time spent in this arm, in milliseconds.
    pub elapsed_ms: f64,
}

/// Description of a loaded pack.
#[derive(Debug, Clone, PartialEq)]
pub struct PackInfo {
    /// The source it was loaded from.
    pub source: PackSource,
    /// The pack's name.
    pub name: String,
    /// The pack's description, one sentence.
    pub description: String,
    /// The roles in the pack and their sizes.
    pub roles: Vec<RoleInfo>,
    /// Example prompts for these models.
    pub examples: Vec<String>,
    /// What the guides steer towards.
    pub aim: Option<Aim>,
    /// Stories to present, in order.
    pub stories: Vec<Story>,
    /// Example steers for the base.
    pub steers: Vec<Steer>,
    /// Control tokens of the base, as written in text.
    pub controls: Vec<String>,
    /// Initial settings for this pack.
    pub defaults: Settings,
    /// Maximum number of tokens of prompt and response that fits in the context of every role.
    pub context_tokens: usize,
    /// Name of the device, such as "CPU, 2 threads".
    pub device: String,
    /// A note about the choice of the device, one sentence.
    pub device_note: Option<String>,
    /// Whether the pack has a tuned/untuned pair, which token guidance needs.
    pub has_pair: bool,
    /// Whether the pack has a value model, which explicit chunk guidance needs.
    pub has_value: bool,
    /// Whether the pack has a judge, which scores finished texts.
    pub has_judge: bool,
    /// Whether the base has a place for instructions, see [`Pack::reads_instructions`].
    ///
    /// [`Pack::reads_instructions`]: crate::packs::Pack::reads_instructions
    pub reads_instructions: bool,
}

impl PackInfo {
    /// Returns a control token of the base that is spelled out in `text`.
    pub(crate) fn control_in(&self, text: &str) -> Option<&str> {
        let occurs = |name: &&String| {
            name.chars().next().is_some_and(|first| text.contains(first)) && text.contains(*name)
        };
        self.controls.iter().find(occurs).map(String::as_str)
    }
}

impl From<&PackInfo> for PackCapabilities {
    fn from(pack: &PackInfo) -> Self {
        Self { pair: pack.has_pair, value: pack.has_value, judge: pack.has_judge }
    }
}

/// A role of a pack and the size of its model.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleInfo {
    /// base, untuned, tuned or value.
    pub role: String,
    /// Number of parameters.
    pub parameters: usize,
}
