//! Loads, downloads and adds packs.

use std::path::PathBuf;

use eframe::egui::Context;

use crate::app::App;
use crate::app::action::PackAction;
use crate::app::history::state::display_path;
use crate::app::models::state::{FormKind, Outcome};
use crate::app::state::availability::arm_disabled_reason;
use crate::app::state::preferences::SidebarTab;
use crate::guidance::settings::{Arm, Column};
use crate::worker::pack_service::{Presence, Survey};
use crate::worker::protocol::{Command, PackInfo, PackSource};

impl App {
    /// Stops the run and tells the worker to load a pack.
    pub(in crate::app) fn load_pack(&mut self, source: PackSource) {
        self.stop();
        self.models.jobs.load(source.clone());
        self.send(Command::LoadPack(source));
    }

    /// Opens a pack that may need a download: adds it to the list and surveys it first.
    pub(in crate::app) fn open_pack(&mut self, ctx: &Context, source: PackSource) {
        let mut all = self.preferences.added_packs.clone();
        if let PackSource::Folder(folder) = &source
            && !all.contains(folder)
        {
            all.push(folder.clone());
        }
        self.models.jobs.survey(source.clone());
        self.models.refresh(ctx, &all, false);
        if !self.models.is_refreshing {
            self.load_pack(source);
        }
    }

    /// Loads a surveyed pack. If files are missing, shows the pack's card and downloads them first.
    fn open_surveyed(&mut self, ctx: &Context, source: PackSource) {
        if let (PackSource::Folder(folder), Some(_)) = (&source, self.models.survey(&source)) {
            self.preferences.add_pack(folder);
        }
        let is_incomplete = |survey: &Survey| {
            survey.models.iter().any(|model| model.presence == Presence::ToDownload)
        };
        // If the pack cannot be read, loading it reports the error.
        if !self.models.survey(&source).is_some_and(is_incomplete) {
            return self.load_pack(source);
        }
        // Presentation mode does not show the card.
        if self.presentation.is_on() {
            self.presentation.toggle(ctx, &self.preferences);
            self.presentation.fill_screen(ctx);
        }
        self.preferences.side = SidebarTab::Models;
        self.models.highlight(source.clone());
        self.models.request_download(ctx, source);
    }

    /// Removes the columns that the pack cannot run. They return with a pack that can run them all.
    pub(in crate::app) fn fit_columns(&mut self, pack: &PackInfo) {
        let settings = self.preferences.settings.clone();
        let can_run = |column: &Column| {
            arm_disabled_reason(column.arm, &column.chosen(&settings), Some(pack)).is_none()
        };
        if let Some(columns) =
            self.columns_to_restore.take_if(|columns| columns.iter().all(can_run))
        {
            self.preferences.columns = columns;
        }
        let before = self.preferences.columns.clone();
        let mut remaining: Vec<Column> = before.iter().filter(|c| can_run(c)).cloned().collect();
        if remaining.len() == before.len() {
            return;
        }
        if remaining.is_empty() {
            remaining.push(Arm::Base.into());
        }
        self.preferences.columns = remaining;
        self.columns_to_restore.get_or_insert(before);
    }

