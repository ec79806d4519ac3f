//! Log-probabilities of growing texts under a model of another vocabulary than the base's.
//!
//! The model reads each response as text, in its own tokens. Extending a text can replace its last
//! tokens: "won" and "derful" become one token "wonderful". The log-probability of an extension is
//! therefore that of the extended text minus that of the text.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::error::GuidanceError;
use crate::lm::{Cache, Lm, ResponseEncoder, Settled};
use crate::numeric::log_sum_exp;

/// Number of logits that are on the host at the same time.
const MAX_HOST_LOGITS: usize = 1 << 24;

/// The responses that one model has read, row by row.
pub(super) struct TextRows {
    encoder: Arc<ResponseEncoder>,
    /// Ids that have a logit; ids beyond it are padding.
    vocab_size: usize,
    cache: Cache,
    rows: Vec<TextRow>,
}

/// A response in the tokens of the model.
#[derive(Clone)]
struct TextRow {
    /// Ids after the fixed ids of the prompt.
    ids: Vec<u32>,
    /// Σ log p of the first n ids, for n from 0 to the number of ids.
    sums: Vec<f32>,
    /// The part that later text cannot change.
    settled: Settled,
    /// log p of every next token: after the settled ids, then after each further id.
    next: Vec<Arc<[f32]>>,
}

impl TextRow {
    /// Returns log p of every next token after the first `ids` ids. They include the settled ids.
    fn next_after(&self, ids: usize) -> &[f32] {
        &self.next[ids - self.settled.ids]
    }

    /// Removes all ids after the first `ids`. They include the settled ids.
    fn truncate(&mut self, ids: usize) {
        self.ids.truncate(ids);
        self.sums.truncate(ids + 1);
        self.next.truncate(ids + 1 - self.settled.ids);
    }

    fn push(&mut self, id: u32, next: Arc<[f32]>) {
        let logp = self.next_after(self.ids.len()).get(id as usize).copied().unwrap_or(0.0);
        self.sums.push(self.log_probability() + logp);
        self.ids.push(id);
        self.next.push(next);
    }

    /// Drops what is only needed while the last word may change.
    fn settle(&mut self, settled: Settled) {
        self.next.drain(..settled.ids - self.settled.ids);
        self.settled = settled;
    }

    fn log_probability(&self) -> f32 {
        self.sums.last().copied().unwrap_or(0.0)
    }
}

/// The ids of an extended response: the first `common` ids of the row, then `new`.
struct Extension {
    row: usize,
    common: usize,
    new: Vec<u32>,
}

impl Extension {
    /// Returns the ids that the model must read to score the extension: all new ones but the last.
    fn path(&self) -> Option<Path<'_>> {
        let (_, inner) = self.new.split_last()?;
        (!inner.is_empty()).then_some(Path { row: self.row, common: self.common, ids: inner })
    }
}

/// Ids to read after the first `common` ids of a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Path<'a> {
    row: usize,
    common: usize,
    ids: &'a [u32],
}

impl Path<'_> {
    fn starts_with(&self, other: &Path<'_>) -> bool {
        (self.row, self.common) == (other.row, other.common) && self.ids.starts_with(other.ids)
    }
}

impl TextRows {
    /// Reads the prompt. Returns a single row without a response.
    pub(super) fn prefill(
        lm: &Lm,
        encoder: Arc<ResponseEncoder>,
        vocab_size: usize,
    ) -> Result<Self, GuidanceError> {
        let (cache, hidden) = lm.prefill(encoder.fixed())?;
        let last = hidden.narrow(0, encoder.fixed().len() - 1, 1)?;
        let next = log_probabilities(lm, &last, vocab_size)?;
        let settled = Settled::default();
        let row = TextRow { ids: Vec::new(), sums: vec![0.0], settled, next };
        let mut rows = Self { encoder, vocab_size, cache, rows: vec![row] };
        rows.read(lm, &[""])?;
        Ok(rows)
    }

