//! Downloads one file from the hub into the cache: resumes, verifies, then renames it.
//!
//! The transfer is hand-written although the `hf-hub` crate provides the cache layout and repo
//! types: that crate accepts a body that ends early as complete, and cannot be cancelled.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ring::digest::Context;
use ureq::Body;
use ureq::http::Response;

use super::cache::Store;
use super::checksum::CHUNK_BYTES;
use super::error::HubFailure;
use super::http::{Client, RequestPart, header};
use super::listing::Item;

/// New bytes after which the count of failed attempts restarts. A large file on a poor connection
/// may break more often than `retries`.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Downloads one file of a commit.
pub(super) struct Transfer<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) store: &'a Store,
    pub(crate) commit: &'a str,
    pub(crate) item: &'a Item,
}

/// A partial file and the hash of its contents.
struct Partial {
    path: PathBuf,
    file: File,
    /// Bytes in the file.
    held: u64,
    hash: Option<Context>,
}

/// The reason why a transfer is incomplete.
enum Incomplete {
    /// The partial file does not match the beginning of the file. The transfer must restart.
    Restart,
    Failed(HubFailure),
}

impl From<HubFailure> for Incomplete {
    fn from(failure: HubFailure) -> Self {
        Self::Failed(failure)
    }
}

impl Transfer<'_> {
    /// Downloads the file unless it is cached, and links it into the snapshot. If two programs need
    /// the same file, the second waits for the download of the first.
    pub(super) fn run(&self) -> Result<(), HubFailure> {
        let Item { file, name, size, .. } = self.item;
        let stop = self.client.stop;
        let lock = self.store.lock(name, &mut |wait| stop.sleep(wait))?;
        let blob = self.store.blob(name);
        if fs::metadata(&blob).is_ok_and(|blob| blob.is_file() && blob.len() == *size) {
            self.client.tally.found(*size);
        } else {
            self.fetch(&self.store.partial(name, lock.is_exclusive), &blob)?;
        }
        self.store.link(self.commit, file, name)
    }

    /// Downloads a damaged file again, unless another program has replaced it meanwhile.
    pub(super) fn replace(&self) -> Result<(), HubFailure> {
        let name = &self.item.name;
        let stop = self.client.stop;
        let lock = self.store.lock(name, &mut |wait| stop.sleep(wait))?;
        let (blob, keep_reading) = (self.store.blob(name), || stop.check().is_ok());
        if self.store.is_intact(&blob, &keep_reading) == Some(true) {
            self.client.tally.found(self.item.size);
        } else {
            self.fetch(&self.store.partial(name, lock.is_exclusive), &blob)?;
        }
        self.store.link(self.commit, &self.item.file, name)
    }

    fn fetch(&self, partial: &Path, blob: &Path) -> Result<(), HubFailure> {
        let mut was_resumed = fs::metadata(partial).is_ok_and(|partial| partial.len() > 0);
        loop {
            match self.fill(partial) {
                Ok(()) => break,
                // The partial file of an earlier download may have been wrong: start once more
                // without it.
                Err(Incomplete::Restart) if was_resumed => was_resumed = false,
                Err(Incomplete::Restart) => return Err(HubFailure::Checksum),
                Err(Incomplete::Failed(failure)) => return Err(failure),
            }
        }
        fs::rename(partial, blob).map_err(|source| disk(blob, source))
    }

    /// Completes the partial file and verifies it. On an error, the partial file is a beginning of
    /// the file, or it is deleted.
    fn fill(&self, path: &Path) -> Result<(), Incomplete> {
        let Item { size, checksum, .. } = self.item;
        let mut partial = self.open(path)?;
        self.client.tally.found(partial.held);
        let mut failures = 0;
        while partial.held < *size {
            let before = partial.held;
            match self.receive(&mut partial) {
                Ok(()) => {}
                Err(Incomplete::Restart) => return Err(self.discard(&partial)),
                Err(Incomplete::Failed(failure)) => {
                    if partial.held.saturating_sub(before) >= PROGRESS_BYTES {
                        failures = 0;
                    }
                    self.client.wait_after(failure, failures, self.client.settings.retries)?;
                    failures += 1;
                }
            }
        }
        if let (Some(checksum), Some(hash)) = (checksum, partial.hash.take())
            && !checksum.matches(hash)
        {
            return Err(self.discard(&partial));
        }
        // Sync before the rename, so that a power failure leaves no incomplete file under the name.
        partial.file.sync_all().map_err(|source| disk(path, source).into())
    }

    /// Opens the partial file, hashes its contents, and moves to its end.
    fn open(&self, path: &Path) -> Result<Partial, HubFailure> {
        let failed = |source| disk(path, source);
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(path).map_err(failed)?;
        let mut held = file.metadata().map_err(failed)?.len();
        if held > self.item.size {
            file.set_len(0).map_err(failed)?;
            held = 0;
        }
        let mut hash = self.item.checksum.as_ref().map(|c| c.begin(self.item.size));
        if let Some(hash) = &mut hash {
            let mut chunk = vec![0; CHUNK_BYTES];
            let mut left = held;
            while left > 0 {
                self.client.stop.check()?;
                let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                file.read_exact(&mut chunk[..length]).map_err(failed)?;
                hash.update(&chunk[..length]);
                left -= length as u64;
            }
        }
        file.seek(SeekFrom::Start(held)).map_err(failed)?;
        Ok(Partial { path: path.to_owned(), file, held, hash })
    }

    /// Deletes the partial file.
    fn discard(&self, partial: &Partial) -> Incomplete {
        self.client.tally.discarded(partial.held);
        match fs::remove_file(&partial.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => disk(&partial.path, e).into(),
            _ => Incomplete::Restart,
        }
    }

    /// Requests the missing bytes once. The bytes that arrive before a failure are kept.
    fn receive(&self, partial: &mut Partial) -> Result<(), Incomplete> {
        let size = self.item.size;
        let part =
            if partial.held == 0 { RequestPart::All } else { RequestPart::From(partial.held) };
        let response = self.client.request(&self.item.url, part)?;
        match response.status().as_u16() {
            206 => check_range(&response, partial.held, size)?,
            416 => return Err(Incomplete::Restart),
            _ => {
                // The server ignored the range and sends the whole file.
                check_length(&response, partial.held, size)?;
                self.rewind(partial)?;
            }
        }
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = body.read(&mut chunk);
            self.client.stop.check()?;
            let read = match read {
                Ok(0) if partial.held < size => {
                    return Err(HubFailure::CutOff { held: partial.held, size }.into());
                }
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.client.read_fault(e, partial.held, size).into()),
            };
            let sent = partial.held + read as u64;
            if sent > size {
                self.rewind(partial)?;
                return Err(HubFailure::Size { listed: size, sent }.into());
            }
            partial.file.write_all(&chunk[..read]).map_err(|e| disk(&partial.path, e))?;
            if let Some(hash) = &mut partial.hash {
                hash.update(&chunk[..read]);
            }
            partial.held = sent;
            self.client.tally.arrived(read as u64);
        }
    }

    /// Empties the partial file, because the server sends the whole file again.
    fn rewind(&self, partial: &mut Partial) -> Result<(), HubFailure> {
        if partial.held == 0 {
            return Ok(());
        }
        self.client.tally.discarded(partial.held);
        let emptied = partial.file.set_len(0).and_then(|()| partial.file.rewind());
        emptied.map_err(|source| disk(&partial.path, source))?;
        partial.hash = self.item.checksum.as_ref().map(|c| c.begin(self.item.size));
        partial.held = 0;
        Ok(())
    }
}

