//! One file of the history: a line that says what it is, and a line with the run.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::entry::{Entry, EntryId};
use crate::records::RecordError;
use crate::records::escape::one_line;

/// How the name of a run's file ends.
pub(super) const EXTENSION: &str = "run";
/// Longest first line.
pub(super) const HEAD_BYTES: usize = 512 << 10;
/// Version of this layout, raised when a key changes its meaning.
const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    program: String,
    /// Of the second line, its end not included: tells a file that was cut off.
    trace_bytes: u64,
    /// CRC-32 of the second line.
    trace_crc32: u32,
    /// What the list shows.
    pub entry: Entry,
}

/// Enough of a first line to see whether the rest can be understood.
#[derive(Deserialize)]
struct Stamp {
    format: u32,
    program: String,
}

/// Why a file is not listed.
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error("it is gone")]
    Gone,
    #[error("written by version {0}")]
    Newer(String),
    #[error(transparent)]
    Unreadable(io::Error),
    #[error("{0}")]
    Damaged(String),
}

impl Head {
    pub fn new(entry: Entry, line: &[u8]) -> Self {
        Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            trace_bytes: line.len() as u64,
            trace_crc32: crc32fast::hash(line),
            entry,
        }
    }

    /// The whole file.
    pub fn to_bytes(&self, line: &[u8]) -> Result<Vec<u8>, RecordError> {
        let failed = |e: serde_json::Error| RecordError::Unsound { reason: e.to_string() };
        let mut bytes = serde_json::to_vec(self).map_err(failed)?;
        bytes.reserve(line.len() + 2);
        bytes.push(b'\n');
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether this describes the run on `line`.
    pub fn is_of(&self, line: &[u8]) -> bool {
        self.trace_bytes == line.len() as u64 && self.trace_crc32 == crc32fast::hash(line)
    }

    /// What the run takes on disk, but for the first line.
    pub fn bytes(&self) -> u64 {
        self.trace_bytes
    }

    fn parse(line: &[u8], id: &EntryId) -> Result<Self, Fault> {
        let damaged = |e: serde_json::Error| {
            let what = if e.is_eof() { "cut off" } else { "its first line is wrong" };
            Fault::Damaged(one_line(&format!("{what}: {e}"), 160))
        };
        let stamp: Stamp = serde_json::from_slice(line).map_err(damaged)?;
        if stamp.format > FORMAT {
            return Err(Fault::Newer(one_line(&stamp.program, 40)));
        }
        let head: Self = serde_json::from_slice(line).map_err(damaged)?;
        if head.entry.id != *id {
            return Err(Fault::Damaged(format!("it says that it is {}", head.entry.id)));
        }
        Ok(head)
    }
}

/// A whole file that agrees with its first line.
pub(super) struct Content {
    /// The first line.
    pub head: Head,
    start: usize,
}

impl Content {
    pub fn of(bytes: &[u8], id: &EntryId) -> Result<Self, Fault> {
        let cut = || Fault::Damaged("cut off".to_owned());
        let end = bytes.iter().position(|&b| b == b'\n').ok_or_else(cut)?;
        let head = Head::parse(&bytes[..end], id)?;
        let content = Self { head, start: end + 1 };
        let rest = &bytes[content.start..];
        if rest.len() as u64 != content.head.trace_bytes.saturating_add(1) {
            return Err(cut());
        }
        if !content.head.is_of(content.trace(bytes)) {
            return Err(Fault::Damaged("its checksum differs".to_owned()));
        }
        Ok(content)
    }

    /// The run's line in the `bytes` that this was made of.
    pub fn trace<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start..bytes.len() - 1]
    }
}

/// Reads the first line of a file, and looks whether the rest is there.
pub(super) fn read_head(path: &Path, id: &EntryId) -> Result<Head, Fault> {
    let unreadable = |e: io::Error| match e.kind() {
        ErrorKind::NotFound => Fault::Gone,
        _ => Fault::Unreadable(e),
    };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut line = Vec::new();
    let mut reader = BufReader::new(file).take(HEAD_BYTES as u64);
    reader.read_until(b'\n', &mut line).map_err(unreadable)?;
    if line.pop() != Some(b'\n') {
        return Err(Fault::Damaged("cut off".to_owned()));
    }
    let head = Head::parse(&line, id)?;
    let whole = (line.len() as u64).saturating_add(head.trace_bytes).saturating_add(2);
    if size != whole {
        return Err(Fault::Damaged("cut off".to_owned()));
    }
    Ok(head)
}

/// Where a damaged file goes: beside it, under a name that is free.
pub(super) fn damaged_name(path: &Path) -> PathBuf {
    let name = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 0 { ".damaged".to_owned() } else { format!(".{number}.damaged") });
        PathBuf::from(name)
    };
    (0..1000).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(1000))
}
