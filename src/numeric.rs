//! Numeric routines shared by the models and the guidance. They are written so that their loops
//! vectorise; `f32::exp` would call a library function for every element.

/// Returns a·b + c, in one instruction if the target processor has one. On other processors
/// `mul_add` would call a library function for every element.
#[inline(always)]
pub(crate) fn fused_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// 1.5·2²³. Adding it to a float rounds to an integer and stores the integer in the low bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// Returns eˣ within 2 units in the last place for x in [−87, 88], and clamps x outside. Uses the
/// method of Cephes: x = n·ln 2 + r, and a polynomial for eʳ.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = fused_multiply_add(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that n·ln 2 loses no precision.
    let r = fused_multiply_add(n, -0.693_359_4, x);
    let r = fused_multiply_add(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = fused_multiply_add(p, r, c);
    }
    let p = fused_multiply_add(p, r * r, r + 1.0);
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

const LANES: usize = 16;

/// Replaces every element x with eˣ; see [`exp`] for the accuracy.
pub(crate) fn exp_in_place(xs: &mut [f32]) {
    xs.iter_mut().for_each(|x| *x = exp(*x));
}

/// Returns Σ f(i) for i in 0..n, in a fixed order that vectorises.
#[inline(always)]
fn sum_by(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
    }
    let rest: f32 = (whole..n).map(&f).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Returns the largest element, or −∞ for an empty slice.
pub(crate) fn max(xs: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = xs.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (m, &x) in lanes.iter_mut().zip(chunk) {
            *m = if x > *m { x } else { *m };
        }
    }
    lanes.iter().chain(chunks.remainder()).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Returns the index of the largest element, the lowest among equals, or 0 for an empty slice.
pub(crate) fn argmax(xs: &[f32]) -> usize {
    let max = max(xs);
    xs.iter().position(|&x| x == max).unwrap_or(0)
}

/// Returns the indices of the `count` largest elements, largest first; among equals, lowest index
/// first.
pub(crate) fn top(xs: &[f32], count: usize) -> Vec<usize> {
    const CHUNK: usize = 64;
    let mut found: Vec<usize> = Vec::with_capacity(count + 1);
    for (chunk, part) in xs.chunks(CHUNK).enumerate() {
        // Most chunks are skipped by their maximum, which is fast to compute.
        let full = found.len() == count;
        if count == 0 || full && found.last().is_some_and(|&last| max(part) <= xs[last]) {
            continue;
        }
        for (offset, &x) in part.iter().enumerate() {
            if found.len() < count || found.last().is_some_and(|&last| x > xs[last]) {
                let at = found.partition_point(|&other| xs[other] >= x);
                found.insert(at, chunk * CHUNK + offset);
                found.truncate(count);
            }
        }
    }
    found
}

/// Returns log Σ exp(x), stable for any finite input.
pub(crate) fn log_sum_exp(xs: &[f32]) -> f32 {
    let max = max(xs);
    max + sum_by(xs.len(), |i| exp(xs[i] - max)).ln()
}

/// Returns KL(p ‖ q) in nats for two rows of logits and their log-sum-exps. Never negative.
pub(crate) fn kl_nats(p: &[f32], p_lse: f32, q: &[f32], q_lse: f32) -> f32 {
    debug_assert_eq!(p.len(), q.len());
    let q = &q[..p.len()];
    let kl = sum_by(p.len(), |i| {
        let logp = p[i] - p_lse;
        exp(logp) * (logp - (q[i] - q_lse))
    });
    kl.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log_sum_exp_f64(xs: &[f32]) -> f64 {
        let max = xs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let max = f64::from(max);
        max + xs.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln()
    }

    proptest! {
        #[test]
        fn log_sum_exp_agrees_with_double_precision(xs in prop::collection::vec(-60f32..60.0, 1..200)) {
            prop_assert!((f64::from(log_sum_exp(&xs)) - log_sum_exp_f64(&xs)).abs() < 1e-4);
        }

        #[test]
        fn kl_agrees_with_double_precision(
            pairs in prop::collection::vec((-9f32..9.0, -9f32..9.0), 2..100),
        ) {
            let (p, q): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (lp, lq) = (log_sum_exp_f64(&p), log_sum_exp_f64(&q));
            let expected: f64 = p.iter().zip(&q).map(|(&a, &b)| {
                let logp = f64::from(a) - lp;
                logp.exp() * (logp - (f64::from(b) - lq))
            }).sum();
            let ours = kl_nats(&p, log_sum_exp(&p), &q, log_sum_exp(&q));
            prop_assert!((f64::from(ours) - expected).abs() < 1e-4, "{} {}", ours, expected);
            prop_assert_eq!(kl_nats(&p, log_sum_exp(&p), &p, log_sum_exp(&p)), 0.0);
        }

        #[test]
        fn top_equals_the_head_of_a_stable_sort(
            xs in prop::collection::vec(-9i8..9, 0..300), count in 0usize..12,
        ) {
            let xs: Vec<f32> = xs.into_iter().map(f32::from).collect();
            let mut order: Vec<usize> = (0..xs.len()).collect();
            order.sort_by(|&a, &b| xs[b].total_cmp(&xs[a]));
            order.truncate(count);
            prop_assert_eq!(top(&xs, count), order);
        }

        #[test]
        fn argmax_returns_the_first_largest_element(xs in prop::collection::vec(-3i8..3, 1..80)) {
            let xs: Vec<f32> = xs.into_iter().map(f32::from).collect();
            let i = argmax(&xs);
            prop_assert!(xs.iter().all(|&x| x <= xs[i]));
            prop_assert!(xs[..i].iter().all(|&x| x < xs[i]));
        }
    }

    #[test]
    fn exp_agrees_with_double_precision() {
        for i in -87_000..=88_000 {
            let x = i as f32 / 1000.0;
            let (ours, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / expected - 1.0).abs() < 3e-7, "{x}: {ours} {expected}");
        }
        assert_eq!(exp(0.0), 1.0);
        // Softmax gives a token with logit −∞ a negligible probability.
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }
}
