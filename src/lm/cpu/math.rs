//! Element-wise arithmetic, written so that the compiler turns it into vector instructions.

/// a·b + c, in one instruction where the processor built for has one. Elsewhere `mul_add`
/// would call a library function for every element.
#[inline(always)]
pub fn fused_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// sums + x·weights. By value: sums that are borrowed would live in memory, not in registers.
#[inline(always)]
pub fn add_multiple<const LANES: usize>(
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

/// 1.5·2²³: adding it rounds to an integer and leaves that in the low bits.
pub const ROUND: f32 = 12_582_912.0;

/// eˣ within 2 units in the last place for x in [−87, 88]; clamped outside. The method is
/// that of Cephes: x = n·ln 2 + r, and a polynomial for eʳ.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = fused_multiply_add(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that n·ln 2 loses nothing.
    let r = fused_multiply_add(n, -0.693_359_4, x);
    let r = fused_multiply_add(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = fused_multiply_add(p, r, c);
    }
    let p = fused_multiply_add(p, r * r, r + 1.0);
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// Σ aᵢ·bᵢ.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] = fused_multiply_add(a[lane], b[lane], sums[lane]);
        }
    }
    // Halving keeps the additions in vector registers; a plain sum would be sequential.
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    a_rest.iter().zip(b_rest).fold(sums[0], |sum, (a, b)| fused_multiply_add(*a, *b, sum))
}

/// The largest size of a value; what is no number is larger than every number.
#[inline(always)]
pub fn largest(x: &[f32]) -> f32 {
    // Without their sign, floats are in the order of their bits.
    f32::from_bits(x.iter().fold(0, |most, x| most.max(x.to_bits() & 0x7fff_ffff)))
}

/// y += x.
pub fn add(y: &mut [f32], x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

/// Each row of `x` divided by its root mean square, times `weight`.
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(weight.len()) {
        let scale = 1.0 / (dot(row, row) / row.len() as f32 + epsilon).sqrt();
        out.extend(row.iter().zip(weight).map(|(x, w)| x * scale * w));
    }
    out
}

/// Each row of `x` centred, divided by its standard deviation, times `weight`, plus `bias`.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
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

/// x·σ(x).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// GELU by its tanh formula, ½x(1 + tanh(√(2/π)(x + 0.044715x³))), with tanh written by σ.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    const TWICE_ROOT: f32 = 1.595_769;
    x / (1.0 + exp(-TWICE_ROOT * fused_multiply_add(0.044_715 * x * x, x, x)))
}

/// bend(gate)·up for rows that hold gate and up side by side: `[N, 2·inside]` → `[N, inside]`.
#[inline(always)]
pub fn gated(gate_up: &[f32], inside: usize, bend: impl Fn(f32) -> f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(gate_up.len() / 2);
    for row in gate_up.chunks_exact(2 * inside) {
        let (gate, up) = row.split_at(inside);
        out.extend(gate.iter().zip(up).map(|(gate, up)| bend(*gate) * up));
    }
    out
}

/// Turns the first `heads` heads of every row of `x` by that row's angles (half-split rotation).
/// `cos` and `sin` are `[N, head_size / 2]`, a row of `x` is `width` values.
pub fn rotate(x: &mut [f32], width: usize, heads: usize, cos: &[f32], sin: &[f32], half: usize) {
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

/// Norms `heads` heads of every row of `x`, from head `first` on, by their root mean square.
pub fn norm_heads(
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

/// Softmax in place.
pub fn softmax(x: &mut [f32]) {
    let max = reduce(x, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
    x.iter_mut().for_each(|x| *x = exp(*x - max));
    let scale = 1.0 / reduce(x, 0.0, |a, b| a + b);
    x.iter_mut().for_each(|x| *x *= scale);
}

/// Combines all of `x`, lane by lane first: the order a vector unit can keep up with.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_real_one() {
        for i in -87_000..=88_000 {
            let x = i as f32 / 1000.0;
            let (ours, real) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / real - 1.0).abs() < 3e-7, "{x}: {ours} {real}");
        }
        assert_eq!(exp(0.0), 1.0);
        // What softmax gives a token that cannot be: nothing that counts.
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }
}
