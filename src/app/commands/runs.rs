//! Starts and stops runs and sweeps, and shows past runs.

use std::time::{Duration, Instant};

use eframe::egui::Context;

use crate::app::App;
use crate::app::action::RecallMode;
use crate::app::example_run;
use crate::app::state::availability::run_disabled_reason;
use crate::app::state::columns::column_views;
use crate::app::state::preferences::SidebarTab;
use crate::app::state::session::{ArmView, Origin};
use crate::app::sweep::state::plan;
use crate::app::widgets::Edit;
use crate::guidance::columns::columns_of;
use crate::guidance::settings::limits;
use crate::guidance::trace::Trace;
use crate::worker::protocol::{Command, Event, Request};

/// How long a closing window waits for the text of the run in progress.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// How long a held slider rests before Live runs again.
const LIVE_REST: Duration = Duration::from_millis(250);

impl App {
    /// Starts a run of all columns with the current prompt and settings.
    pub(in crate::app) fn generate(&mut self) {
        self.start_run(false);
    }

    /// Starts a run, but keeps the columns of the run shown that would write the same text again.
    fn generate_changed(&mut self) {
        self.start_run(true);
    }

    /// Starts a run with the current prompt, columns and settings. With `keeps_same`, columns that
    /// would write the same text again keep it.
    fn start_run(&mut self, keeps_same: bool) {
        if let Some(reason) = run_disabled_reason(&self.preferences, self.session.pack.as_ref()) {
            return self.report(Err(reason));
        }
        if self.models.jobs.loading().is_some() {
            // Wait, because the pack being loaded may change settings and columns.
            self.generate_when_ready = true;
            return;
        }
        self.last_run += 1;
        self.preferences.has_run = true;
        let (prompt, settings) = (&self.preferences.prompt, &self.preferences.settings);
        // A repeated run uses the same time, so that chat templates write the same date.
        let shown = self.session.run.as_ref().map(|run| &run.request);
        let repeated =
            shown.filter(|request| request.prompt == *prompt && request.settings == *settings);
        let request = Request {
            prompt: prompt.clone(),
            local_time: repeated.and_then(|request| request.local_time),
            columns: self.preferences.columns.clone(),
            settings: settings.clone(),
        };
        self.selection.clear();
        // Keep the view of the plot while the prompt stays the same, so that runs can be compared.
        if shown.map(|request| &request.prompt) != Some(&request.prompt) {
            self.lower.plot.reset();
        }
        self.session.error = None;
        let request = match keeps_same {
            true => self.session.begin_changed(self.last_run, request),
            false => {
                self.session.begin(self.last_run, request.clone());
                Some(request)
            }
        };
        if let Some(request) = request {
            self.lower.sweep.pausing();
            self.send(Command::Generate(self.last_run, request));
        }
    }

    /// Stops the run, or pauses the sweep.
    pub(in crate::app) fn stop(&mut self) {
        let run = self.session.run.as_ref().filter(|r| r.is_active()).map(|r| r.id);
        if let Some(id) = run.or(self.lower.sweep.running()) {
            self.session.stopping();
            self.lower.sweep.pausing();
            self.send(Command::Stop(id));
        }
    }

    /// Starts a sweep with the current prompt and settings.
    pub(super) fn run_sweep(&mut self) {
        let (preferences, pack) = (&self.preferences, self.session.pack.as_ref());
        let seeds = self.lower.sweep.seeds;
        match plan(&preferences.prompt, &preferences.settings, pack, seeds) {
            Ok(plan) => {
                let source = pack.map(|pack| pack.source.clone()).unwrap_or_default();
                self.last_run += 1;
                self.session.error = None;
                self.session.stopping();
                self.lower.sweep.begin(self.last_run, plan.clone(), source);
                self.send(Command::Sweep(self.last_run, Box::new(plan)));
            }
            Err(reason) => self.report(Err(reason)),
        }
    }

    /// Generates the missing responses of a sweep that was paused or failed.
    pub(super) fn resume_sweep(&mut self) {
        let sweep = &mut self.lower.sweep;
        if let Some(reason) = sweep.resume_disabled_reason(self.session.pack.as_ref()) {
            return self.report(Err(reason.into()));
        }
        let Some(results) = sweep.resume(self.last_run + 1) else { return };
        self.last_run += 1;
        self.session.error = None;
        self.session.stopping();
        self.send(Command::ResumeSweep(self.last_run, results));
    }

    /// If Live is on and a setting differs from the run shown, runs again: at once if the edit is
    /// committed, else when the slider has rested for [`LIVE_REST`].
    pub(super) fn edited(&mut self, ctx: &Context, edit: Edit) {
        self.live_due = None;
        if !self.preferences.live || !self.differs_from_run() {
            return;
        }
        if edit.committed {
            return self.generate_changed();
        }
        self.live_due = Some(ctx.input(|i| i.time) + LIVE_REST.as_secs_f64());
        ctx.request_repaint_after(LIVE_REST);
    }

    /// Runs again if a slider that is still held has rested for [`LIVE_REST`].
    pub(in crate::app) fn run_when_rested(&mut self, ctx: &Context) {
        if self.live_due.is_some_and(|due| ctx.input(|i| i.time) >= due) {
            self.live_due = None;
            if self.preferences.live && self.differs_from_run() {
                self.generate_changed();
            }
        }
    }

    fn differs_from_run(&self) -> bool {
        let run = self.session.run.as_ref();
        run.is_some_and(|run| run.request.settings != self.preferences.settings)
    }

