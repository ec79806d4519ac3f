//! Scores texts that extend the responses of [`TextRows`], without changing the rows.

use rayon::prelude::*;

use super::error::GuidanceError;
use super::next_token::{for_each_logits, sum_of, tokens_of};
use super::text_rows::{Extension, TextRow, TextRows};
use crate::lm::{Cover, Lm};
use crate::numeric::log_sum_exp;

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
        additions: &[Vec<&str>],
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
