//! The forward pass in candle's tensor operations: what runs on any device candle knows, and
//! what the processor's own kernels are tested against.

mod attention;
mod block;
mod linear;

use std::sync::Arc;

use candle_core::{Device, Tensor};

use self::attention::Batch;
use self::block::{Block, Norm, Turns};
use self::linear::Weight;
use super::adapter::Adapter;
use super::cache::{Cache, Owner, Store, Tails};
use super::config::LmConfig;
use super::error::{LmError, Result};
use super::rope::Ropes;
use super::weights::Picker;

/// A model as tensors on one device. Copies share them.
#[derive(Clone)]
pub(super) struct Model {
    config: LmConfig,
    embedding: Weight,
    /// `[context, hidden]`, for learned positions.
    positions: Option<Tensor>,
    blocks: Vec<Block>,
    norm: Norm,
    /// None for a model that has no language-model head.
    head: Option<Weight>,
    ropes: Option<Arc<Ropes>>,
    device: Device,
}

impl Model {
    pub fn new(config: &LmConfig, pick: &Picker<'_>, device: &Device) -> Result<Self> {
        // The largest matrices first, while nothing else is held.
        let outer = pick.outer()?;
        let embedding = Weight::new(&outer.embedding)?;
        let head = outer.head.as_ref().map(Weight::new).transpose()?;
        let blocks = (0..config.layers).map(|layer| Block::new(pick.block(layer)?, config));
        let blocks = blocks.collect::<Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            head: head.or_else(|| config.tied.then(|| embedding.clone())),
            embedding,
            positions: outer.positions,
            blocks,
            norm: Norm::new(&outer.norm, config),
            ropes: Ropes::new(config).map(Arc::new),
            device: device.clone(),
        })
    }

    /// Whether there is a map from states to logits.
    pub fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// The same model with what an adapter adds; the weights are shared.
    pub fn adapted(&self, adapter: &Adapter) -> Result<Self> {
        let blocks = self.blocks.iter().cloned().enumerate();
        let blocks = blocks.map(|(layer, block)| block.adapted(layer, adapter, &self.config));
        Ok(Self { blocks: blocks.collect::<Result<_>>()?, ..self.clone() })
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
        let (mut x, turns) = self.embed(cache, rows, tokens)?;
        let batch = Batch::new(cache, tokens, &self.config, &self.device)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let own = self.ropes.as_ref().and_then(|ropes| turns.get(ropes.of_layer(layer)));
            x = block.forward(&x, &self.config, cache, layer, (own, &batch))?;
        }
        let lens: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        cache.commit(&lens, tokens);
        let x = self.norm.forward(&x)?;
        Ok(x.reshape((rows.len(), tokens, self.config.hidden_size))?)
    }

    /// The embedded tokens `[rows · tokens, hidden]`, and how each set of frequencies turns them.
    fn embed(&self, cache: &Tails, rows: &[&[u32]], tokens: usize) -> Result<(Tensor, Vec<Turns>)> {
        let count = rows.len() * tokens;
        let mut ids = Vec::with_capacity(count);
        let mut positions = Vec::with_capacity(count);
        for (index, row) in rows.iter().enumerate() {
            // Token 0 pads: any id does, for nothing reads what it leaves behind.
            ids.extend(row.iter().copied().chain(std::iter::repeat(0)).take(tokens));
            positions.extend((0..tokens).map(|token| cache.len(index) + token));
        }
        let mut turns = Vec::new();
        if let Some(ropes) = &self.ropes {
            let shape = (rows.len(), tokens, ropes.half());
            for turn in ropes.turns(&positions) {
                let cos = Tensor::from_vec(turn.cos, shape, &self.device)?;
                let sin = Tensor::from_vec(turn.sin, shape, &self.device)?;
                turns.push(Turns { cos, sin });
            }
        }
        let mut x = self.embedding.rows(&Tensor::from_vec(ids, count, &self.device)?)?;
        if self.config.embedding_scale != 1.0 {
            x = (x * f64::from(self.config.embedding_scale))?;
        }
        if let Some(table) = &self.positions {
            let last = self.config.context_tokens - 1;
            // Padding may stand past the last position; nothing reads it.
            let places: Vec<u32> = positions.iter().map(|&p| p.min(last) as u32).collect();
            let places = Tensor::from_vec(places, count, &self.device)?;
            x = (x + table.index_select(&places, 0)?)?;
        }
        Ok((x, turns))
    }

    /// `[N, hidden]` → `[N, vocab]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let head = self.head.as_ref().ok_or(LmError::NoHead)?;
        head.forward(&hidden.contiguous()?)
    }
}
