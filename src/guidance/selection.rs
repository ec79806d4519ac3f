//! Chunk selection: decides which partial responses are kept (a soft version of Liu et al. 2024,
//! §3.2).

use super::sampling::{RowKey, gumbel};

/// A candidate for the selection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Place in the search; keys the noise.
    pub key: RowKey,
    /// V(x, y≤t).
    pub value: f32,
}

/// The result of a selection.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Indices of the survivors, ascending.
    pub survivors: Vec<usize>,
    /// Index of the best survivor. It is the response if the search ends here.
    pub best: usize,
    /// Divergence of this choice from a random one, in nats; see [`select`].
    pub kl_nats: f32,
}

/// Keeps the top `keep` of λ·V + g, where g is independent Gumbel(0, 1) noise. Each place is filled
/// with probability proportional to exp(λV) (Gumbel top-k, Kool et al. 2019). λ = ∞ keeps the top
/// `keep` of V; ties go to the earlier row. λ = 0 keeps candidates at random, so the response is
/// random too. Returns `None` if there are no candidates.
///
/// The ranking is a draw from the Plackett–Luce distribution. `kl_nats` is the sum over the kept
/// places of KL(softmax(λV) ‖ uniform) among the candidates not yet placed, along the ranking that
/// was drawn. Its expectation is the divergence of the ranking from a random one.
pub fn select(
    candidates: &[Scored],
    lambda: f32,
    keep: usize,
    seed: u64,
    chunk: usize,
) -> Option<Selection> {
    let score = |c: &Scored| {
        if lambda == f32::INFINITY {
            f64::from(c.value)
        } else {
            f64::from(lambda) * f64::from(c.value) + gumbel(seed, c.key, chunk)
        }
    };
    let scores: Vec<f64> = candidates.iter().map(score).collect();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let best = *order.first()?;
    let keep = keep.max(1);
    let kl_nats = divergence(candidates, &order, lambda, keep);
    let mut survivors = order;
    survivors.truncate(keep);
    survivors.sort_unstable();
    Some(Selection { survivors, best, kl_nats })
}

/// Returns the sum over the first `places` of `order` of KL(softmax(λV) ‖ uniform) among the
/// candidates not yet placed, in nats.
fn divergence(candidates: &[Scored], order: &[usize], lambda: f32, places: usize) -> f32 {
    let mut sum = 0.0;
    for place in 0..places.min(order.len()) {
        let remaining = &order[place..];
        let count = remaining.len() as f64;
        if lambda == f32::INFINITY {
            sum += count.ln();
            continue;
        }
        let scaled = |i: &usize| f64::from(lambda) * f64::from(candidates[*i].value);
        let highest = remaining.iter().map(scaled).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = remaining.iter().map(|i| (scaled(i) - highest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let term = |w: &f64| if *w > 0.0 { w / total * (w / total * count).ln() } else { 0.0 };
        sum += weights.iter().map(term).sum::<f64>();
    }
    sum.max(0.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scored(values: &[f32]) -> Vec<Scored> {
        let key = |i: usize| RowKey { beam: i as u32 / 4, successor: i as u32 % 4 };
        values.iter().enumerate().map(|(i, &value)| Scored { key: key(i), value }).collect()
    }

    #[test]
    fn soft_selection_keeps_candidates_in_proportion_to_exp_lambda_v() {
        let values = [0.0f32, 1.0, 2.0];
        let candidates = scored(&values);
        let (lambda, n) = (0.7f32, 100_000usize);
        let mut counts = [0usize; 3];
        for chunk in 0..n {
            counts[select(&candidates, lambda, 1, 5, chunk).map_or(0, |s| s.best)] += 1;
        }
        let total: f64 = values.iter().map(|v| f64::from(lambda * v).exp()).sum();
        for (v, count) in values.iter().zip(counts) {
            let p = f64::from(lambda * v).exp() / total;
            let tolerance = 4.0 * (p * (1.0 - p) / n as f64).sqrt();
            assert!((count as f64 / n as f64 - p).abs() < tolerance);
        }
    }

    #[test]
    fn lambda_zero_ignores_the_values() {
        let (a, b) = (scored(&[0.0, 9.0, -3.0, 2.0]), scored(&[5.0, -9.0, 1.0, 0.0]));
        for chunk in 0..200 {
            assert_eq!(select(&a, 0.0, 2, 3, chunk), select(&b, 0.0, 2, 3, chunk));
        }
    }

    #[test]
    fn divergence_grows_with_lambda() {
        let candidates = scored(&[0.3, -0.2, 1.0, 0.1]);
        let mean_kl = |lambda, keep| {
            let kl = |chunk| select(&candidates, lambda, keep, 2, chunk).map_or(0.0, |s| s.kl_nats);
            (0..50).map(kl).sum::<f32>() / 50.0
        };
        assert_eq!(mean_kl(0.0, 2), 0.0);
        assert!(mean_kl(0.0, 1) < mean_kl(0.5, 1) && mean_kl(0.5, 1) < mean_kl(3.0, 1));
        // A certain choice of one of four costs log 4, the next one of three log 3.
        assert!((mean_kl(1000.0, 1) - 4f32.ln()).abs() < 1e-4);
        assert!((mean_kl(f32::INFINITY, 2) - 12f32.ln()).abs() < 1e-4);
    }

    #[test]
    fn returns_none_without_candidates() {
        assert_eq!(select(&[], 1.0, 4, 1, 0), None);
    }

    proptest! {
        #[test]
        fn hard_selection_keeps_the_top_w(
            values in prop::collection::vec(-5f32..5.0, 1..40), keep in 1usize..20,
        ) {
            let candidates = scored(&values);
            let Some(kept) = select(&candidates, f32::INFINITY, keep, 1, 0) else {
                return Err(TestCaseError::fail("no selection"));
            };
            prop_assert_eq!(kept.survivors.len(), keep.min(values.len()));
            prop_assert!(kept.survivors.is_sorted());
            prop_assert!(kept.survivors.contains(&kept.best));
            let floor = kept.survivors.iter().map(|&i| values[i]).fold(f32::INFINITY, f32::min);
            for (i, v) in values.iter().enumerate() {
                prop_assert!(kept.survivors.contains(&i) || *v <= floor);
                prop_assert!(*v <= values[kept.best]);
            }
        }

        #[test]
        fn a_large_lambda_selects_like_infinity(values in prop::collection::vec(-50i8..50, 2..16)) {
            // The values differ by at least 1, and λ is so large that noise cannot close the gap.
            let mut values: Vec<f32> = values.into_iter().map(f32::from).collect();
            values.sort_by(f32::total_cmp);
            values.dedup();
            let candidates = scored(&values);
            let hard = select(&candidates, f32::INFINITY, 3, 9, 4);
            let strong = select(&candidates, 1000.0, 3, 9, 4);
            let kept = |s: Option<Selection>| s.map(|s| (s.survivors, s.best));
            prop_assert_eq!(kept(strong), kept(hard));
        }
    }
}
