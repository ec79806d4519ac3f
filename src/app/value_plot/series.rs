//! One column of the plot: its candidates, their lineage, and the line of its response.

use eframe::egui::{Pos2, Stroke, Ui};
use egui_plot::{
    Line, LineStyle, MarkerShape, PlotPoint, PlotPoints, PlotTransform, PlotUi, Points,
};

use crate::app::state::columns::ColumnView;
use crate::app::state::selection::ChunkRef;
use crate::app::theme::Palette;
use crate::guidance::lineage;
use crate::guidance::trace::ChunkTrace;
use crate::records::report::value_plot::{Dot, Series, position, radius};

/// Maximum number of dropped candidates drawn. More would overlap and cost frame time.
const MAX_DROPPED: usize = 1600;
/// Minimum and maximum radius of a dot, in points.
const RADIUS: [f64; 2] = [2.0, 4.0];
/// Maximum distance from the pointer to a dot, in points.
const MAX_POINTER_DISTANCE: f32 = 10.0;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct ColumnPlot {
    pub(crate) series: Series,
    /// Whether it shows the previous run. An old plot is faded and ignores the pointer.
    is_old: bool,
}

impl ColumnPlot {
    /// Builds the plot of a column. Without `all_candidates`, it shows only the candidates of the
    /// response.
    pub(crate) fn of(column: &ColumnView<'_>, all_candidates: bool) -> Self {
        let Some(view) = column.view else { return Self::default() };
        let (chunks, is_old) = view.chunks_to_plot();
        let mut series = Series::new(chunks, Some(MAX_DROPPED));
        if !all_candidates {
            series.lineage.clear();
            series.dots.retain(|dot| dot.on_lead);
        }
        Self { series, is_old }
    }

    fn points(&self, predicate: impl Fn(&Dot) -> bool) -> PlotPoints<'static> {
        self.series
            .dots
            .iter()
            .filter(|d| predicate(d))
            .map(|d| d.position)
            .collect::<Vec<_>>()
            .into()
    }

    pub(crate) fn draw(&self, plot: &mut PlotUi<'_>, p: &Palette, column: &ColumnView<'_>) {
        let width = f64::from(plot.transform().frame().width());
        let radius = radius(width, self.series.chunks, RADIUS) as f32;
        let fade = if self.is_old { 0.35 } else { 1.0 };
        let color = p.column(column.index).gamma_multiply(fade);
        let weak_color = p.column(column.index).gamma_multiply(0.55 * fade);
        let name = column.title.as_str();
        let dropped = Points::new(format!("{name}, dropped"), self.points(|d| !d.kept));
        plot.points(
            dropped.color(weak_color).filled(false).radius(radius - 0.5).allow_hover(false),
        );
        for &[from, to] in &self.series.lineage {
            let line = Line::new("lineage", PlotPoints::from(vec![from, to]));
            plot.line(line.color(weak_color).width(1.2).allow_hover(false));
        }
        let kept = Points::new(format!("{name}, kept"), self.points(|d| d.kept && !d.on_lead));
        plot.points(kept.color(color).radius(radius).allow_hover(false));
        let mut line = Line::new(name, self.points(|d| d.on_lead)).color(color).width(3.0);
        if column.index == 0 {
            line = line.width(2.0).style(LineStyle::Dashed { length: 7.0 });
        }
        plot.line(line.allow_hover(false));
        let response = Points::new(format!("{name}, response"), self.points(|d| d.on_lead));
        let response = response.color(color).shape(shape(column.index)).radius(radius + 0.5);
        plot.points(response.allow_hover(false));
    }

    /// Returns the nearest candidate within reach of the pointer, and its distance in points.
    pub(crate) fn nearest(&self, transform: &PlotTransform, pointer: Pos2) -> Option<(f32, Dot)> {
        if self.is_old {
            return None;
        }
        let inside = transform.frame().expand(1.0);
        let near = self.series.dots.iter().filter_map(|dot| {
            let at = on_screen(transform, dot.position);
            let distance = at.distance(pointer);
            (distance <= MAX_POINTER_DISTANCE && inside.contains(at)).then_some((distance, *dot))
        });
        // At equal distance, prefers the dot in front: the response, then a kept candidate.
        near.min_by(|(a, first), (b, second)| {
            let behind = |dot: &Dot| (!dot.on_lead, !dot.kept);
            a.total_cmp(b).then(behind(first).cmp(&behind(second)))
        })
    }
}

/// Converts a point of the plot to screen coordinates.
fn on_screen(transform: &PlotTransform, [x, y]: [f64; 2]) -> Pos2 {
    transform.position_from_point(&PlotPoint::new(x, y))
}

/// Draws the line that leads to a candidate, and a ring around it, over the plot.
pub(crate) fn highlight_candidate(
    ui: &Ui,
    transform: &PlotTransform,
    chunks: &[ChunkTrace],
    at: ChunkRef,
) {
    let p = Palette::of(ui);
    let color = p.column(at.column);
    let painter = ui.painter().with_clip_rect(transform.frame().expand(2.0));
    let path = lineage::ancestry(chunks, at.chunk, at.candidate);
    let places = path.iter().zip(chunks).filter_map(|(&i, chunk)| position(chunk, i));
    let places: Vec<Pos2> = places.map(|at| on_screen(transform, at)).collect();
    let here = places.last().copied();
    if places.len() > 1 {
        painter.line(places.clone(), Stroke::new(5.0, p.surface.gamma_multiply(0.8)));
        painter.line(places, Stroke::new(2.0, color));
    }
    let has_place = lineage::candidate(chunks, at.chunk, at.candidate)
        .is_some_and(|c| c.value.is_some_and(f32::is_finite));
    if let Some(here) = here.filter(|_| has_place) {
        painter.circle_stroke(here, 8.0, Stroke::new(4.0, p.surface.gamma_multiply(0.8)));
        painter.circle_stroke(here, 8.0, Stroke::new(2.0, p.text));
    }
}

/// Draws a band over the tokens of a chunk.
pub(crate) fn highlight_chunk(
    ui: &Ui,
    transform: &PlotTransform,
    chunks: &[ChunkTrace],
    at: ChunkRef,
) {
    let Some(chunk) = chunks.get(at.chunk) else { return };
    let before = at.chunk.checked_sub(1).and_then(|t| chunks.get(t));
    let start = before.map_or(0, |chunk| chunk.end_token) as f64;
    let x = |tokens: f64| transform.position_from_point_x(tokens);
    let frame = *transform.frame();
    let band = frame.with_min_x(x(start)).with_max_x(x(chunk.end_token as f64));
    let color = Palette::of(ui).column(at.column).gamma_multiply(0.14);
    ui.painter().with_clip_rect(frame).rect_filled(band, 0.0, color);
}

fn shape(column: usize) -> MarkerShape {
    [MarkerShape::Square, MarkerShape::Circle, MarkerShape::Up, MarkerShape::Diamond][column % 4]
}
