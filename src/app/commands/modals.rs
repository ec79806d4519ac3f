//! Opens and draws the modal dialogs, and carries out their results.

use std::path::{Path, PathBuf};

use eframe::egui::{Context, Ui};

use crate::app::App;
use crate::app::dialogs::download_dialog;
use crate::app::dialogs::path_dialog::{self, PathDialog, Purpose};
use crate::app::layout::top_bar::{export_disabled_reason, trace_disabled_reason};
use crate::app::modal::Modal;
use crate::app::models::pack_form::{self, PackForm};
use crate::app::models::state::FormKind;
use crate::app::models::wizard::{self, Wizard};
use crate::app::state::plot_file::figure_folder;
use crate::records::record_writer::suggested_name;
use crate::worker::pack_service::{Command, Manifest};
use crate::worker::protocol::PackSource;

impl App {
    /// Returns whether a modal dialog is open or opens in the next frame.
    pub(super) fn has_modal(&self) -> bool {
        self.modal.is_some() || self.models.jobs.confirming().is_some()
    }

    /// Draws the modal dialog.
    pub(in crate::app) fn show_modal(&mut self, ui: &Ui) {
        if self.modal.is_none() {
            // This download needs a confirmation. It waits while another dialog is open.
            self.modal = self.models.jobs.confirming().cloned().map(Modal::ConfirmDownload);
        }
        self.modal = match self.modal.take() {
            None => None,
            Some(Modal::Path(dialog)) => self.show_path_dialog(ui, dialog),
            Some(Modal::Wizard(wizard)) => self.show_wizard(ui, wizard),
            Some(Modal::PackForm(form)) => self.show_pack_form(ui, form),
            Some(Modal::SavePack(form, dialog)) => self.show_save_dialog(ui, form, dialog),
            Some(Modal::ConfirmDownload(source)) => self.show_confirmation(ui, source),
        };
    }

    /// Opens the dialog that asks for a path, or reports why nothing can be saved or opened.
    pub(super) fn ask_for_path(&mut self, purpose: Purpose) {
        let reason = match purpose {
            Purpose::Report => export_disabled_reason(&self.session),
            Purpose::Trace => trace_disabled_reason(&self.session),
            _ => None,
        };
        if let Some(reason) = reason {
            return self.report(Err(format!("{reason} Nothing was saved.")));
        }
        let is_pack = matches!(purpose, Purpose::AddPack | Purpose::SavePack);
        if let Some(reason) = self.history.closed_reason().filter(|_| !is_pack) {
            return self.report(Err(reason.to_owned()));
        }
        let name = match (purpose, self.trace()) {
            // An absolute path.
            (Purpose::FigureFolder, _) => figure_folder(&self.preferences).display().to_string(),
            (_, Some(trace)) if !is_pack => suggested_name(trace, purpose.extension()),
            _ => String::new(),
        };
        self.modal = Some(Modal::Path(PathDialog::new(purpose, &name)));
    }

    /// Opens the wizard that makes a pack from a model, with what the user chose before closing it.
    pub(super) fn open_wizard(&mut self, ctx: &Context) {
        let wizard = self.wizard();
        // The list shows the free memory.
        if self.models.packs.is_none() && !self.models.is_refreshing {
            self.models.refresh(ctx, &self.preferences.added_packs, false);
        }
        self.modal = Some(Modal::Wizard(wizard));
    }

    fn wizard(&mut self) -> Box<Wizard> {
        self.path_probe.refresh();
        let mut wizard =
            self.models.wizard.take().unwrap_or_else(|| Box::new(Wizard::new(packs_folder())));
        wizard.reopen();
        wizard
    }

    /// Shows files that were dropped on the window in the wizard.
    pub(super) fn drop_on_wizard(&mut self, paths: &[PathBuf]) {
        let mut wizard = match self.modal.take() {
            Some(Modal::Wizard(wizard)) => wizard,
            None => self.wizard(),
            other => {
                self.modal = other;
                return self.report(Err("Close the open dialog, then drop the file again.".into()));
            }
        };
        wizard.dropped(paths);
        self.modal = Some(Modal::Wizard(wizard));
    }

    fn show_wizard(&mut self, ui: &Ui, mut wizard: Box<Wizard>) -> Option<Modal> {
        let tools = wizard::Tools {
            probe: &mut self.model_probe,
            picker: &mut self.file_picker,
            path_probe: &mut self.path_probe,
        };
        match wizard.show(ui, tools) {
            None => return Some(Modal::Wizard(wizard)),
            Some(wizard::Decision::Close) => {
                self.models.wizard = Some(wizard).filter(|wizard| !wizard.is_untouched());
            }
            Some(wizard::Decision::AddPack(folder)) => self.add_pack(ui.ctx(), folder),
            Some(wizard::Decision::Save(folder, pack)) => {
                let sent = self.models.write(ui.ctx(), Command::Save(folder, pack));
                if let Err(reason) = sent {
                    wizard.save_failed(&reason);
                }
                return Some(Modal::Wizard(wizard));
            }
            Some(wizard::Decision::Advanced(pack, path)) => {
                let settings = self.preferences.settings.clone();
                match pack {
                    Some(pack) => self.show_form(PackForm::of(*pack, settings)),
                    None if path.trim().is_empty() => self.open_pack_form(),
                    None => self.show_form(PackForm::with_base(path, settings)),
                }
                return self.modal.take();
            }
        }
        None
    }

