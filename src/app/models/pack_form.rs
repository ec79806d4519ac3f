//! The form for a new pack: which models play which roles. The pack is saved as a `pack.toml`.

use std::path::{Path, PathBuf};

use eframe::egui::{Id, Modal, RichText, ScrollArea, Ui};

use super::role_form::{RoleForm, labeled_row, source, source_fault, text_box, typed};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{primary_button, secondary_button};
use crate::format::sentence;
use crate::guidance::settings::Settings;
use crate::worker::pack_service::{BackboneRole, JudgeRole, Manifest, Role, Source};
use crate::worker::path_probe::PathProbe;

/// The form, with the text typed so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PackForm {
    target: Target,
    /// The pack that the form started with. Its fields that the form does not show are kept.
    original: Option<Box<Manifest>>,
    name: String,
    description: String,
    base: RoleForm,
    untuned: RoleForm,
    tuned: RoleForm,
    value: RoleForm,
    judge: String,
    /// The current settings of the window.
    current_settings: Settings,
    /// Whether the current settings become the defaults of the pack.
    uses_current_settings: bool,
    /// Whether the next frame is the first one, which focuses the first text box.
    is_new: bool,
}

/// Where the pack is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// In a new folder.
    New,
    /// In the folder of the pack that is edited.
    Edit(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Ask where to save the pack.
    Save,
    /// Replace the `pack.toml` in this folder.
    Replace(PathBuf),
    /// Close the form and keep what was typed.
    Close,
}

const WIDTH: f32 = 640.0;
/// Height of the window minus the height of the fields: the rest of the form and its margins.
const OTHER_HEIGHT: f32 = 230.0;

impl PackForm {
    /// Creates an empty form. The user can choose `current_settings` as the defaults of the pack.
    pub(crate) fn new(current_settings: Settings) -> Self {
        let role = RoleForm::default;
        Self {
            target: Target::New,
            original: None,
            name: String::new(),
            description: String::new(),
            base: role(),
            untuned: role(),
            tuned: role(),
            value: role(),
            judge: String::new(),
            current_settings,
            uses_current_settings: false,
            is_new: true,
        }
    }

    /// Creates a form with the values of a pack, which is saved as a new one.
    pub(crate) fn of(manifest: Manifest, current_settings: Settings) -> Self {
        let role = |role: &Option<Role>| role.as_ref().map(RoleForm::of).unwrap_or_default();
        Self {
            name: manifest.name.clone(),
            description: manifest.description.clone(),
            base: RoleForm::of(&manifest.base),
            untuned: role(&manifest.untuned),
            tuned: role(&manifest.tuned),
            value: role(&manifest.value),
            judge: manifest.judge.as_ref().map(|j| typed(&j.source)).unwrap_or_default(),
            original: Some(Box::new(manifest)),
            ..Self::new(current_settings)
        }
    }

    /// Creates a form that edits the pack in `folder`.
    pub(crate) fn edit(folder: PathBuf, manifest: Manifest, current_settings: Settings) -> Self {
        Self { target: Target::Edit(folder), ..Self::of(manifest, current_settings) }
    }

    /// Creates a form for a copy of the pack in `folder`. Files inside that pack are named by their
    /// full paths.
    pub(crate) fn copy(folder: &Path, manifest: Manifest, current_settings: Settings) -> Self {
        let mut copy = manifest;
        copy.name = format!("{} copy", copy.name);
        // The prompts are a file inside the other pack.
        copy.eval_prompts = None;
        let place = |source: &mut Source| {
            if let Source::Pack(path) = source {
                *source = Source::Folder(folder.join(path));
            }
        };
        let others = [&mut copy.untuned, &mut copy.tuned, &mut copy.value];
        for role in others.into_iter().flatten().chain([&mut copy.base]) {
            role.source.iter_mut().chain(&mut role.adapter).for_each(place);
        }
        copy.judge.iter_mut().for_each(|judge| place(&mut judge.source));
        Self::of(copy, current_settings)
    }

    /// Creates a form with the files of the base.
    pub(crate) fn with_base(path: String, current_settings: Settings) -> Self {
        let base = RoleForm { files: path, ..RoleForm::default() };
        Self { base, ..Self::new(current_settings) }
    }

