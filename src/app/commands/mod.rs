//! Carries out the actions that the user requests.

mod files;
mod modals;
mod packs;
mod runs;
pub(super) mod shortcuts;

use std::time::Duration;

use eframe::egui::{Context, Popup, Ui};

use super::App;
use super::action::Action;
use super::settings::{panel, prompt_box};
use super::state::preferences::SidebarTab;
use super::state::session::Notice;
use super::widgets::Edit;
use crate::worker::protocol::Command;

/// How long the status bar shows a notice.
const NOTICE: Duration = Duration::from_secs(8);

impl App {
    /// Carries out an action.
    pub(in crate::app) fn act(&mut self, ctx: &Context, action: Action) {
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
            Action::RunSweep => self.run_sweep(),
            Action::ResumeSweep => self.resume_sweep(),
            Action::Adopt { axis, value } => {
                self.preferences.settings = axis.with_value(&self.preferences.settings, value);
                self.edited(Edit::at_once(true));
            }
            Action::NewSeed => {
                let seed = &mut self.preferences.settings.seed;
                *seed = panel::fresh_seed(*seed);
                self.edited(Edit::at_once(true));
            }
            Action::FocusPrompt => self.focus_prompt = true,
            Action::ToggleLive => self.preferences.live = !self.preferences.live,
            Action::Color(coloring) => self.preferences.coloring = coloring,
            Action::ToggleHistory => self.toggle_sidebar(SidebarTab::History),
            Action::ToggleModels => self.toggle_sidebar(SidebarTab::Models),
            Action::Pack(action) => self.act_on_packs(ctx, action),
            Action::Present => self.present(ctx),
            Action::Help => self.help = !self.help,
            Action::DismissError => self.session.error = None,
            Action::Recall(id, mode) => {
                let sent = self.history.load(id, mode);
                self.report(sent);
            }
            Action::File(command) => {
                self.session.notice = None;
                let sent = self.history.send(command);
                self.report(sent);
            }
            Action::AskForPath(purpose) => self.ask_for_path(purpose),
            Action::CopyMarkdown => self.copy_markdown(ctx),
        }
    }

    /// Shows the error of a result in the error bar. Does nothing if the result is `Ok`.
    pub(in crate::app) fn report(&mut self, result: Result<(), String>) {
        if let Err(error) = result {
            self.session.error = Some(error);
        }
    }

    /// Shows a notice in the status bar for [`NOTICE`]. With `undo`, the notice has an Undo button.
    pub(in crate::app) fn notice(&mut self, ctx: &Context, words: String, undo: bool) {
        let until = ctx.input(|i| i.time) + NOTICE.as_secs_f64();
        self.session.notice = Some(Notice { words, undo, until });
        ctx.request_repaint_after(NOTICE);
    }

    /// Sends a command to the worker.
    pub(in crate::app) fn send(&mut self, command: Command) {
        if !self.worker.send(command) {
            self.models.jobs.worker_ended();
            self.report(Err("The engine has stopped; close the window and start again.".into()));
        }
    }

    fn toggle_sidebar(&mut self, tab: SidebarTab) {
        let current = &mut self.preferences.side;
        *current = if *current == tab { SidebarTab::Settings } else { tab };
    }

    fn present(&mut self, ctx: &Context) {
        self.presentation.toggle(ctx, &self.preferences);
        self.presentation.fill_screen(ctx);
    }

    /// Does the first of these that applies: closes what is open, stops the run, ends the
    /// presentation.
    fn escape(&mut self, ctx: &Context) {
        if self.help {
            self.help = false;
        } else if self.selection.open.is_some() {
            self.selection.open = None;
        } else if self.is_busy() {
            self.stop();
        } else if self.presentation.is_on() {
            self.present(ctx);
        }
    }

    fn is_busy(&self) -> bool {
        self.session.is_running() || self.lower.sweep.running().is_some()
    }

    /// Returns the actions of the keys that were pressed. A modal dialog takes all keys.
    pub(in crate::app) fn shortcuts(&mut self, ui: &Ui) -> Vec<Action> {
        if self.has_modal() {
            return Vec::new();
        }
        let applies = self.help
            || self.selection.open.is_some()
            || self.is_busy()
            || (self.presentation.is_on() && ui.memory(|m| m.focused()).is_none());
        let actions = shortcuts::pressed(ui, applies && !Popup::is_any_open(ui.ctx()));
        if actions.contains(&Action::Generate) {
            // A number box applies the typed number when it loses the focus.
            let focused = ui.memory(|m| m.focused());
            if let Some(id) = focused.filter(|&id| id != prompt_box::prompt_id()) {
                ui.memory_mut(|m| m.surrender_focus(id));
            }
        }
        actions
    }
}
