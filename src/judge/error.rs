//! Errors of the gold judge.

use std::path::PathBuf;

use thiserror::Error;

use crate::lm::LmError;

/// An error while loading or running a judge.
#[derive(Debug, Error)]
pub enum JudgeError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; check that the judge's folder is complete", .file.display())]
    Unreadable {
        /// Path of the file.
        file: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file has invalid content.
    #[error("{}: {reason}", .file.display())]
    Invalid {
        /// Path of the file.
        file: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The weights are missing, damaged or of another shape, or the model failed.
    #[error(transparent)]
    Weights(#[from] LmError),
}
