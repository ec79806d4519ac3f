//! Token guidance: adds the implicit value of a tuned/untuned pair to the base's logits
//! (Liu et al. 2024, eq. 8; emulated fine-tuning, Mitchell et al. 2023).

use std::sync::Arc;

use super::candidates::Candidates;
use super::sampling::sample;
use super::settings::{Settings, ValueSource};
use crate::numeric::{kl_nats, log_sum_exp, max, top};

/// Logits of the base and the pair for the same next token. Each slice has length V.
#[derive(Debug, Clone)]
pub struct RowLogits<'a> {
    /// z_base.
    pub base: &'a [f32],
    /// (z_untuned, z_tuned); `None` without a pair of the base's vocabulary.
    pub pair: Option<(&'a [f32], &'a [f32])>,
    /// Advantages of the likeliest tokens, by a pair of another vocabulary or by the value model;
    /// `None` unless β applies to such a guide.
    pub candidates: Option<&'a Candidates>,
    /// Divergence from the base that this token may add, in nats. The strength of all guides is
    /// lowered where it would add more.
    pub kl_left_nats: f32,
    /// (z_away, z_towards) of each steer, in the order of [`Settings::active_steers`].
    pub steers: Vec<(&'a [f32], &'a [f32])>,
}

impl<'a> RowLogits<'a> {
    /// Returns the logits and the strength of every guide, that of the pair first.
    fn guides(&self, settings: &Settings) -> Vec<(&'a [f32], &'a [f32], f32)> {
        let is_by_pair = settings.token_source == ValueSource::Implicit;
        let pair = self.pair.iter().filter(|_| is_by_pair);
        let pair = pair.map(|(untuned, tuned)| (*untuned, *tuned, settings.beta));
        let steers = self.steers.iter().zip(settings.active_steers());
        pair.chain(steers.map(|((away, towards), steer)| (*away, *towards, steer.beta))).collect()
    }

    /// Returns whether a guide with a strength other than 0 acts on this token.
    fn is_guided(&self, settings: &Settings) -> bool {
        let has_candidates = self.candidates.is_some() && settings.beta != 0.0;
        has_candidates || self.guides(settings).iter().any(|(_, _, beta)| *beta != 0.0)
    }
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
    /// The advantage by the guide that scores candidates; `None` without such a guide, or if this
    /// token was not a candidate.
    pub(crate) candidate_advantage: Option<f32>,
    /// Probability under the base of the tokens that were not candidates.
    pub(crate) unguided_mass: Option<f32>,
    /// log π_towards(y) − log π_away(y) of each steer.
    pub(crate) steer_advantages: Vec<f32>,
    /// KL(π_guided ‖ π_base), in nats.
    pub kl_nats: f32,
    /// The factor by which the KL budget lowered the strength of all guides; 1 is not lowered.
    pub strength_factor: f32,
    /// The `ALTERNATIVES` likeliest tokens after guidance, then those of the likeliest before
    /// guidance that are not among them. In an `Arc`, because a branching beam copies its tokens.
    pub likely: Arc<[LikelyToken]>,
}

impl Drawn {
    /// Returns the sum of the advantages of all guides of the token, or `None` without a guide: of a
    /// pair and of steers log π_tuned(y) − log π_untuned(y) each, of a value model V(y) minus its
    /// mean over the candidates.
    pub fn advantage(&self) -> Option<f32> {
        let is_scored = self.unguided_mass.is_some();
        let own = if is_scored { self.candidate_advantage } else { self.pair_ratio() };
        self.with_steers(own)
    }

    /// Returns log π_tuned(y) − log π_untuned(y), summed over the pair and the steers. Returns `None`
    /// without them.
    pub(crate) fn ratio(&self) -> Option<f32> {
        self.with_steers(self.pair_ratio())
    }

    fn pair_ratio(&self) -> Option<f32> {
        self.logp_pair.map(|(untuned, tuned)| tuned - untuned)
    }

    fn with_steers(&self, own: Option<f32>) -> Option<f32> {
        let steers = self.steer_advantages.iter().copied();
        own.into_iter().chain(steers).reduce(|sum, advantage| sum + advantage)
    }
}

/// Logit of a token that the plausibility mask excludes. Finite, so that sums stay finite.
const MASKED: f32 = -1e4;
/// Number of halvings that find the strength for a KL budget.
const BISECTIONS: usize = 20;

