//! The metrics below a response, and the difference of each from the first column.

use eframe::egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::state::session::ArmView;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::explain_on_stage;
use crate::guidance::trace::ArmTrace;
use crate::records::report::metrics::{
    GOLD_REWARD, METRICS, Metric, NONE, SAMPLED, SECONDS, SPEED, TOKENS,
};

/// Width of one metric, in points: the longest caption and a gap.
const CELL_WIDTH: f32 = 68.0;
/// Width of one metric with a difference beside the number.
const COMPARED_CELL_WIDTH: f32 = 96.0;
/// Height of a caption and a number.
const CELL_HEIGHT: f32 = 40.0;
/// Height of a line in narrow columns: caption, number and difference next to each other.
const LINE_HEIGHT: f32 = 19.0;

/// Minimum width of a line that shows differences. Narrower lines show them on hover only.
const MIN_COMPARED_WIDTH: f32 = 150.0;

/// Draws the metrics of one column.
pub(crate) struct MetricsView<'a> {
    pub(crate) title: &'a str,
    /// The column's trace. `None` before the first token.
    pub(crate) report: Option<&'a ArmTrace>,
    /// The first column's trace. `None` in the first column.
    pub(crate) reference: Option<&'a ArmTrace>,
    /// Draws only the primary metrics, for presentations.
    pub(crate) presenting: bool,
}

/// Returns the trace of a column, or `None` before the first token.
pub(super) fn report(view: Option<&ArmView>) -> Option<&ArmTrace> {
    view.map(|v| &v.report).filter(|r| !r.tokens.is_empty())
}

/// Layout of the metrics in a column. All columns share one layout, so their lines are level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grid {
    /// Only the judge's score is shown.
    Hidden,
    /// Rows of cells with the caption above the number.
    Cells {
        /// Number of metrics in a row.
        per_row: usize,
        rows: usize,
    },
    /// Layout for narrow columns: one line for each primary metric, and one line for the cost.
    Lines { lines: usize },
}

impl Grid {
    /// Chooses the layout for columns of this width. `compared` reserves room for differences.
    pub(crate) fn of(width: f32, presenting: bool, compared: bool, details: bool) -> Self {
        if !details {
            return Grid::Hidden;
        }
        let count = metrics(presenting).count();
        let fits = (width / if compared { COMPARED_CELL_WIDTH } else { CELL_WIDTH }) as usize;
        if fits < 4 {
            let lines = metrics(true).count() + usize::from(!presenting);
            return Grid::Lines { lines };
        }
        let rows = count.div_ceil(fits.min(count));
        // Balances the rows: 4 + 4, not 5 + 3.
        Grid::Cells { per_row: count.div_ceil(rows), rows }
    }

    /// Returns the height of all metrics, in points.
    pub(crate) fn height(self) -> f32 {
        match self {
            Grid::Hidden => 0.0,
            Grid::Cells { rows, .. } => rows as f32 * CELL_HEIGHT,
            Grid::Lines { lines } => lines as f32 * LINE_HEIGHT,
        }
    }
}

/// Returns the metrics besides the judge's score, which has a line of its own.
fn metrics(presenting: bool) -> impl Iterator<Item = &'static Metric> {
    let others = METRICS.iter().filter(|metric| metric.name != GOLD_REWARD.name);
    others.filter(move |metric| metric.is_primary || !presenting)
}

/// The displayed text of a metric.
struct MetricText {
    number: String,
    is_known: bool,
    difference: Option<String>,
}

