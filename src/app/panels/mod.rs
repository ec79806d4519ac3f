//! The parts of the window: one panel, one file, one type.

pub mod columns;
pub mod controls;
pub mod errors;
pub mod plot;
pub mod present;
pub mod status;
pub mod strip;
pub mod top;

use super::widgets::Edit;
use crate::lab::strip::Dial;

/// What a person asked for in a panel; the window carries it out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Start a run.
    Generate,
    /// Stop the run.
    Stop,
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
    /// Step on the stage, or off it.
    Present,
    /// The error strip was read.
    DismissError,
}
