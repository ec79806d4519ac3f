//! What the window does when a person asks for something.

use eframe::egui::{Context, Ui};

use super::App;
use super::archive::{Arrival, Wanted};
use super::availability::why_no_run;
use super::panels::{self, Action};
use super::path_dialog::{Decision, Purpose};
use super::prompt_box;
use super::recorded;
use super::session::{Notice, Origin};
use super::slots::columns_of;
use super::strip_view::plan;
use super::{panels::side::Side, shortcuts, widgets::Edit};
use crate::guidance::settings::limits;
use crate::guidance::trace::Trace;
use crate::records::clerk;
use crate::records::markdown::markdown;
use crate::worker::library::MANIFEST;
use crate::worker::protocol::{Command, Request};

/// How long the status bar says what was done, in seconds.
const NOTICE: f64 = 8.0;
/// Why no file can be written or opened.
const NO_FOLDER: &str = "There is no folder of its own for this program.";

impl App {
    pub(super) fn send(&mut self, command: Command) {
        if !self.link.send(command) {
            self.session.loading = None;
            self.session.error = Some(
                "The engine does not answer any more; close the window and start again.".into(),
            );
        }
    }

    pub(super) fn generate(&mut self) {
        if let Some(reason) = why_no_run(&self.preferences, self.session.pack.as_ref()) {
            self.session.error = Some(reason);
            return;
        }
        if self.coming.is_some() {
            // Its settings and columns are those of the pack that is being loaded.
            self.generate_when_ready = true;
            return;
        }
        self.last_run += 1;
        self.preferences.has_run = true;
        let (prompt, settings) = (&self.preferences.prompt, &self.preferences.settings);
        // Repeating a run gives its text again; any other run uses the current time.
        let shown = self.session.run.as_ref().map(|run| &run.request);
        let same =
            shown.filter(|request| request.prompt == *prompt && request.settings == *settings);
        let request = Request {
            prompt: prompt.clone(),
            local_time: same.and_then(|request| request.local_time),
            columns: self.preferences.columns.clone(),
            settings: settings.clone(),
        };
        self.focus.clear();
        // Repetitions of one prompt can be compared where a person was looking.
        if self.session.run.as_ref().map(|run| &run.request.prompt) != Some(&request.prompt) {
            self.below.plot.reset();
        }
        self.session.error = None;
        self.session.begin(self.last_run, request.clone());
        self.below.strip.stopping();
        self.send(Command::Generate(self.last_run, request));
    }

    pub(super) fn stop(&mut self) {
        let run = self.session.run.as_ref().filter(|r| r.is_active()).map(|r| r.id);
        if let Some(id) = run.or(self.below.strip.running()) {
            self.session.stopping();
            self.below.strip.stopping();
            self.send(Command::Stop(id));
        }
    }

    fn run_strip(&mut self) {
        let (preferences, pack) = (&self.preferences, self.session.pack.as_ref());
        match plan(&preferences.prompt, &preferences.settings, pack) {
            Ok(plan) => {
                self.last_run += 1;
                self.session.error = None;
                self.session.stopping();
                self.below.strip.begin(self.last_run, plan.clone());
                self.send(Command::Sweep(self.last_run, Box::new(plan)));
            }
            Err(reason) => self.session.error = Some(reason),
        }
    }

    pub(super) fn act(&mut self, ctx: &Context, action: Action) {
        match action {
            Action::Generate => self.generate(),
            Action::Continue(prompt) => {
                self.preferences.prompt = prompt;
                self.generate();
            }
            Action::Stop => self.stop(),
            Action::Escape => self.escape(ctx),
            Action::Edited(edit) => self.edited(edit),
            Action::ColumnsChanged => self.columns_changed(),
            Action::RunStrip => self.run_strip(),
            Action::Adopt { dial, value } => {
                self.preferences.settings = dial.turned(&self.preferences.settings, value);
                self.edited(Edit::at_once(true));
            }
            Action::Dice => {
                let seed = &mut self.preferences.settings.seed;
                *seed = panels::controls::fresh_seed(*seed);
                self.edited(Edit::at_once(true));
            }
            Action::FocusPrompt => self.focus_prompt = true,
            Action::ToggleLive => self.preferences.live = !self.preferences.live,
            Action::Color(coloring) => self.preferences.coloring = coloring,
            Action::ToggleHistory => {
                let side = &mut self.preferences.side;
                *side = if *side == Side::History { Side::Settings } else { Side::History };
            }
            Action::ToggleModels => {
                let side = &mut self.preferences.side;
                *side = if *side == Side::Models { Side::Settings } else { Side::Models };
            }
            Action::Pack(action) => self.act_on_packs(ctx, action),
            Action::Present => self.present(ctx),
            Action::Help => self.help = !self.help,
            Action::DismissError => self.session.error = None,
            Action::Recall(..) | Action::File(_) | Action::Ask(_) | Action::CopyMarkdown => {
                self.act_on_files(ctx, action);
            }
        }
    }

