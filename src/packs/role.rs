//! One role of a pack: its files, how its weights are held, how it reads a prompt.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::asset_roots;
use super::error::PackError;
use super::hub::{Need, Order};
use super::source::{Local, Source, check_inside, expanded, inside, is_gguf, snapshot};
use crate::lm::{Precision, PromptText, why_no_model};

/// Where the typed prompt goes in a template.
pub const PLACEHOLDER: &str = "{prompt}";

/// A language model or a value model of a pack.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its files; none for a tuned model that is an adapter on the untuned one's weights. Where
    /// there is a `trunk`, a folder with a head alone.
    pub source: Option<Source>,
    /// For a value model: the role on whose model the head stands.
    pub trunk: Option<Trunk>,
    /// A PEFT LoRA folder that is put on the weights.
    pub adapter: Option<Source>,
    /// How the weights are held; none: as suits the files (f32 for safetensors, Q8_0 for a
    /// `.gguf`).
    pub precision: Option<Precision>,
    /// How the prompt is put to this model.
    pub prompt: PromptStyle,
}

/// The role on whose model a value head stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trunk {
    /// The model that is guided.
    Base,
    /// The small model before preference tuning.
    Untuned,
    /// The same after it.
    Tuned,
}

impl Trunk {
    /// The role's name in a pack.
    pub fn role(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Untuned => "untuned",
            Self::Tuned => "tuned",
        }
    }

    /// The one of three that it names.
    pub fn of<T>(self, base: T, untuned: Option<T>, tuned: Option<T>) -> Option<T> {
        match self {
            Self::Base => Some(base),
            Self::Untuned => untuned,
            Self::Tuned => tuned,
        }
    }
}

/// How a typed prompt is put to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptStyle {
    /// Text in which [`PLACEHOLDER`] stands for what was typed.
    Template(String),
    /// The model's own chat template.
    Chat {
        /// The system prompt, if there is to be one.
        system: Option<String>,
    },
}

impl Default for PromptStyle {
    fn default() -> Self {
        Self::Template(PLACEHOLDER.to_owned())
    }
}

/// The judge of a pack, which measures and never guides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgeRole {
    /// Its files.
    pub source: Source,
}

impl Role {
    /// The text this role reads for a typed prompt. A chat template is the model's and not the
    /// pack's: for [`PromptStyle::Chat`] this is what was typed.
    pub fn fill(&self, prompt: &str) -> PromptText {
        match &self.prompt {
            PromptStyle::Template(template) => PromptText::fill(template, PLACEHOLDER, prompt),
            PromptStyle::Chat { .. } => PromptText::plain(prompt),
        }
    }
}

/// What a role is loaded from, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFiles {
    /// The weights; those of the untuned model for a tuned one that is an adapter alone, and the
    /// head for a value model that stands on another role's.
    pub weights: Option<Local>,
    /// The adapter put on them.
    pub adapter: Option<PathBuf>,
}

impl RoleFiles {
    /// Weights and adapter, whichever there are.
    pub fn all(&self) -> impl Iterator<Item = Local> + '_ {
        let adapter = self.adapter.iter().cloned().map(Local::Folder);
        self.weights.iter().cloned().chain(adapter)
    }
}

/// A place inside a pack that came with the program, and where such packs are.
fn bundled(path: &Path) -> (PathBuf, PathBuf) {
    let roots = asset_roots();
    let there = |root: &&PathBuf| root.join(path).exists();
    // What is nowhere is missed where the packs are.
    let is_root = |root: &&PathBuf| root.is_dir();
    let root = roots.iter().find(there).or_else(|| roots.iter().find(is_root));
    let root = root.cloned().unwrap_or_default();
    (root.join(path), root)
}

/// One thing a role needs, and what must be in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part<'a> {
    pub role: &'static str,
    pub source: &'a Source,
    pub need: Need,
}

impl<'a> Part<'a> {
    /// What a role is loaded from, weights first.
    pub fn of(name: &'static str, role: &'a Role) -> impl Iterator<Item = Self> {
        let need = |source: &Source| match source {
            _ if role.trunk.is_some() => Need::Head,
            Source::Hub(model) => model.file.clone().map_or(Need::Model, Need::Gguf),
            Source::Pack(_) | Source::Bundled(_) | Source::Folder(_) => Need::Model,
        };
        let weights = role.source.iter().map(move |source| (source, need(source)));
        let adapter = role.adapter.iter().map(|source| (source, Need::Adapter));
        weights.chain(adapter).map(move |(source, need)| Self { role: name, source, need })
    }

