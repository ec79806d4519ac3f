//! The thread that does all work with files: commands in, events out, so that the window never
//! waits for a disk.
//!
//! Both directions are bounded. When its handle drops, it finishes what was to be written, leaves
//! out what was only to be read, and ends.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::RecordError;
use super::atomic::write_whole;
use super::history::{Entry, EntryId, History};
use super::html::html;
use super::trace_file;
use crate::guidance::trace::Trace;
use crate::words::sentence;

const COMMANDS: usize = 64;
const EVENTS: usize = 256;
/// A disk that takes longer than this to take the last files in does not keep the window open.
const PATIENCE: Duration = Duration::from_secs(10);

/// From the window to the clerk.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Keep a finished run in the history. Answered by `Entries`.
    Remember {
        /// The run.
        trace: Box<Trace>,
        /// When, in milliseconds since 1970.
        unix_ms: u64,
    },
    /// Answered by `Entries`.
    List,
    /// Read a run of the history. Answered by `Loaded`.
    Load(EntryId),
    /// Name a run; an empty name takes its name away. Answered by `Entries`.
    Rename(EntryId, String),
    /// Pin a run or unpin it. Answered by `Entries`.
    Pin(EntryId, bool),
    /// Delete a run. Answered by `Deleted` and `Entries`.
    Delete(EntryId),
    /// Bring back the run that was deleted last. Answered by `Entries`.
    UndoDelete,
    /// Write a run as a report. Answered by `Written`.
    ExportHtml {
        /// The file.
        path: PathBuf,
        /// The run.
        trace: Box<Trace>,
    },
    /// Write a run to be opened again. Answered by `Written`.
    ExportJson {
        /// The file.
        path: PathBuf,
        /// The run.
        trace: Box<Trace>,
    },
    /// Write what the window has made itself, a picture. Answered by `Written`.
    ExportBytes {
        /// The file.
        path: PathBuf,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Read a run from a file. Answered by `Opened`.
    Open {
        /// The file.
        path: PathBuf,
    },
}

/// From the clerk to the window. Whatever goes wrong is a `Failed`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The history as it is now.
    Entries(Vec<Entry>),
    /// A run of the history.
    Loaded(EntryId, Box<Trace>),
    /// A run from a file.
    Opened(Box<Trace>, PathBuf),
    /// A file is written.
    Written(PathBuf),
    /// A run is deleted.
    Deleted {
        /// Its name, or the beginning of its prompt.
        name: String,
        /// Whether `UndoDelete` can bring it back.
        can_undo: bool,
    },
    /// One sentence for the error strip.
    Failed(String),
}

/// The window's end. Dropping it waits for what is to be written.
#[derive(Debug)]
pub struct Clerk {
    // Each is there until the handle drops.
    commands: Option<Sender<Command>>,
    events: Option<Receiver<Event>>,
    closing: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Clerk {
    /// Sends a command.
    ///
    /// # Errors
    /// [`RecordError::Busy`] if too many are waiting, [`RecordError::Ended`] if nobody listens.
    pub fn send(&self, command: Command) -> Result<(), RecordError> {
        let commands = self.commands.as_ref().ok_or(RecordError::Ended)?;
        commands.try_send(command).map_err(|e| match e {
            TrySendError::Full(_) => RecordError::Busy,
            TrySendError::Disconnected(_) => RecordError::Ended,
        })
    }

    /// The events that have come since the last call.
    pub fn drain(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.iter().flat_map(Receiver::try_iter)
    }

    /// Waits for the next event; none once the clerk is gone.
    pub fn wait(&self) -> Option<Event> {
        self.events.as_ref()?.recv().ok()
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // Nobody reads events any more, and no more commands come: the thread runs dry.
        self.events = None;
        self.commands = None;
        // Nothing is ever sent here; the thread's end lets go of the other side.
        if self.ended.recv_timeout(PATIENCE).is_err_and(|e| e.is_timeout()) {
            tracing::warn!("closed before the last files were written");
        }
    }
}

/// Starts the thread. `folder` is that of the history, opened when it is first needed; `wake` is
/// called from the thread after every event.
///
/// # Errors
/// The system refuses another thread.
pub fn spawn(folder: PathBuf, wake: impl Fn() + Send + 'static) -> std::io::Result<Clerk> {
    let (commands, commands_out) = bounded(COMMANDS);
    let (events, events_out) = bounded(EVENTS);
    let (alive, ended) = bounded(0);
    let closing = Arc::new(AtomicBool::new(false));
    let desk =
        Desk { folder, history: None, events, closing: Arc::clone(&closing), wake: Box::new(wake) };
    thread::Builder::new().name("ivg-records".into()).spawn(move || {
        let _alive: Sender<()> = alive;
        desk.run(&commands_out);
    })?;
    Ok(Clerk { commands: Some(commands), events: Some(events_out), closing, ended })
}

/// The thread's end.
struct Desk {
    folder: PathBuf,
    history: Option<History>,
    events: Sender<Event>,
    closing: Arc<AtomicBool>,
    wake: Box<dyn Fn() + Send>,
}

impl Desk {
    fn run(mut self, commands: &Receiver<Command>) {
        // Goes on until the handle is gone and the last command is read.
        while let Ok(command) = commands.recv() {
            let is_read =
                matches!(command, Command::List | Command::Load(_) | Command::Open { .. });
            if is_read && self.closing.load(Ordering::Relaxed) {
                continue;
            }
            self.guarded(|desk| desk.carry_out(command));
        }
    }