    /// Actions that have to do with files, the past and the clipboard.
    fn act_on_files(&mut self, ctx: &Context, action: Action) {
        let failed = match action {
            Action::Recall(id, wanted) => self.archive.load(id, wanted),
            Action::File(command) => {
                self.session.notice = None;
                self.archive.send(command)
            }
            Action::Ask(purpose) => return self.ask(purpose),
            _ => {
                let words = "Copied as Markdown";
                if let Some(trace) = self.trace() {
                    ctx.copy_text(markdown(trace));
                    self.notice(ctx, words.into(), false);
                }
                None
            }
        };
        self.session.error = failed.or(self.session.error.take());
    }

    /// The run that is shown, if it can be taken along.
    fn trace(&self) -> Option<&Trace> {
        self.session.run.as_ref()?.trace.as_deref()
    }

    fn ask(&mut self, purpose: Purpose) {
        let wants_run = matches!(purpose, Purpose::Report | Purpose::Trace);
        let reason = panels::top::why_no_export(&self.session).filter(|_| wants_run);
        if let Some(reason) = reason {
            self.session.error = Some(format!("{reason} Nothing can be saved."));
        } else if matches!(purpose, Purpose::AddPack | Purpose::SavePack) {
            self.ask_for_pack(purpose);
        } else if !self.archive.is_open() {
            self.session.error = Some(NO_FOLDER.into());
        } else {
            let trace = self.session.run.as_ref().and_then(|r| r.trace.as_deref());
            self.archive.ask(purpose, trace);
        }
    }

    /// The dialog that asks for a path, and what follows from its answer.
    pub(super) fn dialog(&mut self, ui: &Ui) {
        let Some(dialog) = &mut self.archive.dialog else { return };
        let purpose = dialog.purpose;
        let Some(decision) = dialog.show(ui, &mut self.places) else { return };
        self.archive.dialog = None;
        let Decision::Path(path) = decision else { return };
        let trace = self.trace().cloned().map(Box::new);
        let command = match (purpose, trace) {
            (Purpose::AddPack, _) => return self.add_pack(ui.ctx(), path),
            (Purpose::SavePack, _) => return self.save_pack(ui.ctx(), path),
            (Purpose::Open, _) => clerk::Command::Open { path },
            (Purpose::Picture, _) => {
                // The frame after this one is without the dialog.
                self.pictures.ask(ui.ctx(), path);
                return;
            }
            (Purpose::Report, Some(trace)) => clerk::Command::ExportHtml { path, trace },
            (Purpose::Trace, Some(trace)) => clerk::Command::ExportJson { path, trace },
            (Purpose::Report | Purpose::Trace, None) => return,
        };
        self.session.error = self.archive.send(command).or(self.session.error.take());
    }

    pub(super) fn notice(&mut self, ctx: &Context, words: String, undo: bool) {
        let until = ctx.input(|i| i.time) + NOTICE;
        self.session.notice = Some(Notice { words, undo, until });
        ctx.request_repaint_after(std::time::Duration::from_secs_f64(NOTICE));
    }

    /// Takes in what has come from disk, from the camera and from the desktop.
    pub(super) fn receive_from_disk(&mut self, ctx: &Context) {
        let now = ctx.input(|i| i.time);
        self.session.notice = self.session.notice.take().filter(|n| n.until > now);
        for (path, picture) in self.pictures.taken() {
            let bytes = picture.map(|bytes| clerk::Command::ExportBytes { path, bytes });
            let failed = match bytes {
                Ok(command) => self.archive.send(command),
                Err(reason) => Some(reason),
            };
            self.session.error = failed.or(self.session.error.take());
        }
        let dropped: Vec<_> = ctx.input(|i| i.raw.dropped_files.clone());
        for path in dropped.iter().map(|file| file.path().to_owned()) {
            // A folder has no ending; whether it is one is not for this thread to ask.
            if path.extension().is_none() || path.ends_with(MANIFEST) {
                self.add_pack(ctx, path);
                continue;
            }
            let failed = match self.archive.is_open() {
                true => self.archive.send(clerk::Command::Open { path }),
                false => Some(NO_FOLDER.into()),
            };
            self.session.error = failed.or(self.session.error.take());
        }
        for arrival in self.archive.receive() {
            match arrival {
                Arrival::Run(trace, wanted, name) => self.recall(*trace, wanted, name),
                Arrival::Notice { words, undo } => self.notice(ctx, words, undo),
                Arrival::Error(message) => self.session.error = Some(message),
            }
        }
    }

