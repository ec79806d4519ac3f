//! Keys and values in one tensor a layer, for devices on which only whole tensors are fast.
//!
//! The prompt's keys and values are held once. What each row appended since — its tail — lies
//! in `[rows, kv_heads, capacity, head_size]`. All rows append at the same *slot*, so one call
//! writes them all; a row that appended less leaves slots unused, which its list of slots
//! simply does not name. Slots are storage; positions are counted per row.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::Shape;
use crate::lm::error::Result;

/// Slots a tail begins with, and the smallest step by which it grows.
const MIN_CAPACITY: usize = 32;

/// Keys and values of one layer.
#[derive(Debug)]
pub struct KeyValue {
    pub keys: Tensor,
    pub values: Tensor,
}

/// Keys and values of the prompt, shared by all rows and all forks.
#[derive(Debug)]
struct Prompt {
    /// Per layer `[kv_heads, tokens, head_size]`.
    layers: Vec<KeyValue>,
    tokens: usize,
}

/// All rows of a cache.
#[derive(Debug)]
pub struct Tails {
    shape: Shape,
    prompt: Arc<Prompt>,
    /// Per layer `[rows, kv_heads, capacity, head_size]`.
    tails: Vec<KeyValue>,
    capacity: usize,
    /// Slots in use: the next token of any row is written here.
    used: usize,
    /// Per row the slot of every tail token, ascending.
    slots: Vec<Vec<usize>>,
}

impl Tails {
    /// One row, no prompt yet, room for `capacity` tokens.
    pub fn new(shape: Shape, capacity: usize, device: &Device) -> Result<Self> {
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

    /// Makes the tail of the only row the prompt of all its forks.
    pub fn into_prompt(self) -> Result<Self> {
        let tokens = self.used;
        let mut layers = Vec::with_capacity(self.tails.len());
        for tail in &self.tails {
            let keys = tail.keys.narrow(2, 0, tokens)?.squeeze(0)?.contiguous()?;
            let values = tail.values.narrow(2, 0, tokens)?.squeeze(0)?.contiguous()?;
            layers.push(KeyValue { keys, values });
        }
        // An empty tail: most runs fork at once, and the fork makes room as it needs.
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

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.slots.len()
    }

    /// Tokens of `row`, prompt included; 0 if there is no such row.
    pub fn len(&self, row: usize) -> usize {
        self.slots.get(row).map_or(0, |slots| self.prompt.tokens + slots.len())
    }

    /// These rows in this order, which must exist. The prompt is shared; the tails are copied,
    /// without the gaps that ragged rows leave.
    pub fn fork(&self, rows: &[usize]) -> Result<Tails> {
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

    /// Cuts `row` back to `len` tokens, which it must hold and the prompt not exceed.
    pub fn truncate(&mut self, row: usize, len: usize) {
        let prompt = self.prompt.tokens;
        self.slots[row].truncate(len - prompt);
        let last = self.slots.iter().filter_map(|slots| slots.last()).max();
        self.used = last.map_or(0, |last| last + 1);
    }

    fn device(&self) -> Device {
        self.tails.first().map_or(Device::Cpu, |tail| tail.keys.device().clone())
    }

    /// Copies the tails of `rows`, each packed to its front, into `fork`.
    fn copy_into(
        &self,
        fork: &Tails,
        rows: &[usize],
        longest: usize,
        device: &Device,
    ) -> Result<()> {
        let (heads, size) = (self.shape.kv_heads, self.shape.head_size);
        // One gather of whole slots: `[rows, heads, capacity]` seen as one list.
        let mut indices = Vec::with_capacity(rows.len() * heads * longest);
        for &row in rows {
            for head in 0..heads {
                let start = (row * heads + head) * self.capacity;
                // Rows shorter than the longest repeat slot 0; no list names those copies.
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

    /// Makes room for `tokens` more slots, doubling so that growth stays linear in all.
    pub fn reserve(&mut self, tokens: usize) -> Result<()> {
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

    /// Writes new keys and values `[rows, kv_heads, T, head_size]` of one layer at the next
    /// slots. They count only after [`Tails::commit`]; room must have been reserved.
    pub fn write(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<()> {
        self.tails[layer].keys.slice_set(keys, 2, self.used)?;
        self.tails[layer].values.slice_set(values, 2, self.used)?;
        Ok(())
    }

    /// Counts what [`Tails::write`] wrote: `lens[r]` new tokens in row r, `tokens` slots in all.
    pub fn commit(&mut self, lens: &[usize], tokens: usize) {
        for (slots, &len) in self.slots.iter_mut().zip(lens) {
            slots.extend(self.used..self.used + len);
        }
        self.used += tokens;
    }

    /// The prompt's keys and values of `layer`; none while the prompt itself is read.
    pub fn prompt(&self, layer: usize) -> Option<&KeyValue> {
        self.prompt.layers.get(layer)
    }

    /// Keys and values of the first `slots` slots of `layer`,
    /// `[rows, kv_heads, slots, head_size]`, not contiguous.
    pub fn tail(&self, layer: usize, slots: usize) -> Result<KeyValue> {
        let tail = &self.tails[layer];
        Ok(KeyValue {
            keys: tail.keys.narrow(2, 0, slots)?,
            values: tail.values.narrow(2, 0, slots)?,
        })
    }

    /// Slots in use before the tokens that are being added.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Tokens of the prompt.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt.tokens
    }

    /// The slots of `row`'s tail, ascending.
    pub fn row_slots(&self, row: usize) -> &[usize] {
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
