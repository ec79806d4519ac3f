//! One file from the hub into the cache: resumed, verified, and only then given its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ring::digest::Context;
use ureq::Body;
use ureq::http::Response;

use super::cache::Store;
use super::checksum::CHUNK_BYTES;
use super::error::Fault;
use super::http::{Ask, Client, header};
use super::listing::Item;

/// New bytes after which a transfer that broke has earned all its attempts again: a large file
/// on a poor line may break more often than `retries`.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Fetches one file of a commit.
pub(super) struct Transfer<'a> {
    pub client: &'a Client<'a>,
    pub store: &'a Store,
    pub commit: &'a str,
    pub item: &'a Item,
}

/// A partial file and what its contents sum to so far.
struct Partial {
    path: PathBuf,
    file: File,
    held: u64,
    sum: Option<Context>,
}

/// Why a transfer must begin again from nothing.
enum Doubt {
    /// What was there is not a beginning of the file.
    Restart,
    Fault(Fault),
}

impl From<Fault> for Doubt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Transfer<'_> {
    /// Makes the file be there, whole. Two programs at once fetch it once: the second waits, and
    /// finds it.
    pub fn run(&self) -> Result<(), Fault> {
        let Item { file, name, size, .. } = self.item;
        let stop = self.client.stop;
        let lock = self.store.lock(name, &mut |wait| stop.sleep(wait))?;
        let blob = self.store.blob(name);
        if fs::metadata(&blob).is_ok_and(|there| there.is_file() && there.len() == *size) {
            self.client.tally.found(*size);
        } else {
            self.fetch(&self.store.partial(name, lock.is_alone), &blob)?;
        }
        self.store.link(self.commit, file, name)
    }

    /// Puts the file anew where a damaged one lies, if it is still damaged once nobody else
    /// fetches it.
    pub fn replace(&self) -> Result<(), Fault> {
        let name = &self.item.name;
        let stop = self.client.stop;
        let lock = self.store.lock(name, &mut |wait| stop.sleep(wait))?;
        let (blob, go_on) = (self.store.blob(name), || stop.check().is_ok());
        if self.store.is_sound(&blob, &go_on) == Some(true) {
            self.client.tally.found(self.item.size);
        } else {
            self.fetch(&self.store.partial(name, lock.is_alone), &blob)?;
        }
        self.store.link(self.commit, &self.item.file, name)
    }

    fn fetch(&self, partial: &Path, blob: &Path) -> Result<(), Fault> {
        let mut was_resumed = fs::metadata(partial).is_ok_and(|there| there.len() > 0);
        loop {
            match self.fill(partial) {
                Ok(()) => break,
                // What an earlier download left may have been wrong; this time there is none.
                Err(Doubt::Restart) if was_resumed => was_resumed = false,
                Err(Doubt::Restart) => return Err(Fault::Checksum),
                Err(Doubt::Fault(fault)) => return Err(fault),
            }
        }
        fs::rename(partial, blob).map_err(|source| disk(blob, source))
    }

    /// Fills the partial file up and verifies it. Afterwards it is whole, or a beginning of the
    /// file, or gone.
    fn fill(&self, path: &Path) -> Result<(), Doubt> {
        let Item { size, checksum, .. } = self.item;
        let mut partial = self.open(path)?;
        self.client.tally.found(partial.held);
        let mut failures = 0;
        while partial.held < *size {
            let before = partial.held;
            match self.receive(&mut partial) {
                Ok(()) => {}
                Err(Doubt::Restart) => return Err(self.discard(&partial)),
                Err(Doubt::Fault(fault)) => {
                    if partial.held.saturating_sub(before) >= PROGRESS_BYTES {
                        failures = 0;
                    }
                    self.client.wait_after(fault, failures, self.client.settings.retries)?;
                    failures += 1;
                }
            }
        }
        if let (Some(checksum), Some(sum)) = (checksum, partial.sum.take())
            && !checksum.is_met(sum)
        {
            return Err(self.discard(&partial));
        }
        // On the disk before it gets its name: a power cut must not leave half a file under it.
        partial.file.sync_all().map_err(|source| disk(path, source).into())
    }

    /// The partial file, at its end, with what it holds summed up.
    fn open(&self, path: &Path) -> Result<Partial, Fault> {
        let failed = |source| disk(path, source);
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(path).map_err(failed)?;
        let mut held = file.metadata().map_err(failed)?.len();
        if held > self.item.size {
            file.set_len(0).map_err(failed)?;
            held = 0;
        }
        let mut sum = self.item.checksum.as_ref().map(|c| c.begin(self.item.size));
        if let Some(sum) = &mut sum {
            let mut chunk = vec![0; CHUNK_BYTES];
            let mut left = held;
            while left > 0 {
                self.client.stop.check()?;
                let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                file.read_exact(&mut chunk[..most]).map_err(failed)?;
                sum.update(&chunk[..most]);
                left -= most as u64;
            }
        }
        file.seek(SeekFrom::Start(held)).map_err(failed)?;
        Ok(Partial { path: path.to_owned(), file, held, sum })
    }

    /// Throws away what is held.
    fn discard(&self, partial: &Partial) -> Doubt {
        self.client.tally.lost(partial.held);
        match fs::remove_file(&partial.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => disk(&partial.path, e).into(),
            _ => Doubt::Restart,
        }
    }

    /// One request for what is missing. What arrives is kept, however it ends.
    fn receive(&self, partial: &mut Partial) -> Result<(), Doubt> {
        let size = self.item.size;
        let ask = if partial.held == 0 { Ask::All } else { Ask::From(partial.held) };
        let response = self.client.request(&self.item.url, ask)?;
        match response.status().as_u16() {
            206 => check_range(&response, partial.held, size)?,
            416 => return Err(Doubt::Restart),
            _ => {
                // The whole file, whatever we asked for.
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
                    return Err(Fault::CutOff { held: partial.held, size }.into());
                }
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.client.read_fault(e, partial.held, size).into()),
            };
            let sent = partial.held + read as u64;
            if sent > size {
                self.rewind(partial)?;
                return Err(Fault::Size { listed: size, sent }.into());
            }
            partial.file.write_all(&chunk[..read]).map_err(|e| disk(&partial.path, e))?;
            if let Some(sum) = &mut partial.sum {
                sum.update(&chunk[..read]);
            }
            partial.held = sent;
            self.client.tally.arrived(read as u64);
        }
    }

    /// Forgets what is held, for a server that sends the whole file again.
    fn rewind(&self, partial: &mut Partial) -> Result<(), Fault> {
        if partial.held == 0 {
            return Ok(());
        }
        self.client.tally.lost(partial.held);
        let emptied = partial.file.set_len(0).and_then(|()| partial.file.rewind());
        emptied.map_err(|source| disk(&partial.path, source))?;
        partial.sum = self.item.checksum.as_ref().map(|c| c.begin(self.item.size));
        partial.held = 0;
        Ok(())
    }
}

