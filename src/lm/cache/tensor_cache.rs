//! Keys and values in one tensor per layer, for devices on which only whole-tensor operations are
//! fast.
//!
//! The prompt's keys and values are stored once. The tokens that a row has appended since are its
//! *tail*, stored in `[rows, kv_heads, capacity, head_size]`. All rows append at the same *slot*,
//! so one call writes all rows. A row that appends fewer tokens leaves slots unused; its slot list
//! omits them. Slots are storage; positions are counted per row.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::Shape;
use crate::lm::error::Result;

/// Initial slots of a tail, and the minimum step by which it grows.
const MIN_CAPACITY: usize = 32;

#[derive(Debug)]
pub(crate) struct KeyValue {
    pub(crate) keys: Tensor,
    pub(crate) values: Tensor,
}

/// Keys and values of the prompt, shared by all rows and all forks.
#[derive(Debug)]
struct Prompt {
    /// Per layer, `[kv_heads, tokens, head_size]`.
    layers: Vec<KeyValue>,
    tokens: usize,
}

#[derive(Debug)]
pub(crate) struct Tails {
    shape: Shape,
    prompt: Arc<Prompt>,
    /// Per layer, `[rows, kv_heads, capacity, head_size]`.
    tails: Vec<KeyValue>,
    capacity: usize,
    /// Number of slots in use; the next token of each row is written to this slot.
    used: usize,
    /// Per row, the slots of its tail tokens, ascending.
    slots: Vec<Vec<usize>>,
}

impl Tails {
    /// Creates one empty row without a prompt, with space for `capacity` tokens.
    pub(crate) fn new(shape: Shape, capacity: usize, device: &Device) -> Result<Self> {
        let tails = new_tails(&shape, 1, capacity, device)?;
        Ok(Self {
            prompt: Arc::new(Prompt { layers: Vec::new(), tokens: 0 }),
            tails,
            capacity,
            used: 0,
            slots: vec![Vec::new()],
            shape,
        })
    }

