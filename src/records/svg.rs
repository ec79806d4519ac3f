//! The value plot of a report: the value of every candidate over the length of the response.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::escape;
use crate::guidance::settings::Arm;
use crate::guidance::trace::{ArmTrace, ChunkTrace};
use crate::words::minus;

/// Colours that the style sheet knows, `c0` to `c7`.
pub(super) const COLOURS: usize = 8;
const SHAPES: usize = 8;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 984.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 352.0;
/// Marks of the axes stand about this far apart.
const COLUMN_EVERY: f64 = 90.0;
const ROW_EVERY: f64 = 54.0;

/// How one column is drawn everywhere in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Index into the colours.
    pub colour: usize,
    shape: usize,
    is_dashed: bool,
}

/// A look for every column: the unguided one orange squares on a dashed line, the first guided one
/// blue circles, as in the window. No two of sixteen share both colour and shape.
pub(super) fn looks(arms: &[ArmTrace]) -> Vec<Look> {
    let mut seen_base = false;
    let mut seen_guided = false;
    let mut others = 2;
    arms.iter()
        .map(|arm| {
            let is_base = arm.name == Arm::Base;
            let place = if is_base && !std::mem::replace(&mut seen_base, true) {
                1
            } else if arm.name == Arm::Ivg && !std::mem::replace(&mut seen_guided, true) {
                0
            } else {
                others += 1;
                others - 1
            };
            let colour = place % COLOURS;
            Look { colour, shape: (place + place / COLOURS) % SHAPES, is_dashed: is_base }
        })
        .collect()
}

/// A dot of the plot, in tenths of a unit so that what falls together is drawn once.
type Spot = (i64, i64);

/// The plot as an `<svg>` element; none if no candidate has a value.
pub(super) fn plot(arms: &[ArmTrace], titles: &[String], looks: &[Look]) -> Option<String> {
    let scale = Scale::of(arms)?;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        escape::html(&summary(arms, titles))
    );
    axes(&mut out, &scale);
    let drawn: Vec<_> = arms.iter().zip(titles).zip(looks).collect();
    for ((arm, _), look) in &drawn {
        dots(&mut out, &scale, &arm.chunks, look);
    }
    // Sixteen rows of dots would hide a single line: lines last, the dashed ones above.
    for wants_dashed in [false, true] {
        for ((arm, title), look) in drawn.iter().filter(|(_, l)| l.is_dashed == wants_dashed) {
            lead_line(&mut out, &scale, &arm.chunks, title, look);
        }
    }
    out += "</svg>\n";
    Some(out)
}

/// The mark of a column, for legends and headings.
pub(super) fn key(look: &Look) -> String {
    let mut mark = String::new();
    shape(&mut mark, look.shape, (140, 70), 4.5);
    format!(
        "<svg class=\"key c{}\" viewBox=\"0 0 28 14\" aria-hidden=\"true\">\
         <path class=\"lead{}\" d=\"M1,7H27\"/><path class=\"kept\" d=\"{mark}\"/></svg>",
        look.colour,
        dash(look)
    )
}

/// The two kinds of candidates, for the legend.
pub(super) fn kinds() -> [(String, &'static str); 2] {
    let mut mark = String::new();
    shape(&mut mark, 0, (70, 70), 4.0);
    let icon = |class: &str| {
        format!(
            "<svg class=\"kind\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">\
             <path class=\"{class}\" d=\"{mark}\"/></svg>"
        )
    };
    [(icon("dropped"), "tried and dropped"), (icon("kept"), "kept")]
}

fn dash(look: &Look) -> &'static str {
    if look.is_dashed { " dashed" } else { "" }
}

/// From tokens and values to the paper.
struct Scale {
    tokens: f64,
    low: f64,
    high: f64,
    rows: Vec<f64>,
    row_step: f64,
}

