//! Reads the JSON files of models.

use std::path::Path;

use super::error::{Result, damaged, invalid};
use super::file_kind::read_text;

/// Maximum size of a JSON file. The tokenizer of a large vocabulary has about 30 million bytes.
pub(crate) const MAX_JSON_BYTES: u64 = 64 << 20;

/// Reads a JSON file.
///
/// # Errors
/// [`LmError::Read`] or [`LmError::OtherKind`]; also the errors of [`parse_json`].
pub(super) fn read_json(file: &Path) -> Result<serde_json::Value> {
    parse_json(file, &read_text(file, MAX_JSON_BYTES)?)
}

/// Parses `text`, the JSON in `file`.
///
/// # Errors
/// [`LmError::Damaged`] if the JSON is cut short, [`LmError::Invalid`] if it is not valid JSON.
pub(super) fn parse_json(file: &Path, text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| {
        if error.is_eof() {
            return damaged(file, format!("its JSON is cut short ({error})"));
        }
        invalid(file, format!("is not valid JSON ({error}); correct it at that position"))
    })
}
