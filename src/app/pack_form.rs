//! A pack being put together: which models play which role, to be written as a `pack.toml`.

use eframe::egui::{Align, ComboBox, Id, Layout, Modal, RichText, ScrollArea, TextEdit, Ui, vec2};

use super::theme::{Palette, space, text};
use super::widgets::{primary_button, secondary_button};
use crate::guidance::settings::Settings;
use crate::words::sentence;
use crate::worker::library::{
    HubModel, JudgeRole, MAIN, Manifest, PLACEHOLDER, Precision, PromptStyle, Role, Source, Trunk,
};
use crate::worker::places::Places;

/// What is typed so far.
#[derive(Debug, Clone, PartialEq)]
pub struct PackForm {
    name: String,
    description: String,
    base: RoleForm,
    untuned: RoleForm,
    tuned: RoleForm,
    value: RoleForm,
    /// The place of the judge.
    judge: String,
    /// Where the sliders stand.
    sliders: Settings,
    /// Whether the pack starts there.
    keeps_sliders: bool,
    /// Puts the caret into the first box with the first frame.
    is_new: bool,
}

/// One role as typed.
#[derive(Debug, Clone, PartialEq)]
struct RoleForm {
    place: String,
    /// The role on whose model a value head stands.
    trunk: Option<Trunk>,
    adapter: String,
    template: String,
    chat: bool,
    system: String,
    precision: Option<Precision>,
}

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Ask where to save it.
    Save,
    /// Close it; what is typed is kept.
    Close,
}

