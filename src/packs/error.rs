//! Why a pack cannot be used, each case a sentence that says what to do.

use std::path::PathBuf;

use thiserror::Error;

use super::hub::HubError;
use crate::judge::JudgeError;
use crate::lm::LmError;
use crate::words::bytes;

/// Why a pack cannot be used.
#[derive(Debug, Error)]
pub enum PackError {
    /// No bundled pack of that name.
    #[error("no bundled pack '{name}'; looked in {}. Run from the project's folder, or name a pack folder with --pack", list(.looked))]
    NotBundled {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// A pack's folder that is not there.
    #[error(
        "there is no folder {} and no pack of that name; name a folder with a pack.toml, or one of \
         the packs that the Models tab and `ivg-playground models list` show",
        .0.display()
    )]
    NoFolder(PathBuf),
    /// A file that cannot be read.
    #[error("cannot read {}: {source}; check that the pack folder is complete", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {source}; choose a folder that you may write to", .file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A folder for a new pack that has one.
    #[error("there is a pack in {} already; choose another folder", .0.display())]
    Taken(PathBuf),
    /// A manifest that says something wrong.
    #[error("{}: {reason}", .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A role whose files are not where the pack says.
    #[error("{role}: {}: {reason}", .path.display())]
    Place {
        /// The role.
        role: &'static str,
        /// The place.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A model that the memory has no room for.
    #[error(
        "{role} model: its weights take {} and {} of memory are free; choose a smaller model, hold \
         it in 8 bits (precision = \"q8_0\"), or close other programs",
        bytes(*.held_bytes),
        bytes(*.free_bytes)
    )]
    TooLarge {
        /// The role.
        role: &'static str,
        /// What its weights take.
        held_bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// Files of a hub model that cannot be had.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A model that does not load.
    #[error("{role} model: {source}")]
    Model {
        /// The role.
        role: &'static str,
        /// What is wrong.
        source: LmError,
    },
    /// A judge that does not load.
    #[error("gold judge: {0}")]
    Judge(#[from] JudgeError),
    /// Guidance between different vocabularies would be silently wrong.
    #[error(
        "{role} and base have different vocabularies ({}: {difference}); guidance adds logits token \
         by token, so choose models of one tokenizer",
        .path.display()
    )]
    Vocabulary {
        /// The role that differs from the base.
        role: &'static str,
        /// Where its tokenizer is.
        path: PathBuf,
        /// The first difference.
        difference: String,
    },
    /// A chat without a chat template.
    #[error(
        "{role}: {} has no chat template; leave out chat = true, and write a template if the \
         model wants one",
        .path.display()
    )]
    NoChatTemplate {
        /// The role.
        role: &'static str,
        /// The model's folder or file.
        path: PathBuf,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}
