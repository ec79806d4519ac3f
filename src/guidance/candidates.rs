//! The base's likeliest next tokens, which guides without logits of the base's vocabulary score.

use crate::numeric::{exp, log_sum_exp, top};

/// Maximum number of candidates at a position.
const MAX_CANDIDATES: usize = 64;
/// Minimum number of candidates, even if fewer hold [`GUIDED_MASS`].
const MIN_CANDIDATES: usize = 8;
/// Probability under the base that the candidates hold together, unless that takes more than
/// [`MAX_CANDIDATES`].
const GUIDED_MASS: f32 = 0.995;

/// The advantages of the base's likeliest tokens at one position.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// Vocabulary id and advantage: by how much a guide prefers the token, up to a constant.
    pub advantages: Vec<(u32, f32)>,
    /// Probability of all other tokens under the base. They keep it.
    pub unguided_mass: f32,
}

/// What a token of the base adds to a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Addition {
    /// Whole characters; empty if the token ends inside its first character.
    Text(String),
    /// The end of the response.
    End,
    /// A control token, which has no text that a guide could read.
    Control,
}

/// The candidates of one row before they are scored.
pub(super) struct Choice {
    ids: Vec<u32>,
    additions: Vec<Addition>,
    /// Probability of all other tokens.
    rest: f32,
}

impl Choice {
    /// Chooses the likeliest tokens and the `given` one. `logits` are the base's, `addition` says
    /// what a token adds to the response.
    pub(super) fn new(
        logits: &[f32],
        given: Option<u32>,
        addition: impl Fn(u32) -> Addition,
    ) -> Self {
        let (mut ids, mut rest) = likeliest(logits);
        if let Some(given) = given.filter(|given| !ids.contains(given)) {
            ids.push(given);
            rest = (rest - exp(logits[given as usize] - log_sum_exp(logits))).max(0.0);
        }
        let additions = ids.iter().map(|&id| addition(id)).collect();
        Self { ids, additions, rest }
    }

    /// Returns the ids and the texts of the candidates with a text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (u32, &str)> {
        self.ids.iter().zip(&self.additions).filter_map(|(&id, addition)| match addition {
            Addition::Text(text) => Some((id, text.as_str())),
            Addition::End | Addition::Control => None,
        })
    }

    /// Adds the scores. `texts` holds one for each item of [`Self::texts`]. Candidates without a
    /// score are not guided.
    pub(super) fn scored(
        self,
        logits: &[f32],
        texts: impl IntoIterator<Item = Option<f32>>,
        end: Option<f32>,
    ) -> Candidates {
        let mut candidates = Candidates { advantages: Vec::new(), unguided_mass: self.rest };
        let mut texts = texts.into_iter();
        for (id, addition) in self.ids.into_iter().zip(self.additions) {
            let advantage = match addition {
                Addition::Text(_) => texts.next().flatten(),
                Addition::End => end,
                Addition::Control => None,
            };
            match advantage {
                Some(advantage) => candidates.advantages.push((id, advantage)),
                None => {
                    candidates.unguided_mass += exp(logits[id as usize] - log_sum_exp(logits));
                }
            }
        }
        candidates
    }
}

/// Returns the likeliest tokens, likeliest first, and the probability of all others.
fn likeliest(logits: &[f32]) -> (Vec<u32>, f32) {
    let lse = log_sum_exp(logits);
    let mut mass = 0.0;
    let mut ids = Vec::new();
    for id in top(logits, MAX_CANDIDATES) {
        if mass >= GUIDED_MASS && ids.len() >= MIN_CANDIDATES {
            break;
        }
        mass += exp(logits[id] - lse);
        ids.push(id as u32);
    }
    (ids, (1.0 - mass).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_tokens_hold_almost_all_mass() {
        let peaked: Vec<f32> = (0..100).map(|i| -(i as f32)).collect();
        let (ids, rest) = likeliest(&peaked);
        assert_eq!(ids, (0..MIN_CANDIDATES as u32).collect::<Vec<_>>());
        assert!(rest < 1e-3);
        let flat = vec![0.0; 100];
        let (ids, rest) = likeliest(&flat);
        assert_eq!(ids.len(), MAX_CANDIDATES);
        assert!((rest - 0.36).abs() < 1e-5);
        let half: Vec<f32> = (0..100).map(|i| -(i as f32) / 4.0).collect();
        let (ids, rest) = likeliest(&half);
        assert!(rest <= 1.0 - GUIDED_MASS && ids.len() < MAX_CANDIDATES);
        let one_less: f32 = ids[..ids.len() - 1].iter().map(|&i| exp(half[i as usize])).sum();
        assert!(one_less / half.iter().map(|&z| exp(z)).sum::<f32>() < GUIDED_MASS, "not more");
        assert_eq!(likeliest(&[1.0, 2.0]).0, [1, 0], "a small vocabulary");
    }
}