impl Scale {
    fn of(arms: &[ArmTrace]) -> Option<Self> {
        let candidates = || arms.iter().flat_map(|a| &a.chunks).flat_map(|c| &c.candidates);
        let values = candidates().filter_map(|c| c.value).filter(|v| v.is_finite()).map(f64::from);
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return None;
        }
        let margin = ((high - low) * 0.06).max((1.0 - (high - low)) / 2.0);
        let (low, high) = (low - margin, high + margin);
        let tokens = candidates().map(|c| c.tokens).max().unwrap_or(1).max(1) as f64;
        let row_step = step(high - low, (BOTTOM - TOP) / ROW_EVERY);
        let (first, last) = ((low / row_step).ceil() as i64, (high / row_step).floor() as i64);
        let rows = (first..=last).take(50).map(|i| i as f64 * row_step).collect();
        Some(Self { tokens, low, high, rows, row_step })
    }

    fn x(&self, tokens: f64) -> f64 {
        // The last dots stay clear of the edge.
        LEFT + (RIGHT - LEFT) * tokens / (self.tokens * 1.015)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn spot(&self, chunk: &ChunkTrace, i: usize) -> Option<Spot> {
        let candidate = chunk.candidates.get(i)?;
        let value = candidate.value.filter(|v| v.is_finite())?;
        let (x, y) = (self.x(candidate.tokens as f64), self.y(value.into()));
        Some(((x * 10.0).round() as i64, (y * 10.0).round() as i64))
    }
}

/// 1, 2 or 5 times a power of ten, so that about `count` steps make up `span`.
fn step(span: f64, count: f64) -> f64 {
    let rough = (span / count).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let far = |step: &f64| (step / rough).ln().abs();
    let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter();
    steps.min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(power)
}

fn axes(out: &mut String, scale: &Scale) {
    let decimals = (-scale.row_step.log10().floor()).clamp(0.0, 6.0) as usize;
    for &row in &scale.rows {
        let y = scale.y(row);
        let is_zero = row.abs() < scale.row_step / 2.0;
        let class = if is_zero { "zero" } else { "grid" };
        let words = minus(&format!("{:.decimals$}", if is_zero { 0.0 } else { row }));
        let _ = writeln!(
            out,
            "<path class=\"{class}\" d=\"M{LEFT},{y:.1}H{RIGHT}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{words}</text>",
            LEFT - 8.0,
            y + 4.5,
        );
    }
    let column_step = step(scale.tokens, (RIGHT - LEFT) / COLUMN_EVERY).max(1.0);
    let columns = (scale.tokens / column_step).floor() as i64;
    for column in (0..=columns).map(|i| i as f64 * column_step) {
        let x = scale.x(column);
        let _ = writeln!(
            out,
            "<path class=\"axis\" d=\"M{x:.1},{BOTTOM}v5\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{column:.0}</text>",
            BOTTOM + 21.0,
        );
    }
    let _ = writeln!(
        out,
        "<path class=\"axis\" d=\"M{LEFT},{BOTTOM}H{RIGHT}\"/>\
         <text class=\"name\" x=\"0\" y=\"14\">value V(x, y≤t)</text>\
         <text class=\"name\" x=\"{RIGHT}\" y=\"{:.0}\" text-anchor=\"end\">tokens of the response\
         </text>",
        BOTTOM + 42.0,
    );
}