    /// Does `work`; an error or a panic in it becomes an event, and the thread lives on.
    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<(), RecordError>) {
        // The history is a path and the bytes deleted last, whole at any moment.
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        let done = done.unwrap_or_else(|e| Err(RecordError::Panic(panic_text(e.as_ref()))));
        if let Err(e) = done {
            tracing::warn!(error = %e, "a job of the clerk failed");
            self.tell(Event::Failed(sentence(&e.to_string())));
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
                    self.tell(Event::Loaded(id, Box::new(trace)));
                    Ok(())
                }
                Err(e) => self.fail_and_list(e),
            },
            Command::Rename(id, name) => {
                let renamed = self.history()?.rename(&id, &name);
                self.settle(renamed)
            }
            Command::Pin(id, pinned) => {
                let done = self.history()?.set_pinned(&id, pinned);
                self.settle(done)
            }
            Command::Delete(id) => self.delete(&id),
            Command::UndoDelete => {
                let done = self.history()?.undo_delete().map(|_| ());
                self.settle(done)
            }
            Command::ExportHtml { path, trace } => self.write(path, html(&trace).as_bytes()),
            Command::ExportJson { path, trace } => {
                let json = trace_file::to_json(&trace)?;
                self.write(path, json.as_bytes())
            }
            Command::ExportBytes { path, bytes } => self.write(path, &bytes),
            Command::Open { path } => {
                let trace = Box::new(trace_file::read(&path)?);
                self.tell(Event::Opened(trace, path));
                Ok(())
            }
        }
    }

    fn delete(&mut self, id: &EntryId) -> Result<(), RecordError> {
        let history = self.history()?;
        match history.delete(id) {
            Ok(name) => {
                let can_undo = history.can_undo();
                self.tell(Event::Deleted { name, can_undo });
                self.list()
            }
            Err(e) => self.fail_and_list(e),
        }
    }

    fn write(&self, path: PathBuf, content: &[u8]) -> Result<(), RecordError> {
        write_whole(&path, content)?;
        self.tell(Event::Written(path));
        Ok(())
    }

    /// The history; opened again each time for as long as it cannot be.
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
            self.tell(Event::Failed(notice));
        }
        self.tell(Event::Entries(listing.entries));
        Ok(())
    }

    fn settle(&mut self, done: Result<(), RecordError>) -> Result<(), RecordError> {
        match done {
            Ok(()) => self.list(),
            Err(e) => self.fail_and_list(e),
        }
    }

    /// What was asked for may be gone: the window must not go on showing it.
    fn fail_and_list(&mut self, error: RecordError) -> Result<(), RecordError> {
        self.tell(Event::Failed(sentence(&error.to_string())));
        self.list()
    }

    /// Waits while the window is behind, unless it closes.
    fn tell(&self, event: Event) {
        if self.events.send(event).is_ok() {
            (self.wake)();
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

/// The name a file is offered under: what the prompt begins with, in letters that every system
/// takes, and the kind of file.
pub fn suggested_name(trace: &Trace, extension: &str) -> String {
    let mut name = String::from("ivg");
    let mut words = trace.prompt.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.by_ref().filter(|w| !w.is_empty()).take(6) {
        if name.len() + word.len() > 48 {
            break;
        }
        name.push('-');
        name.push_str(&word.to_ascii_lowercase());
    }
    Path::new(&format!("{name}-seed{}", trace.seed))
        .with_extension(extension)
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_job_is_told_and_the_desk_goes_on() {
        let (events, told) = bounded(4);
        let closing = Arc::new(AtomicBool::new(false));
        let folder = PathBuf::new();
        let mut desk = Desk { folder, history: None, events, closing, wake: Box::new(|| {}) };
        desk.guarded(|_| panic!("out of paper"));
        desk.guarded(|desk| {
            desk.tell(Event::Entries(Vec::new()));
            Ok(())
        });
        let told: Vec<Event> = told.try_iter().collect();
        assert!(matches!(&told[0], Event::Failed(words) if words.contains("out of paper")));
        assert_eq!(told[1], Event::Entries(Vec::new()));
    }

    #[test]
    fn errors_become_sentences() {
        assert!(sentence(&RecordError::Gone.to_string()).starts_with("This run is no longer"));
        let path = PathBuf::from("/a b");
        let words = sentence(&RecordError::Invalid { path, reason: "cut off".into() }.to_string());
        assert!(words.starts_with("/a b is not") && words.ends_with('.'));
    }
}
