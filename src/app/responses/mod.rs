//! The responses side by side: text, metrics, and the menu of each column.

pub(crate) mod column_menu;
pub(super) mod diff;
pub(super) mod metrics;
pub(super) mod panel;
pub(super) mod text;
pub(crate) mod token_tooltip;
