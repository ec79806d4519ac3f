//! The fields of one role in the form for a pack.

use eframe::egui::{Align, ComboBox, Layout, Response, TextEdit, Ui, vec2};

use crate::worker::pack_service::{
    BackboneRole, HubModel, MAIN, PLACEHOLDER, Precision, PromptStyle, Role, Source,
};

const HINT: &str = "owner/model (@revision, :file.gguf) · /a/folder · bundled:imdb/base";
/// Width of the label before a field.
const LABEL: f32 = 104.0;
/// Width of a dropdown.
const DROPDOWN: f32 = 148.0;

/// The fields of one role.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RoleForm {
    pub(super) files: String,
    /// For a value head: the role whose model it reads.
    pub(super) trunk: Option<BackboneRole>,
    pub(super) adapter: String,
    pub(super) template: String,
    pub(super) chat: bool,
    pub(super) system: String,
    pub(super) precision: Option<Precision>,
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

/// Draws a row: a label and the field after it.
pub(super) fn labeled_row<R>(ui: &mut Ui, label: &str, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let row = ui.horizontal(|ui| {
        let size = vec2(LABEL, ui.spacing().interact_size.y);
        ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
            ui.set_min_width(LABEL);
            ui.label(label);
        });
        contents(ui)
    });
    row.inner
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
pub(super) fn text_box(ui: &mut Ui, text: &mut String, hint: &str, name: &str) -> Response {
    let edit = TextEdit::singleline(text).desired_width(f32::INFINITY).hint_text(hint);
    ui.add(edit).accessible_name(name)
}

