//! The history of past runs: a folder with one file per run.
//!
//! The first line of a file describes the run, the second line is the run. Listing reads only the
//! first lines. All state is in the folder, so several programs may use one folder at a time.

mod entry;
mod file;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use entry::ColumnSummary;
pub use entry::{Entry, EntryId, Group, grouped, search};
use file::{Content, EntryFault, Head, damaged_name, read_head};

use super::RecordError;
use super::atomic::{PART, write_whole};
use super::trace_file::{self, parse, to_line};
use crate::guidance::trace::Trace;

/// Maximum number of runs that are not pinned.
pub const MAX_ENTRIES: usize = 200;
/// Maximum total size of the runs that are not pinned, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;
/// Age from which an unfinished file is deleted.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// A folder of past runs.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    deleted: Option<Deleted>,
}

/// Content of the file that was deleted last.
#[derive(Debug)]
struct Deleted {
    id: EntryId,
    bytes: Vec<u8>,
}

/// The content of the folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// Pinned runs, then the others, each newest first.
    pub entries: Vec<Entry>,
    /// One sentence about files that cannot be listed, if any.
    pub notice: Option<String>,
}

/// Returns the current time in milliseconds since 1970.
pub(crate) fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

impl History {
    /// Opens `folder` and creates it if necessary. Deletes stale unfinished files.
    ///
    /// # Errors
    /// [`RecordError::Write`] if the folder does not exist and cannot be created.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        let failed = |source| RecordError::Write { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        remove_stale_parts(folder);
        Ok(Self { folder: folder.to_owned(), deleted: None })
    }

    /// Lists the runs in the folder. Renames damaged files, so that each is reported only once.
    ///
    /// # Errors
    /// [`RecordError::Read`] if the folder cannot be read.
    pub fn list(&self) -> Result<Listing, RecordError> {
        let Scan { heads, newer, mut problems } = self.scan()?;
        let mut entries: Vec<Entry> = heads.into_iter().map(|head| head.entry).collect();
        entries.sort_by(|a, b| (b.pinned, &b.id).cmp(&(a.pinned, &a.id)));
        match newer {
            0 => {}
            1 => problems.push("1 run was written by a newer version of this program".to_owned()),
            n => problems.push(format!("{n} runs were written by a newer version of this program")),
        }
        let notice = (!problems.is_empty()).then(|| {
            let rest = problems.len().saturating_sub(3);
            let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
            problems.truncate(3);
            format!("Some past runs cannot be shown: {}{more}.", problems.join("; "))
        });
        Ok(Listing { entries, notice })
    }

    /// Adds a run, and deletes the oldest unpinned runs beyond the limits.
    ///
    /// # Errors
    /// [`RecordError::Write`], [`RecordError::Inconsistent`] or [`RecordError::TooLong`]. In each
    /// case the history is unchanged.
    pub fn add(&mut self, trace: &Trace, unix_ms: u64) -> Result<Entry, RecordError> {
        let line = to_line(trace)?;
        let checksum = crc32fast::hash(line.as_bytes());
        let mut id = EntryId::new(unix_ms, checksum);
        for attempt in 1.. {
            match read_head(&self.path(&id), &id) {
                // Another program has added the same run.
                Ok(head) if head.matches(line.as_bytes()) => return Ok(head.entry),
                Err(EntryFault::Gone) => break,
                _ => id = EntryId::new(unix_ms, checksum.wrapping_add(attempt)),
            }
        }
        let entry = Entry::of(trace, id, unix_ms);
        let bytes = Head::new(entry.clone(), line.as_bytes()).to_bytes(line.as_bytes())?;
        write_whole(&self.path(&entry.id), &bytes)?;
        self.prune(&entry.id);
        Ok(entry)
    }

    /// Reads a run.
    ///
    /// # Errors
    /// [`RecordError::Gone`], [`RecordError::Damaged`] (the file has been renamed),
    /// [`RecordError::Newer`] or [`RecordError::Read`].
    pub fn load(&self, id: &EntryId) -> Result<Trace, RecordError> {
        let (content, bytes) = self.content(id)?;
        parse(&self.path(id), content.trace(&bytes))
    }

    /// Sets the name of a run; an empty name removes it.
    ///
    /// # Errors
    /// See [`History::load`]. Also [`RecordError::Write`].
    pub fn rename(&mut self, id: &EntryId, name: &str) -> Result<(), RecordError> {
        self.change(id, |entry| entry.rename(name))
    }

    /// Pins or unpins a run. A pinned run is kept until the user deletes it.
    ///
    /// # Errors
    /// See [`History::rename`].
    pub fn set_pinned(&mut self, id: &EntryId, pinned: bool) -> Result<(), RecordError> {
        self.change(id, |entry| entry.pinned = pinned)?;
        self.prune(id);
        Ok(())
    }

    /// Deletes a run and returns its title. [`History::undo_delete`] can restore it until another
    /// run is deleted or the history is dropped.
    ///
    /// # Errors
    /// [`RecordError::Gone`], [`RecordError::Read`] or [`RecordError::Write`]. No file is deleted
    /// in that case.
    pub fn delete(&mut self, id: &EntryId) -> Result<String, RecordError> {
        let path = self.path(id);
        let title = read_head(&path, id).map_or_else(|_| id.to_string(), |h| h.entry.title());
        let bytes = self.read(id)?;
        fs::remove_file(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => RecordError::Gone,
            _ => RecordError::Write { path, source },
        })?;
        self.deleted = Some(Deleted { id: id.clone(), bytes });
        Ok(title)
    }

    /// Restores the run that was deleted last.
    ///
    /// # Errors
    /// [`RecordError::NothingDeleted`] or [`RecordError::Write`]. After the latter you may try
    /// again.
    pub fn undo_delete(&mut self) -> Result<EntryId, RecordError> {
        let deleted = self.deleted.take().ok_or(RecordError::NothingDeleted)?;
        if let Err(e) = write_whole(&self.path(&deleted.id), &deleted.bytes) {
            self.deleted = Some(deleted);
            return Err(e);
        }
        self.prune(&deleted.id);
        Ok(deleted.id)
    }

    /// Returns whether [`History::undo_delete`] has a run to restore.
    pub fn can_undo(&self) -> bool {
        self.deleted.is_some()
    }

    fn path(&self, id: &EntryId) -> PathBuf {
        self.folder.join(format!("{id}.{}", file::EXTENSION))
    }

    fn read(&self, id: &EntryId) -> Result<Vec<u8>, RecordError> {
        let max_bytes = trace_file::MAX_BYTES + file::HEAD_BYTES as u64 + 1;
        match trace_file::read_bytes(&self.path(id), max_bytes) {
            Err(RecordError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Err(RecordError::Gone)
            }
            other => other,
        }
    }

    /// Reads a file and checks it against its first line. Renames a damaged file.
    fn content(&self, id: &EntryId) -> Result<(Content, Vec<u8>), RecordError> {
        let bytes = self.read(id)?;
        let path = self.path(id);
        match Content::of(&bytes, id) {
            Ok(content) => Ok((content, bytes)),
            Err(EntryFault::Newer(program)) => Err(RecordError::Newer { path, program }),
            Err(fault) => {
                let reason = fault.to_string();
                let renamed_to = rename_damaged(&path)
                    .map_err(|source| RecordError::Write { path: path.clone(), source })?;
                Err(RecordError::Damaged { reason, renamed_to })
            }
        }
    }

    fn change(&mut self, id: &EntryId, change: impl FnOnce(&mut Entry)) -> Result<(), RecordError> {
        let (content, bytes) = self.content(id)?;
        let line = content.trace(&bytes);
        let mut entry = content.head.entry.clone();
        change(&mut entry);
        if entry == content.head.entry {
            return Ok(());
        }
        write_whole(&self.path(id), &Head::new(entry, line).to_bytes(line)?)
    }

    /// Deletes the oldest unpinned runs beyond the limits, but never `newest`. Failures are only
    /// logged, because the next call tries again.
    fn prune(&self, newest: &EntryId) {
        let Ok(Scan { heads, .. }) = self.scan() else { return };
        let unpinned = heads.iter().filter(|head| !head.entry.pinned);
        let sizes = unpinned.map(|head| (head.entry.id.clone(), head.trace_bytes())).collect();
        for id in surplus(sizes, newest) {
            let path = self.path(&id);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    tracing::warn!(file = %path.display(), error = %e, "cannot delete an old run");
                }
                _ => {}
            }
        }
    }

    fn scan(&self) -> Result<Scan, RecordError> {
        let failed = |source| RecordError::Read { path: self.folder.clone(), source };
        let mut scan = Scan::default();
        for found in fs::read_dir(&self.folder).map_err(failed)? {
            let path = found.map_err(failed)?.path();
            let Some(id) = id_of(&path) else { continue };
            match read_head(&path, &id) {
                Ok(head) => scan.heads.push(head),
                // Deleted by another program while this one was reading the folder.
                Err(EntryFault::Gone) => {}
                Err(EntryFault::Newer(_)) => scan.newer += 1,
                Err(EntryFault::Unreadable(e)) => {
                    scan.problems.push(format!("{id} cannot be read ({e})"))
                }
                Err(fault @ EntryFault::Damaged(_)) => {
                    scan.problems.push(match rename_damaged(&path) {
                        Ok(renamed_to) => {
                            format!(
                                "{id} is damaged ({fault}) and was renamed to {}",
                                name(&renamed_to)
                            )
                        }
                        Err(e) => format!("{id} is damaged ({fault}) and cannot be renamed ({e})"),
                    })
                }
            }
        }
        Ok(scan)
    }
}

