//! Background threads: bounded channels, cancellation and panics as messages.
//!
//! [`spawn`] starts a thread that owns a [`Mailbox`] and returns its [`Handle`]. The owner of the
//! handle sends commands and reads events. After the handle is dropped, neither side waits for the
//! other without a time limit.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};

/// How often an actor checks whether its handle was dropped while the event queue is full.
const BLOCKED_POLL: Duration = Duration::from_millis(20);

/// Name and limits of an actor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Name of the thread.
    pub(crate) name: &'static str,
    /// Capacity of the command queue.
    pub(crate) commands: usize,
    /// Capacity of the event queue.
    pub(crate) events: usize,
    /// How long dropping the handle waits for the thread to finish.
    pub(crate) drop_timeout: Duration,
}

/// Cancels numbered jobs. Cancelling one also cancels all with a lower number.
#[derive(Debug, Clone, Default)]
pub(crate) struct CancelToken(Arc<AtomicU64>);

impl CancelToken {
    /// Cancels every job up to and including `number`.
    pub(crate) fn cancel(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// Returns whether job `number` was cancelled or the handle was dropped.
    pub(crate) fn is_cancelled(&self, number: u64) -> bool {
        self.0.load(Ordering::Relaxed) >= number
    }

    /// Returns whether the handle was dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_cancelled(u64::MAX)
    }
}

/// The reason why a command was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The command queue is full.
    Full,
    /// The thread has ended.
    Ended,
}

/// The owner's end of an actor. Dropping it cancels all jobs and ends the thread.
#[derive(Debug)]
pub(crate) struct Handle<C, E> {
    // `commands` and `events` are `Some` until the handle is dropped.
    commands: Option<Sender<C>>,
    events: Option<Receiver<E>>,
    cancel: CancelToken,
    ended: Receiver<()>,
    limits: Limits,
}

impl<C, E> Handle<C, E> {
    /// Sends a command without waiting.
    ///
    /// # Errors
    /// [`SendError`] if the queue is full or the thread has ended.
    pub(crate) fn send(&self, command: C) -> Result<(), SendError> {
        let commands = self.commands.as_ref().ok_or(SendError::Ended)?;
        commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => SendError::Full,
            TrySendError::Disconnected(_) => SendError::Ended,
        })
    }

    /// Returns the events that have arrived since the last call.
    pub(crate) fn drain(&self) -> impl Iterator<Item = E> + '_ {
        self.events.iter().flat_map(Receiver::try_iter)
    }

    /// Waits for the next event. Returns `None` once the thread has ended.
    pub(crate) fn wait(&self) -> Option<E> {
        self.events.as_ref()?.recv().ok()
    }

    /// Waits at most `timeout` for the next event. Returns `None` if none arrives, or if the thread
    /// has ended.
    pub(crate) fn wait_timeout(&self, timeout: Duration) -> Option<E> {
        self.events.as_ref()?.recv_timeout(timeout).ok()
    }

    /// Cancels every job up to and including `number`. Takes effect at once, even while commands
    /// are waiting.
    pub(crate) fn cancel(&self, number: u64) {
        self.cancel.cancel(number);
    }
}

impl<C, E> Drop for Handle<C, E> {
    fn drop(&mut self) {
        self.cancel.cancel(u64::MAX);
        self.events = None;
        self.commands = None;
        let Limits { name, drop_timeout, .. } = self.limits;
        // Nothing is sent on `ended`: it disconnects when the thread returns.
        let is_late = |limit| self.ended.recv_timeout(limit).is_err_and(|error| error.is_timeout());
        if !drop_timeout.is_zero() && is_late(drop_timeout) {
            tracing::warn!("{name} has not finished after {drop_timeout:?}");
        }
    }
}

/// The actor's end. It receives commands and sends events.
pub struct Mailbox<C, E> {
    commands: Receiver<C>,
    events: Sender<E>,
    cancel: CancelToken,
    wake: Box<dyn Fn() + Send>,
    // Dropped with the mailbox, so the handle's `ended` disconnects when the thread finishes.
    _alive: Sender<()>,
}

impl<C, E> Mailbox<C, E> {
    /// Waits for the next command. Returns `None` once the handle is dropped and all commands have
    /// been read.
    pub fn next(&self) -> Option<C> {
        self.commands.recv().ok()
    }

    /// Returns the next command if one is waiting.
    pub fn try_next(&self) -> Option<C> {
        self.commands.try_recv().ok()
    }

    /// Sends an event and wakes the owner. Waits while the queue is full. Returns `false` if the
    /// handle was dropped.
    pub fn send(&self, event: E) -> bool {
        let mut event = event;
        loop {
            match self.events.send_timeout(event, BLOCKED_POLL) {
                Ok(()) => {
                    (self.wake)();
                    return true;
                }
                Err(SendTimeoutError::Timeout(back)) if !self.is_closed() => event = back,
                Err(_) => return false,
            }
        }
    }