    /// A run of the past has come.
    fn recall(&mut self, trace: Trace, wanted: Wanted, name: String) {
        match wanted {
            Wanted::Shown => {
                self.session.error = self.misses(&trace);
                self.show(trace, Origin::Past(name));
            }
            Wanted::Beside => {
                self.last_run += 1;
                let most = *limits::COLUMNS.end();
                let columns = self.session.put_beside(self.last_run, &trace, most);
                self.preferences.columns = columns.unwrap_or(self.preferences.columns.clone());
            }
            Wanted::Settings => {
                self.preferences.settings = trace.settings.clone();
                self.preferences.columns = columns_of(&trace);
                self.preferences.side = Side::Settings;
            }
        }
    }

    /// What of a trace does not fit this window, in a sentence.
    fn misses(&self, trace: &Trace) -> Option<String> {
        let most = *limits::COLUMNS.end();
        let pack = self.session.pack.as_ref().filter(|pack| pack.name != trace.pack);
        if trace.arms.len() > most {
            return Some(format!(
                "This run has {} columns; the first {most} are shown.",
                trace.arms.len()
            ));
        }
        pack.map(|pack| {
            format!(
                "This run was made with the pack “{}”; with “{}” its texts will be others.",
                trace.pack, pack.name
            )
        })
    }

    /// Shows a run that was made before, and sets everything as it was then.
    fn show(&mut self, mut trace: Trace, origin: Origin) {
        if self.session.is_running() {
            self.stop();
        }
        let columns = columns_of(&trace);
        trace.arms.truncate(columns.len());
        self.focus.clear();
        self.below.plot.reset();
        self.preferences.prompt.clone_from(&trace.prompt);
        self.preferences.settings = trace.settings.clone();
        self.preferences.columns.clone_from(&columns);
        self.last_run += 1;
        self.session.show(self.last_run, trace, columns, origin);
    }

    /// The run that comes with the program, for those who have made none.
    pub(super) fn show_example(&mut self) {
        match recorded::example() {
            Ok(trace) => {
                let own = self.preferences.prompt.clone();
                // Its settings are that pack's own, but for the seed.
                self.preferences.pack = Some(trace.pack.clone());
                self.show(trace, Origin::Example);
                // What a person has typed the last time is no less theirs without a run.
                if !own.trim().is_empty() {
                    self.preferences.prompt = own;
                }
            }
            Err(error) => tracing::warn!("no example: {error}"),
        }
    }

    /// Keeps the run that has just ended, if it wrote anything.
    pub(super) fn keep(&mut self) {
        let Some(trace) = self.trace() else { return };
        if self.camera.is_none() && trace.arms.iter().any(|a| !a.tokens.is_empty()) {
            self.session.error = self.archive.remember(trace).or(self.session.error.take());
        }
    }

    fn present(&mut self, ctx: &Context) {
        self.stage.toggle(ctx, &self.preferences);
        self.stage.fill_screen(ctx);
    }

    /// Closes what is open, stops what runs, leaves the stage: the first of these that there is.
    fn escape(&mut self, ctx: &Context) {
        if self.help {
            self.help = false;
        } else if self.focus.open.is_some() {
            self.focus.open = None;
        } else if self.is_busy() {
            self.stop();
        } else if self.stage.is_on() {
            self.present(ctx);
        }
    }

    fn is_busy(&self) -> bool {
        self.session.is_running() || self.below.strip.running().is_some()
    }

    /// With the live switch on, a setting that was turned after a run runs it again.
    fn edited(&mut self, edit: Edit) {
        let Some(run) = self.session.run.as_ref() else { return };
        let turned = run.request.settings != self.preferences.settings;
        if self.preferences.live && edit.committed && turned {
            self.generate();
        }
    }

    /// With the live switch on, columns that the run lacks are run. Taking one away costs nothing.
    fn columns_changed(&mut self) {
        self.focus.clear();
        self.below.plot.show_all();
        let Some(run) = self.session.run.as_ref() else { return };
        let missing = |c| !run.request.columns.contains(c);
        if self.preferences.live && self.preferences.columns.iter().any(missing) {
            self.generate();
        }
    }

    /// What was asked for by keys.
    pub(super) fn shortcuts(&mut self, ui: &Ui) -> Vec<Action> {
        // What is asked is answered first.
        if self.archive.dialog.is_some() || self.shelf.asks() {
            return Vec::new();
        }
        let has_popup = eframe::egui::Popup::is_any_open(ui.ctx());
        let applies = self.help
            || self.focus.open.is_some()
            || self.is_busy()
            || (self.stage.is_on() && ui.memory(|m| m.focused()).is_none());
        let actions = shortcuts::pressed(ui, applies && !has_popup);
        if actions.contains(&Action::Generate) {
            // A number being typed counts: leaving its box enters it.
            let focus = ui.memory(|m| m.focused());
            if let Some(id) = focus.filter(|&id| id != prompt_box::prompt_id()) {
                ui.memory_mut(|m| m.surrender_focus(id));
            }
        }
        actions
    }
}
