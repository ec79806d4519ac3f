//! Models from the Hugging Face hub, in the cache that other tools share. What is cached is used
//! without a request; what is not is fetched whole, verified and at one commit.
//!
//! Layout and names of the cache are hf-hub's. The transfer is our own: that crate takes a body
//! that ends early for whole, and cannot be stopped.

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

pub use error::{Fault, HubError};
pub use need::Need;
pub use progress::{Pause, Progress};
pub use settings::{HubSettings, Token};

use self::cache::Store;
use self::http::{Client, Stop, agent};
use self::listing::{Item, Listing};
use self::need::is_index;
use self::need::shards;
use self::progress::{Meter, Tally};
use self::transfer::Transfer;
use super::source::{HubModel, Local};

/// How often a person's wish to stop is looked for, and progress reported.
const POLL: Duration = Duration::from_millis(50);

/// The hub, and the cache of what came from it.
#[derive(Debug, Clone, Default)]
pub struct Hub {
    settings: HubSettings,
}

/// What a role wants from the hub.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The role, for whoever watches.
    pub role: &'static str,
    /// The model.
    pub model: HubModel,
    /// Which of its files.
    pub need: Need,
}

impl Order {
    /// Whether another is for the same files, whatever role wants them.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.model == other.model && self.need == other.need
    }
}

/// How a download is watched.
pub struct Watch<'a> {
    /// Asked all the while; true ends the download, within a fraction of a second.
    pub cancelled: &'a dyn Fn() -> bool,
    /// Hears how far it is, some twenty times a second.
    pub progress: &'a mut dyn FnMut(&Progress),
}

/// What the hub says of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// Bytes that a download would fetch: those of the files that are not here, without what an
    /// earlier download has left of them.
    pub missing_bytes: u64,
    /// Bytes of all the files that are needed.
    pub total_bytes: u64,
    /// Number of weights, where the hub knows it.
    pub parameters: Option<u64>,
    /// Licence, where the model's card names one.
    pub licence: Option<String>,
    /// Whether access must be asked for.
    pub is_gated: bool,
}

/// How the files of one order are that lie in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    /// How many match their checksum.
    pub sound: usize,
    /// Those that do not. Files that promise nothing are in neither.
    pub damaged: Vec<Damaged>,
}

/// A file of the cache that is no longer what came from the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its name in the model.
    pub name: String,
    /// Bytes that it has now.
    pub bytes: u64,
}

/// The files of one order at one commit.
struct Plan<'a> {
    order: &'a Order,
    store: Store,
    listing: Listing,
    /// All that are needed.
    items: Vec<Item>,
}

impl Plan<'_> {
    fn missing(&self) -> impl Iterator<Item = &Item> {
        let commit = self.listing.commit();
        self.items.iter().filter(|item| {
            let there = std::fs::metadata(self.store.pointer(commit, &item.file));
            !there.is_ok_and(|there| there.len() == item.size)
        })
    }

    /// Bytes of a missing file that have not arrived yet.
    fn left_bytes(&self, item: &Item) -> u64 {
        let arrived = std::fs::metadata(self.store.partial(&item.name, true));
        item.size.saturating_sub(arrived.map_or(0, |arrived| arrived.len()))
    }
}

impl Hub {
    /// A hub with settings of one's own.
    pub fn new(settings: HubSettings) -> Self {
        Self { settings }
    }

    /// The hub and cache that the environment names, see [`HubSettings::from_env`].
    pub fn from_env() -> Self {
        Self::new(HubSettings::from_env())
    }

    /// Where the order's files are, if all that are essential are cached. Makes no request.
    pub fn cached(&self, order: &Order) -> Option<Local> {
        let store = self.store(&order.model).ok()?;
        store.local(&store.commit()?, &order.need)
    }

    /// As [`Hub::cached`], if moreover it is known which of the optional files exist.
    fn settled(&self, order: &Order) -> Option<Local> {
        let store = self.store(&order.model).ok()?;
        let commit = store.commit()?;
        store.local(&commit, &order.need).filter(|_| store.is_settled(&commit, &order.need))
    }

