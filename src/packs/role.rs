//! One role of a pack: its files, the precision of its weights, and its prompt style.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::assets::asset_roots;
use super::error::PackError;
use super::hub::{FileSet, Need};
use super::source::{Local, Source, check_inside, expanded, inside, is_gguf, snapshot};
use crate::lm::{Precision, PromptText, not_a_model_reason};

/// Placeholder for the typed prompt in a template.
pub(crate) const PLACEHOLDER: &str = "{prompt}";
/// Placeholder for the instruction of a steer in a template. It is replaced by a space and the
/// instruction, or by nothing.
pub(crate) const INSTRUCTION: &str = "{instruction}";

/// A language model or a value model of a pack.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its files. `None` for a tuned model that is only an adapter for the untuned weights. With
    /// `trunk`, a folder that contains only a value head.
    pub source: Option<Source>,
    /// For a value head: the role whose model it uses.
    pub trunk: Option<BackboneRole>,
    /// A PEFT folder with a LoRA adapter for the weights.
    pub adapter: Option<Source>,
    /// Precision of the weights in memory. `None` selects f32 for safetensors and Q8_0 for a
    /// `.gguf`.
    pub precision: Option<Precision>,
    /// How the model reads the typed prompt.
    pub prompt: PromptStyle,
}

/// The role whose model a value head uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackboneRole {
    /// The model that is guided.
    Base,
    /// The small model before preference tuning.
    Untuned,
    /// The small model after preference tuning.
    Tuned,
}

impl BackboneRole {
    /// Returns the role's name in a pack.
    pub fn role(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Untuned => "untuned",
            Self::Tuned => "tuned",
        }
    }

    /// Returns the argument that belongs to this role.
    pub fn of<T>(self, base: T, untuned: Option<T>, tuned: Option<T>) -> Option<T> {
        match self {
            Self::Base => Some(base),
            Self::Untuned => untuned,
            Self::Tuned => tuned,
        }
    }
}

/// How a model reads the typed prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptStyle {
    /// Text in which `{prompt}` is replaced by the typed prompt, and `{instruction}` by the
    /// instruction of a steer.
    Template(String),
    /// The model's own chat template.
    Chat {
        /// The system prompt, if any.
        system: Option<String>,
    },
}

impl Default for PromptStyle {
    fn default() -> Self {
        Self::Template(PLACEHOLDER.to_owned())
    }
}

/// The gold judge of a pack. It is used only to measure, never to guide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgeRole {
    /// Its files.
    pub source: Source,
}

impl Role {
    /// Returns the text that this role reads for a typed prompt and an instruction, which may be
    /// empty. For [`PromptStyle::Chat`], returns the prompt itself: the chat template belongs to the
    /// model, not to the pack.
    pub fn fill(&self, prompt: &str, instruction: &str) -> PromptText {
        let PromptStyle::Template(template) = &self.prompt else {
            return PromptText::plain(prompt);
        };
        let mut parts = template.split(INSTRUCTION);
        let first = PromptText::fill(parts.next().unwrap_or_default(), PLACEHOLDER, prompt);
        let has_place = self.has_place_for_instruction();
        let filled = parts.fold(first, |filled, part| {
            let space = if instruction.is_empty() { "" } else { " " };
            let filled = filled.then_plain(space).then_plain(instruction);
            filled.then(PromptText::fill(part, PLACEHOLDER, prompt))
        });
        match instruction {
            "" => filled,
            _ if has_place => filled,
            _ => PromptText::plain(instruction).then_plain("\n\n").then(filled),
        }
    }

    /// Returns whether the prompt has a place for an instruction.
    pub(crate) fn has_place_for_instruction(&self) -> bool {
        match &self.prompt {
            PromptStyle::Template(template) => template.contains(INSTRUCTION),
            PromptStyle::Chat { .. } => true,
        }
    }
}

/// The local files of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleFiles {
    /// The weights. For a tuned role that is only an adapter, the untuned weights. For a value role
    /// with a trunk, the head.
    pub(crate) weights: Option<Local>,
    /// The folder with the adapter for the weights.
    pub(crate) adapter: Option<PathBuf>,
}

impl RoleFiles {
    /// Returns the weights and the adapter, if present.
    pub(super) fn all(&self) -> impl Iterator<Item = Local> + '_ {
        let adapter = self.adapter.iter().cloned().map(Local::Folder);
        self.weights.iter().cloned().chain(adapter)
    }
}

/// Returns the location of `path` inside a bundled pack, and the folder of the bundled packs.
fn bundled(path: &Path) -> (PathBuf, PathBuf) {
    let roots = asset_roots();
    let has_path = |root: &&PathBuf| root.join(path).exists();
    // The error about a missing path names a root that exists.
    let is_root = |root: &&PathBuf| root.is_dir();
    let root = roots.iter().find(has_path).or_else(|| roots.iter().find(is_root));
    let root = root.cloned().unwrap_or_default();
    (root.join(path), root)
}

