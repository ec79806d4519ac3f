//! Modal dialogs.

pub(crate) mod download_dialog;
pub(crate) mod file_picker;
mod glossary;
pub(crate) mod help;
pub(crate) mod path_dialog;
