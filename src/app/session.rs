//! The running session: events of the worker in, what the panels show out. Nothing here is kept
//! when the window closes; what is, stands in [`super::preferences`].

use std::ops::RangeInclusive;

use super::slots::pinned;
use crate::guidance::settings::{Arm, Column};
use crate::guidance::trace::{ArmTrace, ChunkTrace, StopReason, TokenTrace, Trace};
use crate::words::sentence;
use crate::worker::protocol::{Cost, Event, PackInfo, Request, RunId};

/// A run that is shorter than this is over before anybody has read how long it takes.
const WORTH_TELLING_MS: f64 = 1000.0;

/// Everything the panels draw.
#[derive(Debug, Default)]
pub struct Session {
    /// What is being read, while a pack is.
    pub loading: Option<Loading>,
    /// The pack in use.
    pub pack: Option<PackInfo>,
    /// The run shown: in progress, or the last one.
    pub run: Option<Run>,
    /// One sentence that the error strip shows.
    pub error: Option<String>,
    /// What the status bar says for a while.
    pub notice: Option<Notice>,
    /// Whether the pack in use has not run yet.
    pub(super) has_new_pack: bool,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// In words.
    pub words: String,
    /// Whether it can be undone.
    pub undo: bool,
    /// Until when it is shown, in seconds of the window's clock.
    pub until: f64,
}

/// Where a run comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Made now.
    Own,
    /// Comes with the program, recorded with the bundled models.
    Example,
    /// Made before: its name in the history, or that of its file.
    Past(String),
}

/// A pack on its way in.
#[derive(Debug, Clone, PartialEq)]
pub struct Loading {
    /// What is read now.
    pub what: String,
    /// 0 to 1.
    pub fraction: f32,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Asked for; the worker has not begun.
    Starting,
    /// Tokens are coming.
    Generating,
    /// A stop is on its way to the worker.
    Stopping,
    /// Every arm came to its own end.
    Finished,
    /// A person ended it.
    Stopped,
    /// An error ended it.
    Failed,
}

/// One run and what it has produced.
#[derive(Debug)]
pub struct Run {
    /// Its number; events of other runs are not for it.
    pub id: RunId,
    /// What was asked for.
    pub request: Request,
    /// How far it is.
    pub phase: Phase,
    /// Where it comes from.
    pub origin: Origin,
    /// One view per arm, in the order asked for.
    pub arms: Vec<ArmView>,
    /// The finished report.
    pub trace: Option<Box<Trace>>,
    /// Every value seen, from lowest to highest; it only ever widens.
    values: Option<(f32, f32)>,
}

/// What one arm shows.
#[derive(Debug)]
pub struct ArmView {
    /// The prompt that was continued.
    pub prompt: String,
    /// The report, growing while the arm runs, final once `done`.
    pub report: ArmTrace,
    /// Tokens of the report that a chunk has decided; the rest is provisional.
    pub decided: usize,
    /// Whether the report is final.
    pub done: bool,
    /// What the run before showed, until this one overtakes it.
    pub ghost: Ghost,
}

/// The leftovers of the run before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ghost {
    /// Its text.
    pub text: String,
    /// Its chunks.
    pub chunks: Vec<ChunkTrace>,
}

impl Session {
    /// Begins a run. A run of the same prompt leaves its text behind, dimmed, until the new text
    /// has overtaken it.
    pub fn begin(&mut self, id: RunId, request: Request) {
        let before = self.run.take().filter(|r| r.request.prompt == request.prompt);
        let arms = request.columns.iter().enumerate().map(|(i, column)| {
            let old = before.as_ref().and_then(|r| r.arms.get(i));
            // Another arm's text was never on its way to this one.
            let old = old.filter(|view| view.report.name == column.arm);
            ArmView::new(column, &request, old.map(ArmView::leave).unwrap_or_default())
        });
        let arms = arms.collect();
        // Values of other models, or of another kind, are on another scale.
        let is_new = std::mem::take(&mut self.has_new_pack);
        let kind = |request: &Request| request.settings.value_source;
        let alike = before.filter(|r| !is_new && kind(&r.request) == kind(&request));
        let values = alike.and_then(|r| r.values);
        let phase = Phase::Starting;
        let origin = Origin::Own;
        self.run = Some(Run { id, request, phase, origin, arms, trace: None, values });
    }

