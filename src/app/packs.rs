//! What the window does with packs: load, download, add, put together.

use std::path::PathBuf;

use eframe::egui::{Context, Ui};

use super::App;
use super::archive::shown;
use super::availability::why_no_arm;
use super::download_dialog;
use super::pack_form::{Decision, PackForm};
use super::panels::models::PackAction;
use super::panels::side::Side;
use super::path_dialog::{PathDialog, Purpose};
use super::session::Loading;
use super::shelf::Outcome;
use crate::guidance::settings::{Arm, Column};
use crate::worker::library::{Presence, Survey};
use crate::worker::protocol::{Command, PackInfo, PackSource};

impl App {
    /// Has the worker load a pack. What runs gives way, as it does to another run.
    pub(super) fn load_pack(&mut self, source: PackSource) {
        self.stop();
        self.coming = Some(source.clone());
        self.send(Command::LoadPack(source));
    }

    /// Opens a pack that may not be all here: it is put on the list and looked at first.
    pub(super) fn open_pack(&mut self, ctx: &Context, source: PackSource) {
        let mut all = self.preferences.added_packs.clone();
        if let PackSource::Folder(folder) = &source
            && !all.contains(folder)
        {
            all.push(folder.clone());
        }
        self.shelf.opening = Some(source.clone());
        self.shelf.look(ctx, &all, false);
        if !self.shelf.is_looking {
            self.shelf.opening = None;
            self.load_pack(source);
        }
    }

    /// Loads a pack that was looked at, or downloads it first, where its card shows how far that
    /// is and can stop it.
    fn open_looked_at(&mut self, ctx: &Context, source: PackSource) {
        if let (PackSource::Folder(folder), Some(_)) = (&source, self.shelf.survey(&source)) {
            self.preferences.add_pack(folder);
        }
        let lacks = |survey: &Survey| {
            survey.models.iter().any(|model| model.presence == Presence::ToDownload)
        };
        // What is wrong with a pack that cannot be read, loading says.
        if !self.shelf.survey(&source).is_some_and(lacks) {
            self.load_pack(source);
            return;
        }
        // Its card is not on the stage.
        if self.stage.is_on() {
            self.stage.toggle(ctx, &self.preferences);
            self.stage.fill_screen(ctx);
        }
        self.preferences.side = Side::Models;
        self.shelf.point_at(source.clone());
        self.shelf.want(ctx, source);
    }

    /// Leaves the columns that the pack can run; the others come back with a pack that can.
    pub(super) fn fit_columns(&mut self, pack: &PackInfo) {
        let settings = self.preferences.settings.clone();
        let runs = |column: &Column| {
            why_no_arm(column.arm, &column.chosen(&settings), Some(pack)).is_none()
        };
        if let Some(columns) = self.set_aside.take_if(|columns| columns.iter().all(runs)) {
            self.preferences.columns = columns;
        }
        let wanted = self.preferences.columns.clone();
        let mut fitting: Vec<Column> = wanted.iter().filter(|c| runs(c)).cloned().collect();
        if fitting.len() == wanted.len() {
            return;
        }
        if fitting.is_empty() {
            fitting.push(Arm::Base.into());
        }
        self.preferences.columns = fitting;
        self.set_aside.get_or_insert(wanted);
    }

    pub(super) fn act_on_packs(&mut self, ctx: &Context, action: PackAction) {
        self.shelf.fresh = None;
        match action {
            PackAction::Look => {
                // The first look is at what is here: it must not wait for a network.
                let ask_hub = self.shelf.packs.is_some();
                self.shelf.look(ctx, &self.preferences.added_packs, ask_hub);
            }
            PackAction::Load(source) => {
                self.session.error = None;
                self.load_pack(source);
            }
            PackAction::Fetch(source) => {
                self.session.error = None;
                self.shelf.point_at(source.clone());
                self.shelf.want(ctx, source);
            }
            PackAction::StopFetching => {
                self.generate_when_ready = false;
                self.shelf.stop();
            }
            PackAction::Forget(source) => {
                let is_it = |folder: &PathBuf| PackSource::Folder(folder.clone()) == source;
                self.preferences.added_packs.retain(|folder| !is_it(folder));
                self.shelf.forget(&source);
                self.shelf.look(ctx, &self.preferences.added_packs, false);
            }
            PackAction::Verify(source) => {
                self.session.notice = None;
                self.shelf.verify_for(ctx, source);
            }
            PackAction::UseDevice(device) => {
                self.preferences.device = device;
                self.send(Command::UseDevice(device));
                if let Some(source) = self.coming.clone().or_else(|| self.in_use.clone()) {
                    self.session.error = None;
                    self.load_pack(source);
                }
            }
            PackAction::New => {
                let empty = || PackForm::new(self.preferences.settings.clone());
                let mut form = self.shelf.draft.take().unwrap_or_else(empty);
                form.open(&self.preferences.settings);
                self.places.look_again();
                self.shelf.form = Some(form);
            }
        }
    }

