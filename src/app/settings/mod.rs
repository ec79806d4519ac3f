//! The prompt, the decoding settings, and presets.

pub mod panel;
pub mod preset_menu;
pub mod prompt_box;
