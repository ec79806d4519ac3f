//! Step 3: the name of the pack and a test prompt.

use std::path::Path;

use eframe::egui::{Id, Response, RichText, TextEdit, Ui};

use super::state::{GuidanceStep, Saving, TryStep};
use crate::app::models::pack_form::folder_name;
use crate::app::models::role_form::labeled_row;
use crate::app::theme::{Palette, space, text};
use crate::worker::pack_service::{MANIFEST, Manifest, Source};
use crate::worker::path_probe::PathProbe;

const FIELDS: [&str; 3] = ["wizard name", "wizard folder", "wizard prompt"];

/// Returns the identifiers of the text boxes.
pub(super) fn field_ids() -> [Id; 3] {
    FIELDS.map(Id::unique)
}

impl TryStep {
    /// Draws the step.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        guidance: &GuidanceStep,
        root: &Path,
        takes_focus: bool,
    ) {
        let [name_id, folder_id, prompt_id] = field_ids();
        let name = labeled_row(ui, "Name", |ui| text_box(ui, &mut self.name, name_id, "Pack name"));
        if name.changed() && self.follows_name {
            self.folder = root.join(folder_name(&self.name)).display().to_string();
        }
        let folder = labeled_row(ui, "Folder", |ui| {
            text_box(ui, &mut self.folder, folder_id, "Pack folder")
        });
        self.follows_name &= !folder.changed();
        let prompt = labeled_row(ui, "Test prompt", |ui| {
            text_box(ui, &mut self.prompt, prompt_id, "Test prompt")
        });
        if takes_focus {
            prompt.request_focus();
        }
        if [name, folder].iter().any(Response::changed) {
            self.saving = Saving::No;
        }
        ui.add_space(space::S);
        let words = guidance.report.prompt_note(&guidance.attached);
        let ink = Palette::of(ui).weak;
        ui.label(RichText::new(words).font(text::small()).color(ink));
        let words = "The pack is saved and loaded; then both columns answer the test prompt. If it \
                     is empty, the pack is only loaded.";
        ui.label(RichText::new(words).font(text::small()).color(ink));
    }

    /// Returns the pack to save.
    ///
    /// # Errors
    /// Returns a sentence about a wrong field, or about why nothing can be saved now.
    pub(super) fn check(
        &self,
        guidance: &GuidanceStep,
        path_probe: &mut PathProbe,
    ) -> Result<Manifest, String> {
        if let Saving::Started(_) = self.saving {
            return Err("Saving…".to_owned());
        }
        let manifest = self.manifest(guidance)?;
        match path_probe.exists(&Source::Folder(self.folder_path().join(MANIFEST))) {
            Some(true) => Err("Folder: it already contains a pack; choose another folder or \
                               another name."
                .to_owned()),
            // Saving checks it again, so that a slow disk does not keep the user waiting here.
            Some(false) | None => Ok(manifest),
        }
    }
}

fn text_box(ui: &mut Ui, text: &mut String, id: Id, name: &str) -> Response {
    let edit = TextEdit::singleline(text).id(id).desired_width(f32::INFINITY);
    ui.add(edit).accessible_name(name)
}
