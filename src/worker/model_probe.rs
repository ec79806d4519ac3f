//! Reads models in the background, so that a slow or dead mount never blocks a frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::actor::{self, Handle, Limits, Mailbox, guard};
use crate::packs::inspect::inspect;
pub(crate) use crate::packs::inspect::{Inspection, ModelReport};
pub(crate) use crate::packs::offers::{Fit, Offer, OfferKind};

const LIMITS: Limits =
    Limits { name: "ivg-model-probe", commands: 1, events: 1, drop_timeout: Duration::ZERO };

/// Maximum threads. A thread that waits for a dead mount cannot be ended.
const MAX_THREADS: usize = 8;

/// What is at a path, or the problem as one sentence.
pub(crate) type Answer = Result<Inspection, String>;

/// Reads the model at one path at a time. A path that is asked later does not wait for an earlier
/// one.
pub(crate) struct ModelProbe {
    wake: Arc<dyn Fn() + Send + Sync>,
    read: fn(&str) -> Answer,
    asked: Option<(String, Handle<String, Answer>)>,
    /// Threads that have not ended.
    threads: Arc<AtomicUsize>,
}

impl ModelProbe {
    /// Creates a probe. `wake` is called after every answer, on the thread that read the model.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { wake: Arc::new(wake), read: inspect, asked: None, threads: Arc::default() }
    }

    /// Reads `path`, and forgets the path that was asked before. Does nothing if this path is being
    /// read.
    pub(crate) fn ask(&mut self, path: &str) {
        if self.asked.as_ref().is_some_and(|(asked, _)| asked == path) {
            return;
        }
        self.asked = None;
        if self.threads.load(Ordering::Relaxed) >= MAX_THREADS {
            return;
        }
        let (wake, read) = (Arc::clone(&self.wake), self.read);
        let running = Running::new(&self.threads);
        let run = move |mailbox: Mailbox<String, Answer>| {
            let _running = running;
            while let Some(path) = mailbox.next() {
                let failed = |reason| {
                    tracing::warn!("reading {path} failed: {reason}");
                    Err("This model cannot be read; its file may be damaged.".to_owned())
                };
                let answer = guard(|| read(&path)).unwrap_or_else(failed);
                if !mailbox.send(answer) {
                    break;
                }
            }
        };
        match actor::spawn(LIMITS, move || wake(), run) {
            Ok(handle) if handle.send(path.to_owned()).is_ok() => {
                self.asked = Some((path.to_owned(), handle));
            }
            Ok(_) => tracing::warn!("the thread that reads models has ended"),
            Err(error) => tracing::warn!("models are not read: {error}"),
        }
    }

    /// Returns the answer about the path that was asked last, once.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let answer = self.asked.as_ref()?.1.drain().next()?;
        self.asked = None;
        Some(answer)
    }

    /// Forgets the path that was asked.
    pub(crate) fn forget(&mut self) {
        self.asked = None;
    }
}

/// Counts a thread until it ends.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(threads: &Arc<AtomicUsize>) -> Self {
        threads.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(threads))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for ModelProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let asked = self.asked.as_ref().map(|(path, _)| path);
        f.debug_struct("ModelProbe").field("asked", &asked).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn probe(read: fn(&str) -> Answer) -> (ModelProbe, mpsc::Receiver<()>) {
        let (wake, wakes) = mpsc::channel();
        let wake = move || wake.send(()).expect("the test is waiting");
        (ModelProbe { read, ..ModelProbe::new(wake) }, wakes)
    }

    #[test]
    fn a_path_on_a_dead_mount_does_not_delay_the_next_path() {
        let read = |path: &str| match path {
            "/dead" => loop {
                std::thread::park();
            },
            "/bad" => panic!("a bug"),
            other => Err(other.to_owned()),
        };
        let (mut probe, wakes) = probe(read);
        probe.ask("/dead");
        assert_eq!(probe.answer(), None);
        probe.ask("/other");
        assert_eq!(wakes.recv(), Ok(()));
        assert_eq!(probe.answer(), Some(Err("/other".to_owned())));
        assert_eq!(probe.answer(), None, "an answer is returned once");
        probe.ask("/bad");
        assert_eq!(wakes.recv(), Ok(()));
        assert!(probe.answer().is_some_and(|a| a.is_err_and(|e| e.contains("cannot be read"))));
        // Threads that wait for dead mounts are bounded.
        for _ in 0..2 * MAX_THREADS {
            probe.ask("/dead");
            probe.forget();
        }
        assert!(probe.threads.load(Ordering::Relaxed) <= MAX_THREADS);
    }
}
