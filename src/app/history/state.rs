//! The state of the history. [`crate::records::record_writer`] reads and writes the files on a
//! background thread.

use std::io;
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
    /// There is no past run that could be shown at the start.
    Empty,
    /// An error, as a sentence.
    Error(String),
}

/// Why no runs can be kept if the system has no folder for them.
const NO_FOLDER: &str = "This system has no folder for application data.";

/// Access to the files.
#[derive(Debug)]
enum Access {
    Open(RecordWriter),
    /// No access, and the reason as a sentence.
    Closed(String),
}

#[derive(Debug)]
pub(crate) struct HistoryState {
    access: Access,
    /// All past runs: pinned runs first, then by age, newest first.
    pub(crate) entries: Vec<Entry>,
    /// The text in the search box.
    pub(crate) query: String,
    /// The run that is being renamed, and its new name as typed so far.
    pub(crate) renaming: Option<(EntryId, String)>,
    loading: Option<(EntryId, RecallMode)>,
    /// Whether to show the newest run once the runs are listed.
    restores_newest: bool,
}

impl HistoryState {
    /// Opens the history in `folder`. With `None`, no runs are kept and no files can be saved. With
    /// `restores_newest`, reads the newest run.
    pub(crate) fn new(ctx: &Context, folder: Option<PathBuf>, restores_newest: bool) -> Self {
        let ctx = ctx.clone();
        let spawn = |folder| record_writer::spawn(folder, move || ctx.request_repaint());
        let history = Self::opened(folder.map(spawn), restores_newest);
        // The queue of a new thread is empty, so sending cannot fail.
        let _ = history.send(Command::List);
        history
    }

    /// `writer` is the result of starting the record writer, or `None` without a folder.
    fn opened(writer: Option<io::Result<RecordWriter>>, restores_newest: bool) -> Self {
        let access = match writer {
            Some(Ok(writer)) => Access::Open(writer),
            Some(Err(error)) => {
                tracing::warn!("past runs are not available: {error}");
                Access::Closed(format!(
                    "The thread that reads and writes files could not be started ({error}); close \
                     other programs and restart this one."
                ))
            }
            None => Access::Closed(NO_FOLDER.to_owned()),
        };
        Self {
            access,
            entries: Vec::new(),
            query: String::new(),
            renaming: None,
            loading: None,
            restores_newest,
        }
    }

    /// Returns why no runs can be kept and no files written, as a sentence, or `None` if they can.
    pub(crate) fn closed_reason(&self) -> Option<&str> {
        match &self.access {
            Access::Open(_) => None,
            Access::Closed(reason) => Some(reason),
        }
    }

    /// Sends a command to the record writer.
    ///
    /// # Errors
    /// Returns the reason why the command was not sent, as a sentence.
    pub(crate) fn send(&self, command: Command) -> Result<(), String> {
        let Access::Open(writer) = &self.access else { return Ok(()) };
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
        let Access::Open(writer) = &self.access else { return Vec::new() };
        let events: Vec<Event> = writer.drain().collect();
        events.into_iter().filter_map(|event| self.apply(event)).collect()
    }

    fn apply(&mut self, event: Event) -> Option<HistoryOutcome> {
        match event {
            Event::Entries(entries) => {
                self.entries = entries;
                self.restore_newest()
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

    /// Reads the newest run after the first listing, if it is to be shown and no other run was
    /// requested. Returns [`HistoryOutcome::Empty`] if there is none.
    fn restore_newest(&mut self) -> Option<HistoryOutcome> {
        if !std::mem::take(&mut self.restores_newest) || self.loading.is_some() {
            return None;
        }
        // Ids sort by time.
        match self.entries.iter().map(|entry| &entry.id).max().cloned() {
            Some(id) => self.load(id, RecallMode::Restored).err().map(HistoryOutcome::Error),
            None => Some(HistoryOutcome::Empty),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_for_a_closed_history_is_the_true_one() {
        let no_folder = HistoryState::opened(None, false);
        assert_eq!(no_folder.closed_reason(), Some(NO_FOLDER));
        let no_thread = Some(Err(io::Error::other("too many threads")));
        let no_thread = HistoryState::opened(no_thread, false);
        let reason = no_thread.closed_reason().expect("a reason");
        assert!(reason.contains("could not be started (too many threads); close"), "{reason}");
        assert!(!reason.contains("folder"));
        assert_eq!(no_thread.send(Command::List), Ok(()));
    }
}