    /// Returns whether the form makes a new pack.
    pub(crate) fn is_for_new_pack(&self) -> bool {
        self.target == Target::New
    }

    /// Returns the form without the user's changes.
    fn untouched(&self) -> Self {
        let settings = self.current_settings.clone();
        match &self.original {
            Some(original) => {
                Self { target: self.target.clone(), ..Self::of((**original).clone(), settings) }
            }
            None => Self::new(settings),
        }
    }

    /// Opens the form again with the text typed before, and updates the current settings.
    pub(crate) fn open(&mut self, settings: &Settings) {
        self.current_settings.clone_from(settings);
        self.is_new = true;
    }

    /// Returns a folder name made from the name of the pack.
    pub(crate) fn folder_name(&self) -> String {
        folder_name(&self.name)
    }

    /// Returns the first wrong field as a sentence, with the labels of the form.
    fn fault(&self) -> Option<String> {
        if self.base.role().is_none() {
            return Some("Base: enter where the files are.".to_owned());
        }
        for (label, text) in [("Name", &self.name), ("Description", &self.description)] {
            if text.contains(|c: char| c.is_control() && !['\n', '\t'].contains(&c)) {
                return Some(format!("{label}: remove the control character."));
            }
        }
        if self.name.trim().is_empty() {
            return Some("Name: give the pack a short name.".to_owned());
        }
        if self.untuned.is_empty() != self.tuned.is_empty() {
            return Some("Untuned and Tuned are a pair: fill in both or neither.".to_owned());
        }
        let roles = [
            ("Base", &self.base),
            ("Untuned", &self.untuned),
            ("Tuned", &self.tuned),
            ("Value", &self.value),
        ];
        if let Some(fault) = roles.into_iter().find_map(|(name, role)| role.fault(name)) {
            return Some(fault);
        }
        let needs_pair =
            matches!(self.value.trunk, Some(BackboneRole::Untuned | BackboneRole::Tuned));
        if needs_pair && !self.value.is_empty() && self.untuned.is_empty() {
            return Some(
                "Value, Attach to: the pack has no Untuned and no Tuned; choose Base.".to_owned(),
            );
        }
        let value = source(&self.value.files);
        if self.value.trunk.is_some() && value.is_some_and(|value| value.is_gguf()) {
            return Some(
                "Value, Files: a head that is attached to a model is a folder, not a GGUF file."
                    .to_owned(),
            );
        }
        let judge = source(&self.judge)?;
        if judge.is_gguf() {
            return Some("Judge, Files: name a folder, not a GGUF file.".to_owned());
        }
        source_fault(&judge).map(|reason| format!("Judge, Files: {reason}"))
    }

