//! The history: past runs, and the files that the window writes and opens.

pub(super) mod panel;
pub(super) mod state;
