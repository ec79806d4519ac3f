//! The thread that reads and writes the files of runs, so that the window never waits for a disk.
//!
//! Commands and events use bounded queues. When the handle is dropped, the thread carries out the
//! waiting writes, skips the waiting reads, and ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::RecordError;
use super::atomic::write_whole;
use super::history::{Entry, EntryId, History};
use super::report::figure::{Figure, FigureFormat, FigureSize};
use super::report::html::side_by_side_html;
use super::trace_file;
use crate::actor::{self, Handle, Limits, Mailbox, SendError};
use crate::format::sentence;
use crate::guidance::trace::Trace;

/// A command from the window to the record writer.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Adds a finished run to the history. Answered by `Entries`.
    Remember {
        /// The run to add.
        trace: Box<Trace>,
        /// Time of the run, in milliseconds since 1970.
        unix_ms: u64,
    },
    /// Lists the history. Answered by `Entries`.
    List,
    /// Reads a run from the history. Answered by `Loaded`.
    Load(EntryId),
    /// Sets the name of a run; an empty name removes it. Answered by `Entries`.
    Rename(EntryId, String),
    /// Pins or unpins a run. Answered by `Entries`.
    Pin(EntryId, bool),
    /// Deletes a run. Answered by `Deleted` and `Entries`.
    Delete(EntryId),
    /// Restores the run that was deleted last. Answered by `Entries`.
    UndoDelete,
    /// Writes a run as an HTML report. Answered by `Written`.
    ExportHtml {
        /// Path of the file.
        path: PathBuf,
        /// The run to write.
        trace: Box<Trace>,
        /// The runs shown beside it.
        beside: Vec<Trace>,
    },
    /// Writes a run as a trace file. Answered by `Written`.
    ExportJson {
        /// Path of the file.
        path: PathBuf,
        /// The run to write.
        trace: Box<Trace>,
    },
    /// Draws a figure and writes it. Answered by `Written`.
    ExportFigure {
        /// Path of the file. If it exists, the new file gets a number.
        path: PathBuf,
        /// The figure to draw.
        figure: Figure,
        /// What it is made for.
        size: FigureSize,
        /// The format of the file.
        format: FigureFormat,
    },
    /// Writes the responses of a sweep as a table. Answered by `Written`.
    ExportTable {
        /// Path of the file. If it exists, the new file gets a number.
        path: PathBuf,
        /// The table as CSV.
        csv: String,
    },
    /// Writes a file that the window created, such as a picture. Answered by `Written`.
    ExportBytes {
        /// Path of the file.
        path: PathBuf,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Reads a trace file. Answered by `Opened`.
    Open {
        /// Path of the file.
        path: PathBuf,
    },
}

/// An event from the record writer to the window. A command that fails is answered by `Failed`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// All entries of the history.
    Entries(Vec<Entry>),
    /// A run has been read from the history.
    Loaded(EntryId, Box<Trace>),
    /// A run has been read from a file.
    Opened(Box<Trace>, PathBuf),
    /// A file has been written.
    Written(PathBuf),
    /// A run has been deleted.
    Deleted {
        /// Its name, or the start of its prompt.
        name: String,
        /// Whether `UndoDelete` can restore it.
        can_undo: bool,
    },
    /// A command failed, with the error as one sentence for the error bar.
    Failed(String),
}

const LIMITS: Limits = Limits {
    name: "ivg-records",
    commands: 64,
    events: 256,
    // A slow disk must not keep the window open for longer.
    drop_timeout: Duration::from_secs(10),
};

/// The window's end of the channel. Dropping it waits up to 10 seconds until the waiting files are
/// written.
#[derive(Debug)]
pub struct RecordWriter(Handle<Command, Event>);

impl RecordWriter {
    /// Sends a command.
    ///
    /// # Errors
    /// [`RecordError::Busy`] if the queue is full, [`RecordError::Ended`] if the thread has ended.
    pub fn send(&self, command: Command) -> Result<(), RecordError> {
        self.0.send(command).map_err(|error| match error {
            SendError::Full => RecordError::Busy,
            SendError::Ended => RecordError::Ended,
        })
    }