/// Returns the oldest runs beyond the limits of number and total size, but never `newest`.
fn surplus(mut sizes: Vec<(EntryId, u64)>, newest: &EntryId) -> Vec<EntryId> {
    sizes.sort_by(|a, b| b.0.cmp(&a.0));
    let (mut count, mut bytes) = (0, 0u64);
    sizes.retain(|(id, size)| {
        count += 1;
        bytes = bytes.saturating_add(*size);
        (count > MAX_ENTRIES || bytes > MAX_BYTES) && id != newest
    });
    sizes.into_iter().map(|(id, _)| id).collect()
}

/// The files of the folder.
#[derive(Default)]
struct Scan {
    heads: Vec<Head>,
    /// Number of files with a newer format.
    newer: usize,
    problems: Vec<String>,
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn id_of(path: &Path) -> Option<EntryId> {
    let is_run = path.extension().is_some_and(|e| e == file::EXTENSION);
    let stem = path.file_stem()?.to_str().filter(|_| is_run)?;
    EntryId::try_from(stem.to_owned()).ok()
}

/// Renames a damaged file, so that it is no longer listed but can still be recovered.
fn rename_damaged(path: &Path) -> std::io::Result<PathBuf> {
    let renamed_to = damaged_name(path);
    fs::rename(path, &renamed_to)?;
    Ok(renamed_to)
}

fn remove_stale_parts(folder: &Path) {
    for found in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = found.file_name();
        let name = name.to_string_lossy();
        let age = found.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        if name.starts_with(".ivg-") && name.ends_with(PART) && age.is_some_and(|age| age > STALE) {
            // A file that cannot be deleted does no harm.
            let _ = fs::remove_file(found.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surplus_is_the_oldest_runs_beyond_the_limits() {
        let id = |t: u64| EntryId::new(t, 0);
        let runs = |size: u64| (0..210).map(|t| (id(t), size)).collect::<Vec<_>>();
        assert_eq!(surplus(runs(1), &id(209)).len(), 10);
        assert_eq!(surplus(runs(1), &id(209)).last(), Some(&id(0)));
        assert_eq!(surplus(runs(1), &id(0)).len(), 9);
        // Four runs of 64 MiB fill the limit.
        assert_eq!(surplus(runs(64 << 20), &id(209))[0], id(205));
        assert!(surplus(vec![(id(1), u64::MAX)], &id(1)).is_empty());
    }
}