impl Default for RoleForm {
    fn default() -> Self {
        Self {
            place: String::new(),
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
/// Height of the window that the fields leave to the rest of the form and its margins.
const AROUND: f32 = 230.0;
/// Of the words before a box, and of a box to choose from.
const LABEL: f32 = 84.0;
const CHOICE: f32 = 148.0;

impl PackForm {
    /// An empty form; the pack may start with these settings.
    pub fn new(sliders: Settings) -> Self {
        let role = RoleForm::default;
        Self {
            name: String::new(),
            description: String::new(),
            base: role(),
            untuned: role(),
            tuned: role(),
            value: role(),
            judge: String::new(),
            sliders,
            keeps_sliders: false,
            is_new: true,
        }
    }

    /// Opens it, with what was typed before, and takes note of where the sliders stand now.
    pub fn open(&mut self, settings: &Settings) {
        self.sliders.clone_from(settings);
        self.is_new = true;
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
        let untuned = self.untuned.role();
        let tuned = self.tuned.role().map(|tuned| match &untuned {
            // A pair reads one prompt and is held alike.
            Some(Role { prompt, precision, .. }) => {
                Role { prompt: prompt.clone(), precision: *precision, ..tuned }
            }
            None => tuned,
        });
        let base = self.base.role().ok_or("Base: say where the files are.")?;
        let value = self.value.role().map(|value| match value.trunk {
            // A head reads what its model reads.
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
            stop: Vec::new(),
            defaults: if self.keeps_sliders { self.sliders.clone() } else { Settings::default() },
        };
        manifest.to_toml()?;
        Ok(manifest)
    }

    /// Shows it; gives the decision once there is one.
    pub fn show(&mut self, ui: &Ui, places: &mut Places) -> Option<Decision> {
        let mut decision = None;
        let frame = eframe::egui::Frame::popup(ui.style()).inner_margin(space::L);
        let modal = Modal::new(Id::unique("pack form")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_width(WIDTH);
            ui.label(RichText::new("New pack").font(text::heading()));
            let words = "Which models play which role. Only the base is needed; without a pair \
                         β does not apply, without a value model λ by explicit values does not.";
            ui.label(RichText::new(words).color(Palette::of(ui).weak));
            ui.add_space(space::S);
            // One that shrinks with what is in it would move the buttons away from the pointer.
            let height = (ui.ctx().content_rect().height() - AROUND).clamp(90.0, 470.0);
            let fields = ScrollArea::vertical().max_height(height).auto_shrink(false);
            let fields = if self.is_new { fields.vertical_scroll_offset(0.0) } else { fields };
            fields.show(ui, |ui| self.fields(ui));
            ui.add_space(space::S);
            let made = self.manifest();
            let reason = made.as_ref().err().map(|reason| sentence(reason));
            let absent = made.as_ref().ok().and_then(|made| absent(made, places));
            let p = Palette::of(ui);
            let (words, ink) = match (&reason, absent) {
                (Some(reason), _) => (reason.clone(), p.weak),
                (None, Some(absent)) => (absent, p.danger),
                (None, None) => ("Ready to be saved.".to_owned(), p.weak),
            };
            ui.label(RichText::new(words).font(text::small()).color(ink));
            ui.horizontal(|ui| {
                let save = primary_button(ui, "Save…", 96.0, made.is_ok());
                if save.on_disabled_hover_text(reason.unwrap_or_default()).clicked() {
                    decision = Some(Decision::Save);
                }
                let close = secondary_button(ui, "Close", 88.0, true);
                if close.on_hover_text("What is typed stays for the next time.").clicked() {
                    decision = Some(Decision::Close);
                }
                if !self.is_untouched() && secondary_button(ui, "Clear", 88.0, true).clicked() {
                    *self = Self::new(self.sliders.clone());
                }
            });
        });
        // A click beside it is a slip where something is typed.
        let is_slip = modal.backdrop_response.clicked() && !self.is_untouched();
        if modal.should_close() && !is_slip {
            decision = decision.or(Some(Decision::Close));
        }
        decision
    }

    /// Whether nothing is typed.
    pub fn is_untouched(&self) -> bool {
        let typed = Self { is_new: true, ..self.clone() };
        typed == Self::new(self.sliders.clone())
    }

    fn fields(&mut self, ui: &mut Ui) {
        ui.spacing_mut().item_spacing.y = space::XS;
        // Room for the bar that scrolls.
        ui.set_max_width(WIDTH - space::L);
        let is_new = std::mem::take(&mut self.is_new);
        line(ui, "Name", |ui| {
            let name = written(ui, &mut self.name, "gpt2-xl-imdb", "Name of the pack");
            if is_new {
                name.request_focus();
            }
        });
        line(ui, "Description", |ui| {
            let hint = "One sentence for people";
            written(ui, &mut self.description, hint, "Description of the pack");
        });
        let roles = [
            ("Base", "The frozen model that is guided.", &mut self.base),
            ("Untuned", "The small model before preference tuning.", &mut self.untuned),
            ("Tuned", "The same after it; reads and is held as untuned.", &mut self.tuned),
            ("Value", "Predicts the reward of a partial text.", &mut self.value),
        ];
        for (name, hint, role) in roles {
            heading(ui, name, hint);
            role.fields(ui, name);
        }
        heading(ui, "Judge", "Measures finished texts and never guides.");
        line(ui, "Files", |ui| {
            let hint = "owner/model of a DistilBERT classifier · /a/folder · bundled:imdb/judge";
            written(ui, &mut self.judge, hint, "Judge: files");
        });
        heading(ui, "Settings", "Those of the paper, unless it is to start with others.");
        ui.checkbox(&mut self.keeps_sliders, "Start as the sliders stand now");
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

/// Words, and what stands behind them up to the right edge.
fn line(ui: &mut Ui, words: &str, contents: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        let size = vec2(LABEL, ui.spacing().interact_size.y);
        ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
            ui.set_min_width(LABEL);
            ui.label(words);
        });
        contents(ui);
    });
}

/// A box to choose from.
fn choice<T: Copy + PartialEq>(ui: &mut Ui, name: &str, value: &mut T, all: &[(T, &str)]) {
    let shown = all.iter().find(|(known, _)| known == value).map_or("", |(_, words)| words);
    let choice = ComboBox::from_id_salt(name).selected_text(shown).width(CHOICE);
    let choice = choice.show_ui(ui, |ui| {
        for (known, words) in all {
            ui.selectable_value(value, *known, *words);
        }
    });
    choice.response.accessible_name(name);
}

/// A box as wide as there is room.
fn written(ui: &mut Ui, text: &mut String, hint: &str, name: &str) -> eframe::egui::Response {
    let edit = TextEdit::singleline(text).desired_width(f32::INFINITY).hint_text(hint);
    ui.add(edit).accessible_name(name)
}

impl RoleForm {
    fn fields(&mut self, ui: &mut Ui, name: &str) {
        line(ui, "Files", |ui| {
            written(ui, &mut self.place, HINT, &format!("{name}: files"));
        });
        if name == "Tuned" {
            line(ui, "Adapter", |ui| {
                let hint = "A LoRA folder on these files, or on untuned's";
                written(ui, &mut self.adapter, hint, "Tuned: adapter");
            });
            return;
        }
        if self.is_empty() {
            return;
        }
        if name == "Value" {
            line(ui, "Stands on", |ui| {
                let trunks = [
                    (None, "Its own model"),
                    (Some(Trunk::Base), "Base"),
                    (Some(Trunk::Untuned), "Untuned"),
                    (Some(Trunk::Tuned), "Tuned"),
                ];
                choice(ui, "Value: stands on", &mut self.trunk, &trunks);
            });
            if self.trunk.is_some() {
                return;
            }
        }
        line(ui, "Prompt", |ui| self.prompt(ui, name));
        line(ui, "Weights", |ui| {
            let held = [
                (None, "As the files suit"),
                (Some(Precision::F32), "32 bits (f32)"),
                (Some(Precision::Q8_0), "8 bits (q8_0)"),
            ];
            choice(ui, &format!("{name}: weights"), &mut self.precision, &held);
        });
    }

