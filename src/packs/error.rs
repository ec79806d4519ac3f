//! Errors of packs. Each message says what is wrong and what to do.

use std::path::PathBuf;

use thiserror::Error;

use super::hub::HubError;
use crate::format::bytes;
use crate::judge::JudgeError;
use crate::lm::LmError;

/// The reason why a pack cannot be used.
#[derive(Debug, Error)]
pub enum PackError {
    /// No bundled pack has this name.
    #[error(
        "no bundled pack '{name}'; looked in {}. Run from the project's folder, or name a pack \
         folder with --pack",
        list(.looked)
    )]
    NotBundled {
        /// The requested name.
        name: String,
        /// The folders that were searched.
        looked: Vec<PathBuf>,
    },
    /// The pack's folder does not exist.
    #[error(
        "there is no folder {} and no pack of that name; name a folder with a pack.toml, or one of \
         the packs that the Models tab and `ivg-playground models list` show",
        .0.display()
    )]
    NoFolder(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}: {source}; check that the pack folder is complete", .file.display())]
    Unreadable {
        /// Path of the file.
        file: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}; choose a folder that you may write to", .file.display())]
    Unwritable {
        /// Path of the file.
        file: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The folder for a new pack already contains a pack.
    #[error("{} already contains a pack; choose another folder", .0.display())]
    AlreadyAPack(PathBuf),
    /// A manifest is invalid.
    #[error("{}: {reason}", .file.display())]
    Invalid {
        /// Path of the manifest.
        file: PathBuf,
        /// The problem and what to do.
        reason: String,
    },
    /// The files of a role are missing or of the wrong kind.
    #[error("{role}: {}: {reason}", .path.display())]
    Files {
        /// Name of the role.
        role: &'static str,
        /// The path of the files.
        path: PathBuf,
        /// The problem and what to do.
        reason: String,
    },
    /// A model does not fit into memory.
    #[error(
        "{role} model: its weights take {} and {} of memory are free; choose a smaller model, hold \
         it in 8 bits (precision = \"q8_0\"), or close other programs",
        bytes(*.held_bytes),
        bytes(*.free_bytes)
    )]
    TooLarge {
        /// Name of the role.
        role: &'static str,
        /// Bytes of its weights in memory.
        held_bytes: u64,
        /// Free memory in bytes.
        free_bytes: u64,
    },
    /// The files of a hub model are not available.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A model cannot be loaded.
    #[error("{role} model: {source}")]
    Model {
        /// Name of the role.
        role: &'static str,
        /// The error of the model.
        source: LmError,
    },
    /// The judge cannot be loaded.
    #[error("gold judge: {0}")]
    Judge(#[from] JudgeError),
    /// The two halves of a pair have different vocabularies. Their difference would be meaningless.
    #[error(
        "tuned and untuned have different vocabularies ({}: {difference}); a pair guides by the \
         difference of its log-probabilities, so choose two models with the same tokenizer",
        .path.display()
    )]
    Vocabulary {
        /// Path of the tuned model.
        path: PathBuf,
        /// The first difference.
        difference: String,
    },
    /// A role with `chat = true` has no chat template.
    #[error(
        "{role}: {} has no chat template; leave out chat = true, and write a template if the \
         model needs one",
        .path.display()
    )]
    NoChatTemplate {
        /// Name of the role.
        role: &'static str,
        /// The model's folder or file.
        path: PathBuf,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}
