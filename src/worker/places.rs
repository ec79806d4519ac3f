//! Whether files and folders are there, asked on a thread of its own: a disk may be far away, and a
//! window does not wait for it.

use std::collections::HashMap;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::packs::Source;

/// What is known of places on this machine.
#[derive(Debug)]
pub struct Places {
    asks: Sender<Source>,
    told: Receiver<(Source, bool)>,
    /// What was asked about, and the answer once it is here.
    known: HashMap<Source, Option<bool>>,
}

impl Places {
    /// Starts the thread; `wake` is called from it after every answer. Where the system refuses
    /// another thread, nothing is ever known.
    pub fn spawn(wake: impl Fn() + Send + 'static) -> Self {
        let (asks, asked) = unbounded::<Source>();
        let (telling, told) = unbounded();
        let look = move || {
            for place in asked {
                let is_there = place.is_there();
                if telling.send((place, is_there)).is_err() {
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

    /// Whether there is something at this place; none while that is not known, and then it is asked.
    pub fn is_there(&mut self, place: &Source) -> Option<bool> {
        for (place, is_there) in self.told.try_iter() {
            self.known.insert(place, Some(is_there));
        }
        if let Some(known) = self.known.get(place) {
            return *known;
        }
        // Whoever is not there to hear it never answers.
        let _ = self.asks.send(place.clone());
        self.known.insert(place.clone(), None);
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
        let place = Source::Folder(file.clone());
        let (waking, woken) = unbounded();
        let mut places = Places::spawn(move || waking.send(()).expect("a test that waits"));
        let known = |places: &mut Places| {
            assert_eq!(places.is_there(&place), None);
            assert_eq!(woken.recv(), Ok(()));
            places.is_there(&place)
        };
        assert_eq!(known(&mut places), Some(false));
        std::fs::write(&file, "").expect("written");
        assert_eq!(places.is_there(&place), Some(false), "as it was");
        places.look_again();
        assert_eq!(known(&mut places), Some(true));
    }
}
