//! Model packs: which models play which role, and where their files come from.

mod hub;
mod manifest;

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use manifest::{JudgeRole, MANIFEST, Manifest, Role};

use crate::guidance::{GuidanceError, Models, Pair, Prompts, ValueGuide, ValuePrompt};
use crate::judge::{Judge, JudgeError};
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
    /// A file of a hub model that cannot be had.
    #[error("{id} on the hub, {file}: {reason}")]
    Hub {
        /// The model.
        id: String,
        /// The file.
        file: String,
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
    /// A judge that does not load.
    #[error("gold judge: {0}")]
    Judge(#[from] JudgeError),
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
    /// Its gold judge.
    pub judge: Option<Judge>,
    /// The folder of its `pack.toml`.
    pub folder: PathBuf,
    /// The folders its files came from: role and folder.
    folders: Vec<(&'static str, PathBuf)>,
}

impl Pack {
    /// Loads every model of the pack. `progress` hears what is read or downloaded, and the share
    /// done (0 to 1).
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
        let mut loader =
            Loader { pack: &folder, device, progress, folders: Vec::new(), vocab_size: 0 };
        let (base, tokenizer) = loader.lm("base", &manifest.base, 0.0)?;
        loader.vocab_size = tokenizer.vocab_size();
        let common = (&base, &tokenizer);
        let pair = match (&manifest.untuned, &manifest.tuned) {
            (Some(untuned), Some(tuned)) => Some(Pair {
                untuned: loader.guide("untuned", untuned, 0.5, common)?,
                tuned: loader.guide("tuned", tuned, 0.7, common)?,
            }),
            _ => None,
        };
        let value = manifest.value.as_ref().map(|role| loader.value(role, 0.9, common));
        let value = value.transpose()?;
        let judge = manifest.judge.as_ref().map(|role| loader.judge(role)).transpose()?;
        let folders = loader.folders;
        let vocab_size = loader.vocab_size;
        let models = Models { base, pair, value, tokenizer, vocab_size };
        Ok(Self { manifest, models, judge, folder, folders })
    }

    /// The gold reward of a finished text; none for a pack without a judge.
    pub fn gold_reward(&self, prompt: &str, response: &str) -> Option<f32> {
        let judge = self.judge.as_ref()?;
        Some(judge.gold_reward(&format!("{prompt}{response}")))
    }

    /// Checksum of the files of every role, one after another: packs of one name and other
    /// weights give other texts.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub fn fingerprint(&self) -> Result<u32, PackError> {
        let mut hasher = crc32fast::Hasher::new();
        for (role, folder) in &self.folders {
            hasher.update(role.as_bytes());
            let failed = |file: &Path, source| PackError::Unreadable { file: file.into(), source };
            let entries = std::fs::read_dir(folder).map_err(|e| failed(folder, e))?;
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files
                .retain(|file| file.extension().is_some_and(|e| e == "safetensors" || e == "json"));
            files.sort();
            for file in files {
                hasher.update(&std::fs::read(&file).map_err(|e| failed(&file, e))?);
            }
        }
        Ok(hasher.finalize())
    }

    /// The prompt as each role reads it, in tokens.
    ///
    /// # Errors
    /// An empty prompt; text the tokenizer refuses.
    pub fn prompts(&self, prompt: &str) -> Result<Prompts, GuidanceError> {
        if prompt.trim().is_empty() {
            return Err(GuidanceError::EmptyPrompt);
        }
        let tokenizer = &self.models.tokenizer;
        let encode = |role: &Role| -> Result<Vec<u32>, GuidanceError> {
            let ids = tokenizer.encode(&role.fill(prompt))?;
            Ok(tokenizer.prefix().iter().copied().chain(ids).collect())
        };
        let (manifest, models) = (&self.manifest, &self.models);
        let guides = match (&manifest.untuned, &models.pair) {
            (Some(role), Some(_)) => encode(role)?,
            _ => Vec::new(),
        };
        let value = match (&manifest.value, &models.value) {
            (Some(role), Some(ValueGuide { tokenizer: Some(_), .. })) => {
                ValuePrompt::Text(role.fill(prompt))
            }
            (Some(role), Some(_)) => ValuePrompt::Tokens(encode(role)?),
            _ => ValuePrompt::Tokens(Vec::new()),
        };
        Ok(Prompts { base: encode(&manifest.base)?, guides, value })
    }

    /// Role names and parameter counts, in the order base, untuned, tuned, value.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut sizes = vec![("base", self.models.base.parameters())];
        if let Some(pair) = &self.models.pair {
            sizes.push(("untuned", pair.untuned.parameters()));
            sizes.push(("tuned", pair.tuned.parameters()));
        }
        sizes.extend(self.models.value.iter().map(|v| ("value", v.model.trunk().parameters())));
        sizes
    }

    /// Longest prompt and response together that every model can read, in tokens.
    pub fn context_tokens(&self) -> usize {
        let models = &self.models;
        let pair = models.pair.iter().flat_map(|p| [&p.untuned, &p.tuned]);
        let value = models.value.iter().map(|value| value.model.trunk());
        let all = std::iter::once(&models.base).chain(pair).chain(value);
        all.map(|lm| lm.config().context_tokens).min().unwrap_or(0)
    }
}

