//! Modal dialogs.

pub mod download_dialog;
pub mod path_dialog;
