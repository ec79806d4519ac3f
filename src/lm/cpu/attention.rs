//! Attention of new tokens over what their rows hold.

use rayon::prelude::*;

use super::math::{add_multiple, fused_multiply_add, softmax};
use crate::lm::cache::{BLOCK, Blocks};
use crate::lm::config::LmConfig;

/// Below this many multiplications attention is not worth a second thread.
const PARALLEL_FROM: usize = 1 << 17;

/// Values of a head that are summed at once.
const LANES: usize = 16;

/// A new token. It reads its row up to and with itself.
pub struct Reader {
    pub row: usize,
    pub position: usize,
}

/// How a layer attends.
#[derive(Clone, Copy)]
pub struct Reach {
    /// Tokens a reader sees, itself included; none where it sees all before it.
    pub window: Option<usize>,
    /// What products of queries and keys are multiplied by.
    pub scale: f32,
}

/// Attention of N tokens, whose keys and values `cache` holds already. Token n's queries are the
/// first `heads * head_size` values of row n of `queries`, whose rows are `width` long. Gives
/// `[N, heads * head_size]`.
pub fn attend(
    queries: &[f32],
    width: usize,
    readers: &[Reader],
    cache: &Blocks,
    layer: usize,
    how: (&LmConfig, Reach),
) -> Vec<f32> {
    let config = how.0;
    let (kv_heads, group) = (config.kv_heads, config.heads / config.kv_heads);
    // What the queries of one token give that share keys.
    let part = group * config.head_size;
    let mut out = vec![0.0; readers.len() * kv_heads * part];
    let work = 2 * part * kv_heads * readers.iter().map(|r| r.position + 1).sum::<usize>();
    let one = |(index, out): (usize, &mut [f32])| {
        let (reader, kv_head) = (index / kv_heads, index % kv_heads);
        let queries = &queries[reader * width + kv_head * part..][..part];
        let place = (&readers[reader], layer, kv_head);
        // As many of the queries that share keys read them together as the registers allow.
        match group {
            1 => attend_group::<1>(queries, place, cache, how, out),
            2 => attend_group::<2>(queries, place, cache, how, out),
            3 => attend_group::<3>(queries, place, cache, how, out),
            _ => attend_group::<4>(queries, place, cache, how, out),
        }
    };
    if work < PARALLEL_FROM {
        out.chunks_exact_mut(part).enumerate().for_each(one);
    } else {
        // Twice as many shares as threads: later tokens of a prompt read more than earlier ones.
        let share = (readers.len() * kv_heads).div_ceil(2 * rayon::current_num_threads());
        out.par_chunks_exact_mut(part).enumerate().with_min_len(share).for_each(one);
    }
    out
}

/// Attention of the queries of a token that share the keys of a head.
fn attend_group<const TOGETHER: usize>(
    queries: &[f32],
    (reader, layer, kv_head): (&Reader, usize, usize),
    cache: &Blocks,
    (config, Reach { window, scale }): (&LmConfig, Reach),
    out: &mut [f32],
) {
    let size = config.head_size;
    // Whole blocks before the window are not read; of the first block that is, a part is hidden.
    let all = reader.position + 1;
    let unseen = window.map_or(0, |window| all.saturating_sub(window));
    let (skipped, hidden) = (unseen / BLOCK, unseen % BLOCK);
    let read = all - skipped * BLOCK;
    let padded = read.next_multiple_of(BLOCK);
    let mut scores = vec![0.0; TOGETHER * padded];
    let mut interleaved = vec![[0.0; TOGETHER]; size];
    let parts = cache.read(reader.row, layer, kv_head, all).skip(skipped);
    let together = TOGETHER * size;
    for (queries, outs) in queries.chunks(together).zip(out.chunks_mut(together)) {
        for (index, query) in queries.chunks_exact(size).enumerate() {
            let places = interleaved.iter_mut().zip(query);
            places.for_each(|(place, value)| place[index] = value * scale);
        }
        for (index, part) in parts.clone().enumerate() {
            let products = products(&interleaved, part.keys);
            for (scores, products) in scores.chunks_exact_mut(padded).zip(products) {
                scores[index * BLOCK..][..BLOCK].copy_from_slice(&products);
            }
        }
        for scores in scores.chunks_exact_mut(padded) {
            scores[..hidden].fill(f32::NEG_INFINITY);
            softmax(&mut scores[..read]);
        }
        // A block at a time, so that its values come from memory in one piece.
        for (index, part) in parts.clone().enumerate() {
            mix::<TOGETHER>(outs, &scores[index * BLOCK..], padded, part.values, size);
        }
    }
}

/// Products of a few queries `[size, queries]` with the keys of a block `[size, BLOCK]`.
#[inline(always)]
fn products<const TOGETHER: usize>(
    queries: &[[f32; TOGETHER]],
    keys: &[[f32; BLOCK]],
) -> [[f32; BLOCK]; TOGETHER] {
    let mut sums = [[0.0; BLOCK]; TOGETHER];
    for (queries, keys) in queries.iter().zip(keys) {
        for (sums, query) in sums.iter_mut().zip(queries) {
            *sums = add_multiple(*query, keys, *sums);
        }
    }
    sums
}

/// outs += Σ weightᵢ · valueᵢ for a few queries and the `values` `[tokens, size]` of one block:
/// `outs` is `[queries, size]`; a query's weights begin `padded` after those of the one before.
#[inline(always)]
fn mix<const TOGETHER: usize>(
    outs: &mut [f32],
    weights: &[f32],
    padded: usize,
    values: &[f32],
    size: usize,
) {
    let mut from = 0;
    while from + LANES <= size {
        let mut sums = [[0.0; LANES]; TOGETHER];
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
    // What is left of heads whose size is no multiple of LANES.
    for (out, weights) in outs.chunks_exact_mut(size).zip(weights.chunks(padded)) {
        for (weight, value) in weights.iter().zip(values.chunks_exact(size)) {
            for (out, value) in out[from..].iter_mut().zip(&value[from..]) {
                *out = fused_multiply_add(*weight, *value, *out);
            }
        }
    }
}
