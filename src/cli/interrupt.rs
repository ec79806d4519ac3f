//! Ctrl-C, for subcommands that keep what they have done.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// The first Ctrl-C raises the flag, which ends the work in order; a second one ends it at once.
pub fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    // In this order: the second Ctrl-C must find the flag that the first has set.
    flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&stopped))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&stopped)))
        .context("cannot listen for Ctrl-C")?;
    Ok(stopped)
}
