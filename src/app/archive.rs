//! What the window keeps on disk: the runs of the past, and files a person asks for. The work is
//! done by [`crate::records::clerk`], on a thread of its own.

use std::path::{Path, PathBuf};

use eframe::egui::Context;

use super::path_dialog::{PathDialog, Purpose};
use crate::guidance::trace::Trace;
use crate::records::clerk::{self, Clerk, Command, Event, suggested_name};
use crate::records::history::{Entry, EntryId, now_unix_ms};

/// What a run of the past is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To be looked at.
    Shown,
    /// Beside the run that is shown.
    Beside,
    /// Its prompt and settings only.
    Settings,
}

/// What has come from disk, for the window.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// A run of the past, or of a file.
    Run(Box<Trace>, Wanted, String),
    /// Something was done.
    Notice {
        /// In words.
        words: String,
        /// Whether it can be undone.
        undo: bool,
    },
    /// Something went wrong, in a sentence.
    Error(String),
}

/// The runs of the past, and what is being done with them.
#[derive(Debug, Default)]
pub struct Archive {
    clerk: Option<Clerk>,
    /// Every run of the past, pinned ones first, then the newest first.
    pub entries: Vec<Entry>,
    /// What is searched for.
    pub query: String,
    /// The run that is being renamed, and the name as typed.
    pub renaming: Option<(EntryId, String)>,
    /// Where to write or read.
    pub dialog: Option<PathDialog>,
    loading: Option<(EntryId, Wanted)>,
}

impl Archive {
    /// Keeps everything in `folder`. Without one nothing is kept, and nothing can be saved.
    pub fn new(ctx: &Context, folder: Option<PathBuf>) -> Self {
        let ctx = ctx.clone();
        let clerk = folder.and_then(|folder| {
            let started = clerk::spawn(folder, move || ctx.request_repaint());
            started.inspect_err(|e| tracing::warn!("nothing will be kept: {e}")).ok()
        });
        let archive = Self { clerk, ..Self::default() };
        // The thread has just begun to listen.
        let _ = archive.send(Command::List);
        archive
    }

    /// Whether runs can be kept and files written.
    pub fn is_open(&self) -> bool {
        self.clerk.is_some()
    }

    /// Has a command carried out; gives the reason if it cannot be.
    pub fn send(&self, command: Command) -> Option<String> {
        let clerk = self.clerk.as_ref()?;
        clerk.send(command).err().map(|e| crate::words::sentence(&e.to_string()))
    }

    /// Keeps a run that has ended.
    pub fn remember(&self, trace: &Trace) -> Option<String> {
        let trace = Box::new(trace.clone());
        self.send(Command::Remember { trace, unix_ms: now_unix_ms() })
    }

    /// Reads a run of the past.
    pub fn load(&mut self, id: EntryId, wanted: Wanted) -> Option<String> {
        self.loading = Some((id.clone(), wanted));
        self.send(Command::Load(id))
    }

    /// Asks where to write or read.
    pub fn ask(&mut self, purpose: Purpose, trace: Option<&Trace>) {
        let name = trace.map(|t| suggested_name(t, purpose.extension())).unwrap_or_default();
        self.dialog = Some(PathDialog::new(purpose, &name));
    }

    /// Takes in what has come from disk.
    pub fn receive(&mut self) -> Vec<Arrival> {
        let events: Vec<Event> = self.clerk.iter().flat_map(Clerk::drain).collect();
        events.into_iter().filter_map(|event| self.take(event)).collect()
    }

    fn take(&mut self, event: Event) -> Option<Arrival> {
        match event {
            Event::Entries(entries) => {
                self.entries = entries;
                None
            }
            Event::Loaded(id, trace) => {
                // One that was asked for before another is not wanted any more.
                let (_, wanted) = self.loading.take_if(|(wanted, _)| *wanted == id)?;
                let entry = self.entries.iter().find(|e| e.id == id);
                let name = entry.map(Entry::title).unwrap_or_default();
                Some(Arrival::Run(trace, wanted, name))
            }
            Event::Opened(trace, path) => {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
                Some(Arrival::Run(trace, Wanted::Shown, name.unwrap_or_default()))
            }
            Event::Written(path) => {
                Some(Arrival::Notice { words: format!("Saved {}", shown(&path)), undo: false })
            }
            Event::Deleted { name, can_undo } => {
                Some(Arrival::Notice { words: format!("Deleted “{name}”"), undo: can_undo })
            }
            Event::Failed(message) => Some(Arrival::Error(message)),
        }
    }
}

/// A path with the home folder shortened, as people write it.
pub fn shown(path: &Path) -> String {
    let home = std::env::home_dir().filter(|home| home.parent().is_some());
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}
