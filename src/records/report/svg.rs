//! Draws the value plot of a report as SVG: the value of every candidate over the length of the
//! response.

use std::collections::BTreeSet;
use std::fmt::Write;

use maud::{Markup, html};

use super::value_plot::{Dot, Extent, Series, radius, summary, tick_label, tick_step, ticks};
use crate::format::minus;
use crate::guidance::settings::Arm;
use crate::guidance::trace::ArmTrace;

/// Number of colours in the style sheet, `c0` to `c7`.
pub(super) const COLOURS: usize = 8;
const SHAPES: usize = 8;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 984.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 352.0;
/// Approximate distances between the ticks of the horizontal and the vertical axis.
const COLUMN_EVERY: f64 = 90.0;
const ROW_EVERY: f64 = 54.0;
/// Minimum and maximum radius of a dot.
const RADIUS: [f64; 2] = [1.8, 4.2];

/// The colour, mark and line style of a column throughout a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Index of the colour, 0 to [`COLOURS`] − 1.
    pub(crate) colour: usize,
    pub(super) shape: usize,
    pub(super) is_dashed: bool,
}

/// Returns the look of every column. As in the window, the first unguided column has orange squares
/// and the first guided one has blue circles. Unguided lines are dashed. Up to sixteen columns
/// differ in colour or shape.
pub(super) fn looks(arms: &[ArmTrace]) -> Vec<Look> {
    let mut has_base = false;
    let mut has_guided = false;
    let mut others = 2;
    arms.iter()
        .map(|arm| {
            let is_base = arm.name == Arm::Base;
            let place = if is_base && !std::mem::replace(&mut has_base, true) {
                1
            } else if arm.name == Arm::Ivg && !std::mem::replace(&mut has_guided, true) {
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

/// A point of the drawing, in tenths of a unit, so that coinciding dots are equal and drawn once.
pub(super) type GridPoint = (i64, i64);

/// Returns the plot as an `<svg>` element, or `None` if no candidate has a value.
pub(super) fn plot(arms: &[ArmTrace], titles: &[String], looks: &[Look]) -> Option<Markup> {
    let series: Vec<Series> = arms.iter().map(|arm| Series::new(&arm.chunks, None)).collect();
    let scale = Scale::of(arms, &series)?;
    let drawn: Vec<_> = series.iter().zip(titles).zip(looks).collect();
    let columns = arms.iter().zip(titles);
    let words = summary(columns.map(|(arm, title)| (title.as_str(), arm.chunks.as_slice())));
    // Lines are drawn last, because the dots of sixteen columns would hide them. Dashed lines are
    // on top.
    let lines = [false, true]
        .into_iter()
        .flat_map(|is_dashed| drawn.iter().filter(move |(_, look)| look.is_dashed == is_dashed));
    Some(html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(words) {
            (axes(&scale))
            @for ((series, _), look) in &drawn { (dots(&scale, series, look)) }
            @for ((series, title), look) in lines { (lead_line(&scale, series, title, look)) }
        }
    })
}

/// Returns the mark of a column, for legends and headings.
pub(super) fn key(look: &Look) -> Markup {
    let mut mark = String::new();
    shape(&mut mark, look.shape, (140, 70), 4.5);
    html! {
        svg class={ "key c" (look.colour) } viewBox="0 0 28 14" aria-hidden="true" {
            path class=(lead_class(look)) d="M1,7H27" {}
            path class="kept" d=(mark) {}
        }
    }
}

/// Returns the marks of dropped and kept candidates with their labels, for the legend.
pub(super) fn kinds() -> [(Markup, &'static str); 2] {
    let mut mark = String::new();
    shape(&mut mark, 0, (70, 70), 4.0);
    let icon = |class: &str| {
        html! {
            svg class="kind" viewBox="0 0 14 14" aria-hidden="true" {
                path class=(class) d=(mark) {}
            }
        }
    };
    [(icon("dropped"), "dropped"), (icon("kept"), "kept")]
}

fn lead_class(look: &Look) -> &'static str {
    if look.is_dashed { "lead dashed" } else { "lead" }
}

/// Maps tokens and values to coordinates of the drawing.
struct Scale {
    tokens: f64,
    low: f64,
    high: f64,
}

impl Scale {
    fn of(arms: &[ArmTrace], series: &[Series]) -> Option<Self> {
        let Extent { tokens, low, high } = Extent::of(arms, series)?;
        Some(Self { tokens, low, high })
    }

    fn x(&self, tokens: f64) -> f64 {
        // Keeps the last dots away from the edge.
        LEFT + (RIGHT - LEFT) * tokens / (self.tokens * 1.015)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn point(&self, [tokens, value]: [f64; 2]) -> GridPoint {
        ((self.x(tokens) * 10.0).round() as i64, (self.y(value) * 10.0).round() as i64)
    }
}

fn axes(scale: &Scale) -> Markup {
    let row_step = tick_step(scale.high - scale.low, (BOTTOM - TOP) / ROW_EVERY);
    let column_step = tick_step(scale.tokens, (RIGHT - LEFT) / COLUMN_EVERY).max(1.0);
    let grid = |y: f64| format!("M{LEFT},{y:.1}H{RIGHT}");
    html! {
        @for row in ticks(scale.low, scale.high, row_step) {
            @let y = scale.y(row);
            path class=(if row.abs() < row_step / 2.0 { "zero" } else { "grid" }) d=(grid(y)) {}
            text x=(LEFT - 8.0) y=(format!("{:.1}", y + 4.5)) text-anchor="end" {
                (tick_label(row, row_step))
            }
        }
        @for column in ticks(0.0, scale.tokens, column_step) {
            @let x = format!("{:.1}", scale.x(column));
            path class="axis" d=(format!("M{x},{BOTTOM}v5")) {}
            text x=(x) y=(BOTTOM + 21.0) text-anchor="middle" { (tick_label(column, column_step)) }
        }
        path class="axis" d=(format!("M{LEFT},{BOTTOM}H{RIGHT}")) {}
        text class="name" x="0" y="14" { "value V(x, y≤t)" }
        text class="name" x=(RIGHT) y=(BOTTOM + 42.0) text-anchor="end" { "tokens of the response" }
    }
}

/// Draws dropped candidates hollow, and kept ones filled and joined to their parents.
fn dots(scale: &Scale, series: &Series, look: &Look) -> Markup {
    let radius = radius(RIGHT - LEFT, series.chunks, RADIUS);
    let marks = |is_drawn: &dyn Fn(&&Dot) -> bool, radius: f64| {
        let points: BTreeSet<GridPoint> =
            series.dots.iter().filter(is_drawn).map(|dot| scale.point(dot.position)).collect();
        let mut path = String::new();
        points.iter().for_each(|&at| shape(&mut path, look.shape, at, radius));
        path
    };
    let segments: BTreeSet<[GridPoint; 2]> =
        series.lineage.iter().map(|ends| ends.map(|end| scale.point(end))).collect();
    let mut lines = String::new();
    for [from, to] in segments {
        // Writing to a string cannot fail.
        let _ =
            write!(lines, "M{},{}L{},{}", tenth(from.0), tenth(from.1), tenth(to.0), tenth(to.1));
    }
    let parts = [
        ("dropped", marks(&|dot| !dot.kept, radius - 0.4)),
        ("lineage", lines),
        ("kept", marks(&|dot| dot.kept, radius)),
    ];
    html! {
        g class={ "c" (look.colour) } {
            @for (class, path) in parts.iter().filter(|(_, path)| !path.is_empty()) {
                path class=(class) d=(path) {}
            }
        }
    }
}

/// Draws the line to the final response, with the numbers of each mark as a tooltip.
fn lead_line(scale: &Scale, series: &Series, title: &str, look: &Look) -> Markup {
    let dots: Vec<(GridPoint, &Dot)> =
        series.lead().map(|dot| (scale.point(dot.position), dot)).collect();
    let points = dots.iter().map(|(at, _)| format!("{},{}", tenth(at.0), tenth(at.1)));
    let points = points.collect::<Vec<_>>().join(" ");
    let radius = radius(RIGHT - LEFT, series.chunks, RADIUS) + 0.8;
    let mark = |at: GridPoint| {
        let mut path = String::new();
        shape(&mut path, look.shape, at, radius);
        path
    };
    let tooltip = |dot: &Dot| {
        let [tokens, value] = dot.position;
        format!("{title}: value {} after {tokens} tokens", minus(&format!("{value:+.2}")))
    };
    html! {
        @if !dots.is_empty() {
            g class={ "c" (look.colour) } {
                polyline class="halo" points=(points) {}
                polyline class=(lead_class(look)) points=(points) {}
                @for (at, dot) in &dots {
                    path class="answer" d=(mark(*at)) { title { (tooltip(dot)) } }
                }
            }
        }
    }
}

/// Appends a circle or a polygon to an SVG path. All shapes look about equally large.
pub(super) fn shape(out: &mut String, kind: usize, at: GridPoint, radius: f64) {
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

/// Rounds to one decimal, which is exact enough for a drawing.
fn trim(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shapes_differ() {
        let mark = |kind| {
            let mut path = String::new();
            shape(&mut path, kind, (100, 100), 4.0);
            path
        };
        let marks: BTreeSet<String> = (0..SHAPES).map(mark).collect();
        assert_eq!(marks.len(), SHAPES);
    }
}
