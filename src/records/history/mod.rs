//! The runs of the past: a folder with a file a run.
//!
//! The first line of a file says what the run was, the second is the run. A list reads first
//! lines only. The folder alone holds the truth, so two programs may use one folder at a time.

mod entry;
mod file;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use entry::{ColumnSummary, Entry, EntryId, search};
use file::{Content, Fault, Head, damaged_name, read_head};

use super::RecordError;
use super::atomic::{PART, write_whole};
use super::trace_file::{self, parse, to_line};
use crate::guidance::trace::Trace;

/// Runs that are kept without being pinned.
pub const MOST_ENTRIES: usize = 200;
/// Bytes that they may take together.
pub const MOST_BYTES: u64 = 256 << 20;
/// An unfinished file of this age will not be finished.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The folder of past runs.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    deleted: Option<Deleted>,
}

/// The file that was deleted last.
#[derive(Debug)]
struct Deleted {
    id: EntryId,
    bytes: Vec<u8>,
}

/// What the folder holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// Pinned runs, then the others, each newest first.
    pub entries: Vec<Entry>,
    /// One sentence about files that cannot be shown.
    pub notice: Option<String>,
}

/// Now, as the history counts time.
pub fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

impl History {
    /// Opens `folder`, making it if need be.
    ///
    /// # Errors
    /// [`RecordError::Write`] if it is no folder and cannot become one.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        let failed = |source| RecordError::Write { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        remove_stale_parts(folder);
        Ok(Self { folder: folder.to_owned(), deleted: None })
    }

    /// What the folder holds now. Damaged files are set aside under another name, once.
    ///
    /// # Errors
    /// [`RecordError::Read`] if the folder cannot be read at all.
    pub fn list(&self) -> Result<Listing, RecordError> {
        let Scan { heads, newer, mut troubles } = self.scan()?;
        let mut entries: Vec<Entry> = heads.into_iter().map(|head| head.entry).collect();
        entries.sort_by(|a, b| (b.pinned, &b.id).cmp(&(a.pinned, &a.id)));
        match newer {
            0 => {}
            1 => troubles.push("1 run is of a newer version of this program".to_owned()),
            n => troubles.push(format!("{n} runs are of a newer version of this program")),
        }
        let notice = (!troubles.is_empty()).then(|| {
            let rest = troubles.len().saturating_sub(3);
            let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
            troubles.truncate(3);
            format!("Some of the history cannot be shown: {}{more}.", troubles.join("; "))
        });
        Ok(Listing { entries, notice })
    }

    /// Keeps a run, and lets the oldest go where there are too many.
    ///
    /// # Errors
    /// [`RecordError::Write`], [`RecordError::Unsound`], [`RecordError::TooLong`]; nothing has
    /// changed then.
    pub fn add(&mut self, trace: &Trace, unix_ms: u64) -> Result<Entry, RecordError> {
        let line = to_line(trace)?;
        let checksum = crc32fast::hash(line.as_bytes());
        let mut id = EntryId::new(unix_ms, checksum);
        for other in 1.. {
            match read_head(&self.path(&id), &id) {
                // Another program has kept the very same.
                Ok(head) if head.is_of(line.as_bytes()) => return Ok(head.entry),
                Err(Fault::Gone) => break,
                _ => id = EntryId::new(unix_ms, checksum.wrapping_add(other)),
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
    /// [`RecordError::Gone`], [`RecordError::Damaged`] (the file is set aside),
    /// [`RecordError::Newer`], [`RecordError::Read`].
    pub fn load(&self, id: &EntryId) -> Result<Trace, RecordError> {
        let (content, bytes) = self.content(id)?;
        parse(&self.path(id), content.trace(&bytes))
    }

    /// Names a run; an empty name takes its name away.
    ///
    /// # Errors
    /// As [`History::load`], and [`RecordError::Write`].
    pub fn rename(&mut self, id: &EntryId, name: &str) -> Result<(), RecordError> {
        self.change(id, |entry| entry.rename(name))
    }

    /// Pins a run, or lets it go with the others in time.
    ///
    /// # Errors
    /// As [`History::rename`].
    pub fn set_pinned(&mut self, id: &EntryId, pinned: bool) -> Result<(), RecordError> {
        self.change(id, |entry| entry.pinned = pinned)?;
        self.prune(id);
        Ok(())
    }

    /// Deletes a run and gives its title. Until another is deleted, or the history is closed,
    /// [`History::undo_delete`] brings it back.
    ///
    /// # Errors
    /// [`RecordError::Gone`], [`RecordError::Read`], [`RecordError::Write`]; it is still there
    /// then, if it was.
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

    /// Brings the run back that was deleted last.
    ///
    /// # Errors
    /// [`RecordError::NothingDeleted`], [`RecordError::Write`] (it may be tried again).
    pub fn undo_delete(&mut self) -> Result<EntryId, RecordError> {
        let deleted = self.deleted.take().ok_or(RecordError::NothingDeleted)?;
        if let Err(e) = write_whole(&self.path(&deleted.id), &deleted.bytes) {
            self.deleted = Some(deleted);
            return Err(e);
        }
        self.prune(&deleted.id);
        Ok(deleted.id)
    }

    /// Whether [`History::undo_delete`] has something to bring back.
    pub fn can_undo(&self) -> bool {
        self.deleted.is_some()
    }

    fn path(&self, id: &EntryId) -> PathBuf {
        self.folder.join(format!("{id}.{}", file::EXTENSION))
    }

    fn read(&self, id: &EntryId) -> Result<Vec<u8>, RecordError> {
        let most = trace_file::MAX_BYTES + file::HEAD_BYTES as u64 + 1;
        match trace_file::read_bytes(&self.path(id), most) {
            Err(RecordError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Err(RecordError::Gone)
            }
            other => other,
        }
    }

    /// The whole file, checked against its own first line.
    fn content(&self, id: &EntryId) -> Result<(Content, Vec<u8>), RecordError> {
        let bytes = self.read(id)?;
        let path = self.path(id);
        match Content::of(&bytes, id) {
            Ok(content) => Ok((content, bytes)),
            Err(Fault::Newer(program)) => Err(RecordError::Newer { path, program }),
            Err(fault) => {
                let reason = fault.to_string();
                let aside = set_aside(&path)
                    .map_err(|source| RecordError::Write { path: path.clone(), source })?;
                Err(RecordError::Damaged { reason, aside })
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

    /// Lets the oldest unpinned runs go, but never `newest`. What cannot be removed is tried
    /// again the next time: a list that is too long is no reason to trouble anybody.
    fn prune(&self, newest: &EntryId) {
        let Ok(Scan { heads, .. }) = self.scan() else { return };
        let unpinned = heads.iter().filter(|head| !head.entry.pinned);
        let sizes = unpinned.map(|head| (head.entry.id.clone(), head.bytes())).collect();
        for id in surplus(sizes, newest) {
            let path = self.path(&id);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    tracing::warn!(file = %path.display(), error = %e, "an old run stays");
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
                Err(Fault::Gone) => {}
                Err(Fault::Newer(_)) => scan.newer += 1,
                Err(Fault::Unreadable(e)) => {
                    scan.troubles.push(format!("{id} cannot be read ({e})"))
                }
                Err(fault @ Fault::Damaged(_)) => scan.troubles.push(match set_aside(&path) {
                    Ok(aside) => {
                        format!("{id} is damaged ({fault}) and was set aside as {}", name(&aside))
                    }
                    Err(e) => format!("{id} is damaged ({fault}) and cannot be moved ({e})"),
                }),
            }
        }
        Ok(scan)
    }
}

/// The oldest of these runs that are one too many, or too large together; never `newest`.
fn surplus(mut sizes: Vec<(EntryId, u64)>, newest: &EntryId) -> Vec<EntryId> {
    sizes.sort_by(|a, b| b.0.cmp(&a.0));
    let (mut count, mut bytes) = (0, 0u64);
    sizes.retain(|(id, size)| {
        count += 1;
        bytes = bytes.saturating_add(*size);
        (count > MOST_ENTRIES || bytes > MOST_BYTES) && id != newest
    });
    sizes.into_iter().map(|(id, _)| id).collect()
}

/// Everything in the folder.
#[derive(Default)]
struct Scan {
    heads: Vec<Head>,
    newer: usize,
    troubles: Vec<String>,
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn id_of(path: &Path) -> Option<EntryId> {
    let is_run = path.extension().is_some_and(|e| e == file::EXTENSION);
    let stem = path.file_stem()?.to_str().filter(|_| is_run)?;
    EntryId::try_from(stem.to_owned()).ok()
}

/// Moves a damaged file out of the list: nothing that somebody may still save is deleted.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let aside = damaged_name(path);
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn remove_stale_parts(folder: &Path) {
    for found in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = found.file_name();
        let name = name.to_string_lossy();
        let age = found.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        if name.starts_with(".ivg-") && name.ends_with(PART) && age.is_some_and(|age| age > STALE) {
            // It is only in the way of nobody.
            let _ = fs::remove_file(found.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_too_large() {
        let id = |t: u64| EntryId::new(t, 0);
        let runs = |size: u64| (0..210).map(|t| (id(t), size)).collect::<Vec<_>>();
        assert_eq!(surplus(runs(1), &id(209)).len(), 10);
        assert_eq!(surplus(runs(1), &id(209)).last(), Some(&id(0)));
        assert_eq!(surplus(runs(1), &id(0)).len(), 9);
        // Four of 64 MiB fill it.
        assert_eq!(surplus(runs(64 << 20), &id(209))[0], id(205));
        assert!(surplus(vec![(id(1), u64::MAX)], &id(1)).is_empty());
    }
}
