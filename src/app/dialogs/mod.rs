//! Modal dialogs.

pub(crate) mod download_dialog;
mod glossary;
pub(crate) mod help;
pub(crate) mod path_dialog;
