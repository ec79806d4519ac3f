//! Whether files and folders are there, asked on a thread of its own: a disk may be far away, and a
//! window does not wait for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, unbounded};

/// What is known of places on this machine.
#[derive(Debug)]
pub struct Places {
    asks: Sender<PathBuf>,
    told: Receiver<(PathBuf, bool)>,
    /// What was asked about, and the answer once it is here.
    known: HashMap<PathBuf, Option<bool>>,
}

impl Places {
    /// Starts the thread; `wake` is called from it after every answer. Where the system refuses
    /// another thread, nothing is ever known.
    pub fn spawn(wake: impl Fn() + Send + 'static) -> Self {
        let (asks, asked) = unbounded::<PathBuf>();
        let (telling, told) = unbounded();
        let look = move || {
            for path in asked {
                let is_there = path.exists();
                if telling.send((path, is_there)).is_err() {
                    break;
                }
                wake();
            }
        };
        let started = std::thread::Builder::new().name("ivg-places".into()).spawn(look);
        if let Err(e) = started {
            tracing::warn!("nobody looks whether files are there: {e}");
        }
        Self { asks, told, known: HashMap::new() }
    }

    /// Whether there is something at `path`; none while that is not known, and then it is asked.
    pub fn is_there(&mut self, path: &Path) -> Option<bool> {
        for (path, is_there) in self.told.try_iter() {
            self.known.insert(path, Some(is_there));
        }
        if let Some(known) = self.known.get(path) {
            return *known;
        }
        // Whoever is not there to hear it never answers.
        let _ = self.asks.send(path.to_owned());
        self.known.insert(path.to_owned(), None);
        None
    }

    /// Forgets what is known: what was typed before may be there by now.
    pub fn look_again(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_known_soon_and_can_be_asked_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a");
        let (waking, woken) = unbounded();
        let mut places = Places::spawn(move || waking.send(()).expect("a test that waits"));
        let known = |places: &mut Places| {
            assert_eq!(places.is_there(&file), None);
            assert_eq!(woken.recv(), Ok(()));
            places.is_there(&file)
        };
        assert_eq!(known(&mut places), Some(false));
        std::fs::write(&file, "").expect("written");
        assert_eq!(places.is_there(&file), Some(false), "as it was");
        places.look_again();
        assert_eq!(known(&mut places), Some(true));
    }
}
