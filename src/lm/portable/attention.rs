//! Grouped-query attention of new tokens over the shared prompt and each row's tail.

use candle_core::{D, Device, Tensor};

use crate::lm::cache::Tails;
use crate::lm::config::LmConfig;
use crate::lm::error::Result;

/// Attention masks for the new tokens of one forward pass.
pub(super) struct Batch {
    /// New tokens per row, including padding of shorter rows.
    pub(crate) tokens: usize,
    /// `[rows, 1, 1, tokens, slots]`: 0 if the key is visible, −∞ otherwise. `None` if all slots
    /// are visible to all rows.
    mask: Option<Tensor>,
    /// `[rows, 1, 1, tokens, prompt + slots]` for layers with a window. `None` if the window hides
    /// no key.
    window_mask: Option<Tensor>,
}

impl Batch {
    /// Creates the masks for `tokens` new tokens per row after those in `cache`.
    pub(super) fn new(
        cache: &Tails,
        tokens: usize,
        config: &LmConfig,
        device: &Device,
    ) -> Result<Self> {
        let window = config.local.as_ref().map(|local| local.window_tokens);
        let window_mask = match window {
            Some(window) => window_mask(cache, tokens, window, device)?,
            None => None,
        };
        Ok(Self { tokens, mask: mask(cache, tokens, device)?, window_mask })
    }
}

/// Builds the mask of visible slots. A new token attends to the slots of its row and the new slots
/// up to its own. Padding comes after the real tokens of its row, so the causal order already hides
/// it.
fn mask(cache: &Tails, tokens: usize, device: &Device) -> Result<Option<Tensor>> {
    let (rows, used) = (cache.rows(), cache.used());
    if tokens == 1 && (0..rows).all(|row| cache.row_slots(row).len() == used) {
        return Ok(None);
    }
    let slots = used + tokens;
    let mut mask = vec![f32::NEG_INFINITY; rows * tokens * slots];
    for (row, block) in mask.chunks_exact_mut(tokens * slots).enumerate() {
        for (token, line) in block.chunks_exact_mut(slots).enumerate() {
            for &slot in cache.row_slots(row) {
                line[slot] = 0.0;
            }
            line[used..=used + token].fill(0.0);
        }
    }
    Ok(Some(Tensor::from_vec(mask, (rows, 1, 1, tokens, slots), device)?))
}

/// Builds the mask that additionally hides keys outside the window.
fn window_mask(
    cache: &Tails,
    tokens: usize,
    window: usize,
    device: &Device,
) -> Result<Option<Tensor>> {
    let (rows, used) = (cache.rows(), cache.used());
    if (0..rows).all(|row| cache.len(row) + tokens <= window) {
        return Ok(None);
    }
    let (prompt, slots) = (cache.prompt_tokens(), used + tokens);
    let width = prompt + slots;
    let mut mask = vec![0.0; rows * tokens * width];
    for (row, block) in mask.chunks_exact_mut(tokens * width).enumerate() {
        for (token, line) in block.chunks_exact_mut(width).enumerate() {
            // First visible position.
            let first = (cache.len(row) + token + 1).saturating_sub(window);
            line[..first.min(prompt)].fill(f32::NEG_INFINITY);
            for (index, &slot) in cache.row_slots(row).iter().enumerate() {
                if prompt + index < first {
                    line[prompt + slot] = f32::NEG_INFINITY;
                }
            }
            for new in 0..tokens {
                if cache.len(row) + new < first {
                    line[prompt + used + new] = f32::NEG_INFINITY;
                }
            }
        }
    }
    Ok(Some(Tensor::from_vec(mask, (rows, 1, 1, tokens, width), device)?))
}

/// Computes attention in `layer` for `queries` `[rows, heads, T, size]` (rotated, not scaled).
/// Their keys and values must already be written to `cache`. Returns `[rows, T, heads * size]`.
///
/// One product reads the prompt for all rows. Query heads that share keys are stacked along the
/// query axis, so that the keys are not repeated.
pub(super) fn attend(
    queries: &Tensor,
    cache: &Tails,
    layer: usize,
    batch: &Batch,
    config: &LmConfig,
) -> Result<Tensor> {
    let (rows, heads, tokens, size) = queries.dims4()?;
    let kv_heads = config.kv_heads;
    let group = heads / kv_heads;
    let tail = cache.tail(layer, cache.used() + batch.tokens)?;
    let slots = tail.keys.dim(2)?;
    let queries = (queries * f64::from(config.attention_scale))?;
    let queries = queries.reshape((rows, kv_heads, group * tokens, size))?;
    let window_mask = batch.window_mask.as_ref().filter(|_| config.window(layer).is_some());
    let apply_window = |scores: Tensor| -> Result<Tensor> {
        let Some(mask) = window_mask else { return Ok(scores) };
        let width = scores.dim(D::Minus1)?;
        let split = scores.reshape((rows, kv_heads, group, tokens, width))?;
        Ok(split.broadcast_add(mask)?.reshape((rows, kv_heads, group * tokens, width))?)
    };

    let mut tail_scores = queries.matmul(&tail.keys.t()?)?;
    if let Some(mask) = &batch.mask {
        let split = tail_scores.reshape((rows, kv_heads, group, tokens, slots))?;
        let masked = split.broadcast_add(mask)?;
        tail_scores = masked.reshape((rows, kv_heads, group * tokens, slots))?;
    }
    let output = match cache.prompt(layer) {
        None => {
            candle_nn::ops::softmax_last_dim(&apply_window(tail_scores)?)?.matmul(&tail.values)?
        }
        Some(prompt) => {
            let stacked = (kv_heads, rows * group * tokens, size);
            let prompt_tokens = prompt.keys.dim(1)?;
            let prompt_scores = queries
                .transpose(0, 1)?
                .reshape(stacked)?
                .matmul(&prompt.keys.t()?)?
                .reshape((kv_heads, rows, group * tokens, prompt_tokens))?
                .transpose(0, 1)?;
            let scores = Tensor::cat(&[&prompt_scores.contiguous()?, &tail_scores], D::Minus1)?;
            let weights = candle_nn::ops::softmax_last_dim(&apply_window(scores)?)?;
            let of_prompt = weights
                .narrow(D::Minus1, 0, prompt_tokens)?
                .transpose(0, 1)?
                .reshape((kv_heads, rows * group * tokens, prompt_tokens))?
                .matmul(&prompt.values)?
                .reshape((kv_heads, rows, group * tokens, size))?
                .transpose(0, 1)?;
            let of_tail = weights
                .narrow(D::Minus1, prompt_tokens, slots)?
                .contiguous()?
                .matmul(&tail.values)?;
            (of_tail + of_prompt)?
        }
    };
    let output = output.reshape((rows, heads, tokens, size))?.transpose(1, 2)?;
    Ok(output.reshape((rows, tokens, heads * size))?)
}
