//! The guides and judges of the bundled packs, and whether they fit a model of the user.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::PackSource;
use super::device::no_gpu_support;
use super::manifest::Manifest;
use super::role::{BackboneRole, JudgeRole, Part, PromptStyle, Role};
use super::source::{Local, Source};
use crate::bounded_read::read_text;
use crate::guidance::aim::Aim;
use crate::guidance::settings::Settings;
use crate::judge::Judge;
use crate::lm::{LmConfig, Tokenizer, ValueModel, check_adapter};

/// The file of a bundled pack that identifies the vocabulary of its adapter and head.
const VOCABULARY: &str = "vocabulary.json";
const MAX_VOCABULARY_BYTES: u64 = 1 << 12;

/// What an offer adds to a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferKind {
    /// An untuned and a tuned model, which guide the tokens.
    Pair,
    /// A value model, which guides the chunks.
    Value,
    /// A judge, which scores finished responses.
    Judge,
}

/// Whether an offer can be used with a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It fits.
    Fits,
    /// A guide with another vocabulary, which reads the response as text.
    ReadsText,
    /// It does not fit, with the reason as one sentence.
    Not(String),
}

/// A guide or a judge of a bundled pack.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// What it adds.
    pub kind: OfferKind,
    /// The bundled pack that it belongs to.
    pub pack: String,
    /// Its path, such as `smollm2/tuned`.
    pub path: String,
    /// Whether it can be used.
    pub fit: Fit,
    content: Content,
    /// The prompt of the pack's base. A model guided by an adapter or a head on its own weights
    /// must read the same prompt.
    base_prompt: PromptStyle,
    examples: Vec<String>,
    aim: Option<Aim>,
    stop: Vec<String>,
    defaults: Settings,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    /// An adapter for the user's model, which is also the untuned model.
    Adapter(Role),
    Pair(Box<Role>, Box<Role>),
    /// A head on the user's model.
    Head(Role),
    ValueModel(Role),
    Judge(Source),
}

impl Offer {
    /// Returns whether the offer can be attached.
    pub fn can_attach(&self) -> bool {
        !matches!(self.fit, Fit::Not(_))
    }

    /// Returns whether the offer is a part of the user's model: an adapter or a head.
    fn is_on_model(&self) -> bool {
        matches!(self.content, Content::Adapter(_) | Content::Head(_))
    }

    /// Returns what the offer is, such as "adapter".
    pub fn noun(&self) -> &'static str {
        match self.content {
            Content::Adapter(_) => "adapter",
            Content::Pair(..) => "pair of models",
            Content::Head(_) => "value head",
            Content::ValueModel(_) => "value model",
            Content::Judge(_) => "judge",
        }
    }
}

/// A model and the bundled guides for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelReport {
    /// Full path of the GGUF file or of the folder.
    pub path: PathBuf,
    /// Name of the file without `.gguf`, or of the folder.
    pub name: String,
    /// Model family.
    pub family: &'static str,
    /// Number of weights.
    pub parameters: u64,
    /// Bytes of the files.
    pub disk_bytes: u64,
    /// Bytes of the weights in memory.
    pub held_bytes: u64,
    /// Free memory in bytes, or `None` if the system does not report it.
    pub free_bytes: Option<u64>,
    /// Whether the model has a chat template that can be used.
    pub has_chat_template: bool,
    /// Bundled guides and judges, those that fit first.
    pub offers: Vec<Offer>,
}

impl ModelReport {
    /// Returns whether the weights need more memory than is free. Always false with GPU support,
    /// because a GPU may have more.
    pub fn is_too_large(&self) -> bool {
        let exceeds = self.free_bytes.is_some_and(|free| self.held_bytes > free);
        exceeds && no_gpu_support().is_some()
    }

    /// Returns the prompt style for the model without guides: its chat template if it has one.
    fn own_prompt(&self) -> PromptStyle {
        match self.has_chat_template {
            true => PromptStyle::Chat { system: None },
            false => PromptStyle::default(),
        }
    }
}

