//! The value of every chunk over the length of the response.

use eframe::egui::{
    Align, Align2, Frame, Label, Layout, Margin, Rangef, RichText, Role, Sense, Stroke, TextStyle,
    Ui, Vec2b, WidgetInfo, vec2,
};
use egui_plot::{
    AxisHints, GridInput, GridMark, HPlacement, HoverPosition, Line, LineStyle, MarkerShape, Plot,
    PlotPoints, PlotUi, Points,
};

use crate::app::session::{ArmView, Session};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Mark, marker};
use crate::guidance::settings::{Arm, Settings};
use crate::guidance::trace::ChunkTrace;
use crate::words::minus;

/// The plot card.
pub struct ValuePlot<'a> {
    /// What it shows.
    pub session: &'a Session,
    /// Gives the length of the axis until there is a run.
    pub settings: &'a Settings,
}

/// Dropped candidates drawn, at most: more cannot be told apart, and cost frames.
const MOST_DROPPED: usize = 1600;

/// Height of the axis below the plot, in points.
const AXIS: f32 = 36.0;
/// Marks of the value axis stand at least this far apart, in points.
const MARK_EVERY: f64 = 32.0;
/// And those of the token axis.
const COLUMN_EVERY: f64 = 64.0;

/// What of an arm's chunks is drawn, in plot coordinates: tokens and value.
#[derive(Debug, Default, PartialEq)]
struct Picture {
    kept: Vec<[f64; 2]>,
    dropped: Vec<[f64; 2]>,
    /// From every survivor to the candidate it continues.
    lineage: Vec<[[f64; 2]; 2]>,
    /// The path of the answer, from the first chunk to the last.
    lead: Vec<[f64; 2]>,
    chunks: usize,
}

impl Picture {
    fn of(chunks: &[ChunkTrace]) -> Self {
        let mut picture = Self { chunks: chunks.len(), ..Self::default() };
        let most = (MOST_DROPPED / chunks.len().max(1)).clamp(4, 64);
        for (t, chunk) in chunks.iter().enumerate() {
            let dropped: Vec<_> = (0..chunk.candidates.len())
                .filter(|&i| !chunk.candidates[i].survived)
                .filter_map(|i| spot(chunk, i))
                .collect();
            let stride = dropped.len().div_ceil(most).max(1);
            picture.dropped.extend(dropped.into_iter().step_by(stride));
            for (i, candidate) in chunk.candidates.iter().enumerate() {
                let Some(here) = spot(chunk, i).filter(|_| candidate.survived) else { continue };
                picture.kept.push(here);
                let before = t.checked_sub(1).map(|t| &chunks[t]).zip(candidate.parent);
                if let Some(there) = before.and_then(|(chunk, parent)| spot(chunk, parent)) {
                    picture.lineage.push([there, here]);
                }
            }
        }
        picture.lead = lead(chunks);
        picture
    }
}

/// Where a candidate is drawn; nowhere without a value.
fn spot(chunk: &ChunkTrace, i: usize) -> Option<[f64; 2]> {
    let candidate = chunk.candidates.get(i)?;
    let value = candidate.value.filter(|v| v.is_finite())?;
    Some([candidate.tokens as f64, f64::from(value)])
}

/// The path of the last leader, back through its parents.
fn lead(chunks: &[ChunkTrace]) -> Vec<[f64; 2]> {
    let mut path = Vec::new();
    let mut current = chunks.last().map(|c| c.leader);
    for chunk in chunks.iter().rev() {
        let Some(i) = current else { break };
        path.extend(spot(chunk, i));
        current = chunk.candidates.get(i).and_then(|c| c.parent);
    }
    path.reverse();
    path
}

