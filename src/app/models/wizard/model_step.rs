//! Step 1: the user types, chooses or drops a model.

use std::path::PathBuf;
use std::time::Duration;

use eframe::egui::{Id, RichText, TextEdit, Ui};

use super::state::{Check, ModelStep};
use super::tools::Tools;
use crate::app::dialogs::file_picker::Pick;
use crate::app::models::role_form::labeled_row;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::secondary_button;
use crate::format::{bytes, weights};
use crate::worker::model_probe::ModelReport;

/// How often a path is asked again while too many mounts do not respond.
const RETRY: Duration = Duration::from_millis(500);

/// Returns the identifier of the text box.
pub(super) fn path_id() -> Id {
    Id::unique("wizard path")
}

impl ModelStep {
    /// Reads the path in the background. Returns the folder if the path is a pack.
    pub(super) fn poll(&mut self, ui: &Ui, tools: &mut Tools<'_>) -> Option<PathBuf> {
        let now = ui.input(|i| i.time);
        if let Check::Typing(at) = self.check {
            if now < at {
                ui.ctx().request_repaint_after(Duration::from_secs_f64(at - now));
                return None;
            }
            self.check = Check::Checking;
        }
        if !matches!(self.check, Check::Checking) {
            tools.probe.forget();
            return None;
        }
        tools.probe.ask(&self.path);
        match tools.probe.answer() {
            Some(answer) => self.answered(answer),
            None => {
                ui.ctx().request_repaint_after(RETRY);
                None
            }
        }
    }

    /// Draws the step.
    pub(super) fn show(&mut self, ui: &mut Ui, tools: &mut Tools<'_>, takes_focus: bool) {
        let words = "A GGUF file, or a folder with config.json, tokenizer.json and safetensors. You \
                     can also drop it on the window.";
        ui.label(RichText::new(words).color(Palette::of(ui).weak));
        ui.add_space(space::XS);
        let edit = TextEdit::singleline(&mut self.path)
            .id(path_id())
            .desired_width(f32::INFINITY)
            .hint_text("/models/SmolLM2-135M-Instruct.gguf");
        let edit = ui.add(edit).accessible_name("Model path");
        if takes_focus {
            edit.request_focus();
        }
        if edit.changed() {
            self.edited(ui.input(|i| i.time));
        }
        ui.add_space(space::XS);
        ui.horizontal(|ui| {
            let is_free = !tools.picker.is_open();
            for (label, pick, hint) in [
                ("Browse…", Pick::Gguf, "Opens the file dialog of the desktop."),
                ("Browse folders…", Pick::Folder, "For a model that is a folder."),
            ] {
                let button = secondary_button(ui, label, 96.0, is_free).on_hover_text(hint);
                let button = button.on_disabled_hover_text("The file dialog is open.");
                if button.clicked() {
                    self.note = None;
                    let ctx = ui.ctx().clone();
                    tools.picker.open(pick, move || ctx.request_repaint());
                }
            }
        });
        ui.add_space(space::S);
        self.result(ui);
    }

    fn result(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        if let Some(note) = self.note {
            ui.label(RichText::new(note).color(p.weak));
        }
        match &self.check {
            Check::Empty if self.note.is_some() => {}
            Check::Empty => {
                let words = "Type the path of a GGUF file or of a model folder, or choose one.";
                ui.label(RichText::new(words).color(p.weak));
            }
            Check::Typing(_) | Check::Checking => {
                ui.label(RichText::new("Checking…").color(p.weak));
            }
            Check::Fault(problem) => {
                ui.label(RichText::new(problem).color(p.danger));
            }
            Check::Found(report) => model_facts(ui, report),
        }
    }
}

fn model_facts(ui: &mut Ui, report: &ModelReport) {
    let p = Palette::of(ui);
    let template = match report.has_chat_template {
        true => "Yes",
        false => "No, the model reads prompts as typed",
    };
    let free = report.free_bytes.map(|free| format!("; {} free", bytes(free))).unwrap_or_default();
    let facts = [
        ("Family", report.family.to_owned()),
        (
            "Size",
            format!(
                "{} parameters · {}",
                weights(report.parameters).replace(' ', ""),
                bytes(report.disk_bytes)
            ),
        ),
        ("Chat template", template.to_owned()),
        ("Memory", format!("{} needed{free}", bytes(report.held_bytes))),
    ];
    for (name, value) in facts {
        labeled_row(ui, name, |ui| ui.label(value));
    }
    if report.is_too_large() {
        let words = "Not enough free memory: close other programs or choose a smaller model.";
        ui.label(RichText::new(words).font(text::small()).color(p.danger));
    }
}