    /// Shows a run of the past under a number of its own: what was laid out for another run does
    /// not fit it. `columns` are those it was made with.
    pub fn show(&mut self, id: RunId, trace: Trace, columns: Vec<Column>, origin: Origin) {
        let request = Request {
            prompt: trace.prompt.clone(),
            local_time: trace.local_time,
            columns,
            settings: trace.settings.clone(),
        };
        let arms = trace.arms.iter().zip(&request.columns);
        let arms = arms.map(|(report, _)| ArmView::past(report, &trace.prompt)).collect();
        let phase = Phase::Finished;
        let mut run = Run { id, request, phase, origin, arms, trace: None, values: None };
        run.finish(Box::new(trace));
        self.run = Some(run);
    }

    /// Puts a run of the past beside the one that is shown, as far as there is room for it; both
    /// are run number `id` then. Gives the columns there are.
    pub fn put_beside(&mut self, id: RunId, trace: &Trace, most: usize) -> Option<Vec<Column>> {
        let run = self.run.as_mut().filter(|r| !r.is_active())?;
        run.id = id;
        for report in &trace.arms {
            if run.arms.len() >= most {
                break;
            }
            run.request.columns.push(pinned(report, &trace.settings));
            run.arms.push(ArmView::past(report, &trace.prompt));
        }
        // Two runs are no trace.
        run.trace = None;
        run.widen();
        Some(run.request.columns.clone())
    }

    /// Notes that a stop was sent.
    pub fn stopping(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|r| r.is_active()) {
            run.phase = Phase::Stopping;
        }
    }

    /// Whether a run is in progress.
    pub fn is_running(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_active)
    }

    /// The view of `arm` in the run shown.
    pub fn arm(&self, arm: Arm) -> Option<&ArmView> {
        self.run.as_ref().and_then(|r| r.arm(arm))
    }

    /// Takes one event in.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Downloading(progress) => {
                let (what, fraction) = (progress.to_string(), progress.share());
                self.loading = Some(Loading { what, fraction });
            }
            Event::Loading { what, fraction } => {
                self.loading = Some(Loading { what, fraction: fraction.clamp(0.0, 1.0) });
            }
            Event::Loaded(pack) => {
                self.loading = None;
                self.pack = Some(pack);
                self.has_new_pack = true;
            }
            Event::LoadFailed(message) => {
                self.loading = None;
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
            Event::Started { .. } => run.generating(),
            Event::Token { arm, token, cost, .. } => {
                run.generating();
                if let Some(view) = run.arms.get_mut(arm) {
                    view.push(token, cost);
                }
            }
            Event::Chunk { arm, chunk, lead, .. } => run.decide(arm, chunk, lead),
            Event::ArmDone { arm, trace, .. } => run.finish_arm(arm, *trace),
            Event::Done { trace, .. } => run.finish(trace),
            _ => {}
        }
    }

    /// The run in progress, if it is this one: events of old runs may still be on their way.
    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.run.as_mut().filter(|r| r.id == id && r.is_active())
    }
}

