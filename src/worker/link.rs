//! The two ends of the line between a window and its worker.
//!
//! Both directions are bounded. A stop travels twice: as a command, and as a flag that the
//! worker reads between forward passes, so that it does not wait behind other commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};

use super::protocol::{Command, Event, RunId};

const COMMANDS: usize = 64;
const EVENTS: usize = 1024;
/// How often a worker whose window does not read looks at the stop flag.
const BLOCKED_POLL: Duration = Duration::from_millis(20);

/// The window's end: commands in, events out. Dropping it stops the run and ends the worker.
#[derive(Debug)]
pub struct Link {
    commands: Sender<Command>,
    events: Receiver<Event>,
    stopped: Arc<AtomicU64>,
}

/// The worker's end.
pub struct WorkerEnd {
    commands: Receiver<Command>,
    events: Sender<Event>,
    stopped: Arc<AtomicU64>,
    wake: Box<dyn Fn() + Send>,
}

/// Makes a line. `wake` is called after every event, from the worker's thread (the window asks
/// for a repaint there).
pub fn link(wake: impl Fn() + Send + 'static) -> (Link, WorkerEnd) {
    let (commands, commands_out) = bounded(COMMANDS);
    let (events, events_out) = bounded(EVENTS);
    let stopped = Arc::new(AtomicU64::new(0));
    let window = Link { commands, events: events_out, stopped: Arc::clone(&stopped) };
    let worker = WorkerEnd { commands: commands_out, events, stopped, wake: Box::new(wake) };
    (window, worker)
}

impl Link {
    /// Sends a command. False if the worker is gone or does not listen.
    pub fn send(&self, command: Command) -> bool {
        match command {
            Command::Stop(run) => self.raise_stop(run),
            Command::Generate(run, _) | Command::Sweep(run, _) => {
                self.raise_stop(run.saturating_sub(1));
            }
            Command::Shutdown => self.raise_stop(RunId::MAX),
            Command::UseDevice(_) | Command::LoadPack(_) => {}
        }
        self.commands.try_send(command).is_ok()
    }

    /// The events that have come since the last call.
    pub fn drain(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.try_iter()
    }

    /// Waits for the next event; none once the worker is gone.
    pub fn wait(&self) -> Option<Event> {
        self.events.recv().ok()
    }

    fn raise_stop(&self, run: RunId) {
        self.stopped.fetch_max(run, Ordering::Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.send(Command::Shutdown);
    }
}

impl WorkerEnd {
    /// Waits for the next command; none once the window is gone.
    pub fn next(&self) -> Option<Command> {
        self.commands.recv().ok()
    }

    /// The next command, if one is waiting.
    pub fn try_next(&self) -> Option<Command> {
        self.commands.try_recv().ok()
    }

    /// Whether a person has stopped `run`, started another or closed the window.
    pub fn is_stopped(&self, run: RunId) -> bool {
        self.stopped.load(Ordering::Relaxed) >= run
    }

    /// Sends an event and wakes the window. Waits while the window is behind, unless it closes.
    /// False if nobody listens any more.
    pub fn send(&self, event: Event) -> bool {
        let mut event = event;
        loop {
            match self.events.send_timeout(event, BLOCKED_POLL) {
                Ok(()) => {
                    (self.wake)();
                    return true;
                }
                Err(SendTimeoutError::Timeout(back)) if !self.is_stopped(RunId::MAX) => {
                    event = back
                }
                Err(_) => return false,
            }
        }
    }
}