/// Writes `z_base + Σ β (z_tuned − z_untuned)` into `out`, with every β multiplied by `factor`, and
/// masks implausible tokens. If all strengths are 0, the guided logits equal the base logits bit for
/// bit.
fn guided_logits(row: &RowLogits<'_>, settings: &Settings, factor: f32, out: &mut Vec<f32>) {
    add_dense_guides(row, settings, factor, out);
    let beta = settings.beta * factor;
    if let Some(candidates) = row.candidates.filter(|_| beta != 0.0) {
        add_candidates(&candidates.advantages, beta, out);
    }
    if settings.mask_nats.is_finite() && factor != 0.0 && row.is_guided(settings) {
        let lowest = max(row.base) - settings.mask_nats;
        let logits = out.iter_mut().zip(row.base);
        logits.filter(|(_, base)| **base < lowest).for_each(|(out, _)| *out = MASKED);
    }
}

/// The guided logits of a row, and what follows from all of them.
struct Guided {
    logits: Vec<f32>,
    lse: f32,
    kl_nats: f32,
    factor: f32,
}

/// Applies the guides with the largest factor up to 1 whose divergence is within the budget. The
/// divergence grows with the factor. The mask alone may exceed the budget; the base is then left as
/// it is.
fn guided(row: &RowLogits<'_>, settings: &Settings, base_lse: f32) -> Guided {
    let at = |factor: f32| {
        let mut logits = Vec::with_capacity(row.base.len());
        guided_logits(row, settings, factor, &mut logits);
        let lse = log_sum_exp(&logits);
        let kl_nats = kl_nats(&logits, lse, row.base, base_lse);
        Guided { logits, lse, kl_nats, factor }
    };
    let unguided =
        |factor| Guided { logits: row.base.to_vec(), lse: base_lse, kl_nats: 0.0, factor };
    if !row.is_guided(settings) {
        return unguided(1.0);
    }
    let full = at(1.0);
    if full.kl_nats <= row.kl_left_nats {
        return full;
    }
    let (mut best, mut too_much) = (unguided(0.0), 1.0);
    if row.kl_left_nats <= 0.0 {
        return best;
    }
    for _ in 0..BISECTIONS {
        let found = at((best.factor + too_much) / 2.0);
        if found.kl_nats <= row.kl_left_nats {
            best = found;
        } else {
            too_much = found.factor;
        }
    }
    best
}

/// Adds β times the advantage of each candidate. All candidates together keep their probability,
/// and so does every other token.
fn add_candidates(advantages: &[(u32, f32)], beta: f32, out: &mut [f32]) {
    let before: Vec<f32> = advantages.iter().map(|&(id, _)| out[id as usize]).collect();
    let after: Vec<f32> = advantages.iter().zip(&before).map(|((_, a), z)| z + beta * a).collect();
    if advantages.is_empty() {
        return;
    }
    let shift = log_sum_exp(&before) - log_sum_exp(&after);
    for (&(id, _), after) in advantages.iter().zip(after) {
        out[id as usize] = after + shift;
    }
}

/// Writes the base logits with the guides whose logits cover the whole vocabulary.
fn add_dense_guides(row: &RowLogits<'_>, settings: &Settings, factor: f32, out: &mut Vec<f32>) {
    out.clear();
    let mut guides = row.guides(settings);
    guides.iter_mut().for_each(|(_, _, beta)| *beta *= factor);
    let mut guides = guides.iter().filter(|(_, _, beta)| *beta != 0.0);
    let Some(&(untuned, tuned, beta)) = guides.next() else {
        return out.extend_from_slice(row.base);
    };
    // The base's own logits with an instruction, without the rounding of the general rule.
    let is_pair = row.pair.is_some()
        && settings.beta != 0.0
        && settings.token_source == ValueSource::Implicit;
    if beta == 1.0 && !is_pair && std::ptr::eq(untuned, row.base) {
        out.extend_from_slice(tuned);
    } else {
        let logits = row.base.iter().zip(untuned).zip(tuned);
        out.extend(logits.map(|((b, u), t)| b + beta * (t - u)));
    }
    for &(untuned, tuned, beta) in guides {
        let logits = out.iter_mut().zip(untuned).zip(tuned);
        logits.for_each(|((out, u), t)| *out += beta * (t - u));
    }
}

/// Applies token guidance, draws a token at `u` in [0, 1), and returns it with its statistics.
pub fn draw(row: &RowLogits<'_>, settings: &Settings, u: f64) -> Drawn {
    let base_lse = log_sum_exp(row.base);
    let guided = guided(row, settings, base_lse);
    let id = sample(&guided.logits, settings, u);
    statistics(row, settings, &guided, base_lse, id)
}

