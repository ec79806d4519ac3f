//! Decoders: prompts and tokens in, hidden states and logits out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::adapter::Adapter;
use super::cache::{Cache, Owner};
use super::config::LmConfig;
use super::error::{LmError, Result};
use super::model_files::open;
use super::weights::{Outer, Picker, Precision, Weights};
use super::{cpu, portable};

/// Tokens of a prompt read at once: bounds the score matrix of a long prompt.
const PREFILL_CHUNK: usize = 256;

/// A decoder-only language model. Cloning shares the weights.
#[derive(Clone)]
pub struct Lm {
    inner: Arc<Inner>,
}

struct Inner {
    config: LmConfig,
    engine: Engine,
    /// What the caches of this model carry.
    owner: Owner,
    device: Device,
    parameters: usize,
    /// The folder or file it was loaded from.
    path: Option<PathBuf>,
}

/// Who does the arithmetic.
enum Engine {
    /// This program's own kernels, on the processor.
    Cpu(cpu::Model),
    /// candle's tensor operations, on any device.
    Portable(portable::Model),
}

impl Lm {
    /// Loads a Hugging Face folder, `config.json` and `model.safetensors` (f32, f16 or bf16;
    /// held as f32), or a GGUF file (held as Q8_0).
    ///
    /// # Errors
    /// A sentence naming the file and the field or tensor that is missing, damaged, of the
    /// wrong shape or not supported.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        Self::load_as(path, None, device)
    }

    /// As [`Lm::load`], its matrices held as `precision` says, where it says something.
    ///
    /// # Errors
    /// As [`Lm::load`].
    pub fn load_as(path: &Path, precision: Option<Precision>, device: &Device) -> Result<Self> {
        let (config, weights) = open(path, precision, device)?;
        let mut lm = Self::from_weights(config, &weights, device)?;
        if let Some(inner) = Arc::get_mut(&mut lm.inner) {
            inner.path = Some(path.to_owned());
        }
        Ok(lm)
    }

    /// Looks up every tensor that [`Lm::load`] would take, by name, shape and type, without reading
    /// it; with `needs_head`, also whether the model can give logits. Returns what is worth knowing
    /// of a model that loads, a sentence each.
    ///
    /// # Errors
    /// As [`Lm::load`], and [`LmError::NoHead`].
    pub fn check(path: &Path, needs_head: bool) -> Result<Vec<String>> {
        let (config, weights) = open(path, None, &Device::Cpu)?;
        config.check(weights.file())?;
        let weights = weights.hollow();
        let pick = Picker::new(&config, &weights);
        let Outer { head, .. } = pick.outer()?;
        if needs_head && head.is_none() && !config.tied {
            return Err(LmError::NoHead);
        }
        (0..config.layers).try_for_each(|layer| pick.block(layer).map(drop))?;
        let mut notes = Vec::new();
        if config.tied && head.is_some() {
            notes.push(
                "config.json ties the output head to the embedding, but the file holds another \
                 head, which is used"
                    .to_owned(),
            );
        }
        refuse_left_out(&pick, &weights)?;
        if let [first, rest @ ..] = pick.left_out().as_slice() {
            let more =
                if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            notes.push(format!(
                "the weights hold '{first}'{more}, which a model of this configuration does not use"
            ));
        }
        Ok(notes)
    }

    /// The same model with a PEFT LoRA folder's adapter put on it. The weights are shared with
    /// this one, not copied.
    ///
    /// # Errors
    /// A setting of the adapter that is not supported; a tensor that does not fit this model.
    pub fn with_adapter(&self, dir: &Path) -> Result<Self> {
        let adapter = Adapter::load(dir, self.config(), self.inner.path.as_deref())?;
        let engine = match &self.inner.engine {
            Engine::Cpu(model) => Engine::Cpu(model.adapted(&adapter)?),
            Engine::Portable(model) => Engine::Portable(model.adapted(&adapter)?),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                config: self.config().clone(),
                engine,
                owner: Owner::default(),
                device: self.inner.device.clone(),
                parameters: self.inner.parameters + adapter.parameters(),
                path: None,
            }),
        })
    }

    /// Whether both are one model: the same weights in the same memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// A model from tensors in memory, under their Hugging Face names.
    ///
    /// # Errors
    /// As [`Lm::load`].
    pub fn from_tensors(
        config: LmConfig,
        tensors: HashMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self> {
        Self::from_weights(config, &Weights::from_tensors(tensors, device)?, device)
    }

    /// A model from weights already read. Its head is `lm_head.weight`, or the embedding where
    /// the configuration ties them; a model with neither gives hidden states only.
    ///
    /// # Errors
    /// As [`Lm::load`].
    pub fn from_weights(config: LmConfig, weights: &Weights, device: &Device) -> Result<Self> {
        Self::build(config, weights, device, device.is_cpu())
    }

    /// As [`Lm::from_weights`], but with candle's tensor operations even on the processor: the
    /// way other devices compute, for comparing.
    ///
    /// # Errors
    /// As [`Lm::load`].
    pub fn portable(config: LmConfig, weights: &Weights, device: &Device) -> Result<Self> {
        Self::build(config, weights, device, false)
    }

    fn build(config: LmConfig, weights: &Weights, device: &Device, own: bool) -> Result<Self> {
        config.check(weights.file())?;
        let pick = Picker::new(&config, weights);
        let engine = if own {
            Engine::Cpu(cpu::Model::new(&config, &pick)?)
        } else {
            Engine::Portable(portable::Model::new(&config, &pick, device)?)
        };
        refuse_left_out(&pick, weights)?;
        let parameters = pick.parameters();
        let device = device.clone();
        let owner = Owner::default();
        let inner = Inner { config, engine, owner, device, parameters, path: None };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether it can give logits: a model that values text alone cannot.
    pub fn has_head(&self) -> bool {
        match &self.inner.engine {
            Engine::Cpu(model) => model.has_head(),
            Engine::Portable(model) => model.has_head(),
        }
    }

    /// Shape and constants.
    pub fn config(&self) -> &LmConfig {
        &self.inner.config
    }

    /// Number of weights, an embedding that is also the head counted once.
    pub fn parameters(&self) -> usize {
        self.inner.parameters
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// Reads a prompt. Gives a cache of one row, whose prompt all its forks share, and the
    /// final-normed hidden states of all prompt positions, `[P, hidden]`.
    ///
    /// # Errors
    /// [`LmError::EmptyPrompt`], [`LmError::ContextFull`] or [`LmError::Token`].
    pub fn prefill(&self, prompt: &[u32]) -> Result<(Cache, Tensor)> {
        if prompt.is_empty() {
            return Err(LmError::EmptyPrompt);
        }
        self.check_room(prompt.len())?;
        let owner = self.inner.owner.clone();
        let mut cache = match &self.inner.engine {
            Engine::Cpu(model) => model.cache(owner),
            Engine::Portable(model) => model.cache(prompt.len(), owner)?,
        };
        let mut hidden = Vec::new();
        for chunk in prompt.chunks(PREFILL_CHUNK) {
            hidden.push(self.forward(&mut cache, &[chunk])?.squeeze(0)?);
        }
        Ok((cache.into_prompt()?, Tensor::cat(&hidden, 0)?))
    }

    /// Appends `rows[r]` to row r of `cache`, each row at its own position; lengths may differ
    /// and may be 0. Gives the final-normed hidden states `[rows, T, hidden]`, T the longest
    /// length. What stands past a row's own length is padding without meaning.
    ///
    /// After an error the rows are as they were.
    ///
    /// # Errors
    /// [`LmError::Call`] for a cache of another model or another number of rows,
    /// [`LmError::ContextFull`], [`LmError::Token`].
    pub fn forward(&self, cache: &mut Cache, rows: &[&[u32]]) -> Result<Tensor> {
        let config = self.config();
        if !cache.belongs_to(&self.inner.owner) {
            let problem = "the cache was made by another model; prefill the prompt with this one";
            return Err(LmError::Call(problem.into()));
        }
        if rows.len() != cache.rows() {
            let (given, held) = (rows.len(), cache.rows());
            let problem = format!("{given} rows of tokens were given to a cache of {held} rows");
            return Err(LmError::Call(problem));
        }
        let tokens = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        if tokens == 0 {
            let shape = (rows.len(), 0, config.hidden_size);
            return Ok(Tensor::zeros(shape, DType::F32, self.device())?);
        }
        for (index, row) in rows.iter().enumerate() {
            self.check_room(cache.len(index) + row.len())?;
            self.check_tokens(row)?;
        }
        match &self.inner.engine {
            Engine::Cpu(model) => model.run(cache, rows, tokens),
            Engine::Portable(model) => model.run(cache, rows, tokens),
        }
    }

    /// Logits `[N, vocab]` of hidden states `[N, hidden]`.
    ///
    /// # Errors
    /// [`LmError::NoHead`] for a model without a language-model head.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        match &self.inner.engine {
            Engine::Cpu(model) => model.logits(hidden),
            Engine::Portable(model) => model.logits(hidden),
        }
    }

    fn check_room(&self, needed: usize) -> Result<()> {
        let context_tokens = self.config().context_tokens;
        if needed > context_tokens {
            return Err(LmError::ContextFull { needed, context_tokens });
        }
        Ok(())
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let vocab_size = self.config().vocab_size;
        match tokens.iter().find(|&&token| token as usize >= vocab_size) {
            Some(&token) => Err(LmError::Token { token, vocab_size }),
            None => Ok(()),
        }
    }
}

/// Refuses a GGUF file with tensors that the model would go without. Files for transformers may
/// hold more than their model, which transformers leaves out as well.
fn refuse_left_out(pick: &Picker<'_>, weights: &Weights) -> Result<()> {
    if !weights.is_gguf() {
        return Ok(());
    }
    match pick.left_out().first() {
        None => Ok(()),
        Some(name) => Err(LmError::Unsupported {
            file: weights.file().to_path_buf(),
            what: format!("tensor '{name}', which this architecture does not have,"),
            instead: "file of the standard architecture".into(),
        }),
    }
}
