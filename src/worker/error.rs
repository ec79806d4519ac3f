//! Errors of the worker.

use thiserror::Error;

use crate::actor;
use crate::guidance::GuidanceError;
use crate::lab::sweep::SweepError;
use crate::packs::PackError;

/// An error while the worker carries out a command.
#[derive(Debug, Error)]
pub(super) enum WorkerError {
    #[error("no models are loaded; choose a pack first")]
    NoPack,
    #[error("nothing to run; choose at least one arm")]
    NoArms,
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// The message of a panic.
    #[error("internal error ({0}); you can continue to use the program, but please report this")]
    Panic(String),
}

/// Runs `work` and converts a panic to [`WorkerError::Panic`], so that neither a run nor a damaged
/// file ends the program.
pub(super) fn guard<T>(work: impl FnOnce() -> Result<T, WorkerError>) -> Result<T, WorkerError> {
    // The pack is the only state used after a panic. A run only reads it, and a failed load never
    // replaces it.
    actor::guard(work).unwrap_or_else(|message| Err(WorkerError::Panic(message)))
}
