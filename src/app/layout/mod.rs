//! The bars and panels that hold the features.

pub mod error_bar;
pub mod lower_panel;
pub mod presentation_bar;
pub mod sidebar;
pub mod status_bar;
pub mod top_bar;
