//! Starts and stops runs and sweeps, and shows past runs.

use crate::app::App;
use crate::app::action::RecallMode;
use crate::app::example_run;
use crate::app::state::availability::run_disabled_reason;
use crate::app::state::preferences::SidebarTab;
use crate::app::state::session::Origin;
use crate::app::sweep::state::plan;
use crate::app::widgets::Edit;
use crate::guidance::columns::columns_of;
use crate::guidance::settings::limits;
use crate::guidance::trace::Trace;
use crate::worker::protocol::{Command, Request};

impl App {
    /// Starts a run with the current prompt, columns and settings.
    pub(in crate::app) fn generate(&mut self) {
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
        self.session.begin(self.last_run, request.clone());
        self.lower.sweep.pausing();
        self.send(Command::Generate(self.last_run, request));
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

    /// Runs again if Live is on, the edit is committed and a setting differs from the run shown.
    pub(super) fn edited(&mut self, edit: Edit) {
        let Some(run) = self.session.run.as_ref() else { return };
        let is_changed = run.request.settings != self.preferences.settings;
        if self.preferences.live && edit.committed && is_changed {
            self.generate();
        }
    }

    /// Runs again if Live is on and a column is not part of the run shown.
    pub(super) fn columns_changed(&mut self) {
        self.selection.clear();
        self.lower.plot.show_all();
        let Some(run) = self.session.run.as_ref() else { return };
        let is_missing = |c| !run.request.columns.contains(c);
        if self.preferences.live && self.preferences.columns.iter().any(is_missing) {
            self.generate();
        }
    }

    /// Returns the run shown if it can be saved.
    pub(super) fn trace(&self) -> Option<&Trace> {
        self.session.run.as_ref()?.trace.as_deref()
    }

    /// Adds the run that has ended to the history, if it generated any tokens.
    pub(in crate::app) fn keep(&mut self) {
        let Some(trace) = self.trace() else { return };
        if self.camera.is_none() && trace.arms.iter().any(|a| !a.tokens.is_empty()) {
            let kept = self.history.remember(trace);
            self.report(kept);
        }
    }

    /// Uses a past run in the way that the user requested.
    pub(super) fn recall(&mut self, trace: Trace, mode: RecallMode, name: String) {
        match mode {
            RecallMode::Shown => {
                self.session.error = self.mismatch(&trace);
                self.show(trace, Origin::Past(name));
            }
            RecallMode::Beside => {
                self.last_run += 1;
                let max = *limits::COLUMNS.end();
                let columns = self.session.add_arms(self.last_run, &trace, max);
                self.preferences.columns = columns.unwrap_or(self.preferences.columns.clone());
            }
            RecallMode::Settings => {
                self.preferences.settings = trace.settings.clone();
                self.preferences.columns = columns_of(&trace);
                self.preferences.side = SidebarTab::Settings;
            }
        }
    }

    /// Returns a warning if the window cannot show all columns of a trace, or cannot repeat it with
    /// the current pack.
    fn mismatch(&self, trace: &Trace) -> Option<String> {
        let max = *limits::COLUMNS.end();
        if trace.arms.len() > max {
            let columns = trace.arms.len();
            return Some(format!("This run has {columns} columns; the first {max} are shown."));
        }
        let pack = self.session.pack.as_ref().filter(|pack| pack.name != trace.pack)?;
        Some(format!(
            "This run was made with the pack “{}”; with “{}” its texts will differ.",
            trace.pack, pack.name
        ))
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

    /// Shows the recorded example. Keeps the prompt of an earlier session if there is one.
    pub(in crate::app) fn show_example(&mut self) {
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