/// Returns a given token with the statistics that it has under token guidance.
pub(super) fn observe(row: &RowLogits<'_>, settings: &Settings, id: u32) -> Drawn {
    let base_lse = log_sum_exp(row.base);
    let guided = guided(row, settings, base_lse);
    statistics(row, settings, &guided, base_lse, id as usize)
}

fn statistics(
    row: &RowLogits<'_>,
    settings: &Settings,
    guided: &Guided,
    base_lse: f32,
    id: usize,
) -> Drawn {
    let logp_base = row.base[id] - base_lse;
    let candidates = row.candidates.filter(|_| settings.beta != 0.0);
    let logp_pair = row.pair.map(|(untuned, tuned)| {
        (untuned[id] - log_sum_exp(untuned), tuned[id] - log_sum_exp(tuned))
    });
    let steers = row.steers.iter().map(|(away, towards)| {
        (towards[id] - log_sum_exp(towards)) - (away[id] - log_sum_exp(away))
    });
    Drawn {
        id: id as u32,
        logp_base,
        logp_guided: guided.logits[id] - guided.lse,
        logp_pair,
        candidate_advantage: candidates.and_then(|c| {
            c.advantages.iter().find(|(candidate, _)| *candidate == id as u32).map(|(_, a)| *a)
        }),
        unguided_mass: candidates.map(|c| c.unguided_mass),
        steer_advantages: steers.collect(),
        kl_nats: guided.kl_nats,
        strength_factor: guided.factor,
        likely: likely(row, settings, guided, base_lse),
    }
}

