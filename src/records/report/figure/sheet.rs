//! The page of a figure: its size, its colours, and the title, legend and axes of a plot.

use maud::{Markup, PreEscaped, html};

use super::kind::FigureSize;
use crate::format::{one_line, visible};
use crate::records::report::svg::{COLOURS, Look, shape};
use crate::records::report::value_plot::{tick_label, tick_step, ticks};

/// The colours of the columns in the light theme of the report. They differ for colour-blind
/// readers, and each column also has a mark of its own.
const INKS: [&str; COLOURS] =
    ["#1f57d6", "#a94e0a", "#7b3fc4", "#00756b", "#b32672", "#5d6b00", "#0077a8", "#6b5a4d"];
pub(super) const SURFACE: &str = "#ffffff";
pub(super) const TEXT: &str = "#151a26";
pub(super) const WEAK: &str = "#505969";
const GRID: &str = "#e3e7ee";
const AXIS: &str = "#a9b2c0";
const FONTS: &str = "Inter, Helvetica, Arial, sans-serif";
/// Mean width of a letter of Inter, as a share of the font size.
const LETTER: f64 = 0.53;
/// Distances between ticks, as multiples of the font size.
const TICK_DISTANCE: [f64; 2] = [4.6, 2.6];

/// Returns the colour with this index of the report.
pub(super) fn ink(colour: usize) -> &'static str {
    INKS[colour % COLOURS]
}

impl FigureSize {
    /// Width, height and font size, in units of the drawing: 0.1 mm or one pixel.
    pub(super) fn units(self) -> [f64; 3] {
        match self {
            FigureSize::Paper => [900.0, 600.0, 26.0],
            FigureSize::Slide => [1920.0, 1080.0, 34.0],
        }
    }

    /// Width and height with their unit, as attributes of the SVG.
    fn lengths(self) -> [String; 2] {
        let [width, height, _] = self.units();
        match self {
            FigureSize::Paper => [width, height].map(|v| format!("{}mm", v / 10.0)),
            FigureSize::Slide => [width, height].map(|v| v.to_string()),
        }
    }
}

/// One entry of a legend: its picture and its name.
pub(super) type Key = (Markup, String);

/// A figure that is being drawn.
pub(super) struct Sheet {
    size: FigureSize,
    pub(super) width: f64,
    pub(super) height: f64,
    /// The font size.
    pub(super) em: f64,
    /// Lower end of what has been drawn from the top.
    pub(super) top: f64,
    body: String,
}

impl Sheet {
    /// Starts a figure with a title.
    pub(super) fn new(size: FigureSize, title: &str) -> Self {
        let [width, height, em] = size.units();
        let mut sheet = Self { size, width, height, em, top: 2.0 * em, body: String::new() };
        let (font, y) = (1.15 * em, 1.5 * em);
        sheet.add(&html! {
            text x=(number(0.8 * em)) y=(number(y)) font-size=(number(font)) font-weight="600"
                fill=(TEXT) { (title) }
        });
        sheet
    }

    /// Adds an element on top of the others.
    pub(super) fn add(&mut self, markup: &Markup) {
        self.body.push_str(&markup.0);
    }

    /// Adds a text of the normal size.
    pub(super) fn text(&mut self, [x, y]: [f64; 2], anchor: &str, colour: &str, words: &str) {
        self.add(&html! {
            text x=(number(x)) y=(number(y)) text-anchor=(anchor) font-size=(number(self.em))
                fill=(colour) { (words) }
        });
    }

    /// Draws the legend below the title. It wraps at the right edge.
    pub(super) fn legend(&mut self, keys: &[Key]) {
        let em = self.em;
        let (left, gap, mark) = (0.8 * em, 1.2 * em, 2.6 * em);
        let (mut x, mut y) = (left, self.top + 0.9 * em);
        for (picture, name) in keys {
            let width = mark + text_width(name, em);
            if x > left && x + width > self.width - 0.4 * em {
                (x, y) = (left, y + 1.4 * em);
            }
            let place = format!("translate({} {})", number(x), number(y - 0.35 * em));
            self.add(&html! { g transform=(place) { (picture) } });
            self.text([x + mark, y], "start", TEXT, name);
            x += width + gap;
        }
        self.top = y + 0.9 * em;
    }

