//! The layout of the value plot: the positions of the candidates and the ticks of the axes. The
//! window draws it with egui, the report as SVG.

use crate::format::minus;
use crate::guidance::lineage;
use crate::guidance::trace::{ArmTrace, ChunkTrace};

/// Shown instead of the plot if no candidate has a value.
pub(crate) const NO_VALUES: &str =
    "This run has no values: the pack has no model that ranks partial responses.";

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dot {
    /// Index of the chunk.
    pub(crate) chunk: usize,
    /// Index of the candidate in its chunk.
    pub(crate) candidate: usize,
    /// Position in tokens and value.
    pub(crate) position: [f64; 2],
    /// Whether the search kept the candidate.
    pub(crate) kept: bool,
    /// Whether the final response continues the candidate.
    pub(crate) on_lead: bool,
}

/// One column of the plot. Positions are in tokens and value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Series {
    /// The drawn candidates, chunk by chunk.
    pub(crate) dots: Vec<Dot>,
    /// Line segments from the parent of each kept candidate to the candidate.
    pub(crate) lineage: Vec<[[f64; 2]; 2]>,
    /// Number of chunks.
    pub(crate) chunks: usize,
}

impl Series {
    /// Lays out `chunks`. Includes all kept candidates and about `max_dropped` of the dropped ones,
    /// spread evenly over the chunks.
    pub(crate) fn new(chunks: &[ChunkTrace], max_dropped: Option<usize>) -> Self {
        let mut series = Self { chunks: chunks.len(), ..Self::default() };
        let lead = lineage::lead(chunks);
        let per_chunk =
            max_dropped.map_or(usize::MAX, |max| (max / chunks.len().max(1)).clamp(4, 64));
        for (t, chunk) in chunks.iter().enumerate() {
            let dropped = chunk.candidates.iter().filter(|c| !c.survived).count();
            let stride = dropped.div_ceil(per_chunk).max(1);
            let mut dropped_so_far = 0;
            for (i, candidate) in chunk.candidates.iter().enumerate() {
                let Some(position) = self::position(chunk, i) else { continue };
                let (kept, on_lead) = (candidate.survived, lead.get(t) == Some(&i));
                dropped_so_far += usize::from(!kept);
                if !kept && !on_lead && (dropped_so_far - 1) % stride != 0 {
                    continue;
                }
                series.dots.push(Dot { chunk: t, candidate: i, position, kept, on_lead });
                let parent = t.checked_sub(1).map(|t| &chunks[t]).zip(candidate.parent);
                if let Some(from) = parent.and_then(|(chunk, i)| self::position(chunk, i))
                    && kept
                {
                    series.lineage.push([from, position]);
                }
            }
        }
        series
    }

    /// Returns the dots on the way to the final response, from first to last.
    pub(crate) fn lead(&self) -> impl Iterator<Item = &Dot> {
        self.dots.iter().filter(|dot| dot.on_lead)
    }
}

/// The ranges of the axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extent {
    /// Length of the longest candidate, in tokens. At least 1.
    pub(crate) tokens: f64,
    /// Lowest value, less a margin.
    pub(crate) low: f64,
    /// Highest value, plus a margin.
    pub(crate) high: f64,
}

impl Extent {
    /// Returns the ranges that contain all dots, or `None` if there is no dot.
    pub(crate) fn of(arms: &[ArmTrace], series: &[Series]) -> Option<Self> {
        let dots = series.iter().flat_map(|series| &series.dots);
        let values = dots.map(|dot| dot.position[1]);
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return None;
        }
        let margin = ((high - low) * 0.06).max((1.0 - (high - low)) / 2.0);
        let candidates = arms.iter().flat_map(|arm| &arm.chunks).flat_map(|c| &c.candidates);
        let tokens = candidates.map(|c| c.tokens).max().unwrap_or(1).max(1) as f64;
        Some(Self { tokens, low: low - margin, high: high + margin })
    }
}

/// Returns the position of a candidate in tokens and value, or `None` if it has no finite value.
pub fn position(chunk: &ChunkTrace, candidate: usize) -> Option<[f64; 2]> {
    let candidate = chunk.candidates.get(candidate)?;
    let value = candidate.value.filter(|v| v.is_finite())?;
    Some([candidate.tokens as f64, value.into()])
}

/// Returns a radius at which dots of neighbouring chunks do not touch, within `limits` (minimum,
/// maximum). `width` is the width of the plot.
pub(crate) fn radius(width: f64, chunks: usize, limits: [f64; 2]) -> f64 {
    (0.22 * width / chunks.max(1) as f64).clamp(limits[0], limits[1])
}

