//! Writes a run to a JSON file and reads it back.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::error::Category;

use super::RecordError;
use super::atomic::write_whole;
use super::check::check;
use super::escape::one_line;
use crate::guidance::trace::{TRACE_VERSION, Trace};

/// Maximum size of a trace file in bytes. It is enough for a run of all columns at full length.
pub const MAX_BYTES: u64 = 64 << 20;

/// Writes a run to `path` atomically and replaces an existing file.
///
/// # Errors
/// [`RecordError::Write`]. [`RecordError::Inconsistent`] or [`RecordError::TooLong`] if the run
/// could not be read back.
pub fn write(path: &Path, trace: &Trace) -> Result<(), RecordError> {
    write_whole(path, to_json(trace)?.as_bytes())
}

/// Returns the content of a trace file: indented JSON, or JSON on one line if the indented text
/// would be too large.
///
/// # Errors
/// [`RecordError::Inconsistent`], [`RecordError::TooLong`].
pub fn to_json(trace: &Trace) -> Result<String, RecordError> {
    check(trace).map_err(|reason| RecordError::Inconsistent { reason })?;
    let failed = |e: serde_json::Error| RecordError::Inconsistent { reason: e.to_string() };
    let json = serde_json::to_string_pretty(trace).map_err(failed)?;
    if (json.len() as u64) < MAX_BYTES {
        return Ok(json + "\n");
    }
    to_line(trace)
}

/// Returns the run as JSON on one line, without a line feed.
pub(super) fn to_line(trace: &Trace) -> Result<String, RecordError> {
    check(trace).map_err(|reason| RecordError::Inconsistent { reason })?;
    let json = serde_json::to_string(trace)
        .map_err(|e| RecordError::Inconsistent { reason: e.to_string() })?;
    if json.len() as u64 > MAX_BYTES {
        return Err(RecordError::TooLong { bytes: json.len() as u64 });
    }
    Ok(json)
}

/// Reads a run.
///
/// # Errors
/// [`RecordError::Read`], [`RecordError::TooLarge`], [`RecordError::Newer`], or
/// [`RecordError::Invalid`] if the file is not a run, is cut short, or is inconsistent.
pub fn read(path: &Path) -> Result<Trace, RecordError> {
    parse(path, &read_bytes(path, MAX_BYTES)?)
}

/// Reads a file of at most `max_bytes` bytes.
pub(super) fn read_bytes(path: &Path, max_bytes: u64) -> Result<Vec<u8>, RecordError> {
    let failed = |source| RecordError::Read { path: path.to_owned(), source };
    // Checked before opening, because opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(invalid(path, "it is not a file"));
    }
    let too_large = |bytes| RecordError::TooLarge { path: path.to_owned(), bytes };
    if metadata.len() > max_bytes {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let file = File::open(path).map_err(failed)?;
    // The file may have grown meanwhile.
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max_bytes { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// The keys that decide whether the rest can be parsed.
#[derive(Deserialize)]
struct Head {
    version: Option<u64>,
    program: Option<String>,
}

/// Parses and checks a run. `path` is the file of `bytes`, for error messages.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Trace, RecordError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| invalid(path, &format!("byte {} is not UTF-8 text", e.valid_up_to())))?;
    // Some editors write a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let rejected = |e: serde_json::Error| match e.classify() {
        Category::Eof => invalid(path, &format!("it is cut short ({e})")),
        Category::Data => invalid(path, &format!("not an IVG trace ({e})")),
        Category::Syntax | Category::Io => invalid(path, "not an IVG trace (invalid JSON)"),
    };
    let head: Head = serde_json::from_str(text).map_err(rejected)?;
    match head.version {
        Some(version) if version > u64::from(TRACE_VERSION) => {
            let program = head.program.unwrap_or_else(|| "unknown".to_owned());
            return Err(RecordError::Newer {
                path: path.to_owned(),
                program: one_line(&program, 40),
            });
        }
        Some(1..) => {}
        _ => return Err(invalid(path, "its `version` is missing or invalid")),
    }
    let trace: Trace = serde_json::from_str(text).map_err(rejected)?;
    check(&trace).map_err(|reason| invalid(path, &reason))?;
    Ok(trace)
}

fn invalid(path: &Path, reason: &str) -> RecordError {
    // The reason may quote a long part of the file.
    RecordError::Invalid { path: path.to_owned(), reason: one_line(reason, 240) }
}
