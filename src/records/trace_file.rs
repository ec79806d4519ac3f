//! A run as a JSON file.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::RecordError;
use super::atomic::write_whole;
use super::check::check;
use super::escape::one_line;
use crate::guidance::trace::{TRACE_VERSION, Trace};

/// The largest file that is written or read: what a run of every column at full length takes.
pub const MAX_BYTES: u64 = 64 << 20;

/// Writes a run to `path`, replacing what is there, whole or not at all.
///
/// # Errors
/// [`RecordError::Write`]; [`RecordError::Unsound`] and [`RecordError::TooLong`] for a run that
/// could not be read again.
pub fn write(path: &Path, trace: &Trace) -> Result<(), RecordError> {
    write_whole(path, to_json(trace)?.as_bytes())
}

/// The content of a trace file: indented, unless it would be too large for that.
///
/// # Errors
/// [`RecordError::Unsound`], [`RecordError::TooLong`].
pub fn to_json(trace: &Trace) -> Result<String, RecordError> {
    check(trace).map_err(|reason| RecordError::Unsound { reason })?;
    let failed = |e: serde_json::Error| RecordError::Unsound { reason: e.to_string() };
    let json = serde_json::to_string_pretty(trace).map_err(failed)?;
    if (json.len() as u64) < MAX_BYTES {
        return Ok(json + "\n");
    }
    to_line(trace)
}

/// The same on one line, its end not included.
pub(super) fn to_line(trace: &Trace) -> Result<String, RecordError> {
    check(trace).map_err(|reason| RecordError::Unsound { reason })?;
    let json =
        serde_json::to_string(trace).map_err(|e| RecordError::Unsound { reason: e.to_string() })?;
    if json.len() as u64 > MAX_BYTES {
        return Err(RecordError::TooLong { bytes: json.len() as u64 });
    }
    Ok(json)
}

/// Reads a run.
///
/// # Errors
/// [`RecordError::Read`], [`RecordError::TooLarge`], [`RecordError::Newer`], and
/// [`RecordError::Invalid`] for whatever is not a run, is cut off, or does not go together.
pub fn read(path: &Path) -> Result<Trace, RecordError> {
    parse(path, &read_bytes(path, MAX_BYTES)?)
}

/// The content of a file that is not larger than `most`.
pub(super) fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>, RecordError> {
    let failed = |source| RecordError::Read { path: path.to_owned(), source };
    // Looked at before it is opened: opening a pipe waits for its writer.
    let there = fs::metadata(path).map_err(failed)?;
    if !there.is_file() {
        return Err(invalid(path, "it is not a file"));
    }
    let too_large = |bytes| RecordError::TooLarge { path: path.to_owned(), bytes };
    if there.len() > most {
        return Err(too_large(there.len()));
    }
    let mut bytes = Vec::with_capacity(there.len() as usize);
    let file = File::open(path).map_err(failed)?;
    // It may grow meanwhile.
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// What has to be known before the rest can be understood.
#[derive(Deserialize)]
struct Head {
    version: Option<u64>,
    program: Option<String>,
}

/// A run from the content of `path`.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Trace, RecordError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| invalid(path, &format!("byte {} is no text in UTF-8", e.valid_up_to())))?;
    // Some editors leave a mark at the beginning.
    let text = text.trim_start_matches('\u{feff}');
    let refused = |e: serde_json::Error| {
        let what = if e.is_eof() { "it is cut off" } else { "its JSON is wrong" };
        invalid(path, &format!("{what} ({e})"))
    };
    let head: Head = serde_json::from_str(text).map_err(refused)?;
    match head.version {
        Some(version) if version > u64::from(TRACE_VERSION) => {
            let program = head.program.unwrap_or_else(|| "unknown".to_owned());
            return Err(RecordError::Newer {
                path: path.to_owned(),
                program: one_line(&program, 40),
            });
        }
        Some(1..) => {}
        _ => return Err(invalid(path, "it does not say which version of the format it has")),
    }
    let trace: Trace = serde_json::from_str(text).map_err(refused)?;
    check(&trace).map_err(|reason| invalid(path, &reason))?;
    Ok(trace)
}

fn invalid(path: &Path, reason: &str) -> RecordError {
    // What is wrong may quote the file, at any length.
    RecordError::Invalid { path: path.to_owned(), reason: one_line(reason, 240) }
}
