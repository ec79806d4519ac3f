//! The form for a new pack: which models play which roles. The pack is saved as a `pack.toml`.

use eframe::egui::{Align, ComboBox, Id, Layout, Modal, RichText, ScrollArea, TextEdit, Ui, vec2};

use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{primary_button, secondary_button};
use crate::format::sentence;
use crate::guidance::settings::Settings;
use crate::worker::pack_service::{
    BackboneRole, HubModel, JudgeRole, MAIN, Manifest, PLACEHOLDER, Precision, PromptStyle, Role,
    Source,
};
use crate::worker::path_probe::PathProbe;

/// The form, with the text typed so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PackForm {
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

/// The fields of one role.
#[derive(Debug, Clone, PartialEq)]
struct RoleForm {
    files: String,
    /// For a value head: the role whose model it reads.
    trunk: Option<BackboneRole>,
    adapter: String,
    template: String,
    chat: bool,
    system: String,
    precision: Option<Precision>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Ask where to save the pack.
    Save,
    /// Close the form and keep what was typed.
    Close,
}

impl Default for RoleForm {
    fn default() -> Self {
        Self {
            files: String::new(),
            trunk: None,
            adapter: String::new(),
            template: PLACEHOLDER.to_owned(),
            chat: false,
            system: String::new(),
            precision: None,
        }
    }
}

const HINT: &str = "owner/model (@revision, :file.gguf) · /a/folder · bundled:imdb/base";
const WIDTH: f32 = 640.0;
/// Height of the window minus the height of the fields: the rest of the form and its margins.
const OTHER_HEIGHT: f32 = 230.0;
/// Width of the label before a field.
const LABEL: f32 = 84.0;
/// Width of a dropdown.
const DROPDOWN: f32 = 148.0;

impl PackForm {
    /// Creates an empty form. The user can choose `current_settings` as the defaults of the pack.
    pub(crate) fn new(current_settings: Settings) -> Self {
        let role = RoleForm::default;
        Self {
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

    /// Opens the form again with the text typed before, and updates the current settings.
    pub(crate) fn open(&mut self, settings: &Settings) {
        self.current_settings.clone_from(settings);
        self.is_new = true;
    }

    /// Returns a folder name made from the name of the pack.
    pub(crate) fn folder_name(&self) -> String {
        let keep = |c: char| if c.is_alphanumeric() || c == '-' || c == '.' { c } else { '-' };
        let name: String = self.name.trim().to_lowercase().chars().map(keep).collect();
        if name.trim_matches(['-', '.']).is_empty() { "pack".into() } else { name }
    }

    /// Returns the pack that the form describes.
    ///
    /// # Errors
    /// Returns a sentence that names the wrong field.
    pub(crate) fn manifest(&self) -> Result<Manifest, String> {
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
        let manifest = Manifest {
            name: self.name.trim().to_owned(),
            description: description.to_owned(),
            licence: None,
            url: None,
            base,
            untuned,
            tuned,
            value,
            judge: source(&self.judge).map(|source| JudgeRole { source }),
            eval_prompts: None,
            examples: Vec::new(),
            aim: None,
            stories: Vec::new(),
            stop: Vec::new(),
            defaults: if self.uses_current_settings {
                self.current_settings.clone()
            } else {
                Settings::default()
            },
        };
        manifest.to_toml()?;
        Ok(manifest)
    }

    /// Draws the form. Returns the user's decision, or `None` while there is none.
    pub(crate) fn show(&mut self, ui: &Ui, path_probe: &mut PathProbe) -> Option<Decision> {
        let mut decision = None;
        let frame = eframe::egui::Frame::popup(ui.style()).inner_margin(space::L);
        let modal = Modal::new(Id::unique("pack form")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_width(WIDTH);
            ui.label(RichText::new("New pack").font(text::heading()));
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
            let missing = missing.and_then(|manifest| missing_source(manifest, path_probe));
            let p = Palette::of(ui);
            let (words, ink) = match (&error, missing) {
                (Some(error), _) => (error.clone(), p.weak),
                (None, Some(missing)) => (missing, p.danger),
                (None, None) => ("Ready to save.".to_owned(), p.weak),
            };
            ui.label(RichText::new(words).font(text::small()).color(ink));
            ui.horizontal(|ui| {
                let save = primary_button(ui, "Save…", 96.0, manifest.is_ok());
                if save.on_disabled_hover_text(error.unwrap_or_default()).clicked() {
                    decision = Some(Decision::Save);
                }
                let close = secondary_button(ui, "Close", 88.0, true);
                if close.on_hover_text("Keeps your input for the next time.").clicked() {
                    decision = Some(Decision::Close);
                }
                if !self.is_untouched() && secondary_button(ui, "Clear", 88.0, true).clicked() {
                    *self = Self::new(self.current_settings.clone());
                }
            });
        });
        // A click outside the form does not close it after the user has typed something.
        let is_accidental = modal.backdrop_response.clicked() && !self.is_untouched();
        if modal.should_close() && !is_accidental {
            decision = decision.or(Some(Decision::Close));
        }
        decision
    }

    /// Returns whether the form is empty.
    pub(crate) fn is_untouched(&self) -> bool {
        let typed = Self { is_new: true, ..self.clone() };
        typed == Self::new(self.current_settings.clone())
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
            ("Tuned", "The same model after tuning; same prompt and precision.", &mut self.tuned),
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
        let words = "Use the current settings instead of the paper's";
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

/// Draws a row: a label and the field after it.
fn labeled_row(ui: &mut Ui, label: &str, contents: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        let size = vec2(LABEL, ui.spacing().interact_size.y);
        ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
            ui.set_min_width(LABEL);
            ui.label(label);
        });
        contents(ui);
    });
}

