//! Element-wise arithmetic that the compiler can vectorise.

use crate::numeric::{exp, fused_multiply_add};

/// Returns sums + x·weights. Sums are passed by value to keep them in registers; borrowed sums
/// would stay in memory.
#[inline(always)]
pub(crate) fn add_multiple<const LANES: usize>(
    x: f32,
    weights: &[f32; LANES],
    sums: [f32; LANES],
) -> [f32; LANES] {
    let mut out = sums;
    for lane in 0..LANES {
        out[lane] = fused_multiply_add(x, weights[lane], sums[lane]);
    }
    out
}

/// Returns Σ aᵢ·bᵢ.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] = fused_multiply_add(a[lane], b[lane], sums[lane]);
        }
    }
    // A pairwise sum stays in vector registers; a plain sum would be sequential.
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    a_rest.iter().zip(b_rest).fold(sums[0], |sum, (a, b)| fused_multiply_add(*a, *b, sum))
}

/// Returns the maximum absolute value. NaN counts as larger than any number.
#[inline(always)]
pub(crate) fn max_abs(x: &[f32]) -> f32 {
    // Without the sign bit, floats are ordered by their bits.
    f32::from_bits(x.iter().fold(0, |max, x| max.max(x.to_bits() & 0x7fff_ffff)))
}

/// Computes y += x.
pub(super) fn add(y: &mut [f32], x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

/// Applies an RMS norm: divides each row of `x` by its root mean square and multiplies by `weight`.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(weight.len()) {
        let scale = 1.0 / (dot(row, row) / row.len() as f32 + epsilon).sqrt();
        out.extend(row.iter().zip(weight).map(|(x, w)| x * scale * w));
    }
    out
}

/// Applies a layer norm: centres each row of `x`, divides by its standard deviation, multiplies by
/// `weight` and adds `bias`.
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
    let width = weight.len();
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = reduce(row, 0.0, |a, b| a + b) / width as f32;
        let start = out.len();
        out.extend(row.iter().map(|x| x - mean));
        let centred = &mut out[start..];
        let scale = 1.0 / (dot(centred, centred) / width as f32 + epsilon).sqrt();
        for ((x, weight), bias) in centred.iter_mut().zip(weight).zip(bias) {
            *x = *x * scale * weight + bias;
        }
    }
    out
}

/// Returns SiLU(x) = x·σ(x).
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Returns GELU(x) with the tanh approximation, ½x(1 + tanh(√(2/π)(x + 0.044715x³))), computed as
/// x·σ(2√(2/π)(x + 0.044715x³)).
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    const TWO_ROOT_TWO_OVER_PI: f32 = 1.595_769;
    x / (1.0 + exp(-TWO_ROOT_TWO_OVER_PI * fused_multiply_add(0.044_715 * x * x, x, x)))
}

/// Returns activation(gate)·up for rows of concatenated gate and up values:
/// `[N, 2·width]` → `[N, width]`.
#[inline(always)]
pub(super) fn gated(gate_up: &[f32], width: usize, activation: impl Fn(f32) -> f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(gate_up.len() / 2);
    for row in gate_up.chunks_exact(2 * width) {
        let (gate, up) = row.split_at(width);
        out.extend(gate.iter().zip(up).map(|(gate, up)| activation(*gate) * up));
    }
    out
}

/// Rotates the first `heads` heads of each row of `x` by that row's angles (half-split rotation).
/// `cos` and `sin` are `[N, half]`, where `half` is half the head size. A row of `x` has `width`
/// values.
pub(crate) fn rotate(
    x: &mut [f32],
    width: usize,
    heads: usize,
    cos: &[f32],
    sin: &[f32],
    half: usize,
) {
    for (index, row) in x.chunks_exact_mut(width).enumerate() {
        let cos = &cos[index * half..][..half];
        let sin = &sin[index * half..][..half];
        for head in row.chunks_exact_mut(2 * half).take(heads) {
            let (left, right) = head.split_at_mut(half);
            for i in 0..half {
                let (l, r) = (left[i], right[i]);
                left[i] = l * cos[i] - r * sin[i];
                right[i] = r * cos[i] + l * sin[i];
            }
        }
    }
}

/// Applies an RMS norm to each of `heads` heads of each row of `x`, from head `first` on. A row of
/// `x` has `width` values.
pub(crate) fn norm_heads(
    x: &mut [f32],
    width: usize,
    (first, heads): (usize, usize),
    weight: &[f32],
    epsilon: f32,
) {
    let size = weight.len();
    for row in x.chunks_exact_mut(width) {
        for head in row.chunks_exact_mut(size).skip(first).take(heads) {
            let scale = 1.0 / (dot(head, head) / size as f32 + epsilon).sqrt();
            head.iter_mut().zip(weight).for_each(|(x, weight)| *x *= scale * weight);
        }
    }
}

/// Replaces `x` with its softmax.
pub(super) fn softmax(x: &mut [f32]) {
    let max = reduce(x, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
    x.iter_mut().for_each(|x| *x = exp(*x - max));
    let scale = 1.0 / reduce(x, 0.0, |a, b| a + b);
    x.iter_mut().for_each(|x| *x *= scale);
}

/// Combines all values of `x`, first per lane and then across lanes, so that the loop vectorises.
#[inline(always)]
fn reduce(x: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [start; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = combine(lanes[lane], chunk[lane]);
        }
    }
    lanes.iter().chain(rest).copied().fold(start, combine)
}