    /// Returns the events that have arrived since the last call.
    pub fn drain(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.drain()
    }

    /// Waits for the next event. Returns `None` once the thread has ended.
    pub fn wait(&self) -> Option<Event> {
        self.0.wait()
    }
}

/// Starts the thread. `folder` holds the history; it is created when it is first needed. `wake` is
/// called on that thread after every event.
///
/// # Errors
/// Fails if the operating system cannot start a thread.
pub fn spawn(folder: PathBuf, wake: impl Fn() + Send + 'static) -> std::io::Result<RecordWriter> {
    let run = |mailbox| Writer { folder, history: None, mailbox }.run();
    actor::spawn(LIMITS, wake, run).map(RecordWriter)
}

struct Writer {
    folder: PathBuf,
    history: Option<History>,
    mailbox: Mailbox<Command, Event>,
}

impl Writer {
    fn run(mut self) {
        while let Some(command) = self.mailbox.next() {
            let only_reads =
                matches!(command, Command::List | Command::Load(_) | Command::Open { .. });
            if !(only_reads && self.mailbox.is_closed()) {
                self.guarded(|writer| writer.carry_out(command));
            }
        }
    }

    /// Runs `work` and reports an error or a panic as an event, so that the thread goes on.
    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<(), RecordError>) {
        // The history holds a path and the bytes deleted last, so a panic leaves it consistent.
        let result = actor::guard(|| work(self));
        if let Err(error) = result.unwrap_or_else(|message| Err(RecordError::Panic(message))) {
            tracing::warn!(%error, "a command of the record writer failed");
            self.send(Event::Failed(sentence(&error.to_string())));
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<(), RecordError> {
        match command {
            Command::Remember { trace, unix_ms } => {
                self.history()?.add(&trace, unix_ms)?;
                self.list()
            }
            Command::List => self.list(),
            Command::Load(id) => match self.history()?.load(&id) {
                Ok(trace) => {
                    self.send(Event::Loaded(id, Box::new(trace)));
                    Ok(())
                }
                Err(e) => self.fail_and_list(e),
            },
            Command::Rename(id, name) => {
                let result = self.history()?.rename(&id, &name);
                self.report_and_list(result)
            }
            Command::Pin(id, pinned) => {
                let result = self.history()?.set_pinned(&id, pinned);
                self.report_and_list(result)
            }
            Command::Delete(id) => self.delete(&id),
            Command::UndoDelete => {
                let result = self.history()?.undo_delete().map(|_| ());
                self.report_and_list(result)
            }
            Command::ExportHtml { path, trace, beside } => {
                self.write(path, side_by_side_html(&trace, &beside).as_bytes())
            }
            Command::ExportJson { path, trace } => {
                let json = trace_file::to_json(&trace)?;
                self.write(path, json.as_bytes())
            }
            Command::ExportFigure { path, figure, size, format } => {
                self.write(free_path(path), &figure.file(size, format)?)
            }
            Command::ExportTable { path, csv } => self.write(free_path(path), csv.as_bytes()),
            Command::ExportBytes { path, bytes } => self.write(path, &bytes),
            Command::Open { path } => {
                let trace = Box::new(trace_file::read(&path)?);
                self.send(Event::Opened(trace, path));
                Ok(())
            }
        }
    }

    fn delete(&mut self, id: &EntryId) -> Result<(), RecordError> {
        let history = self.history()?;
        match history.delete(id) {
            Ok(name) => {
                let can_undo = history.can_undo();
                self.send(Event::Deleted { name, can_undo });
                self.list()
            }
            Err(e) => self.fail_and_list(e),
        }
    }

    fn write(&self, path: PathBuf, content: &[u8]) -> Result<(), RecordError> {
        write_whole(&path, content)?;
        self.send(Event::Written(path));
        Ok(())
    }

    /// Returns the history. Opens it first if it is not open, because an earlier attempt may have
    /// failed.
    fn history(&mut self) -> Result<&mut History, RecordError> {
        let history = match self.history.take() {
            Some(history) => history,
            None => History::open(&self.folder)?,
        };
        Ok(self.history.insert(history))
    }

    fn list(&mut self) -> Result<(), RecordError> {
        let listing = self.history()?.list()?;
        if let Some(notice) = listing.notice {
            self.send(Event::Failed(notice));
        }
        self.send(Event::Entries(listing.entries));
        Ok(())
    }

    fn report_and_list(&mut self, result: Result<(), RecordError>) -> Result<(), RecordError> {
        match result {
            Ok(()) => self.list(),
            Err(e) => self.fail_and_list(e),
        }
    }

    /// Reports the error and lists the history again, because the entry may no longer exist.
    fn fail_and_list(&mut self, error: RecordError) -> Result<(), RecordError> {
        self.send(Event::Failed(sentence(&error.to_string())));
        self.list()
    }

    fn send(&self, event: Event) {
        self.mailbox.send(event);
    }
}

/// Returns the path, with a number before the first dot of the name if the path exists.
fn free_path(path: PathBuf) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = name.split_once('.').unwrap_or((&name, ""));
    let numbered = (2..=9999).map(|n| path.with_file_name(format!("{stem}-{n}.{extension}")));
    let mut paths = std::iter::once(path.clone()).chain(numbered);
    paths.find(|path| path.symlink_metadata().is_err()).unwrap_or(path)
}

