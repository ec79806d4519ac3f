//! The responses side by side: text, metrics, and the menu of each column.

mod card;
pub(crate) mod column_menu;
pub(super) mod diff;
mod judge_line;
mod metrics;
pub(super) mod panel;
mod scroll;
pub(super) mod text;
pub(crate) mod token_tooltip;
mod toolbar;