/// Returns the likeliest tokens after guidance, then those of the likeliest before guidance that are
/// not among them.
fn likely(
    row: &RowLogits<'_>,
    settings: &Settings,
    guided: &Guided,
    base_lse: f32,
) -> Arc<[LikelyToken]> {
    let mut ids = top(&guided.logits, ALTERNATIVES);
    if row.is_guided(settings) {
        let before = top(row.base, ALTERNATIVES).into_iter();
        let others: Vec<usize> = before.filter(|id| !ids.contains(id)).collect();
        ids.extend(others);
    }
    let token = |id: usize| LikelyToken {
        id: id as u32,
        logp_base: row.base[id] - base_lse,
        logp_guided: guided.logits[id] - guided.lse,
    };
    ids.into_iter().map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::steer::Steer;
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
            let with = RowLogits { base: &base, pair: Some((&untuned, &tuned)), steers: Vec::new(), candidates: None, kl_left_nats: f32::INFINITY };
            let without = RowLogits { base: &base, pair: None, steers: Vec::new(), candidates: None, kl_left_nats: f32::INFINITY };
            let (a, b) = (draw(&with, &settings, u), draw(&without, &settings, u));
            prop_assert_eq!((a.id, a.logp_base, a.kl_nats), (b.id, b.logp_base, 0.0));
            prop_assert_eq!(a.logp_guided, a.logp_base);
            prop_assert!(a.advantage().is_some() && b.advantage().is_none());
            prop_assert_eq!(&a.likely, &b.likely);
        }

        #[test]
        fn beta_one_on_untuned_equals_tuned((_, untuned, tuned) in rows(), u in 0f64..1.0) {
            let guided = Settings { beta: 1.0, ..Settings::default() };
            let plain = Settings { beta: 0.0, ..Settings::default() };
            let a = draw(&RowLogits { base: &untuned, pair: Some((&untuned, &tuned)), steers: Vec::new(), candidates: None, kl_left_nats: f32::INFINITY }, &guided, u);
            let b = draw(&RowLogits { base: &tuned, pair: None, steers: Vec::new(), candidates: None, kl_left_nats: f32::INFINITY }, &plain, u);
            // Rounding may move a draw near a boundary to either side.
            prop_assume!(a.id == b.id);
            prop_assert!((a.logp_guided - b.logp_base).abs() < 1e-4);
            let advantage = a.advantage().unwrap_or(f32::NAN);
            prop_assert!((advantage - (a.logp_guided - a.logp_base)).abs() < 1e-4);
        }

        #[test]
        fn reports_the_likeliest_tokens_before_and_after_guidance((base, untuned, tuned) in rows()) {
            let row = RowLogits { base: &base, pair: Some((&untuned, &tuned)), steers: Vec::new(), candidates: None, kl_left_nats: f32::INFINITY };
            let drawn = draw(&row, &Settings { beta: 1.5, ..Settings::default() }, 0.5);
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
        fn steers_are_added_in_any_order_and_split_by_strength(
            (base, first, second) in rows(),
            betas in (-3f32..3.0, -3f32..3.0),
        ) {
            let steer = |beta| Steer { towards: "a".into(), away: String::new(), beta };
            let logits = |guides: &[(&[f32], f32)]| {
                let row = RowLogits {
                    base: &base,
                    pair: None,
                    candidates: None,
                    kl_left_nats: f32::INFINITY,
                    steers: guides.iter().map(|(towards, _)| (base.as_slice(), *towards)).collect(),
                };
                let steers = guides.iter().map(|(_, beta)| steer(*beta)).collect();
                let mut out = Vec::new();
                guided_logits(&row, &Settings { steers, ..Settings::default() }, 1.0, &mut out);
                out
            };
            let close = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3);
            let (one, two) = ((first.as_slice(), betas.0), (second.as_slice(), betas.1));
            prop_assert!(close(logits(&[one, two]), logits(&[two, one])));
            let half = (first.as_slice(), betas.0 / 2.0);
            prop_assert!(close(logits(&[half, half]), logits(&[one])));
            prop_assert_eq!(logits(&[one, (&second, 0.0)]), logits(&[one]));
            prop_assert_eq!(logits(&[(&first, 0.0)]), base.clone());
            prop_assert_eq!(logits(&[(&first, 1.0)]), first.clone());
        }

        #[test]
        fn a_kl_budget_lowers_the_strength_only_where_it_must(
            (base, untuned, tuned) in rows(), left in 0f32..2.0, beta in -3f32..3.0,
        ) {
            let row = RowLogits { base: &base, pair: Some((&untuned, &tuned)), steers: Vec::new(), candidates: None, kl_left_nats: f32::INFINITY };
            let settings = Settings { beta, ..Settings::default() };
            let free = draw(&row, &settings, 0.5);
            let limited = draw(&RowLogits { kl_left_nats: left, ..row.clone() }, &settings, 0.5);
            prop_assert!(limited.kl_nats <= left.max(free.kl_nats.min(left)));
            if free.kl_nats <= left {
                prop_assert_eq!(&limited, &free);
                prop_assert_eq!(limited.strength_factor, 1.0);
            } else {
                prop_assert!(limited.strength_factor < 1.0);
                prop_assert!(limited.kl_nats > 0.98 * left - 1e-4, "{} of {left}", limited.kl_nats);
            }
            let none = draw(&RowLogits { kl_left_nats: 0.0, ..row.clone() }, &settings, 0.5);
            let base_draw = draw(&row, &Settings { beta: 0.0, ..settings }, 0.5);
            prop_assert_eq!((none.id, none.kl_nats), (base_draw.id, 0.0));
        }

        #[test]
        fn the_mask_excludes_what_the_base_finds_implausible(
            (base, untuned, tuned) in rows(), nats in 0f32..8.0, u in 0f64..1.0,
        ) {
            let row = RowLogits { base: &base, pair: Some((&untuned, &tuned)), steers: Vec::new(), candidates: None, kl_left_nats: f32::INFINITY };
            let masked = Settings { beta: 3.0, mask_nats: nats, ..Settings::default() };
            let drawn = draw(&row, &masked, u);
            prop_assert!(base[drawn.id as usize] >= max(&base) - nats);
            prop_assert!(drawn.kl_nats.is_finite() && drawn.logp_guided <= 0.0);
            let off = Settings { beta: 0.0, ..masked };
            let plain = draw(&row, &Settings { mask_nats: f32::INFINITY, ..off.clone() }, u);
            prop_assert_eq!(draw(&row, &off, u), plain, "the mask belongs to the guidance");
        }

        #[test]
        fn kl_grows_with_beta((base, untuned, tuned) in rows()) {
            let row = RowLogits { base: &base, pair: Some((&untuned, &tuned)), steers: Vec::new(), candidates: None, kl_left_nats: f32::INFINITY };
            let kl = |beta| draw(&row, &Settings { beta, ..Settings::default() }, 0.5).kl_nats;
            for (near, far) in [(0.5, 1.0), (1.0, 2.0), (-0.5, -1.0), (-1.0, -2.0)] {
                prop_assert!(kl(near) <= kl(far) + 1e-4);
            }
        }
    }
}
