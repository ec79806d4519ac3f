//! Measurements over many prompts, settings and repetitions: evals, sweeps and benchmarks.

pub mod bench;
pub mod eval;
pub mod sweep;

use crate::guidance::settings::{Arm, Settings};
use crate::guidance::trace::ArmTrace;
use crate::guidance::{GuidanceError, Prefilled, Search};
use crate::packs::Pack;

/// Generates and judges one response. Calls `is_stopped` between forward passes and returns `None`
/// once it is true.
fn respond(
    pack: &Pack,
    (prompt, prefilled): (&str, &Prefilled),
    arm: Arm,
    chosen: &Settings,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Option<ArmTrace>, GuidanceError> {
    let mut search = Search::new(&pack.models, prefilled, arm, chosen)?;
    while !search.is_done() {
        if is_stopped() {
            return Ok(None);
        }
        search.step()?;
    }
    let mut trace = search.finish()?;
    trace.gold_reward = pack.gold_reward(prompt, &trace.text);
    Ok(Some(trace))
}
