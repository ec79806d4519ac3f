//! The sweep panel. A sweep runs one setting at several values and plots reward against KL.

pub mod panel;
pub mod plot;
pub mod state;
pub mod tooltip;
