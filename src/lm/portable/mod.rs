//! The forward pass in candle's tensor operations, for every device that candle supports. The CPU's
//! kernels are tested against it.

mod attention;
mod block;
mod linear;

use candle_core::{Device, Tensor};

use self::attention::Batch;
use self::block::{RotaryAngles, Tensors};
use super::adapter::Adapter;
use super::arch::TensorLookup;
use super::cache::{Cache, ModelId, Storage, Tails};
use super::config::LmConfig;
use super::engine::Engine;
use super::error::{LmError, Result};
use super::parts::Parts;

/// A model as tensors on one device.
pub(super) struct Model {
    parts: Parts<Tensors>,
    device: Device,
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// Fails if a tensor is missing, damaged or of the wrong shape.
    pub(super) fn new(
        config: &LmConfig,
        lookup: &TensorLookup<'_>,
        device: &Device,
    ) -> Result<Self> {
        Ok(Self { parts: Parts::new(config, lookup)?, device: device.clone() })
    }

    /// Returns the embedded tokens `[rows · tokens, hidden]` and the rotation of each set of
    /// frequencies.
    fn embed(
        &self,
        cache: &Tails,
        rows: &[&[u32]],
        tokens: usize,
    ) -> Result<(Tensor, Vec<RotaryAngles>)> {
        let count = rows.len() * tokens;
        let mut ids = Vec::with_capacity(count);
        let mut positions = Vec::with_capacity(count);
        for (index, row) in rows.iter().enumerate() {
            // Any id can pad, because nothing reads what it writes.
            ids.extend(row.iter().copied().chain(std::iter::repeat(0)).take(tokens));
            positions.extend((0..tokens).map(|token| cache.len(index) + token));
        }
        let mut angles = Vec::new();
        if let Some(ropes) = &self.parts.ropes {
            let shape = (rows.len(), tokens, ropes.half());
            for angle in ropes.angles(&positions) {
                let cos = Tensor::from_vec(angle.cos, shape, &self.device)?;
                let sin = Tensor::from_vec(angle.sin, shape, &self.device)?;
                angles.push(RotaryAngles { cos, sin });
            }
        }
        let mut x = self.parts.embedding.rows(&Tensor::from_vec(ids, count, &self.device)?)?;
        if self.parts.config.embedding_scale != 1.0 {
            x = (x * f64::from(self.parts.config.embedding_scale))?;
        }
        if let Some(table) = &self.parts.positions {
            let last = self.parts.config.context_tokens - 1;
            // Padding may lie beyond the last position; nothing reads it.
            let places: Vec<u32> = positions.iter().map(|&p| p.min(last) as u32).collect();
            let places = Tensor::from_vec(places, count, &self.device)?;
            x = (x + table.index_select(&places, 0)?)?;
        }
        Ok((x, angles))
    }
}

impl Engine for Model {
    fn adapted(&self, adapter: &Adapter) -> Result<Box<dyn Engine>> {
        let parts = self.parts.adapted(adapter)?;
        Ok(Box::new(Self { parts, device: self.device.clone() }))
    }

    fn has_head(&self) -> bool {
        self.parts.head.is_some()
    }

    fn new_cache(&self, capacity: usize, owner: ModelId) -> Result<Cache> {
        Cache::tails(&self.parts.config, capacity, &self.device, owner)
    }

    fn forward(&self, cache: &mut Cache, rows: &[&[u32]], tokens: usize) -> Result<Tensor> {
        let Storage::Tails(cache) = cache.store_mut() else {
            return Err(LmError::Call("the cache was created on another device".into()));
        };
        let Parts { config, blocks, norm, ropes, .. } = &self.parts;
        cache.reserve(tokens)?;
        let (mut x, angles) = self.embed(cache, rows, tokens)?;
        let batch = Batch::new(cache, tokens, config, &self.device)?;
        for (layer, block) in blocks.iter().enumerate() {
            let own = ropes.as_ref().and_then(|ropes| angles.get(ropes.index_of_layer(layer)));
            x = block.forward(&x, config, cache, layer, (own, &batch))?;
        }
        let lens: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        cache.commit(&lens, tokens);
        Ok(norm.forward(&x)?.reshape((rows.len(), tokens, config.hidden_size))?)
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let head = self.parts.head.as_ref().ok_or(LmError::NoHead)?;
        head.forward(&hidden.contiguous()?)
    }
}
