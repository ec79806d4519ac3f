//! Lists the models of a pack: where they come from, whether they are on this machine, and their
//! size.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::PackSource;
use super::error::PackError;
use super::hub::{FileSet, Hub, HubError, HubFailure, ModelInfo, Need};
use super::manifest::Manifest;
use super::role::Part;
use super::size::{Size, held_bytes, measure};
use super::source::{Local, Source};
use crate::lm::Precision;

/// The models of a pack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// The pack's name.
    pub name: String,
    /// The pack's description.
    pub description: String,
    /// The licence named in `pack.toml`.
    pub licence: Option<String>,
    /// The folder with the `pack.toml`.
    pub folder: PathBuf,
    /// Models, adapters and heads, in loading order.
    pub models: Vec<Entry>,
}

/// One model, adapter or head of a pack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// base, untuned, tuned, value or judge.
    pub role: &'static str,
    /// Whether it is a whole model, an adapter or a head.
    pub kind: Kind,
    /// The earlier role with the same model, which is downloaded and kept in memory only once.
    pub same_as: Option<&'static str>,
    /// Description of the source.
    pub source: String,
    /// Whether it is on this machine.
    pub presence: Presence,
    /// Bytes of its files, on this machine or on the hub, or `None` if unknown.
    pub file_bytes: Option<u64>,
    /// Bytes left to download, or `None` if unknown.
    pub missing_bytes: Option<u64>,
    /// Number of weights, or `None` if unknown.
    pub parameters: Option<u64>,
    /// Bytes of the weights in memory, without caches and intermediate results.
    pub held_bytes: Option<u64>,
    /// Whether the source is on the hub.
    pub(crate) from_hub: bool,
    /// The licence named on the hub.
    pub licence: Option<String>,
    /// One sentence about a problem, if any.
    pub problem: Option<String>,
}

/// What the files of a role contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A whole model.
    Model,
    /// An adapter for the role's weights.
    Adapter,
    /// A value head for another role's model.
    Head,
}

/// Whether a model is on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// All files are on this machine.
    Here,
    /// Files must be downloaded from the hub.
    ToDownload,
    /// The files are missing from the path in the pack, or damaged.
    Broken,
}

impl Survey {
    /// Surveys a pack. `lookup` looks up the sizes of models on the hub.
    ///
    /// # Errors
    /// Fails if the pack does not exist or its `pack.toml` is invalid.
    pub fn new(source: &PackSource, lookup: &mut HubLookup<'_>) -> Result<Self, PackError> {
        let (folder, manifest) = source.open()?;
        lookup.is_outage_reported = false;
        let mut surveyor = Surveyor { folder: &folder, lookup };
        let parts = manifest.parts();
        let precision_of = |part: &Part<'_>| precision(&manifest, part);
        let mut models: Vec<Entry> = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let is_same = |other: &&Part<'_>| {
                let same_files = other.source == part.source && other.need == part.need;
                same_files && precision_of(other) == precision_of(part)
            };
            let can_share = part.kind() == Kind::Model;
            let first = parts[..index].iter().find(is_same).filter(|_| can_share);
            let same_as = first.map(|other| other.role);
            models.push(Entry { same_as, ..surveyor.entry(part, precision_of(part)) });
        }
        let Manifest { name, description, licence, .. } = manifest;
        Ok(Self { name, description, licence, folder, models })
    }

    /// Returns the bytes of all weights in memory, or `None` if they are unknown for any model.
    pub fn held_bytes(&self) -> Option<u64> {
        let distinct = self.models.iter().filter(|model| model.same_as.is_none());
        distinct.map(|model| model.held_bytes).sum()
    }

    /// Returns the bytes left to download, or `None` if they are unknown for any model.
    pub fn missing_bytes(&self) -> Option<u64> {
        // Roles with the same files but different precisions share one download.
        let if_first = |(index, model): (usize, &Entry)| {
            let same = |other: &Entry| other.source == model.source && other.kind == model.kind;
            (!self.models[..index].iter().any(same)).then_some(model.missing_bytes)
        };
        self.models.iter().enumerate().filter_map(if_first).sum()
    }
}

/// Returns the precision that the pack sets for a role's weights, or `None` for the default of the
/// files. Adapters and heads are never quantised.
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

/// Looks up the sizes of models on the hub. Sends one request per model, even if several packs
/// share it, and no further requests once the hub does not respond.
pub struct HubLookup<'a> {
    hub: &'a Hub,
    /// Whether requests to the hub are allowed.
    allow_requests: bool,
    /// Whether to retry temporary failures.
    should_retry: bool,
    cancelled: &'a dyn Fn() -> bool,
    answers: Vec<(FileSet, Result<ModelInfo, String>)>,
    /// The problem, once the hub does not respond.
    outage: Option<String>,
    /// Whether the outage was reported for the current pack.
    is_outage_reported: bool,
}

