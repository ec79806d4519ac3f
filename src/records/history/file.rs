//! A file of the history. The first line describes the run, the second line is the run.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::entry::{Entry, EntryId};
use crate::records::RecordError;
use crate::records::escape::one_line;

pub(super) const EXTENSION: &str = "run";
/// Maximum length of the first line.
pub(super) const HEAD_BYTES: usize = 512 << 10;
/// Version of the file format. It increases when the meaning of a key changes.
const FORMAT: u32 = 1;

/// The content of the first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    program: String,
    /// Length of the second line without its line feed. Detects files that were cut short.
    trace_bytes: u64,
    /// CRC-32 of the second line without its line feed.
    trace_crc32: u32,
    pub(crate) entry: Entry,
}

/// The keys of the first line that decide whether the rest can be parsed.
#[derive(Deserialize)]
struct Stamp {
    format: u32,
    program: String,
}

/// The reason why a file is not listed.
#[derive(Debug, Error)]
pub(super) enum EntryFault {
    #[error("it no longer exists")]
    Gone,
    #[error("written by version {0}")]
    Newer(String),
    #[error(transparent)]
    Unreadable(io::Error),
    #[error("{0}")]
    Damaged(String),
}

impl Head {
    pub(super) fn new(entry: Entry, line: &[u8]) -> Self {
        Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            trace_bytes: line.len() as u64,
            trace_crc32: crc32fast::hash(line),
            entry,
        }
    }

    /// Returns the content of the file: this first line, and `line` with the run.
    pub(crate) fn to_bytes(&self, line: &[u8]) -> Result<Vec<u8>, RecordError> {
        let failed = |e: serde_json::Error| RecordError::Inconsistent { reason: e.to_string() };
        let mut bytes = serde_json::to_vec(self).map_err(failed)?;
        bytes.reserve(line.len() + 2);
        bytes.push(b'\n');
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Checks whether `line` has the length and checksum of this first line.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        self.trace_bytes == line.len() as u64 && self.trace_crc32 == crc32fast::hash(line)
    }

    pub(crate) fn trace_bytes(&self) -> u64 {
        self.trace_bytes
    }

    fn parse(line: &[u8], id: &EntryId) -> Result<Self, EntryFault> {
        let damaged = |e: serde_json::Error| {
            let what = if e.is_eof() { "cut short" } else { "its first line is invalid" };
            EntryFault::Damaged(one_line(&format!("{what}: {e}"), 160))
        };
        let stamp: Stamp = serde_json::from_slice(line).map_err(damaged)?;
        if stamp.format > FORMAT {
            return Err(EntryFault::Newer(one_line(&stamp.program, 40)));
        }
        let head: Self = serde_json::from_slice(line).map_err(damaged)?;
        if head.entry.id != *id {
            return Err(EntryFault::Damaged(format!("its content is that of {}", head.entry.id)));
        }
        Ok(head)
    }
}

/// The parsed first line of a file whose second line matches it.
pub(super) struct Content {
    pub(crate) head: Head,
    trace_start: usize,
}

impl Content {
    pub(super) fn of(bytes: &[u8], id: &EntryId) -> Result<Self, EntryFault> {
        let cut_short = || EntryFault::Damaged("cut short".to_owned());
        let end = bytes.iter().position(|&b| b == b'\n').ok_or_else(cut_short)?;
        let head = Head::parse(&bytes[..end], id)?;
        let content = Self { head, trace_start: end + 1 };
        let rest = &bytes[content.trace_start..];
        if rest.len() as u64 != content.head.trace_bytes.saturating_add(1) {
            return Err(cut_short());
        }
        if !content.head.matches(content.trace(bytes)) {
            return Err(EntryFault::Damaged("its checksum differs".to_owned()));
        }
        Ok(content)
    }

    /// Returns the line with the run. `bytes` must be the bytes passed to [`Content::of`].
    pub(super) fn trace<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.trace_start..bytes.len() - 1]
    }
}

/// Reads the first line of a file, and checks that the file has the length stated there.
pub(super) fn read_head(path: &Path, id: &EntryId) -> Result<Head, EntryFault> {
    let unreadable = |e: io::Error| match e.kind() {
        ErrorKind::NotFound => EntryFault::Gone,
        _ => EntryFault::Unreadable(e),
    };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut line = Vec::new();
    let mut reader = BufReader::new(file).take(HEAD_BYTES as u64);
    reader.read_until(b'\n', &mut line).map_err(unreadable)?;
    if line.pop() != Some(b'\n') {
        return Err(EntryFault::Damaged("cut short".to_owned()));
    }
    let head = Head::parse(&line, id)?;
    let whole = (line.len() as u64).saturating_add(head.trace_bytes).saturating_add(2);
    if size != whole {
        return Err(EntryFault::Damaged("cut short".to_owned()));
    }
    Ok(head)
}

/// Returns an unused name in the same folder for a damaged file.
pub(super) fn damaged_name(path: &Path) -> PathBuf {
    let name = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 0 { ".damaged".to_owned() } else { format!(".{number}.damaged") });
        PathBuf::from(name)
    };
    (0..1000).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(1000))
}
