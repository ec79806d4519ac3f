//! The folder of one model in the cache that other tools share:
//!
//! ```text
//! models--owner--model/
//!   refs/main                     the commit that a branch or tag stood for
//!   blobs/<checksum>              contents; <checksum>.incomplete while they arrive
//!   snapshots/<commit>/<file>     links into blobs
//!   .no_exist/<commit>/<file>     files that the commit is known not to have
//! .locks/models--owner--model/<checksum>.lock
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::checksum::is_sound;
use super::error::Fault;
use super::need::{Need, is_index, shards};
use crate::atomic::replace;
use crate::packs::source::{HubModel, Local};
use crate::text::read_text;

/// How often a lock that another program holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// One model's part of the cache.
pub(super) struct Store {
    paths: CacheRepo,
    /// The model's folder.
    root: PathBuf,
    locks: PathBuf,
    revision: String,
}

/// Held while one file is being fetched. Dropping it lets others go on.
pub(super) struct Lock {
    /// None where the file system knows no locks.
    _file: Option<File>,
    /// Whether nobody else writes the same partial file.
    pub is_alone: bool,
}

/// Whether `text` names a commit in full.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Store {
    pub fn new(cache: &Path, model: &HubModel) -> Self {
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

    /// The commit that the revision stood for when somebody last asked.
    pub fn commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.clone());
        }
        let text = read_text(&self.root.join("refs").join(&self.revision), 1000).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// Notes which commit the revision stands for.
    pub fn keep_commit(&self, commit: &str) -> Result<(), Fault> {
        if is_commit(&self.revision) || self.commit().as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(&self.revision);
        write(&path, commit.as_bytes())
    }

    /// The files of `need` at `commit`, if all that are essential are here.
    pub fn local(&self, commit: &str, need: &Need) -> Option<Local> {
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

    /// The files of `need` at `commit` that are here, as far as they are known.
    pub fn needed(&self, commit: &str, need: &Need) -> Vec<String> {
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

    /// Whether a file of this cache still holds what its name promises; none if its name promises
    /// nothing, if it is no file of this cache, or if `go_on` ends the reading.
    pub fn is_sound(&self, file: &Path, go_on: &dyn Fn() -> bool) -> Option<bool> {
        let (real, blobs) = (file.canonicalize().ok()?, self.root.join("blobs"));
        if real.parent()? != blobs.canonicalize().ok()? {
            return None;
        }
        is_sound(&real, go_on).ok()?
    }

    /// Whether every optional file of `need` is here or known not to exist: another tool may
    /// have fetched the essential ones alone.
    pub fn is_settled(&self, commit: &str, need: &Need) -> bool {
        let (here, absent) = (self.paths.pointer_path(commit), self.absent(commit));
        need.optional().iter().all(|f| here.join(f).is_file() || absent.join(f).is_file())
    }

    /// Notes that `commit` has no such file.
    pub fn keep_absent(&self, commit: &str, file: &str) -> Result<(), Fault> {
        let path = self.absent(commit).join(file);
        if path.is_file() { Ok(()) } else { write(&path, b"") }
    }

    fn absent(&self, commit: &str) -> PathBuf {
        self.root.join(".no_exist").join(commit)
    }

    /// Where a file of a commit is found.
    pub fn pointer(&self, commit: &str, file: &str) -> PathBuf {
        self.paths.pointer_path(commit).join(file)
    }

    /// Where contents are kept.
    pub fn blob(&self, name: &str) -> PathBuf {
        self.paths.blob_path(name)
    }

    /// Where contents arrive; `is_alone` as the [`Lock`] says. The name that Python's
    /// `huggingface_hub` uses, so that either goes on with what the other began.
    pub fn partial(&self, name: &str, is_alone: bool) -> PathBuf {
        if is_alone {
            return self.blob(&format!("{name}.incomplete"));
        }
        self.blob(&format!("{name}.{}.incomplete", std::process::id()))
    }

    /// Waits until no other program fetches the same contents. `wait` is called before every
    /// further try, and ends the waiting with an error.
    pub fn lock(
        &self,
        name: &str,
        wait: &mut dyn FnMut(Duration) -> Result<(), Fault>,
    ) -> Result<Lock, Fault> {
        let path = self.locks.join(format!("{name}.lock"));
        let failed = |source| Fault::Disk { path: path.clone(), source };
        fs::create_dir_all(&self.locks).map_err(failed)?;
        let blobs = self.root.join("blobs");
        fs::create_dir_all(&blobs).map_err(|source| Fault::Disk { path: blobs.clone(), source })?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: Some(file), is_alone: true }),
                Err(TryLockError::WouldBlock) => wait(LOCK_POLL)?,
                // A file system without locks: a partial file of our own keeps us apart.
                Err(TryLockError::Error(_)) => return Ok(Lock { _file: None, is_alone: false }),
            }
        }
    }

    /// Makes `snapshots/<commit>/<file>` lead to the contents `name`.
    pub fn link(&self, commit: &str, file: &str, name: &str) -> Result<(), Fault> {
        let pointer = self.pointer(commit, file);
        let failed = |source| Fault::Disk { path: pointer.clone(), source };
        let folder = pointer.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(failed)?;
        let real = |path: &Path| fs::canonicalize(path).ok();
        if real(&pointer).is_some_and(|file| Some(file) == real(&self.blob(name))) {
            // Another program was faster, and may be reading by it.
            return Ok(());
        }
        if fs::symlink_metadata(&pointer).is_ok() {
            // A link whose contents somebody deleted, or has replaced.
            fs::remove_file(&pointer).map_err(failed)?;
        }
        // From snapshots/<commit>/ up to the model's folder, and further for files in folders.
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

/// Without the right to make links, the contents themselves are put in their place, as other
/// tools do.
#[cfg(windows)]
fn link(relative: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(relative, pointer).or_else(|_| fs::rename(blob, pointer))
}

#[cfg(not(any(unix, windows)))]
fn link(_relative: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    fs::rename(blob, pointer)
}

fn write(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let failed = |source| Fault::Disk { path: path.to_owned(), source };
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    replace(path, content).map_err(failed)
}
