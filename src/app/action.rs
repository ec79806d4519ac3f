//! Actions that panels and keys request from the window.

use std::path::PathBuf;

use eframe::egui::{Key, KeyboardShortcut, Modifiers};

use super::dialogs::path_dialog::Purpose;
use super::state::coloring::Coloring;
use super::state::plot_file::PlotFile;
use super::state::preferences::LowerTab;
use super::widgets::Edit;
use crate::lab::sweep::SweepAxis;
use crate::records::history::EntryId;
use crate::records::record_writer::Command;
use crate::worker::protocol::{DeviceChoice, PackSource};

/// The shortcut that starts a run.
pub const GENERATE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Enter);

/// An action that the user requested in a panel or by a key. The window carries it out.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start a run.
    Generate,
    /// Start a run that continues this text: a prompt followed by a beam.
    Continue(String),
    /// Stop the run.
    Stop,
    /// Do the first of these that applies: close what is open, stop the run, end the presentation.
    Escape,
    /// Columns were added, removed or changed.
    ColumnsChanged {
        /// Whether a column was added.
        added: bool,
    },
    /// Start a sweep.
    RunSweep,
    /// Go on with a sweep that was paused or failed.
    ResumeSweep,
    /// Use the setting of a sweep point.
    Adopt {
        /// The swept setting.
        axis: SweepAxis,
        /// Its new value.
        value: f32,
    },
    /// A setting was edited.
    Edited(Edit),
    /// Draw a new random seed.
    NewSeed,
    /// Focus the prompt box.
    FocusPrompt,
    /// Turn Live on or off: run again whenever a setting has changed.
    ToggleLive,
    /// Colour tokens by this measure.
    Color(Coloring),
    /// Switch the sidebar between settings and history.
    ToggleHistory,
    /// Switch the sidebar between settings and models.
    ToggleModels,
    /// Act on packs.
    Pack(PackAction),
    /// Read a past run and use it.
    Recall(EntryId, RecallMode),
    /// Send a command to the record writer.
    File(Command),
    /// Open the dialog that asks for a path.
    AskForPath(Purpose),
    /// Save a plot in the folder for figures.
    SavePlot(PlotFile),
    /// Copy the run to the clipboard as Markdown.
    CopyMarkdown,
    /// Go to the next stop of the demo and run it.
    NextStop {
        /// Go to the previous stop instead.
        backward: bool,
    },
    /// Raise a guidance strength to its next step.
    Nudge {
        /// The strength: β or λ.
        axis: SweepAxis,
        /// Lower it instead.
        down: bool,
    },
    /// Present only the column with this index, or all columns if it is the only one shown.
    FocusColumn(usize),
    /// Show this tab of the lower panel.
    ShowLower(LowerTab),
    /// Return to the default zoom.
    ResetZoom,
    /// Collapse or expand the sidebar.
    ToggleSidebar,
    /// Undo the last change of prompt, settings or columns.
    Undo,
    /// Redo the change that was undone last.
    Redo,
    /// Start or end the presentation.
    Present,
    /// Show or hide the list of shortcuts.
    Help,
    /// Close the error bar.
    DismissError,
    /// Close the bar that names the pack of the run shown.
    DismissPackBar,
}

/// An action on packs that the user requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackAction {
    /// Refresh the list. Asks the hub for the sizes of files that are not downloaded.
    Refresh,
    /// Load a pack whose files are all on this machine.
    Load(PackSource),
    /// Load the pack of the run shown with the settings of the run. Downloads missing files first.
    LoadForRun(PackSource),
    /// Download a pack, then load it.
    Download(PackSource),
    /// Stop the download, or the request for its size.
    StopDownload,
    /// Remove an added pack from the list. Deletes no files.
    Forget(PackSource),
    /// Compare a pack's downloaded files with their checksums.
    Verify(PackSource),
    /// Open the wizard that makes a pack from a model.
    BringModel,
    /// Open the form with the values of the pack in this folder, to edit it.
    Edit(PathBuf),
    /// Open the form with the values of the pack in this folder, to save them as a new pack.
    Duplicate(PathBuf),
    /// Compute on this device from now on.
    UseDevice(DeviceChoice),
}

/// How a past run is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecallMode {
    /// Shows the run with its prompt and settings.
    Shown,
    /// Adds its columns beside the run shown.
    Beside,
    /// Uses only its settings and columns for the next run.
    Settings,
    /// Shows the last run after the start. Keeps the prompt, the settings and the columns.
    Restored,
}
