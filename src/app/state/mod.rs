//! Plain data that the panels draw and edit.

pub(crate) mod availability;
pub mod coloring;
pub mod columns;
mod kept_columns;
pub mod plot_file;
pub mod preferences;
pub mod presentation;
pub mod presets;
pub mod selection;
pub mod session;
mod side_by_side;
pub(crate) mod stories;
pub(crate) mod undo;
