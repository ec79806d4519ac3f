//! Keys and values in blocks of a few tokens that rows share until one of them writes.
//!
//! A row is a list of blocks. Forking copies the list, not the blocks: the prompt and every
//! common beginning of two beams is held once, and read once into the processor's cache.

use std::sync::Arc;

use super::Shape;

/// Tokens a block. A fork that goes on copies at most one block.
const BLOCK: usize = 16;

/// All rows of a cache.
#[derive(Debug)]
pub struct Blocks {
    shape: Shape,
    rows: Vec<Row>,
}

/// One row.
#[derive(Debug, Clone, Default)]
pub struct Row {
    blocks: Vec<Arc<Block>>,
    tokens: usize,
}

/// Keys and values of [`BLOCK`] tokens in all layers, each `[layers, kv_heads, BLOCK, head_size]`.
#[derive(Debug, Clone)]
struct Block {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Row {
    /// Tokens of this row.
    pub fn len(&self) -> usize {
        self.tokens
    }
}

impl Blocks {
    /// One empty row.
    pub fn new(shape: Shape) -> Self {
        Self { shape, rows: vec![Row::default()] }
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// These rows in this order, which must exist.
    pub fn fork(&self, rows: &[usize]) -> Self {
        let rows = rows.iter().map(|&row| self.rows[row].clone()).collect();
        Self { shape: self.shape.clone(), rows }
    }

    /// Cuts `row` back to `len` tokens, which it must hold.
    pub fn truncate(&mut self, row: usize, len: usize) {
        let row = &mut self.rows[row];
        row.tokens = len;
        row.blocks.truncate(len.div_ceil(BLOCK));
    }

    /// Writes one token's keys and values of `layer`, each `[kv_heads, head_size]`, at
    /// `position` of `row`. It counts only after [`Blocks::commit`].
    pub fn write(
        &mut self,
        row: usize,
        position: usize,
        layer: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let Shape { layers, kv_heads, head_size } = self.shape;
        let row = &mut self.rows[row];
        let index = position / BLOCK;
        if index == row.blocks.len() {
            let zeros = vec![0.0; layers * kv_heads * BLOCK * head_size];
            row.blocks.push(Arc::new(Block { keys: zeros.clone(), values: zeros }));
        }
        let block = Arc::make_mut(&mut row.blocks[index]);
        for head in 0..kv_heads {
            let place = ((layer * kv_heads + head) * BLOCK + position % BLOCK) * head_size;
            let from = head * head_size..(head + 1) * head_size;
            block.keys[place..place + head_size].copy_from_slice(&keys[from.clone()]);
            block.values[place..place + head_size].copy_from_slice(&values[from]);
        }
    }

    /// Counts what [`Blocks::write`] wrote: `lens[r]` new tokens in row r.
    pub fn commit(&mut self, lens: &[usize]) {
        for (row, len) in self.rows.iter_mut().zip(lens) {
            row.tokens += len;
        }
    }

    /// Keys and values of one head of the first `tokens` tokens of `row`, block by block, each
    /// `[tokens of the block, head_size]`.
    pub fn read(
        &self,
        row: usize,
        layer: usize,
        head: usize,
        tokens: usize,
    ) -> impl Iterator<Item = (&[f32], &[f32])> + Clone {
        let size = self.shape.head_size;
        let start = (layer * self.shape.kv_heads + head) * BLOCK * size;
        self.rows[row].blocks.iter().enumerate().map_while(move |(index, block)| {
            let left = tokens.saturating_sub(index * BLOCK).min(BLOCK);
            let part = start..start + left * size;
            (left > 0).then(|| (&block.keys[part.clone()], &block.values[part]))
        })
    }
}
