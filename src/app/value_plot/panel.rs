//! The value plot: the value of each chunk against the length of the response.

use eframe::egui::{
    Align2, CursorIcon, Rangef, Rect, Role, Sense, TextStyle, Ui, Vec2b, WidgetInfo, vec2,
};
use egui_plot::{AxisHints, HPlacement, Plot, PlotBounds, PlotTransform, PlotUi};

use super::chunk_tooltip::{ChunkTooltip, name};
use super::series::{ColumnPlot, highlight_candidate, highlight_chunk};
use super::view::PlotView;
use crate::app::state::columns::ColumnView;
use crate::app::state::preferences::Preferences;
use crate::app::state::selection::{ChunkRef, Selection};
use crate::app::state::session::Session;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, LEGEND_MARK, Mark, icon_button, legend_entry, within};
use crate::app::widgets::{LEGEND_KEY_WIDTH, legend_key};
use crate::app::widgets::{grid_marks, marks_at, tick_label};
use crate::guidance::lineage;
use crate::guidance::trace::ChunkTrace;
use crate::records::report::value_plot;

/// Draws the plot and its legend.
pub(crate) struct ValuePlot<'a> {
    pub(crate) session: &'a Session,
    /// Source of the axis length before the first run.
    pub(crate) preferences: &'a Preferences,
    pub(crate) columns: &'a [ColumnView<'a>],
    /// The candidate under the pointer.
    pub(crate) selection: &'a mut Selection,
    pub(crate) view: &'a mut PlotView,
}

/// Height of the token axis with its title, in points.
const AXIS_HEIGHT: f32 = 36.0;
/// Minimum height of a plot with axis titles, in points.
const MIN_TITLED_HEIGHT: f32 = 116.0;
/// Target distance between ticks of the value axis, in points.
const VALUE_TICK_DISTANCE: f64 = 32.0;
/// Target distance between ticks of the token axis, in points.
const TOKEN_TICK_DISTANCE: f64 = 64.0;

