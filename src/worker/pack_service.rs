//! The thread that manages packs while the worker generates. It surveys, downloads, verifies and
//! saves packs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{WorkerError, guard};
pub(crate) use crate::actor::SendError;
use crate::actor::{self, Handle, Limits, Mailbox};
pub(crate) use crate::packs::PLACEHOLDER;
use crate::packs::hub::Watch;
pub use crate::packs::hub::{Hub, HubSettings, Progress};
use crate::packs::size::free_memory_bytes;
use crate::packs::survey::HubLookup;
pub use crate::packs::survey::{Entry, Kind, Presence, Survey};
pub use crate::packs::{
    BackboneRole, HubModel, JudgeRole, MAIN, MANIFEST, Manifest, PackSource, Precision,
    PromptStyle, Role, Source,
};
use crate::packs::{Pack, PackError};

/// A command from the window to the pack service.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Surveys the bundled packs and the added ones.
    List {
        /// Folders of the packs that the user added.
        added: Vec<PathBuf>,
        /// Whether to look up the sizes of files on the hub that are not on this machine.
        hub: bool,
    },
    /// Looks up the size of a pack's download on the hub. The number is used to stop it and is
    /// drawn from the same sequence as that of `Fetch`.
    Measure(u64, PackSource),
    /// Downloads the missing files of a pack. The number is used to stop the download.
    Download(u64, PackSource),
    /// Compares the pack's files from the hub with their checksums.
    Verify(PackSource),
    /// Writes a `pack.toml` to this folder. Creates the folder if it does not exist.
    Save(PathBuf, Box<Manifest>),
    /// Replaces the `pack.toml` in this folder.
    Replace(PathBuf, Box<Manifest>),
    /// Reads the `pack.toml` in this folder.
    Read(PathBuf),
}

/// An event from the pack service to the window.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The known packs.
    Packs {
        /// The default pack, then the added ones, then the other bundled ones.
        packs: Vec<ListedPack>,
        /// Free memory in bytes, or `None` if the system does not report it.
        free_memory_bytes: Option<u64>,
    },
    /// The survey that `Measure` requested.
    Measured(ListedPack),
    /// Progress of the download.
    Progress(Progress),
    /// All files of the pack have been downloaded.
    Downloaded(PackSource),
    /// The download failed, with the error as one sentence. Downloaded bytes are kept for the next
    /// attempt.
    DownloadFailed(PackSource, String),
    /// The user stopped the download.
    DownloadStopped,
    /// The pack's files from the hub have been compared with their checksums.
    Verified {
        /// The pack.
        source: PackSource,
        /// Whether a file does not match its checksum.
        is_damaged: bool,
    },
    /// The pack has been saved in this folder.
    Saved(PathBuf),
    /// The content of a `pack.toml`, or the error as one sentence.
    Read(PathBuf, Result<Box<Manifest>, String>),
    /// The pack could not be saved, with the error as one sentence.
    SaveFailed(String),
}

/// A pack and the survey of its models.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedPack {
    /// The pack.
    pub source: PackSource,
    /// The survey, or the error as one sentence.
    pub survey: Result<Survey, String>,
}

const LIMITS: Limits =
    Limits { name: "ivg-pack-service", commands: 1024, events: 1024, drop_timeout: Duration::ZERO };

/// The window's end of the channel. Dropping it stops a download and ends the thread.
#[derive(Debug)]
pub(crate) struct PackService(Handle<Command, Event>);

