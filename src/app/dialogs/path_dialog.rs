//! The dialog in which the user types a path to save to or to open. Unlike the desktop's file
//! dialog it works on every system and every remote desktop.

use std::path::{Path, PathBuf};

use eframe::egui::text::{CCursor, CCursorRange};
use eframe::egui::{Frame, Id, Key, Modal, Response, RichText, TextEdit, Ui};

use crate::app::state::plot_file::documents_folder;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{primary_button, secondary_button};
use crate::worker::pack_service::{MANIFEST, PackSource, Source};
use crate::worker::path_probe::PathProbe;

/// What the path is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Save a screenshot of the window.
    Screenshot,
    /// Save a report as HTML.
    Report,
    /// Save a run as a trace.
    Trace,
    /// Choose the folder in which figures are saved.
    FigureFolder,
    /// Open a trace.
    Open,
    /// Add a pack to the list.
    AddPack,
    /// Save a new pack.
    SavePack,
}

/// Title, hint and button label.
type Words = (&'static str, &'static str, &'static str);

impl Purpose {
    /// Returns the file extension, empty for a folder.
    pub fn extension(self) -> &'static str {
        match self {
            Purpose::Screenshot => "png",
            Purpose::Report => "html",
            Purpose::Trace | Purpose::Open => "json",
            Purpose::FigureFolder => "",
            Purpose::AddPack | Purpose::SavePack => "toml",
        }
    }

    fn words(self) -> Words {
        match self {
            Purpose::Screenshot => {
                ("Save a screenshot", "A PNG image of the window as it looks now.", "Save")
            }
            Purpose::Report => (
                "Save a report",
                "One HTML file with responses, metrics and plot, for any browser.",
                "Save",
            ),
            Purpose::Trace => (
                "Save the trace",
                "A JSON file with all data of the run. This program can open it again.",
                "Save",
            ),
            Purpose::FigureFolder => (
                "Choose the folder for figures",
                "Figures and tables are saved in this folder and never replace a file.",
                "Choose",
            ),
            Purpose::Open => (
                "Open a trace",
                "A JSON trace saved by this program. You can also drop it on the window.",
                "Open",
            ),
            Purpose::AddPack => (
                "Add a pack",
                "A folder with a pack.toml. You can also drop it on the window.",
                "Add",
            ),
            Purpose::SavePack => (
                "Save the pack",
                "A folder that contains no other pack. You can share its pack.toml.",
                "Save",
            ),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathDialog {
    pub(crate) purpose: Purpose,
    path: String,
    /// Whether the user has confirmed the path. The dialog closes once the path is known to be
    /// valid.
    is_confirmed: bool,
    /// Whether the user has edited or confirmed the path. Before that, no error is shown.
    is_touched: bool,
    /// The error of the last checked path. It stays visible while the next path is checked.
    error: Option<&'static str>,
    /// Whether the next frame is the first one, which focuses the text box.
    is_new: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Use this path.
    Path(PathBuf),
    /// Close the dialog.
    Cancel,
}

impl PathDialog {
    /// Creates a dialog that proposes `name` in the documents folder.
    pub(crate) fn new(purpose: Purpose, name: &str) -> Self {
        let path = documents_folder().join(name).display().to_string();
        Self { purpose, path, is_touched: false, is_confirmed: false, error: None, is_new: true }
    }

    fn check(&self, path: &Path, path_probe: &mut PathProbe) -> PathCheck {
        if path.as_os_str().is_empty() {
            return PathCheck::Invalid("Type a path.");
        }
        if matches!(self.purpose, Purpose::Screenshot | Purpose::Report | Purpose::Trace) {
            return PathCheck::Valid;
        }
        let manifest = PackSource::pack_folder(path).join(MANIFEST);
        let mut exists = |path: &Path| path_probe.exists(&Source::Folder(path.to_owned()));
        let answers = (exists(path), exists(&manifest));
        match (self.purpose, answers) {
            (Purpose::Open | Purpose::FigureFolder, (Some(true), _))
            | (Purpose::AddPack, (_, Some(true)))
            | (Purpose::SavePack, (_, Some(false))) => PathCheck::Valid,
            (Purpose::SavePack, (_, Some(true))) => {
                PathCheck::Invalid("This folder already contains a pack; choose another folder.")
            }
            (Purpose::Open | Purpose::AddPack | Purpose::FigureFolder, (Some(false), _)) => {
                PathCheck::Invalid("This path does not exist.")
            }
            (Purpose::AddPack, (Some(true), Some(false))) => {
                PathCheck::Invalid("There is no pack.toml at this path.")
            }
            _ => PathCheck::Pending,
        }
    }

    fn path_box(&mut self, ui: &mut Ui) -> Response {
        let edit = TextEdit::singleline(&mut self.path).desired_width(f32::INFINITY);
        let mut output = edit.show(ui);
        if std::mem::take(&mut self.is_new) {
            output.response.request_focus();
            // egui would keep the caret position of the previous path.
            let end = CCursorRange::one(CCursor::new(self.path.chars().count()));
            output.state.cursor.set_char_range(Some(end));
            output.state.store(ui.ctx(), output.response.id);
        }
        output.response.response.accessible_name("Path")
    }

    /// Draws the dialog. Returns the user's decision, or `None` while there is none or the path is
    /// being checked.
    pub(crate) fn show(&mut self, ui: &Ui, path_probe: &mut PathProbe) -> Option<Decision> {
        let mut decision = None;
        if self.is_new {
            path_probe.refresh();
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
            let path = expand_home(self.path.trim());
            if edit.changed() {
                (self.is_confirmed, self.is_touched) = (false, true);
            }
            if entered {
                self.is_touched = true;
                path_probe.refresh();
                self.is_confirmed = true;
            }
            let check = self.check(&path, path_probe);
            match check {
                PathCheck::Pending => {}
                PathCheck::Valid => self.error = None,
                PathCheck::Invalid(error) => self.error = Some(error),
            }
            if self.is_confirmed && matches!(check, PathCheck::Invalid(_)) {
                self.is_confirmed = false;
                edit.request_focus();
            }
            // An empty line keeps its height, so that the buttons do not move.
            let ink = Palette::of(ui).danger;
            let error = self.error;
            let words = error.filter(|_| self.is_touched);
            ui.label(RichText::new(words.unwrap_or(" ")).font(text::small()).color(ink));
            ui.horizontal(|ui| {
                self.is_confirmed |= primary_button(ui, verb, 96.0, error.is_none()).clicked();
                if self.is_confirmed && check == PathCheck::Valid {
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

/// The result of checking a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathCheck {
    Valid,
    /// The disk has not answered yet.
    Pending,
    /// The error, as a sentence.
    Invalid(&'static str),
}

/// Replaces a leading `~/` with the home folder.
fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_a_leading_tilde_and_leaves_other_paths_alone() {
        let home = std::env::home_dir().expect("a home");
        assert_eq!(expand_home("~/a.json"), home.join("a.json"));
        assert_eq!(expand_home("/tmp/~/a"), PathBuf::from("/tmp/~/a"));
    }
}