/// Checks that the sent part begins at byte `held` of a file of `size` bytes.
fn check_range(response: &Response<Body>, held: u64, size: u64) -> Result<(), Incomplete> {
    let range = header(response, "content-range").and_then(|range| {
        let (part, whole) = range.strip_prefix("bytes ")?.split_once('/')?;
        let start: u64 = part.split_once('-')?.0.parse().ok()?;
        Some((start, whole.parse().ok()))
    });
    match range {
        Some((_, Some(sent))) if sent != size => {
            Err(HubFailure::Size { listed: size, sent }.into())
        }
        Some((start, _)) if start == held => Ok(()),
        _ => Err(HubFailure::Answer("not the requested part of the file".to_owned()).into()),
    }
}

/// Checks that the sent body can be the whole file of `size` bytes. If `held` bytes are already
/// here, requires a matching Content-Length: a login page must not replace them.
fn check_length(response: &Response<Body>, held: u64, size: u64) -> Result<(), HubFailure> {
    let sent = header(response, "content-length").and_then(|length| length.parse().ok());
    match sent {
        Some(sent) if sent != size => Err(HubFailure::Size { listed: size, sent }),
        None if held > 0 => {
            Err(HubFailure::Answer("a page instead of the rest of the file".to_owned()))
        }
        _ => Ok(()),
    }
}

fn disk(path: &Path, source: io::Error) -> HubFailure {
    HubFailure::Disk { path: path.to_owned(), source }
}
