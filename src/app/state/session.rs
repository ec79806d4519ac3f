//! The running session: applies the events of the worker to the state that the panels draw. It is
//! lost when the window closes. [`crate::app::state::preferences`] is stored.

use std::ops::RangeInclusive;

use crate::format::sentence;
use crate::guidance::settings::{Arm, Column};
use crate::guidance::trace::{ArmTrace, ChunkTrace, StopReason, TokenTrace, Trace};
use crate::worker::protocol::{Cost, Event, PackInfo, Request, RunId};

/// The remaining time is not shown for runs that take less than this in total.
const MIN_ESTIMATE_MS: f64 = 1000.0;

/// The state that the panels draw.
#[derive(Debug, Default)]
pub struct Session {
    /// The pack in use.
    pub pack: Option<PackInfo>,
    /// The run shown: the one in progress, or the last one.
    pub run: Option<Run>,
    /// The sentence shown in the error bar.
    pub error: Option<String>,
    /// The notice shown in the status bar for a few seconds.
    pub notice: Option<Notice>,
    /// Whether the pack in use has not run yet.
    pub(in crate::app) has_new_pack: bool,
}

/// A notice about a completed action.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The text of the notice.
    pub words: String,
    /// Whether the action can be undone.
    pub undo: bool,
    /// The time at which the notice disappears, in seconds of egui's clock.
    pub until: f64,
}

/// The origin of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Run in this session.
    Own,
    /// The recorded example that comes with the program.
    Example,
    /// A past run: its name in the history, or the name of its file.
    Past(String),
}

/// Progress of loading or downloading.
#[derive(Debug, Clone, PartialEq)]
pub struct Loading {
    /// The part being loaded.
    pub what: String,
    /// The share that is done, from 0 to 1.
    pub fraction: f32,
}

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Requested; the worker has not started it.
    Starting,
    /// The worker generates tokens.
    Generating,
    /// A stop was sent to the worker.
    Stopping,
    /// All arms ended without being stopped.
    Finished,
    /// The user stopped it.
    Stopped,
    /// It ended with an error.
    Failed,
}

/// A run and its results so far.
#[derive(Debug)]
pub struct Run {
    /// Number of the run. Events with another number are ignored.
    pub id: RunId,
    /// The prompt, columns and settings.
    pub request: Request,
    /// The current phase.
    pub phase: Phase,
    /// Whether it ran in this session or was opened.
    pub origin: Origin,
    /// The arms, in the order of the requested columns.
    pub arms: Vec<ArmView>,
    /// The trace of the finished run. `None` while it runs, and if it failed.
    pub trace: Option<Box<Trace>>,
    /// The column that each arm of the worker belongs to. Columns that keep the result of an
    /// earlier run have no arm.
    pub(super) column_of: Vec<usize>,
    /// The traces of the runs added beside it, with the arms that are shown.
    pub beside: Vec<Trace>,
    /// Whether the user has closed the bar that names its pack.
    pub(crate) is_pack_bar_closed: bool,
    /// Lowest and highest value so far. The range never shrinks.
    value_range: Option<(f32, f32)>,
}

/// The state of one arm.
#[derive(Debug)]
pub struct ArmView {
    /// The prompt that the response continues.
    pub prompt: String,
    /// Name of the pack that it ran with.
    pub pack: String,
    /// The report. It grows while the arm runs and is final when `done` is set.
    pub report: ArmTrace,
    /// Number of tokens of the report that are decided by a chunk. The rest is provisional.
    pub(crate) decided: usize,
    /// Whether the report is final.
    pub done: bool,
    /// The response of the previous run, shown dimmed until this run is longer.
    pub(crate) ghost: Ghost,
}

/// The part of the previous run that is still shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ghost {
    /// Its text.
    pub(crate) text: String,
    /// Its chunks, plotted until this run has a chunk.
    pub(crate) chunks: Vec<ChunkTrace>,
}

