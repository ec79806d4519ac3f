//! The history: past runs, and the files that the window writes and opens.

pub mod panel;
pub mod state;
