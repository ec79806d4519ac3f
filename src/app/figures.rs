//! The numbers under a response, and how far each is from the first column's.

use eframe::egui::{Align2, FontId, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use super::theme::{Palette, space, text};
use crate::guidance::trace::ArmTrace;
use crate::words::minus;

/// Width that a figure needs: the longest caption and a gap.
const WIDTH: f32 = 68.0;
/// The same with a difference beside the number.
const WIDE: f32 = 96.0;
/// Height of a caption and a number.
const HEIGHT: f32 = 40.0;
/// Height of a line in narrow columns: caption, number and difference side by side.
const LINE: f32 = 19.0;

/// A column narrower than this has no room for differences beside its numbers: they are told on
/// hover alone.
const TIGHT: f32 = 150.0;

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
        difference: Some(short),
    },
    Measure {
        name: "Value",
        hint: "V(x, y): the reward that the value function expects for this text.",
        presented: true,
        of: |r| r.value.map(f64::from),
        format: |v| format!("{v:+.2}"),
        difference: Some(short),
    },
    Measure {
        name: "KL, nats",
        hint: "How far guidance bent the base's token probabilities, summed over the text; the \
               choice between chunks comes on top.",
        presented: true,
        of: |r| Some(f64::from(r.kl_nats())),
        format: |v| format!("{v:.1}"),
        difference: Some(short),
    },
    Measure {
        name: "Perplexity",
        hint: "How surprised the base model is by this text, per token; lower is more natural.",
        presented: true,
        of: |r| r.base_perplexity().map(f64::from),
        format: |v| format!("{v:.1}"),
        difference: Some(short),
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
        difference: Some(short),
    },
];

/// A difference in as few letters as it needs: it stands beside a number.
fn short(difference: f64) -> String {
    if difference.abs() < 9.95 { format!("{difference:+.1}") } else { format!("{difference:+.0}") }
}

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

/// Where the figures of a column stand. All columns of a comparison share one, so that their
/// lines are level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Grid {
    /// Captions above numbers, in rows.
    Cells {
        /// Figures in a row.
        per_row: usize,
        /// Rows.
        rows: usize,
    },
    /// For narrow columns: a line for each figure that matters, one more for what it cost.
    Lines {
        /// Lines in all.
        lines: usize,
    },
}

impl Grid {
    /// For columns of this width.
    pub fn of(width: f32, presenting: bool, compared: bool) -> Self {
        let count = measures(presenting).count();
        let fits = (width / if compared { WIDE } else { WIDTH }) as usize;
        if fits < 4 {
            let lines = measures(true).count() + usize::from(!presenting);
            return Grid::Lines { lines };
        }
        let rows = count.div_ceil(fits.min(count));
        // Even rows: four and four, not five and three.
        Grid::Cells { per_row: count.div_ceil(rows), rows }
    }

    /// Height of all figures.
    pub fn height(self) -> f32 {
        match self {
            Grid::Cells { rows, .. } => rows as f32 * HEIGHT,
            Grid::Lines { lines } => lines as f32 * LINE,
        }
    }
}

fn measures(presenting: bool) -> impl Iterator<Item = &'static Measure> {
    MEASURES.iter().filter(move |m| m.presented || !presenting)
}

/// A figure as it is written.
struct Written {
    number: String,
    is_known: bool,
    difference: Option<String>,
}

impl Written {
    /// A word where a figure would stand is as small as those around it.
    fn font(&self) -> FontId {
        let is_word = self.number.starts_with(char::is_alphabetic);
        if is_word { text::small() } else { text::figure() }
    }
}

