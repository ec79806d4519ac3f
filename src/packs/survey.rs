//! What a pack needs: which models, from where, whether they are here, how large they are.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::PackSource;
use super::error::PackError;
use super::hub::{Fault, Hub, HubError, Inquiry, Need, Order};
use super::manifest::Manifest;
use super::role::Part;
use super::size::{Size, held_bytes, measure};
use super::source::{Local, Source};
use crate::lm::Precision;

/// What a pack needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// The pack's name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The licence that the pack names.
    pub licence: Option<String>,
    /// The folder of its `pack.toml`.
    pub folder: PathBuf,
    /// Its models and adapters, in the order of loading.
    pub models: Vec<Entry>,
}

/// One model or adapter of a pack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// base, untuned, tuned, value or judge.
    pub role: &'static str,
    /// Whether it is a model or stands on one.
    pub kind: Kind,
    /// The role before it that is the same model: nothing is downloaded or held twice.
    pub same_as: Option<&'static str>,
    /// Where it is from, in words.
    pub source: String,
    /// Whether it is here.
    pub presence: Presence,
    /// Bytes of its files, here or on the hub; none where nobody could say.
    pub file_bytes: Option<u64>,
    /// Bytes that a download would fetch.
    pub missing_bytes: Option<u64>,
    /// Number of weights.
    pub parameters: Option<u64>,
    /// Bytes of its weights in memory, caches and intermediate results not counted.
    pub held_bytes: Option<u64>,
    /// Whether it comes from the hub.
    pub from_hub: bool,
    /// The licence that the hub names.
    pub licence: Option<String>,
    /// What is wrong, in a sentence.
    pub problem: Option<String>,
}

/// What a role's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A whole model.
    Model,
    /// An adapter on the role's weights.
    Adapter,
    /// A value head on another role's model.
    Head,
}

/// Whether a model is on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// All of its files are.
    Here,
    /// It is on the hub.
    ToDownload,
    /// It is not where the pack says, or damaged.
    Broken,
}

impl Survey {
    /// Looks at a pack with what `inquirer` may ask.
    ///
    /// # Errors
    /// A pack that is not there, or a `pack.toml` that is wrong.
    pub fn new(source: &PackSource, inquirer: &mut Inquirer<'_>) -> Result<Self, PackError> {
        let (folder, manifest) = source.open()?;
        inquirer.is_silence_told = false;
        let mut surveyor = Surveyor { folder: &folder, inquirer };
        let parts = manifest.parts();
        let held = |part: &Part<'_>| precision(&manifest, part);
        let mut models: Vec<Entry> = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            let is_same = |other: &&Part<'_>| {
                let same = other.source == part.source && other.need == part.need;
                same && held(other) == held(part)
            };
            let shared = part.kind() == Kind::Model;
            let first = parts[..at].iter().find(is_same).filter(|_| shared);
            let same_as = first.map(|other| other.role);
            models.push(Entry { same_as, ..surveyor.entry(part, held(part)) });
        }
        let Manifest { name, description, licence, .. } = manifest;
        Ok(Self { name, description, licence, folder, models })
    }

    /// Bytes of all weights in memory; none if one of them is not known.
    pub fn held_bytes(&self) -> Option<u64> {
        let own = self.models.iter().filter(|model| model.same_as.is_none());
        own.map(|model| model.held_bytes).sum()
    }

    /// Bytes that a download would fetch; none if they are not all known.
    pub fn missing_bytes(&self) -> Option<u64> {
        // However it is held, it is fetched once.
        let is_first = |(at, model): (usize, &Entry)| {
            let same = |other: &Entry| other.source == model.source && other.kind == model.kind;
            (!self.models[..at].iter().any(same)).then_some(model.missing_bytes)
        };
        self.models.iter().enumerate().filter_map(is_first).sum()
    }
}

/// How the weights of a role are held; none: as suits the files. What stands on a model is not
/// quantised.
fn precision(manifest: &Manifest, part: &Part<'_>) -> Option<Precision> {
    let role = manifest.roles().find(|(name, _)| *name == part.role);
    role.and_then(|(_, role)| role.precision).filter(|_| part.kind() == Kind::Model)
}

impl Part<'_> {
    fn kind(&self) -> Kind {
        match self.need {
            Need::Adapter => Kind::Adapter,
            Need::Head => Kind::Head,
            Need::Model | Need::Gguf(_) | Need::Judge => Kind::Model,
        }
    }
}

/// Asks the hub for the sizes of what is not here: about each model once, however many packs share
/// it, and about none any more once nobody answers.
pub struct Inquirer<'a> {
    hub: &'a Hub,
    /// Whether the hub may be asked at all.
    may_ask: bool,
    /// Whether it asks again after a passing trouble: somebody waits for this very answer.
    is_patient: bool,
    /// Ends it.
    cancelled: &'a dyn Fn() -> bool,
    answers: Vec<(Order, Result<Inquiry, String>)>,
    /// What is wrong, once nobody answers.
    silence: Option<String>,
    /// Whether the pack at hand has been told.
    is_silence_told: bool,
}

impl<'a> Inquirer<'a> {
    /// One that knows nothing yet. Without `may_ask` it only looks at what is here; `cancelled`
    /// ends its asking.
    pub fn new(hub: &'a Hub, may_ask: bool, cancelled: &'a dyn Fn() -> bool) -> Self {
        Self {
            hub,
            may_ask,
            is_patient: false,
            cancelled,
            answers: Vec::new(),
            silence: None,
            is_silence_told: false,
        }
    }

