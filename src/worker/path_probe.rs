//! Checks paths in the background, so that a slow mount never blocks a frame.

use std::collections::HashMap;
use std::time::Duration;

use crate::actor::{self, Handle, Limits, Mailbox};
use crate::packs::Source;

const LIMITS: Limits =
    Limits { name: "ivg-path-probe", commands: 256, events: 256, drop_timeout: Duration::ZERO };

/// Checks in the background whether local sources exist, and remembers the answers.
#[derive(Debug)]
pub(crate) struct PathProbe {
    actor: Option<Handle<Source, (Source, bool)>>,
    /// `None` until the answer arrives.
    answers: HashMap<Source, Option<bool>>,
}

impl PathProbe {
    /// Starts the thread. `wake` is called on that thread after every answer. If the thread cannot
    /// be started, [`PathProbe::exists`] always returns `None`.
    pub(crate) fn spawn(wake: impl Fn() + Send + 'static) -> Self {
        let run = |mailbox: Mailbox<Source, (Source, bool)>| {
            while let Some(source) = mailbox.next() {
                let exists = source.exists();
                if !mailbox.send((source, exists)) {
                    break;
                }
            }
        };
        let actor = actor::spawn(LIMITS, wake, run);
        let actor = actor.inspect_err(|error| tracing::warn!("paths are not checked: {error}"));
        Self { actor: actor.ok(), answers: HashMap::new() }
    }

    /// Returns whether the source exists. Starts a check and returns `None` if that is not known
    /// yet.
    pub(crate) fn exists(&mut self, source: &Source) -> Option<bool> {
        let actor = self.actor.as_ref()?;
        self.answers.extend(actor.drain().map(|(source, exists)| (source, Some(exists))));
        if let Some(answer) = self.answers.get(source) {
            return *answer;
        }
        // If the queue is full, the next frame tries again.
        if actor.send(source.clone()).is_ok() {
            self.answers.insert(source.clone(), None);
        }
        None
    }

    /// Forgets all answers, because files may have been created meanwhile.
    pub(crate) fn refresh(&mut self) {
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn an_answer_is_remembered_until_it_is_refreshed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        let source = Source::Folder(file.clone());
        let (wake, wakes) = mpsc::channel();
        let mut probe = PathProbe::spawn(move || wake.send(()).expect("the test is waiting"));
        let answer = |probe: &mut PathProbe| {
            assert_eq!(probe.exists(&source), None);
            assert_eq!(wakes.recv(), Ok(()));
            probe.exists(&source)
        };
        assert_eq!(answer(&mut probe), Some(false));
        std::fs::write(&file, "").expect("written");
        assert_eq!(probe.exists(&source), Some(false), "the answer is remembered");
        probe.refresh();
        assert_eq!(answer(&mut probe), Some(true));
    }
}