impl PackService {
    /// Starts the thread. `wake` is called on that thread after every event.
    ///
    /// # Errors
    /// Fails if the operating system cannot start a thread.
    pub(crate) fn spawn(hub: Hub, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let run = move |mailbox: Mailbox<Command, Event>| {
            let service = Service { hub, mailbox };
            while let Some(command) = service.mailbox.next() {
                service.carry_out(command);
            }
        };
        actor::spawn(LIMITS, wake, run).map(Self)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// [`SendError`] if the service has ended or its queue is full.
    pub(crate) fn send(&self, command: Command) -> Result<(), SendError> {
        self.0.send(command)
    }

    /// Stops the download or size lookup with this number. Downloaded bytes are kept.
    pub(crate) fn stop(&self, number: u64) {
        self.0.cancel(number);
    }

    /// Returns the events that have arrived since the last call.
    pub(crate) fn drain(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.drain()
    }
}

struct Service {
    hub: Hub,
    mailbox: Mailbox<Command, Event>,
}

impl Service {
    fn send(&self, event: Event) {
        self.mailbox.send(event);
    }

    fn carry_out(&self, command: Command) {
        match command {
            Command::List { added, hub } => self.look(added, hub),
            Command::Measure(number, source) => {
                let cancelled = || self.mailbox.is_cancelled(number);
                let lookup = HubLookup::new(&self.hub, true, &cancelled);
                let measured = survey(source, &mut lookup.with_retries());
                self.send(Event::Measured(measured));
            }
            Command::Download(fetch, source) => self.fetch(fetch, source),
            Command::Verify(source) => {
                let is_damaged = Pack::is_damaged(&source, &self.hub, &|| self.mailbox.is_closed());
                self.send(Event::Verified { source, is_damaged });
            }
            Command::Save(folder, manifest) => {
                let saved = save(&folder, &manifest);
                self.saved(folder, saved);
            }
            Command::Replace(folder, manifest) => {
                let saved = manifest.write(&folder);
                self.saved(folder, saved);
            }
            Command::Read(folder) => {
                let manifest = guard(|| Ok(Box::new(Manifest::read(&folder)?)));
                self.send(Event::Read(folder, manifest.map_err(|e| e.to_string())));
            }
        }
    }

    fn saved(&self, folder: PathBuf, saved: Result<(), PackError>) {
        self.send(match saved {
            Ok(()) => Event::Saved(folder),
            Err(e) => Event::SaveFailed(e.to_string()),
        });
    }

    fn look(&self, added: Vec<PathBuf>, use_hub: bool) {
        // The user's own packs come before the many bundled ones.
        let mut bundled = PackSource::bundled().into_iter();
        let first = bundled.next().into_iter();
        let sources = first.chain(added.into_iter().map(PackSource::Folder)).chain(bundled);
        let cancelled = || self.mailbox.is_closed();
        let mut lookup = HubLookup::new(&self.hub, use_hub, &cancelled);
        let packs = sources.map(|source| survey(source, &mut lookup)).collect();
        self.send(Event::Packs { packs, free_memory_bytes: free_memory_bytes() });
    }

    fn fetch(&self, fetch: u64, source: PackSource) {
        let cancelled = || self.mailbox.is_cancelled(fetch);
        let mut progress = |progress: &Progress| self.send(Event::Progress(progress.clone()));
        let mut watch = Watch { cancelled: &cancelled, progress: &mut progress };
        let fetched =
            guard(|| Ok::<_, WorkerError>(Pack::download(&source, &self.hub, false, &mut watch)?));
        self.send(match fetched {
            Ok(()) => Event::Downloaded(source),
            Err(_) if self.mailbox.is_cancelled(fetch) => Event::DownloadStopped,
            Err(e) => Event::DownloadFailed(source, e.to_string()),
        });
    }
}

fn save(folder: &Path, manifest: &Manifest) -> Result<(), PackError> {
    // An existing file may have content that the pack form cannot show.
    if folder.join(MANIFEST).exists() {
        return Err(PackError::AlreadyAPack(folder.to_owned()));
    }
    std::fs::create_dir_all(folder)
        .map_err(|source| PackError::Unwritable { file: folder.to_owned(), source })?;
    manifest.write(folder)
}

fn survey(source: PackSource, lookup: &mut HubLookup<'_>) -> ListedPack {
    let survey = guard(|| Ok(Survey::new(&source, lookup)?));
    ListedPack { source, survey: survey.map_err(|e| e.to_string()) }
}
