//! The prompt, the decoding settings, and presets.

mod limits_panel;
pub(super) mod panel;
pub(crate) mod preset_menu;
pub(crate) mod prompt_box;
mod scales;
mod stage_strengths;
mod steer_panel;