    /// Turns the tail of the only row into the prompt that all forks share.
    pub(crate) fn into_prompt(self) -> Result<Self> {
        let tokens = self.used;
        let mut layers = Vec::with_capacity(self.tails.len());
        for tail in &self.tails {
            let keys = tail.keys.narrow(2, 0, tokens)?.squeeze(0)?.contiguous()?;
            let values = tail.values.narrow(2, 0, tokens)?.squeeze(0)?.contiguous()?;
            layers.push(KeyValue { keys, values });
        }
        // Most runs fork next, and the fork allocates the space that it needs.
        let device = self.tails.first().map_or(Device::Cpu, |tail| tail.keys.device().clone());
        let tails = new_tails(&self.shape, 1, MIN_CAPACITY, &device)?;
        Ok(Self {
            prompt: Arc::new(Prompt { layers, tokens }),
            tails,
            capacity: MIN_CAPACITY,
            used: 0,
            slots: vec![Vec::new()],
            shape: self.shape,
        })
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of tokens in `row`, including the prompt, or 0 if the row does not exist.
    pub(crate) fn len(&self, row: usize) -> usize {
        self.slots.get(row).map_or(0, |slots| self.prompt.tokens + slots.len())
    }

    /// Returns the given rows in the given order. The rows must exist. The prompt is shared; the
    /// tails are copied without unused slots.
    pub(crate) fn fork(&self, rows: &[usize]) -> Result<Tails> {
        let longest = rows.iter().map(|&row| self.slots[row].len()).max().unwrap_or(0);
        let mut fork = Tails {
            shape: self.shape.clone(),
            prompt: Arc::clone(&self.prompt),
            tails: Vec::new(),
            capacity: 0,
            used: longest,
            slots: rows.iter().map(|&row| (0..self.slots[row].len()).collect()).collect(),
        };
        let device = self.device();
        fork.capacity = (longest + MIN_CAPACITY).next_multiple_of(MIN_CAPACITY);
        fork.tails = new_tails(&self.shape, rows.len(), fork.capacity, &device)?;
        if longest > 0 {
            self.copy_into(&fork, rows, longest, &device)?;
        }
        Ok(fork)
    }

    /// Truncates `row` to `len` tokens. `len` must be between the prompt length and the row length.
    pub(crate) fn truncate(&mut self, row: usize, len: usize) {
        let prompt = self.prompt.tokens;
        self.slots[row].truncate(len - prompt);
        let last = self.slots.iter().filter_map(|slots| slots.last()).max();
        self.used = last.map_or(0, |last| last + 1);
    }

    fn device(&self) -> Device {
        self.tails.first().map_or(Device::Cpu, |tail| tail.keys.device().clone())
    }

    /// Copies the tails of `rows` into `fork`, each packed to the first slots.
    fn copy_into(
        &self,
        fork: &Tails,
        rows: &[usize],
        longest: usize,
        device: &Device,
    ) -> Result<()> {
        let (heads, size) = (self.shape.kv_heads, self.shape.head_size);
        // A single gather of whole slots over the flattened `[rows, heads, capacity]`.
        let mut indices = Vec::with_capacity(rows.len() * heads * longest);
        for &row in rows {
            for head in 0..heads {
                let start = (row * heads + head) * self.capacity;
                // Shorter rows repeat slot 0 as padding; their slot lists omit the copies.
                let slots = self.slots[row].iter().copied();
                let padded = slots.chain(std::iter::repeat(0)).take(longest);
                indices.extend(padded.map(|slot| (start + slot) as u32));
            }
        }
        let indices = Tensor::new(indices, device)?;
        let flat = (self.rows() * heads * self.capacity, size);
        let shape = (rows.len(), heads, longest, size);
        for (from, to) in self.tails.iter().zip(&fork.tails) {
            for (from, to) in [(&from.keys, &to.keys), (&from.values, &to.values)] {
                let packed = from.reshape(flat)?.index_select(&indices, 0)?.reshape(shape)?;
                to.slice_set(&packed, 2, 0)?;
            }
        }
        Ok(())
    }

    /// Allocates space for `tokens` more slots. Doubles the capacity, so that the total copying
    /// cost stays linear.
    pub(crate) fn reserve(&mut self, tokens: usize) -> Result<()> {
        let needed = self.used + tokens;
        if needed <= self.capacity {
            return Ok(());
        }
        let capacity = needed.max(2 * self.capacity).next_multiple_of(MIN_CAPACITY);
        let device = self.device();
        let tails = new_tails(&self.shape, self.rows(), capacity, &device)?;
        if self.used > 0 {
            for (from, to) in self.tails.iter().zip(&tails) {
                to.keys.slice_set(&from.keys.narrow(2, 0, self.used)?.contiguous()?, 2, 0)?;
                to.values.slice_set(&from.values.narrow(2, 0, self.used)?.contiguous()?, 2, 0)?;
            }
        }
        self.tails = tails;
        self.capacity = capacity;
        Ok(())
    }

    /// Writes new keys and values `[rows, kv_heads, T, head_size]` of one layer to the next slots.
    /// Call [`Tails::reserve`] before. The tokens are part of the rows only after
    /// [`Tails::commit`].
    pub(crate) fn write(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<()> {
        self.tails[layer].keys.slice_set(keys, 2, self.used)?;
        self.tails[layer].values.slice_set(values, 2, self.used)?;
        Ok(())
    }

    /// Adds the tokens written by [`Tails::write`] to the rows: `lens[r]` tokens to row r, in
    /// `tokens` slots.
    pub(crate) fn commit(&mut self, lens: &[usize], tokens: usize) {
        for (slots, &len) in self.slots.iter_mut().zip(lens) {
            slots.extend(self.used..self.used + len);
        }
        self.used += tokens;
    }

    /// Returns the prompt's keys and values in `layer`, or `None` during prefill.
    pub(crate) fn prompt(&self, layer: usize) -> Option<&KeyValue> {
        self.prompt.layers.get(layer)
    }

    /// Returns the keys and values in the first `slots` slots of `layer`,
    /// `[rows, kv_heads, slots, head_size]`, not contiguous.
    pub(crate) fn tail(&self, layer: usize, slots: usize) -> Result<KeyValue> {
        let tail = &self.tails[layer];
        Ok(KeyValue {
            keys: tail.keys.narrow(2, 0, slots)?,
            values: tail.values.narrow(2, 0, slots)?,
        })
    }

    /// Returns the number of slots in use, without tokens that are not committed yet.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Returns the number of tokens in the prompt.
    pub(crate) fn prompt_tokens(&self) -> usize {
        self.prompt.tokens
    }

    /// Returns the slots of the tail of `row`, ascending.
    pub(crate) fn row_slots(&self, row: usize) -> &[usize] {
        &self.slots[row]
    }
}

fn new_tails(
    shape: &Shape,
    rows: usize,
    capacity: usize,
    device: &Device,
) -> Result<Vec<KeyValue>> {
    let dims = (rows, shape.kv_heads, capacity, shape.head_size);
    let zeros = || Tensor::zeros(dims, DType::F32, device);
    let layer = |_| Ok(KeyValue { keys: zeros()?, values: zeros()? });
    (0..shape.layers).map(layer).collect()
}
