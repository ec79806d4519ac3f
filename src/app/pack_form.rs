//! A pack being put together: which models play which role, to be written as a `pack.toml`.

use eframe::egui::{ComboBox, Grid, Id, Modal, RichText, ScrollArea, TextEdit, Ui};

use super::theme::{Palette, space, text};
use super::widgets::{primary_button, secondary_button};
use crate::guidance::settings::Settings;
use crate::worker::library::{HubModel, MAIN, Manifest, PLACEHOLDER, PromptStyle, Role, Source};

/// What is typed so far.
#[derive(Debug, Clone, PartialEq)]
pub struct PackForm {
    name: String,
    description: String,
    base: RoleForm,
    untuned: RoleForm,
    tuned: RoleForm,
    value: RoleForm,
    /// Where the sliders will start.
    defaults: Settings,
    /// Puts the caret into the first box with the first frame.
    is_new: bool,
}

/// One role as typed.
#[derive(Debug, Clone, PartialEq)]
struct RoleForm {
    place: String,
    adapter: String,
    template: String,
    chat: bool,
}

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Ask where to save it.
    Save,
    /// Drop it.
    Cancel,
}

impl Default for RoleForm {
    fn default() -> Self {
        Self {
            place: String::new(),
            adapter: String::new(),
            template: PLACEHOLDER.to_owned(),
            chat: false,
        }
    }
}

const HINT: &str = "owner/model · owner/model:file.gguf · /a/folder · /a/file.gguf";

impl PackForm {
    /// An empty form; the pack will start with these settings.
    pub fn new(defaults: Settings) -> Self {
        let role = RoleForm::default;
        Self {
            name: String::new(),
            description: String::new(),
            base: role(),
            untuned: role(),
            tuned: role(),
            value: role(),
            defaults,
            is_new: true,
        }
    }

    /// The name, as a folder's.
    pub fn folder_name(&self) -> String {
        let keep = |c: char| if c.is_alphanumeric() || c == '-' || c == '.' { c } else { '-' };
        let name: String = self.name.trim().to_lowercase().chars().map(keep).collect();
        if name.trim_matches(['-', '.']).is_empty() { "pack".into() } else { name }
    }

    /// The pack that the form describes.
    ///
    /// # Errors
    /// One sentence that names the field.
    pub fn manifest(&self) -> Result<Manifest, String> {
        let description = match self.description.trim() {
            "" => "A pack of my own.",
            words => words,
        };
        let manifest = Manifest {
            name: self.name.trim().to_owned(),
            description: description.to_owned(),
            licence: None,
            url: None,
            base: self.base.role().ok_or("Base: say where the files are.")?,
            untuned: self.untuned.role(),
            tuned: self.tuned.role(),
            value: self.value.role(),
            judge: None,
            eval_prompts: None,
            examples: Vec::new(),
            stop: Vec::new(),
            defaults: self.defaults.clone(),
        };
        manifest.to_toml()?;
        Ok(manifest)
    }

    /// Shows it; gives the decision once there is one.
    pub fn show(&mut self, ui: &Ui) -> Option<Decision> {
        let mut decision = None;
        let frame = eframe::egui::Frame::popup(ui.style()).inner_margin(space::L);
        let modal = Modal::new(Id::unique("pack form")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_width(640.0);
            ui.label(RichText::new("New pack").font(text::heading()));
            let words = "Which models play which role. Only the base is needed; without a pair \
                         β does not apply, without a value model λ by explicit values does not.";
            ui.label(RichText::new(words).color(Palette::of(ui).weak));
            ui.add_space(space::S);
            ScrollArea::vertical().max_height(430.0).show(ui, |ui| self.fields(ui));
            ui.add_space(space::S);
            let made = self.manifest();
            let ink = Palette::of(ui).weak;
            let reason = made.as_ref().err().cloned();
            ui.label(
                RichText::new(reason.as_deref().unwrap_or("Everything that is needed is there."))
                    .font(text::small())
                    .color(ink),
            );
            ui.horizontal(|ui| {
                let save = primary_button(ui, "Save…", 96.0, made.is_ok());
                if save.on_disabled_hover_text(reason.unwrap_or_default()).clicked() {
                    decision = Some(Decision::Save);
                }
                if secondary_button(ui, "Cancel", 88.0, true).clicked() {
                    decision = Some(Decision::Cancel);
                }
            });
        });
        // A click beside it must not throw away what was typed.
        if modal.should_close() && decision.is_none() && self.is_untouched() {
            decision = Some(Decision::Cancel);
        }
        decision
    }

    fn is_untouched(&self) -> bool {
        Self { is_new: true, ..Self::new(self.defaults.clone()) }
            == Self { is_new: true, ..self.clone() }
    }

    fn fields(&mut self, ui: &mut Ui) {
        Grid::new("pack").num_columns(2).spacing([space::M, space::S]).show(ui, |ui| {
            ui.label("Name");
            let name = TextEdit::singleline(&mut self.name).desired_width(500.0);
            let name = ui.add(name.hint_text("gpt2-xl-imdb")).accessible_name("Name of the pack");
            if std::mem::take(&mut self.is_new) {
                name.request_focus();
            }
            ui.end_row();
            ui.label("Description");
            let edit = TextEdit::singleline(&mut self.description).desired_width(500.0);
            ui.add(edit.hint_text("One sentence for people"))
                .accessible_name("Description of the pack");
            ui.end_row();
        });
        let roles = [
            ("Base", "The frozen model that is guided.", &mut self.base),
            ("Untuned", "The small model before preference tuning.", &mut self.untuned),
            ("Tuned", "The same after it.", &mut self.tuned),
            ("Value", "Predicts the reward of a partial text.", &mut self.value),
        ];
        for (name, hint, role) in roles {
            ui.add_space(space::S);
            ui.horizontal(|ui| {
                ui.label(RichText::new(name).font(text::group()));
                let ink = Palette::of(ui).weak;
                ui.label(RichText::new(hint).font(text::small()).color(ink));
            });
            role.fields(ui, name);
        }
    }
}

