//! The parts of the window: one panel, one file, one type.

pub mod columns;
pub mod controls;
pub mod errors;
pub mod lower;
pub mod plot;
pub mod present;
pub mod status;
pub mod top;
pub mod tree;

use super::widgets::Edit;

/// What a person asked for in a panel; the window carries it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start a run.
    Generate,
    /// Start a run that goes on from the shown run's prompt and this text after it.
    Continue(String),
    /// Stop the run.
    Stop,
    /// Columns came, went or became something else.
    ColumnsChanged,
    /// A setting was turned.
    Edited(Edit),
    /// Step on the stage, or off it.
    Present,
    /// The error strip was read.
    DismissError,
}
