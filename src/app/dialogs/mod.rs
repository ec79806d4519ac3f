//! Modal dialogs.

pub(crate) mod download_dialog;
pub(crate) mod file_picker;
pub(crate) mod path_dialog;