    pub fn judge(source: &'a Source) -> Self {
        Self { role: "judge", source, need: Need::Judge }
    }

    /// Puts the files where the role looks for them.
    pub fn put(&self, local: Local, files: &mut RoleFiles) {
        match (&self.need, local) {
            (Need::Adapter, local) => files.adapter = Some(local.path().to_owned()),
            (_, local) => files.weights = Some(local),
        }
    }

    /// What to ask the hub for, if it is there.
    pub fn order(&self) -> Option<Order> {
        let Source::Hub(model) = self.source else { return None };
        Some(Order { role: self.role, model: model.clone(), need: self.need.clone() })
    }

    /// The files, if they are on this machine without a hub.
    ///
    /// # Errors
    /// A link out of the pack; a place that is not there.
    pub fn local(&self, pack: &Path) -> Result<Option<Local>, PackError> {
        // What comes with a pack may not lead out of it, nor may a snapshot in it.
        let within = |root: &Path, path: &Path| {
            let found = inside(root, path).and_then(snapshot)?;
            check_inside(root, &found).map(|()| found)
        };
        let (path, found) = match self.source {
            Source::Hub(_) => return Ok(None),
            Source::Pack(path) => (pack.join(path), within(pack, path)),
            Source::Bundled(path) => {
                let (place, root) = bundled(path);
                (place, within(&root, path))
            }
            Source::Folder(path) => (path.clone(), expanded(path).and_then(snapshot)),
        };
        let failed = |reason| PackError::Place { role: self.role, path, reason };
        let found = found.map_err(failed)?;
        let local = Local::at(found.clone());
        let is_there = match local {
            Local::Folder(_) => found.is_dir(),
            Local::Gguf(_) => found.is_file(),
        };
        if is_there {
            if matches!(local, Local::Gguf(_)) && !matches!(self.need, Need::Model | Need::Gguf(_))
            {
                let reason = "is a GGUF file; name a folder".to_owned();
                return Err(PackError::Place { role: self.role, path: found, reason });
            }
            if self.role == "value" && self.need == Need::Model && is_bare_head(&local) {
                let reason = "holds no config.json: a head alone stands on another role's model; \
                              say which with trunk"
                    .to_owned();
                return Err(PackError::Place { role: self.role, path: found, reason });
            }
            let lone = lone_gguf(&local).filter(|_| self.need == Need::Model);
            if let Some(file) = lone {
                let reason = format!("holds no config.json, but {file}; name that file itself");
                return Err(PackError::Place { role: self.role, path: found, reason });
            }
            return Ok(Some(local));
        }
        if let Some(reason) = why_no_model(&found) {
            return Err(PackError::Place { role: self.role, path: found, reason });
        }
        let reason = match self.source {
            _ if found.is_file() => "is a file and no GGUF file; name the folder that it is in",
            _ if found.exists() => "is no folder and no file; name a folder or a .gguf file",
            Source::Pack(_) => "is not there; check that the pack folder is complete",
            Source::Bundled(_) if found.parent().is_some_and(Path::is_dir) => {
                "did not come with the program; correct the path in pack.toml"
            }
            Source::Bundled(_) => "is not there; check that the program's folder is complete",
            _ => "is not there; correct the path in pack.toml",
        };
        Err(PackError::Place { role: self.role, path: found, reason: reason.to_owned() })
    }
}

/// Whether a folder holds weights and says nothing of the model under them.
fn is_bare_head(local: &Local) -> bool {
    let Local::Folder(folder) = local else { return false };
    folder.join("model.safetensors").is_file() && !folder.join("config.json").exists()
}

/// The name of a `.gguf` file in a folder that is no model by itself.
fn lone_gguf(local: &Local) -> Option<String> {
    let Local::Folder(folder) = local else { return None };
    let is_other = folder.join("config.json").exists() || folder.join("model.safetensors").exists();
    let files = local.files().ok().filter(|_| !is_other)?;
    let file = files.into_iter().find(|file| is_gguf(file))?;
    Some(file.file_name()?.to_string_lossy().into_owned())
}
