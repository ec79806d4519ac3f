//! Saves runs, and reads them back.
//!
//! * [`trace_file`]: a run as a JSON file that can be opened again.
//! * [`report`]: a run as an HTML or Markdown report.
//! * [`history`]: the folder of past runs.
//! * [`record_writer`]: the thread that reads and writes these files for the window.
//!
//! Files are written atomically. The content of every file is checked after it is read.

mod atomic;
mod check;
mod escape;
pub mod history;
pub mod record_writer;
pub mod report;
pub mod trace_file;

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use thiserror::Error;

/// An error while saving or opening a run. Each message is one sentence for the error bar.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}; {}", .path.display(), remedy(.source))]
    Write {
        /// Path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file or folder cannot be read.
    #[error(
        "cannot read {}: {source}; check that it exists and that you may read it", .path.display()
    )]
    Read {
        /// Path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is larger than a run can be.
    #[error(
        "{} has {} MiB, and a run has {} MiB at most; choose a file that this program wrote",
        .path.display(), .bytes >> 20, trace_file::MAX_BYTES >> 20
    )]
    TooLarge {
        /// Path of the file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// The run is too large for a file.
    #[error(
        "this run takes {} MiB, and a file may have {} MiB at most; use fewer columns, fewer \
         tokens or longer chunks", .bytes >> 20, trace_file::MAX_BYTES >> 20
    )]
    TooLong {
        /// Its size as JSON, in bytes.
        bytes: u64,
    },
    /// The file has a newer format than this program reads.
    #[error(
        "{} has a newer format than this program ({}) reads, written by {program}; update the \
         program to open it", .path.display(), env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Path of the file.
        path: PathBuf,
        /// The version that wrote it.
        program: String,
    },
    /// The file is not a run, is cut short, or is inconsistent.
    #[error("{} is not a valid run: {reason}; choose another file", .path.display())]
    Invalid {
        /// Path of the file.
        path: PathBuf,
        /// The problem and its location in the run.
        reason: String,
    },
    /// A run to be saved has inconsistent numbers or indices.
    #[error(
        "this run cannot be saved: {reason}; run it again, and report this if it happens again"
    )]
    Inconsistent {
        /// The problem and its location in the run.
        reason: String,
    },
    /// The run was deleted by another window or program.
    #[error("this run is no longer in the history; choose another one")]
    Gone,
    /// The run's file in the history is damaged. It has been renamed.
    #[error(
        "the file of this run is damaged ({reason}) and was renamed to {}; choose another run",
        .renamed_to.display()
    )]
    Damaged {
        /// The problem.
        reason: String,
        /// The new path of the file.
        renamed_to: PathBuf,
    },
    /// There is no deleted run to restore.
    #[error(
        "nothing to restore; only the last deleted run can be restored, until the program closes"
    )]
    NothingDeleted,
    /// A figure cannot be drawn.
    #[error(transparent)]
    Figure(#[from] report::figure::FigureError),
    /// Too many commands are waiting.
    #[error("the last files are still being written; try again in a moment")]
    Busy,
    /// The thread has ended.
    #[error("files can no longer be written or opened; restart the program")]
    Ended,
    /// The message of a panic.
    #[error("internal error ({0}); you can continue to use the program, but please report this")]
    Panic(String),
}

/// Returns what the user can do about a file that cannot be written.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space, or choose another disk"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "choose a place that you may write to"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "choose a folder that exists",
        ErrorKind::IsADirectory => "name a file, not a folder",
        _ => "choose another place",
    }
}
