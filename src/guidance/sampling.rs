//! Random numbers, and sampling of a token from a row of logits.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::settings::Settings;
use crate::numeric::{argmax, exp_in_place};

/// The place of a row in the search: the beam it continues and its index among the successors. A
/// random draw depends only on seed, purpose, place and position. Raising W or K therefore adds
/// rows and does not change the draws of existing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// Beam, 0 to W − 1.
    pub beam: u32,
    /// Successor, 0 to K − 1.
    pub successor: u32,
}

/// The purpose of a random draw. Draws for different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Sampling of the next token.
    Token,
    /// The noise of soft chunk selection.
    Selection,
}

/// Returns a uniform number in [0, 1) that depends only on the arguments. Uses ChaCha8 as a
/// counter-based generator: the row selects the stream, `position` the word in the stream.
pub fn uniform(seed: u64, purpose: Purpose, row: RowKey, position: usize) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let domain = match purpose {
        Purpose::Token => 0,
        Purpose::Selection => 1 << 63,
    };
    // Beams and successors are far below 2^16 (see `settings::limits`).
    rng.set_stream(domain | (u64::from(row.beam) << 32) | u64::from(row.successor));
    rng.set_word_pos(2 * position as u128);
    // The 53 high bits fill a double's mantissa.
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Returns a Gumbel(0, 1) draw, by inversion.
pub(crate) fn gumbel(seed: u64, row: RowKey, position: usize) -> f64 {
    // Excludes 0 and 1, whose logarithms would make the result infinite.
    let u = uniform(seed, Purpose::Selection, row, position).clamp(1e-300, 1.0 - 1e-16);
    -(-u.ln()).ln()
}

/// Draws an index of `logits` (length V) after temperature, top-k and top-p, by inverting the
/// distribution function at `u` in [0, 1). Temperature 0 returns the index of the largest logit;
/// ties go to the lowest index.
pub fn sample(logits: &[f32], settings: &Settings, u: f64) -> usize {
    let best = argmax(logits);
    if settings.temperature == 0.0 {
        return best;
    }
    let scale = 1.0 / settings.temperature;
    let max = logits[best];
    let mut weights: Vec<f32> = logits.iter().map(|z| (z - max) * scale).collect();
    exp_in_place(&mut weights);
    truncate(&mut weights, settings.top_k, settings.top_p);
    invert(&weights, u)
}

/// Sets the weights that top-k and top-p exclude to zero. Always keeps the likeliest token.
fn truncate(weights: &mut [f32], top_k: usize, top_p: f32) {
    let k = if top_k == 0 { weights.len() } else { top_k.min(weights.len()) };
    if k == weights.len() && top_p >= 1.0 {
        return;
    }
    let mut order: Vec<u32> = (0..weights.len() as u32).collect();
    // Breaks ties by index, so that the result does not depend on the sorting algorithm.
    let heavier = |a: &u32, b: &u32| {
        let (wa, wb) = (weights[*a as usize], weights[*b as usize]);
        wb.total_cmp(&wa).then(a.cmp(b))
    };
    if k < order.len() {
        order.select_nth_unstable_by(k - 1, heavier);
        order.truncate(k);
    }
    if top_p < 1.0 {
        order.sort_unstable_by(heavier);
        let total: f64 = order.iter().map(|&i| f64::from(weights[i as usize])).sum();
        let mut mass = 0.0;
        let kept = order.iter().take_while(|&&i| {
            let before = mass;
            mass += f64::from(weights[i as usize]) / total;
            before < f64::from(top_p)
        });
        let kept = kept.count().max(1);
        order.truncate(kept);
    }
    let mut keep = vec![false; weights.len()];
    for i in order {
        keep[i as usize] = true;
    }
    for (w, keep) in weights.iter_mut().zip(keep) {
        if !keep {
            *w = 0.0;
        }
    }
}

