//! Attention of new tokens over the cached tokens of their rows.

use rayon::prelude::*;

use super::math::{add_multiple, softmax};
use crate::lm::cache::{BLOCK, Blocks};
use crate::lm::config::LmConfig;
use crate::numeric::fused_multiply_add;

/// Minimum multiplications for which attention uses more than one thread.
const PARALLEL_FROM: usize = 1 << 17;

/// Number of values of a head that are summed at once.
const LANES: usize = 16;

/// A new token. It attends to its row up to and including itself.
pub(crate) struct NewToken {
    pub(crate) row: usize,
    pub(crate) position: usize,
}

/// Attention parameters of a layer.
#[derive(Clone, Copy)]
pub(crate) struct AttentionParams {
    /// Window in tokens, including the current token, or `None` for full attention.
    pub(crate) window: Option<usize>,
    /// Factor applied to the products of queries and keys.
    pub(crate) scale: f32,
}

/// Computes attention for N tokens. Their keys and values must already be in `cache`. The queries
/// of token n are the first `heads * head_size` values of row n of `queries`; rows have `width`
/// values. Returns `[N, heads * head_size]`.
pub(crate) fn attend(
    queries: &[f32],
    width: usize,
    new_tokens: &[NewToken],
    cache: &Blocks,
    layer: usize,
    settings: (&LmConfig, AttentionParams),
) -> Vec<f32> {
    let config = settings.0;
    let (kv_heads, group) = (config.kv_heads, config.heads / config.kv_heads);
    // Size of the output of one token's queries that share a key head.
    let part = group * config.head_size;
    let mut out = vec![0.0; new_tokens.len() * kv_heads * part];
    let work = 2 * part * kv_heads * new_tokens.iter().map(|r| r.position + 1).sum::<usize>();
    let attend_one = |(index, out): (usize, &mut [f32])| {
        let (token, kv_head) = (index / kv_heads, index % kv_heads);
        let queries = &queries[token * width + kv_head * part..][..part];
        let head = (&new_tokens[token], layer, kv_head);
        // Queries that share keys are processed together, as many as fit in the registers.
        match group {
            1 => attend_group::<1>(queries, head, cache, settings, out),
            2 => attend_group::<2>(queries, head, cache, settings, out),
            3 => attend_group::<3>(queries, head, cache, settings, out),
            _ => attend_group::<4>(queries, head, cache, settings, out),
        }
    };
    if work < PARALLEL_FROM {
        out.chunks_exact_mut(part).enumerate().for_each(attend_one);
    } else {
        // Two shares per thread balance the load: later tokens of a prompt read more keys.
        let share = (new_tokens.len() * kv_heads).div_ceil(2 * rayon::current_num_threads());
        out.par_chunks_exact_mut(part).enumerate().with_min_len(share).for_each(attend_one);
    }
    out
}

/// Computes attention for the queries of one token that share one key head, QUERIES at a time.
fn attend_group<const QUERIES: usize>(
    queries: &[f32],
    (token, layer, kv_head): (&NewToken, usize, usize),
    cache: &Blocks,
    (config, AttentionParams { window, scale }): (&LmConfig, AttentionParams),
    out: &mut [f32],
) {
    let size = config.head_size;
    // Blocks entirely before the window are skipped. In the first block that is read, the tokens
    // before the window are masked.
    let tokens = token.position + 1;
    let outside = window.map_or(0, |window| tokens.saturating_sub(window));
    let (skipped, masked) = (outside / BLOCK, outside % BLOCK);
    let read = tokens - skipped * BLOCK;
    let padded = read.next_multiple_of(BLOCK);
    let mut scores = vec![0.0; QUERIES * padded];
    let mut interleaved = vec![[0.0; QUERIES]; size];
    let parts = cache.read(token.row, layer, kv_head, tokens).skip(skipped);
    let together = QUERIES * size;
    for (queries, outs) in queries.chunks(together).zip(out.chunks_mut(together)) {
        for (index, query) in queries.chunks_exact(size).enumerate() {
            let values = interleaved.iter_mut().zip(query);
            values.for_each(|(queries, value)| queries[index] = value * scale);
        }
        for (index, part) in parts.clone().enumerate() {
            let products = products(&interleaved, part.keys);
            for (scores, products) in scores.chunks_exact_mut(padded).zip(products) {
                scores[index * BLOCK..][..BLOCK].copy_from_slice(&products);
            }
        }
        for scores in scores.chunks_exact_mut(padded) {
            scores[..masked].fill(f32::NEG_INFINITY);
            softmax(&mut scores[..read]);
        }
        // One block at a time, so that its values are read sequentially.
        for (index, part) in parts.clone().enumerate() {
            mix::<QUERIES>(outs, &scores[index * BLOCK..], padded, part.values, size);
        }
    }
}

/// Returns the products of QUERIES queries `[size, QUERIES]` with the keys of a block
/// `[size, BLOCK]`.
#[inline(always)]
fn products<const QUERIES: usize>(
    queries: &[[f32; QUERIES]],
    keys: &[[f32; BLOCK]],
) -> [[f32; BLOCK]; QUERIES] {
    let mut sums = [[0.0; BLOCK]; QUERIES];
    for (queries, keys) in queries.iter().zip(keys) {
        for (sums, query) in sums.iter_mut().zip(queries) {
            *sums = add_multiple(*query, keys, *sums);
        }
    }
    sums
}

/// Computes outs += Σ weightᵢ · valueᵢ for QUERIES queries and the `values` `[tokens, size]` of one
/// block. `outs` is `[queries, size]`. The weights of query q start at `weights[q * padded]`.
#[inline(always)]
fn mix<const QUERIES: usize>(
    outs: &mut [f32],
    weights: &[f32],
    padded: usize,
    values: &[f32],
    size: usize,
) {
    let mut from = 0;
    while from + LANES <= size {
        let mut sums = [[0.0; LANES]; QUERIES];
        for (token, value) in values.chunks_exact(size).enumerate() {
            let Some(value) = value[from..].first_chunk::<LANES>() else { continue };
            for (query, sums) in sums.iter_mut().enumerate() {
                *sums = add_multiple(weights[query * padded + token], value, *sums);
            }
        }
        for (out, sums) in outs.chunks_exact_mut(size).zip(sums) {
            out[from..from + LANES].iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
        }
        from += LANES;
    }
    // The remaining values, if the head size is not a multiple of LANES.
    for (out, weights) in outs.chunks_exact_mut(size).zip(weights.chunks(padded)) {
        for (weight, value) in weights.iter().zip(values.chunks_exact(size)) {
            for (out, value) in out[from..].iter_mut().zip(&value[from..]) {
                *out = fused_multiply_add(*weight, *value, *out);
            }
        }
    }
}
