//! One column's part of the plot: its candidates, how they descend, and the path of its answer.

use eframe::egui::{Pos2, Stroke, Ui};
use egui_plot::{
    Line, LineStyle, MarkerShape, PlotPoint, PlotPoints, PlotTransform, PlotUi, Points,
};

use super::focus::ChunkRef;
use super::lineage;
use super::slots::Slot;
use super::theme::Palette;
use crate::guidance::trace::ChunkTrace;

/// Dropped candidates drawn, at most: more cannot be told apart, and cost frames.
const MOST_DROPPED: usize = 1600;
/// How far from a dot the pointer may be, in points.
const REACH: f32 = 10.0;

/// A candidate that is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Its chunk.
    pub chunk: usize,
    /// Its row.
    pub candidate: usize,
    /// Where, in plot coordinates: tokens and value.
    pub place: [f64; 2],
    kept: bool,
    on_lead: bool,
}

/// What of an arm's chunks is drawn, in plot coordinates: tokens and value.
#[derive(Debug, Default, PartialEq)]
pub struct Picture {
    /// Every candidate that has a mark of its own.
    pub dots: Vec<Dot>,
    /// From every survivor to the candidate it continues.
    lineage: Vec<[[f64; 2]; 2]>,
    chunks: usize,
    /// Chunks of the run before, faded and not to be pointed at.
    old: bool,
}

impl Picture {
    /// The picture of a column. `whole` shows its candidates, not its answer alone.
    pub fn of(slot: &Slot<'_>, whole: bool) -> Self {
        let Some(view) = slot.view else { return Self::default() };
        let (chunks, old) = view.plotted();
        let mut picture = Self::of_chunks(chunks);
        picture.old = old;
        if !whole {
            picture.lineage.clear();
            picture.dots.retain(|dot| dot.on_lead);
        }
        picture
    }

    fn of_chunks(chunks: &[ChunkTrace]) -> Self {
        let mut picture = Self { chunks: chunks.len(), ..Self::default() };
        let most = (MOST_DROPPED / chunks.len().max(1)).clamp(4, 64);
        let lead = lineage::lead(chunks);
        for (t, chunk) in chunks.iter().enumerate() {
            let dropped = chunk.candidates.iter().filter(|c| !c.survived).count();
            let stride = dropped.div_ceil(most).max(1);
            let mut passed = 0;
            for (i, candidate) in chunk.candidates.iter().enumerate() {
                let Some(place) = spot(chunk, i) else { continue };
                let (kept, on_lead) = (candidate.survived, lead.get(t) == Some(&i));
                if !kept {
                    passed += 1;
                    if !on_lead && (passed - 1) % stride != 0 {
                        continue;
                    }
                }
                picture.dots.push(Dot { chunk: t, candidate: i, place, kept, on_lead });
                let before = t.checked_sub(1).map(|t| &chunks[t]).zip(candidate.parent);
                if let Some(there) = before.and_then(|(chunk, parent)| spot(chunk, parent))
                    && kept
                {
                    picture.lineage.push([there, place]);
                }
            }
        }
        picture
    }

    fn places(&self, which: impl Fn(&Dot) -> bool) -> PlotPoints<'static> {
        self.dots.iter().filter(|d| which(d)).map(|d| d.place).collect::<Vec<_>>().into()
    }

    /// Draws it.
    pub fn draw(&self, plot: &mut PlotUi<'_>, p: &Palette, slot: &Slot<'_>) {
        let radius = radius(plot.transform().frame().width(), self.chunks);
        let fade = if self.old { 0.35 } else { 1.0 };
        let ink = p.column(slot.index).gamma_multiply(fade);
        let faint = p.column(slot.index).gamma_multiply(0.55 * fade);
        let name = slot.title.as_str();
        let dropped = Points::new(format!("{name}, dropped"), self.places(|d| !d.kept));
        plot.points(dropped.color(faint).filled(false).radius(radius - 0.5).allow_hover(false));
        for &[from, to] in &self.lineage {
            let line = Line::new("lineage", PlotPoints::from(vec![from, to]));
            plot.line(line.color(faint).width(1.2).allow_hover(false));
        }
        let kept = Points::new(format!("{name}, kept"), self.places(|d| d.kept && !d.on_lead));
        plot.points(kept.color(ink).radius(radius).allow_hover(false));
        let mut line = Line::new(name, self.places(|d| d.on_lead)).color(ink).width(3.0);
        if slot.index == 0 {
            line = line.width(2.0).style(LineStyle::Dashed { length: 7.0 });
        }
        plot.line(line.allow_hover(false));
        let answer = Points::new(format!("{name}, answer"), self.places(|d| d.on_lead));
        let answer = answer.color(ink).shape(shape(slot.index)).radius(radius + 0.5);
        plot.points(answer.allow_hover(false));
    }

    /// The drawn candidate nearest to the pointer, and how far away it is, in points.
    pub fn nearest(&self, transform: &PlotTransform, pointer: Pos2) -> Option<(f32, Dot)> {
        if self.old {
            return None;
        }
        let inside = transform.frame().expand(1.0);
        let near = self.dots.iter().filter_map(|dot| {
            let at = on_screen(transform, dot.place);
            let distance = at.distance(pointer);
            (distance <= REACH && inside.contains(at)).then_some((distance, *dot))
        });
        // Of several in one place the one in front: the answer, then a survivor.
        near.min_by(|(a, first), (b, second)| {
            let behind = |dot: &Dot| (!dot.on_lead, !dot.kept);
            a.total_cmp(b).then(behind(first).cmp(&behind(second)))
        })
    }
}

