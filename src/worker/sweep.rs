//! One prompt at many strengths, on the worker's thread.

use super::engine::WorkerError;
use super::link::WorkerEnd;
use super::protocol::{Event, RunId, SweepRequest};
use crate::lab::strip;
use crate::packs::Pack;

/// Makes every response of the request and reports each as it is finished. A stop is read between
/// any two forward passes.
///
/// # Errors
/// What the strip reports; its points so far have been sent.
pub(super) fn sweep(
    end: &WorkerEnd,
    pack: &Pack,
    run: RunId,
    request: &SweepRequest,
) -> Result<(), WorkerError> {
    let is_stopped = || end.is_stopped(run);
    let mut report = |sample| {
        end.send(Event::SweepPoint { run, sample: Box::new(sample) });
    };
    let complete = strip::run(pack, request, &is_stopped, &mut report)?;
    end.send(Event::SweepDone { run, stopped: !complete });
    Ok(())
}
