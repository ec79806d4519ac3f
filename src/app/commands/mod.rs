//! Carries out the actions that the user requests.

mod files;
mod modals;
mod packs;
mod runs;
mod stage;
mod undo;

use std::time::Duration;

use eframe::egui::{Context, Popup, Ui};

use super::App;
use super::action::Action;
use super::settings::{panel, prompt_box};
use super::shortcuts;
use super::state::preferences::{LowerTab, SidebarTab};
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
            Action::Edited(edit) => self.edited(ctx, edit),
            Action::ColumnsChanged { added } => self.columns_changed(added),
            Action::RunSweep => self.run_sweep(),
            Action::ResumeSweep => self.resume_sweep(),
            Action::Adopt { axis, value } => {
                self.preferences.settings = axis.with_value(&self.preferences.settings, value);
                self.edited(ctx, Edit::at_once(true));
            }
            Action::NewSeed => {
                let seed = &mut self.preferences.settings.seed;
                *seed = panel::fresh_seed(*seed);
                self.edited(ctx, Edit::at_once(true));
            }
            Action::FocusPrompt => self.focus_prompt = true,
            Action::ToggleLive => self.preferences.live = !self.preferences.live,
            Action::Color(coloring) => self.preferences.coloring = coloring,
            Action::ToggleHistory => self.toggle_sidebar(ctx, SidebarTab::History),
            Action::ToggleModels => self.toggle_sidebar(ctx, SidebarTab::Models),
            Action::Pack(action) => self.act_on_packs(ctx, action),
            Action::NextStop { backward } => self.next_stop(backward),
            Action::Nudge { axis, down } => self.nudge(ctx, axis, down),
            Action::FocusColumn(column) => self.focus_column(column),
            Action::ShowLower(tab) => self.show_lower(tab),
            Action::ResetZoom => self.presentation.reset_zoom(ctx, &mut self.preferences),
            Action::ToggleSidebar => self.toggle_sidebar_panel(ctx),
            Action::Undo => self.undo(ctx),
            Action::Redo => self.redo(ctx),
            Action::Present => self.present(ctx),
            Action::Help => self.help = !self.help,
            Action::DismissError => self.session.error = None,
            Action::DismissPackBar => {
                let run = self.session.run.as_mut();
                run.into_iter().for_each(|run| run.is_pack_bar_closed = true);
            }
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
            Action::SavePlot(file) => {
                let sent = self.save_plot(file);
                self.report(sent);
            }
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

    fn show_lower(&mut self, tab: LowerTab) {
        self.preferences.lower = tab;
        self.preferences.lower_hidden = false;
    }

    fn present(&mut self, ctx: &Context) {
        // The keys of the stage work while no text box has the focus.
        ctx.memory_mut(|memory| memory.stop_text_input());
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
        let has_popup = Popup::is_any_open(ui.ctx());
        let mut actions = shortcuts::pressed(ui, applies && !has_popup);
        if self.presentation.is_on() && !has_popup {
            actions.extend(shortcuts::pressed_on_stage(ui));
        }
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
