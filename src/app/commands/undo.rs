//! Undoes and redoes changes of the prompt, the settings and the columns.

use eframe::egui::{Context, Ui};

use crate::app::App;
use crate::app::settings::prompt_box::prompt_id;
use crate::app::widgets::Edit;

impl App {
    /// Records the state of this frame for undo, unless the user is in the middle of a change.
    pub(in crate::app) fn record_undo(&mut self, ui: &Ui) {
        if !ui.input(|i| i.pointer.any_down()) {
            let is_typing = ui.memory(|m| m.has_focus(prompt_id()));
            self.undo.record(&self.preferences, is_typing);
        }
    }

    pub(super) fn undo(&mut self, ctx: &Context) {
        if self.undo.undo(&mut self.preferences) {
            self.restored(ctx);
        }
    }

    pub(super) fn redo(&mut self, ctx: &Context) {
        if self.undo.redo(&mut self.preferences) {
            self.restored(ctx);
        }
    }

    fn restored(&mut self, ctx: &Context) {
        self.columns_changed(false);
        self.edited(ctx, Edit::at_once(true));
    }
}
