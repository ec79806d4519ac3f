//! Decoders: prompts and tokens in, hidden states and logits out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::adapter::Adapter;
use super::arch::{TensorLookup, block};
use super::cache::{Cache, ModelId};
use super::config::LmConfig;
use super::engine::Engine;
use super::error::{LmError, Result};
use super::model_files::open;
use super::precision::Precision;
use super::weights::{OuterWeights, Weights};
use super::{cpu, portable};

/// Tokens of a prompt read at once. Bounds the score matrix of a long prompt.
const PREFILL_CHUNK: usize = 256;

/// A decoder-only language model. Cloning shares the weights.
///
/// ```
/// use std::path::Path;
///
/// use candle_core::Device;
/// use ivg_playground::lm::{Lm, Tokenizer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = Path::new("assets/packs/imdb/base");
/// let (lm, tokenizer) = (Lm::load(model, &Device::Cpu)?, Tokenizer::load(model)?);
/// let tokens = tokenizer.encode("This film")?;
/// let (cache, hidden) = lm.prefill(&tokens)?;
/// assert_eq!(hidden.dims(), [tokens.len(), lm.config().hidden_size]);
///
/// // Two rows continue the prompt, each at its own position.
/// let mut rows = cache.fork(&[0, 0])?;
/// let [is, was] = [" is", " was"].map(|text| tokenizer.encode(text));
/// let hidden = lm.forward(&mut rows, &[&is?[..1], &was?[..1]])?;
/// assert_eq!(lm.logits(&hidden.squeeze(1)?)?.dims(), [2, lm.config().vocab_size]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Lm {
    inner: Arc<Inner>,
}

struct Inner {
    config: LmConfig,
    engine: Box<dyn Engine>,
    /// Identifies this model's caches.
    owner: ModelId,
    device: Device,
    parameters: usize,
    /// The folder or file it was loaded from.
    path: Option<PathBuf>,
}