    /// Runs the columns that are not part of the run shown, if Live is on or if a column was added
    /// to a run of this session.
    pub(super) fn columns_changed(&mut self, is_added: bool) {
        self.selection.clear();
        self.lower.plot.show_all();
        let Some(run) = self.session.run.as_ref() else { return };
        let is_same = run.request.prompt == self.preferences.prompt && !self.differs_from_run();
        let may_run = self.preferences.live || (is_added && is_same && run.origin == Origin::Own);
        if may_run && run.request.columns != self.preferences.columns {
            self.generate_changed();
        }
    }

    /// Returns the run shown if it can be saved.
    pub(super) fn trace(&self) -> Option<&Trace> {
        self.session.run.as_ref()?.trace.as_deref()
    }

    /// Returns the runs that were added beside the run shown.
    pub(super) fn runs_beside(&self) -> &[Trace] {
        self.session.run.as_ref().map_or(&[], |run| &run.beside)
    }

    /// Adds the run that has ended to the history, if it generated any tokens.
    pub(in crate::app) fn keep(&mut self) {
        let Some(trace) = self.trace() else { return };
        if self.camera.is_none() && trace.arms.iter().any(|a| !a.tokens.is_empty()) {
            let kept = self.history.remember(trace);
            self.report(kept);
        }
    }

    /// Stops the run in progress and adds it to the history, before the window closes. Waits at most
    /// [`EXIT_WAIT`] for the worker.
    pub(in crate::app) fn keep_unfinished(&mut self) {
        let run = self.session.run.as_ref().filter(|run| run.is_active());
        let has_text = |view: &ArmView| !view.report.tokens.is_empty();
        let Some(id) = run.filter(|run| run.arms.iter().any(has_text)).map(|run| run.id) else {
            return;
        };
        let deadline = Instant::now() + EXIT_WAIT;
        self.stop();
        while self.session.is_running() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(event) = self.worker.wait_timeout(left) else { return };
            let is_end = matches!(event, Event::Done { run, .. } if run == id);
            self.session.apply(event);
            if is_end {
                self.keep();
            }
        }
    }

    /// Uses a past run in the way that the user requested.
    pub(super) fn recall(&mut self, trace: Trace, mode: RecallMode, name: String) {
        match mode {
            RecallMode::Shown => {
                self.session.error = too_many_columns(&trace);
                self.show(trace, Origin::Past(name));
            }
            RecallMode::Restored => self.restore(trace, name),
            RecallMode::Beside => {
                self.last_run += 1;
                let max = *limits::COLUMNS.end();
                let columns = self.session.add_arms(self.last_run, trace, max);
                // The added values may be outside a part that is zoomed to.
                self.lower.plot.reset();
                self.preferences.columns = columns.unwrap_or(self.preferences.columns.clone());
            }
            RecallMode::Settings => {
                self.preferences.settings = trace.settings.clone();
                self.preferences.columns = columns_of(&trace);
                self.preferences.side = SidebarTab::Settings;
            }
        }
    }

    /// Shows a past run with its prompt, settings and columns.
    fn show(&mut self, mut trace: Trace, origin: Origin) {
        if self.session.is_running() {
            self.stop();
        }
        let columns = columns_of(&trace);
        trace.arms.truncate(columns.len());
        self.selection.clear();
        self.lower.plot.reset();
        self.preferences.prompt.clone_from(&trace.prompt);
        self.preferences.settings = trace.settings.clone();
        self.preferences.columns.clone_from(&columns);
        self.last_run += 1;
        self.session.show(self.last_run, trace, columns, origin);
    }

    /// Shows the last run after the start, unless a run was started or opened since. Keeps the
    /// prompt, the settings and the columns of the last session.
    fn restore(&mut self, trace: Trace, name: String) {
        if self.session.run.is_some() || self.generate_when_ready {
            return;
        }
        let before = self.preferences.clone();
        self.show(trace, Origin::Past(name));
        let columns = std::mem::replace(&mut self.preferences.columns, before.columns);
        self.preferences.settings = before.settings;
        if !before.prompt.trim().is_empty() {
            self.preferences.prompt = before.prompt;
        }
        let views = column_views(&self.session, &self.preferences);
        if views.iter().all(|column| column.view.is_none()) {
            self.preferences.columns = columns;
        }
    }

    /// Shows the recorded example if the user has never made a run and no run is shown.
    pub(in crate::app) fn show_pending_example(&mut self) {
        let is_pending = std::mem::take(&mut self.example_pending);
        if is_pending && !self.preferences.has_run && self.session.run.is_none() {
            self.show_example();
        }
    }

    /// Shows the recorded example. Keeps the prompt of an earlier session if there is one.
    fn show_example(&mut self) {
        match example_run::example() {
            Ok(trace) => {
                let typed = self.preferences.prompt.clone();
                self.preferences.pack = Some(trace.pack.clone());
                self.show(trace, Origin::Example);
                if !typed.trim().is_empty() {
                    self.preferences.prompt = typed;
                }
            }
            Err(error) => tracing::warn!("the example cannot be read: {error}"),
        }
    }
}

/// Returns a warning if the window cannot show all columns of a trace.
fn too_many_columns(trace: &Trace) -> Option<String> {
    let (columns, max) = (trace.arms.len(), *limits::COLUMNS.end());
    let is_cut = columns > max;
    is_cut.then(|| format!("This run has {columns} columns; the first {max} are shown."))
}