/// Returns all bundled guides and judges. Those that fit come first in each kind.
pub(super) fn offers(path: &Path, config: &LmConfig, tokenizer: &Tokenizer) -> Vec<Offer> {
    let mut found: Vec<Offer> = Vec::new();
    for source in PackSource::bundled() {
        let PackSource::Bundled(pack) = &source else { continue };
        let Ok((folder, manifest)) = source.open() else { continue };
        let model = Model { path, config, tokenizer, folder: &folder };
        for content in contents(pack, &manifest) {
            // Several packs use the same guide.
            if found.iter().any(|offer| offer.content.main_source() == content.main_source()) {
                continue;
            }
            found.push(Offer {
                kind: content.kind(),
                pack: pack.clone(),
                path: content.main_source().map_or_else(String::new, plain_path),
                fit: model.fit(&content),
                content,
                base_prompt: manifest.base.prompt.clone(),
                examples: manifest.examples.clone(),
                aim: manifest.aim.clone(),
                stop: manifest.stop.clone(),
                defaults: manifest.defaults.clone(),
            });
        }
    }
    found.sort_by(|a, b| (a.kind, &a.fit).cmp(&(b.kind, &b.fit)));
    found
}

fn plain_path(source: &Source) -> String {
    match source {
        Source::Bundled(path) => path.display().to_string(),
        other => other.to_string(),
    }
}

/// Returns the guides and the judge of a pack whose files are bundled.
fn contents(pack: &str, manifest: &Manifest) -> Vec<Content> {
    let bundled = |source: &Source| match source {
        Source::Pack(path) => Some(Source::Bundled(Path::new(pack).join(path))),
        Source::Bundled(_) => Some(source.clone()),
        Source::Folder(_) | Source::Hub(_) => None,
    };
    // `None` if a file of the role is not bundled.
    let role = |role: &Role| {
        let source = role.source.as_ref().map(bundled);
        let adapter = role.adapter.as_ref().map(bundled);
        if source == Some(None) || adapter == Some(None) {
            return None;
        }
        Some(Role { source: source.flatten(), adapter: adapter.flatten(), ..role.clone() })
    };
    let tuned = manifest.tuned.as_ref().and_then(role);
    let untuned = manifest.untuned.as_ref().and_then(role);
    let pair = match (untuned, tuned) {
        (_, Some(tuned)) if tuned.source.is_none() => Some(Content::Adapter(tuned)),
        (Some(untuned), Some(tuned)) => Some(Content::Pair(Box::new(untuned), Box::new(tuned))),
        _ => None,
    };
    let value = manifest.value.as_ref().and_then(role).map(|value| match value.trunk {
        Some(_) => Content::Head(value),
        None => Content::ValueModel(value),
    });
    let judge = manifest.judge.as_ref().and_then(|judge| bundled(&judge.source));
    [pair, value, judge.map(Content::Judge)].into_iter().flatten().collect()
}

impl Content {
    fn kind(&self) -> OfferKind {
        match self {
            Self::Adapter(_) | Self::Pair(..) => OfferKind::Pair,
            Self::Head(_) | Self::ValueModel(_) => OfferKind::Value,
            Self::Judge(_) => OfferKind::Judge,
        }
    }

    fn main_source(&self) -> Option<&Source> {
        match self {
            Self::Adapter(role) => role.adapter.as_ref(),
            Self::Pair(_, role) => role.source.as_ref(),
            Self::Head(role) | Self::ValueModel(role) => role.source.as_ref(),
            Self::Judge(source) => Some(source),
        }
    }
}

/// The user's model, and the bundled pack that is compared with it.
struct Model<'a> {
    path: &'a Path,
    config: &'a LmConfig,
    tokenizer: &'a Tokenizer,
    folder: &'a Path,
}

