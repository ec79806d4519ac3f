//! Token guidance: adds the implicit value of a tuned/untuned pair to the base's logits
//! (Liu et al. 2024, eq. 8; emulated fine-tuning, Mitchell et al. 2023).

use std::sync::Arc;

use super::sampling::sample;
use super::settings::Settings;
use crate::numeric::{kl_nats, log_sum_exp, top};

/// Logits of the base and the pair for the same next token. Each slice has length V.
#[derive(Debug, Clone, Copy)]
pub struct RowLogits<'a> {
    /// z_base.
    pub base: &'a [f32],
    /// (z_untuned, z_tuned); `None` if the pack has no pair.
    pub pair: Option<(&'a [f32], &'a [f32])>,
}

/// Number of likeliest tokens reported, before guidance and after guidance each.
pub(crate) const ALTERNATIVES: usize = 10;

/// A likely token at one position of the response.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LikelyToken {
    /// Vocabulary id.
    pub id: u32,
    /// log π_base.
    pub logp_base: f32,
    /// log π_guided.
    pub logp_guided: f32,
}

/// A drawn token and its statistics. Log-probabilities are natural logarithms of the models' own
/// distributions, before temperature and truncation.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Vocabulary id.
    pub id: u32,
    /// log π_base(y).
    pub logp_base: f32,
    /// log π_guided(y).
    pub logp_guided: f32,
    /// (log π_untuned(y), log π_tuned(y)); `None` if the pack has no pair.
    pub(crate) logp_pair: Option<(f32, f32)>,
    /// KL(π_guided ‖ π_base), in nats.
    pub kl_nats: f32,
    /// The `ALTERNATIVES` likeliest tokens after guidance, then those of the likeliest before
    /// guidance that are not among them. In an `Arc`, because a branching beam copies its tokens.
    pub likely: Arc<[LikelyToken]>,
}

impl Drawn {
    /// Returns log π_tuned(y) − log π_untuned(y), or `None` if the pack has no pair.
    pub fn advantage(&self) -> Option<f32> {
        self.logp_pair.map(|(untuned, tuned)| tuned - untuned)
    }
}

/// Writes `z_base + β (z_tuned − z_untuned)` into `out`.
fn guided_logits(row: RowLogits<'_>, beta: f32, out: &mut Vec<f32>) {
    out.clear();
    match row.pair {
        Some((untuned, tuned)) if beta != 0.0 => {
            let logits = row.base.iter().zip(untuned).zip(tuned);
            out.extend(logits.map(|((b, u), t)| b + beta * (t - u)));
        }
        // At β = 0 the guided logits equal the base logits bit for bit.
        _ => out.extend_from_slice(row.base),
    }
}

/// Applies token guidance, draws a token at `u` in [0, 1), and returns it with its statistics.
pub fn draw(row: RowLogits<'_>, settings: &Settings, u: f64) -> Drawn {
    let mut guided = Vec::with_capacity(row.base.len());
    guided_logits(row, settings.beta, &mut guided);
    let id = sample(&guided, settings, u);
    let base_lse = log_sum_exp(row.base);
    let logp_base = row.base[id] - base_lse;
    let is_guided = settings.beta != 0.0 && row.pair.is_some();
    let (guided_lse, kl_nats) = if is_guided {
        let lse = log_sum_exp(&guided);
        (lse, kl_nats(&guided, lse, row.base, base_lse))
    } else {
        (base_lse, 0.0)
    };
    let logp_pair = row.pair.map(|(untuned, tuned)| {
        (untuned[id] - log_sum_exp(untuned), tuned[id] - log_sum_exp(tuned))
    });
    let mut likely = top(&guided, ALTERNATIVES);
    if is_guided {
        let before = top(row.base, ALTERNATIVES).into_iter();
        let others: Vec<usize> = before.filter(|id| !likely.contains(id)).collect();
        likely.extend(others);
    }
    let likely = likely.into_iter().map(|id| LikelyToken {
        id: id as u32,
        logp_base: row.base[id] - base_lse,
        logp_guided: guided[id] - guided_lse,
    });
    Drawn {
        id: id as u32,
        logp_base,
        logp_guided: guided[id] - guided_lse,
        logp_pair,
        kl_nats,
        likely: likely.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, Vec<f32>)> {
        (2usize..60).prop_flat_map(|n| {
            let row = || prop::collection::vec(-8f32..8.0, n);
            (row(), row(), row())
        })
    }

    proptest! {
        #[test]
        fn beta_zero_equals_the_base((base, untuned, tuned) in rows(), u in 0f64..1.0) {
            let settings = Settings { beta: 0.0, ..Settings::default() };
            let with = RowLogits { base: &base, pair: Some((&untuned, &tuned)) };
            let without = RowLogits { base: &base, pair: None };
            let (a, b) = (draw(with, &settings, u), draw(without, &settings, u));
            prop_assert_eq!((a.id, a.logp_base, a.kl_nats), (b.id, b.logp_base, 0.0));
            prop_assert_eq!(a.logp_guided, a.logp_base);
            prop_assert!(a.advantage().is_some() && b.advantage().is_none());
            prop_assert_eq!(&a.likely, &b.likely);
        }

        #[test]
        fn beta_one_on_untuned_equals_tuned((_, untuned, tuned) in rows(), u in 0f64..1.0) {
            let guided = Settings { beta: 1.0, ..Settings::default() };
            let plain = Settings { beta: 0.0, ..Settings::default() };
            let a = draw(RowLogits { base: &untuned, pair: Some((&untuned, &tuned)) }, &guided, u);
            let b = draw(RowLogits { base: &tuned, pair: None }, &plain, u);
            // Rounding may move a draw near a boundary to either side.
            prop_assume!(a.id == b.id);
            prop_assert!((a.logp_guided - b.logp_base).abs() < 1e-4);
            let advantage = a.advantage().unwrap_or(f32::NAN);
            prop_assert!((advantage - (a.logp_guided - a.logp_base)).abs() < 1e-4);
        }

        #[test]
        fn reports_the_likeliest_tokens_before_and_after_guidance((base, untuned, tuned) in rows()) {
            let row = RowLogits { base: &base, pair: Some((&untuned, &tuned)) };
            let drawn = draw(row, &Settings { beta: 1.5, ..Settings::default() }, 0.5);
            let reported: Vec<usize> = drawn.likely.iter().map(|l| l.id as usize).collect();
            let mut unique = reported.clone();
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), reported.len());
            prop_assert!(top(&base, ALTERNATIVES).iter().all(|id| reported.contains(id)));
            let after = reported.len().min(ALTERNATIVES);
            prop_assert!(drawn.likely[..after].is_sorted_by(|a, b| a.logp_guided >= b.logp_guided));
            let mass: f32 = drawn.likely.iter().map(|l| l.logp_guided.exp()).sum();
            prop_assert!(mass <= 1.0 + 1e-4);
            let same = drawn.likely.iter().find(|l| l.id == drawn.id);
            prop_assert!(same.is_none_or(|l| l.logp_base == drawn.logp_base));
        }

        #[test]
        fn kl_grows_with_beta((base, untuned, tuned) in rows()) {
            let row = RowLogits { base: &base, pair: Some((&untuned, &tuned)) };
            let kl = |beta| draw(row, &Settings { beta, ..Settings::default() }, 0.5).kl_nats;
            for (near, far) in [(0.5, 1.0), (1.0, 2.0), (-0.5, -1.0), (-1.0, -2.0)] {
                prop_assert!(kl(near) <= kl(far) + 1e-4);
            }
        }
    }
}