/// Returns the first index at which the running sum of `weights` exceeds `u` times their total.
fn invert(weights: &[f32], u: f64) -> usize {
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let target = u * total;
    let mut sum = 0.0;
    let mut last_possible = 0;
    for (i, &w) in weights.iter().enumerate() {
        if w > 0.0 {
            sum += f64::from(w);
            last_possible = i;
            if sum > target {
                return i;
            }
        }
    }
    // Rounding can leave the sum just below the target.
    last_possible
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(temperature: f32, top_k: usize, top_p: f32) -> Settings {
        Settings { temperature, top_k, top_p, ..Settings::default() }
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [1.0f32, 0.0, 2.0, -1.0];
        let s = settings(0.5, 0, 1.0);
        let n = 200_000;
        let mut counts = [0usize; 4];
        for position in 0..n {
            let u = uniform(7, Purpose::Token, RowKey { beam: 0, successor: 0 }, position);
            counts[sample(&logits, &s, u)] += 1;
        }
        let total: f64 = logits.iter().map(|z| f64::from(z / 0.5).exp()).sum();
        for (z, count) in logits.iter().zip(counts) {
            let p = f64::from(z / 0.5).exp() / total;
            let share = count as f64 / f64::from(n as u32);
            // Four standard deviations of a binomial share.
            let tolerance = 4.0 * (p * (1.0 - p) / f64::from(n as u32)).sqrt();
            assert!((share - p).abs() < tolerance, "p {p} share {share}");
        }
    }

    #[test]
    fn top_k_and_top_p_exclude_all_other_tokens() {
        // Probabilities 0.5, 0.25, 0.15, 0.1 at temperature 1.
        let logits: Vec<f32> = [0.1f32, 0.5, 0.15, 0.25].iter().map(|p| p.ln()).collect();
        let reachable = |s: &Settings| {
            let mut drawn: Vec<usize> =
                (0..1000).map(|i| sample(&logits, s, f64::from(i) / 1000.0)).collect();
            drawn.sort_unstable();
            drawn.dedup();
            drawn
        };
        assert_eq!(reachable(&settings(1.0, 0, 1.0)), [0, 1, 2, 3]);
        assert_eq!(reachable(&settings(1.0, 2, 1.0)), [1, 3]);
        assert_eq!(reachable(&settings(1.0, 0, 0.7)), [1, 3]);
        assert_eq!(reachable(&settings(1.0, 0, 0.8)), [1, 2, 3]);
        assert_eq!(reachable(&settings(1.0, 0, 0.01)), [1]);
        assert_eq!(reachable(&settings(1.0, 3, 0.6)), [1, 3]);
        assert_eq!(reachable(&settings(0.0, 0, 1.0)), [1]);
    }

    #[test]
    fn gumbel_noise_has_the_right_mean() {
        let n = 100_000;
        let key = RowKey { beam: 3, successor: 1 };
        let mean = (0..n).map(|i| gumbel(1, key, i)).sum::<f64>() / f64::from(n as u32);
        // Gumbel(0, 1) has the Euler–Mascheroni constant as mean and π/√6 ≈ 1.28 as deviation.
        assert!((mean - 0.577_215_66).abs() < 4.0 * 1.2825 / f64::from(n as u32).sqrt());
    }

    proptest! {
        #[test]
        fn a_draw_depends_only_on_its_key(
            seed: u64, beam in 0u32..64, successor in 0u32..64, position in 0usize..100_000,
        ) {
            let key = RowKey { beam, successor };
            let u = uniform(seed, Purpose::Token, key, position);
            prop_assert!((0.0..1.0).contains(&u));
            prop_assert_eq!(u, uniform(seed, Purpose::Token, key, position));
            prop_assert_ne!(u, uniform(seed, Purpose::Token, key, position + 1));
            let other = RowKey { beam: beam + 1, successor };
            prop_assert_ne!(u, uniform(seed, Purpose::Token, other, position));
            prop_assert_ne!(u, uniform(seed, Purpose::Selection, key, position));
        }
    }
}
