//! The bars and panels that hold the features.

pub(crate) mod error_bar;
pub(super) mod figure_menu;
pub(crate) mod lower_panel;
pub(crate) mod pack_bar;
pub(crate) mod presentation_bar;
pub(super) mod sidebar;
pub(crate) mod stage_strip;
pub(crate) mod status_bar;
pub(crate) mod story_bar;
pub(crate) mod top_bar;
