//! The engines that compute a model, behind one trait.

use candle_core::Tensor;

use super::adapter::Adapter;
use super::cache::{Cache, ModelId};
use super::error::Result;

/// Computes one model. `cpu` has kernels for the CPU, `portable` uses candle's operations on any
/// device.
pub(super) trait Engine: Send + Sync {
    /// Returns this model with an adapter applied. The weights are shared.
    ///
    /// # Errors
    /// Fails if an update does not fit this model.
    fn adapted(&self, adapter: &Adapter) -> Result<Box<dyn Engine>>;

    /// Returns whether the model has a language-model head.
    fn has_head(&self) -> bool;

    /// Returns a cache of one empty row. `capacity` is the number of tokens to reserve.
    ///
    /// # Errors
    /// Fails if the device is out of memory.
    fn new_cache(&self, capacity: usize, owner: ModelId) -> Result<Cache>;

    /// Runs the blocks and the final norm on new tokens and appends them to `cache`. Returns
    /// `[rows, tokens, hidden]`, where `tokens` is the length of the longest row; shorter rows are
    /// padded.
    ///
    /// # Errors
    /// Fails if the cache belongs to another engine, or the tensor library fails.
    fn forward(&self, cache: &mut Cache, rows: &[&[u32]], tokens: usize) -> Result<Tensor>;

    /// Maps hidden states `[N, hidden]` to logits `[N, vocab]`.
    ///
    /// # Errors
    /// [`NoHead`](super::LmError::NoHead) without a head.
    fn logits(&self, hidden: &Tensor) -> Result<Tensor>;
}