impl Session {
    /// Begins a run. If the prompt is the same, the text of the previous run stays, dimmed, until
    /// the new text is longer.
    pub fn begin(&mut self, id: RunId, request: Request) {
        let previous = self.run.take().filter(|r| r.request.prompt == request.prompt);
        let pack = self.pack.as_ref().map(|pack| pack.name.clone()).unwrap_or_default();
        let arms = request.columns.iter().enumerate().map(|(i, column)| {
            let old = previous.as_ref().and_then(|r| r.arms.get(i));
            // The previous text is kept only for the same kind of arm.
            let old = old.filter(|view| view.report.name == column.arm);
            let ghost = old.map(ArmView::to_ghost).unwrap_or_default();
            ArmView::new(column, &request, pack.clone(), ghost)
        });
        let arms = arms.collect();
        // Values of another pack or of another value source are on another scale.
        let is_new = std::mem::take(&mut self.has_new_pack);
        let kind = |request: &Request| request.settings.value_source;
        let comparable = previous.filter(|r| !is_new && kind(&r.request) == kind(&request));
        let value_range = comparable.and_then(|r| r.value_range);
        let mut run = Run::new(id, request, Phase::Starting, Origin::Own, arms);
        run.value_range = value_range;
        self.run = Some(run);
    }

    /// Shows a past run. `id` must be a new number, so that layouts cached for other runs are not
    /// used for it. `columns` are the columns of the run.
    pub fn show(&mut self, id: RunId, trace: Trace, columns: Vec<Column>, origin: Origin) {
        let request = Request {
            prompt: trace.prompt.clone(),
            local_time: trace.local_time,
            columns,
            settings: trace.settings.clone(),
        };
        let arms = trace.arms.iter().zip(&request.columns);
        let arms = arms.map(|(report, _)| ArmView::completed(report, &trace)).collect();
        let mut run = Run::new(id, request, Phase::Finished, origin, arms);
        run.finish(Box::new(trace));
        self.run = Some(run);
    }

    /// Records that a stop was sent to the worker.
    pub fn stopping(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|r| r.is_active()) {
            run.phase = Phase::Stopping;
        }
    }

    /// Returns whether a run is in progress.
    pub(crate) fn is_running(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_active)
    }

    /// Returns the view of `arm` in the run shown.
    pub fn arm(&self, arm: Arm) -> Option<&ArmView> {
        self.run.as_ref().and_then(|r| r.arm(arm))
    }

    /// Applies an event of the worker.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Loaded(pack) => {
                self.pack = Some(*pack);
                self.has_new_pack = true;
            }
            Event::LoadFailed { message, .. } => {
                self.error = Some(sentence(&message));
            }
            Event::Failed { run, message } => {
                if let Some(current) = self.run_mut(run) {
                    current.fail();
                    self.error = Some(sentence(&message));
                }
            }
            event => self.apply_to_run(event),
        }
    }

    fn apply_to_run(&mut self, event: Event) {
        let (Event::Started { run: id }
        | Event::Token { run: id, .. }
        | Event::Chunk { run: id, .. }
        | Event::ArmDone { run: id, .. }
        | Event::Done { run: id, .. }) = event
        else {
            return;
        };
        let Some(run) = self.run_mut(id) else { return };
        match event {
            Event::Started { .. } => run.set_generating(),
            Event::Token { arm, token, cost, .. } => {
                run.set_generating();
                if let Some(view) = run.view_of(arm) {
                    view.push(token, cost);
                }
            }
            Event::Chunk { arm, chunk, lead, .. } => run.decide(arm, chunk, lead),
            Event::ArmDone { arm, trace, .. } => run.finish_arm(arm, *trace),
            Event::Done { trace, .. } => run.finish(trace),
            _ => {}
        }
    }

    /// Returns the run in progress if it has this number. Events of an earlier run can still
    /// arrive.
    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.run.as_mut().filter(|r| r.id == id && r.is_active())
    }
}

impl Run {
    fn new(id: RunId, request: Request, phase: Phase, origin: Origin, arms: Vec<ArmView>) -> Self {
        let column_of = (0..request.columns.len()).collect();
        Self {
            id,
            request,
            phase,
            origin,
            arms,
            trace: None,
            column_of,
            beside: Vec::new(),
            is_pack_bar_closed: false,
            value_range: None,
        }
    }

