//! The value plot as a figure.

use std::collections::BTreeSet;

use maud::html;

use super::kind::{FigureError, FigureSize};
use super::sheet::{Frame, Key, SURFACE, Sheet, WEAK, ink, mark, number, pair};
use crate::guidance::labels::{settings_line, titles_of};
use crate::guidance::settings::ValueSource;
use crate::guidance::trace::{ArmTrace, Trace};
use crate::records::report::svg::{Look, looks};
use crate::records::report::value_plot::{Dot, Extent, Series, radius};

const TITLE: &str = "Value of every chunk";
const LENGTH: &str = "Length of the response (tokens)";

/// Draws the value of every candidate over the length of the response.
pub(super) fn draw(trace: &Trace, size: FigureSize) -> Result<String, FigureError> {
    let arms = &trace.arms;
    let series: Vec<Series> = arms.iter().map(|arm| Series::new(&arm.chunks, None)).collect();
    let extent = Extent::of(arms, &series).ok_or(FigureError::NoValues)?;
    let (titles, looks) = (titles_of(arms), looks(arms));
    let mut sheet = Sheet::new(size, TITLE);
    sheet.legend(&keys(&titles, &looks, sheet.em));
    // Keeps the last dots away from the edge.
    let tokens = [0.0, extent.tokens * 1.015];
    let frame = sheet.axes(tokens, [extent.low, extent.high], [LENGTH, value_name(arms)]);
    for (series, look) in series.iter().zip(&looks) {
        dots(&mut sheet, &frame, series, look);
    }
    // Lines are drawn last, because the dots of many columns would hide them. Dashed lines are on
    // top.
    for is_dashed in [false, true] {
        let drawn = series.iter().zip(&looks).filter(|(_, look)| look.is_dashed == is_dashed);
        drawn.for_each(|(series, look)| lead_line(&mut sheet, &frame, series, look));
    }
    let columns = arms.iter().zip(&titles);
    let columns: Vec<String> = columns
        .map(|(arm, title)| format!("{title}: {}", settings_line(arm.name, &arm.settings)))
        .collect();
    Ok(sheet.finish(TITLE, &format!("{} {}", origin(trace), columns.join("; "))))
}

/// Returns what a run was made from, as sentences for the description of a figure.
pub(super) fn origin(trace: &Trace) -> String {
    let Trace { prompt, pack, seed, program, .. } = trace;
    format!("Prompt: {prompt} Pack: {pack}. Seed: {seed}. IVG Playground {program}.")
}

/// Returns the name and unit of the values.
fn value_name(arms: &[ArmTrace]) -> &'static str {
    let valued = arms.iter().filter(|arm| {
        arm.chunks.iter().flat_map(|chunk| &chunk.candidates).any(|c| c.value.is_some())
    });
    let is_implicit = |arm: &ArmTrace| arm.settings.value_source == ValueSource::Implicit;
    let sources: BTreeSet<bool> = valued.map(is_implicit).collect();
    match (sources.contains(&true), sources.contains(&false)) {
        (true, false) => "Value (summed advantage, nats)",
        (false, _) => "Value V (predicted reward)",
        (true, true) => "Value",
    }
}

/// Returns the legend: the columns, then the kinds of marks.
fn keys(titles: &[String], looks: &[Look], em: f64) -> Vec<Key> {
    let columns = titles.iter().zip(looks).map(|(title, look)| {
        let path = mark(look, [em, 0.0], 0.36 * em);
        let colour = ink(look.colour);
        let picture = html! {
            path d=(format!("M0,0H{}", number(2.0 * em))) stroke=(colour)
                stroke-width=(number(0.17 * em)) stroke-dasharray=[dash(look, em)] {}
            path d=(path) fill=(colour) {}
        };
        (picture, title.clone())
    });
    let plain = Look { colour: 0, shape: 0, is_dashed: false };
    let dot = mark(&plain, [1.4 * em, 0.0], 0.3 * em);
    let kept = html! { path d=(dot) fill=(WEAK) {} };
    let dropped =
        html! { path d=(dot) fill="none" stroke=(WEAK) stroke-width=(number(0.07 * em)) {} };
    columns.chain([(kept, "kept".into()), (dropped, "dropped".into())]).collect()
}

fn dash(look: &Look, em: f64) -> Option<String> {
    look.is_dashed.then(|| format!("{} {}", number(0.5 * em), number(0.35 * em)))
}

fn dot_radius(sheet: &Sheet, frame: &Frame, series: &Series) -> f64 {
    radius(frame.right - frame.left, series.chunks, [0.12 * sheet.em, 0.3 * sheet.em])
}

/// Draws dropped candidates hollow, and kept ones filled and joined to their parents.
fn dots(sheet: &mut Sheet, frame: &Frame, series: &Series, look: &Look) {
    let (em, colour) = (sheet.em, ink(look.colour));
    let radius = dot_radius(sheet, frame, series);
    let marks = |is_drawn: &dyn Fn(&&Dot) -> bool| {
        let drawn = series.dots.iter().filter(is_drawn);
        // A set, so that coinciding dots are drawn once.
        let marks: BTreeSet<String> =
            drawn.map(|dot| mark(look, frame.at(dot.position), radius)).collect();
        marks.into_iter().collect::<String>()
    };
    let (dropped, kept) = (marks(&|dot| !dot.kept), marks(&|dot| dot.kept));
    let lineage: BTreeSet<String> = series
        .lineage
        .iter()
        .map(|[from, to]| format!("M{}L{}", pair(frame.at(*from)), pair(frame.at(*to))))
        .collect();
    let lineage: String = lineage.into_iter().collect();
    let thin = number(0.07 * em);
    sheet.add(&html! {
        @if !dropped.is_empty() {
            path d=(dropped) fill="none" stroke=(colour) stroke-width=(thin)
                stroke-opacity="0.55" {}
        }
        @if !lineage.is_empty() {
            path d=(lineage) fill="none" stroke=(colour) stroke-width=(thin)
                stroke-opacity="0.45" {}
        }
        @if !kept.is_empty() { path d=(kept) fill=(colour) fill-opacity="0.75" {} }
    });
}

/// Draws the line to the final response.
fn lead_line(sheet: &mut Sheet, frame: &Frame, series: &Series, look: &Look) {
    let dots: Vec<[f64; 2]> = series.lead().map(|dot| frame.at(dot.position)).collect();
    if dots.is_empty() {
        return;
    }
    let (em, colour) = (sheet.em, ink(look.colour));
    let points = dots.iter().map(|at| pair(*at)).collect::<Vec<_>>().join(" ");
    let radius = dot_radius(sheet, frame, series) + 0.05 * em;
    let marks: String = dots.iter().map(|at| mark(look, *at, radius)).collect();
    sheet.add(&html! {
        polyline points=(points) fill="none" stroke=(SURFACE) stroke-width=(number(0.34 * em)) {}
        polyline points=(points) fill="none" stroke=(colour) stroke-width=(number(0.17 * em))
            stroke-dasharray=[dash(look, em)] {}
        path d=(marks) fill=(colour) stroke=(SURFACE) stroke-width=(number(0.07 * em)) {}
    });
}
