//! Handles Ctrl-C for subcommands that keep partial results.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// Returns a flag that the first Ctrl-C sets, so that the work can stop and keep its results. A
/// second Ctrl-C exits at once.
pub fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    // The exit handler comes first, so that it sees only a flag set by an earlier Ctrl-C.
    flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&stopped))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&stopped)))
        .context("cannot listen for Ctrl-C")?;
    Ok(stopped)
}
