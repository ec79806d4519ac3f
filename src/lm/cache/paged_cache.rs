//! Keys and values in blocks of [`BLOCK`] tokens. Rows share blocks until one of them writes.
//!
//! A row is a list of blocks. Forking copies the list, not the blocks, so the prompt and any common
//! prefix of two beams are stored once and loaded into the CPU cache once.

use std::sync::Arc;

use super::Shape;

/// Tokens per block. A fork that appends tokens copies at most one block.
pub(crate) const BLOCK: usize = 16;

#[derive(Debug)]
pub(crate) struct Blocks {
    shape: Shape,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    blocks: Vec<Arc<Block>>,
    tokens: usize,
}

/// Keys and values of [`BLOCK`] tokens in all layers.
#[derive(Debug, Clone)]
struct Block {
    /// `[layers, kv_heads, head_size, BLOCK]`. A query is multiplied with all keys of the block at
    /// once, one key per vector lane, so no sum across lanes is needed.
    keys: Vec<f32>,
    /// `[layers, kv_heads, BLOCK, head_size]`
    values: Vec<f32>,
}

/// Keys and values of one head in one block.
#[derive(Clone)]
pub(crate) struct Part<'a> {
    /// `[head_size, BLOCK]`; entries beyond the tokens of `values` are undefined.
    pub(crate) keys: &'a [[f32; BLOCK]],
    /// `[tokens, head_size]`
    pub(crate) values: &'a [f32],
}

impl Row {
    /// Returns the number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.tokens
    }
}

impl Blocks {
    /// Creates one empty row.
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, rows: vec![Row::default()] }
    }

    /// Moves all rows out.
    pub(crate) fn take_rows(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows)
    }

    /// Replaces all rows.
    pub(crate) fn put_rows(&mut self, rows: Vec<Row>) {
        self.rows = rows;
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the given rows in the given order, with shared blocks. The rows must exist.
    pub(crate) fn fork(&self, rows: &[usize]) -> Self {
        let rows = rows.iter().map(|&row| self.rows[row].clone()).collect();
        Self { shape: self.shape.clone(), rows }
    }

    /// Truncates `row` to `len` tokens. The row must have at least `len` tokens.
    pub(crate) fn truncate(&mut self, row: usize, len: usize) {
        let row = &mut self.rows[row];
        row.tokens = len;
        row.blocks.truncate(len.div_ceil(BLOCK));
    }

    /// Writes one token's keys and values of `layer`, each `[kv_heads, head_size]`, at `position`
    /// of `row`. The token is part of the row only after [`Blocks::commit`].
    pub(crate) fn write(
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
        let slot = position % BLOCK;
        let heads = keys.chunks_exact(head_size).zip(values.chunks_exact(head_size));
        for (head, (keys, values)) in heads.enumerate() {
            let start = (layer * kv_heads + head) * BLOCK * head_size;
            let stored = block.keys[start + slot..].iter_mut().step_by(BLOCK);
            stored.zip(keys).for_each(|(stored, key)| *stored = *key);
            block.values[start + slot * head_size..][..head_size].copy_from_slice(values);
        }
    }

    /// Adds the tokens written by [`Blocks::write`] to the rows: `lens[r]` tokens to row r.
    pub(crate) fn commit(&mut self, lens: &[usize]) {
        for (row, len) in self.rows.iter_mut().zip(lens) {
            row.tokens += len;
        }
    }

    /// Iterates over the keys and values of one head for the first `tokens` tokens of `row`, block
    /// by block.
    pub(crate) fn read(
        &self,
        row: usize,
        layer: usize,
        head: usize,
        tokens: usize,
    ) -> impl Iterator<Item = Part<'_>> + Clone {
        let size = self.shape.head_size;
        let start = (layer * self.shape.kv_heads + head) * BLOCK * size;
        self.rows[row].blocks.iter().enumerate().map_while(move |(index, block)| {
            let left = tokens.saturating_sub(index * BLOCK).min(BLOCK);
            let keys = block.keys[start..start + BLOCK * size].as_chunks().0;
            let values = &block.values[start..start + left * size];
            (left > 0).then_some(Part { keys, values })
        })
    }
}