impl MetricsView<'_> {
    /// Draws the metrics from the upper left corner of `rect`.
    pub(crate) fn show(&self, ui: &mut Ui, rect: Rect, grid: Grid) {
        match grid {
            Grid::Hidden => {}
            Grid::Cells { per_row, .. } => {
                let width = rect.width() / per_row as f32;
                for (i, metric) in metrics(self.presenting).enumerate() {
                    let (row, column) = ((i / per_row) as f32, (i % per_row) as f32);
                    let at = rect.min + vec2(column * width, row * CELL_HEIGHT);
                    let cell = Rect::from_min_size(at, vec2(width, CELL_HEIGHT - space::XS));
                    self.cell(ui, cell, metric);
                }
            }
            Grid::Lines { lines } => {
                let line = |i: usize| {
                    let at = rect.min + vec2(0.0, i as f32 * LINE_HEIGHT);
                    Rect::from_min_size(at, vec2(rect.width(), LINE_HEIGHT))
                };
                for (i, metric) in metrics(true).enumerate() {
                    self.line(ui, line(i), metric);
                }
                if !self.presenting {
                    self.cost(ui, line(lines - 1));
                }
            }
        }
    }

    fn metric_text(&self, metric: &Metric) -> MetricText {
        let text = self.report.and_then(|report| metric.text(report));
        let is_known = text.is_some();
        let number = text.unwrap_or_else(|| NONE.into());
        let both = self.report.zip(self.reference);
        let difference = both.and_then(|(own, first)| metric.difference(own, first));
        MetricText { number, is_known, difference }
    }

    fn cell(&self, ui: &mut Ui, cell: Rect, metric: &Metric) {
        let p = Palette::of(ui);
        let metric_text = self.metric_text(metric);
        let painter = ui.painter();
        painter.text(cell.left_top(), Align2::LEFT_TOP, metric.short_name, text::small(), p.weak);
        let color = if metric_text.is_known { p.text } else { p.weak };
        let (bottom_left, align) = (cell.left_bottom(), Align2::LEFT_BOTTOM);
        let shown = painter.text(bottom_left, align, &metric_text.number, text::figure(), color);
        if let Some(difference) = &metric_text.difference {
            let at = shown.right_bottom() + vec2(6.0, -1.0);
            painter.text(at, align, format!("Δ {difference}"), text::small(), p.weak);
        }
        self.explain(ui, cell, metric, &metric_text);
    }

    fn line(&self, ui: &mut Ui, line: Rect, metric: &Metric) {
        let p = Palette::of(ui);
        let metric_text = self.metric_text(metric);
        let painter = ui.painter();
        let name = metric.short_name;
        painter.text(line.left_center(), Align2::LEFT_CENTER, name, text::small(), p.weak);
        let color = if metric_text.is_known { p.text } else { p.weak };
        let compared = self.reference.is_some() && line.width() >= MIN_COMPARED_WIDTH;
        let column = if compared { line.left() + 0.68 * line.width() } else { line.right() };
        let at = line.right_center() - vec2(line.right() - column, 0.0);
        painter.text(at, Align2::RIGHT_CENTER, &metric_text.number, text::figure(), color);
        if let Some(difference) = metric_text.difference.as_ref().filter(|_| compared) {
            let words = format!("Δ {difference}");
            painter.text(line.right_center(), Align2::RIGHT_CENTER, words, text::small(), p.weak);
        }
        self.explain(ui, line, metric, &metric_text);
    }

    /// Draws tokens, speed and time in one line.
    fn cost(&self, ui: &mut Ui, line: Rect) {
        let p = Palette::of(ui);
        let of = |metric: &Metric| self.report.map_or(NONE.into(), |r| metric.text_or_none(r));
        let [tokens, sampled, speed, seconds] = [&TOKENS, &SAMPLED, &SPEED, &SECONDS].map(of);
        let words = match self.report {
            Some(_) => format!("{tokens} of {sampled} tokens · {speed}/s · {seconds} s"),
            None => NONE.to_owned(),
        };
        // A narrow column has room for time and speed only.
        let is_narrow = self.report.is_some() && line.width() < MIN_COMPARED_WIDTH;
        let shown =
            if is_narrow { format!("{seconds} s · {speed} tokens/s") } else { words.clone() };
        let painter = ui.painter().with_clip_rect(line);
        painter.text(line.left_center(), Align2::LEFT_CENTER, shown, text::small(), p.weak);
        let response = ui.interact(line, ui.scope_id().with((self.title, "cost")), Sense::hover());
        let accessible_name = format!("{} cost: {words}", self.title);
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &accessible_name));
        let hint = "Tokens of this response, sampled tokens, sampled tokens per second, and time.";
        response.on_hover_text(format!("{words}\n{hint}"));
    }

    fn explain(&self, ui: &mut Ui, rect: Rect, metric: &Metric, metric_text: &MetricText) {
        let id = ui.scope_id().with((self.title, metric.short_name));
        // Does not take the keyboard's focus.
        let sense = if self.presenting { Sense::CLICK } else { Sense::hover() };
        let response = ui.interact(rect, id, sense);
        let mut words = format!("{} {}: {}", self.title, metric.short_name, metric_text.number);
        let difference = metric_text.difference.as_ref();
        let difference = difference.map(|difference| format!("{difference} from the first column"));
        if let Some(difference) = &difference {
            words += &format!(", {difference}");
        }
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        explain_on_stage(response, self.presenting, |ui| {
            ui.label(metric.meaning);
            difference
                .into_iter()
                .for_each(|difference| drop(ui.label(format!("Δ {difference}."))));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_depends_on_the_column_width() {
        let of = |width, presenting, compared| Grid::of(width, presenting, compared, true);
        assert_eq!(of(414.0, false, true), Grid::Cells { per_row: 4, rows: 2 });
        assert_eq!(of(185.0, false, true), Grid::Lines { lines: 4 });
        assert_eq!(of(185.0, true, true), Grid::Lines { lines: 3 });
        assert_eq!(of(600.0, false, false), Grid::Cells { per_row: 7, rows: 1 });
        assert_eq!(of(300.0, true, false), Grid::Cells { per_row: 3, rows: 1 });
        assert_eq!(Grid::of(414.0, false, true, false).height(), 0.0);
    }
}