    pub(super) fn act_on_packs(&mut self, ctx: &Context, action: PackAction) {
        self.models.highlighted = None;
        match action {
            PackAction::Refresh => {
                // The first refresh does not ask the hub, so that the list appears at once.
                let ask_hub = self.models.packs.is_some();
                self.models.refresh(ctx, &self.preferences.added_packs, ask_hub);
            }
            PackAction::Load(source) => {
                self.session.error = None;
                self.load_pack(source);
            }
            PackAction::LoadForRun(source) => {
                self.session.error = None;
                // Keeps the settings of the run, which belong to this pack.
                let name = self.models.survey(&source).map(|survey| survey.name.clone());
                self.preferences.pack = name.or(self.preferences.pack.take());
                self.open_surveyed(ctx, source);
            }
            PackAction::Download(source) => {
                self.session.error = None;
                self.models.highlight(source.clone());
                self.models.request_download(ctx, source);
            }
            PackAction::StopDownload => {
                self.generate_when_ready = false;
                self.models.stop();
            }
            PackAction::Forget(source) => {
                let is_it = |folder: &PathBuf| PackSource::Folder(folder.clone()) == source;
                self.preferences.added_packs.retain(|folder| !is_it(folder));
                self.models.forget(&source);
                self.models.refresh(ctx, &self.preferences.added_packs, false);
            }
            PackAction::Verify(source) => {
                self.session.notice = None;
                self.models.verify(ctx, source);
            }
            PackAction::UseDevice(device) => {
                self.preferences.device = device;
                self.send(Command::UseDevice(device));
                let in_use = self.session.pack.as_ref().map(|pack| &pack.source);
                if let Some(source) = self.models.jobs.loading().or(in_use).cloned() {
                    self.session.error = None;
                    self.load_pack(source);
                }
            }
            PackAction::BringModel => self.open_wizard(ctx),
            PackAction::Edit(folder) => {
                let sent = self.models.open_form(ctx, FormKind::Edit, folder);
                self.report(sent);
            }
            PackAction::Duplicate(folder) => {
                let sent = self.models.open_form(ctx, FormKind::Copy, folder);
                self.report(sent);
            }
        }
    }

    /// Adds the pack in a folder to the list. `path` is the folder or its `pack.toml`. If the pack
    /// is invalid, its card shows the error.
    pub(super) fn add_pack(&mut self, ctx: &Context, path: PathBuf) {
        let folder = PackSource::pack_folder(&path).to_owned();
        self.preferences.add_pack(&folder);
        self.models.highlight(PackSource::Folder(folder));
        self.preferences.side = SidebarTab::Models;
        self.models.refresh(ctx, &self.preferences.added_packs, false);
    }

    /// Shows a saved pack in the list. The pack of the wizard is loaded and answers its test prompt.
    /// A pack in use that was edited is loaded again.
    fn use_saved_pack(&mut self, ctx: &Context, folder: PathBuf) {
        let test_prompt = self.pack_was_saved(&folder);
        self.notice(ctx, format!("Saved {}", display_path(&folder)), false);
        self.add_pack(ctx, folder.clone());
        let source = PackSource::Folder(folder);
        let is_in_use = self.session.pack.as_ref().is_some_and(|pack| pack.source == source);
        if test_prompt.is_some() || is_in_use {
            self.session.error = None;
            self.load_pack(source);
        }
        if let Some(prompt) = test_prompt.filter(|prompt| !prompt.trim().is_empty()) {
            self.preferences.prompt = prompt;
            self.generate_when_ready = true;
        }
    }

    /// Handles the events of the pack service.
    pub(in crate::app) fn receive_from_pack_service(&mut self, ctx: &Context) {
        for outcome in self.models.receive() {
            match outcome {
                Outcome::Surveyed(source) => self.open_surveyed(ctx, source),
                Outcome::Measured(source) => self.models.request_download(ctx, source),
                Outcome::Downloaded(source) => {
                    self.models.refresh(ctx, &self.preferences.added_packs, false);
                    self.load_pack(source);
                }
                Outcome::Saved(folder) => self.use_saved_pack(ctx, folder),
                Outcome::SaveFailed(reason) => self.save_failed(reason),
                Outcome::Opened(kind, folder, manifest) => {
                    self.open_form_of(kind, folder, *manifest);
                }
                Outcome::Intact => {
                    self.notice(ctx, "All downloaded files match their checksums".into(), false);
                }
                // Some files may have been downloaded.
                Outcome::Stopped => {
                    self.models.refresh(ctx, &self.preferences.added_packs, false);
                }
                Outcome::Error(reason) => {
                    self.generate_when_ready = false;
                    self.report(Err(reason));
                    self.models.refresh(ctx, &self.preferences.added_packs, false);
                }
            }
        }
    }
}