/// The content of [`VOCABULARY`].
#[derive(Deserialize)]
struct VocabularyFile {
    tokens: usize,
    crc32: u32,
}

impl Model<'_> {
    fn fit(&self, content: &Content) -> Fit {
        let misfit = match content {
            Content::Adapter(role) => self.misfit_of_part("tuned", role),
            Content::Head(role) => self.misfit_of_part("value", role),
            // The halves of a bundled pair have one vocabulary.
            Content::Pair(role, _) => return self.fit_of_model("untuned", role),
            Content::ValueModel(role) => return self.fit_of_model("value", role),
            Content::Judge(source) => local(&Part::judge(source))
                .and_then(|folder| Judge::load(folder.path()).map(drop).map_err(|e| e.to_string()))
                .err(),
        };
        misfit.map_or(Fit::Fits, Fit::Not)
    }

    /// Returns why an adapter or a head does not fit the user's model.
    fn misfit_of_part(&self, name: &'static str, role: &Role) -> Option<String> {
        let known = read_text(&self.folder.join(VOCABULARY), MAX_VOCABULARY_BYTES).ok();
        let known: Option<VocabularyFile> = known.and_then(|text| serde_json::from_str(&text).ok());
        if let Some(known) = known
            && self.tokenizer.prefix_checksum(known.tokens) != Some(known.crc32)
        {
            return Some("It was made for a model with another vocabulary.".to_owned());
        }
        let part = Part::of(name, role).next()?;
        let folder = match local(&part) {
            Ok(local) => local.path().to_owned(),
            Err(reason) => return Some(reason),
        };
        let checked = match role.trunk {
            Some(_) => ValueModel::check_head(self.config, &folder),
            None => check_adapter(&folder, self.config, self.path),
        };
        checked.err().map(|error| {
            tracing::debug!("{} does not fit: {error}", folder.display());
            let size = format!("{} layers of {}", self.config.layers, self.config.hidden_size);
            format!("It was made for a model of another shape; this one has {size}.")
        })
    }

    /// Returns how a model of a pack fits the user's model.
    fn fit_of_model(&self, name: &'static str, role: &Role) -> Fit {
        let path: Result<PathBuf, String> = Part::of(name, role)
            .next()
            .ok_or_else(|| "Its files are missing.".to_owned())
            .and_then(|part| local(&part).map(|local| local.path().to_owned()));
        match path.and_then(|path| Tokenizer::load(&path).map_err(|e| e.to_string())) {
            Ok(other) if self.tokenizer.common_vocabulary(&other).is_ok() => Fit::Fits,
            Ok(_) => Fit::ReadsText,
            Err(reason) => Fit::Not(reason),
        }
    }
}

fn local(part: &Part<'_>) -> Result<Local, String> {
    let local = part.local(Path::new("")).map_err(|e| e.to_string())?;
    local.ok_or_else(|| "Its files are missing.".to_owned())
}

impl ModelReport {
    /// Returns the offers to attach unless the user decides otherwise: for each kind the first one
    /// that fits, and a judge only beside a guide.
    pub fn suggested(&self) -> Vec<bool> {
        let first = |kind: OfferKind| {
            self.offers.iter().position(|offer| offer.kind == kind && offer.fit == Fit::Fits)
        };
        let guides = [first(OfferKind::Pair), first(OfferKind::Value)];
        let judge = first(OfferKind::Judge).filter(|_| guides.iter().any(Option::is_some));
        let chosen: Vec<usize> = guides.into_iter().chain([judge]).flatten().collect();
        (0..self.offers.len()).map(|index| chosen.contains(&index)).collect()
    }

    /// Returns an example prompt for the model with these offers attached.
    pub fn example(&self, attached: &[bool]) -> String {
        let examples = self.attached(attached).find_map(|offer| offer.examples.first());
        let own = if self.has_chat_template { "Why is the sky blue?" } else { "This film" };
        examples.cloned().unwrap_or_else(|| own.to_owned())
    }