impl ValuePlot<'_> {
    /// Shows it over the whole of `ui`.
    pub fn show(self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let frame = Frame::new()
            .fill(p.surface)
            .stroke(Stroke::new(1.0, p.border))
            .corner_radius(space::CARD_RADIUS)
            .inner_margin(Margin::symmetric(space::L as i8, space::M as i8));
        frame.show(ui, |ui| {
            self.heading(ui);
            if self.has_values() { self.plot(ui) } else { self.empty(ui) }
        });
    }

    fn views(&self) -> impl Iterator<Item = &ArmView> {
        self.session.run.iter().flat_map(|run| &run.arms)
    }

    fn has_values(&self) -> bool {
        let mut chunks = self.views().flat_map(|view| view.plotted().0);
        chunks.any(|chunk| chunk.candidates.iter().any(|c| c.value.is_some()))
    }

    fn heading(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        ui.horizontal(|ui| {
            let words = RichText::new("Value of every chunk").font(text::heading());
            ui.add(Label::new(words).selectable(false));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                // From right to left.
                let entries = [
                    ("dropped", Mark::Dropped, p.guided),
                    ("kept", Mark::Kept, p.guided),
                    ("Guided", Mark::Leader, p.guided),
                    ("Unguided", Mark::Unguided, p.unguided),
                ];
                for (name, mark, ink) in entries {
                    let words = RichText::new(name).font(text::small()).color(p.weak);
                    ui.add(Label::new(words).selectable(false));
                    let wide = matches!(mark, Mark::Unguided | Mark::Leader);
                    let size = vec2(if wide { 24.0 } else { 12.0 }, 16.0);
                    let (place, _) = ui.allocate_exact_size(size, Sense::hover());
                    marker(ui.painter(), place.center(), mark, ink);
                    ui.add_space(space::XS);
                }
            });
        });
    }

    fn empty(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let silent = self.session.run.as_ref().is_some_and(|r| !r.is_active());
        let words = if silent {
            "This run gave no values: nothing in the pack ranks partial responses."
        } else {
            "Every chunk that was tried appears here, with the value it was given."
        };
        let rect = ui.available_rect_before_wrap();
        ui.allocate_rect(rect, Sense::hover());
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, words, text::body(), p.weak);
    }

    fn plot(&self, ui: &mut Ui) {
        let run = self.session.run.as_ref();
        let settings = run.map_or(self.settings, |r| &r.request.settings);
        let length = settings.max_tokens as f64;
        let span = run.map_or(-1.0..=1.0, |r| r.value_span());
        let p = Palette::of(ui);
        let marks = f64::from(ui.available_height() - AXIS) / MARK_EVERY;
        let columns = f64::from(ui.available_width()) / COLUMN_EVERY;
        ui.style_mut().text_styles.insert(TextStyle::Body, text::small());
        ui.visuals_mut().override_text_color = Some(p.weak);
        let plot = Plot::new("values")
            .allow_zoom(false)
            .allow_drag(false)
            .allow_scroll(false)
            .allow_boxed_zoom(false)
            .allow_axis_zoom_drag(false)
            .allow_double_click_reset(false)
            .show_background(false)
            .show_crosshair(false)
            .grid_color(p.grid)
            .auto_bounds(Vec2b::FALSE)
            .custom_x_axes(vec![
                AxisHints::new_x().label("tokens").label_spacing(Rangef::new(24.0, 40.0)),
            ])
            .custom_y_axes(vec![
                AxisHints::new_y()
                    .label("value V(x, y≤t)")
                    .placement(HPlacement::Left)
                    .label_spacing(Rangef::new(12.0, 20.0)),
            ])
            .x_grid_spacer(move |input| ruler(input, columns))
            .y_grid_spacer(move |input| ruler(input, marks))
            .y_axis_formatter(|mark, _| tick(mark))
            .label_formatter(label);
        // The single unguided line last, or sixteen rows of dots would hide it.
        let mut pictures: Vec<_> = self.pictures().collect();
        pictures.sort_by_key(|(arm, ..)| *arm == Arm::Base);
        let response = plot.show(ui, |plot| {
            plot.set_plot_bounds_x(0.0..=length * 1.02);
            plot.set_plot_bounds_y(span);
            for (arm, picture, old) in pictures {
                draw(plot, p, arm, picture, old);
            }
        });
        let words = self.summary();
        response.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
    }

    fn pictures(&self) -> impl Iterator<Item = (Arm, Picture, bool)> {
        self.views().map(|view| {
            let (chunks, old) = view.plotted();
            (view.report.name, Picture::of(chunks), old)
        })
    }

    /// The plot for those who cannot see it.
    fn summary(&self) -> String {
        let mut words = String::from("Value of every chunk.");
        for view in self.views() {
            let (chunks, _) = view.plotted();
            let name = if view.report.name == Arm::Base { "Unguided" } else { "Guided" };
            if let Some([tokens, value]) = lead(chunks).last() {
                let count = chunks.len();
                words += &format!(" {name}: {count} chunks, {value:+.2} after {tokens} tokens.");
            }
        }
        words
    }
}

