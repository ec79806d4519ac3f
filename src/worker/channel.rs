//! The channel between the window and its worker.
//!
//! A stop is sent both as a command and through the cancel token. The worker reads the token
//! between forward passes, so a stop never waits behind other commands.

use std::time::Duration;

use super::protocol::{Command, Event};
use crate::actor::{self, Handle, Limits, Mailbox};

pub(super) const LIMITS: Limits =
    Limits { name: "ivg-worker", commands: 64, events: 1024, drop_timeout: Duration::ZERO };

/// The window's end of the channel. Dropping it stops the run and ends the worker.
#[derive(Debug)]
pub struct WorkerHandle(pub(super) Handle<Command, Event>);

/// The worker's end of the channel.
pub type WorkerInbox = Mailbox<Command, Event>;

/// Creates both ends. `wake` is called after every event, on the worker's thread.
pub fn channel(wake: impl Fn() + Send + 'static) -> (WorkerHandle, WorkerInbox) {
    let (handle, inbox) = actor::channel(LIMITS, wake);
    (WorkerHandle(handle), inbox)
}

impl WorkerHandle {
    /// Sends a command. A new run cancels all earlier runs. Returns `false` if the worker has ended
    /// or its queue is full.
    pub fn send(&self, command: Command) -> bool {
        match command {
            Command::Stop(run) => self.0.cancel(run),
            Command::Generate(run, _) | Command::Sweep(run, _) | Command::ResumeSweep(run, _) => {
                self.0.cancel(run.saturating_sub(1));
            }
            Command::UseDevice(_) | Command::LoadPack(_) => {}
        }
        self.0.send(command).is_ok()
    }

    /// Returns the events that have arrived since the last call.
    pub fn drain(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.drain()
    }

    /// Waits at most `timeout` for the next event. Returns `None` if none arrives, or if the worker
    /// has ended.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Event> {
        self.0.wait_timeout(timeout)
    }

    /// Waits for the next event. Returns `None` once the worker has ended.
    pub fn wait(&self) -> Option<Event> {
        self.0.wait()
    }
}