impl ValuePlot<'_> {
    /// Draws the legend from right to left. A click on an entry shows or hides candidates.
    pub(crate) fn legend(&mut self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let width = |title: &String| {
            let words = ui.painter().layout_no_wrap(title.clone(), text::small(), p.text);
            words.size().x + LEGEND_MARK + ui.spacing().item_spacing.x
        };
        let names: f32 = self.columns.iter().map(|column| width(&column.title)).sum();
        // Leaves out the names in a narrow window: the column headings show the same marks.
        let named = names <= ui.available_width();
        if names + LEGEND_KEY_WIDTH <= ui.available_width() {
            legend_key(ui, "dropped", Mark::Dropped);
            legend_key(ui, "kept", Mark::Kept);
        }
        for column in self.columns.iter().rev() {
            let shown = self.view.shows(column.index);
            let mark = (column.mark(), p.column(column.index));
            let entry = legend_entry(ui, &column.title, named, mark, shown);
            let hint = format!("Shows or hides the candidates of {}.", column.title);
            if entry.on_hover_text(hint).clicked() {
                self.view.toggle(column.index);
            }
        }
    }

    /// Draws the plot over the rest of `ui`.
    pub(crate) fn show(mut self, ui: &mut Ui) {
        if self.has_values() { self.plot(ui) } else { self.empty(ui) }
    }

    fn has_values(&self) -> bool {
        let mut chunks = self.columns.iter().flat_map(|column| chunks_of(column));
        chunks.any(|chunk| chunk.candidates.iter().any(|c| c.value.is_some()))
    }

    fn empty(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let has_ended = self.session.run.as_ref().is_some_and(|r| !r.is_active());
        let words = if has_ended {
            value_plot::NO_VALUES
        } else {
            "The value of each sampled chunk appears here."
        };
        let rect = ui.available_rect_before_wrap();
        ui.allocate_rect(rect, Sense::hover());
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, words, text::body(), p.weak);
    }

    /// Returns the bounds of the whole plot. They never shrink during a run.
    fn whole(&self) -> PlotBounds {
        let run = self.session.run.as_ref();
        let length = run.map_or(self.preferences.settings.max_tokens, |r| r.token_span()) as f64;
        let span = run.map_or(-1.0..=1.0, |r| r.value_span());
        PlotBounds::from_min_max([0.0, *span.start()], [length * 1.02, *span.end()])
    }

    fn plot(&mut self, ui: &mut Ui) {
        let whole = self.whole();
        let bounds = self.view.bounds(whole);
        let p = Palette::of(ui);
        let plots: Vec<ColumnPlot> = self
            .columns
            .iter()
            .map(|column| ColumnPlot::of(column, self.view.shows(column.index)))
            .collect();
        let draw = |plot: &mut PlotUi<'_>| {
            plot.set_plot_bounds(bounds);
            // Draws the first column last, so that dots of other columns do not hide its line.
            for (column, column_plot) in self.columns.iter().zip(&plots).rev() {
                column_plot.draw(plot, p, column);
            }
        };
        let response = ui.scope(|ui| {
            // A low plot has no axis titles, to leave room for ticks.
            let is_titled = ui.available_height() >= MIN_TITLED_HEIGHT;
            let axis = if is_titled { AXIS_HEIGHT } else { AXIS_HEIGHT / 2.0 };
            let token_ticks = f64::from(ui.available_width()) / TOKEN_TICK_DISTANCE;
            ui.style_mut().text_styles.insert(TextStyle::Body, text::small());
            ui.visuals_mut().override_text_color = Some(p.weak);
            let height = f64::from(ui.available_height() - axis);
            let label_height = f64::from(ui.text_style_height(&TextStyle::Body));
            let step = value_step(bounds.height(), height, label_height);
            axes(token_ticks, step, is_titled, p).show(ui, draw)
        });
        let (transform, mut response) = (response.inner.transform, response.inner.response);
        self.view.handle_pointer(ui, &response, &transform, whole);
        let is_still = !response.dragged();
        let pointer = response.hover_pos().filter(|_| is_still);
        let hovered = pointer.and_then(|pointer| {
            let near = self.columns.iter().zip(&plots).filter_map(|(column, column_plot)| {
                let (distance, dot) = column_plot.nearest(&transform, pointer)?;
                let (chunk, candidate) = (dot.chunk, dot.candidate);
                Some((distance, ChunkRef { column: column.index, chunk, candidate }))
            });
            near.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, at)| at)
        });
        self.highlight(ui, &transform, hovered);
        let words = self.summary();
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
        if let Some(at) = hovered {
            self.selection.point(at);
            if response.clicked() {
                self.selection.open = Some(at);
            }
            response = response.on_hover_cursor(CursorIcon::PointingHand);
            let tooltip = self.tooltip(at);
            response.on_hover_ui_at_pointer(|ui| tooltip.into_iter().for_each(|c| c.show(ui)));
        }
        self.reset_button(ui, *transform.frame());
    }

    /// Highlights the candidate under the pointer, here or in a response. If the pointer is not on
    /// a dot of the plot, also highlights the tokens of the chunk.
    fn highlight(&self, ui: &Ui, transform: &PlotTransform, hovered: Option<ChunkRef>) {
        let Some(at) = self.selection.marked() else { return };
        let Some((chunks, false)) =
            self.columns.get(at.column).and_then(|s| s.view?.chunks_to_plot().into())
        else {
            return;
        };
        if hovered.is_none() {
            highlight_chunk(ui, transform, chunks, at);
        }
        highlight_candidate(ui, transform, chunks, at);
    }

    fn tooltip(&self, at: ChunkRef) -> Option<ChunkTooltip<'_>> {
        let column = self.columns.get(at.column)?;
        let prompt = &column.view?.prompt;
        Some(ChunkTooltip { title: &column.title, prompt, chunks: chunks_of(column), at })
    }

    /// Draws a button that zooms out to the whole plot, as a double-click does.
    fn reset_button(&mut self, ui: &mut Ui, frame: Rect) {
        if !self.view.is_zoomed() {
            return;
        }
        let corner = frame.right_top() + vec2(-space::XS, space::XS);
        let rect = Rect::from_min_size(corner - vec2(24.0, 0.0), vec2(24.0, 24.0));
        ui.painter().rect_filled(rect, space::RADIUS, Palette::of(ui).surface);
        let button = within(ui, rect, |ui| icon_button(ui, Icon::Reset, "Show the whole plot"));
        if button.clicked() {
            self.view.reset();
        }
    }

    /// Returns the accessible text of the plot.
    fn summary(&self) -> String {
        let columns = self.columns.iter().map(|column| (column.title.as_str(), chunks_of(column)));
        let mut words = value_plot::summary(columns);
        if let Some(at) = self.selection.marked()
            && let Some(column) = self.columns.get(at.column)
            && let Some(found) = lineage::candidate(chunks_of(column), at.chunk, at.candidate)
        {
            words += &format!(" Marked: {}, {}.", column.title, name(at, found));
        }
        words
    }
}

/// Returns the chunks that are plotted for a column.
fn chunks_of<'a>(column: &ColumnView<'a>) -> &'a [ChunkTrace] {
    column.view.map_or(&[], |view| view.chunks_to_plot().0)
}

/// Returns the distance of the ticks of a value axis that spans `span` on `height` points.
/// egui_plot hides labels that would overlap, so ticks are at least `label_height` points apart.
fn value_step(span: f64, height: f64, label_height: f64) -> f64 {
    // At least three ticks, because a single tick shows no scale.
    let usual = value_plot::tick_step(span, (height / VALUE_TICK_DISTANCE).max(3.0));
    let least = 1.05 * span * label_height / height;
    if usual >= least { usual } else { value_plot::tick_step_from(least) }
}

/// Builds the empty plot. The hover and zoom functions of egui_plot are off, because [`ValuePlot`]
/// and [`PlotView`] handle the pointer.
fn axes(token_ticks: f64, value_step: f64, is_titled: bool, p: &Palette) -> Plot<'static> {
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
                .label_spacing(Rangef::new(8.0, 12.0)),
        ])
        .x_grid_spacer(move |input| grid_marks(input, token_ticks))
        .y_grid_spacer(move |input| marks_at(input, value_step))
        .y_axis_formatter(|mark, _| tick_label(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::report::value_plot::ticks;

    #[test]
    fn a_low_plot_has_at_least_two_labels_on_its_value_axis() {
        let label = 16.0;
        for height in (52..160).map(f64::from) {
            for span in (0..200).map(|i| 0.2 * 1.05f64.powi(i)) {
                let step = value_step(span, height, label);
                assert!(height * step / span >= label, "{height} {span}: {step}");
                // The range of a plot may begin anywhere between two ticks.
                let low = -0.4 * span;
                let labels = ticks(low, low + span, step).count();
                assert!(labels >= 2, "{height} {span}: {labels}");
            }
        }
    }
}