/// Returns a tick step of 1, 2 or 5 times a power of ten, so that about `count` steps fill `span`.
pub(crate) fn tick_step(span: f64, count: f64) -> f64 {
    let rough = (span / count).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let distance = |step: &f64| (step / rough).ln().abs();
    let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter();
    steps.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(power)
}

/// Returns the smallest round tick step of at least `least`, for plots without room for the steps of
/// [`tick_step`].
pub(crate) fn tick_step_from(least: f64) -> f64 {
    let least = least.max(1e-9);
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0].map(|m| m * power).into_iter();
    steps.into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// Returns the multiples of `step` from `low` to `high`.
pub(crate) fn ticks(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    const MAX_TICKS: usize = 1000;
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).take(MAX_TICKS).map(move |i| i as f64 * step)
}

/// Formats a tick with as many decimals as `step` needs.
pub(crate) fn tick_label(value: f64, step: f64) -> String {
    let is_whole = |decimals: &i32| {
        let scaled = step * 10f64.powi(*decimals);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    let decimals = (0..6).find(is_whole).unwrap_or(6) as usize;
    let value = if value.abs() < step / 2.0 { 0.0 } else { value };
    minus(&format!("{value:.decimals$}"))
}

/// Describes the plot for screen readers. `columns` are the title and the chunks of every column.
pub fn summary<'a>(columns: impl IntoIterator<Item = (&'a str, &'a [ChunkTrace])>) -> String {
    let mut text = String::from("Value of every chunk.");
    for (title, chunks) in columns {
        let last = lineage::lead(chunks).last().copied().zip(chunks.last());
        if let Some([tokens, value]) = last.and_then(|(i, chunk)| position(chunk, i)) {
            let value = minus(&format!("{value:+.2}"));
            text += &format!(" {title}: {} chunks, {value} after {tokens} tokens.", chunks.len());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::lineage::tests::{candidate_of, search};

    #[test]
    fn kept_candidates_are_joined_to_their_parents() {
        let series = Series::new(&search(), Some(100));
        let kept = series.dots.iter().filter(|d| d.kept).count();
        assert_eq!((kept, series.dots.len() - kept), (4, 2));
        let from: Vec<_> = series.lineage.iter().map(|[from, _]| from[1]).collect();
        assert_eq!(from, [f64::from(0.5f32), f64::from(0.4f32)]);
        assert_eq!(series.lead().map(|d| d.candidate).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn candidates_without_a_value_are_left_out() {
        let mut chunks = search();
        chunks[1].candidates[2].value = None;
        chunks[1].candidates[1].value = Some(f32::NAN);
        assert_eq!(Series::new(&chunks, Some(100)).dots.iter().filter(|d| d.kept).count(), 2);
    }

    #[test]
    fn only_dropped_candidates_of_a_long_search_are_thinned_out() {
        let chunk = |t: usize| ChunkTrace {
            end_token: 5 * t,
            candidates: (0..64).map(|i| candidate_of(Some(0), i as f32, i >= 56, 5 * t)).collect(),
            leader: 63,
            selection_kl_nats: None,
        };
        let chunks: Vec<_> = (1..=200).map(chunk).collect();
        let series = Series::new(&chunks, Some(1600));
        let kept = series.dots.iter().filter(|d| d.kept).count();
        assert_eq!(kept, 200 * 8);
        assert!(series.dots.len() - kept <= 1600);
    }

    #[test]
    fn tick_steps_are_round_numbers() {
        assert_eq!(tick_step(10.0, 5.0), 2.0);
        assert_eq!(tick_step(48.0, 10.0), 5.0);
        assert_eq!(tick_step(0.9, 6.0), 0.2);
        assert!(tick_step(0.0, 6.0) > 0.0 && tick_step(6e38, 6.0).is_finite());
        assert_eq!(ticks(-0.5, 1.0, 0.5).collect::<Vec<_>>(), [-0.5, 0.0, 0.5, 1.0]);
        assert_eq!(tick_label(-0.5, 0.5), "−0.5");
        assert_eq!([tick_label(-1e-17, 0.2), tick_label(20.0, 20.0)], ["0.0", "20"]);
        assert_eq!([tick_label(-3.0, 1.5), tick_label(0.45, 0.15)], ["−3.0", "0.45"]);
        assert_eq!([0.9, 1.1, 3.2, 8.5, 0.012].map(tick_step_from), [1.0, 1.5, 4.0, 10.0, 0.015]);
    }

    #[test]
    fn the_summary_states_the_last_value_of_every_column() {
        let chunks = search();
        let words = summary([("Guided", chunks.as_slice()), ("Unguided", &[])]);
        assert_eq!(words, "Value of every chunk. Guided: 2 chunks, +0.90 after 8 tokens.");
    }
}