/// One source of a role, and the files that it must contain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part<'a> {
    pub(crate) role: &'static str,
    pub(crate) source: &'a Source,
    pub(crate) need: Need,
}

impl<'a> Part<'a> {
    /// Returns the sources of a role, weights first.
    pub(super) fn of(name: &'static str, role: &'a Role) -> impl Iterator<Item = Self> {
        let need = |source: &Source| match source {
            _ if role.trunk.is_some() => Need::Head,
            Source::Hub(model) => model.file.clone().map_or(Need::Model, Need::Gguf),
            Source::Pack(_) | Source::Bundled(_) | Source::Folder(_) => Need::Model,
        };
        let weights = role.source.iter().map(move |source| (source, need(source)));
        let adapter = role.adapter.iter().map(|source| (source, Need::Adapter));
        weights.chain(adapter).map(move |(source, need)| Self { role: name, source, need })
    }

    pub(super) fn judge(source: &'a Source) -> Self {
        Self { role: "judge", source, need: Need::Judge }
    }

    /// Stores the files in the matching field of `files`.
    pub(crate) fn put(&self, local: Local, files: &mut RoleFiles) {
        match (&self.need, local) {
            (Need::Adapter, local) => files.adapter = Some(local.path().to_owned()),
            (_, local) => files.weights = Some(local),
        }
    }

    /// Returns the file set for a source on the hub, or `None` for a local source.
    pub(super) fn file_set(&self) -> Option<FileSet> {
        let Source::Hub(model) = self.source else { return None };
        Some(FileSet { role: self.role, model: model.clone(), need: self.need.clone() })
    }

    /// Returns the files of a local source, or `None` for a source on the hub.
    ///
    /// # Errors
    /// Fails if a link leads out of the pack or a path does not exist.
    pub(super) fn local(&self, pack: &Path) -> Result<Option<Local>, PackError> {
        // The path and a snapshot below it must both stay inside the pack.
        let within = |root: &Path, path: &Path| {
            let found = inside(root, path).and_then(snapshot)?;
            check_inside(root, &found).map(|()| found)
        };
        let (path, found) = match self.source {
            Source::Hub(_) => return Ok(None),
            Source::Pack(path) => (pack.join(path), within(pack, path)),
            Source::Bundled(path) => {
                let (full_path, root) = bundled(path);
                (full_path, within(&root, path))
            }
            Source::Folder(path) => (path.clone(), expanded(path).and_then(snapshot)),
        };
        let failed = |reason| PackError::Files { role: self.role, path, reason };
        let found = found.map_err(failed)?;
        let local = Local::at(found.clone());
        let exists = match local {
            Local::Folder(_) => found.is_dir(),
            Local::Gguf(_) => found.is_file(),
        };
        if exists {
            if matches!(local, Local::Gguf(_)) && !matches!(self.need, Need::Model | Need::Gguf(_))
            {
                let reason = "is a GGUF file; name a folder".to_owned();
                return Err(PackError::Files { role: self.role, path: found, reason });
            }
            if self.role == "value" && self.need == Need::Model && is_bare_head(&local) {
                let reason = "has no config.json; if it contains only a value head, write trunk \
                              to name the role whose model the head uses"
                    .to_owned();
                return Err(PackError::Files { role: self.role, path: found, reason });
            }
            let lone = lone_gguf(&local).filter(|_| self.need == Need::Model);
            if let Some(file) = lone {
                let reason = format!("has no config.json, but contains {file}; name that file");
                return Err(PackError::Files { role: self.role, path: found, reason });
            }
            return Ok(Some(local));
        }
        if let Some(reason) = not_a_model_reason(&found) {
            return Err(PackError::Files { role: self.role, path: found, reason });
        }
        let reason = match self.source {
            _ if found.is_file() => "is not a GGUF file; name the folder that contains the model",
            _ if found.exists() => "is not a folder or a file; name a folder or a .gguf file",
            Source::Pack(_) => "does not exist; check that the pack folder is complete",
            Source::Bundled(_) if found.parent().is_some_and(Path::is_dir) => {
                "is not part of a bundled pack; correct the path in pack.toml"
            }
            Source::Bundled(_) => "does not exist; check that the program's folder is complete",
            _ => "does not exist; correct the path in pack.toml",
        };
        Err(PackError::Files { role: self.role, path: found, reason: reason.to_owned() })
    }
}

/// Returns whether a folder has weights but no model configuration.
fn is_bare_head(local: &Local) -> bool {
    let Local::Folder(folder) = local else { return false };
    folder.join("model.safetensors").is_file() && !folder.join("config.json").exists()
}

/// Returns the name of a `.gguf` file in a folder that has neither a configuration nor safetensors.
fn lone_gguf(local: &Local) -> Option<String> {
    let Local::Folder(folder) = local else { return None };
    let is_model = folder.join("config.json").exists() || folder.join("model.safetensors").exists();
    let files = local.files().ok().filter(|_| !is_model)?;
    let file = files.into_iter().find(|file| is_gguf(file))?;
    Some(file.file_name()?.to_string_lossy().into_owned())
}