impl Figures<'_> {
    /// Shows them from the upper left corner of `place`.
    pub fn show(&self, ui: &mut Ui, place: Rect, grid: Grid) {
        match grid {
            Grid::Cells { per_row, .. } => {
                let width = place.width() / per_row as f32;
                for (i, measure) in measures(self.presenting).enumerate() {
                    let (row, column) = ((i / per_row) as f32, (i % per_row) as f32);
                    let at = place.min + vec2(column * width, row * HEIGHT);
                    let cell = Rect::from_min_size(at, vec2(width, HEIGHT - space::XS));
                    self.cell(ui, cell, measure);
                }
            }
            Grid::Lines { lines } => {
                let line = |i: usize| {
                    let at = place.min + vec2(0.0, i as f32 * LINE);
                    Rect::from_min_size(at, vec2(place.width(), LINE))
                };
                for (i, measure) in measures(true).enumerate() {
                    self.line(ui, line(i), measure);
                }
                if !self.presenting {
                    self.cost(ui, line(lines - 1));
                }
            }
        }
    }

    fn written(&self, measure: &Measure) -> Written {
        let value = self.report.and_then(measure.of);
        let number = match value {
            Some(value) => minus(&(measure.format)(value)),
            None if measure.name == "Gold" && self.no_judge => "no judge".into(),
            None => "–".into(),
        };
        let reference = self.reference.and_then(measure.of);
        let difference = measure.difference.zip(value.zip(reference));
        let difference = difference.map(|(format, (own, first))| minus(&format(own - first)));
        Written { number, is_known: value.is_some(), difference }
    }

    fn cell(&self, ui: &mut Ui, cell: Rect, measure: &Measure) {
        let p = Palette::of(ui);
        let written = self.written(measure);
        let painter = ui.painter();
        painter.text(cell.left_top(), Align2::LEFT_TOP, measure.name, text::small(), p.weak);
        let ink = if written.is_known { p.text } else { p.weak };
        let (foot, align) = (cell.left_bottom(), Align2::LEFT_BOTTOM);
        let shown = painter.text(foot, align, &written.number, written.font(), ink);
        if let Some(difference) = &written.difference {
            let at = shown.right_bottom() + vec2(6.0, -1.0);
            painter.text(at, align, format!("Δ {difference}"), text::small(), p.weak);
        }
        self.explain(ui, cell, measure, &written);
    }

    fn line(&self, ui: &mut Ui, line: Rect, measure: &Measure) {
        let p = Palette::of(ui);
        let written = self.written(measure);
        let painter = ui.painter();
        let name = measure.name;
        painter.text(line.left_center(), Align2::LEFT_CENTER, name, text::small(), p.weak);
        let ink = if written.is_known { p.text } else { p.weak };
        let compared = self.reference.is_some() && line.width() >= TIGHT;
        let column = if compared { line.left() + 0.68 * line.width() } else { line.right() };
        let at = line.right_center() - vec2(line.right() - column, 0.0);
        painter.text(at, Align2::RIGHT_CENTER, &written.number, written.font(), ink);
        if let Some(difference) = written.difference.as_ref().filter(|_| compared) {
            let words = format!("Δ {difference}");
            painter.text(line.right_center(), Align2::RIGHT_CENTER, words, text::small(), p.weak);
        }
        self.explain(ui, line, measure, &written);
    }

    /// What a column has cost, in one line.
    fn cost(&self, ui: &mut Ui, line: Rect) {
        let p = Palette::of(ui);
        let words = self.report.map_or("–".to_owned(), |r| {
            let (tokens, sampled) = (r.tokens.len(), r.sampled_tokens);
            let (speed, seconds) = (r.tokens_per_second(), r.elapsed_ms / 1e3);
            format!("{tokens} of {sampled} tokens · {speed:.0}/s · {seconds:.1} s")
        });
        // Where not all of it fits, the time is what people ask for.
        let shown = self.report.filter(|_| line.width() < TIGHT).map_or(words.clone(), |r| {
            format!("{:.1} s · {:.0} tokens/s", r.elapsed_ms / 1e3, r.tokens_per_second())
        });
        let painter = ui.painter().with_clip_rect(line);
        painter.text(line.left_center(), Align2::LEFT_CENTER, shown, text::small(), p.weak);
        let response = ui.interact(line, ui.scope_id().with((self.title, "cost")), Sense::hover());
        let spoken = format!("{} cost: {words}", self.title);
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &spoken));
        let hint = "Tokens of this response, of all that were drawn; tokens per second; time.";
        response.on_hover_text(format!("{words}\n{hint}"));
    }

    fn explain(&self, ui: &mut Ui, place: Rect, measure: &Measure, written: &Written) {
        let id = ui.scope_id().with((self.title, measure.name));
        let response = ui.interact(place, id, Sense::hover());
        let mut words = format!("{} {}: {}", self.title, measure.name, written.number);
        let difference = written.difference.as_ref();
        let difference = difference.map(|difference| format!("{difference} from the first column"));
        if let Some(difference) = &difference {
            words += &format!(", {difference}");
        }
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        response.on_hover_ui(|ui| {
            ui.label(measure.hint);
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
    fn a_grid_fits_its_column() {
        assert_eq!(Grid::of(414.0, false, true), Grid::Cells { per_row: 4, rows: 2 });
        assert_eq!(Grid::of(185.0, false, true), Grid::Lines { lines: 5 });
        assert_eq!(Grid::of(185.0, true, true), Grid::Lines { lines: 4 });
        assert_eq!(Grid::of(600.0, false, false), Grid::Cells { per_row: 8, rows: 1 });
        assert_eq!(Grid::of(300.0, true, false), Grid::Cells { per_row: 4, rows: 1 });
    }
}