    /// Returns whether the run is in progress.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Generating | Phase::Stopping)
    }

    /// Returns the view of the first column with this arm.
    pub fn arm(&self, arm: Arm) -> Option<&ArmView> {
        self.arms.iter().find(|view| view.report.name == arm)
    }

    /// Returns the number of tokens of the slowest unfinished arm, or of the longest arm if all
    /// have finished.
    pub(crate) fn tokens_so_far(&self) -> usize {
        let unfinished = self.arms.iter().filter(|view| !view.done);
        unfinished.map(|view| view.report.tokens.len()).min().unwrap_or_else(|| {
            self.arms.iter().map(|view| view.report.tokens.len()).max().unwrap_or(0)
        })
    }

    /// Returns the estimated remaining time in milliseconds, at the speed so far. Returns `None`
    /// before every unfinished arm has a token, and for runs that take less than a second. The arms
    /// take turns on one thread, so their times are added.
    pub(crate) fn remaining_ms(&self) -> Option<f64> {
        let budget = self.request.settings.max_tokens;
        let mut remaining_ms = 0.0;
        for view in self.arms.iter().filter(|view| !view.done) {
            let tokens = view.report.tokens.len();
            if tokens == 0 {
                return None;
            }
            let rest = budget.saturating_sub(tokens);
            remaining_ms += view.report.elapsed_ms / tokens as f64 * rest as f64;
        }
        let elapsed_ms: f64 = self.arms.iter().map(|view| view.report.elapsed_ms).sum();
        let is_shown = elapsed_ms + remaining_ms > MIN_ESTIMATE_MS && remaining_ms > 0.0;
        is_shown.then_some(remaining_ms)
    }

    /// Returns the range of the plot's value axis: all values so far with a margin, at least one
    /// unit wide. It never shrinks during the run and its repetitions.
    pub fn value_span(&self) -> RangeInclusive<f64> {
        let (low, high) = self.value_range.unwrap_or((-1.0, 1.0));
        let (low, high) = (f64::from(low), f64::from(high));
        let margin = ((high - low) * 0.1).max((1.0 - (high - low)) / 2.0).max(0.05);
        low - margin..=high + margin
    }

    fn set_generating(&mut self) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Generating;
        }
    }

    fn decide(&mut self, arm: usize, chunk: ChunkTrace, lead: Vec<TokenTrace>) {
        self.set_generating();
        widen(&mut self.value_range, &chunk);
        if let Some(view) = self.view_of(arm) {
            view.decide(chunk, lead);
        }
    }

    pub(super) fn widen_value_range(&mut self) {
        for chunk in self.arms.iter().flat_map(|view| &view.report.chunks) {
            widen(&mut self.value_range, chunk);
        }
    }

    fn finish_arm(&mut self, arm: usize, trace: ArmTrace) {
        if let Some(view) = self.view_of(arm) {
            view.finish(trace);
        }
    }

    /// Ends the run with an error. Arms with tokens keep them and drop the text of the previous
    /// run.
    fn fail(&mut self) {
        self.phase = Phase::Failed;
        for view in self.arms.iter_mut().filter(|v| !v.report.tokens.is_empty()) {
            view.ghost = Ghost::default();
        }
    }

    /// Returns the view of an arm of the worker.
    fn view_of(&mut self, arm: usize) -> Option<&mut ArmView> {
        self.arms.get_mut(*self.column_of.get(arm)?)
    }

    /// Ends the run. `trace` holds the arms of the worker; the run's trace also gets those of
    /// columns that kept an earlier result.
    pub(super) fn finish(&mut self, mut trace: Box<Trace>) {
        for (arm, report) in std::mem::take(&mut trace.arms).into_iter().enumerate() {
            if let Some(view) = self.view_of(arm) {
                view.pack.clone_from(&trace.pack);
                if !view.done {
                    view.finish(report);
                }
            }
        }
        trace.arms = self.arms.iter().map(|view| view.report.clone()).collect();
        let stopped = trace.arms.iter().any(|a| a.stop_reason == StopReason::Stopped);
        self.phase = if stopped { Phase::Stopped } else { Phase::Finished };
        // A repetition of this run gives chat templates the same time.
        self.request.local_time = trace.local_time;
        self.trace = Some(trace);
        self.widen_value_range();
    }
}