/// Where a candidate is drawn; nowhere without a value.
pub fn spot(chunk: &ChunkTrace, i: usize) -> Option<[f64; 2]> {
    let candidate = chunk.candidates.get(i)?;
    let value = candidate.value.filter(|v| v.is_finite())?;
    Some([candidate.tokens as f64, f64::from(value)])
}

/// A place of the plot on the screen.
fn on_screen(transform: &PlotTransform, [x, y]: [f64; 2]) -> Pos2 {
    transform.position_from_point(&PlotPoint::new(x, y))
}

/// Over the plot: the line that leads to a candidate, and a ring around it.
pub fn mark(ui: &Ui, transform: &PlotTransform, chunks: &[ChunkTrace], at: ChunkRef) {
    let p = Palette::of(ui);
    let ink = p.column(at.slot);
    let painter = ui.painter().with_clip_rect(transform.frame().expand(2.0));
    let path = lineage::ancestry(chunks, at.chunk, at.candidate);
    let places = path.iter().zip(chunks).filter_map(|(&i, chunk)| spot(chunk, i));
    let places: Vec<Pos2> = places.map(|place| on_screen(transform, place)).collect();
    let here = places.last().copied();
    if places.len() > 1 {
        painter.line(places.clone(), Stroke::new(5.0, p.surface.gamma_multiply(0.8)));
        painter.line(places, Stroke::new(2.0, ink));
    }
    let has_place = lineage::candidate(chunks, at.chunk, at.candidate)
        .is_some_and(|c| c.value.is_some_and(f32::is_finite));
    if let Some(here) = here.filter(|_| has_place) {
        painter.circle_stroke(here, 8.0, Stroke::new(4.0, p.surface.gamma_multiply(0.8)));
        painter.circle_stroke(here, 8.0, Stroke::new(2.0, p.text));
    }
}

/// Over the plot: the tokens of a chunk.
pub fn band(ui: &Ui, transform: &PlotTransform, chunks: &[ChunkTrace], at: ChunkRef) {
    let Some(chunk) = chunks.get(at.chunk) else { return };
    let before = at.chunk.checked_sub(1).and_then(|t| chunks.get(t));
    let start = before.map_or(0, |chunk| chunk.end_token) as f64;
    let x = |tokens: f64| transform.position_from_point_x(tokens);
    let frame = *transform.frame();
    let band = frame.with_min_x(x(start)).with_max_x(x(chunk.end_token as f64));
    let ink = Palette::of(ui).column(at.slot).gamma_multiply(0.14);
    ui.painter().with_clip_rect(frame).rect_filled(band, 0.0, ink);
}

fn shape(slot: usize) -> MarkerShape {
    [MarkerShape::Square, MarkerShape::Circle, MarkerShape::Up, MarkerShape::Diamond][slot % 4]
}

/// Dots of neighbouring chunks do not touch.
fn radius(width: f32, chunks: usize) -> f32 {
    (0.22 * width / chunks.max(1) as f32).clamp(2.0, 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::lineage::tests::{made, search};

    #[test]
    fn survivors_are_joined_to_what_they_continue_and_the_rest_is_hollow() {
        let picture = Picture::of_chunks(&search());
        let kept = picture.dots.iter().filter(|d| d.kept).count();
        assert_eq!((kept, picture.dots.len() - kept), (4, 2));
        let from: Vec<_> = picture.lineage.iter().map(|[from, _]| from[1]).collect();
        assert_eq!(from, [f64::from(0.5f32), f64::from(0.4f32)]);
        let lead: Vec<_> = picture.dots.iter().filter(|d| d.on_lead).collect();
        assert_eq!(lead.iter().map(|d| d.candidate).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn candidates_without_a_value_are_left_out() {
        let mut chunks = search();
        chunks[1].candidates[2].value = None;
        chunks[1].candidates[1].value = Some(f32::NAN);
        let picture = Picture::of_chunks(&chunks);
        assert_eq!(picture.dots.iter().filter(|d| d.kept).count(), 2);
    }

    #[test]
    fn a_long_search_leaves_dropped_candidates_out_and_no_survivor() {
        let chunk = |t: usize| ChunkTrace {
            end_token: 5 * t,
            candidates: (0..64).map(|i| made(Some(0), i as f32, i >= 56, 5 * t)).collect(),
            leader: 63,
            selection_kl_nats: None,
        };
        let chunks: Vec<_> = (1..=200).map(chunk).collect();
        let picture = Picture::of_chunks(&chunks);
        let kept = picture.dots.iter().filter(|d| d.kept).count();
        assert_eq!(kept, 200 * 8);
        assert!(picture.dots.len() - kept <= MOST_DROPPED);
    }
}
