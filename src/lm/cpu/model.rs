//! A model packed for the processor, and its forward pass.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Device, Storage, Tensor};

use super::attention::{KeyValue, Reader, Shape, attend};
use super::math::{add, rms_norm, rotate, swiglu};
use super::matmul::Packed;
use crate::lm::cache::Cache;
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

    /// The blocks and the final norm over `tokens` new tokens a row: `[rows, tokens, hidden]`.
    pub fn run(&self, cache: &mut Cache, rows: &[&[u32]], tokens: usize) -> Result<Tensor> {
        // Inside the pool a product wakes one other thread, from outside it wakes them all.
        rayon::scope(|_| self.run_here(cache, rows, tokens))
    }

    fn run_here(&self, cache: &mut Cache, rows: &[&[u32]], tokens: usize) -> Result<Tensor> {
        let batch = Batch::new(&self.rope, cache, rows, tokens);
        let width = self.config.hidden_size;
        let mut x = vec![0.0; batch.readers.len() * width];
        for (&id, row) in rows.iter().copied().flatten().zip(x.chunks_exact_mut(width)) {
            self.embedding.read(id as usize, row);
        }
        for (layer, block) in self.blocks.iter().enumerate() {
            block.forward(&mut x, &self.config, cache, layer, &batch)?;
        }
        let x = rms_norm(&x, &self.norm, self.config.norm_epsilon as f32);
        let x = pad(x, &batch, 1, width);
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
        cache: &mut Cache,
        layer: usize,
        batch: &Batch,
    ) -> Result<()> {
        let (count, epsilon) = (batch.readers.len(), config.norm_epsilon as f32);
        let mut qkv = self.qkv.apply(&rms_norm(x, &self.attention_norm, epsilon), count);
        let turned = config.heads + config.kv_heads;
        let width = (turned + config.kv_heads) * config.head_size;
        rotate(&mut qkv, width, turned, &batch.cos, &batch.sin, config.head_size / 2);
        let keys = gather(&qkv, width, config, config.heads, batch)?;
        let values = gather(&qkv, width, config, turned, batch)?;
        cache.write(layer, &keys, &values)?;
        let mixed = read_cache(&qkv, width, config, cache, layer, batch)?;
        add(x, &self.output.apply(&mixed, count));

        let gate_up = self.gate_up.apply(&rms_norm(x, &self.mlp_norm, epsilon), count);
        let inside = swiglu(&gate_up, config.intermediate_size);
        add(x, &self.down.apply(&inside, count));
        Ok(())
    }
}

impl Batch {
    fn new(rope: &Rope, cache: &Cache, rows: &[&[u32]], tokens: usize) -> Self {
        let lens: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let mut readers = Vec::new();
        let mut positions = Vec::new();
        for (row, &len) in lens.iter().enumerate() {
            let before = runs(cache.row_slots(row));
            for token in 0..len {
                let mut slots = before.clone();
                let new = cache.used()..cache.used() + token + 1;
                match slots.last_mut() {
                    Some(last) if last.end == new.start => last.end = new.end,
                    _ => slots.push(new),
                }
                readers.push(Reader { row, slots });
                positions.push(cache.len(row) + token);
            }
        }
        let (cos, sin) = rope.tables(&positions);
        Self { readers, lens, tokens, cos, sin }
    }
}

/// Ascending slots as runs that lie together.
fn runs(slots: &[usize]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &slot in slots {
        match runs.last_mut() {
            Some(last) if last.end == slot => last.end += 1,
            _ => runs.push(slot..slot + 1),
        }
    }
    runs
}

/// `[N, blocks * size]` of all rows' tokens as `[rows, blocks, tokens, size]`, zeros as padding.
fn pad(x: Vec<f32>, batch: &Batch, blocks: usize, size: usize) -> Vec<f32> {
    if blocks == 1 && batch.lens.iter().all(|&len| len == batch.tokens) {
        return x;
    }
    let tokens = batch.tokens;
    let mut out = vec![0.0; batch.lens.len() * blocks * tokens * size];
    let mut lines = x.chunks_exact(blocks * size);
    for (&len, row) in batch.lens.iter().zip(out.chunks_exact_mut(blocks * tokens * size)) {
        for (token, line) in lines.by_ref().take(len).enumerate() {
            for (block, part) in line.chunks_exact(size).enumerate() {
                row[(block * tokens + token) * size..][..size].copy_from_slice(part);
            }
        }
    }
    out
}

/// The heads from `first` on that belong to keys or values, `[rows, kv_heads, tokens, size]`.
fn gather(
    qkv: &[f32],
    width: usize,
    config: &LmConfig,
    first: usize,
    batch: &Batch,
) -> Result<Tensor> {
    let (kv_heads, size) = (config.kv_heads, config.head_size);
    let part = first * size..(first + kv_heads) * size;
    let picked: Vec<f32> =
        qkv.chunks_exact(width).flat_map(|row| &row[part.clone()]).copied().collect();
    let shape = (batch.lens.len(), kv_heads, batch.tokens, size);
    let padded = pad(picked, batch, kv_heads, size);
    Ok(Tensor::from_vec(padded, shape, &Device::Cpu)?)
}

/// Attention over what `cache` holds of `layer`, `[N, heads * head_size]`.
fn read_cache(
    queries: &[f32],
    width: usize,
    config: &LmConfig,
    cache: &Cache,
    layer: usize,
    batch: &Batch,
) -> Result<Vec<f32>> {
    let tail = cache.whole_tail(layer);
    let shape = Shape {
        heads: config.heads,
        kv_heads: config.kv_heads,
        size: config.head_size,
        prompt_tokens: cache.prompt_tokens(),
        capacity: tail.keys.dim(2)?,
    };
    let (tail_keys, tail_values) = (values(&tail.keys)?, values(&tail.values)?);
    let prompt = cache.prompt(layer);
    let prompt_keys = prompt.map(|prompt| values(&prompt.keys)).transpose()?;
    let prompt_values = prompt.map(|prompt| values(&prompt.values)).transpose()?;
    let data = KeyValue {
        prompt_keys: prompt_keys.as_ref().map_or(Ok(&[][..]), |values| values.slice())?,
        prompt_values: prompt_values.as_ref().map_or(Ok(&[][..]), |values| values.slice())?,
        tail_keys: tail_keys.slice()?,
        tail_values: tail_values.slice()?,
    };
    Ok(attend(queries, width, &batch.readers, data, shape))
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
