//! The value of every chunk over the length of the response.

use eframe::egui::{
    Align2, CursorIcon, Rangef, Rect, Role, Sense, TextStyle, Ui, Vec2b, WidgetInfo, vec2,
};
use egui_plot::{
    AxisHints, GridInput, GridMark, HPlacement, Plot, PlotBounds, PlotTransform, PlotUi,
};

use super::lower::{KEYS, key};
use crate::app::chunk_card::{ChunkCard, name};
use crate::app::focus::{ChunkRef, Focus};
use crate::app::lineage;
use crate::app::plot_view::PlotView;
use crate::app::preferences::Preferences;
use crate::app::session::Session;
use crate::app::slots::Slot;
use crate::app::theme::{Palette, space, text};
use crate::app::value_lines::{Picture, band, mark, spot};
use crate::app::widgets::{Icon, LEGEND_MARK, Mark, icon_button, legend_entry, within};
use crate::guidance::trace::ChunkTrace;
use crate::words::minus;

/// The plot and its legend.
pub struct ValuePlot<'a> {
    /// What it shows.
    pub session: &'a Session,
    /// Gives the length of the axis until there is a run.
    pub preferences: &'a Preferences,
    /// The columns.
    pub slots: &'a [Slot<'a>],
    /// The candidate that is pointed at.
    pub focus: &'a mut Focus,
    /// Which part of it is shown.
    pub view: &'a mut PlotView,
}

/// Height of the axis below the plot, in points.
const AXIS: f32 = 36.0;
/// Height of a plot below which its axes have no titles.
const LOW: f32 = 116.0;
/// Marks of the value axis stand at least this far apart, in points.
const MARK_EVERY: f64 = 32.0;
/// And those of the token axis.
const COLUMN_EVERY: f64 = 64.0;