/// Whether the part that comes begins where ours ends, and is of a file of the same size.
fn check_range(response: &Response<Body>, held: u64, size: u64) -> Result<(), Doubt> {
    let range = header(response, "content-range").and_then(|range| {
        let (part, whole) = range.strip_prefix("bytes ")?.split_once('/')?;
        let start: u64 = part.split_once('-')?.0.parse().ok()?;
        Some((start, whole.parse().ok()))
    });
    match range {
        Some((_, Some(sent))) if sent != size => Err(Fault::Size { listed: size, sent }.into()),
        Some((start, _)) if start == held => Ok(()),
        _ => Err(Fault::Answer("another part of the file than was asked for".to_owned()).into()),
    }
}

/// Whether a whole file that comes may be ours. What is `held` is only given up for an answer that
/// says so: a login page in between must not cost gigabytes.
fn check_length(response: &Response<Body>, held: u64, size: u64) -> Result<(), Fault> {
    let sent = header(response, "content-length").and_then(|length| length.parse().ok());
    match sent {
        Some(sent) if sent != size => Err(Fault::Size { listed: size, sent }),
        None if held > 0 => Err(Fault::Answer("a page instead of the rest of the file".to_owned())),
        _ => Ok(()),
    }
}

fn disk(path: &Path, source: io::Error) -> Fault {
    Fault::Disk { path: path.to_owned(), source }
}
