//! The wizard "Bring a model": a model from disk, the bundled guides that fit it, and a first run.

mod guidance_step;
mod model_step;
mod state;
mod tools;
mod try_step;

use std::path::PathBuf;

use eframe::egui::{Align, Frame, Id, Key, Layout, Modal, RichText, Ui, vec2};

use crate::app::dialogs::file_picker::Picked;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{primary_button, secondary_button};
use crate::worker::pack_service::Manifest;

pub(crate) use state::Wizard;
use state::{Check, Saving, Stage};
pub(crate) use tools::Tools;

const WIDTH: f32 = 560.0;
/// Height of a step. It is fixed, so that the buttons do not move.
const HEIGHT: f32 = 380.0;
/// Height of the window minus the height of a step: the rest of the dialog and its margins.
const OTHER_HEIGHT: f32 = 210.0;

const STEPS: [&str; 3] = ["1 Model", "2 Guidance", "3 Try it"];

/// What the user decided.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Close the wizard and keep its content.
    Close,
    /// The path is a pack, which is added to the list.
    AddPack(PathBuf),
    /// Save the pack in the folder, then load it.
    Save(PathBuf, Box<Manifest>),
    /// Open the form with all fields, with this pack or with the path typed so far.
    Advanced(Option<Box<Manifest>>, String),
}

/// The buttons that were pressed in a frame.
#[derive(Default)]
struct Pressed {
    next: bool,
    back: bool,
    close: bool,
    advanced: bool,
}

impl Wizard {
    /// Draws the wizard. Returns the user's decision, or `None` while there is none.
    pub(crate) fn show(&mut self, ui: &Ui, mut tools: Tools<'_>) -> Option<Decision> {
        let tools = &mut tools;
        match tools.picker.picked() {
            Some(Picked::Path(path)) => self.dropped(&[path]),
            Some(Picked::Nothing(note)) => self.model.note = Some(note),
            None => {}
        }
        if let Some(pack) = self.model.poll(ui, tools) {
            return Some(Decision::AddPack(pack));
        }
        if self.model.goes_on && matches!(self.model.check, Check::Found(_)) {
            self.model.goes_on = false;
            self.next();
        }
        let enters = self.is_entered(ui);
        let frame = Frame::popup(ui.style()).inner_margin(space::L);
        let modal = Modal::new(Id::unique("bring a model")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_width(WIDTH);
            ui.label(RichText::new("Bring a model").font(text::heading()));
            self.step_names(ui);
            ui.add_space(space::S);
            let height = (ui.ctx().content_rect().height() - OTHER_HEIGHT).clamp(120.0, HEIGHT);
            ui.allocate_ui(vec2(WIDTH, height), |ui| {
                ui.set_min_size(vec2(WIDTH, height));
                ui.set_max_height(height);
                self.step(ui, tools);
            });
            let reason = self.reason(tools);
            // An empty line keeps its height, so that the buttons do not move.
            let words = match &self.stage {
                Stage::Try(_, step) => step.failure().or(reason.as_deref()),
                Stage::Model | Stage::Guidance(_) => None,
            };
            let ink = Palette::of(ui).danger;
            ui.label(RichText::new(words.unwrap_or(" ")).font(text::small()).color(ink));
            (self.buttons(ui, reason.as_deref()), reason.is_some())
        });
        let (ref pressed, is_blocked) = modal.inner;
        let goes_on = pressed.next || (enters && !pressed.back && !pressed.close);
        if pressed.advanced {
            return Some(Decision::Advanced(self.draft().map(Box::new), self.model.path.clone()));
        }
        if pressed.back {
            self.back();
        } else if goes_on {
            // A path that is still being read goes on later.
            let decision = if is_blocked { None } else { self.save(tools) };
            if decision.is_some() {
                return decision;
            }
            self.next();
        }
        let is_accidental = modal.backdrop_response.clicked() && !self.is_untouched();
        let closes = pressed.close || (modal.should_close() && !is_accidental);
        closes.then_some(Decision::Close)
    }

    /// Returns whether Enter was pressed outside any button. A focused button handles it itself.
    fn is_entered(&self, ui: &Ui) -> bool {
        let focused = ui.memory(|m| m.focused());
        let is_field = |id: Id| id == model_step::path_id() || try_step::field_ids().contains(&id);
        focused.is_none_or(is_field) && ui.input(|i| i.key_pressed(Key::Enter))
    }

    fn step_names(&self, ui: &mut Ui) {
        let current = match self.stage {
            Stage::Model => 0,
            Stage::Guidance(_) => 1,
            Stage::Try(..) => 2,
        };
        let p = Palette::of(ui);
        ui.horizontal(|ui| {
            for (index, name) in STEPS.into_iter().enumerate() {
                let ink = if index == current { p.accent } else { p.weak };
                ui.label(RichText::new(name).font(text::group()).color(ink));
                ui.add_space(space::S);
            }
        });
    }

    fn step(&mut self, ui: &mut Ui, tools: &mut Tools<'_>) {
        let takes_focus = std::mem::take(&mut self.takes_focus);
        match &mut self.stage {
            Stage::Model => self.model.show(ui, tools, takes_focus),
            Stage::Guidance(guidance) => guidance.show(ui),
            Stage::Try(guidance, step) => step.show(ui, guidance, &self.root, takes_focus),
        }
    }

    /// Returns why the user cannot go on, or `None` if they can.
    fn reason(&self, tools: &mut Tools<'_>) -> Option<String> {
        match (&self.stage, &self.model.check) {
            (Stage::Model, Check::Found(_)) | (Stage::Guidance(_), _) => None,
            (Stage::Model, Check::Empty) => Some("Choose a model first.".to_owned()),
            (Stage::Model, Check::Typing(_) | Check::Checking) => Some("Checking…".to_owned()),
            (Stage::Model, Check::Fault(problem)) => Some(problem.clone()),
            (Stage::Try(guidance, step), _) => step.check(guidance, tools.path_probe).err(),
        }
    }

    fn buttons(&self, ui: &mut Ui, reason: Option<&str>) -> Pressed {
        let mut pressed = Pressed::default();
        ui.horizontal(|ui| {
            let is_last = matches!(self.stage, Stage::Try(..));
            let (label, width) = if is_last { ("Save and load", 128.0) } else { ("Next", 88.0) };
            let next = primary_button(ui, label, width, reason.is_none());
            pressed.next = next.on_disabled_hover_text(reason.unwrap_or_default()).clicked();
            if !matches!(self.stage, Stage::Model) {
                pressed.back = secondary_button(ui, "Back", 88.0, true).clicked();
            }
            let close = secondary_button(ui, "Close", 88.0, true);
            pressed.close = close.on_hover_text("Keeps your input for the next time.").clicked();
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let advanced = secondary_button(ui, "Advanced", 96.0, true);
                let hint =
                    "Shows all fields of a pack: the model, prompt and precision of each role.";
                pressed.advanced = advanced.on_hover_text(hint).clicked();
            });
        });
        pressed
    }

    /// Returns the decision to save in the last step.
    fn save(&mut self, tools: &mut Tools<'_>) -> Option<Decision> {
        let Stage::Try(guidance, step) = &mut self.stage else { return None };
        let manifest = step.check(guidance, tools.path_probe).ok()?;
        let folder = step.folder_path();
        step.saving = Saving::Started(folder.clone());
        Some(Decision::Save(folder, Box::new(manifest)))
    }
}