    /// The same, which tries again after a passing trouble as a download does.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { is_patient: true, ..self }
    }

    /// What the hub says of a model, or what is wrong; none where nothing is asked.
    fn ask(&mut self, order: Order) -> Option<Result<Inquiry, String>> {
        if !self.may_ask || (self.cancelled)() {
            return None;
        }
        let same = |known: &&(Order, _)| known.0.asks_the_same(&order);
        if let Some((_, answer)) = self.answers.iter().find(same) {
            return Some(answer.clone());
        }
        if let Some(problem) = &self.silence {
            // Once a pack is enough.
            let is_first = !std::mem::replace(&mut self.is_silence_told, true);
            return is_first.then(|| Err(format!("{} on the hub: {problem}", order.model.id)));
        }
        let answer = match self.hub.inquire(&order, self.is_patient, self.cancelled) {
            // Who ends it knows why.
            Err(e) if matches!(e.fault, Fault::Cancelled) => return None,
            Err(e) if is_silence(&e) => {
                (self.silence, self.is_silence_told) = (Some(e.fault.to_string()), true);
                return Some(Err(e.to_string()));
            }
            answer => answer.map_err(|e| e.to_string()),
        };
        self.answers.push((order, answer.clone()));
        Some(answer)
    }
}

/// Whether asking for other models would only take time.
fn is_silence(error: &HubError) -> bool {
    matches!(
        error.fault,
        Fault::Unreachable(_)
            | Fault::Network(_)
            | Fault::Stalled(_)
            | Fault::Slow(_)
            | Fault::Offline
    )
}

struct Surveyor<'a, 'i> {
    folder: &'a Path,
    inquirer: &'a mut Inquirer<'i>,
}

impl Surveyor<'_, '_> {
    fn entry(&mut self, part: &Part<'_>, precision: Option<Precision>) -> Entry {
        let mut entry = Entry {
            role: part.role,
            kind: part.kind(),
            same_as: None,
            source: part.source.to_string(),
            from_hub: matches!(part.source, Source::Hub(_)),
            presence: Presence::Broken,
            file_bytes: None,
            missing_bytes: None,
            parameters: None,
            held_bytes: None,
            licence: None,
            problem: None,
        };
        match self.find(part) {
            Ok(Some(local)) => match measure(&local, precision) {
                Ok(size) => entry.set_here(size),
                Err(problem) => {
                    entry.problem = Some(problem);
                    self.look_for_damage(part, &mut entry);
                }
            },
            Ok(None) => self.inquire(part, precision, &mut entry),
            Err(e) => entry.problem = Some(e.to_string()),
        }
        entry
    }

    /// What no longer is what came from the hub, a download mends; how large it was, the hub knows.
    fn look_for_damage(&mut self, part: &Part<'_>, entry: &mut Entry) {
        let Some(order) = part.order() else { return };
        let damaged = self.inquirer.hub.review(&order, self.inquirer.cancelled).damaged;
        let Some(first) = damaged.first() else { return };
        entry.presence = Presence::ToDownload;
        entry.problem =
            Some(format!("{} of {} is damaged; a download replaces it", first.name, order.model));
        match self.inquirer.ask(order) {
            Some(Ok(inquiry)) => {
                let there = damaged.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
                entry.missing_bytes = Some(inquiry.missing_bytes.max(there));
            }
            Some(Err(problem)) => entry.problem = Some(problem),
            None => {}
        }
    }

    /// The part's files; none if they are to be downloaded.
    fn find(&self, part: &Part<'_>) -> Result<Option<Local>, PackError> {
        let local = part.local(self.folder)?;
        Ok(local.or_else(|| self.inquirer.hub.cached(&part.order()?)))
    }

    fn inquire(&mut self, part: &Part<'_>, precision: Option<Precision>, entry: &mut Entry) {
        entry.presence = Presence::ToDownload;
        match part.order().and_then(|order| self.inquirer.ask(order)) {
            None => {}
            Some(Ok(inquiry)) => {
                let suits = match part.need {
                    Need::Gguf(_) => Precision::Q8_0,
                    _ => Precision::F32,
                };
                let precision = precision.unwrap_or(suits);
                entry.file_bytes = Some(inquiry.total_bytes);
                entry.missing_bytes = Some(inquiry.missing_bytes);
                entry.parameters = inquiry.parameters;
                entry.held_bytes = inquiry.parameters.map(|count| held_bytes(count, precision));
                entry.licence = inquiry.licence;
                if inquiry.is_gated {
                    let problem = "gated: accept its licence on the hub and store a token first";
                    entry.problem = Some(problem.to_owned());
                }
            }
            Some(Err(problem)) => entry.problem = Some(problem),
        }
    }
}

impl Entry {
    /// Whether it came from the hub and is here.
    pub fn has_come(&self) -> bool {
        self.from_hub && self.presence == Presence::Here
    }

    fn set_here(&mut self, size: Size) {
        self.presence = Presence::Here;
        self.file_bytes = Some(size.disk_bytes);
        self.missing_bytes = Some(0);
        self.parameters = Some(size.parameters);
        self.held_bytes = Some(size.held_bytes);
    }
}