impl RoleForm {
    fn fields(&mut self, ui: &mut Ui, name: &str) {
        Grid::new(name).num_columns(2).spacing([space::M, space::XS]).show(ui, |ui| {
            ui.label("Files");
            let edit = TextEdit::singleline(&mut self.place).desired_width(500.0);
            ui.add(edit.hint_text(HINT)).accessible_name(format!("{name}: files"));
            ui.end_row();
            if name == "Tuned" {
                ui.label("Adapter");
                let edit = TextEdit::singleline(&mut self.adapter).desired_width(500.0);
                let edit = edit.hint_text("A LoRA folder on these files, or on untuned's");
                ui.add(edit).accessible_name("Tuned: adapter");
                ui.end_row();
            }
            if !self.is_empty() {
                ui.label("Prompt");
                ui.horizontal(|ui| {
                    let shown = if self.chat { "Chat template" } else { "As written" };
                    let choice = ComboBox::from_id_salt(name).selected_text(shown).width(130.0);
                    let choice = choice.show_ui(ui, |ui| {
                        ui.selectable_value(&mut self.chat, false, "As written");
                        ui.selectable_value(&mut self.chat, true, "Chat template");
                    });
                    choice.response.accessible_name(format!("{name}: prompt"));
                    if !self.chat {
                        let edit = TextEdit::singleline(&mut self.template).desired_width(360.0);
                        ui.add(edit).accessible_name(format!("{name}: template"));
                    }
                });
                ui.end_row();
            }
        });
    }

    fn is_empty(&self) -> bool {
        self.place.trim().is_empty() && self.adapter.trim().is_empty()
    }

    fn role(&self) -> Option<Role> {
        if self.is_empty() {
            return None;
        }
        let prompt = if self.chat {
            PromptStyle::Chat { system: None }
        } else {
            PromptStyle::Template(self.template.clone())
        };
        Some(Role {
            source: source(&self.place),
            trunk: None,
            adapter: source(&self.adapter),
            precision: None,
            prompt,
        })
    }
}

/// What a person means by a place: a path if it looks like one, else a model on the hub.
fn source(typed: &str) -> Option<Source> {
    let typed = typed.trim();
    if typed.is_empty() {
        return None;
    }
    let is_path = typed.starts_with(['/', '~', '.', '\\']) || typed.get(1..3) == Some(":\\");
    if is_path {
        return Some(Source::Folder(typed.into()));
    }
    let (id, file) = match typed.split_once(':') {
        Some((id, file)) => (id, Some(file.to_owned())),
        None => (typed, None),
    };
    Some(Source::Hub(HubModel { id: id.to_owned(), revision: MAIN.to_owned(), file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        assert_eq!(source("  "), None);
        assert_eq!(source(" /models/a "), Some(Source::Folder("/models/a".into())));
        assert_eq!(source("~/a.gguf"), Some(Source::Folder("~/a.gguf".into())));
        let hub = |id: &str, file: Option<&str>| {
            let (id, file) = (id.to_owned(), file.map(str::to_owned));
            Some(Source::Hub(HubModel { id, revision: MAIN.to_owned(), file }))
        };
        assert_eq!(source("openai-community/gpt2"), hub("openai-community/gpt2", None));
        assert_eq!(source("a/b:c.gguf"), hub("a/b", Some("c.gguf")));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut form = PackForm::new(Settings::default());
        assert!(form.manifest().is_err_and(|reason| reason.contains("Base")));
        form.base.place = "openai-community/gpt2-xl".into();
        assert!(form.manifest().is_err_and(|reason| reason.contains("name")));
        form.name = "My pack, no. 1".into();
        assert_eq!(form.folder_name(), "my-pack--no.-1");
        assert!(form.manifest().is_ok());
        form.untuned.place = "lvwerra/gpt2-imdb".into();
        assert!(form.manifest().is_err_and(|reason| reason.contains("pair")));
        form.tuned.adapter = "/adapters/dpo".into();
        let made = form.manifest().expect("complete");
        let text = made.to_toml().expect("written");
        assert_eq!(Manifest::parse(&text), Ok(made));
    }
}
