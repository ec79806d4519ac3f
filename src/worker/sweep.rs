//! One prompt at many strengths, on the worker's thread.

use super::engine::{WorkerError, guard};
use super::link::WorkerEnd;
use super::protocol::{Event, RunId, SweepRequest};
use crate::lab::strip;
use crate::packs::Pack;

/// Makes every response of the request and reports each as it is finished. A stop is read between
/// any two forward passes.
pub(super) fn sweep(end: &WorkerEnd, pack: Option<&Pack>, run: RunId, request: &SweepRequest) {
    let worked = guard(|| {
        let pack = pack.ok_or(WorkerError::NoPack)?;
        let is_stopped = || end.is_stopped(run);
        let mut report = |sample| {
            end.send(Event::SweepPoint { run, sample: Box::new(sample) });
        };
        Ok(strip::run(pack, request, &is_stopped, &mut report)?)
    });
    let event = match worked {
        Ok(complete) => Event::SweepDone { run, stopped: !complete },
        Err(e) => {
            tracing::warn!(run, error = %e, "sweep failed");
            Event::SweepFailed { run, message: e.to_string() }
        }
    };
    end.send(event);
}
