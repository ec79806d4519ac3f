//! A model packed for the CPU, and its forward pass.

use candle_core::{Device, Tensor};

use super::batch::Batch;
use super::block::PackedWeights;
use super::math::add;
use super::tensor::values;
use crate::lm::adapter::Adapter;
use crate::lm::arch::TensorLookup;
use crate::lm::cache::{Blocks, Cache, ModelId, Storage};
use crate::lm::config::LmConfig;
use crate::lm::engine::Engine;
use crate::lm::error::{LmError, Result};
use crate::lm::parts::Parts;

/// A model whose weights are packed for the products of a decoding step.
pub(crate) struct Model(Parts<PackedWeights>);

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// Fails if a tensor is missing, damaged or of the wrong shape.
    pub(crate) fn new(config: &LmConfig, lookup: &TensorLookup<'_>) -> Result<Self> {
        Parts::new(config, lookup).map(Self)
    }

    fn forward_in_pool(
        &self,
        cache: &mut Blocks,
        rows: &[&[u32]],
        tokens: usize,
    ) -> Result<Tensor> {
        let batch = Batch::new(self.0.ropes.clone(), cache.rows(), rows, tokens);
        let width = self.0.config.hidden_size;
        let mut x = vec![0.0; batch.new_tokens.len() * width];
        let ids = rows.iter().copied().flatten();
        for ((&id, token), row) in ids.zip(&batch.new_tokens).zip(x.chunks_exact_mut(width)) {
            self.0.embedding.read(id as usize, row);
            if self.0.config.embedding_scale != 1.0 {
                row.iter_mut().for_each(|x| *x *= self.0.config.embedding_scale);
            }
            if let Some(positions) = &self.0.positions {
                add(row, &positions[token.position * width..][..width]);
            }
        }
        for (layer, block) in self.0.blocks.iter().enumerate() {
            block.forward(&mut x, &self.0.config, cache, layer, &batch)?;
        }
        cache.commit(&batch.lens);
        let x = pad(self.0.norm.apply(&x), &batch, width);
        Ok(Tensor::from_vec(x, (rows.len(), tokens, width), &Device::Cpu)?)
    }
}

impl Engine for Model {
    fn adapted(&self, adapter: &Adapter) -> Result<Box<dyn Engine>> {
        Ok(Box::new(Self(self.0.adapted(adapter)?)))
    }

    fn has_head(&self) -> bool {
        self.0.head.is_some()
    }

    fn new_cache(&self, _capacity: usize, owner: ModelId) -> Result<Cache> {
        Ok(Cache::blocks(&self.0.config, owner))
    }

    fn forward(&self, cache: &mut Cache, rows: &[&[u32]], tokens: usize) -> Result<Tensor> {
        let Storage::Blocks(cache) = cache.store_mut() else {
            return Err(LmError::Call("the cache was created on another device".into()));
        };
        // Inside the pool a product wakes one other thread; from outside it wakes them all.
        rayon::scope(|_| self.forward_in_pool(cache, rows, tokens))
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let head = self.0.head.as_ref().ok_or(LmError::NoHead)?;
        let (rows, width) = hidden.dims2()?;
        if width != self.0.config.hidden_size {
            let problem = format!("hidden states of width {width} belong to another model");
            return Err(LmError::Call(problem));
        }
        let hidden = hidden.contiguous()?;
        let hidden = values(&hidden)?;
        let hidden = hidden.slice()?;
        let logits = rayon::scope(|_| head.apply(hidden, rows));
        Ok(Tensor::from_vec(logits, (rows, self.0.config.vocab_size), &Device::Cpu)?)
    }
}

/// Pads `[N, width]` of all rows' tokens with zeros to `[rows, tokens, width]`.
fn pad(x: Vec<f32>, batch: &Batch, width: usize) -> Vec<f32> {
    if batch.lens.iter().all(|&len| len == batch.tokens) {
        return x;
    }
    let mut out = vec![0.0; batch.lens.len() * batch.tokens * width];
    let mut rest = x.as_slice();
    for (&len, row) in batch.lens.iter().zip(out.chunks_exact_mut(batch.tokens * width)) {
        let (own, after) = rest.split_at(len * width);
        row[..own.len()].copy_from_slice(own);
        rest = after;
    }
    out
}