impl ValuePlot<'_> {
    /// Shows the legend, from right to left. Its entries show and hide candidates.
    pub fn legend(&mut self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let width = |title: &String| {
            let words = ui.painter().layout_no_wrap(title.clone(), text::small(), p.text);
            words.size().x + LEGEND_MARK + ui.spacing().item_spacing.x
        };
        let names: f32 = self.slots.iter().map(|slot| width(&slot.title)).sum();
        // Where there is no room for all of it, the marks say enough: the columns have them too.
        let named = names <= ui.available_width();
        if names + KEYS <= ui.available_width() {
            key(ui, "dropped", Mark::Dropped);
            key(ui, "kept", Mark::Kept);
        }
        for slot in self.slots.iter().rev() {
            let shown = self.view.shows(slot.index);
            let mark = (slot.mark(), p.column(slot.index));
            let entry = legend_entry(ui, &slot.title, named, mark, shown);
            let hint = format!("{}: shows or hides its candidates.", slot.title);
            if entry.on_hover_text(hint).clicked() {
                self.view.toggle(slot.index);
            }
        }
    }

    /// Shows the plot over the rest of `ui`.
    pub fn show(mut self, ui: &mut Ui) {
        if self.has_values() { self.plot(ui) } else { self.empty(ui) }
    }

    fn has_values(&self) -> bool {
        let mut chunks = self.slots.iter().flat_map(|slot| chunks_of(slot));
        chunks.any(|chunk| chunk.candidates.iter().any(|c| c.value.is_some()))
    }

    fn empty(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let silent = self.session.run.as_ref().is_some_and(|r| !r.is_active());
        let words = if silent {
            "This run gave no values: nothing ranked its partial responses."
        } else {
            "Every chunk that was tried appears here, with the value it was given."
        };
        let rect = ui.available_rect_before_wrap();
        ui.allocate_rect(rect, Sense::hover());
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, words, text::body(), p.weak);
    }

    /// Everything there is to see. The axes only ever widen while a run goes on.
    fn whole(&self) -> PlotBounds {
        let run = self.session.run.as_ref();
        let settings = run.map_or(&self.preferences.settings, |r| &r.request.settings);
        let length = settings.max_tokens as f64;
        let span = run.map_or(-1.0..=1.0, |r| r.value_span());
        PlotBounds::from_min_max([0.0, *span.start()], [length * 1.02, *span.end()])
    }

    fn plot(&mut self, ui: &mut Ui) {
        let whole = self.whole();
        let bounds = self.view.bounds(whole);
        let p = Palette::of(ui);
        let pictures: Vec<Picture> =
            self.slots.iter().map(|slot| Picture::of(slot, self.view.shows(slot.index))).collect();
        let draw = |plot: &mut PlotUi<'_>| {
            plot.set_plot_bounds(bounds);
            // The first column last, or sixteen rows of dots would hide its line.
            for (slot, picture) in self.slots.iter().zip(&pictures).rev() {
                picture.draw(plot, p, slot);
            }
        };
        let response = ui.scope(|ui| {
            // A single mark would be no scale.
            // Where it is low, the marks want the room that titles take.
            let is_titled = ui.available_height() >= LOW;
            let axis = if is_titled { AXIS } else { AXIS / 2.0 };
            let marks = (f64::from(ui.available_height() - axis) / MARK_EVERY).max(3.0);
            let columns = f64::from(ui.available_width()) / COLUMN_EVERY;
            ui.style_mut().text_styles.insert(TextStyle::Body, text::small());
            ui.visuals_mut().override_text_color = Some(p.weak);
            axes(columns, marks, is_titled, p).show(ui, draw)
        });
        let (transform, mut response) = (response.inner.transform, response.inner.response);
        self.view.steer(ui, &response, &transform, whole);
        let still = !response.dragged();
        let pointer = response.hover_pos().filter(|_| still);
        let pointed = pointer.and_then(|pointer| {
            let near = self.slots.iter().zip(&pictures).filter_map(|(slot, picture)| {
                let (distance, dot) = picture.nearest(&transform, pointer)?;
                let (chunk, candidate) = (dot.chunk, dot.candidate);
                Some((distance, ChunkRef { slot: slot.index, chunk, candidate }))
            });
            near.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, at)| at)
        });
        self.marks(ui, &transform, pointed);
        let words = self.summary();
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
        if let Some(at) = pointed {
            self.focus.point(at);
            if response.clicked() {
                self.focus.open = Some(at);
            }
            response = response.on_hover_cursor(CursorIcon::PointingHand);
            let card = self.card(at);
            response.on_hover_ui_at_pointer(|ui| card.into_iter().for_each(|c| c.show(ui)));
        }
        self.way_back(ui, *transform.frame());
    }

    /// What is pointed at here or in a text.
    fn marks(&self, ui: &Ui, transform: &PlotTransform, pointed: Option<ChunkRef>) {
        let Some(at) = self.focus.marked() else { return };
        let Some((chunks, false)) = self.slots.get(at.slot).and_then(|s| s.view?.plotted().into())
        else {
            return;
        };
        if pointed.is_none() {
            band(ui, transform, chunks, at);
        }
        mark(ui, transform, chunks, at);
    }

    fn card(&self, at: ChunkRef) -> Option<ChunkCard<'_>> {
        let slot = self.slots.get(at.slot)?;
        let prompt = &slot.view?.prompt;
        Some(ChunkCard { title: &slot.title, prompt, chunks: chunks_of(slot), at })
    }

    /// A button that shows everything again, as a double-click does.
    fn way_back(&mut self, ui: &mut Ui, frame: Rect) {
        if !self.view.is_zoomed() {
            return;
        }
        let corner = frame.right_top() + vec2(-space::XS, space::XS);
        let place = Rect::from_min_size(corner - vec2(24.0, 0.0), vec2(24.0, 24.0));
        ui.painter().rect_filled(place, space::RADIUS, Palette::of(ui).surface);
        let back = within(ui, place, |ui| icon_button(ui, Icon::Reset, "Show the whole plot"));
        if back.clicked() {
            self.view.reset();
        }
    }

    /// The plot for those who cannot see it.
    fn summary(&self) -> String {
        let mut words = String::from("Value of every chunk.");
        for slot in self.slots {
            let chunks = chunks_of(slot);
            let last = lineage::lead(chunks).last().copied().zip(chunks.last());
            if let Some([tokens, value]) = last.and_then(|(i, chunk)| spot(chunk, i)) {
                let (title, count) = (&slot.title, chunks.len());
                words += &format!(" {title}: {count} chunks, {value:+.2} after {tokens} tokens.");
            }
        }
        if let Some(at) = self.focus.marked()
            && let Some(slot) = self.slots.get(at.slot)
            && let Some(found) = lineage::candidate(chunks_of(slot), at.chunk, at.candidate)
        {
            words += &format!(" Marked: {}, {}.", slot.title, name(at, found));
        }
        words
    }
}

/// The chunks that are plotted for a column.
fn chunks_of<'a>(slot: &Slot<'a>) -> &'a [ChunkTrace] {
    slot.view.map_or(&[], |view| view.plotted().0)
}

/// The plot without its contents. What is under the pointer is found by us, and so is how a hand
/// moves it.
fn axes(columns: f64, marks: f64, is_titled: bool, p: &Palette) -> Plot<'static> {
    let title = |words: &'static str| if is_titled { words } else { "" };
    Plot::new("values")
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .allow_axis_zoom_drag(false)
        .show_x(false)
        .show_y(false)
        .show_background(false)
        .show_crosshair(false)
        .grid_color(p.grid)
        .auto_bounds(Vec2b::FALSE)
        .custom_x_axes(vec![
            AxisHints::new_x().label(title("tokens")).label_spacing(Rangef::new(24.0, 40.0)),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label(title("value V(x, y≤t)"))
                .placement(HPlacement::Left)
                .label_spacing(if is_titled {
                    Rangef::new(12.0, 20.0)
                } else {
                    Rangef::new(8.0, 12.0)
                }),
        ])
        .x_grid_spacer(move |input| ruler(input, columns))
        .y_grid_spacer(move |input| ruler(input, marks))
        .y_axis_formatter(|mark, _| tick(mark))
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
