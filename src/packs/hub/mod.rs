//! Downloads models from the Hugging Face hub into the cache that other tools share. Cached files
//! are used without a request. Missing files are downloaded at one commit and verified.
//!
//! The `hf-hub` crate provides the cache layout and the repo types. The transfer is hand-written;
//! `transfer.rs` says why.

mod cache;
mod checksum;
mod error;
mod http;
mod listing;
mod need;
mod progress;
mod settings;
mod transfer;

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

pub use error::{HubError, HubFailure};
pub use need::Need;
pub use progress::Pause;
pub use progress::Progress;
pub use settings::{HubSettings, Token};

use self::cache::Store;
use self::http::{Client, Stop, agent};
use self::listing::{Item, Listing};
use self::need::is_index;
use self::need::shards;
use self::progress::{Meter, Tally};
use self::transfer::Transfer;
use super::source::{HubModel, Local};

/// Interval between checks for cancellation and progress reports.
const POLL: Duration = Duration::from_millis(50);

/// The hub and its cache on this machine.
#[derive(Debug, Clone, Default)]
pub struct Hub {
    settings: HubSettings,
}

/// The files that a role needs from the hub.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSet {
    /// The role, shown in the progress.
    pub role: &'static str,
    /// The repository and its revision.
    pub model: HubModel,
    /// The required files of the model.
    pub need: Need,
}

impl FileSet {
    /// Returns whether both file sets need the same files, for any role.
    pub(crate) fn has_same_files(&self, other: &Self) -> bool {
        self.model == other.model && self.need == other.need
    }
}

/// The callbacks of a download.
pub struct Watch<'a> {
    /// Polled during the download. The download stops within a fraction of a second after it
    /// returns true.
    pub cancelled: &'a dyn Fn() -> bool,
    /// Called with the progress about twenty times per second.
    pub progress: &'a mut dyn FnMut(&Progress),
}

/// Information from the hub about a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Bytes left to download: the size of the missing files minus their partial downloads.
    pub missing_bytes: u64,
    /// Bytes of all required files.
    pub total_bytes: u64,
    /// Number of weights, if the hub reports it.
    pub parameters: Option<u64>,
    /// Licence, if the model card names one.
    pub licence: Option<String>,
    /// Whether the user must request access.
    pub is_gated: bool,
}

/// The result of checking the cached files of one file set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    /// Number of files that match their checksum.
    pub intact: usize,
    /// Files that do not match their checksum. Files without a checksum are not counted.
    pub damaged: Vec<Damaged>,
}

/// A cached file that does not match its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its path in the repository.
    pub name: String,
    /// Its current size in bytes.
    pub bytes: u64,
}

/// The required files of one file set at one commit.
struct Plan<'a> {
    file_set: &'a FileSet,
    store: Store,
    listing: Listing,
    items: Vec<Item>,
}

impl Plan<'_> {
    fn missing(&self) -> impl Iterator<Item = &Item> {
        let commit = self.listing.commit();
        self.items.iter().filter(|item| {
            let metadata = std::fs::metadata(self.store.pointer(commit, &item.file));
            !metadata.is_ok_and(|metadata| metadata.len() == item.size)
        })
    }

    /// Returns the bytes of a missing file that are not in its partial download.
    fn remaining_bytes(&self, item: &Item) -> u64 {
        let partial = std::fs::metadata(self.store.partial(&item.name, true));
        item.size.saturating_sub(partial.map_or(0, |partial| partial.len()))
    }
}

impl Hub {
    /// Creates a hub with `settings`.
    pub fn new(settings: HubSettings) -> Self {
        Self { settings }
    }

    /// Creates a hub with the settings of the environment, see [`HubSettings::from_env`].
    pub fn from_env() -> Self {
        Self::new(HubSettings::from_env())
    }

    /// Returns the files of the set if all essential ones are cached. Makes no request.
    pub fn cached(&self, file_set: &FileSet) -> Option<Local> {
        let store = self.store(&file_set.model).ok()?;
        store.local(&store.commit()?, &file_set.need)
    }

    /// Returns the files of the set if all essential ones are cached and it is known which optional
    /// files exist. Makes no request.
    fn fully_cached(&self, file_set: &FileSet) -> Option<Local> {
        let store = self.store(&file_set.model).ok()?;
        let commit = store.commit()?;
        let local = store.local(&commit, &file_set.need)?;
        store.knows_optional_files(&commit, &file_set.need).then_some(local)
    }