    /// The question before a large download.
    pub(super) fn download_dialog(&mut self, ui: &Ui) {
        if self.archive.dialog.is_some() {
            return;
        }
        let Some(source) = self.shelf.in_question.clone() else { return };
        let free = self.shelf.free_memory_bytes;
        let answer = match self.shelf.survey(&source) {
            Some(survey) => download_dialog::show(ui, survey, free),
            // It was taken off the list meanwhile.
            None => Some(false),
        };
        let Some(answer) = answer else { return };
        self.shelf.in_question = None;
        if answer {
            self.shelf.fetch(ui.ctx(), source);
        } else {
            self.generate_when_ready = false;
        }
    }

    /// The form in which a pack is put together, and what follows from its answer.
    pub(super) fn pack_form(&mut self, ui: &Ui) {
        // One dialog at a time: the form waits behind the one that asks where to save it.
        if self.archive.dialog.is_some() {
            return;
        }
        let Some(form) = &mut self.shelf.form else { return };
        match form.show(ui, &mut self.places) {
            Some(Decision::Close) => self.shelf.close_form(),
            Some(Decision::Save) => self.ask_for_pack(Purpose::SavePack),
            None => {}
        }
    }

    /// Asks for the folder of a pack.
    pub(super) fn ask_for_pack(&mut self, purpose: Purpose) {
        let name = match (&self.shelf.form, purpose) {
            (Some(form), Purpose::SavePack) => form.folder_name(),
            _ => String::new(),
        };
        self.archive.dialog = Some(PathDialog::new(purpose, &name));
    }

    /// Puts a pack on the list: its folder, or the `pack.toml` in it. What is wrong with it, its
    /// card will say.
    pub(super) fn add_pack(&mut self, ctx: &Context, path: PathBuf) {
        let folder = PackSource::folder_named(&path).to_owned();
        self.preferences.add_pack(&folder);
        self.shelf.point_at(PackSource::Folder(folder));
        self.preferences.side = Side::Models;
        self.shelf.look(ctx, &self.preferences.added_packs, false);
    }

    pub(super) fn save_pack(&mut self, ctx: &Context, folder: PathBuf) {
        let failed = self.shelf.save(ctx, folder);
        self.session.error = failed.or(self.session.error.take());
    }

    /// Takes in what the library has told.
    pub(super) fn receive_from_library(&mut self, ctx: &Context) {
        for outcome in self.shelf.receive() {
            match outcome {
                Outcome::Looked(source) => self.open_looked_at(ctx, source),
                Outcome::Measured(source) => self.shelf.want(ctx, source),
                Outcome::Ready(source) => {
                    self.shelf.look(ctx, &self.preferences.added_packs, false);
                    self.load_pack(source);
                }
                Outcome::Saved(folder) => {
                    self.notice(ctx, format!("Saved {}", shown(&folder)), false);
                    self.add_pack(ctx, folder);
                }
                Outcome::Sound => {
                    self.notice(ctx, "Every file from the hub is as it came".into(), false);
                }
                // Some of it may be here now.
                Outcome::Stopped => self.shelf.look(ctx, &self.preferences.added_packs, false),
                Outcome::Error(reason) => {
                    self.generate_when_ready = false;
                    self.session.error = Some(reason);
                    self.shelf.look(ctx, &self.preferences.added_packs, false);
                }
            }
        }
        // Before the first pack, what is awaited is a download.
        if self.session.pack.is_none() && self.coming.is_none() && self.shelf.opening.is_none() {
            let waiting = self.shelf.waiting();
            self.session.loading = waiting.map(|(what, fraction)| Loading { what, fraction });
        }
    }
}
