//! Sweeps on the worker's thread: one prompt at many strengths.

use super::channel::WorkerInbox;
use super::error::WorkerError;
use super::protocol::{Event, RunId, SweepResults};
use crate::lab::sweep;
use crate::packs::Pack;

/// Generates every response that `so_far` lacks and sends each when it is finished. Checks for a stop
/// between any two forward passes.
///
/// # Errors
/// Returns the error of the sweep. The responses finished before it have been sent.
pub(super) fn sweep(
    inbox: &WorkerInbox,
    pack: &Pack,
    run: RunId,
    so_far: &SweepResults,
) -> Result<(), WorkerError> {
    let is_stopped = || inbox.is_cancelled(run);
    let mut report = |sample| {
        inbox.send(Event::SweepPoint { run, sample: Box::new(sample) });
    };
    let complete = sweep::resume(pack, so_far, &is_stopped, &mut report)?;
    inbox.send(Event::SweepDone { run, stopped: !complete });
    Ok(())
}