impl Run {
    /// Whether more is to come.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Generating | Phase::Stopping)
    }

    /// The view of one arm, if it takes part.
    pub fn arm(&self, arm: Arm) -> Option<&ArmView> {
        self.arms.iter().find(|view| view.report.name == arm)
    }

    /// Tokens that every unfinished arm has, at least: how far the slowest is.
    pub fn tokens_so_far(&self) -> usize {
        let unfinished = self.arms.iter().filter(|view| !view.done);
        unfinished.map(|view| view.report.tokens.len()).min().unwrap_or_else(|| {
            self.arms.iter().map(|view| view.report.tokens.len()).max().unwrap_or(0)
        })
    }

    /// How long the rest will take at the pace so far, in milliseconds; none before every arm has
    /// a token, and for a run that is over within a second. The arms take turns on one thread:
    /// each has its own time, and the slowest has most of it.
    pub fn left_ms(&self) -> Option<f64> {
        let budget = self.request.settings.max_tokens;
        let mut left_ms = 0.0;
        for view in self.arms.iter().filter(|view| !view.done) {
            let tokens = view.report.tokens.len();
            if tokens == 0 {
                return None;
            }
            let rest = budget.saturating_sub(tokens);
            left_ms += view.report.elapsed_ms / tokens as f64 * rest as f64;
        }
        let so_far_ms: f64 = self.arms.iter().map(|view| view.report.elapsed_ms).sum();
        (so_far_ms + left_ms > WORTH_TELLING_MS && left_ms > 0.0).then_some(left_ms)
    }

    /// The span of the plot's value axis: every value seen with a margin, never narrower than
    /// one unit, and never shrinking while the run and its repetitions go on.
    pub fn value_span(&self) -> RangeInclusive<f64> {
        let (low, high) = self.values.unwrap_or((-1.0, 1.0));
        let (low, high) = (f64::from(low), f64::from(high));
        let margin = ((high - low) * 0.1).max((1.0 - (high - low)) / 2.0).max(0.05);
        low - margin..=high + margin
    }

    fn generating(&mut self) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Generating;
        }
    }

    fn decide(&mut self, arm: usize, chunk: ChunkTrace, lead: Vec<TokenTrace>) {
        self.generating();
        let Some(view) = self.arms.get_mut(arm) else { return };
        widen(&mut self.values, &chunk);
        view.decide(chunk, lead);
    }

    /// Makes the value axis span everything that is shown.
    fn widen(&mut self) {
        for chunk in self.arms.iter().flat_map(|view| &view.report.chunks) {
            widen(&mut self.values, chunk);
        }
    }

    fn finish_arm(&mut self, arm: usize, trace: ArmTrace) {
        if let Some(view) = self.arms.get_mut(arm) {
            view.finish(trace);
        }
    }

    /// What has come stays; what had not come yet is not promised any more.
    fn fail(&mut self) {
        self.phase = Phase::Failed;
        for view in self.arms.iter_mut().filter(|v| !v.report.tokens.is_empty()) {
            view.ghost = Ghost::default();
        }
    }

    fn finish(&mut self, trace: Box<Trace>) {
        for (view, report) in self.arms.iter_mut().zip(&trace.arms) {
            if !view.done {
                view.finish(report.clone());
            }
        }
        let stopped = trace.arms.iter().any(|a| a.stop_reason == StopReason::Stopped);
        self.phase = if stopped { Phase::Stopped } else { Phase::Finished };
        // Repeating this run tells its templates the same time.
        self.request.local_time = trace.local_time;
        self.trace = Some(trace);
        self.widen();
    }
}

impl ArmView {
    fn new(column: &Column, request: &Request, ghost: Ghost) -> Self {
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
        Self { prompt: request.prompt.clone(), report, decided: 0, done: false, ghost }
    }

    /// The view of a report that is complete.
    fn past(report: &ArmTrace, prompt: &str) -> Self {
        Self {
            prompt: prompt.to_owned(),
            decided: report.tokens.len(),
            report: report.clone(),
            done: true,
            ghost: Ghost::default(),
        }
    }

    /// What is left of this view for the run after it: what has come, and behind it what had not
    /// been overtaken.
    fn leave(&self) -> Ghost {
        let text = format!("{}{}", self.report.text, self.ghost_tail());
        let fresh = !self.report.chunks.is_empty();
        let chunks = if fresh { &self.report.chunks } else { &self.ghost.chunks };
        Ghost { text, chunks: chunks.clone() }
    }

    /// Bytes of the text that are decided.
    pub fn decided_bytes(&self) -> usize {
        if self.done {
            return self.report.text.len();
        }
        let decided = self.report.tokens.iter().take(self.decided);
        decided.map(|t| t.text.len()).sum::<usize>().min(self.report.text.len())
    }

    /// The part of the old text that the new one has not reached, from the next word on.
    pub fn ghost_tail(&self) -> &str {
        let reached = self.report.text.len();
        if reached == 0 {
            return &self.ghost.text;
        }
        let rest = self.ghost.text.get(ceil_char(&self.ghost.text, reached - 1)..).unwrap_or("");
        let words = rest.find(char::is_whitespace).map_or("", |word_end| &rest[word_end..]);
        let spaced = self.report.text.ends_with(char::is_whitespace);
        if spaced { words.trim_start() } else { words }
    }

    /// The chunks to plot: this run's, or those of the run before until there is one. The flag
    /// says that they are old.
    pub fn plotted(&self) -> (&[ChunkTrace], bool) {
        let waiting = self.report.chunks.is_empty() && !self.done;
        if waiting { (&self.ghost.chunks, true) } else { (&self.report.chunks, false) }
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

    fn finish(&mut self, report: ArmTrace) {
        self.decided = report.tokens.len();
        self.report = report;
        self.done = true;
        self.ghost = Ghost::default();
    }
}

fn widen(values: &mut Option<(f32, f32)>, chunk: &ChunkTrace) {
    for value in chunk.candidates.iter().filter_map(|c| c.value).filter(|v| v.is_finite()) {
        let (low, high) = values.unwrap_or((value, value));
        *values = Some((low.min(value), high.max(value)));
    }
}

fn ceil_char(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len())
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
