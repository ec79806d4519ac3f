//! Llama-shaped decoders: RMS norm, rotary positions, grouped-query attention, SwiGLU.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::ops::rms_norm;

use super::attention::{Batch, attend};
use super::cache::Cache;
use super::config::LmConfig;
use super::error::{LmError, Result};
use super::linear::Linear;
use super::rope::Rope;
use super::weights::Weights;

/// Tokens of a prompt read at once: bounds the score matrix of a long prompt.
const PREFILL_CHUNK: usize = 256;

/// A decoder-only language model. Cloning shares the weights.
#[derive(Clone)]
pub struct Lm {
    inner: Arc<Inner>,
}

struct Inner {
    config: LmConfig,
    /// `[vocab, hidden]`
    embedding: Tensor,
    blocks: Vec<Block>,
    /// `[hidden]`
    norm: Tensor,
    /// None for a model that has no language-model head.
    head: Option<Linear>,
    rope: Rope,
    device: Device,
    parameters: usize,
}

struct Block {
    attention_norm: Tensor,
    /// Queries, keys and values side by side.
    qkv: Linear,
    output: Linear,
    mlp_norm: Tensor,
    /// Gate and up side by side.
    gate_up: Linear,
    down: Linear,
}

impl Lm {
    /// Loads a Hugging Face folder: `config.json` and `model.safetensors` (f32, f16 or bf16;
    /// held as f32).
    ///
    /// # Errors
    /// A sentence naming the file and the field or tensor that is missing, damaged, of the
    /// wrong shape or not supported.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        let config = LmConfig::load(dir)?;
        Self::from_weights(config, &Weights::load(dir, device)?, device)
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
        config.check(weights.file())?;
        let shape = [config.vocab_size, config.hidden_size];
        let embedding = weights.get("model.embed_tokens.weight", &shape)?;
        let (head, head_parameters) = if config.tied {
            (Some(Linear::new(embedding.clone())), 0)
        } else if weights.contains("lm_head.weight") {
            let head = weights.get("lm_head.weight", &shape)?;
            let parameters = head.elem_count();
            (Some(Linear::new(head)), parameters)
        } else {
            (None, 0)
        };
        let mut parameters = embedding.elem_count() + head_parameters + config.hidden_size;
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let (block, count) = Block::new(&config, weights, layer)?;
            blocks.push(block);
            parameters += count;
        }
        let norm = weights.get("model.norm.weight", &[config.hidden_size])?;
        let rope = Rope::new(&config);
        let device = device.clone();
        let inner = Inner { config, embedding, blocks, norm, head, rope, device, parameters };
        Ok(Self { inner: Arc::new(inner) })
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
        let mut cache = Cache::empty(self.config(), prompt.len(), self.device())?;
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
        if !cache.fits(config, self.device()) {
            let problem = "the cache was made by a model of another shape; prefill it anew";
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
        cache.reserve(tokens)?;
        let hidden = self.run(cache, rows, tokens)?;
        let lens: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        cache.commit(&lens, tokens);
        Ok(hidden)
    }

    /// Logits `[N, vocab]` of hidden states `[N, hidden]`.
    ///
    /// # Errors
    /// [`LmError::NoHead`] for a model without a language-model head.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let head = self.inner.head.as_ref().ok_or(LmError::NoHead)?;
        head.forward(&hidden.contiguous()?)
    }

    /// The blocks and the final norm over `tokens` new tokens a row.
    fn run(&self, cache: &mut Cache, rows: &[&[u32]], tokens: usize) -> Result<Tensor> {
        let inner = &*self.inner;
        let count = rows.len() * tokens;
        let mut ids = Vec::with_capacity(count);
        let mut positions = Vec::with_capacity(count);
        for (index, row) in rows.iter().enumerate() {
            // Token 0 pads: any id does, for nothing reads what it leaves behind.
            ids.extend(row.iter().copied().chain(std::iter::repeat(0)).take(tokens));
            positions.extend((0..tokens).map(|token| cache.len(index) + token));
        }
        let rotation = inner.rope.tables(&positions, rows.len(), &inner.device)?;
        let batch = Batch::new(cache, tokens, &inner.device)?;
        let ids = Tensor::from_vec(ids, count, &inner.device)?;
        let mut x = inner.embedding.index_select(&ids, 0)?;
        for (layer, block) in inner.blocks.iter().enumerate() {
            x = block.forward(&x, &inner.config, cache, layer, &rotation, &batch)?;
        }
        let x = rms_norm(&x, &inner.norm, inner.config.norm_epsilon as f32)?;
        Ok(x.reshape((rows.len(), tokens, inner.config.hidden_size))?)
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

impl Block {
    /// The block of `layer` and how many weights it has.
    fn new(config: &LmConfig, weights: &Weights, layer: usize) -> Result<(Self, usize)> {
        let (width, inside) = (config.hidden_size, config.intermediate_size);
        let queries = config.heads * config.head_size;
        let keys = config.kv_heads * config.head_size;
        let mut parameters = 0;
        let mut get = |name: &str, shape: &[usize]| {
            parameters += shape.iter().product::<usize>();
            weights.get(&format!("model.layers.{layer}.{name}.weight"), shape)
        };
        let block = Self {
            attention_norm: get("input_layernorm", &[width])?,
            qkv: Linear::fused(&[
                get("self_attn.q_proj", &[queries, width])?,
                get("self_attn.k_proj", &[keys, width])?,
                get("self_attn.v_proj", &[keys, width])?,
            ])?,
            output: Linear::new(get("self_attn.o_proj", &[width, queries])?),
            mlp_norm: get("post_attention_layernorm", &[width])?,
            gate_up: Linear::fused(&[
                get("mlp.gate_proj", &[inside, width])?,
                get("mlp.up_proj", &[inside, width])?,
            ])?,
            down: Linear::new(get("mlp.down_proj", &[width, inside])?),
        };
        Ok((block, parameters))
    }

    /// `[N, hidden]` → `[N, hidden]`; writes this layer's new keys and values to `cache`.
    fn forward(
        &self,
        x: &Tensor,
        config: &LmConfig,
        cache: &mut Cache,
        layer: usize,
        (cos, sin): &(Tensor, Tensor),
        batch: &Batch,
    ) -> Result<Tensor> {
        let epsilon = config.norm_epsilon as f32;
        let (rows, tokens, size) = (cache.rows(), batch.tokens, config.head_size);
        let (heads, kv_heads) = (config.heads, config.kv_heads);

        let qkv = self.qkv.forward(&rms_norm(x, &self.attention_norm, epsilon)?)?;
        let qkv = qkv.reshape((rows, tokens, heads + 2 * kv_heads, size))?.transpose(1, 2)?;
        // Queries and keys turn together: one copy, one rotation.
        let turned = qkv.narrow(1, 0, heads + kv_heads)?.contiguous()?;
        let turned = candle_nn::rotary_emb::rope(&turned, cos, sin)?;
        let queries = turned.narrow(1, 0, heads)?.contiguous()?;
        let keys = turned.narrow(1, heads, kv_heads)?.contiguous()?;
        let values = qkv.narrow(1, heads + kv_heads, kv_heads)?.contiguous()?;
        cache.write(layer, &keys, &values)?;
        let mixed = attend(&queries, cache, layer, batch, kv_heads)?;
        let mixed = mixed.reshape((rows * tokens, heads * size))?;
        let x = (x + self.output.forward(&mixed)?)?;

        let gate_up = self.gate_up.forward(&rms_norm(&x, &self.mlp_norm, epsilon)?)?;
        let inside = config.intermediate_size;
        let gate = gate_up.narrow(1, 0, inside)?.contiguous()?.silu()?;
        let up = gate_up.narrow(1, inside, inside)?;
        Ok((x + self.down.forward(&(gate * up)?)?)?)
    }
}