    /// Returns the pack that the form describes.
    ///
    /// # Errors
    /// Returns a sentence that names the wrong field.
    pub(crate) fn manifest(&self) -> Result<Manifest, String> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let description = match self.description.trim() {
            "" => "A custom pack.",
            words => words,
        };
        let untuned = self.untuned.role();
        let tuned = self.tuned.role().map(|tuned| match &untuned {
            // Both models of a pair use the same prompt and precision.
            Some(Role { prompt, precision, .. }) => {
                Role { prompt: prompt.clone(), precision: *precision, ..tuned }
            }
            None => tuned,
        });
        let base = self.base.role().ok_or("Base: enter where the files are.")?;
        let value = self.value.role().map(|value| match value.trunk {
            // A value head uses the prompt of its model.
            Some(trunk) => {
                let owner = trunk.of(&base, untuned.as_ref(), tuned.as_ref());
                let prompt = owner.map(|owner| owner.prompt.clone()).unwrap_or_default();
                Role { prompt, ..value }
            }
            None => value,
        });
        let original = self.original.as_deref().cloned();
        let defaults = original.as_ref().map(|pack| pack.defaults.clone()).unwrap_or_default();
        let manifest = Manifest {
            name: self.name.trim().to_owned(),
            description: description.to_owned(),
            licence: original.as_ref().and_then(|pack| pack.licence.clone()),
            url: original.as_ref().and_then(|pack| pack.url.clone()),
            base,
            untuned,
            tuned,
            value,
            judge: source(&self.judge).map(|source| JudgeRole { source }),
            eval_prompts: original.as_ref().and_then(|pack| pack.eval_prompts.clone()),
            examples: original.as_ref().map(|pack| pack.examples.clone()).unwrap_or_default(),
            aim: original.as_ref().and_then(|pack| pack.aim.clone()),
            stories: original.as_ref().map(|pack| pack.stories.clone()).unwrap_or_default(),
            steers: original.as_ref().map(|pack| pack.steers.clone()).unwrap_or_default(),
            stop: original.map(|pack| pack.stop).unwrap_or_default(),
            defaults: match self.uses_current_settings {
                true => self.current_settings.clone(),
                false => defaults,
            },
        };
        // The fields are valid, so only the two models of the pair can differ.
        let mismatch = "Untuned and Tuned must be held in the same precision: use GGUF files for \
                        both or for neither, or choose their Weights.";
        manifest.to_toml().map_err(|reason| match reason.starts_with("tuned.precision") {
            true => mismatch.to_owned(),
            false => reason,
        })?;
        Ok(manifest)
    }

    /// Draws the form. Returns the user's decision, or `None` while there is none.
    pub(crate) fn show(&mut self, ui: &Ui, path_probe: &mut PathProbe) -> Option<Decision> {
        let mut decision = None;
        let frame = eframe::egui::Frame::popup(ui.style()).inner_margin(space::L);
        let modal = Modal::new(Id::unique("pack form")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_width(WIDTH);
            let title = match (&self.target, &self.original) {
                (Target::Edit(_), Some(original)) => format!("Edit {}", original.name),
                _ => "New pack".to_owned(),
            };
            ui.label(RichText::new(title).font(text::heading()));
            let words = "Choose the model of each role. Only the base is required. β needs a pair; \
                         λ needs a value model, or a pair for implicit values.";
            ui.label(RichText::new(words).color(Palette::of(ui).weak));
            ui.add_space(space::S);
            // A fixed height, so that the buttons do not move when fields appear or disappear.
            let height = (ui.ctx().content_rect().height() - OTHER_HEIGHT).clamp(90.0, 470.0);
            let fields = ScrollArea::vertical().max_height(height).auto_shrink(false);
            let fields = if self.is_new { fields.vertical_scroll_offset(0.0) } else { fields };
            fields.show(ui, |ui| self.fields(ui));
            ui.add_space(space::S);
            let manifest = self.manifest();
            let error = manifest.as_ref().err().map(|error| sentence(error));
            let missing = manifest.as_ref().ok();
            let folder = match &self.target {
                Target::Edit(folder) => Some(folder.as_path()),
                Target::New => None,
            };
            let missing = missing.and_then(|pack| missing_source(pack, folder, path_probe));
            let p = Palette::of(ui);
            let (words, ink) = match (&error, missing) {
                (Some(error), _) => (error.clone(), p.weak),
                (None, Some(missing)) => (missing, p.danger),
                (None, None) => ("Ready to save.".to_owned(), p.weak),
            };
            ui.label(RichText::new(words).font(text::small()).color(ink));
            decision = self.buttons(ui, manifest.is_ok(), &error.unwrap_or_default());
        });
        // A click outside the form does not close it after the user has typed something.
        let is_accidental = modal.backdrop_response.clicked() && !self.is_untouched();
        if modal.should_close() && !is_accidental {
            decision = decision.or(Some(Decision::Close));
        }
        decision
    }

    fn buttons(&mut self, ui: &mut Ui, can_save: bool, error: &str) -> Option<Decision> {
        let (save, save_decision, close_hint, clear) = match &self.target {
            Target::New => {
                ("Save…", Decision::Save, "Keeps your input for the next time.", "Clear")
            }
            Target::Edit(folder) => {
                let hint = "Discards your changes. The pack stays as it is.";
                ("Save", Decision::Replace(folder.clone()), hint, "Undo changes")
            }
        };
        let mut decision = None;
        ui.horizontal(|ui| {
            let save = primary_button(ui, save, 96.0, can_save);
            if save.on_disabled_hover_text(error).clicked() {
                decision = Some(save_decision);
            }
            let close = secondary_button(ui, "Close", 88.0, true);
            if close.on_hover_text(close_hint).clicked() {
                decision = Some(Decision::Close);
            }
            if !self.is_untouched() && secondary_button(ui, clear, 88.0, true).clicked() {
                *self = self.untouched();
            }
        });
        decision
    }

    /// Returns whether the user has changed nothing.
    pub(crate) fn is_untouched(&self) -> bool {
        let typed = Self { is_new: true, ..self.clone() };
        typed == self.untouched()
    }

    fn fields(&mut self, ui: &mut Ui) {
        ui.spacing_mut().item_spacing.y = space::XS;
        // Leaves room for the scroll bar.
        ui.set_max_width(WIDTH - space::L);
        let is_new = std::mem::take(&mut self.is_new);
        labeled_row(ui, "Name", |ui| {
            let name = text_box(ui, &mut self.name, "gpt2-xl-imdb", "Name of the pack");
            if is_new {
                name.request_focus();
            }
        });
        labeled_row(ui, "Description", |ui| {
            let hint = "One sentence about the pack";
            text_box(ui, &mut self.description, hint, "Description of the pack");
        });
        let roles = [
            ("Base", "The frozen model that is guided.", &mut self.base),
            ("Untuned", "The small model before preference tuning.", &mut self.untuned),
            (
                "Tuned",
                "Same model after tuning, with Untuned's prompt and precision.",
                &mut self.tuned,
            ),
            ("Value", "Predicts the reward of a partial response.", &mut self.value),
        ];
        for (name, hint, role) in roles {
            heading(ui, name, hint);
            role.fields(ui, name);
        }
        heading(ui, "Judge", "Scores finished responses. It does not guide.");
        labeled_row(ui, "Files", |ui| {
            let hint = "owner/model of a DistilBERT classifier · /a/folder · bundled:imdb/judge";
            text_box(ui, &mut self.judge, hint, "Judge: files");
        });
        heading(ui, "Settings", "The pack starts with these settings.");
        let words = match self.original {
            Some(_) => "Use the current settings instead of the pack's",
            None => "Use the current settings instead of the paper's",
        };
        ui.checkbox(&mut self.uses_current_settings, words);
    }
}