    /// Returns the given rows in the given order. Rows may repeat; cached states stay shared.
    pub(super) fn fork(&self, rows: &[usize]) -> Result<Self, GuidanceError> {
        Ok(Self {
            encoder: Arc::clone(&self.encoder),
            vocab_size: self.vocab_size,
            cache: self.cache.fork(rows)?,
            rows: rows.iter().map(|&row| self.rows[row].clone()).collect(),
        })
    }

    /// Returns the encoder of the responses.
    pub(super) fn encoder(&self) -> &ResponseEncoder {
        &self.encoder
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Reads the new part of each response. Returns log p of each response with the end of the
    /// prompt, which is the same in all rows.
    pub(super) fn read(&mut self, lm: &Lm, responses: &[&str]) -> Result<Vec<f32>, GuidanceError> {
        let fixed = self.encoder.fixed().len();
        let (mut new, mut states) = (Vec::new(), Vec::new());
        for (index, response) in responses.iter().enumerate() {
            let extension = self.extension(index, response)?;
            self.rows[index].truncate(extension.common);
            self.cache.truncate(index, fixed + extension.common)?;
            states.push(self.encoder.encode(self.rows[index].settled, response)?.0);
            new.push(extension.new);
        }
        let new_ids: Vec<&[u32]> = new.iter().map(Vec::as_slice).collect();
        let hidden = lm.forward(&mut self.cache, &new_ids)?;
        let mut next = log_probabilities(lm, &tokens_of(&hidden, &new_ids)?, self.vocab_size)?;
        let mut next = next.drain(..);
        for ((row, new), settled) in self.rows.iter_mut().zip(new).zip(states) {
            new.into_iter().zip(&mut next).for_each(|(id, next)| row.push(id, next));
            row.settle(settled);
        }
        Ok(self.rows.iter().map(TextRow::log_probability).collect())
    }

    /// Returns log p of the extended response minus log p of the response, for each of the texts
    /// that extend each row. All texts are read in one pass; those that share their first new
    /// tokens read them once. The rows stay as they are. `responses` must be those read last.
    pub(super) fn extensions(
        &self,
        lm: &Lm,
        responses: &[&str],
        additions: &[Vec<String>],
    ) -> Result<Vec<Vec<f32>>, GuidanceError> {
        let mut extensions = Vec::new();
        for (index, (response, additions)) in responses.iter().zip(additions).enumerate() {
            for addition in additions {
                extensions.push(self.extension(index, &format!("{response}{addition}"))?);
            }
        }
        let mut paths: Vec<Path<'_>> = extensions.iter().filter_map(Extension::path).collect();
        paths.sort_unstable();
        // Of paths that begin equally only the longest is left. They are neighbours.
        paths.dedup_by(|next, previous| {
            let is_longer = next.starts_with(previous);
            if is_longer {
                *previous = *next;
            }
            is_longer
        });
        let inner = self.read_paths(lm, &paths, &extensions)?;
        let mut all = extensions.iter().zip(inner).map(|(extension, inner)| {
            let row = &self.rows[extension.row];
            let first = extension.new.first().map_or(0.0, |&id| {
                row.next_after(extension.common).get(id as usize).copied().unwrap_or(0.0)
            });
            row.sums[extension.common] + first + inner - row.log_probability()
        });
        Ok(additions.iter().map(|additions| all.by_ref().take(additions.len()).collect()).collect())
    }

    /// Returns log of the probability that one of the `ends` comes next in `row`, or `None` without
    /// ends.
    pub(super) fn end(&self, row: usize, ends: &[u32]) -> Option<f32> {
        let next = self.rows[row].next.last()?;
        let logps: Vec<f32> =
            ends.iter().filter_map(|&id| next.get(id as usize).copied()).collect();
        (!logps.is_empty()).then(|| log_sum_exp(&logps))
    }

    fn extension(&self, row: usize, text: &str) -> Result<Extension, GuidanceError> {
        let read = &self.rows[row];
        let (_, mut new) = self.encoder.encode(read.settled, text)?;
        let known = read.ids.get(read.settled.ids..).unwrap_or_default();
        let shared = known.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let new = new.split_off(shared);
        Ok(Extension { row, common: read.settled.ids + shared, new })
    }

    /// Reads the paths in one pass. Returns Σ log p of the new ids of each extension, without the
    /// first.
    fn read_paths(
        &self,
        lm: &Lm,
        paths: &[Path<'_>],
        extensions: &[Extension],
    ) -> Result<Vec<f32>, GuidanceError> {
        let mut sums = vec![0.0; extensions.len()];
        if paths.is_empty() {
            return Ok(sums);
        }
        let mut cache = self.cache.fork(&paths.iter().map(|path| path.row).collect::<Vec<_>>())?;
        for (index, path) in paths.iter().enumerate() {
            cache.truncate(index, self.encoder.fixed().len() + path.common)?;
        }
        let new: Vec<&[u32]> = paths.iter().map(|path| path.ids).collect();
        let hidden = tokens_of(&lm.forward(&mut cache, &new)?, &new)?;
        // The position of each path in `hidden`.
        let starts: Vec<usize> = new
            .iter()
            .scan(0, |start, ids| Some(std::mem::replace(start, *start + ids.len())))
            .collect();
        let mut wanted: Vec<(usize, u32, usize)> = Vec::new();
        for (index, extension) in extensions.iter().enumerate() {
            let Some(path) = extension.path() else { continue };
            // The first path that is not less begins with this one.
            let found = paths.partition_point(|other| *other < path);
            let after = extension.new.iter().skip(1).enumerate();
            wanted.extend(after.map(|(step, &id)| (starts[found] + step, id, index)));
        }
        wanted.sort_unstable();
        for (logp, (_, _, extension)) in
            log_probabilities_of(lm, &hidden, self.vocab_size, &wanted)?.iter().zip(&wanted)
        {
            sums[*extension] += logp;
        }
        Ok(sums)
    }
}

/// Returns the hidden states `[N, hidden]` of all tokens of `rows`, without padding, from
/// `[rows, T, hidden]`.
fn tokens_of(hidden: &Tensor, rows: &[&[u32]]) -> Result<Tensor, GuidanceError> {
    let (count, tokens, width) = hidden.dims3()?;
    let flat = hidden.reshape((count * tokens, width))?;
    if rows.iter().all(|row| row.len() == tokens) {
        return Ok(flat);
    }
    let own = |(index, row): (usize, &&[u32])| (0..row.len()).map(move |t| index * tokens + t);
    let indices: Vec<u32> = rows.iter().enumerate().flat_map(own).map(|i| i as u32).collect();
    Ok(flat.index_select(&Tensor::new(indices, hidden.device())?, 0)?)
}

/// Returns log p of every next token for each of the hidden states `[N, hidden]`.
fn log_probabilities(
    lm: &Lm,
    hidden: &Tensor,
    vocab_size: usize,
) -> Result<Vec<Arc<[f32]>>, GuidanceError> {
    let mut all = Vec::new();
    for_each_logits(lm, hidden, |_, logits| {
        all.par_extend(logits.par_iter().map(|logits| {
            let logits = &logits[..vocab_size];
            let lse = log_sum_exp(logits);
            logits.iter().map(|logit| logit - lse).collect::<Arc<[f32]>>()
        }));
    })?;
    Ok(all)
}

/// Returns log p for each (position in `hidden`, id, …) of `wanted`, which is sorted.
fn log_probabilities_of(
    lm: &Lm,
    hidden: &Tensor,
    vocab_size: usize,
    wanted: &[(usize, u32, usize)],
) -> Result<Vec<f32>, GuidanceError> {
    let mut found = Vec::with_capacity(wanted.len());
    for_each_logits(lm, hidden, |first, logits| {
        let lse: Vec<f32> =
            logits.par_iter().map(|logits| log_sum_exp(&logits[..vocab_size])).collect();
        let own = wanted[found.len()..].iter().take_while(|(at, ..)| *at < first + logits.len());
        found.extend(own.map(|&(at, id, _)| {
            let row = at - first;
            logits[row][..vocab_size].get(id as usize).map_or(0.0, |logit| logit - lse[row])
        }));
    })?;
    Ok(found)
}

/// Calls `f` with the logits of all hidden states, in parts: the index of the first state, and the
/// logits of each state. Fails if a logit is not finite.
fn for_each_logits(
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
