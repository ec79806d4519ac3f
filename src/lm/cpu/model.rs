//! A model packed for the processor, and its forward pass.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Device, Storage, Tensor};

use super::attention::{Reader, attend};
use super::math::{add, rms_norm, rotate, swiglu};
use super::matmul::Packed;
use crate::lm::cache::{Blocks, Cache, Owner, Row, Store};
use crate::lm::config::LmConfig;
use crate::lm::error::{LmError, Result};
use crate::lm::rope::Rope;
use crate::lm::weights::{BlockWeights, ModelWeights};

/// A model whose weights are packed for [`Packed::apply`].
pub struct Model {
    config: LmConfig,
    embedding: Packed,
    blocks: Vec<Block>,
    norm: Vec<f32>,
    /// None where the embedding is the head, or where there is no head at all.
    head: Option<Packed>,
    rope: Rope,
}

struct Block {
    attention_norm: Vec<f32>,
    /// Queries, keys and values side by side.
    qkv: Packed,
    output: Packed,
    mlp_norm: Vec<f32>,
    /// Gate and up side by side.
    gate_up: Packed,
    down: Packed,
}

/// The new tokens of one pass: those of all rows one after another, without padding.
struct Batch {
    readers: Vec<Reader>,
    /// Per row how many of them are its own.
    lens: Vec<usize>,
    /// The longest of `lens`.
    tokens: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Model {
    pub fn new(config: &LmConfig, weights: ModelWeights) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            embedding: pack(&[&weights.embedding])?,
            blocks: weights.blocks.iter().map(Block::new).collect::<Result<_>>()?,
            norm: weights.norm.to_vec1()?,
            head: weights.head.map(|head| pack(&[&head])).transpose()?,
            rope: Rope::new(config),
        })
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
        let batch = Batch::new(&self.rope, cache.rows(), rows, tokens);
        let width = self.config.hidden_size;
        let mut x = vec![0.0; batch.readers.len() * width];
        for (&id, row) in rows.iter().copied().flatten().zip(x.chunks_exact_mut(width)) {
            self.embedding.read(id as usize, row);
        }
        for (layer, block) in self.blocks.iter().enumerate() {
            block.forward(&mut x, &self.config, cache, layer, &batch);
        }
        cache.commit(&batch.lens);
        let x = rms_norm(&x, &self.norm, self.config.norm_epsilon as f32);
        let x = pad(x, &batch, width);
        Ok(Tensor::from_vec(x, (rows.len(), tokens, width), &Device::Cpu)?)
    }

    /// `[N, hidden]` → `[N, vocab]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let head = match &self.head {
            Some(head) => head,
            None if self.config.tied => &self.embedding,
            None => return Err(LmError::NoHead),
        };
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

impl Block {
    fn new(weights: &BlockWeights) -> Result<Self> {
        Ok(Self {
            attention_norm: weights.attention_norm.to_vec1()?,
            qkv: pack(&[&weights.queries, &weights.keys, &weights.values])?,
            output: pack(&[&weights.output])?,
            mlp_norm: weights.mlp_norm.to_vec1()?,
            gate_up: pack(&[&weights.gate, &weights.up])?,
            down: pack(&[&weights.down])?,
        })
    }

    /// `x` is `[N, hidden]`; writes this layer's new keys and values to `cache`.
    fn forward(
        &self,
        x: &mut [f32],
        config: &LmConfig,
        cache: &mut Blocks,
        layer: usize,
        batch: &Batch,
    ) {
        let (count, epsilon) = (batch.readers.len(), config.norm_epsilon as f32);
        let mut qkv = self.qkv.apply(&rms_norm(x, &self.attention_norm, epsilon), count);
        let turned = config.heads + config.kv_heads;
        let width = (turned + config.kv_heads) * config.head_size;
        rotate(&mut qkv, width, turned, &batch.cos, &batch.sin, config.head_size / 2);
        let keys = config.heads * config.head_size..turned * config.head_size;
        for (reader, line) in batch.readers.iter().zip(qkv.chunks_exact(width)) {
            let (keys, values) = (&line[keys.clone()], &line[keys.end..]);
            cache.write(reader.row, reader.position, layer, keys, values);
        }
        let mixed = attend(&qkv, width, &batch.readers, cache, layer, config);
        add(x, &self.output.apply(&mixed, count));

        let gate_up = self.gate_up.apply(&rms_norm(x, &self.mlp_norm, epsilon), count);
        let inside = swiglu(&gate_up, config.intermediate_size);
        add(x, &self.down.apply(&inside, count));
    }
}

impl Batch {
    fn new(rope: &Rope, rows: &[Row], new: &[&[u32]], tokens: usize) -> Self {
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
        let (cos, sin) = rope.tables(&positions);
        Self { readers, lens, tokens, cos, sin }
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

/// Weights `[out, in]` of one input, packed side by side.
fn pack(weights: &[&Tensor]) -> Result<Packed> {
    let weight = Tensor::cat(weights, 0)?;
    let (outputs, inputs) = weight.dims2()?;
    Ok(Packed::new(values(&weight)?.slice()?, outputs, inputs))
}

/// The values of a contiguous f32 tensor on the processor, borrowed.
struct Values<G> {
    storage: G,
    range: Range<usize>,
}

/// Borrows the values of `tensor`.
fn values(tensor: &Tensor) -> Result<Values<impl Deref<Target = Storage> + '_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = layout.contiguous_offsets().ok_or_else(unexpected)?;
    Ok(Values { storage, range: start..end })
}

impl<G: Deref<Target = Storage>> Values<G> {
    fn slice(&self) -> Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => Ok(&values[self.range.clone()]),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> LmError {
    LmError::Call("a contiguous f32 tensor on the processor is needed".into())
}