fn dropdown<T: Copy + PartialEq>(ui: &mut Ui, name: &str, value: &mut T, all: &[(T, &str)]) {
    let shown = all.iter().find(|(known, _)| known == value).map_or("", |(_, words)| words);
    let dropdown = ComboBox::from_id_salt(name).selected_text(shown).width(DROPDOWN);
    let dropdown = dropdown.show_ui(ui, |ui| {
        for (known, words) in all {
            ui.selectable_value(value, *known, *words);
        }
    });
    dropdown.response.accessible_name(name);
}

/// Draws a text box that fills the available width.
fn text_box(ui: &mut Ui, text: &mut String, hint: &str, name: &str) -> eframe::egui::Response {
    let edit = TextEdit::singleline(text).desired_width(f32::INFINITY).hint_text(hint);
    ui.add(edit).accessible_name(name)
}

impl RoleForm {
    fn fields(&mut self, ui: &mut Ui, name: &str) {
        labeled_row(ui, "Files", |ui| {
            text_box(ui, &mut self.files, HINT, &format!("{name}: files"));
        });
        if name == "Tuned" {
            labeled_row(ui, "Adapter", |ui| {
                let hint = "A LoRA folder, applied to these files or to untuned's";
                text_box(ui, &mut self.adapter, hint, "Tuned: adapter");
            });
            return;
        }
        if self.is_empty() {
            return;
        }
        if name == "Value" {
            labeled_row(ui, "Trunk", |ui| {
                let trunks = [
                    (None, "Its own model"),
                    (Some(BackboneRole::Base), "Base"),
                    (Some(BackboneRole::Untuned), "Untuned"),
                    (Some(BackboneRole::Tuned), "Tuned"),
                ];
                dropdown(ui, "Value: trunk", &mut self.trunk, &trunks);
            });
            if self.trunk.is_some() {
                return;
            }
        }
        labeled_row(ui, "Prompt", |ui| self.prompt(ui, name));
        labeled_row(ui, "Weights", |ui| {
            let precisions = [
                (None, "Automatic"),
                (Some(Precision::F32), "32 bits (f32)"),
                (Some(Precision::Q8_0), "8 bits (q8_0)"),
            ];
            dropdown(ui, &format!("{name}: weights"), &mut self.precision, &precisions);
        });
    }

    fn prompt(&mut self, ui: &mut Ui, name: &str) {
        let styles = [(false, "As written"), (true, "Chat template")];
        dropdown(ui, &format!("{name}: prompt"), &mut self.chat, &styles);
        if self.chat {
            text_box(ui, &mut self.system, "System prompt, if any", &format!("{name}: system"));
        } else {
            // A template can have several lines.
            let edit = TextEdit::multiline(&mut self.template).desired_rows(1);
            let edit = edit.desired_width(f32::INFINITY).hint_text(PLACEHOLDER);
            ui.add(edit).accessible_name(format!("{name}: template"));
        }
    }

    fn is_empty(&self) -> bool {
        self.files.trim().is_empty() && self.adapter.trim().is_empty()
    }

    fn role(&self) -> Option<Role> {
        if self.is_empty() {
            return None;
        }
        let prompt = if self.chat {
            let system = self.system.trim();
            PromptStyle::Chat { system: (!system.is_empty()).then(|| system.to_owned()) }
        } else {
            PromptStyle::Template(self.template.clone())
        };
        Some(Role {
            source: source(&self.files),
            trunk: self.trunk,
            adapter: source(&self.adapter),
            // A value head uses the precision of its model.
            precision: self.precision.filter(|_| self.trunk.is_none()),
            prompt,
        })
    }
}

