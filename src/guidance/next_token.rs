//! Distributions of the next token from hidden states.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::error::GuidanceError;
use crate::lm::Lm;
use crate::numeric::log_sum_exp;

/// Number of logits that are on the host at the same time.
const MAX_HOST_LOGITS: usize = 1 << 24;

/// Returns the hidden states `[N, hidden]` of all tokens of `rows`, without padding, from
/// `[rows, T, hidden]`.
pub(super) fn tokens_of(hidden: &Tensor, rows: &[&[u32]]) -> Result<Tensor, GuidanceError> {
    let (count, tokens, width) = hidden.dims3()?;
    let flat = hidden.reshape((count * tokens, width))?;
    if rows.iter().all(|row| row.len() == tokens) {
        return Ok(flat);
    }
    let own = |(index, row): (usize, &&[u32])| (0..row.len()).map(move |t| index * tokens + t);
    let indices: Vec<u32> = rows.iter().enumerate().flat_map(own).map(|i| i as u32).collect();
    Ok(flat.index_select(&Tensor::new(indices, hidden.device())?, 0)?)
}

/// Calls `f` with the logits of all hidden states, in parts: the index of the first state, and the
/// logits of each state. Fails if a logit is not finite.
pub(super) fn for_each_logits(
    lm: &Lm,
    hidden: &Tensor,
    mut f: impl FnMut(usize, &[&[f32]]),
) -> Result<(), GuidanceError> {
    let (count, width) = (hidden.dim(0)?, lm.config().vocab_size);
    let step = (MAX_HOST_LOGITS / width).max(1);
    for first in (0..count).step_by(step) {
        let part = hidden.narrow(0, first, step.min(count - first))?;
        let logits: Vec<f32> = lm.logits(&part)?.flatten_all()?.to_vec1()?;
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(GuidanceError::NotANumber);
        }
        f(first, &logits.chunks_exact(width).collect::<Vec<_>>());
    }
    Ok(())
}

/// What a model says of the next token after one hidden state.
pub(super) struct Score {
    /// log p of the wanted token.
    pub(super) next: Option<f32>,
    /// log p of every token, if wanted.
    pub(super) all: Option<Arc<[f32]>>,
}

/// Returns the scores of the hidden states `[N, hidden]`. `needs` holds for each state the token
/// whose log p is wanted, and whether that of every token is.
pub(super) fn scores(
    lm: &Lm,
    hidden: &Tensor,
    vocab_size: usize,
    needs: &[(Option<u32>, bool)],
) -> Result<Vec<Score>, GuidanceError> {
    let mut scores = Vec::with_capacity(needs.len());
    for_each_logits(lm, hidden, |first, logits| {
        let needs = &needs[first..first + logits.len()];
        scores.par_extend(logits.par_iter().zip(needs).map(|(logits, (id, needs_all))| {
            let logits = &logits[..vocab_size];
            let lse = log_sum_exp(logits);
            let logp = |id: u32| logits.get(id as usize).map_or(f32::NEG_INFINITY, |z| z - lse);
            let all = || logits.iter().map(|logit| logit - lse).collect::<Arc<[f32]>>();
            Score { next: id.map(logp), all: needs_all.then(all) }
        }));
    })?;
    Ok(scores)
}

/// Returns log Σ exp of the log-probabilities, or `None` if there are none.
pub(super) fn sum_of(logps: impl Iterator<Item = f32>) -> Option<f32> {
    let logps: Vec<f32> = logps.collect();
    (!logps.is_empty()).then(|| log_sum_exp(&logps))
}