impl RoleForm {
    /// Draws the fields of the role with this label.
    pub(super) fn fields(&mut self, ui: &mut Ui, name: &str) {
        labeled_row(ui, "Files", |ui| {
            text_box(ui, &mut self.files, HINT, &format!("{name}: files"));
        });
        // Other roles have an adapter only in a pack.toml that was written by hand.
        if name == "Tuned" || !self.adapter.is_empty() {
            labeled_row(ui, "Adapter", |ui| {
                let hint = "A LoRA folder, applied to these files or to Untuned's";
                text_box(ui, &mut self.adapter, hint, &format!("{name}: adapter"));
            });
        }
        if name == "Tuned" {
            return;
        }
        if self.is_empty() {
            return;
        }
        if name == "Value" {
            labeled_row(ui, "Attach to", |ui| {
                let trunks = [
                    (None, "Its own model"),
                    (Some(BackboneRole::Base), "Base"),
                    (Some(BackboneRole::Untuned), "Untuned"),
                    (Some(BackboneRole::Tuned), "Tuned"),
                ];
                dropdown(ui, "Value: attach to", &mut self.trunk, &trunks);
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

    pub(super) fn is_empty(&self) -> bool {
        self.files.trim().is_empty() && self.adapter.trim().is_empty()
    }

    /// Returns the fields of a role of a pack.
    pub(super) fn of(role: &Role) -> Self {
        let (template, chat, system) = match &role.prompt {
            PromptStyle::Template(template) => (template.clone(), false, String::new()),
            PromptStyle::Chat { system } => {
                (PLACEHOLDER.to_owned(), true, system.clone().unwrap_or_default())
            }
        };
        Self {
            files: role.source.as_ref().map(typed).unwrap_or_default(),
            trunk: role.trunk,
            adapter: role.adapter.as_ref().map(typed).unwrap_or_default(),
            template,
            chat,
            system,
            precision: role.precision,
        }
    }

    /// Returns the first fault of the role with this label, as a sentence.
    pub(super) fn fault(&self, name: &str) -> Option<String> {
        for (field, text) in [("Files", &self.files), ("Adapter", &self.adapter)] {
            if let Some(reason) = source(text).and_then(|source| source_fault(&source)) {
                return Some(format!("{name}, {field}: {reason}"));
            }
        }
        if !self.is_empty() && self.files.trim().is_empty() && name != "Tuned" {
            return Some(format!("{name}, Files: enter where the model is."));
        }
        // Tuned uses Untuned's prompt, and a head that of its model.
        let uses_template = !self.is_empty() && !self.chat && self.trunk.is_none();
        if uses_template && name != "Tuned" && !self.template.contains(PLACEHOLDER) {
            return Some(format!(
                "{name}, Prompt: write {PLACEHOLDER} where the typed prompt belongs."
            ));
        }
        None
    }

    pub(super) fn role(&self) -> Option<Role> {
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

/// Returns why a source cannot be used, in the words of the form.
pub(super) fn source_fault(source: &Source) -> Option<String> {
    let reason = source.check().err()?;
    // The reason begins with the field of `pack.toml`.
    let words = match reason.split(' ').next() {
        Some("path") => {
            "after pack:, write a folder or a GGUF file inside the pack, without . and .."
                .to_owned()
        }
        Some("bundled") => {
            "after bundled:, write a pack of this program and a path in it, such as imdb/judge"
                .to_owned()
        }
        Some("folder") => "begin the path with / or ~/".to_owned(),
        Some("hub") => {
            "write a path that begins with / or ~/, or a model of the hub, such as owner/model"
                .to_owned()
        }
        Some("revision") => "after @, write a branch, a tag or a commit".to_owned(),
        Some("file") => "after the colon, write a .gguf file of the repository".to_owned(),
        _ => reason,
    };
    Some(format!("{words}."))
}

/// Returns the text for a source, which [`source`] parses.
pub(super) fn typed(source: &Source) -> String {
    match source {
        Source::Pack(path) => format!("pack:{}", path.display()),
        Source::Bundled(path) => format!("bundled:{}", path.display()),
        Source::Folder(path) => path.display().to_string(),
        Source::Hub(model) => {
            let mut text = model.id.clone();
            if model.revision != MAIN {
                text = format!("{text}@{}", model.revision);
            }
            model.file.iter().fold(text, |text, file| format!("{text}:{file}"))
        }
    }
}

/// Parses what the user typed: a model in the pack, a bundled one, a path if it looks like one, or a
/// model on the hub.
pub(super) fn source(typed: &str) -> Option<Source> {
    let typed = typed.trim();
    if typed.is_empty() {
        return None;
    }
    if let Some(bundled) = typed.strip_prefix("bundled:") {
        return Some(Source::Bundled(bundled.trim().into()));
    }
    if let Some(path) = typed.strip_prefix("pack:") {
        return Some(Source::Pack(path.trim().into()));
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
        for text in ["/a/b", "~/a.gguf", "a/b", "a/b@v1.0:c.gguf", "bundled:imdb/judge", "pack:x"] {
            assert_eq!(source(text).as_ref().map(typed).as_deref(), Some(text));
        }
    }

    #[test]
    fn faults_are_in_the_words_of_the_form() {
        let form = |files: &str| RoleForm { files: files.into(), ..RoleForm::default() };
        for (files, words) in [
            ("a/b/c", "Base, Files: write a path that begins with / or ~/"),
            ("./models", "Base, Files: begin the path with / or ~/."),
            ("a/b@..", "Base, Files: after @,"),
            ("a/b:c.bin", "Base, Files: after the colon, write a .gguf file"),
            ("bundled:imdb", "Base, Files: after bundled:,"),
            ("pack:../x", "Base, Files: after pack:,"),
        ] {
            let fault = form(files).fault("Base").expect(files);
            assert!(fault.starts_with(words) && fault.ends_with('.'), "{files}: {fault}");
        }
        assert_eq!(form("a/b").fault("Base"), None);
        let mut form = form("a/b");
        form.template = "no place".into();
        assert!(form.fault("Base").is_some_and(|fault| fault.starts_with("Base, Prompt:")));
        form.chat = true;
        assert_eq!(form.fault("Base"), None);
        let adapter = RoleForm { adapter: "/a".into(), ..RoleForm::default() };
        assert!(adapter.fault("Untuned").is_some_and(|f| f.starts_with("Untuned, Files:")));
        assert_eq!(adapter.fault("Tuned"), None);
    }
}