/// Reads the roles of one pack.
struct Loader<'a> {
    pack: &'a Path,
    device: &'a Device,
    progress: &'a mut dyn FnMut(&str, f32),
    folders: Vec<(&'static str, PathBuf)>,
    /// Ids that all token models read so far have in common.
    vocab_size: usize,
}

impl Loader<'_> {
    /// Where the role's files are, once they are there. `done` is the share of the pack before it.
    fn folder(&mut self, name: &'static str, role: &Role, done: f32) -> Result<PathBuf, PackError> {
        let progress = &mut self.progress;
        progress(&format!("{name} model"), done);
        let folder = role.folder(self.pack, &mut |file, share| {
            progress(&format!("{name} model, {file}: {:.0}%", share * 100.0), done);
        })?;
        self.folders.push((name, folder.clone()));
        Ok(folder)
    }

    fn judge(&mut self, role: &JudgeRole) -> Result<Judge, PackError> {
        let folder = self.pack.join(&role.path);
        let judge = Judge::load(&folder)?;
        self.folders.push(("judge", folder));
        Ok(judge)
    }

    fn lm(
        &mut self,
        name: &'static str,
        role: &Role,
        done: f32,
    ) -> Result<(Lm, Tokenizer), PackError> {
        let folder = self.folder(name, role, done)?;
        let failed = |source| PackError::Model { role: name, source };
        let lm = Lm::load(&folder, self.device).map_err(failed)?;
        Ok((lm, Tokenizer::load(&folder).map_err(failed)?))
    }

    /// A model that must share the base's vocabulary.
    fn guide(
        &mut self,
        name: &'static str,
        role: &Role,
        done: f32,
        base: (&Lm, &Tokenizer),
    ) -> Result<Lm, PackError> {
        let (lm, tokenizer) = self.lm(name, role, done)?;
        let common = check_vocabulary(name, base, (&lm, &tokenizer))?;
        self.vocab_size = self.vocab_size.min(common);
        Ok(lm)
    }

    /// A value model of another vocabulary reads text.
    fn value(
        &mut self,
        role: &Role,
        done: f32,
        base: (&Lm, &Tokenizer),
    ) -> Result<ValueGuide, PackError> {
        let folder = self.folder("value", role, done)?;
        let failed = |source| PackError::Model { role: "value", source };
        let model = ValueModel::load(&folder, self.device).map_err(failed)?;
        let tokenizer = Tokenizer::load(&folder).map_err(failed)?;
        let shared = base.1.common_vocabulary(&tokenizer);
        let reads_tokens =
            shared.is_ok_and(|_| base.1.vocab_size() <= model.trunk().config().vocab_size);
        Ok(ValueGuide { model, tokenizer: (!reads_tokens).then_some(tokenizer) })
    }
}

/// How many ids two models have in common, by content and by what their logits cover.
fn check_vocabulary(
    role: &'static str,
    base: (&Lm, &Tokenizer),
    other: (&Lm, &Tokenizer),
) -> Result<usize, PackError> {
    let differs = |difference| PackError::Vocabulary { role, difference };
    let common = base.1.common_vocabulary(other.1).map_err(differs)?;
    for (lm, whose) in [(base.0, "base"), (other.0, role)] {
        let rows = lm.config().vocab_size;
        if rows < common {
            return Err(differs(format!(
                "the tokenizers have {common} tokens in common, {whose} has {rows} embedding rows"
            )));
        }
    }
    Ok(common)
}
