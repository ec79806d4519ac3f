//! The numbers under a response, and how far each is from the first column's.

use eframe::egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use super::theme::{Palette, space, text};
use crate::guidance::trace::ArmTrace;
use crate::words::minus;

/// Width that a figure needs: the longest caption and a gap.
const WIDTH: f32 = 68.0;
/// The same with a difference beside the number.
const WIDE: f32 = 92.0;
/// Height of a caption and a number.
const HEIGHT: f32 = 36.0;
/// And of a difference below.
const DIFFERENCE: f32 = 14.0;

/// One number of a report.
struct Measure {
    name: &'static str,
    hint: &'static str,
    /// Whether an audience sees it.
    presented: bool,
    of: fn(&ArmTrace) -> Option<f64>,
    format: fn(f64) -> String,
    /// How a difference from the first column is written; none where it says nothing.
    difference: Option<fn(f64) -> String>,
}

const MEASURES: [Measure; 8] = [
    Measure {
        name: "Gold",
        hint: "Gold reward of the finished text: log-odds that an independent judge gives to \
               praise. It only measures; it never guides.",
        presented: true,
        of: |r| r.gold_reward.map(f64::from),
        format: |v| format!("{v:+.2}"),
        difference: Some(|v| format!("{v:+.2}")),
    },
    Measure {
        name: "Value",
        hint: "V(x, y): the reward that the value function expects for this text.",
        presented: true,
        of: |r| r.value.map(f64::from),
        format: |v| format!("{v:+.2}"),
        difference: Some(|v| format!("{v:+.2}")),
    },
    Measure {
        name: "KL, nats",
        hint: "How far guidance bent the base's token probabilities, summed over the text; the \
               choice between chunks comes on top.",
        presented: true,
        of: |r| Some(f64::from(r.kl_nats())),
        format: |v| format!("{v:.1}"),
        difference: Some(|v| format!("{v:+.1}")),
    },
    Measure {
        name: "Perplexity",
        hint: "How surprised the base model is by this text, per token; lower is more natural.",
        presented: true,
        of: |r| r.base_perplexity().map(f64::from),
        format: |v| format!("{v:.1}"),
        difference: Some(|v| format!("{v:+.1}")),
    },
    Measure {
        name: "Tokens",
        hint: "Tokens of this response.",
        presented: false,
        of: |r| Some(r.tokens.len() as f64),
        format: |v| format!("{v:.0}"),
        difference: None,
    },
    Measure {
        name: "Sampled",
        hint: "Tokens drawn over all rows, kept or not: what the search has cost.",
        presented: false,
        of: |r| Some(r.sampled_tokens as f64),
        format: |v| format!("{v:.0}"),
        difference: None,
    },
    Measure {
        name: "Tokens/s",
        hint: "Tokens drawn per second over all rows, kept or not.",
        presented: false,
        of: |r| Some(r.tokens_per_second()),
        format: |v| format!("{v:.0}"),
        difference: None,
    },
    Measure {
        name: "Seconds",
        hint: "Time spent on this response.",
        presented: false,
        of: |r| Some(r.elapsed_ms / 1e3),
        format: |v| format!("{v:.1}"),
        difference: Some(|v| format!("{v:+.1}")),
    },
];

/// The figures of one column.
pub struct Figures<'a> {
    /// What the column is called.
    pub title: &'a str,
    /// Its report, once there is a token.
    pub report: Option<&'a ArmTrace>,
    /// The first column's report, for every other column.
    pub reference: Option<&'a ArmTrace>,
    /// Whether the pack has no judge.
    pub no_judge: bool,
    /// Leave out what an audience need not see.
    pub presenting: bool,
}

/// Where the figures of a column stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    per_row: usize,
    rows: usize,
    /// Differences stand below their numbers, not beside them.
    below: bool,
}

impl Grid {
    /// For columns of this width. All columns of a comparison share one grid, so that their
    /// lines are level.
    pub fn of(width: f32, presenting: bool, compared: bool) -> Self {
        let count = measures(presenting).count();
        let fit = |cell: f32| ((width / cell) as usize).clamp(2, count);
        let below = compared && fit(WIDE) < 4;
        let per_row = if compared && !below { fit(WIDE) } else { fit(WIDTH) };
        let rows = count.div_ceil(per_row);
        // Even rows: four and four, not five and three.
        Self { per_row: count.div_ceil(rows), rows, below }
    }

    fn row_height(self) -> f32 {
        HEIGHT + if self.below { DIFFERENCE } else { 0.0 } + space::XS
    }

    /// Height of all rows.
    pub fn height(self) -> f32 {
        self.rows as f32 * self.row_height()
    }
}

fn measures(presenting: bool) -> impl Iterator<Item = &'static Measure> {
    MEASURES.iter().filter(move |m| m.presented || !presenting)
}

impl Figures<'_> {
    /// Shows them from the upper left corner of `place`.
    pub fn show(&self, ui: &mut Ui, place: Rect, grid: Grid) {
        let width = place.width() / grid.per_row as f32;
        for (i, measure) in measures(self.presenting).enumerate() {
            let (row, column) = (i / grid.per_row, i % grid.per_row);
            let at = place.min + vec2(column as f32 * width, row as f32 * grid.row_height());
            let size = vec2(width, grid.row_height() - space::XS);
            self.figure(ui, Rect::from_min_size(at, size), measure, grid.below);
        }
    }

    fn figure(&self, ui: &mut Ui, cell: Rect, measure: &Measure, below: bool) {
        let p = Palette::of(ui);
        let value = self.report.and_then(measure.of);
        let number = match value {
            Some(value) => minus(&(measure.format)(value)),
            None if measure.name == "Gold" && self.no_judge => "no judge".into(),
            None => "–".into(),
        };
        let reference = self.reference.and_then(measure.of);
        let difference = measure.difference.zip(value.zip(reference));
        let difference = difference.map(|(format, (own, first))| minus(&format(own - first)));
        let response =
            ui.interact(cell, ui.scope_id().with((self.title, measure.name)), Sense::hover());
        let painter = ui.painter();
        painter.text(cell.left_top(), Align2::LEFT_TOP, measure.name, text::small(), p.weak);
        let ink = if value.is_some() { p.text } else { p.weak };
        let foot = cell.left_top() + vec2(0.0, HEIGHT);
        let shown = painter.text(foot, Align2::LEFT_BOTTOM, &number, text::figure(), ink);
        let mut words = format!("{} {}: {number}", self.title, measure.name);
        if let Some(difference) = difference {
            let delta = format!("Δ {difference}");
            let (at, align) = if below {
                (cell.left_bottom(), Align2::LEFT_BOTTOM)
            } else {
                (shown.right_bottom() + vec2(6.0, -1.0), Align2::LEFT_BOTTOM)
            };
            painter.text(at, align, delta, text::small(), p.weak);
            words += &format!(", {difference} from the first column");
        }
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        response.on_hover_text(measure.hint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_fits_its_column() {
        assert_eq!(Grid::of(414.0, false, true), Grid { per_row: 4, rows: 2, below: false });
        assert_eq!(Grid::of(185.0, false, true), Grid { per_row: 2, rows: 4, below: true });
        assert_eq!(Grid::of(600.0, false, false), Grid { per_row: 8, rows: 1, below: false });
        assert_eq!(Grid::of(300.0, true, false), Grid { per_row: 4, rows: 1, below: false });
    }
}
