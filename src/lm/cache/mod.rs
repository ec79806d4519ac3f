//! Key/value cache of a batch of rows. A cache is a plain value owned by the caller; forks do not
//! affect each other.

mod paged_cache;
mod tensor_cache;

use std::sync::Arc;

use candle_core::Device;

pub(super) use super::cache::paged_cache::{BLOCK, Blocks, Row};
pub(super) use super::cache::tensor_cache::Tails;
use super::config::LmConfig;
use super::error::{LmError, Result};

/// Keys and values of a batch of rows that share a prompt. [`Lm::prefill`](super::Lm::prefill)
/// creates it, and [`Lm::forward`](super::Lm::forward) appends to it.
#[derive(Debug)]
pub struct Cache {
    owner: ModelId,
    store: Storage,
    prompt_tokens: usize,
}

/// Storage of keys and values, in the layout of the engine that created it.
#[derive(Debug)]
pub(super) enum Storage {
    Blocks(Blocks),
    Tails(Tails),
}

/// Identifies one loaded model. Two models may have the same shape but different weights; using one
/// model's keys with the other's queries would silently compute wrong results.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelId(Arc<()>);

/// Dimensions of a model's keys and values.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(crate) layers: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_size: usize,
}

impl Shape {
    fn new(config: &LmConfig) -> Self {
        let LmConfig { layers, kv_heads, head_size, .. } = *config;
        Self { layers, kv_heads, head_size }
    }
}

impl Cache {
    /// Creates a cache with one empty row, stored in blocks.
    pub(super) fn blocks(config: &LmConfig, owner: ModelId) -> Self {
        let store = Storage::Blocks(Blocks::new(Shape::new(config)));
        Self { owner, store, prompt_tokens: 0 }
    }

    /// Creates a cache with one empty row, stored in tensors, with space for `capacity` tokens.
    pub(super) fn tails(
        config: &LmConfig,
        capacity: usize,
        device: &Device,
        owner: ModelId,
    ) -> Result<Self> {
        let store = Storage::Tails(Tails::new(Shape::new(config), capacity, device)?);
        Ok(Self { owner, store, prompt_tokens: 0 })
    }

    /// Turns the tokens of the only row into the prompt that all forks share.
    pub(super) fn into_prompt(mut self) -> Result<Self> {
        self.prompt_tokens = self.len(0);
        if let Storage::Tails(tails) = self.store {
            self.store = Storage::Tails(tails.into_prompt()?);
        }
        Ok(self)
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        match &self.store {
            Storage::Blocks(blocks) => blocks.rows().len(),
            Storage::Tails(tails) => tails.rows(),
        }
    }

    /// Returns the number of tokens in `row`, including the prompt, or 0 if the row does not exist.
    pub fn len(&self, row: usize) -> usize {
        match &self.store {
            Storage::Blocks(blocks) => blocks.rows().get(row).map_or(0, Row::len),
            Storage::Tails(tails) => tails.len(row),
        }
    }

    /// Returns whether all rows are empty.
    pub fn is_empty(&self) -> bool {
        (0..self.rows()).all(|row| self.len(row) == 0)
    }

    /// Returns the number of tokens in the prompt that all rows share.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Creates a cache of the given rows in the given order. A row may occur several times or not
    /// at all. The prompt is shared. On the CPU, all other tokens are also shared until a fork
    /// writes.
    ///
    /// # Errors
    /// Fails if a row does not exist.
    pub fn fork(&self, rows: &[usize]) -> Result<Cache> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.rows()) {
            let problem = format!("cannot fork row {row}: the cache has {} rows", self.rows());
            return Err(LmError::Call(problem));
        }
        let store = match &self.store {
            Storage::Blocks(blocks) => Storage::Blocks(blocks.fork(rows)),
            Storage::Tails(tails) => Storage::Tails(tails.fork(rows)?),
        };
        Ok(Cache { owner: self.owner.clone(), store, prompt_tokens: self.prompt_tokens })
    }

    /// Truncates `row` to its first `len` tokens, including the prompt.
    ///
    /// # Errors
    /// Fails if the row does not exist, or `len` is larger than the row or smaller than the prompt,
    /// which other rows share.
    pub fn truncate(&mut self, row: usize, len: usize) -> Result<()> {
        let (row_len, prompt) = (self.len(row), self.prompt_tokens);
        if row >= self.rows() || len > row_len || len < prompt {
            return Err(LmError::Call(format!(
                "cannot truncate row {row} to {len} tokens: it has {row_len}, including the shared \
                 prompt of {prompt}"
            )));
        }
        match &mut self.store {
            Storage::Blocks(blocks) => blocks.truncate(row, len),
            Storage::Tails(tails) => tails.truncate(row, len),
        }
        Ok(())
    }

    /// Moves the rows out, so that they can be read together with those of other prompts. Returns
    /// `None` if the storage cannot do that; the cache is then unchanged.
    pub(super) fn take_rows(&mut self) -> Option<Vec<Row>> {
        match &mut self.store {
            Storage::Blocks(blocks) => Some(blocks.take_rows()),
            Storage::Tails(_) => None,
        }
    }

    /// Replaces the rows.
    pub(super) fn put_rows(&mut self, rows: Vec<Row>) {
        if let Storage::Blocks(blocks) = &mut self.store {
            blocks.put_rows(rows);
        }
    }

    /// Returns whether the model identified by `owner` created this cache.
    pub(super) fn belongs_to(&self, owner: &ModelId) -> bool {
        Arc::ptr_eq(&self.owner.0, &owner.0)
    }

    /// Returns the storage, for the engine that created it.
    pub(super) fn store_mut(&mut self) -> &mut Storage {
        &mut self.store
    }
}
