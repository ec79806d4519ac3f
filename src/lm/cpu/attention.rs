//! Attention of new tokens over what their rows hold.

use rayon::prelude::*;

use super::math::{dot, fused_multiply_add, softmax};
use crate::lm::cache::Blocks;
use crate::lm::config::LmConfig;

/// Below this many multiplications attention is not worth a second thread.
const PARALLEL_FROM: usize = 1 << 17;

/// Queries that read one key together.
const TOGETHER: usize = 4;

/// A new token. It reads its row up to and with itself.
pub struct Reader {
    pub row: usize,
    pub position: usize,
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
    config: &LmConfig,
) -> Vec<f32> {
    let out_width = config.heads * config.head_size;
    let mut out = vec![0.0; readers.len() * out_width];
    let work = readers.iter().map(|r| r.position + 1).sum::<usize>() * out_width * 2;
    let one = |(out, (reader, queries)): (&mut [f32], (&Reader, &[f32]))| {
        attend_token(&queries[..out_width], reader, cache, layer, config, out);
    };
    if work < PARALLEL_FROM || readers.len() < 2 {
        let inputs = readers.iter().zip(queries.chunks_exact(width));
        out.chunks_exact_mut(out_width).zip(inputs).for_each(one);
    } else {
        // Twice as many shares as threads: later tokens of a prompt read more than earlier ones.
        let share = readers.len().div_ceil(2 * rayon::current_num_threads());
        let inputs = readers.par_iter().zip(queries.par_chunks_exact(width));
        out.par_chunks_exact_mut(out_width).zip(inputs).with_min_len(share).for_each(one);
    }
    out
}

fn attend_token(
    queries: &[f32],
    reader: &Reader,
    cache: &Blocks,
    layer: usize,
    config: &LmConfig,
    out: &mut [f32],
) {
    let (size, group) = (config.head_size, config.heads / config.kv_heads);
    let read = reader.position + 1;
    let scale = 1.0 / (size as f32).sqrt();
    let mut scores = vec![0.0; TOGETHER * read];
    for kv_head in 0..config.kv_heads {
        let parts = cache.read(reader.row, layer, kv_head, read);
        let own = kv_head * group * size..(kv_head + 1) * group * size;
        let queries = queries[own.clone()].chunks(TOGETHER * size);
        for (queries, outs) in queries.zip(out[own].chunks_mut(TOGETHER * size)) {
            let keys = parts.clone().map(|(keys, _)| keys);
            score(queries, keys, size, scale, &mut scores, read);
            for (out, weights) in outs.chunks_exact_mut(size).zip(scores.chunks_exact_mut(read)) {
                softmax(weights);
                mix(out, weights, parts.clone().map(|(_, values)| values), size);
            }
        }
    }
}

/// Scaled products of up to [`TOGETHER`] queries with all keys: `scores` is `[TOGETHER, read]`.
fn score<'a>(
    queries: &[f32],
    keys: impl Iterator<Item = &'a [f32]>,
    size: usize,
    scale: f32,
    scores: &mut [f32],
    read: usize,
) {
    let keys = keys.flat_map(|run| run.chunks_exact(size)).enumerate();
    if queries.len() == TOGETHER * size {
        let queries: [&[f32]; TOGETHER] = std::array::from_fn(|q| &queries[q * size..][..size]);
        for (index, key) in keys {
            for (query, product) in dots(queries, key).into_iter().enumerate() {
                scores[query * read + index] = product * scale;
            }
        }
    } else {
        for (index, key) in keys {
            for (query, values) in queries.chunks_exact(size).enumerate() {
                scores[query * read + index] = dot(values, key) * scale;
            }
        }
    }
}

/// Products of several queries with one key, which is loaded once.
#[inline(always)]
fn dots(queries: [&[f32]; TOGETHER], key: &[f32]) -> [f32; TOGETHER] {
    const LANES: usize = 8;
    let mut sums = [[0.0; LANES]; TOGETHER];
    let (chunks, rest) = key.as_chunks::<LANES>();
    let (q0, q1) = (queries[0].as_chunks::<LANES>().0, queries[1].as_chunks::<LANES>().0);
    let (q2, q3) = (queries[2].as_chunks::<LANES>().0, queries[3].as_chunks::<LANES>().0);
    for ((((key, q0), q1), q2), q3) in chunks.iter().zip(q0).zip(q1).zip(q2).zip(q3) {
        for lane in 0..LANES {
            sums[0][lane] = fused_multiply_add(q0[lane], key[lane], sums[0][lane]);
            sums[1][lane] = fused_multiply_add(q1[lane], key[lane], sums[1][lane]);
            sums[2][lane] = fused_multiply_add(q2[lane], key[lane], sums[2][lane]);
            sums[3][lane] = fused_multiply_add(q3[lane], key[lane], sums[3][lane]);
        }
    }
    let done = key.len() - rest.len();
    std::array::from_fn(|q| {
        let s = &sums[q];
        let sum = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
        sum + queries[q][done..].iter().zip(rest).map(|(a, b)| a * b).sum::<f32>()
    })
}

/// out += Σ weightᵢ · valueᵢ, four values at a time so that `out` is touched a quarter as often.
fn mix<'a>(out: &mut [f32], weights: &[f32], values: impl Iterator<Item = &'a [f32]>, size: usize) {
    let mut rest = weights;
    for run in values {
        let (weights, after) = rest.split_at(run.len() / size);
        rest = after;
        let (fours, last) = weights.as_chunks::<4>();
        let (run, last_run) = run.split_at(fours.len() * 4 * size);
        for (w, rows) in fours.iter().zip(run.chunks_exact(4 * size)) {
            let (a, b) = rows.split_at(2 * size);
            let ((v0, v1), (v2, v3)) = (a.split_at(size), b.split_at(size));
            for ((((out, v0), v1), v2), v3) in out.iter_mut().zip(v0).zip(v1).zip(v2).zip(v3) {
                let low = fused_multiply_add(w[0], *v0, w[1] * v1);
                let high = fused_multiply_add(w[2], *v2, w[3] * v3);
                *out += low + high;
            }
        }
        for (w, row) in last.iter().zip(last_run.chunks_exact(size)) {
            out.iter_mut().zip(row).for_each(|(out, v)| *out = fused_multiply_add(*w, *v, *out));
        }
    }
}
