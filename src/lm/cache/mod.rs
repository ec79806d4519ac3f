//! Keys and values of many rows. A value: whoever holds it owns it, and forks do not write
//! into each other.

mod blocks;
mod tails;

use std::sync::Arc;

use candle_core::Device;

pub(super) use self::blocks::{BLOCK, Blocks, Row};
pub(super) use self::tails::Tails;
use super::config::LmConfig;
use super::error::{LmError, Result};

/// Keys and values of a batch of rows that began with one prompt, made by
/// [`Lm::prefill`](super::Lm::prefill) and grown by [`Lm::forward`](super::Lm::forward).
#[derive(Debug)]
pub struct Cache {
    owner: Owner,
    store: Store,
    prompt_tokens: usize,
}

/// Where keys and values lie: as the engine that made them wants them.
#[derive(Debug)]
pub(super) enum Store {
    Blocks(Blocks),
    Tails(Tails),
}

/// Stands for one loaded model. Two models may have one shape and different weights, and
/// reading one's keys with the other's queries would be wrong without a sign.
#[derive(Debug, Clone, Default)]
pub(super) struct Owner(Arc<()>);

/// Sizes of a model's keys and values.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_size: usize,
}

impl Shape {
    fn new(config: &LmConfig) -> Self {
        let LmConfig { layers, kv_heads, head_size, .. } = *config;
        Self { layers, kv_heads, head_size }
    }
}

impl Cache {
    /// One empty row in blocks.
    pub(super) fn blocks(config: &LmConfig, owner: Owner) -> Self {
        let store = Store::Blocks(Blocks::new(Shape::new(config)));
        Self { owner, store, prompt_tokens: 0 }
    }

    /// One empty row in tensors, with room for `capacity` tokens.
    pub(super) fn tails(
        config: &LmConfig,
        capacity: usize,
        device: &Device,
        owner: Owner,
    ) -> Result<Self> {
        let store = Store::Tails(Tails::new(Shape::new(config), capacity, device)?);
        Ok(Self { owner, store, prompt_tokens: 0 })
    }

    /// Makes what the only row holds the prompt of all its forks.
    pub(super) fn into_prompt(mut self) -> Result<Self> {
        self.prompt_tokens = self.len(0);
        if let Store::Tails(tails) = self.store {
            self.store = Store::Tails(tails.into_prompt()?);
        }
        Ok(self)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match &self.store {
            Store::Blocks(blocks) => blocks.rows().len(),
            Store::Tails(tails) => tails.rows(),
        }
    }

    /// Tokens of `row`, prompt included; 0 if there is no such row.
    pub fn len(&self, row: usize) -> usize {
        match &self.store {
            Store::Blocks(blocks) => blocks.rows().get(row).map_or(0, Row::len),
            Store::Tails(tails) => tails.len(row),
        }
    }

    /// Whether no row holds a token.
    pub fn is_empty(&self) -> bool {
        (0..self.rows()).all(|row| self.len(row) == 0)
    }

    /// Tokens of the prompt that all rows share.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// A new cache of these rows in this order; a row may be named many times or not at all.
    /// The prompt is shared. On the processor all else is shared, too, until a fork writes.
    ///
    /// # Errors
    /// When a row does not exist.
    pub fn fork(&self, rows: &[usize]) -> Result<Cache> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.rows()) {
            let problem = format!("cannot fork row {row}: the cache has {} rows", self.rows());
            return Err(LmError::Call(problem));
        }
        let store = match &self.store {
            Store::Blocks(blocks) => Store::Blocks(blocks.fork(rows)),
            Store::Tails(tails) => Store::Tails(tails.fork(rows)?),
        };
        Ok(Cache { owner: self.owner.clone(), store, prompt_tokens: self.prompt_tokens })
    }

    /// Cuts `row` back to its first `len` tokens, prompt included.
    ///
    /// # Errors
    /// When there is no such row, `len` is more than it holds, or would cut into the prompt,
    /// which other rows share.
    pub fn truncate(&mut self, row: usize, len: usize) -> Result<()> {
        let (now, prompt) = (self.len(row), self.prompt_tokens);
        if row >= self.rows() || len > now || len < prompt {
            return Err(LmError::Call(format!(
                "cannot cut row {row} to {len} tokens: it holds {now}, {prompt} of them the \
                 shared prompt"
            )));
        }
        match &mut self.store {
            Store::Blocks(blocks) => blocks.truncate(row, len),
            Store::Tails(tails) => tails.truncate(row, len),
        }
        Ok(())
    }

    /// Whether the model that `owner` stands for made this cache.
    pub(super) fn belongs_to(&self, owner: &Owner) -> bool {
        Arc::ptr_eq(&self.owner.0, &owner.0)
    }

    /// The storage, for the engine that made it.
    pub(super) fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }
}