    /// Returns a sentence about how the base reads a prompt with these offers attached.
    pub fn prompt_note(&self, attached: &[bool]) -> String {
        match self.attached(attached).find(|offer| offer.is_on_model()) {
            Some(offer) => format!(
                "The model reads prompts as in the pack {}, because its guides were trained with \
                 that format.",
                offer.pack
            ),
            None if self.has_chat_template => {
                "The model reads prompts with its chat template.".to_owned()
            }
            None => "The model reads prompts as they are typed.".to_owned(),
        }
    }

    fn attached<'a>(&'a self, attached: &'a [bool]) -> impl Iterator<Item = &'a Offer> {
        let chosen = self.offers.iter().zip(attached);
        chosen.filter(|(offer, on)| **on && offer.can_attach()).map(|(offer, _)| offer)
    }

    /// Returns the pack of the model with these offers attached.
    pub fn manifest(&self, name: &str, attached: &[bool]) -> Manifest {
        let on_model = self.attached(attached).find(|offer| offer.is_on_model());
        let guide = on_model
            .or_else(|| self.attached(attached).find(|offer| offer.kind != OfferKind::Judge));
        let prompt = on_model.map_or_else(|| self.own_prompt(), |offer| offer.base_prompt.clone());
        let base = Role {
            source: Some(Source::Folder(self.path.clone())),
            trunk: None,
            adapter: None,
            precision: None,
            prompt,
        };
        let names: Vec<&str> = self.attached(attached).map(|offer| offer.path.as_str()).collect();
        let description = match names.is_empty() {
            true => format!("{} {} without guidance.", self.family, self.name),
            false => format!("{} {} with {}.", self.family, self.name, names.join(", ")),
        };
        let mut manifest = Manifest {
            name: name.trim().to_owned(),
            description,
            licence: None,
            url: None,
            base,
            untuned: None,
            tuned: None,
            value: None,
            judge: None,
            eval_prompts: None,
            examples: guide.map(|offer| offer.examples.clone()).unwrap_or_default(),
            aim: guide.and_then(|offer| offer.aim.clone()),
            stories: Vec::new(),
            steers: Vec::new(),
            stop: guide.map(|offer| offer.stop.clone()).unwrap_or_default(),
            defaults: guide.map(|offer| offer.defaults.clone()).unwrap_or_default(),
        };
        // Pairs come before value heads, which use the untuned model if there is one.
        self.attached(attached).for_each(|offer| offer.content.add_to(&mut manifest));
        manifest
    }
}

impl Content {
    fn add_to(&self, manifest: &mut Manifest) {
        match self {
            Self::Adapter(tuned) => {
                let untuned = Role { prompt: tuned.prompt.clone(), ..manifest.base.clone() };
                let tuned = Role { precision: untuned.precision, ..tuned.clone() };
                (manifest.untuned, manifest.tuned) = (Some(untuned), Some(tuned));
            }
            Self::Pair(untuned, tuned) => {
                manifest.untuned = Some(Role::clone(untuned));
                manifest.tuned = Some(Role::clone(tuned));
            }
            Self::Head(value) => {
                // With an adapter, the untuned model is the user's model.
                let has_adapter = manifest.tuned.as_ref().is_some_and(|t| t.source.is_none());
                let (trunk, owner) = match &manifest.untuned {
                    Some(untuned) if has_adapter => (BackboneRole::Untuned, untuned),
                    _ => (BackboneRole::Base, &manifest.base),
                };
                let prompt = owner.prompt.clone();
                manifest.value = Some(Role { trunk: Some(trunk), prompt, ..value.clone() });
            }
            Self::ValueModel(value) => manifest.value = Some(value.clone()),
            Self::Judge(source) => manifest.judge = Some(JudgeRole { source: source.clone() }),
        }
    }
}

#[cfg(test)]
#[path = "offers_tests.rs"]
mod tests;
