//! The forward pass in candle's tensor operations: what runs on any device candle knows, and
//! what the processor's own kernels are tested against.

mod attention;
mod linear;

use candle_core::{Device, Tensor};
use candle_nn::ops::rms_norm;

use self::attention::{Batch, attend};
use self::linear::Linear;
use super::cache::{Cache, Owner, Store, Tails};
use super::config::LmConfig;
use super::error::{LmError, Result};
use super::rope::Rope;
use super::weights::{BlockWeights, ModelWeights};

/// A model as tensors on one device.
pub(super) struct Model {
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

impl Model {
    pub fn new(config: &LmConfig, weights: ModelWeights, device: &Device) -> Result<Self> {
        let head = match weights.head {
            None if config.tied => Some(Linear::new(weights.embedding.clone())),
            head => head.map(Linear::new),
        };
        Ok(Self {
            config: config.clone(),
            embedding: weights.embedding,
            blocks: weights.blocks.into_iter().map(Block::new).collect::<Result<_>>()?,
            norm: weights.norm,
            head,
            rope: Rope::new(config),
            device: device.clone(),
        })
    }

    /// One empty row with room for `capacity` tokens.
    pub fn cache(&self, capacity: usize, owner: Owner) -> Result<Cache> {
        Cache::tails(&self.config, capacity, &self.device, owner)
    }

    /// The blocks and the final norm over `tokens` new tokens a row: `[rows, tokens, hidden]`.
    pub fn run(&self, cache: &mut Cache, rows: &[&[u32]], tokens: usize) -> Result<Tensor> {
        let Store::Tails(cache) = cache.store_mut() else {
            return Err(LmError::Call("the cache was made on another device".into()));
        };
        cache.reserve(tokens)?;
        let count = rows.len() * tokens;
        let mut ids = Vec::with_capacity(count);
        let mut positions = Vec::with_capacity(count);
        for (index, row) in rows.iter().enumerate() {
            // Token 0 pads: any id does, for nothing reads what it leaves behind.
            ids.extend(row.iter().copied().chain(std::iter::repeat(0)).take(tokens));
            positions.extend((0..tokens).map(|token| cache.len(index) + token));
        }
        let (cos, sin) = self.rope.tables(&positions);
        let shape = (rows.len(), tokens, self.config.head_size / 2);
        let cos = Tensor::from_vec(cos, shape, &self.device)?;
        let sin = Tensor::from_vec(sin, shape, &self.device)?;
        let batch = Batch::new(cache, tokens, &self.device)?;
        let ids = Tensor::from_vec(ids, count, &self.device)?;
        let mut x = self.embedding.index_select(&ids, 0)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, &self.config, cache, layer, (&cos, &sin), &batch)?;
        }
        let lens: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        cache.commit(&lens, tokens);
        let x = rms_norm(&x, &self.norm, self.config.norm_epsilon as f32)?;
        Ok(x.reshape((rows.len(), tokens, self.config.hidden_size))?)
    }

    /// `[N, hidden]` → `[N, vocab]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let head = self.head.as_ref().ok_or(LmError::NoHead)?;
        head.forward(&hidden.contiguous()?)
    }
}

impl Block {
    fn new(weights: BlockWeights) -> Result<Self> {
        Ok(Self {
            qkv: Linear::fused(&[&weights.queries, &weights.keys, &weights.values])?,
            gate_up: Linear::fused(&[&weights.gate, &weights.up])?,
            attention_norm: weights.attention_norm,
            output: Linear::new(weights.output),
            mlp_norm: weights.mlp_norm,
            down: Linear::new(weights.down),
        })
    }

    /// `[N, hidden]` → `[N, hidden]`; writes this layer's new keys and values to `cache`.
    fn forward(
        &self,
        x: &Tensor,
        config: &LmConfig,
        cache: &mut Tails,
        layer: usize,
        (cos, sin): (&Tensor, &Tensor),
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
