//! The parts of the window: one panel, one file, one type.

pub mod columns;
pub mod controls;
pub mod errors;
pub mod history;
pub mod lower;
pub mod models;
pub mod plot;
pub mod present;
pub mod side;
pub mod status;
pub mod strip;
pub mod top;
pub mod tree;

use super::archive::Wanted;
use super::coloring::Coloring;
use super::path_dialog::Purpose;
use super::widgets::Edit;
use crate::lab::strip::Dial;
use crate::records::clerk::Command;
use crate::records::history::EntryId;

/// What a person asked for in a panel, or by a key; the window carries it out.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start a run.
    Generate,
    /// Start a run that goes on from this: a prompt and a beam after it.
    Continue(String),
    /// Stop the run.
    Stop,
    /// Close what is open, stop what runs, leave the stage: the first of these that there is.
    Escape,
    /// Columns came, went or became something else.
    ColumnsChanged,
    /// Start a strength strip.
    RunStrip,
    /// Make a point of the strip the current setting.
    Adopt {
        /// What is turned.
        dial: Dial,
        /// To where.
        value: f32,
    },
    /// A setting was turned.
    Edited(Edit),
    /// Draw another seed.
    Dice,
    /// Put the caret into the prompt box.
    FocusPrompt,
    /// Run again whenever a setting has changed, or not.
    ToggleLive,
    /// Colour tokens by this.
    Color(Coloring),
    /// Settings or history in the sidebar.
    ToggleHistory,
    /// Settings or models in the sidebar.
    ToggleModels,
    /// Something to be done with packs.
    Pack(models::PackAction),
    /// Read a run of the past.
    Recall(EntryId, Wanted),
    /// Something to be done with files.
    File(Command),
    /// Ask where to write or read.
    Ask(Purpose),
    /// Put the run into the clipboard.
    CopyMarkdown,
    /// Step on the stage, or off it.
    Present,
    /// List the keys, or stop listing them.
    Help,
    /// The error strip was read.
    DismissError,
}