    /// Returns the files of every file set, after downloading the missing ones. Without `update`, a
    /// cached branch stays at its cached commit, and no request is made for it.
    ///
    /// # Errors
    /// Names the first model or file that cannot be downloaded. Bytes that arrived before are kept.
    pub fn fetch(
        &self,
        file_sets: &[FileSet],
        update: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Local>, HubError> {
        let mut pending = distinct(file_sets);
        pending.retain(|file_set| update || self.fully_cached(file_set).is_none());
        if self.settings.is_offline {
            // The essential files suffice, such as those cached by another tool.
            pending.retain(|file_set| update || self.cached(file_set).is_none());
            if let Some(file_set) = pending.first() {
                return Err(failed(file_set, None)(HubFailure::Offline));
            }
        }
        if !pending.is_empty() {
            self.supervised(watch, |client| fetch_all(self, client, &pending, update))?;
        }
        let found = file_sets.iter().map(|file_set| {
            let lost = || {
                HubFailure::MissingFile("the downloaded files were removed; try again".to_owned())
            };
            self.cached(file_set).ok_or_else(|| failed(file_set, None)(lost()))
        });
        found.collect()
    }

    /// Checks the cached files of a file set against their checksums. Makes no request. The reading
    /// stops when `cancelled` returns true.
    pub fn review(&self, file_set: &FileSet, cancelled: &dyn Fn() -> bool) -> Review {
        let mut review = Review::default();
        let Ok(store) = self.store(&file_set.model) else { return review };
        let Some(commit) = store.commit() else { return review };
        for name in store.cached_files(&commit, &file_set.need) {
            let file = store.pointer(&commit, &name);
            match store.is_intact(&file, &|| !cancelled()) {
                Some(true) => review.intact += 1,
                Some(false) => {
                    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
                    review.damaged.push(Damaged { name, bytes });
                }
                None => {}
            }
        }
        review
    }

    /// Returns whether a cached file of the file sets is damaged, see [`Hub::review`].
    pub(crate) fn is_damaged(&self, file_sets: &[FileSet], cancelled: &dyn Fn() -> bool) -> bool {
        let mut file_sets = distinct(file_sets).into_iter();
        file_sets.any(|file_set| !self.review(file_set, cancelled).damaged.is_empty())
    }

    /// Checks the cached files of the sets and replaces those that do not match their checksum.
    /// Removes a damaged file only after its replacement is downloaded. Makes no request if no file
    /// is damaged.
    ///
    /// # Errors
    /// Fails if the replacement of a damaged file cannot be downloaded.
    pub fn repair(&self, file_sets: &[FileSet], watch: &mut Watch<'_>) -> Result<(), HubError> {
        self.supervised(watch, |client| {
            distinct(file_sets).into_iter().try_for_each(|file_set| repair(self, client, file_set))
        })
    }

    /// Queries the hub about a model without downloading it. With `should_retry`, retries after a
    /// temporary failure.
    ///
    /// # Errors
    /// See [`Hub::fetch`].
    pub fn model_info(
        &self,
        file_set: &FileSet,
        should_retry: bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<ModelInfo, HubError> {
        if self.settings.is_offline {
            return Err(failed(file_set, None)(HubFailure::Offline));
        }
        let mut watch = Watch { cancelled, progress: &mut |_| {} };
        self.supervised(&mut watch, |client| {
            let retries = if should_retry { self.settings.retries } else { 0 };
            let plan = self.plan(client, file_set, retries)?;
            Ok(ModelInfo {
                missing_bytes: plan.missing().map(|item| plan.remaining_bytes(item)).sum(),
                total_bytes: plan.items.iter().map(|item| item.size).sum(),
                parameters: plan.listing.parameters(),
                licence: plan.listing.licence(),
                is_gated: plan.listing.is_gated(),
            })
        })
    }

    fn store(&self, model: &HubModel) -> Result<Store, HubFailure> {
        let cache = self.settings.cache.as_deref().ok_or(HubFailure::NoCache)?;
        Ok(Store::new(cache, model))
    }

    /// Runs `work` on another thread, so that it can be cancelled while a server does not respond.
    fn supervised<T: Send>(
        &self,
        watch: &mut Watch<'_>,
        work: impl FnOnce(&Client<'_>) -> T + Send,
    ) -> T {
        let (stop, tally, agent) = (Stop::default(), Tally::default(), agent(&self.settings));
        let client = Client::new(&self.settings, agent.clone(), &stop, &tally);
        let client = &client;
        thread::scope(|scope| {
            let (working, ended) = bounded::<()>(0);
            let worker = scope.spawn(move || {
                // Dropped when the work ends or panics.
                let _working = working;
                work(client)
            });
            let mut meter = Meter::new();
            let mut agent = Some(agent);
            loop {
                let is_done = ended.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout);
                if let Some(progress) = meter.read(&tally, Instant::now()) {
                    (watch.progress)(&progress);
                }
                if is_done {
                    break;
                }
                if (watch.cancelled)() {
                    stop.raise();
                    // Interrupts a read that waits for the server.
                    agent.take().into_iter().for_each(ureq::Agent::shutdown);
                }
            }
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Lists the files of the file set. Downloads the index of sharded weights, because it contains
    /// the names of the shards.
    fn plan<'o>(
        &self,
        client: &Client<'_>,
        file_set: &'o FileSet,
        retries: u32,
    ) -> Result<Plan<'o>, HubError> {
        let FileSet { role, model, need } = file_set;
        let store = self.store(model).map_err(failed(file_set, None))?;
        let listing = Listing::request(client, model, retries).map_err(failed(file_set, None))?;
        let mut files = listing.essential(need).map_err(failed(file_set, None))?;
        if let Some(index) = files.iter().find(|file| is_index(file)).cloned() {
            let failed = |failure| failed(file_set, Some(&index))(failure);
            let item = listing.item(client, model, &index, retries).map_err(failed)?;
            client.tally.expect(item.size);
            client.tally.begin(role, &index);
            let commit = listing.commit();
            Transfer { client, store: &store, commit, item: &item }.run().map_err(failed)?;
            let names = shards(&store.pointer(commit, &index));
            let names = names.map_err(|reason| failed(HubFailure::Answer(reason)))?;
            if let Some(missing) = names.iter().find(|name| !listing.has(name)) {
                return Err(failed(listing.missing_file(need, missing)));
            }
            files.extend(names);
        }
        files.extend(need.optional().iter().filter(|f| listing.has(f)).map(|f| (*f).to_owned()));
        let items = files.iter().map(|file| {
            listing.item(client, model, file, retries).map_err(failed(file_set, Some(file)))
        });
        let items = items.collect::<Result<_, _>>()?;
        Ok(Plan { file_set, store, listing, items })
    }
}

/// Returns the file sets without duplicates. Two roles may use the same model.
fn distinct(file_sets: &[FileSet]) -> Vec<&FileSet> {
    let mut found: Vec<&FileSet> = Vec::new();
    for file_set in file_sets {
        if !found.iter().any(|other| other.has_same_files(file_set)) {
            found.push(file_set);
        }
    }
    found
}

/// Plans every set, then downloads. A file that is missing from any repository is reported before
/// the first download.
fn fetch_all(
    hub: &Hub,
    client: &Client<'_>,
    file_sets: &[&FileSet],
    update: bool,
) -> Result<(), HubError> {
    let mut plans = Vec::new();
    for file_set in file_sets {
        let is_usable = !update && hub.cached(file_set).is_some();
        // Optional files alone do not justify the wait of retries.
        let retries = if is_usable { 0 } else { hub.settings.retries };
        match hub.plan(client, file_set, retries) {
            Ok(plan) => plans.push(plan),
            Err(e) if is_usable && !matches!(e.failure, HubFailure::Cancelled) => {
                tracing::info!(error = %e, "using the cached files");
            }
            Err(e) => return Err(e),
        }
    }
    let missing: u64 = plans.iter().flat_map(Plan::missing).map(|item| item.size).sum();
    client.tally.expect(missing);
    for plan in &plans {
        download(client, plan)?;
    }
    Ok(())
}

/// Replaces the damaged files of one file set, at the commit that is cached.
fn repair(hub: &Hub, client: &Client<'_>, file_set: &FileSet) -> Result<(), HubError> {
    let damaged = hub.review(file_set, &|| client.stop.check().is_err()).damaged;
    client.stop.check().map_err(failed(file_set, None))?;
    let Some(first) = damaged.first() else { return Ok(()) };
    if hub.settings.is_offline {
        return Err(failed(file_set, Some(&first.name))(HubFailure::DamagedOffline));
    }
    let store = hub.store(&file_set.model).map_err(failed(file_set, None))?;
    let Some(commit) = store.commit() else { return Ok(()) };
    let model = HubModel { revision: commit.clone(), ..file_set.model.clone() };
    let retries = hub.settings.retries;
    let listing = Listing::request(client, &model, retries).map_err(failed(file_set, None))?;
    for Damaged { name, .. } in damaged {
        let failed = |failure| failed(file_set, Some(&name))(failure);
        let item = listing.item(client, &model, &name, retries).map_err(failed)?;
        client.tally.expect(item.size);
        client.tally.begin(file_set.role, &name);
        let transfer = Transfer { client, store: &store, commit: &commit, item: &item };
        transfer.replace().map_err(failed)?;
    }
    Ok(())
}

fn download(client: &Client<'_>, plan: &Plan<'_>) -> Result<(), HubError> {
    let Plan { file_set, store, listing, .. } = plan;
    let commit = listing.commit();
    for item in plan.missing() {
        client.tally.begin(file_set.role, &item.file);
        let transfer = Transfer { client, store, commit, item };
        transfer.run().map_err(failed(file_set, Some(&item.file)))?;
    }
    let no_file = |failure| failed(file_set, None)(failure);
    for file in file_set.need.optional().iter().filter(|file| !listing.has(file)) {
        store.record_absent(commit, file).map_err(no_file)?;
    }
    // Last, so that the previous commit stays in use until the new one is complete.
    store.record_commit(commit).map_err(no_file)
}

fn failed<'a>(
    file_set: &'a FileSet,
    file: Option<&'a str>,
) -> impl Fn(HubFailure) -> HubError + Copy + 'a {
    move |failure| HubError {
        id: file_set.model.id.clone(),
        file: file.map(str::to_owned),
        failure,
    }
}
