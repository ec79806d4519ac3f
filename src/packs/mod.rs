//! Model packs: which models play which role, and where their files come from.

mod manifest;

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use manifest::{MANIFEST, Manifest, Role};

use crate::guidance::{GuidanceError, Models, Pair, Prompts};
use crate::lm::{Lm, LmError, Tokenizer, ValueModel};

/// Name of the pack that the program starts with.
pub const DEFAULT_PACK: &str = "imdb";

/// Which pack to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackSource {
    /// A pack that came with the program, by name.
    Bundled(String),
    /// A folder that holds a `pack.toml`.
    Folder(PathBuf),
}

impl Default for PackSource {
    fn default() -> Self {
        Self::Bundled(DEFAULT_PACK.to_owned())
    }
}

/// Why a pack cannot be used.
#[derive(Debug, Error)]
pub enum PackError {
    /// No bundled pack of that name.
    #[error("no bundled pack '{name}'; looked in {}. Run from the project's folder, or name a pack folder with --pack", list(.looked))]
    NotBundled {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}; check that the pack folder is complete", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A manifest that says something wrong.
    #[error("{}: {reason}", .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A model that does not load.
    #[error("{role} model: {source}")]
    Model {
        /// The role.
        role: &'static str,
        /// What is wrong.
        source: LmError,
    },
    /// Guidance between different vocabularies would be silently wrong.
    #[error(
        "{role} and base have different vocabularies ({difference}); guidance adds logits token \
         by token, so choose models of one tokenizer"
    )]
    Vocabulary {
        /// The role that differs from the base.
        role: &'static str,
        /// The first difference.
        difference: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl PackSource {
    /// The folder that holds the pack.
    ///
    /// # Errors
    /// [`PackError::NotBundled`] if no place where bundled packs are kept has it.
    pub fn folder(&self) -> Result<PathBuf, PackError> {
        let name = match self {
            PackSource::Folder(folder) => return Ok(folder.clone()),
            PackSource::Bundled(name) => name,
        };
        let looked: Vec<PathBuf> =
            asset_roots().into_iter().map(|r| r.join("assets/packs").join(name)).collect();
        let found = looked.iter().find(|p| p.join(MANIFEST).is_file()).cloned();
        found.ok_or_else(|| PackError::NotBundled { name: name.clone(), looked })
    }
}

/// Beside the program (an unpacked release), then where it was built (`cargo run`).
fn asset_roots() -> Vec<PathBuf> {
    let exe = std::env::current_exe().ok();
    let beside = exe.as_deref().and_then(Path::parent).map(Path::to_owned);
    beside.into_iter().chain([PathBuf::from(env!("CARGO_MANIFEST_DIR"))]).collect()
}

/// A loaded pack.
pub struct Pack {
    /// What its file says.
    pub manifest: Manifest,
    /// Its models.
    pub models: Models,
}

impl Pack {
    /// Loads every model of the pack. `progress` hears which model is read next and the share
    /// done before it (0 to 1).
    ///
    /// # Errors
    /// The first file that is missing, damaged or does not fit the others.
    pub fn load(
        source: &PackSource,
        device: &Device,
        progress: &mut dyn FnMut(&str, f32),
    ) -> Result<Self, PackError> {
        let folder = source.folder()?;
        let manifest = Manifest::read(&folder)?;
        progress("base", 0.0);
        let base = load_lm("base", &folder, &manifest.base, device)?;
        let tokenizer = load_tokenizer("base", &folder, &manifest.base)?;
        let reads_same = |role: &'static str, from: &Role, lm: &Lm| {
            let other = load_tokenizer(role, &folder, from)?;
            check_vocabulary(role, (&base, &tokenizer), (lm, &other))
        };
        let pair = match (&manifest.untuned, &manifest.tuned) {
            (Some(untuned), Some(tuned)) => {
                progress("untuned", 0.5);
                let untuned_lm = load_lm("untuned", &folder, untuned, device)?;
                reads_same("untuned", untuned, &untuned_lm)?;
                progress("tuned", 0.7);
                let tuned_lm = load_lm("tuned", &folder, tuned, device)?;
                reads_same("tuned", tuned, &tuned_lm)?;
                Some(Pair { untuned: untuned_lm, tuned: tuned_lm })
            }
            _ => None,
        };
        let value = match &manifest.value {
            Some(role) => {
                progress("value", 0.9);
                let model = ValueModel::load(&folder.join(&role.path), device)
                    .map_err(|source| PackError::Model { role: "value", source })?;
                reads_same("value", role, model.trunk())?;
                Some(model)
            }
            None => None,
        };
        Ok(Self { manifest, models: Models { base, pair, value, tokenizer } })
    }

    /// The prompt as each role reads it, in tokens.
    ///
    /// # Errors
    /// An empty prompt; text the tokenizer refuses.
    pub fn prompts(&self, prompt: &str) -> Result<Prompts, GuidanceError> {
        if prompt.trim().is_empty() {
            return Err(GuidanceError::EmptyPrompt);
        }
        let encode = |role: &Role, lm: &Lm| -> Result<Vec<u32>, GuidanceError> {
            let ids = self.models.tokenizer.encode(&role.fill(prompt))?;
            Ok(lm.config().bos.into_iter().chain(ids).collect())
        };
        let (manifest, models) = (&self.manifest, &self.models);
        let guides = match (&manifest.untuned, &models.pair) {
            (Some(role), Some(pair)) => encode(role, &pair.untuned)?,
            _ => Vec::new(),
        };
        let value = match (&manifest.value, &models.value) {
            (Some(role), Some(value)) => encode(role, value.trunk())?,
            _ => Vec::new(),
        };
        Ok(Prompts { base: encode(&manifest.base, &models.base)?, guides, value })
    }

    /// Role names and parameter counts, in the order base, untuned, tuned, value.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut sizes = vec![("base", self.models.base.parameters())];
        if let Some(pair) = &self.models.pair {
            sizes.push(("untuned", pair.untuned.parameters()));
            sizes.push(("tuned", pair.tuned.parameters()));
        }
        sizes.extend(self.models.value.iter().map(|v| ("value", v.trunk().parameters())));
        sizes
    }

    /// Longest prompt and response together that every model can read, in tokens.
    pub fn context_tokens(&self) -> usize {
        let models = &self.models;
        let pair = models.pair.iter().flat_map(|p| [&p.untuned, &p.tuned]);
        let value = models.value.iter().map(ValueModel::trunk);
        let all = std::iter::once(&models.base).chain(pair).chain(value);
        all.map(|lm| lm.config().context_tokens).min().unwrap_or(0)
    }
}

fn load_lm(
    role: &'static str,
    folder: &Path,
    from: &Role,
    device: &Device,
) -> Result<Lm, PackError> {
    Lm::load(&folder.join(&from.path), device).map_err(|source| PackError::Model { role, source })
}

fn load_tokenizer(role: &'static str, folder: &Path, from: &Role) -> Result<Tokenizer, PackError> {
    Tokenizer::load(&folder.join(&from.path)).map_err(|source| PackError::Model { role, source })
}

/// One vocabulary, by content and by the width of the logits.
fn check_vocabulary(
    role: &'static str,
    base: (&Lm, &Tokenizer),
    other: (&Lm, &Tokenizer),
) -> Result<(), PackError> {
    let differs = |difference| PackError::Vocabulary { role, difference };
    base.1.same_vocabulary(other.1).map_err(differs)?;
    let (ours, theirs) = (base.0.config().vocab_size, other.0.config().vocab_size);
    if ours != theirs {
        return Err(differs(format!("{theirs} embedding rows against {ours}")));
    }
    if base.1.vocab_size() > ours {
        return Err(differs(format!(
            "the tokenizer has {} tokens, the models {ours} embedding rows",
            base.1.vocab_size()
        )));
    }
    Ok(())
}
