//! Scores texts that extend the responses of [`TextRows`], without changing the rows.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::error::GuidanceError;
use super::text_rows::{TextRow, TextRows, sum_of};
use crate::lm::{Cover, Lm, Settled};
use crate::numeric::log_sum_exp;

/// Number of logits that are on the host at the same time.
const MAX_HOST_LOGITS: usize = 1 << 24;

/// The ids of an extended response: the first `common` ids of the row, then `new`.
pub(super) struct Extension {
    row: usize,
    pub(super) common: usize,
    pub(super) new: Vec<u32>,
    /// The settled part of the extended response.
    pub(super) settled: Settled,
    /// The covers of its last word; empty only if there is no id after the settled ones.
    pub(super) covers: Arc<[Cover]>,
}

/// Ids to read after the first `common` ids of a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Path<'a> {
    row: usize,
    common: usize,
    ids: &'a [u32],
}

/// Log-probabilities to look up: positions of a pass, and ids.
#[derive(Default)]
struct Wanted(Vec<(usize, u32)>);

impl Extension {
    /// Returns the ids of `text`, which extends the response of `row`.
    pub(super) fn new(rows: &TextRows, row: usize, text: &str) -> Result<Self, GuidanceError> {
        let read = rows.row(row);
        let (settled, mut new) = rows.encoder().encode(read.settled, text)?;
        let last_word = read.settled.ids + new.len() - settled.ids;
        let mut covers = rows.encoder().covers(rows.words(), settled, text)?;
        if let (true, Some(&last), Some(kept)) =
            (covers.is_empty(), new.last(), last_word.checked_sub(1))
        {
            covers = Arc::new([Cover { kept, last }]);
        }
        let known = read.ids.get(read.settled.ids..).unwrap_or_default();
        let shared = known.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let new = new.split_off(shared);
        Ok(Self { row, common: read.settled.ids + shared, new, settled, covers })
    }

    /// Returns the ids that the model must read to score the extension: all new ones but the last.
    fn path(&self) -> Option<Path<'_>> {
        let (_, inner) = self.new.split_last()?;
        (!inner.is_empty()).then_some(Path { row: self.row, common: self.common, ids: inner })
    }

    /// Returns how many new ids precede the last token of `cover`, or `None` if the row has read
    /// all ids before it.
    fn new_before(&self, cover: &Cover) -> Option<usize> {
        (self.settled.ids + cover.kept).checked_sub(self.common + 1).map(|steps| steps + 1)
    }

    /// Adds the log-probabilities that [`Self::log_probability`] reads. `start` is the position of
    /// the state after the first new id.
    fn want(&self, start: usize, wanted: &mut Wanted) {
        let inner = self.path().map_or(&[] as &[u32], |path| path.ids);
        for (step, &id) in inner.iter().enumerate().skip(1) {
            wanted.0.push((start + step - 1, id));
        }
        for cover in self.covers.iter() {
            wanted.0.extend(self.new_before(cover).map(|step| (start + step - 1, cover.last)));
        }
    }

    /// Returns log p of all texts that begin with the extended response. `logps` yields the
    /// log-probabilities that [`Self::want`] asked for.
    fn log_probability(&self, row: &TextRow, logps: &mut impl Iterator<Item = f32>) -> f32 {
        let mut logp = || logps.next().unwrap_or(f32::NEG_INFINITY);
        // log p of the row's common ids and the first n new ids.
        let mut sums = vec![row.sums[self.common]];
        let inner = self.path().map_or(&[] as &[u32], |path| path.ids);
        for (step, &id) in inner.iter().enumerate() {
            let next = if step == 0 { row.token(self.common, id) } else { logp() };
            sums.push(sums[step] + next);
        }
        let covers = self.covers.iter().map(|cover| match self.new_before(cover) {
            Some(step) => sums[step] + logp(),
            None => {
                let ids = self.settled.ids + cover.kept;
                row.sums[ids] + row.token(ids, cover.last)
            }
        });
        sum_of(covers).unwrap_or(sums[0])
    }
}

impl Path<'_> {
    fn starts_with(&self, other: &Path<'_>) -> bool {
        (self.row, self.common) == (other.row, other.common) && self.ids.starts_with(other.ids)
    }
}

impl TextRows {
    /// Returns log p of the extended response minus log p of the response, for each of the texts
    /// that extend each row. All texts are read in one pass; those that share their first new
    /// tokens read them once. `responses` must be those read last.
    pub(super) fn extensions(
        &self,
        lm: &Lm,
        responses: &[&str],
        additions: &[Vec<String>],
    ) -> Result<Vec<Vec<f32>>, GuidanceError> {
        let mut extensions = Vec::new();
        for (index, (response, additions)) in responses.iter().zip(additions).enumerate() {
            for addition in additions {
                extensions.push(Extension::new(self, index, &format!("{response}{addition}"))?);
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
        // The position of each path in the pass.
        let starts: Vec<usize> = paths
            .iter()
            .scan(0, |end, path| Some(std::mem::replace(end, *end + path.ids.len())))
            .collect();
        let mut wanted = Wanted::default();
        for extension in &extensions {
            let start = extension.path().map_or(0, |path| {
                // The first path that is not less begins with this one.
                starts[paths.partition_point(|other| *other < path)]
            });
            extension.want(start, &mut wanted);
        }
        let mut logps = self.read_paths(lm, &paths, &wanted)?.into_iter();
        let mut all = extensions.iter().map(|extension| {
            let row = self.row(extension.row);
            extension.log_probability(row, &mut logps) - row.logp
        });
        Ok(additions.iter().map(|additions| all.by_ref().take(additions.len()).collect()).collect())
    }

    /// Reads the paths in one pass. Returns the wanted log-probabilities in their order.
    fn read_paths(
        &self,
        lm: &Lm,
        paths: &[Path<'_>],
        wanted: &Wanted,
    ) -> Result<Vec<f32>, GuidanceError> {
        if wanted.0.is_empty() {
            return Ok(Vec::new());
        }
        let sources: Vec<usize> = paths.iter().map(|path| path.row).collect();
        let mut cache = self.cache().fork(&sources)?;
        for (index, path) in paths.iter().enumerate() {
            cache.truncate(index, self.encoder().fixed().len() + path.common)?;
        }
        let new: Vec<&[u32]> = paths.iter().map(|path| path.ids).collect();
        let hidden = tokens_of(&lm.forward(&mut cache, &new)?, &new)?;
        let mut order: Vec<usize> = (0..wanted.0.len()).collect();
        order.sort_unstable_by_key(|&index| wanted.0[index]);
        let mut order = order.into_iter().peekable();
        let mut found = vec![f32::NEG_INFINITY; wanted.0.len()];
        for_each_logits(lm, &hidden, |first, logits| {
            let logits: Vec<&[f32]> = logits.iter().map(|row| &row[..self.vocab_size()]).collect();
            let lse: Vec<f32> = logits.par_iter().map(|logits| log_sum_exp(logits)).collect();
            let end = first + logits.len();
            while let Some(index) = order.next_if(|&index| wanted.0[index].0 < end) {
                let (position, id) = wanted.0[index];
                let (row, lse) = (logits[position - first], lse[position - first]);
                found[index] = row.get(id as usize).map_or(f32::NEG_INFINITY, |z| z - lse);
            }
        })?;
        Ok(found)
    }
}

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