    /// Where the files of every order are, downloaded first where they are not cached. Without
    /// `update`, a cached branch stays at the commit that it was cached at, and no request is made.
    ///
    /// # Errors
    /// The first model or file that cannot be had. What has arrived by then is kept.
    pub fn fetch(
        &self,
        orders: &[Order],
        update: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Local>, HubError> {
        let mut wanted = distinct(orders);
        wanted.retain(|order| update || self.settled(order).is_none());
        if self.settings.is_offline {
            // What another tool has cached serves as it is.
            wanted.retain(|order| update || self.cached(order).is_none());
            if let Some(order) = wanted.first() {
                return Err(failed(order, None)(Fault::Offline));
            }
        }
        if !wanted.is_empty() {
            self.supervised(watch, |client| fetch_all(self, client, &wanted, update))?;
        }
        let found = orders.iter().map(|order| {
            let lost = || Fault::Lacks("what was downloaded is gone again; try again".to_owned());
            self.cached(order).ok_or_else(|| failed(order, None)(lost()))
        });
        found.collect()
    }

    /// Reads what is cached of an order over. Makes no request; `cancelled` ends the reading.
    pub fn review(&self, order: &Order, cancelled: &dyn Fn() -> bool) -> Review {
        let mut review = Review::default();
        let Ok(store) = self.store(&order.model) else { return review };
        let Some(commit) = store.commit() else { return review };
        for name in store.needed(&commit, &order.need) {
            let file = store.pointer(&commit, &name);
            match store.is_sound(&file, &|| !cancelled()) {
                Some(true) => review.sound += 1,
                Some(false) => {
                    let bytes = file.metadata().map_or(0, |there| there.len());
                    review.damaged.push(Damaged { name, bytes });
                }
                None => {}
            }
        }
        review
    }

    /// Whether a cached file of the orders is damaged, as [`Hub::review`] reads it.
    pub fn is_damaged(&self, orders: &[Order], cancelled: &dyn Fn() -> bool) -> bool {
        let mut orders = distinct(orders).into_iter();
        orders.any(|order| !self.review(order, cancelled).damaged.is_empty())
    }

    /// Reads what is cached of the orders over, and replaces what no longer matches its checksum.
    /// Nothing is taken away before its replacement is here; without a damaged file no request is
    /// made.
    ///
    /// # Errors
    /// A damaged file whose replacement cannot be had, or may not be asked for.
    pub fn mend(&self, orders: &[Order], watch: &mut Watch<'_>) -> Result<(), HubError> {
        self.supervised(watch, |client| {
            distinct(orders).into_iter().try_for_each(|order| mend(self, client, order))
        })
    }

    /// Asks the hub about a model that is not cached, without downloading it; again after a passing
    /// trouble if it is `patient`.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn inquire(
        &self,
        order: &Order,
        patient: bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Inquiry, HubError> {
        if self.settings.is_offline {
            return Err(failed(order, None)(Fault::Offline));
        }
        let mut watch = Watch { cancelled, progress: &mut |_| {} };
        self.supervised(&mut watch, |client| {
            let retries = if patient { self.settings.retries } else { 0 };
            let plan = self.plan(client, order, retries)?;
            Ok(Inquiry {
                missing_bytes: plan.missing().map(|item| plan.left_bytes(item)).sum(),
                total_bytes: plan.items.iter().map(|item| item.size).sum(),
                parameters: plan.listing.parameters(),
                licence: plan.listing.licence(),
                is_gated: plan.listing.is_gated(),
            })
        })
    }

    fn store(&self, model: &HubModel) -> Result<Store, Fault> {
        let cache = self.settings.cache.as_deref().ok_or(Fault::NoCache)?;
        Ok(Store::new(cache, model))
    }

    /// Does the network's work on a thread of its own, so that a person is heard while a server
    /// is not.
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
                // Dropped when the work is done, or has panicked.
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
                    // Wakes a read that waits for the server.
                    agent.take().into_iter().for_each(ureq::Agent::shutdown);
                }
            }
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Asks which files the order needs, and fetches the index of sharded weights: without it,
    /// they are not known.
    fn plan<'o>(
        &self,
        client: &Client<'_>,
        order: &'o Order,
        retries: u32,
    ) -> Result<Plan<'o>, HubError> {
        let Order { role, model, need } = order;
        let store = self.store(model).map_err(failed(order, None))?;
        let listing = Listing::ask(client, model, retries).map_err(failed(order, None))?;
        let mut files = listing.essential(need).map_err(failed(order, None))?;
        if let Some(index) = files.iter().find(|file| is_index(file)).cloned() {
            let failed = |fault| failed(order, Some(&index))(fault);
            let item = listing.item(client, model, &index, retries).map_err(failed)?;
            client.tally.expect(item.size);
            client.tally.begin(role, &index);
            let commit = listing.commit();
            Transfer { client, store: &store, commit, item: &item }.run().map_err(failed)?;
            let names = shards(&store.pointer(commit, &index));
            let names = names.map_err(|reason| failed(Fault::Answer(reason)))?;
            if let Some(missing) = names.iter().find(|name| !listing.has(name)) {
                return Err(failed(listing.lacks(need, missing)));
            }
            files.extend(names);
        }
        files.extend(need.optional().iter().filter(|f| listing.has(f)).map(|f| (*f).to_owned()));
        let items = files.iter().map(|file| {
            listing.item(client, model, file, retries).map_err(failed(order, Some(file)))
        });
        let items = items.collect::<Result<_, _>>()?;
        Ok(Plan { order, store, listing, items })
    }
}

