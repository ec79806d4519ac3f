//! Where to write a file, or which to open: a path to be typed. Unlike a desktop's own dialog it
//! is there on every system, over every remote desktop.

use std::path::{Path, PathBuf};

use eframe::egui::text::{CCursor, CCursorRange};
use eframe::egui::{Frame, Id, Key, Modal, Response, RichText, TextEdit, Ui};

use super::theme::{Palette, space, text};
use super::widgets::{primary_button, secondary_button};
use crate::worker::library::{MANIFEST, PackSource, Source};
use crate::worker::places::Places;

/// What the path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A picture of the window.
    Picture,
    /// A report to be read in a browser.
    Report,
    /// A run to be opened again.
    Trace,
    /// Read a run.
    Open,
    /// Put a pack on the list.
    AddPack,
    /// Write a pack down.
    SavePack,
}

/// A title, a hint, and what the button says.
type Words = (&'static str, &'static str, &'static str);

impl Purpose {
    /// The ending of such files.
    pub fn extension(self) -> &'static str {
        match self {
            Purpose::Picture => "png",
            Purpose::Report => "html",
            Purpose::Trace | Purpose::Open => "json",
            Purpose::AddPack | Purpose::SavePack => "toml",
        }
    }

    fn words(self) -> Words {
        match self {
            Purpose::Picture => {
                ("Save a picture of the window", "PNG, as the window looks now.", "Save")
            }
            Purpose::Report => (
                "Save a report",
                "One HTML file with texts, figures and plot, for any browser.",
                "Save",
            ),
            Purpose::Trace => (
                "Save the trace",
                "JSON with everything this run knows; this program opens it again.",
                "Save",
            ),
            Purpose::Open => (
                "Open a trace",
                "A JSON trace that this program wrote. Or drop one on the window.",
                "Open",
            ),
            Purpose::AddPack => (
                "Add a pack",
                "The folder that holds a pack.toml. Or drop it on the window.",
                "Add",
            ),
            Purpose::SavePack => (
                "Save the pack",
                "A folder of its own; its pack.toml can be given to others.",
                "Save",
            ),
        }
    }
}

/// The dialog, while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathDialog {
    /// What the path is for.
    pub purpose: Purpose,
    path: String,
    /// Whether a person has decided on the path, which is then looked at once more.
    is_decided: bool,
    /// Whether anything was typed or tried: what is proposed is not found fault with.
    is_touched: bool,
    /// Why the path does not serve, as far as the disk has been heard: the words stay while it is
    /// asked about the next letter.
    refusal: Option<&'static str>,
    /// Puts the caret into the box with the first frame.
    is_new: bool,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This path.
    Path(PathBuf),
    /// Nothing is to happen.
    Cancel,
}

impl PathDialog {
    /// A dialog that proposes `name` in the folder where documents are kept.
    pub fn new(purpose: Purpose, name: &str) -> Self {
        let path = folder().join(name).display().to_string();
        Self { purpose, path, is_touched: false, is_decided: false, refusal: None, is_new: true }
    }

    /// Why the path does not serve.
    fn reason(&self, path: &Path, places: &mut Places) -> Reason {
        if path.as_os_str().is_empty() {
            return Reason::Not("Type a path.");
        }
        if matches!(self.purpose, Purpose::Picture | Purpose::Report | Purpose::Trace) {
            return Reason::Serves;
        }
        let manifest = PackSource::folder_named(path).join(MANIFEST);
        let mut is_there = |path: &Path| places.is_there(&Source::Folder(path.to_owned()));
        let answers = (is_there(path), is_there(&manifest));
        match (self.purpose, answers) {
            (Purpose::Open, (Some(true), _))
            | (Purpose::AddPack, (_, Some(true)))
            | (Purpose::SavePack, (_, Some(false))) => Reason::Serves,
            (Purpose::SavePack, (_, Some(true))) => {
                Reason::Not("There is a pack in this folder already; choose another.")
            }
            (Purpose::Open | Purpose::AddPack, (Some(false), _)) => {
                Reason::Not("There is nothing at this path.")
            }
            (Purpose::AddPack, (Some(true), Some(false))) => {
                Reason::Not("There is no pack.toml at this path.")
            }
            _ => Reason::Unknown,
        }
    }

    fn path_box(&mut self, ui: &mut Ui) -> Response {
        let edit = TextEdit::singleline(&mut self.path).desired_width(f32::INFINITY);
        let mut shown = edit.show(ui);
        if std::mem::take(&mut self.is_new) {
            shown.response.request_focus();
            // Where the caret was in another path says nothing of this one.
            let end = CCursorRange::one(CCursor::new(self.path.chars().count()));
            shown.state.cursor.set_char_range(Some(end));
            shown.state.store(ui.ctx(), shown.response.id);
        }
        shown.response.response.accessible_name("Path")
    }

    /// Shows it; gives the decision once there is one, and the disk has been heard.
    pub fn show(&mut self, ui: &Ui, places: &mut Places) -> Option<Decision> {
        let mut decision = None;
        if self.is_new {
            places.look_again();
        }
        let frame = Frame::popup(ui.style()).inner_margin(space::L);
        let modal = Modal::new(Id::unique("path dialog")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_width(520.0);
            let (title, hint, verb) = self.purpose.words();
            ui.label(RichText::new(title).font(text::heading()));
            ui.label(RichText::new(hint).color(Palette::of(ui).weak));
            ui.add_space(space::XS);
            let edit = self.path_box(ui);
            let entered = edit.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
            let path = expanded(self.path.trim());
            if edit.changed() {
                (self.is_decided, self.is_touched) = (false, true);
            }
            if entered {
                self.is_touched = true;
                places.look_again();
                self.is_decided = true;
            }
            let reason = self.reason(&path, places);
            match reason {
                Reason::Unknown => {}
                Reason::Serves => self.refusal = None,
                Reason::Not(words) => self.refusal = Some(words),
            }
            if self.is_decided && matches!(reason, Reason::Not(_)) {
                self.is_decided = false;
                edit.request_focus();
            }
            // Its line is there at all times, so that nothing moves.
            let ink = Palette::of(ui).danger;
            let refusal = self.refusal;
            let words = refusal.filter(|_| self.is_touched);
            ui.label(RichText::new(words.unwrap_or(" ")).font(text::small()).color(ink));
            ui.horizontal(|ui| {
                self.is_decided |= primary_button(ui, verb, 96.0, refusal.is_none()).clicked();
                if self.is_decided && reason == Reason::Serves {
                    decision = Some(Decision::Path(path));
                }
                if secondary_button(ui, "Cancel", 88.0, true).clicked() {
                    decision = Some(Decision::Cancel);
                }
            });
        });
        if modal.should_close() && decision.is_none() {
            decision = Some(Decision::Cancel);
        }
        decision
    }
}

/// Whether a path serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Serves,
    /// The disk has not answered yet.
    Unknown,
    /// It does not, in a sentence.
    Not(&'static str),
}

/// The folder for documents where there is one, else home, else where the program runs.
fn folder() -> PathBuf {
    let home = std::env::home_dir().unwrap_or_default();
    let documents = home.join("Documents");
    if documents.is_dir() { documents } else { home }
}

/// `~` stands for home.
pub fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_home_and_every_other_path_stays() {
        let home = std::env::home_dir().expect("a home");
        assert_eq!(expanded("~/a.json"), home.join("a.json"));
        assert_eq!(expanded("/tmp/~/a"), PathBuf::from("/tmp/~/a"));
    }
}