impl ArmView {
    fn new(column: &Column, request: &Request, pack: String, ghost: Ghost) -> Self {
        let report = ArmTrace {
            name: column.arm,
            settings: column.applied(&request.settings),
            text: String::new(),
            value: None,
            gold_reward: None,
            tokens: Vec::new(),
            chunks: Vec::new(),
            sampled_tokens: 0,
            forward_passes: 0,
            elapsed_ms: 0.0,
            stop_reason: StopReason::Stopped,
        };
        Self { prompt: request.prompt.clone(), pack, report, decided: 0, done: false, ghost }
    }

    pub(super) fn completed(report: &ArmTrace, trace: &Trace) -> Self {
        Self {
            prompt: trace.prompt.clone(),
            pack: trace.pack.clone(),
            decided: report.tokens.len(),
            report: report.clone(),
            done: true,
            ghost: Ghost::default(),
        }
    }

    /// Returns what the next run shows dimmed: this text, followed by the ghost text that is still
    /// shown behind it.
    fn to_ghost(&self) -> Ghost {
        let text = format!("{}{}", self.report.text, self.ghost_tail());
        let has_chunks = !self.report.chunks.is_empty();
        let chunks = if has_chunks { &self.report.chunks } else { &self.ghost.chunks };
        Ghost { text, chunks: chunks.clone() }
    }

    /// Returns the number of bytes of the text that are decided.
    pub fn decided_bytes(&self) -> usize {
        if self.done {
            return self.report.text.len();
        }
        let decided = self.report.tokens.iter().take(self.decided);
        decided.map(|t| t.text.len()).sum::<usize>().min(self.report.text.len())
    }

    /// Returns the part of the previous text that the new text has not reached, from the next word
    /// on.
    pub fn ghost_tail(&self) -> &str {
        let reached = self.report.text.len();
        if reached == 0 {
            return &self.ghost.text;
        }
        let rest = self.ghost.text.get(ceil_char(&self.ghost.text, reached - 1)..).unwrap_or("");
        let words = rest.find(char::is_whitespace).map_or("", |word_end| &rest[word_end..]);
        let ends_with_space = self.report.text.ends_with(char::is_whitespace);
        if ends_with_space { words.trim_start() } else { words }
    }

    /// Returns the chunks to plot, and whether they are those of the previous run, which are
    /// plotted until this run has a chunk.
    pub(crate) fn chunks_to_plot(&self) -> (&[ChunkTrace], bool) {
        let uses_previous = self.report.chunks.is_empty() && !self.done;
        if uses_previous { (&self.ghost.chunks, true) } else { (&self.report.chunks, false) }
    }

    fn push(&mut self, token: TokenTrace, cost: Cost) {
        self.report.text.push_str(&token.text);
        self.report.tokens.push(token);
        self.report.sampled_tokens = cost.sampled_tokens;
        self.report.elapsed_ms = cost.elapsed_ms;
    }

    fn decide(&mut self, chunk: ChunkTrace, lead: Vec<TokenTrace>) {
        self.report.value = chunk.leader().and_then(|c| c.value);
        self.report.text = lead.iter().map(|t| t.text.as_str()).collect();
        self.decided = lead.len();
        self.report.tokens = lead;
        self.report.chunks.push(chunk);
    }

    pub(super) fn finish(&mut self, report: ArmTrace) {
        self.decided = report.tokens.len();
        self.report = report;
        self.done = true;
        self.ghost = Ghost::default();
    }
}

fn widen(range: &mut Option<(f32, f32)>, chunk: &ChunkTrace) {
    for value in chunk.candidates.iter().filter_map(|c| c.value).filter(|v| v.is_finite()) {
        let (low, high) = range.unwrap_or((value, value));
        *range = Some((low.min(value), high.max(value)));
    }
}

fn ceil_char(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len())
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
