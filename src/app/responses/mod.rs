//! The responses side by side: text, metrics, and the menu of each column.

pub mod column_menu;
pub mod diff;
pub mod metrics;
pub mod panel;
pub mod text;
pub mod token_tooltip;
