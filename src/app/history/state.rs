//! The state of the history. [`crate::records::record_writer`] reads and writes the files on a
//! background thread.

use std::path::{Path, PathBuf};

use eframe::egui::Context;

use crate::app::action::RecallMode;
use crate::format::sentence;
use crate::guidance::trace::Trace;
use crate::records::history::{Entry, EntryId, now_unix_ms};
use crate::records::record_writer;
use crate::records::record_writer::{Command, Event, RecordWriter};

/// The result of an event of the record writer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HistoryOutcome {
    /// A past run or the run of a file, how to use it, and its name.
    Run(Box<Trace>, RecallMode, String),
    /// A file was saved or a run was deleted.
    Notice {
        /// The text of the notice.
        words: String,
        /// Whether the action can be undone.
        undo: bool,
    },
    /// An error, as a sentence.
    Error(String),
}

#[derive(Debug, Default)]
pub(crate) struct HistoryState {
    writer: Option<RecordWriter>,
    /// All past runs: pinned runs first, then by age, newest first.
    pub(crate) entries: Vec<Entry>,
    /// The text in the search box.
    pub(crate) query: String,
    /// The run that is being renamed, and its new name as typed so far.
    pub(crate) renaming: Option<(EntryId, String)>,
    loading: Option<(EntryId, RecallMode)>,
}

impl HistoryState {
    /// Opens the history in `folder`. With `None`, no runs are kept and no files can be saved.
    pub(crate) fn new(ctx: &Context, folder: Option<PathBuf>) -> Self {
        let ctx = ctx.clone();
        let writer = folder.and_then(|folder| {
            let writer = record_writer::spawn(folder, move || ctx.request_repaint());
            writer.inspect_err(|e| tracing::warn!("past runs are not available: {e}")).ok()
        });
        let history = Self { writer, ..Self::default() };
        // The queue of a new thread is empty, so sending cannot fail.
        let _ = history.send(Command::List);
        history
    }

    /// Returns whether runs can be kept and files written.
    pub(crate) fn is_open(&self) -> bool {
        self.writer.is_some()
    }

    /// Sends a command to the record writer.
    ///
    /// # Errors
    /// Returns the reason why the command was not sent, as a sentence.
    pub(crate) fn send(&self, command: Command) -> Result<(), String> {
        let Some(writer) = &self.writer else { return Ok(()) };
        writer.send(command).map_err(|error| sentence(&error.to_string()))
    }

    /// Adds a finished run to the history.
    ///
    /// # Errors
    /// Same as [`HistoryState::send`].
    pub(crate) fn remember(&self, trace: &Trace) -> Result<(), String> {
        let trace = Box::new(trace.clone());
        self.send(Command::Remember { trace, unix_ms: now_unix_ms() })
    }

    /// Reads a past run.
    ///
    /// # Errors
    /// Same as [`HistoryState::send`].
    pub(crate) fn load(&mut self, id: EntryId, mode: RecallMode) -> Result<(), String> {
        self.loading = Some((id.clone(), mode));
        self.send(Command::Load(id))
    }

    /// Handles the events of the record writer.
    pub(crate) fn receive(&mut self) -> Vec<HistoryOutcome> {
        let events: Vec<Event> = self.writer.iter().flat_map(RecordWriter::drain).collect();
        events.into_iter().filter_map(|event| self.apply(event)).collect()
    }

    fn apply(&mut self, event: Event) -> Option<HistoryOutcome> {
        match event {
            Event::Entries(entries) => {
                self.entries = entries;
                None
            }
            Event::Loaded(id, trace) => {
                // Ignore a run if another one was requested after it.
                let (_, mode) = self.loading.take_if(|(requested, _)| *requested == id)?;
                let entry = self.entries.iter().find(|e| e.id == id);
                let name = entry.map(Entry::title).unwrap_or_default();
                Some(HistoryOutcome::Run(trace, mode, name))
            }
            Event::Opened(trace, path) => {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
                Some(HistoryOutcome::Run(trace, RecallMode::Shown, name.unwrap_or_default()))
            }
            Event::Written(path) => {
                let words = format!("Saved {}", display_path(&path));
                Some(HistoryOutcome::Notice { words, undo: false })
            }
            Event::Deleted { name, can_undo } => {
                let words = format!("Deleted “{name}”");
                Some(HistoryOutcome::Notice { words, undo: can_undo })
            }
            Event::Failed(message) => Some(HistoryOutcome::Error(message)),
        }
    }
}

/// Formats a path, with the home folder shortened to `~`.
pub(crate) fn display_path(path: &Path) -> String {
    let home = std::env::home_dir().filter(|home| home.parent().is_some());
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}