    /// Draws axes, grid and axis names for the given ranges into the rest of the figure.
    pub(super) fn axes(&mut self, x: [f64; 2], y: [f64; 2], names: [&str; 2]) -> Frame {
        let em = self.em;
        let frame = Frame {
            left: 5.0 * em,
            right: self.width - 1.2 * em,
            top: self.top + 0.3 * em,
            bottom: self.height - 3.7 * em,
            x,
            y,
        };
        let spans = [frame.right - frame.left, frame.bottom - frame.top];
        let rows = tick_step(y[1] - y[0], (spans[1] / (TICK_DISTANCE[1] * em)).max(1.0));
        let columns = tick_step(x[1] - x[0], spans[0] / (TICK_DISTANCE[0] * em));
        for value in ticks(y[0], y[1], rows) {
            let at = frame.at([x[0], value])[1];
            let colour = if value.abs() < rows / 2.0 { AXIS } else { GRID };
            self.line([frame.left, at], [frame.right, at], colour, 0.06);
            let label = [frame.left - 0.5 * em, at + 0.35 * em];
            self.text(label, "end", WEAK, &tick_label(value, rows));
        }
        for value in ticks(x[0], x[1], columns) {
            let at = frame.at([value, y[0]])[0];
            self.line([at, frame.bottom], [at, frame.bottom + 0.35 * em], AXIS, 0.06);
            let label = [at, frame.bottom + 1.5 * em];
            self.text(label, "middle", WEAK, &tick_label(value, columns));
        }
        self.line([frame.left, frame.bottom], [frame.right, frame.bottom], AXIS, 0.06);
        let middle = (frame.left + frame.right) / 2.0;
        self.text([middle, self.height - 0.8 * em], "middle", TEXT, names[0]);
        let (x, y) = (1.4 * em, (frame.top + frame.bottom) / 2.0);
        let turn = format!("translate({} {}) rotate(-90)", number(x), number(y));
        self.add(&html! {
            text transform=(turn) text-anchor="middle" font-size=(number(em)) fill=(TEXT) {
                (names[1])
            }
        });
        frame
    }

    /// Draws a line. `width` is a multiple of the font size.
    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], colour: &str, width: f64) {
        let path = format!("M{}L{}", pair(from), pair(to));
        self.add(&html! {
            path d=(path) fill="none" stroke=(colour) stroke-width=(number(width * self.em)) {}
        });
    }

    /// Returns the figure as an SVG document. `description` tells how it was made.
    pub(super) fn finish(self, title: &str, description: &str) -> String {
        let [width, height] = self.size.lengths();
        let view = format!("0 0 {} {}", self.width, self.height);
        let document = html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(view)
                font-family=(FONTS) stroke-linejoin="round" stroke-linecap="round" {
                title { (one_line(&visible(title))) }
                desc { (one_line(&visible(description))) }
                rect width=(self.width) height=(self.height) fill=(SURFACE) {}
                (PreEscaped(self.body))
            }
        };
        // XML has no way to write these two characters, which a prompt or a text may contain.
        let document = document.into_string().replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{document}\n")
    }
}

/// The rectangle of a plot, and the ranges of its axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    x: [f64; 2],
    y: [f64; 2],
}

impl Frame {
    /// Returns where a point of the data is drawn.
    pub(super) fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let share = |[low, high]: [f64; 2], v: f64| (v - low) / (high - low);
        [
            self.left + (self.right - self.left) * share(self.x, x),
            self.bottom - (self.bottom - self.top) * share(self.y, y),
        ]
    }
}

/// Returns the mark of a column at this position.
pub(super) fn mark(look: &Look, [x, y]: [f64; 2], radius: f64) -> String {
    let mut path = String::new();
    let tenths = |v: f64| (v * 10.0).round() as i64;
    shape(&mut path, look.shape, (tenths(x), tenths(y)), radius);
    path
}

/// Returns the width of a text, estimated from its length.
pub(super) fn text_width(words: &str, font: f64) -> f64 {
    words.chars().count() as f64 * LETTER * font
}

/// Formats a coordinate with at most two decimals.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a point of a path.
pub(super) fn pair([x, y]: [f64; 2]) -> String {
    format!("{},{}", number(x), number(y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_report() {
        let css = include_str!("../report.css");
        let light = css.lines().find(|line| line.starts_with("--c0")).expect("the light theme");
        for (i, ink) in INKS.iter().enumerate() {
            assert!(light.contains(&format!("--c{i}:{ink}")), "c{i}");
        }
    }

    #[test]
    fn a_point_of_the_data_is_drawn_inside_its_frame() {
        let mut sheet = Sheet::new(FigureSize::Paper, "T");
        let frame = sheet.axes([0.0, 10.0], [-1.0, 1.0], ["x", "y"]);
        assert_eq!(frame.at([0.0, -1.0]), [frame.left, frame.bottom]);
        let [x, y] = frame.at([10.0, 1.0]);
        assert!((x - frame.right).abs() < 1e-9 && (y - frame.top).abs() < 1e-9);
        assert!(frame.top < frame.bottom && frame.right < sheet.width);
    }
}