impl<'a> HubLookup<'a> {
    /// Creates an lookup with no answers yet. Without `allow_requests` it sends no requests. It
    /// sends no further requests once `cancelled` returns true.
    pub fn new(hub: &'a Hub, allow_requests: bool, cancelled: &'a dyn Fn() -> bool) -> Self {
        Self {
            hub,
            allow_requests,
            should_retry: false,
            cancelled,
            answers: Vec::new(),
            outage: None,
            is_outage_reported: false,
        }
    }

    /// Returns the lookup with retries after temporary failures, as in a download.
    #[must_use]
    pub(crate) fn with_retries(self) -> Self {
        Self { should_retry: true, ..self }
    }

    /// Returns the hub's answer about a model, or the problem. Returns `None` if no request may be
    /// sent, or if the outage was already reported for this pack.
    fn look_up(&mut self, file_set: FileSet) -> Option<Result<ModelInfo, String>> {
        if !self.allow_requests || (self.cancelled)() {
            return None;
        }
        let is_same = |known: &&(FileSet, _)| known.0.has_same_files(&file_set);
        if let Some((_, answer)) = self.answers.iter().find(is_same) {
            return Some(answer.clone());
        }
        if let Some(problem) = &self.outage {
            let is_first = !std::mem::replace(&mut self.is_outage_reported, true);
            return is_first.then(|| Err(format!("{} on the hub: {problem}", file_set.model.id)));
        }
        let answer = match self.hub.model_info(&file_set, self.should_retry, self.cancelled) {
            Err(e) if matches!(e.failure, HubFailure::Cancelled) => return None,
            Err(e) if is_outage(&e) => {
                (self.outage, self.is_outage_reported) = (Some(e.failure.to_string()), true);
                return Some(Err(e.to_string()));
            }
            answer => answer.map_err(|e| e.to_string()),
        };
        self.answers.push((file_set, answer.clone()));
        Some(answer)
    }
}

/// Returns whether requests for other models would fail in the same way.
fn is_outage(error: &HubError) -> bool {
    matches!(
        error.failure,
        HubFailure::Unreachable(_)
            | HubFailure::Network(_)
            | HubFailure::Stalled(_)
            | HubFailure::Slow(_)
            | HubFailure::Offline
    )
}

struct Surveyor<'a, 'i> {
    folder: &'a Path,
    lookup: &'a mut HubLookup<'i>,
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
            Ok(None) => self.model_info(part, precision, &mut entry),
            Err(e) => entry.problem = Some(e.to_string()),
        }
        entry
    }

    /// Marks damaged hub files for download, with their size from the hub.
    fn look_for_damage(&mut self, part: &Part<'_>, entry: &mut Entry) {
        let Some(file_set) = part.file_set() else { return };
        let damaged = self.lookup.hub.review(&file_set, self.lookup.cancelled).damaged;
        let Some(first) = damaged.first() else { return };
        entry.presence = Presence::ToDownload;
        entry.problem = Some(format!(
            "{} of {} is damaged; a download replaces it",
            first.name, file_set.model
        ));
        match self.lookup.look_up(file_set) {
            Some(Ok(inquiry)) => {
                let damaged = damaged.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
                entry.missing_bytes = Some(inquiry.missing_bytes.max(damaged));
            }
            Some(Err(problem)) => entry.problem = Some(problem),
            None => {}
        }
    }

    /// Returns the part's files, or `None` if they must be downloaded.
    fn find(&self, part: &Part<'_>) -> Result<Option<Local>, PackError> {
        let local = part.local(self.folder)?;
        Ok(local.or_else(|| self.lookup.hub.cached(&part.file_set()?)))
    }

    /// Fills in the sizes of a model that must be downloaded.
    fn model_info(&mut self, part: &Part<'_>, precision: Option<Precision>, entry: &mut Entry) {
        entry.presence = Presence::ToDownload;
        match part.file_set().and_then(|file_set| self.lookup.look_up(file_set)) {
            None => {}
            Some(Ok(inquiry)) => {
                let default = match part.need {
                    Need::Gguf(_) => Precision::Q8_0,
                    _ => Precision::F32,
                };
                let precision = precision.unwrap_or(default);
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
    /// Returns whether the files were downloaded from the hub and are on this machine.
    pub(crate) fn is_downloaded(&self) -> bool {
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
