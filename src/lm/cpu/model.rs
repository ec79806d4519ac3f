//! A model packed for the processor, and its forward pass.

use std::ops::{Deref, Range};
use std::sync::Arc;

use candle_core::{CpuStorage, Device, Storage, Tensor};

use super::attention::Reader;
use super::block::{Block, Norm};
use super::math::add;
use super::projection::Weight;
use crate::lm::adapter::Adapter;
use crate::lm::cache::{Blocks, Cache, Owner, Row, Store};
use crate::lm::config::LmConfig;
use crate::lm::error::{LmError, Result};
use crate::lm::rope::{Ropes, Turns};
use crate::lm::weights::{Matrix, Outer, Picker};

/// A model whose weights are packed for the products of a decoding step. Copies share them.
#[derive(Clone)]
pub struct Model {
    config: LmConfig,
    embedding: Weight,
    /// `[context, hidden]`, for learned positions.
    positions: Option<Arc<[f32]>>,
    blocks: Vec<Block>,
    norm: Norm,
    /// None where there is no language-model head.
    head: Option<Weight>,
    ropes: Option<Arc<Ropes>>,
}

/// The new tokens of one pass: those of all rows one after another, without padding.
pub(super) struct Batch {
    pub readers: Vec<Reader>,
    /// Per row how many of them are its own.
    lens: Vec<usize>,
    /// The longest of `lens`.
    tokens: usize,
    ropes: Option<Arc<Ropes>>,
    turns: Vec<Turns>,
}

impl Model {
    pub fn new(config: &LmConfig, pick: &Picker<'_>) -> Result<Self> {
        // The largest matrices first, while nothing else is held; what they were made of is gone
        // before a block is read, and likewise from block to block.
        let Outer { embedding, positions, norm, head } = pick.outer()?;
        let held = |matrix: Matrix| Weight::new(&matrix);
        let (embedding, head) = (held(embedding)?, head.map(held).transpose()?);
        let blocks = (0..config.layers).map(|layer| Block::new(&pick.block(layer)?, config));
        let blocks = blocks.collect::<Result<_>>()?;
        let positions = match positions {
            Some(positions) => Some(positions.flatten_all()?.to_vec1::<f32>()?.into()),
            None => None,
        };
        Ok(Self {
            config: config.clone(),
            head: head.or_else(|| config.tied.then(|| embedding.clone())),
            embedding,
            positions,
            blocks,
            norm: Norm::new(&norm, config)?,
            ropes: Ropes::new(config).map(Arc::new),
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

    /// One empty row.
    pub fn cache(&self, owner: Owner) -> Cache {
        Cache::blocks(&self.config, owner)
    }

    /// The blocks and the final norm over `tokens` new tokens a row: `[rows, tokens, hidden]`.
    pub fn run(&self, cache: &mut Cache, rows: &[&[u32]], tokens: usize) -> Result<Tensor> {
        // Inside the pool a product wakes one other thread, from outside it wakes them all.
        let Store::Blocks(cache) = cache.store_mut() else {
            return Err(LmError::Call("the cache was made on another device".into()));
        };
        rayon::scope(|_| self.run_here(cache, rows, tokens))
    }

    fn run_here(&self, cache: &mut Blocks, rows: &[&[u32]], tokens: usize) -> Result<Tensor> {
        let batch = Batch::new(self.ropes.clone(), cache.rows(), rows, tokens);
        let width = self.config.hidden_size;
        let mut x = vec![0.0; batch.readers.len() * width];
        let ids = rows.iter().copied().flatten();
        for ((&id, reader), row) in ids.zip(&batch.readers).zip(x.chunks_exact_mut(width)) {
            self.embedding.read(id as usize, row);
            if self.config.embedding_scale != 1.0 {
                row.iter_mut().for_each(|x| *x *= self.config.embedding_scale);
            }
            if let Some(positions) = &self.positions {
                add(row, &positions[reader.position * width..][..width]);
            }
        }
        for (layer, block) in self.blocks.iter().enumerate() {
            block.forward(&mut x, &self.config, cache, layer, &batch)?;
        }
        cache.commit(&batch.lens);
        let x = pad(self.norm.apply(&x), &batch, width);
        Ok(Tensor::from_vec(x, (rows.len(), tokens, width), &Device::Cpu)?)
    }

    /// `[N, hidden]` → `[N, vocab]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let head = self.head.as_ref().ok_or(LmError::NoHead)?;
        let (rows, width) = hidden.dims2()?;
        if width != self.config.hidden_size {
            let problem = format!("hidden states of width {width} are another model's");
            return Err(LmError::Call(problem));
        }
        let hidden = hidden.contiguous()?;
        let hidden = values(&hidden)?;
        let hidden = hidden.slice()?;
        let logits = rayon::scope(|_| head.apply(hidden, rows));
        Ok(Tensor::from_vec(logits, (rows, self.config.vocab_size), &Device::Cpu)?)
    }
}

impl Batch {
    fn new(ropes: Option<Arc<Ropes>>, rows: &[Row], new: &[&[u32]], tokens: usize) -> Self {
        let lens: Vec<usize> = new.iter().map(|row| row.len()).collect();
        let readers: Vec<Reader> = rows
            .iter()
            .zip(&lens)
            .enumerate()
            .flat_map(|(row, (held, &len))| {
                (held.len()..held.len() + len).map(move |position| Reader { row, position })
            })
            .collect();
        let positions: Vec<usize> = readers.iter().map(|reader| reader.position).collect();
        let turns = ropes.as_ref().map_or_else(Vec::new, |ropes| ropes.turns(&positions));
        Self { readers, lens, tokens, ropes, turns }
    }

    /// How `layer` turns the new tokens; none where positions are learned.
    pub fn turns(&self, layer: usize) -> Option<&Turns> {
        let ropes = self.ropes.as_ref()?;
        self.turns.get(ropes.of_layer(layer))
    }
}

/// `[N, width]` of all rows' tokens as `[rows, tokens, width]`, zeros as padding.
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

/// The values of a contiguous f32 tensor on the processor, borrowed.
pub(super) struct Values<G> {
    storage: G,
    range: Range<usize>,
}

/// Borrows the values of `tensor`.
pub(super) fn values(tensor: &Tensor) -> Result<Values<impl Deref<Target = Storage> + '_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = layout.contiguous_offsets().ok_or_else(unexpected)?;
    Ok(Values { storage, range: start..end })
}

impl<G: Deref<Target = Storage>> Values<G> {
    pub fn slice(&self) -> Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => Ok(&values[self.range.clone()]),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> LmError {
    LmError::Call("a contiguous f32 tensor on the processor is needed".into())
}