impl Lm {
    /// Loads a Hugging Face folder, `config.json` and `model.safetensors` (f32, f16 or bf16;
    /// held as f32), or a GGUF file (held as Q8_0).
    ///
    /// # Errors
    /// Fails if a field or tensor is missing, damaged, of the wrong shape or not supported. The
    /// message names it and the file.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        Self::load_as(path, None, device)
    }

    /// Loads a model as [`Lm::load`] does, with its matrices in `precision` if given.
    ///
    /// # Errors
    /// Same as [`Lm::load`].
    pub fn load_as(path: &Path, precision: Option<Precision>, device: &Device) -> Result<Self> {
        let (config, weights) = open(path, precision, device)?;
        let mut lm = Self::from_weights(config, &weights, device)?;
        if let Some(inner) = Arc::get_mut(&mut lm.inner) {
            inner.path = Some(path.to_owned());
        }
        Ok(lm)
    }

    /// Looks up every tensor that [`Lm::load`] would read, by name, shape and type, without reading
    /// it. With `needs_head`, also checks that the model has a head. Returns notes on a model that
    /// loads, one sentence each.
    ///
    /// # Errors
    /// Same as [`Lm::load`], and [`LmError::NoHead`].
    pub fn check(path: &Path, needs_head: bool) -> Result<Vec<String>> {
        let (config, weights) = open(path, None, &Device::Cpu)?;
        config.check(weights.file())?;
        let weights = weights.check_only();
        let lookup = TensorLookup::new(&config, &weights);
        let OuterWeights { head, .. } = lookup.outer()?;
        if needs_head && head.is_none() && !config.tied {
            return Err(LmError::NoHead);
        }
        (0..config.layers).try_for_each(|layer| block(&config, layer, &lookup).map(drop))?;
        let mut notes = Vec::new();
        if config.tied && head.is_some() {
            notes.push(
                "config.json ties the output head to the embedding, but the file holds another \
                 head, which is used"
                    .to_owned(),
            );
        }
        check_unused_tensors(&lookup, &weights)?;
        if let [first, rest @ ..] = lookup.unused_block_tensors().as_slice() {
            let more =
                if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            notes.push(format!(
                "the weights hold '{first}'{more}, which a model of this configuration does not use"
            ));
        }
        Ok(notes)
    }

    /// Returns this model with the LoRA adapter of a PEFT folder applied. The weights are shared.
    ///
    /// # Errors
    /// Fails if the adapter has an unsupported setting, or a tensor that does not fit this model.
    pub fn with_adapter(&self, dir: &Path) -> Result<Self> {
        let adapter = Adapter::load(dir, self.config(), self.inner.path.as_deref())?;
        Ok(Self {
            inner: Arc::new(Inner {
                config: self.config().clone(),
                engine: self.inner.engine.adapted(&adapter)?,
                owner: ModelId::default(),
                device: self.inner.device.clone(),
                parameters: self.inner.parameters + adapter.parameters(),
                path: None,
            }),
        })
    }

    /// Returns whether both share the same weights in memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Builds a model from tensors in memory, under their Hugging Face names.
    ///
    /// # Errors
    /// Same as [`Lm::load`].
    pub fn from_tensors(
        config: LmConfig,
        tensors: HashMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self> {
        Self::from_weights(config, &Weights::from_tensors(tensors, device)?, device)
    }

    /// Builds a model from opened weights. Its head is `lm_head.weight`, or the embedding if the
    /// configuration ties them. A model with neither returns hidden states only.
    ///
    /// # Errors
    /// Same as [`Lm::load`].
    pub fn from_weights(config: LmConfig, weights: &Weights, device: &Device) -> Result<Self> {
        Self::build(config, weights, device, device.is_cpu())
    }

    /// Builds a model as [`Lm::from_weights`] does, but with candle's tensor operations even on the
    /// CPU. For comparisons with other devices.
    ///
    /// # Errors
    /// Same as [`Lm::load`].
    pub fn portable(config: LmConfig, weights: &Weights, device: &Device) -> Result<Self> {
        Self::build(config, weights, device, false)
    }

    fn build(config: LmConfig, weights: &Weights, device: &Device, own: bool) -> Result<Self> {
        config.check(weights.file())?;
        let lookup = TensorLookup::new(&config, weights);
        let engine: Box<dyn Engine> = if own {
            Box::new(cpu::Model::new(&config, &lookup)?)
        } else {
            Box::new(portable::Model::new(&config, &lookup, device)?)
        };
        check_unused_tensors(&lookup, weights)?;
        let parameters = lookup.parameters();
        let device = device.clone();
        let owner = ModelId::default();
        let inner = Inner { config, engine, owner, device, parameters, path: None };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns whether the model has a language-model head. Value models may have none.
    pub(crate) fn has_head(&self) -> bool {
        self.inner.engine.has_head()
    }

    /// Returns the dimensions and constants.
    pub fn config(&self) -> &LmConfig {
        &self.inner.config
    }

    /// Returns the number of weights. A tied embedding is counted once.
    pub fn parameters(&self) -> usize {
        self.inner.parameters
    }

    /// Returns the device that holds the weights.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// Reads a prompt. Returns a cache of one row, whose prompt all its forks share, and the hidden
    /// states of all prompt positions after the final norm, `[P, hidden]`.
    ///
    /// # Errors
    /// [`LmError::EmptyPrompt`], [`LmError::ContextFull`] or [`LmError::Token`].
    pub fn prefill(&self, prompt: &[u32]) -> Result<(Cache, Tensor)> {
        if prompt.is_empty() {
            return Err(LmError::EmptyPrompt);
        }
        self.check_room(prompt.len())?;
        let owner = self.inner.owner.clone();
        let mut cache = self.inner.engine.new_cache(prompt.len(), owner)?;
        let mut hidden = Vec::new();
        for chunk in prompt.chunks(PREFILL_CHUNK) {
            hidden.push(self.forward(&mut cache, &[chunk])?.squeeze(0)?);
        }
        Ok((cache.into_prompt()?, Tensor::cat(&hidden, 0)?))
    }

    /// Appends `rows[r]` to row r of `cache`, each row at its own position. Lengths may differ and
    /// may be 0. Returns the hidden states after the final norm, `[rows, T, hidden]`, where T is the
    /// longest length. Values past a row's own length are padding.
    ///
    /// After an error the cache is unchanged.
    ///
    /// # Errors
    /// [`LmError::Call`] for a cache of another model or another number of rows,
    /// [`LmError::ContextFull`], [`LmError::Token`].
    pub fn forward(&self, cache: &mut Cache, rows: &[&[u32]]) -> Result<Tensor> {
        let config = self.config();
        if !cache.belongs_to(&self.inner.owner) {
            let problem = "the cache belongs to another model; prefill the prompt with this one";
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
        self.inner.engine.forward(cache, rows, tokens)
    }

    /// Appends tokens to several caches of this model, which may have different prompts: `rows[c][r]`
    /// to row r of cache c. On the CPU all rows are read in one pass. Returns the hidden states of
    /// each cache, as [`Lm::forward`] does, and the number of passes.
    ///
    /// # Errors
    /// Same as [`Lm::forward`].
    pub fn forward_together(
        &self,
        caches: &mut [&mut Cache],
        rows: &[Vec<&[u32]>],
    ) -> Result<(Vec<Tensor>, usize)> {
        let is_own = caches.iter().all(|cache| cache.belongs_to(&self.inner.owner));
        let fits = caches.iter().zip(rows).all(|(cache, rows)| cache.rows() == rows.len());
        let (joins, counts) = (caches.len() > 1 && is_own && fits, rows.iter().map(Vec::len));
        let counts: Vec<usize> = counts.collect();
        let joined: Option<Vec<_>> = match joins && self.device().is_cpu() {
            true => caches.iter_mut().map(|cache| cache.take_rows()).collect(),
            false => None,
        };
        let Some(joined) = joined else {
            let each = caches.iter_mut().zip(rows).map(|(cache, rows)| self.forward(cache, rows));
            return Ok((each.collect::<Result<_>>()?, caches.len()));
        };
        let (first, others) = caches.split_first_mut().ok_or(LmError::EmptyPrompt)?;
        first.put_rows(joined.into_iter().flatten().collect());
        let hidden = self.forward(first, &rows.concat());
        // The rows go back to their caches even if reading them failed.
        let mut all = first.take_rows().unwrap_or_default().into_iter();
        first.put_rows(all.by_ref().take(counts[0]).collect());
        for (cache, count) in others.iter_mut().zip(&counts[1..]) {
            cache.put_rows(all.by_ref().take(*count).collect());
        }
        let hidden = hidden?;
        let mut start = 0;
        let parts = counts.iter().map(|&count| {
            start += count;
            hidden.narrow(0, start - count, count)
        });
        Ok((parts.collect::<candle_core::Result<_>>()?, 1))
    }

    /// Returns the logits `[N, vocab]` of hidden states `[N, hidden]`.
    ///
    /// # Errors
    /// [`LmError::NoHead`] for a model without a language-model head.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.inner.engine.logits(hidden)
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

/// Rejects a GGUF file with tensors that the model would not use. Files for transformers may hold
/// unused tensors, which transformers ignores as well.
fn check_unused_tensors(lookup: &TensorLookup<'_>, weights: &Weights) -> Result<()> {
    if !weights.is_gguf() {
        return Ok(());
    }
    match lookup.unused_block_tensors().first() {
        None => Ok(()),
        Some(name) => Err(LmError::Unsupported {
            file: weights.file().to_path_buf(),
            feature: format!("tensor '{name}', which this architecture does not have,"),
            instead: "file of the standard architecture".into(),
        }),
    }
}