    /// Returns whether job `number` was cancelled or the handle was dropped.
    pub fn is_cancelled(&self, number: u64) -> bool {
        self.cancel.is_cancelled(number)
    }

    /// Returns whether the handle was dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.cancel.is_closed()
    }
}

/// Creates both ends without starting a thread. `wake` is called after every event.
pub(crate) fn channel<C, E>(
    limits: Limits,
    wake: impl Fn() + Send + 'static,
) -> (Handle<C, E>, Mailbox<C, E>) {
    let (commands, commands_out) = bounded(limits.commands);
    let (events, events_out) = bounded(limits.events);
    let (alive, ended) = bounded(0);
    let cancel = CancelToken::default();
    let handle = Handle {
        commands: Some(commands),
        events: Some(events_out),
        cancel: cancel.clone(),
        ended,
        limits,
    };
    let wake = Box::new(wake);
    (handle, Mailbox { commands: commands_out, events, cancel, wake, _alive: alive })
}

/// Starts a thread that runs `run`, and returns its handle. `wake` is called on that thread after
/// every event.
///
/// # Errors
/// Fails if the operating system cannot start a thread.
pub(crate) fn spawn<C: Send + 'static, E: Send + 'static>(
    limits: Limits,
    wake: impl Fn() + Send + 'static,
    run: impl FnOnce(Mailbox<C, E>) + Send + 'static,
) -> io::Result<Handle<C, E>> {
    let (handle, mailbox) = channel(limits, wake);
    thread::Builder::new().name(limits.name.into()).spawn(move || run(mailbox))?;
    Ok(handle)
}

/// Runs `work` and catches panics. The caller must not use state that `work` may have left half
/// changed.
///
/// # Errors
/// Returns the message of a panic in `work`.
pub(crate) fn guard<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    const LIMITS: Limits =
        Limits { name: "test", commands: 2, events: 1, drop_timeout: Duration::from_secs(10) };

    #[test]
    fn dropping_the_handle_waits_until_earlier_commands_are_done() {
        let (report, done) = mpsc::channel();
        let run = move |mailbox: Mailbox<u32, ()>| {
            while let Some(command) = mailbox.next() {
                thread::sleep(Duration::from_millis(20));
                report.send(command).expect("the test is waiting");
            }
        };
        let handle = spawn(LIMITS, || {}, run).expect("a thread");
        assert_eq!((handle.send(1), handle.send(2)), (Ok(()), Ok(())));
        drop(handle);
        assert_eq!(done.try_iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_full_queue_and_an_ended_thread_are_different_errors() {
        let (handle, mailbox) = channel::<u32, ()>(LIMITS, || {});
        assert_eq!([1, 2, 3].map(|n| handle.send(n)), [Ok(()), Ok(()), Err(SendError::Full)]);
        assert_eq!(mailbox.try_next(), Some(1));
        drop(mailbox);
        assert_eq!(handle.send(4), Err(SendError::Ended));
        assert_eq!(handle.wait(), None);
    }

    #[test]
    fn dropping_the_handle_ends_an_actor_blocked_on_a_full_event_queue() {
        let (handle, mailbox) = channel::<(), u32>(LIMITS, || {});
        let thread = thread::spawn(move || (mailbox.send(1), mailbox.send(2)));
        thread::sleep(3 * BLOCKED_POLL);
        let began = Instant::now();
        drop(handle);
        assert_eq!(thread.join().ok(), Some((true, false)));
        assert!(began.elapsed() < LIMITS.drop_timeout);
    }

    #[test]
    fn cancelling_a_job_cancels_earlier_ones_and_dropping_the_handle_cancels_all() {
        let (handle, mailbox) = channel::<(), ()>(LIMITS, || {});
        handle.cancel(3);
        assert_eq!([2, 3, 4].map(|n| mailbox.is_cancelled(n)), [true, true, false]);
        handle.cancel(1);
        assert!(mailbox.is_cancelled(3) && !mailbox.is_closed());
        let mut handle = handle;
        handle.limits.drop_timeout = Duration::ZERO;
        drop(handle);
        assert!(mailbox.is_cancelled(4) && mailbox.is_closed());
    }

    #[test]
    fn guard_returns_the_message_of_a_panic() {
        assert_eq!(guard(|| 7), Ok(7));
        assert_eq!(guard(|| -> u8 { panic!("out of range") }), Err("out of range".into()));
        assert_eq!(guard(|| -> u8 { panic!("{} of range", "out") }), Err("out of range".into()));
    }
}
