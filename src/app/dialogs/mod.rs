//! Modal dialogs.

pub(crate) mod download_dialog;
pub(crate) mod path_dialog;
