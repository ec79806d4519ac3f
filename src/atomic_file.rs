//! Writes files atomically.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Prefix of the name of an unfinished file.
pub(crate) const PREFIX: &str = ".ivg-";
/// Suffix of the name of an unfinished file.
pub(crate) const PART: &str = ".part";

/// Writes `content` to `path`, replacing what is there. Readers see the old content or the new, never
/// a part, even after a power failure.
///
/// # Errors
/// Returns the error of the operating system.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = &followed(path);
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        // A device or a pipe cannot be replaced, only written to.
        Ok(there) if !there.is_file() => {
            return OpenOptions::new().write(true).open(path)?.write_all(content);
        }
        // Renaming would replace a protected file.
        Ok(there) if there.permissions().readonly() => {
            return Err(ErrorKind::PermissionDenied.into());
        }
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    if path.file_name().is_none() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let create = |part: &Path| OpenOptions::new().write(true).create_new(true).open(part);
    let mut part = tempfile::Builder::new().prefix(PREFIX).suffix(PART).make_in(folder, create)?;
    part.as_file_mut().write_all(content)?;
    part.as_file().sync_all()?;
    part.persist(path).map_err(|error| error.error)?;
    // Some file systems cannot sync a folder. The file itself is safe by now.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Returns the target of a symbolic link, so that writing replaces the target and keeps the link.
fn followed(path: &Path) -> PathBuf {
    let is_link = fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_symlink());
    let target = if is_link { fs::canonicalize(path).ok() } else { None };
    target.unwrap_or_else(|| path.to_owned())
}
