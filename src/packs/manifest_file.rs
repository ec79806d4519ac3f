//! Reads and writes `pack.toml`.

use std::path::Path;

use super::error::PackError;
use super::format::PackFile;
use super::manifest::{MANIFEST, Manifest};
use super::source::inside;
use crate::atomic_file::replace;
use crate::bounded_read::read_text;

/// Maximum size of a `pack.toml`.
const MAX_BYTES: u64 = 1 << 20;

impl Manifest {
    /// Reads `folder/pack.toml`.
    ///
    /// # Errors
    /// Fails if the file is missing or malformed, or has an unknown field, a role without a source
    /// or with two, a path that leads out of the folder, only one model of the pair, a template
    /// without `{prompt}`, or default settings out of range.
    pub fn read(folder: &Path) -> Result<Self, PackError> {
        let file = folder.join(MANIFEST);
        let text = read_text(&file, MAX_BYTES)
            .map_err(|source| PackError::Unreadable { file: file.clone(), source })?;
        let manifest = Self::parse(&text)
            .map_err(|reason| PackError::Invalid { file: file.clone(), reason })?;
        if let Some(prompts) = &manifest.eval_prompts {
            inside(folder, prompts).map_err(|reason| PackError::Invalid {
                file,
                reason: format!("eval_prompts: {reason}"),
            })?;
        }
        Ok(manifest)
    }

    /// Parses the content of a `pack.toml`.
    ///
    /// # Errors
    /// See [`Manifest::read`]. The message names the field or the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let message = |e: &toml::de::Error, field: String| {
            let line = e.span().map(|span| line_of(text, span.start));
            let position = line.map_or(String::new(), |line| format!("line {line}: "));
            // The parser's message may span several lines.
            format!("{position}{field}{}", e.message().replace('\n', " "))
        };
        let document = toml::Deserializer::parse(text).map_err(|e| message(&e, String::new()))?;
        let file: PackFile = serde_path_to_error::deserialize(document).map_err(|e| {
            let path = e.path().to_string();
            let field = if path == "." { String::new() } else { format!("{path}: ") };
            message(e.inner(), field)
        })?;
        let manifest = Self::try_from(file)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Returns the content of a `pack.toml` for this manifest.
    ///
    /// # Errors
    /// Fails if [`Manifest::parse`] would reject the manifest.
    pub fn to_toml(&self) -> Result<String, String> {
        self.check()?;
        toml::to_string_pretty(&PackFile::from(self)).map_err(|e| e.to_string())
    }

    /// Writes `folder/pack.toml` atomically and replaces an existing file.
    ///
    /// # Errors
    /// Fails if [`Manifest::read`] would reject the manifest, or the folder is not writable.
    pub fn write(&self, folder: &Path) -> Result<(), PackError> {
        let file = folder.join(MANIFEST);
        let text =
            self.to_toml().map_err(|reason| PackError::Invalid { file: file.clone(), reason })?;
        replace(&file, text.as_bytes()).map_err(|source| PackError::Unwritable { file, source })
    }
}

/// Returns the line, counted from 1, of the byte at `offset` in `text`.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