    fn prompt(&mut self, ui: &mut Ui, name: &str) {
        let forms = [(false, "As written"), (true, "Chat template")];
        choice(ui, &format!("{name}: prompt"), &mut self.chat, &forms);
        if self.chat {
            written(ui, &mut self.system, "System prompt, if any", &format!("{name}: system"));
        } else {
            // A template may run over several lines.
            let edit = TextEdit::multiline(&mut self.template).desired_rows(1);
            let edit = edit.desired_width(f32::INFINITY).hint_text(PLACEHOLDER);
            ui.add(edit).accessible_name(format!("{name}: template"));
        }
    }

    fn is_empty(&self) -> bool {
        self.place.trim().is_empty() && self.adapter.trim().is_empty()
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
            source: source(&self.place),
            trunk: self.trunk,
            adapter: source(&self.adapter),
            // A head is held as its model is.
            precision: self.precision.filter(|_| self.trunk.is_none()),
            prompt,
        })
    }
}

/// The first place that a pack names and that is not there, in a sentence.
fn absent(manifest: &Manifest, places: &mut Places) -> Option<String> {
    let roles = manifest.roles().flat_map(|(_, role)| [&role.source, &role.adapter]);
    let mut sources = roles.flatten().chain(manifest.judge.iter().map(|judge| &judge.source));
    let absent = sources.find(|source| places.is_there(source) == Some(false))?;
    Some(match absent {
        Source::Bundled(path) => format!("No {} came with the program.", path.display()),
        Source::Folder(path) => {
            format!("There is nothing at {} on this machine.", path.display())
        }
        other => format!("There is no {other}."),
    })
}

/// What a person means by a place: a path if it looks like one, else a model on the hub.
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
        let Some(Source::Hub(pinned)) = source("a/b@v1.0:c.gguf") else { panic!("a model") };
        assert_eq!(pinned.to_string(), "a/b@v1.0/c.gguf");
        assert_eq!(source("bundled:imdb/judge"), Some(Source::Bundled("imdb/judge".into())));
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
        form.untuned.chat = true;
        form.untuned.system = " Be brief. ".into();
        form.untuned.precision = Some(Precision::Q8_0);
        form.judge = "/judges/mine".into();
        let made = form.manifest().expect("complete");
        // What is said of one half of the pair holds for both.
        let tuned = made.tuned.clone().expect("a pair");
        let system = Some("Be brief.".to_owned());
        assert_eq!(tuned.prompt, PromptStyle::Chat { system });
        assert_eq!(tuned.precision, Some(Precision::Q8_0));
        assert!(made.judge.is_some());
        let text = made.to_toml().expect("written");
        assert_eq!(Manifest::parse(&text), Ok(made));
        // A head on the tuned model reads and is held as that is.
        form.value.place = "/heads/mine".into();
        (form.value.trunk, form.value.precision) = (Some(Trunk::Tuned), Some(Precision::Q8_0));
        let made = form.manifest().expect("complete");
        let value = made.value.clone().expect("a value model");
        assert_eq!((value.trunk, value.precision), (Some(Trunk::Tuned), None));
        assert_eq!(Some(&value.prompt), made.tuned.as_ref().map(|tuned| &tuned.prompt));
        assert_eq!(Manifest::parse(&made.to_toml().expect("written")), Ok(made));
        (form.untuned, form.tuned) = (RoleForm::default(), RoleForm::default());
        assert!(form.manifest().is_err_and(|reason| reason.contains("no tuned")));
    }
}