fn heading(ui: &mut Ui, name: &str, hint: &str) {
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        ui.label(RichText::new(name).font(text::group()));
        let ink = Palette::of(ui).weak;
        ui.label(RichText::new(hint).font(text::small()).color(ink));
    });
}

/// Returns a folder name made from the name of a pack.
pub(crate) fn folder_name(name: &str) -> String {
    let keep = |c: char| if c.is_alphanumeric() || c == '-' || c == '.' { c } else { '-' };
    let name: String = name.trim().to_lowercase().chars().map(keep).collect();
    if name.trim_matches(['-', '.']).is_empty() { "pack".into() } else { name }
}

/// Returns a sentence about the first source of the pack that does not exist, or `None` if all
/// exist or are not checked yet. `pack` is the folder of the pack that is edited.
fn missing_source(
    manifest: &Manifest,
    pack: Option<&Path>,
    path_probe: &mut PathProbe,
) -> Option<String> {
    let roles = manifest.roles().flat_map(|(_, role)| [&role.source, &role.adapter]);
    let mut sources = roles.flatten().chain(manifest.judge.iter().map(|judge| &judge.source));
    let mut exists = |source: &Source| match (source, pack) {
        (Source::Pack(path), Some(pack)) => path_probe.exists(&Source::Folder(pack.join(path))),
        _ => path_probe.exists(source),
    };
    let missing = sources.find(|source| exists(source) == Some(false))?;
    Some(match missing {
        Source::Bundled(path) => {
            format!("This program does not include {}.", path.display())
        }
        Source::Folder(path) => {
            format!("{} does not exist on this machine.", path.display())
        }
        other => format!("{other} does not exist."),
    })
}

#[cfg(test)]
#[path = "pack_form_tests.rs"]
mod tests;