/// Returns a sentence about the first source of the pack that does not exist, or `None` if all
/// exist or are not checked yet.
fn missing_source(manifest: &Manifest, path_probe: &mut PathProbe) -> Option<String> {
    let roles = manifest.roles().flat_map(|(_, role)| [&role.source, &role.adapter]);
    let mut sources = roles.flatten().chain(manifest.judge.iter().map(|judge| &judge.source));
    let missing = sources.find(|source| path_probe.exists(source) == Some(false))?;
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

/// Parses what the user typed: a bundled model, a path if it looks like one, or a model on the hub.
fn source(typed: &str) -> Option<Source> {
    let typed = typed.trim();
    if typed.is_empty() {
        return None;
    }
    if let Some(bundled) = typed.strip_prefix("bundled:") {
        return Some(Source::Bundled(bundled.trim().into()));
    }
    let is_path = typed.starts_with(['/', '~', '.', '\\']) || typed.get(1..3) == Some(":\\");
    if is_path {
        return Some(Source::Folder(typed.into()));
    }
    let (id, file) = match typed.split_once(':') {
        Some((id, file)) => (id, Some(file.to_owned())),
        None => (typed, None),
    };
    let (id, revision) = id.split_once('@').unwrap_or((id, MAIN));
    Some(Source::Hub(HubModel { id: id.to_owned(), revision: revision.to_owned(), file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_paths_bundled_models_and_hub_models() {
        assert_eq!(source("  "), None);
        assert_eq!(source(" /models/a "), Some(Source::Folder("/models/a".into())));
        assert_eq!(source("~/a.gguf"), Some(Source::Folder("~/a.gguf".into())));
        let hub = |id: &str, file: Option<&str>| {
            let (id, file) = (id.to_owned(), file.map(str::to_owned));
            Some(Source::Hub(HubModel { id, revision: MAIN.to_owned(), file }))
        };
        assert_eq!(source("openai-community/gpt2"), hub("openai-community/gpt2", None));
        assert_eq!(source("a/b:c.gguf"), hub("a/b", Some("c.gguf")));
        let Some(Source::Hub(pinned)) = source("a/b@v1.0:c.gguf") else { panic!("a model") };
        assert_eq!(pinned.to_string(), "a/b@v1.0/c.gguf");
        assert_eq!(source("bundled:imdb/judge"), Some(Source::Bundled("imdb/judge".into())));
    }

    #[test]
    fn names_the_wrong_field_and_builds_the_manifest() {
        let mut form = PackForm::new(Settings::default());
        assert!(form.manifest().is_err_and(|reason| reason.contains("Base")));
        form.base.files = "openai-community/gpt2-xl".into();
        assert!(form.manifest().is_err_and(|reason| reason.contains("name")));
        form.name = "My pack, no. 1".into();
        assert_eq!(form.folder_name(), "my-pack--no.-1");
        assert!(form.manifest().is_ok());
        form.untuned.files = "lvwerra/gpt2-imdb".into();
        assert!(form.manifest().is_err_and(|reason| reason.contains("pair")));
        form.tuned.adapter = "/adapters/dpo".into();
        form.untuned.chat = true;
        form.untuned.system = " Be brief. ".into();
        form.untuned.precision = Some(Precision::Q8_0);
        form.judge = "/judges/mine".into();
        let manifest = form.manifest().expect("complete");
        // The tuned model gets the prompt and precision of the untuned one.
        let tuned = manifest.tuned.clone().expect("a pair");
        let system = Some("Be brief.".to_owned());
        assert_eq!(tuned.prompt, PromptStyle::Chat { system });
        assert_eq!(tuned.precision, Some(Precision::Q8_0));
        assert!(manifest.judge.is_some());
        let text = manifest.to_toml().expect("written");
        assert_eq!(Manifest::parse(&text), Ok(manifest));
        // A head on the tuned model gets the prompt and precision of that model.
        form.value.files = "/heads/mine".into();
        (form.value.trunk, form.value.precision) =
            (Some(BackboneRole::Tuned), Some(Precision::Q8_0));
        let manifest = form.manifest().expect("complete");
        let value = manifest.value.clone().expect("a value model");
        assert_eq!((value.trunk, value.precision), (Some(BackboneRole::Tuned), None));
        assert_eq!(Some(&value.prompt), manifest.tuned.as_ref().map(|tuned| &tuned.prompt));
        assert_eq!(Manifest::parse(&manifest.to_toml().expect("written")), Ok(manifest));
        (form.untuned, form.tuned) = (RoleForm::default(), RoleForm::default());
        assert!(form.manifest().is_err_and(|reason| reason.contains("no tuned")));
    }
}