    /// Opens the form for a new pack. Restores what the user typed before closing it.
    pub(super) fn open_pack_form(&mut self) {
        let empty = || PackForm::new(self.preferences.settings.clone());
        let mut form = self.models.draft.take().unwrap_or_else(empty);
        form.open(&self.preferences.settings);
        self.show_form(form);
    }

    /// Opens the form with the values of the pack in `folder`.
    pub(super) fn open_form_of(&mut self, kind: FormKind, folder: PathBuf, manifest: Manifest) {
        let settings = self.preferences.settings.clone();
        let form = match kind {
            FormKind::Edit => PackForm::edit(folder, manifest, settings),
            FormKind::Copy => PackForm::copy(&folder, manifest, settings),
        };
        self.show_form(form);
    }

    fn show_form(&mut self, form: PackForm) {
        self.path_probe.refresh();
        self.modal = Some(Modal::PackForm(Box::new(form)));
    }

    /// Closes the form or the wizard after its pack was saved in `folder`. Returns the test prompt
    /// of the wizard.
    pub(super) fn pack_was_saved(&mut self, folder: &Path) -> Option<String> {
        self.modal.take_if(|modal| matches!(modal, Modal::PackForm(_) | Modal::SavePack(..)));
        let open = match &self.modal {
            Some(Modal::Wizard(wizard)) => Some(wizard),
            // The user closed the wizard meanwhile.
            _ => self.models.wizard.as_ref(),
        };
        let prompt = open.and_then(|wizard| wizard.saved(folder))?;
        self.modal.take_if(|modal| matches!(modal, Modal::Wizard(_)));
        self.models.wizard = None;
        Some(prompt)
    }

    /// Shows why a pack could not be saved: in the wizard if it is open, otherwise in the error bar.
    pub(super) fn save_failed(&mut self, reason: String) {
        let open = match &mut self.modal {
            Some(Modal::Wizard(wizard)) => Some(wizard),
            _ => self.models.wizard.as_mut(),
        };
        let was_awaited = open.is_some_and(|wizard| wizard.save_failed(&reason));
        if !was_awaited || !matches!(self.modal, Some(Modal::Wizard(_))) {
            self.report(Err(reason));
        }
    }

    fn show_path_dialog(&mut self, ui: &Ui, mut dialog: PathDialog) -> Option<Modal> {
        match dialog.show(ui, &mut self.path_probe) {
            None => return Some(Modal::Path(dialog)),
            Some(path_dialog::Decision::Cancel) => {}
            Some(path_dialog::Decision::Path(path)) => {
                self.use_path(ui.ctx(), dialog.purpose, path);
            }
        }
        None
    }

    fn show_pack_form(&mut self, ui: &Ui, mut form: Box<PackForm>) -> Option<Modal> {
        match form.show(ui, &mut self.path_probe) {
            None => Some(Modal::PackForm(form)),
            Some(pack_form::Decision::Save) => {
                let dialog = PathDialog::new(Purpose::SavePack, &form.folder_name());
                Some(Modal::SavePack(form, dialog))
            }
            Some(pack_form::Decision::Replace(folder)) => {
                let command = form.manifest().map(|pack| Command::Replace(folder, Box::new(pack)));
                let sent = command.and_then(|command| self.models.write(ui.ctx(), command));
                self.report(sent);
                // The form stays open until the pack is saved.
                Some(Modal::PackForm(form))
            }
            Some(pack_form::Decision::Close) => {
                if form.is_for_new_pack() {
                    self.models.draft = Some(*form).filter(|form| !form.is_untouched());
                }
                None
            }
        }
    }

    fn show_save_dialog(
        &mut self,
        ui: &Ui,
        form: Box<PackForm>,
        mut dialog: PathDialog,
    ) -> Option<Modal> {
        match dialog.show(ui, &mut self.path_probe) {
            None => return Some(Modal::SavePack(form, dialog)),
            Some(path_dialog::Decision::Cancel) => {}
            Some(path_dialog::Decision::Path(folder)) => self.save_pack(ui.ctx(), &form, folder),
        }
        // The form stays open until the pack is saved.
        Some(Modal::PackForm(form))
    }

    fn save_pack(&mut self, ctx: &Context, form: &PackForm, folder: PathBuf) {
        let sent = self.models.save(ctx, form, folder);
        self.report(sent);
    }

    fn show_confirmation(&mut self, ui: &Ui, source: PackSource) -> Option<Modal> {
        let free = self.models.free_memory_bytes;
        let answer = match self.models.survey(&source) {
            // Cancels if the pack was removed from the list, which ends the job.
            Some(survey) if self.models.jobs.confirming() == Some(&source) => {
                download_dialog::show(ui, survey, free)
            }
            _ => Some(false),
        };
        let Some(is_accepted) = answer else { return Some(Modal::ConfirmDownload(source)) };
        self.models.jobs.answered();
        if is_accepted {
            self.models.download(ui.ctx(), source);
        } else {
            self.generate_when_ready = false;
        }
        None
    }
}

/// Returns the folder in which the wizard proposes to save packs.
fn packs_folder() -> PathBuf {
    dirs::data_dir().unwrap_or_default().join("ivg-playground").join("packs")
}
