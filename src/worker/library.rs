//! The thread that looks after packs while the worker generates: what they need, whether it is
//! here, fetching it, and writing down new ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::engine::{WorkerError, guard};
use crate::packs::hub::Watch;
pub use crate::packs::hub::{Hub, HubSettings, Progress};
use crate::packs::size::free_memory_bytes;
use crate::packs::survey::Inquirer;
pub use crate::packs::survey::{Entry, Kind, Presence, Survey};
pub use crate::packs::{
    HubModel, JudgeRole, MAIN, MANIFEST, Manifest, PLACEHOLDER, PackSource, Precision, PromptStyle,
    Role, Source, Trunk,
};
use crate::packs::{Pack, PackError};

/// From the window to the library.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Look at the bundled packs and at these. With `hub`, the hub is asked for the sizes of what
    /// is not here.
    Look {
        /// Packs that a person added.
        added: Vec<PathBuf>,
        /// Whether to ask the hub.
        hub: bool,
    },
    /// Ask the hub what a download of this pack would fetch. Numbered as a download is.
    Measure(u64, PackSource),
    /// Download what a pack lacks. Numbered, so that this very one can be stopped.
    Fetch(u64, PackSource),
    /// Look whether what a pack has from the hub is still what came.
    Verify(PackSource),
    /// Write a pack down in this folder, which is made if it is not there.
    Save(PathBuf, Box<Manifest>),
}

/// From the library to the window.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// What there is.
    Packs {
        /// Every pack: the one that the program starts with, the added ones, the other bundled ones.
        packs: Vec<Shelved>,
        /// Memory that is free, in bytes, where the system says.
        free_memory_bytes: Option<u64>,
    },
    /// What a download of one pack would fetch.
    Measured(Shelved),
    /// Files of a pack arrive.
    Progress(Progress),
    /// A pack is complete.
    Fetched(PackSource),
    /// A download ended early: one sentence. What has arrived is kept for the next try.
    FetchFailed(PackSource, String),
    /// A download was stopped by a person.
    FetchStopped,
    /// What a pack has from the hub was read over.
    Verified {
        /// The pack.
        source: PackSource,
        /// Whether something is no longer what came.
        is_damaged: bool,
    },
    /// A pack is written down.
    Saved(PathBuf),
    /// A pack could not be written down: one sentence.
    SaveFailed(String),
}

/// One pack and what it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelved {
    /// The pack.
    pub source: PackSource,
    /// What it needs; or one sentence that says what is wrong with it.
    pub survey: Result<Survey, String>,
}

/// The window's end of the line to the library. Dropping it stops a download and ends the thread.
#[derive(Debug)]
pub struct Library {
    asks: Sender<Ask>,
    told: Receiver<Told>,
    stopped: Arc<AtomicU64>,
}

impl Library {
    /// Starts the thread. `hub` is called on it, for a hub may have to be read about in files;
    /// `wake` is called from it after every event.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn spawn(
        hub: impl FnOnce() -> Hub + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (asks, asked) = unbounded();
        let (telling, told) = unbounded();
        let stopped = Arc::new(AtomicU64::new(0));
        let flag = Arc::clone(&stopped);
        std::thread::Builder::new().name("ivg-library".into()).spawn(move || {
            let desk = Desk { hub: hub(), telling, stopped: flag, wake: Box::new(wake) };
            for ask in asked {
                desk.answer(ask);
            }
        })?;
        Ok(Self { asks, told, stopped })
    }

    /// Asks for something. False if the library is gone.
    pub fn ask(&self, ask: Ask) -> bool {
        self.asks.send(ask).is_ok()
    }

    /// Stops the download or the question of this number; what has arrived is kept.
    pub fn stop(&self, fetch: u64) {
        self.stopped.fetch_max(fetch, Ordering::Relaxed);
    }

    /// What has been told since the last call.
    pub fn drain(&self) -> impl Iterator<Item = Told> + '_ {
        self.told.try_iter()
    }

    /// Waits for the next answer; none once the library is gone.
    pub fn wait(&self) -> Option<Told> {
        self.told.recv().ok()
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.stop(u64::MAX);
    }
}

/// The library's own end.
struct Desk {
    hub: Hub,
    telling: Sender<Told>,
    stopped: Arc<AtomicU64>,
    wake: Box<dyn Fn() + Send>,
}

impl Desk {
    fn tell(&self, told: Told) {
        // A window that is gone hears nothing any more.
        let _ = self.telling.send(told);
        (self.wake)();
    }

    fn is_stopped(&self, fetch: u64) -> bool {
        self.stopped.load(Ordering::Relaxed) >= fetch
    }

    /// The window closing ends questions; another question does not.
    fn is_closing(&self) -> bool {
        self.is_stopped(u64::MAX)
    }

    fn answer(&self, ask: Ask) {
        match ask {
            Ask::Look { added, hub } => self.look(added, hub),
            Ask::Measure(number, source) => {
                let cancelled = || self.is_stopped(number);
                let inquirer = Inquirer::new(&self.hub, true, &cancelled);
                let measured = survey(source, &mut inquirer.patient());
                self.tell(Told::Measured(measured));
            }
            Ask::Fetch(fetch, source) => self.fetch(fetch, source),
            Ask::Verify(source) => {
                let is_damaged = Pack::is_damaged(&source, &self.hub, &|| self.is_closing());
                self.tell(Told::Verified { source, is_damaged });
            }
            Ask::Save(folder, manifest) => {
                self.tell(match save(&folder, &manifest) {
                    Ok(()) => Told::Saved(folder),
                    Err(e) => Told::SaveFailed(e.to_string()),
                });
            }
        }
    }

    fn look(&self, added: Vec<PathBuf>, ask_hub: bool) {
        // A person's own before the many that come along.
        let mut bundled = PackSource::bundled().into_iter();
        let first = bundled.next().into_iter();
        let sources = first.chain(added.into_iter().map(PackSource::Folder)).chain(bundled);
        let cancelled = || self.is_closing();
        let mut inquirer = Inquirer::new(&self.hub, ask_hub, &cancelled);
        let packs = sources.map(|source| survey(source, &mut inquirer)).collect();
        self.tell(Told::Packs { packs, free_memory_bytes: free_memory_bytes() });
    }

    fn fetch(&self, fetch: u64, source: PackSource) {
        let cancelled = || self.is_stopped(fetch);
        let mut progress = |progress: &Progress| self.tell(Told::Progress(progress.clone()));
        let mut watch = Watch { cancelled: &cancelled, progress: &mut progress };
        let fetched =
            guard(|| Ok::<_, WorkerError>(Pack::download(&source, &self.hub, false, &mut watch)?));
        self.tell(match fetched {
            Ok(()) => Told::Fetched(source),
            Err(_) if self.is_stopped(fetch) => Told::FetchStopped,
            Err(e) => Told::FetchFailed(source, e.to_string()),
        });
    }
}

fn save(folder: &Path, manifest: &Manifest) -> Result<(), PackError> {
    // Another pack's file may hold what no form knows.
    if folder.join(MANIFEST).exists() {
        return Err(PackError::Taken(folder.to_owned()));
    }
    std::fs::create_dir_all(folder)
        .map_err(|source| PackError::Unwritable { file: folder.to_owned(), source })?;
    manifest.write(folder)
}

fn survey(source: PackSource, inquirer: &mut Inquirer<'_>) -> Shelved {
    let survey = guard(|| Ok(Survey::new(&source, inquirer)?));
    Shelved { source, survey: survey.map_err(|e| e.to_string()) }
}