/// Each model and what is needed of it once: two roles may be one model.
fn distinct(orders: &[Order]) -> Vec<&Order> {
    let mut found: Vec<&Order> = Vec::new();
    for order in orders {
        if !found.iter().any(|other| other.asks_the_same(order)) {
            found.push(order);
        }
    }
    found
}

/// Plans every order, so that what is missing in the last is said before the first is downloaded;
/// then downloads.
fn fetch_all(
    hub: &Hub,
    client: &Client<'_>,
    orders: &[&Order],
    update: bool,
) -> Result<(), HubError> {
    let mut plans = Vec::new();
    for order in orders {
        let is_usable = !update && hub.cached(order).is_some();
        // For the optional files alone nobody should have to wait.
        let retries = if is_usable { 0 } else { hub.settings.retries };
        match hub.plan(client, order, retries) {
            Ok(plan) => plans.push(plan),
            Err(e) if is_usable && !matches!(e.fault, Fault::Cancelled) => {
                tracing::info!(error = %e, "using what is cached");
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

/// Replaces the damaged files of one order, at the commit that is cached.
fn mend(hub: &Hub, client: &Client<'_>, order: &Order) -> Result<(), HubError> {
    let damaged = hub.review(order, &|| client.stop.check().is_err()).damaged;
    client.stop.check().map_err(failed(order, None))?;
    let Some(first) = damaged.first() else { return Ok(()) };
    if hub.settings.is_offline {
        return Err(failed(order, Some(&first.name))(Fault::DamagedOffline));
    }
    let store = hub.store(&order.model).map_err(failed(order, None))?;
    let Some(commit) = store.commit() else { return Ok(()) };
    let model = HubModel { revision: commit.clone(), ..order.model.clone() };
    let retries = hub.settings.retries;
    let listing = Listing::ask(client, &model, retries).map_err(failed(order, None))?;
    for Damaged { name, .. } in damaged {
        let failed = |fault| failed(order, Some(&name))(fault);
        let item = listing.item(client, &model, &name, retries).map_err(failed)?;
        client.tally.expect(item.size);
        client.tally.begin(order.role, &name);
        let transfer = Transfer { client, store: &store, commit: &commit, item: &item };
        transfer.replace().map_err(failed)?;
    }
    Ok(())
}

fn download(client: &Client<'_>, plan: &Plan<'_>) -> Result<(), HubError> {
    let Plan { order, store, listing, .. } = plan;
    let commit = listing.commit();
    for item in plan.missing() {
        client.tally.begin(order.role, &item.file);
        let transfer = Transfer { client, store, commit, item };
        transfer.run().map_err(failed(order, Some(&item.file)))?;
    }
    let keep = |fault| failed(order, None)(fault);
    for file in order.need.optional().iter().filter(|file| !listing.has(file)) {
        store.keep_absent(commit, file).map_err(keep)?;
    }
    // Last: the commit that was cached before stays in use until the new one is whole.
    store.keep_commit(commit).map_err(keep)
}

fn failed<'a>(order: &'a Order, file: Option<&'a str>) -> impl Fn(Fault) -> HubError + Copy + 'a {
    move |fault| HubError { id: order.model.id.clone(), file: file.map(str::to_owned), fault }
}