fn draw<'a>(plot: &mut PlotUi<'a>, p: &Palette, arm: Arm, picture: Picture, old: bool) {
    let radius = radius(plot.transform().frame().width(), picture.chunks);
    let fade = if old { 0.35 } else { 1.0 };
    let ink = p.arm(arm).gamma_multiply(fade);
    if arm == Arm::Base {
        let line = Line::new("Unguided", PlotPoints::from(picture.lead.clone()));
        plot.line(
            line.color(ink).width(2.0).style(LineStyle::Dashed { length: 7.0 }).allow_hover(false),
        );
        let squares = Points::new("Unguided", PlotPoints::from(picture.lead));
        plot.points(squares.color(ink).shape(MarkerShape::Square).radius(radius + 0.5));
        return;
    }
    let faint = p.arm(arm).gamma_multiply(0.55 * fade);
    let dropped = Points::new("Guided, dropped", PlotPoints::from(picture.dropped));
    plot.points(dropped.color(faint).filled(false).radius(radius - 0.5));
    for [from, to] in picture.lineage {
        let line = Line::new("lineage", PlotPoints::from(vec![from, to]));
        plot.line(line.color(faint).width(1.2).allow_hover(false));
    }
    let kept = Points::new("Guided, kept", PlotPoints::from(picture.kept));
    plot.points(kept.color(ink).radius(radius));
    let line = Line::new("lead", PlotPoints::from(picture.lead.clone()));
    plot.line(line.color(ink).width(3.0).allow_hover(false));
    let answer = Points::new("Guided answer", PlotPoints::from(picture.lead));
    plot.points(answer.color(ink).radius(radius + 0.5));
}

/// Dots of neighbouring chunks do not touch.
fn radius(width: f32, chunks: usize) -> f32 {
    (0.22 * width / chunks.max(1) as f32).clamp(2.0, 4.0)
}

fn label(at: &HoverPosition<'_>) -> Option<String> {
    match at {
        HoverPosition::NearDataPoint { plot_name, position, .. } => Some(format!(
            "{plot_name}\n{:.0} tokens\nvalue {}",
            position.x,
            minus(&format!("{:+.2}", position.y))
        )),
        HoverPosition::Elsewhere { .. } => None,
    }
}

/// Marks at multiples of 1, 2 or 5 of a power of ten, about `count` of them.
pub(in crate::app) fn ruler(input: GridInput, count: f64) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    let rough = ((high - low) / count).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let far = |step: &f64| (step / rough).ln().abs();
    let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter();
    let step_size = steps.min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(power);
    let first = (low / step_size).ceil() as i64;
    let last = (high / step_size).floor() as i64;
    (first..=last).map(|i| GridMark { value: i as f64 * step_size, step_size }).collect()
}

/// A mark as it is written, with as many decimals as the marks differ in.
pub(in crate::app) fn tick(mark: GridMark) -> String {
    let decimals = (-mark.step_size.log10().floor()).max(0.0) as usize;
    minus(&format!("{:.decimals$}", mark.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::trace::Candidate;

    fn candidate(parent: Option<usize>, value: f32, survived: bool, tokens: usize) -> Candidate {
        let text = String::new();
        Candidate { text, parent, value: Some(value), survived, ended: false, tokens }
    }

    fn search() -> Vec<ChunkTrace> {
        vec![
            ChunkTrace {
                end_token: 5,
                candidates: vec![
                    candidate(None, 0.5, true, 5),
                    candidate(None, 0.1, false, 5),
                    candidate(None, 0.4, true, 5),
                ],
                leader: 0,
            },
            ChunkTrace {
                end_token: 10,
                candidates: vec![
                    candidate(Some(0), 0.2, false, 10),
                    candidate(Some(0), 0.6, true, 10),
                    candidate(Some(2), 0.9, true, 8),
                ],
                leader: 2,
            },
        ]
    }

    #[test]
    fn the_answer_is_traced_back_through_its_parents() {
        let expected = vec![[5.0, f64::from(0.4f32)], [8.0, f64::from(0.9f32)]];
        assert_eq!(lead(&search()), expected);
    }

    #[test]
    fn survivors_are_joined_to_what_they_continue_and_the_rest_is_hollow() {
        let picture = Picture::of(&search());
        assert_eq!(picture.kept.len(), 4);
        assert_eq!(picture.dropped.len(), 2);
        let from: Vec<_> = picture.lineage.iter().map(|[from, _]| from[1]).collect();
        assert_eq!(from, [f64::from(0.5f32), f64::from(0.4f32)]);
    }

    #[test]
    fn candidates_without_a_value_are_left_out() {
        let mut chunks = search();
        chunks[1].candidates[2].value = None;
        chunks[1].candidates[1].value = Some(f32::NAN);
        assert_eq!(Picture::of(&chunks).kept.len(), 2);
    }
}
