//! What a person keeps of a run on disk.
//!
//! * [`trace_file`]: a run as JSON, to be opened again.
//! * [`markdown`] and [`html`]: a run as a report, to be read by others.
//! * [`history`]: the folder of past runs.
//! * [`clerk`]: the thread that does all of this for the window.
//!
//! Every file is written whole or not at all, and nothing that a file says is believed unchecked.

mod atomic;
mod check;
pub mod clerk;
mod escape;
mod figures;
pub mod history;
pub mod html;
pub mod markdown;
mod svg;
pub mod trace_file;

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use thiserror::Error;

/// Why something could not be kept or opened. Each is one sentence for the error strip.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The system refuses to write.
    #[error("cannot write {}: {source}; {}", .path.display(), remedy(.source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses to read.
    #[error("cannot read {}: {source}; check that it is there and that you may read it", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that no run fills.
    #[error(
        "{} holds {} MiB, and a run has {} MiB at most; choose a file that this program wrote",
        .path.display(), .bytes >> 20, trace_file::MAX_BYTES >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A run that no file could hold.
    #[error(
        "this run takes {} MiB, and a file may have {} MiB; run fewer columns, fewer tokens or \
         longer chunks to keep it", .bytes >> 20, trace_file::MAX_BYTES >> 20
    )]
    TooLong {
        /// Its size as JSON.
        bytes: u64,
    },
    /// A file of a program from the future.
    #[error(
        "{} is of a newer form than this program ({}) reads, written by {program}; update the \
         program to open it", .path.display(), env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that wrote it.
        program: String,
    },
    /// A file that is not a run, or no whole one.
    #[error("{} is not a run that can be opened: {reason}; choose another file", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A run with numbers or indices that do not go together.
    #[error("this run cannot be kept: {reason}; run it again, and report this if it stays so")]
    Unsound {
        /// What is wrong, and where.
        reason: String,
    },
    /// A run that another window or program has taken away.
    #[error("this run is no longer in the history; choose another one")]
    Gone,
    /// A file of the history that was damaged; it is out of the way now.
    #[error("this run's file was damaged ({reason}); it was set aside as {}, choose another run", .aside.display())]
    Damaged {
        /// What is wrong.
        reason: String,
        /// Where the file is now.
        aside: PathBuf,
    },
    /// Nothing was deleted, or it is too late.
    #[error("nothing to restore: only the run deleted last can be, until the program closes")]
    NothingDeleted,
    /// Too much is waiting to be written.
    #[error("the last files are still being written; try again in a moment")]
    Busy,
    /// The thread is gone.
    #[error("nothing can be written or opened any more; restart the program")]
    Ended,
    /// A fault of the program: say so, and that life goes on.
    #[error("an internal error ended this ({0}); the program is still usable, please report it")]
    Panic(String),
}

/// What a person can do about a file that cannot be written.
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