/// Dropped candidates hollow, kept ones filled and joined to what they continue.
fn dots(out: &mut String, scale: &Scale, chunks: &[ChunkTrace], look: &Look) {
    let radius = radius(chunks.len());
    let (mut kept, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    let mut lineage = BTreeSet::new();
    for (t, chunk) in chunks.iter().enumerate() {
        for (i, candidate) in chunk.candidates.iter().enumerate() {
            let Some(here) = scale.spot(chunk, i) else { continue };
            if !candidate.survived {
                dropped.insert(here);
                continue;
            }
            kept.insert(here);
            let before = t.checked_sub(1).map(|t| &chunks[t]).zip(candidate.parent);
            if let Some(there) = before.and_then(|(chunk, parent)| scale.spot(chunk, parent)) {
                lineage.insert((there, here));
            }
        }
    }
    let marks = |spots: &BTreeSet<Spot>, radius: f64| {
        let mut path = String::new();
        spots.iter().for_each(|&at| shape(&mut path, look.shape, at, radius));
        path
    };
    let mut lines = String::new();
    for (from, to) in lineage {
        let _ =
            write!(lines, "M{},{}L{},{}", tenth(from.0), tenth(from.1), tenth(to.0), tenth(to.1));
    }
    let parts = [
        ("dropped", marks(&dropped, radius - 0.4)),
        ("lineage", lines),
        ("kept", marks(&kept, radius)),
    ];
    let _ = writeln!(out, "<g class=\"c{}\">", look.colour);
    for (class, path) in parts.iter().filter(|(_, path)| !path.is_empty()) {
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    *out += "</g>\n";
}

/// The way of the answer, with its numbers under the pointer.
fn lead_line(out: &mut String, scale: &Scale, chunks: &[ChunkTrace], title: &str, look: &Look) {
    let way = lead(chunks);
    let spots: Vec<(Spot, &ChunkTrace, usize)> =
        way.iter().filter_map(|&(chunk, i)| Some((scale.spot(chunk, i)?, chunk, i))).collect();
    if spots.is_empty() {
        return;
    }
    let points: Vec<String> =
        spots.iter().map(|(at, ..)| format!("{},{}", tenth(at.0), tenth(at.1))).collect();
    let (points, dash) = (points.join(" "), dash(look));
    let _ = writeln!(
        out,
        "<g class=\"c{}\"><polyline class=\"halo\" points=\"{points}\"/>\
         <polyline class=\"lead{dash}\" points=\"{points}\"/>",
        look.colour
    );
    let radius = radius(chunks.len()) + 0.8;
    for (at, chunk, i) in spots {
        let mut mark = String::new();
        shape(&mut mark, look.shape, at, radius);
        let candidate = &chunk.candidates[i];
        let value = minus(&format!("{:+.2}", candidate.value.unwrap_or_default()));
        let words = format!("{title}: value {value} after {} tokens", candidate.tokens);
        let _ = writeln!(
            out,
            "<path class=\"answer\" d=\"{mark}\"><title>{}</title></path>",
            escape::html(&words)
        );
    }
    *out += "</g>\n";
}

/// The last leader and what it grew from: chunk and candidate, from first to last.
fn lead(chunks: &[ChunkTrace]) -> Vec<(&ChunkTrace, usize)> {
    let mut way = Vec::new();
    let mut current = chunks.last().map(|c| c.leader);
    for chunk in chunks.iter().rev() {
        let Some(i) = current else { break };
        way.push((chunk, i));
        current = chunk.candidates.get(i).and_then(|c| c.parent);
    }
    way.reverse();
    way
}

/// Dots of neighbouring chunks do not touch.
fn radius(chunks: usize) -> f64 {
    (0.22 * (RIGHT - LEFT) / chunks.max(1) as f64).clamp(1.8, 4.2)
}

/// Appends one mark of equal weight to the eye: a circle, or a polygon.
fn shape(out: &mut String, kind: usize, at: Spot, radius: f64) {
    const S: f64 = 0.88;
    let corners: &[(f64, f64)] = match kind {
        1 => &[(-S, -S), (S, -S), (S, S), (-S, S)],
        2 => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
        3 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        4 => &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
        5 => &[(-1.2, 0.0), (0.8, -1.1), (0.8, 1.1)],
        6 => &[(1.2, 0.0), (-0.8, -1.1), (-0.8, 1.1)],
        7 => &[(-1.4, -0.6), (1.4, -0.6), (1.4, 0.6), (-1.4, 0.6)],
        _ => &[],
    };
    let (x, y) = (at.0 as f64 / 10.0, at.1 as f64 / 10.0);
    if corners.is_empty() {
        let (r, d) = (trim(radius), trim(2.0 * radius));
        let _ = write!(out, "M{},{y}a{r},{r} 0 1 0 {d},0a{r},{r} 0 1 0 -{d},0z", trim(x - radius));
        return;
    }
    for (i, (dx, dy)) in corners.iter().enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        let _ = write!(out, "{command}{},{}", trim(x + dx * radius), trim(y + dy * radius));
    }
    out.push('z');
}

fn tenth(tenths: i64) -> f64 {
    tenths as f64 / 10.0
}

/// No more digits than the eye can see.
fn trim(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The plot for those who cannot see it.
fn summary(arms: &[ArmTrace], titles: &[String]) -> String {
    let mut words = String::from("Value of every chunk.");
    for (arm, title) in arms.iter().zip(titles) {
        let last = arm.chunks.last().and_then(ChunkTrace::leader);
        if let Some((value, end)) = last.and_then(|c| Some((c.value?, c.tokens))) {
            let value = minus(&format!("{value:+.2}"));
            let _ =
                write!(words, " {title}: {} chunks, {value} after {end} tokens.", arm.chunks.len());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_numbers() {
        assert_eq!(step(10.0, 5.0), 2.0);
        assert_eq!(step(48.0, 10.0), 5.0);
        assert_eq!(step(0.9, 6.0), 0.2);
        assert!(step(0.0, 6.0) > 0.0 && step(6e38, 6.0).is_finite());
    }

    #[test]
    fn marks_differ_in_shape() {
        let mark = |kind| {
            let mut path = String::new();
            shape(&mut path, kind, (100, 100), 4.0);
            path
        };
        let marks: BTreeSet<String> = (0..SHAPES).map(mark).collect();
        assert_eq!(marks.len(), SHAPES);
    }
}
