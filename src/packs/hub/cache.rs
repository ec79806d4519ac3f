//! The folder of one model in the cache that other tools share:
//!
//! ```text
//! models--owner--model/
//!   refs/main                     the commit of a branch or tag
//!   blobs/<checksum>              file contents; <checksum>.incomplete during a download
//!   snapshots/<commit>/<file>     links into blobs
//!   .no_exist/<commit>/<file>     files known to be absent from the commit
//! .locks/models--owner--model/<checksum>.lock
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::checksum::is_intact;
use super::error::HubFailure;
use super::need::{Need, is_index, shards};
use crate::atomic_file::replace;
use crate::bounded_read::read_text;
use crate::packs::source::{HubModel, Local};

/// Interval between attempts to take a lock that another program holds.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// The folder of one model in the cache.
pub(super) struct Store {
    paths: CacheRepo,
    root: PathBuf,
    locks: PathBuf,
    revision: String,
}

/// A lock that is held during the download of one file and released on drop.
pub(super) struct Lock {
    /// `None` if the file system does not support locks.
    _file: Option<File>,
    /// Whether no other program can write to the same partial file.
    pub(crate) is_exclusive: bool,
}

/// Returns whether `text` is a full commit hash.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Store {
    pub(super) fn new(cache: &Path, model: &HubModel) -> Self {
        let cache = Cache::new(cache.to_owned());
        let HubModel { id, revision, .. } = model;
        let repo = Repo::with_revision(id.clone(), RepoType::Model, revision.clone());
        let name = repo.folder_name();
        Self {
            root: cache.path().join(&name),
            locks: cache.path().join(".locks").join(&name),
            paths: cache.repo(repo),
            revision: revision.clone(),
        }
    }

    /// Returns the cached commit of the revision.
    pub(super) fn commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.clone());
        }
        let text = read_text(&self.root.join("refs").join(&self.revision), 1000).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// Records the commit of the revision.
    pub(crate) fn record_commit(&self, commit: &str) -> Result<(), HubFailure> {
        if is_commit(&self.revision) || self.commit().as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(&self.revision);
        write(&path, commit.as_bytes())
    }

    /// Returns the files of `need` at `commit` if all essential ones are cached.
    pub(super) fn local(&self, commit: &str, need: &Need) -> Option<Local> {
        let snapshot = self.paths.pointer_path(commit);
        let has = |name: &str| snapshot.join(name).is_file();
        for file in need.essential(&has).ok()? {
            if is_index(&file) && !shards(&snapshot.join(&file)).ok()?.iter().all(|s| has(s)) {
                return None;
            }
        }
        Some(match need {
            Need::Gguf(file) => Local::Gguf(snapshot.join(file)),
            _ => Local::Folder(snapshot),
        })
    }

    /// Returns the names of the cached files of `need` at `commit`.
    pub(crate) fn cached_files(&self, commit: &str, need: &Need) -> Vec<String> {
        let snapshot = self.paths.pointer_path(commit);
        let has = |name: &str| snapshot.join(name).is_file();
        let mut files = need.essential(&has).unwrap_or_default();
        let index = files.iter().find(|file| is_index(file));
        let shards = index.and_then(|index| shards(&snapshot.join(index)).ok());
        files.extend(shards.unwrap_or_default());
        files.extend(need.optional().iter().map(|file| (*file).to_owned()));
        files.retain(|file| has(file));
        files
    }

    /// Returns whether a cached file matches the checksum in its name. Returns `None` if the name
    /// contains no checksum, if the file is outside this cache, or if `keep_reading` returns false.
    pub(crate) fn is_intact(&self, file: &Path, keep_reading: &dyn Fn() -> bool) -> Option<bool> {
        let (real, blobs) = (file.canonicalize().ok()?, self.root.join("blobs"));
        if real.parent()? != blobs.canonicalize().ok()? {
            return None;
        }
        is_intact(&real, keep_reading).ok()?
    }

    /// Returns whether every optional file of `need` is cached or known to be absent. Another tool
    /// may have downloaded only the essential files.
    pub(crate) fn knows_optional_files(&self, commit: &str, need: &Need) -> bool {
        let (cached, absent) = (self.paths.pointer_path(commit), self.absent(commit));
        need.optional().iter().all(|f| cached.join(f).is_file() || absent.join(f).is_file())
    }

    /// Records that `commit` does not contain `file`.
    pub(crate) fn record_absent(&self, commit: &str, file: &str) -> Result<(), HubFailure> {
        let path = self.absent(commit).join(file);
        if path.is_file() { Ok(()) } else { write(&path, b"") }
    }

    fn absent(&self, commit: &str) -> PathBuf {
        self.root.join(".no_exist").join(commit)
    }

    /// Returns the path of a file in the snapshot of `commit`.
    pub(super) fn pointer(&self, commit: &str, file: &str) -> PathBuf {
        self.paths.pointer_path(commit).join(file)
    }

    pub(super) fn blob(&self, name: &str) -> PathBuf {
        self.paths.blob_path(name)
    }

    /// Returns the path of the partial download of `name`. With an exclusive [`Lock`], it is the
    /// name that Python's `huggingface_hub` uses, so each tool can resume downloads of the other.
    pub(super) fn partial(&self, name: &str, is_exclusive: bool) -> PathBuf {
        if is_exclusive {
            return self.blob(&format!("{name}.incomplete"));
        }
        self.blob(&format!("{name}.{}.incomplete", std::process::id()))
    }

    /// Waits until no other program downloads the same contents. Calls `wait` between attempts and
    /// returns its error.
    pub(super) fn lock(
        &self,
        name: &str,
        wait: &mut dyn FnMut(Duration) -> Result<(), HubFailure>,
    ) -> Result<Lock, HubFailure> {
        let path = self.locks.join(format!("{name}.lock"));
        let failed = |source| HubFailure::Disk { path: path.clone(), source };
        fs::create_dir_all(&self.locks).map_err(failed)?;
        let blobs = self.root.join("blobs");
        fs::create_dir_all(&blobs)
            .map_err(|source| HubFailure::Disk { path: blobs.clone(), source })?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: Some(file), is_exclusive: true }),
                Err(TryLockError::WouldBlock) => wait(LOCK_POLL)?,
                // The file system does not support locks.
                Err(TryLockError::Error(_)) => {
                    return Ok(Lock { _file: None, is_exclusive: false });
                }
            }
        }
    }

    /// Links `snapshots/<commit>/<file>` to the contents `name`.
    pub(super) fn link(&self, commit: &str, file: &str, name: &str) -> Result<(), HubFailure> {
        let pointer = self.pointer(commit, file);
        let failed = |source| HubFailure::Disk { path: pointer.clone(), source };
        let folder = pointer.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(failed)?;
        let real = |path: &Path| fs::canonicalize(path).ok();
        if real(&pointer).is_some_and(|file| Some(file) == real(&self.blob(name))) {
            // Another program created the link and may be reading through it.
            return Ok(());
        }
        if fs::symlink_metadata(&pointer).is_ok() {
            // The contents behind the link were deleted or replaced.
            fs::remove_file(&pointer).map_err(failed)?;
        }
        // Up from snapshots/<commit>/ to the model's folder, and once more per folder in `file`.
        let ups = 2 + Path::new(file).components().count().saturating_sub(1);
        let target: PathBuf = std::iter::repeat_n("..", ups).collect();
        match link(&target.join("blobs").join(name), &self.blob(name), &pointer) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map_err(failed),
        }
    }
}

#[cfg(unix)]
fn link(relative: &Path, _blob: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(relative, pointer)
}

/// Moves the contents to the place of the link if the user may not create links, as other tools do.
#[cfg(windows)]
fn link(relative: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(relative, pointer).or_else(|_| fs::rename(blob, pointer))
}

#[cfg(not(any(unix, windows)))]
fn link(_relative: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    fs::rename(blob, pointer)
}

fn write(path: &Path, content: &[u8]) -> Result<(), HubFailure> {
    let failed = |source| HubFailure::Disk { path: path.to_owned(), source };
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    replace(path, content).map_err(failed)
}