/// Returns a suggested file name: the first words of the prompt in ASCII letters and digits, the
/// seed and the extension.
pub fn suggested_name(trace: &Trace, extension: &str) -> String {
    suggested_name_for(&trace.prompt, trace.seed, extension)
}

/// Same as [`suggested_name`] for a prompt and a seed.
pub(crate) fn suggested_name_for(prompt: &str, seed: u64, extension: &str) -> String {
    let mut name = String::from("ivg");
    let words = prompt.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.filter(|word| !word.is_empty()).take(6) {
        if name.len() + word.len() > 48 {
            break;
        }
        name.push('-');
        name.push_str(&word.to_ascii_lowercase());
    }
    Path::new(&format!("{name}-seed{seed}"))
        .with_extension(extension)
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_event_and_the_writer_goes_on() {
        let (handle, mailbox) =
            actor::channel(Limits { drop_timeout: Duration::ZERO, ..LIMITS }, || {});
        let mut writer = Writer { folder: PathBuf::new(), history: None, mailbox };
        writer.guarded(|_| panic!("out of range"));
        writer.guarded(|writer| {
            writer.send(Event::Entries(Vec::new()));
            Ok(())
        });
        let _: &Handle<Command, Event> = &handle;
        let events: Vec<Event> = handle.drain().collect();
        assert!(matches!(&events[0], Event::Failed(words) if words.contains("out of range")));
        assert_eq!(events[1], Event::Entries(Vec::new()));
    }

    #[test]
    fn a_path_that_exists_gets_a_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ivg-a-seed1.values.svg");
        for name in ["ivg-a-seed1.values.svg", "ivg-a-seed1-2.values.svg"] {
            let free = free_path(path.clone());
            assert_eq!(free, folder.path().join(name));
            std::fs::write(free, "").expect("written");
        }
        assert_eq!(free_path(path), folder.path().join("ivg-a-seed1-3.values.svg"));
    }

    #[test]
    fn error_messages_become_sentences() {
        assert!(sentence(&RecordError::Gone.to_string()).starts_with("This run is no longer"));
        let path = PathBuf::from("/a b");
        let words =
            sentence(&RecordError::Invalid { path, reason: "cut short".into() }.to_string());
        assert!(words.starts_with("/a b is not") && words.ends_with('.'));
    }
}
