//! A search tree as a figure.

use emath::vec2;
use maud::html;

use super::kind::{FigureError, FigureSize};
use super::sheet::{Key, SURFACE, Sheet, TEXT, WEAK, ink, number, pair, text_width};
use super::values::origin;
use crate::format::excerpt;
use crate::guidance::labels::{settings_line, titles_of};
use crate::guidance::trace::Trace;
use crate::records::report::metrics::signed;
use crate::records::report::search_tree::{HEADER, Node, Tree};
use crate::records::report::svg::looks;

/// Size of the laid out tree, in its own points. The figure stretches it.
const ROOM: [f32; 2] = [872.0, 240.0];
/// Width in which the lines to the successors fan out, as a share of the width of a chunk.
const FAN: f64 = 0.2;
/// Texts that would have fewer letters are left out.
const MIN_LETTERS: f64 = 8.0;
const CHUNK: &str = "Chunk of the response";

/// Draws the search tree of a column.
pub(super) fn draw(trace: &Trace, arm: usize, size: FigureSize) -> Result<String, FigureError> {
    let column = trace.arms.get(arm).filter(|arm| !arm.chunks.is_empty());
    let column = column.ok_or(FigureError::NoTree)?;
    let tree = Tree::of(&column.chunks, 1, vec2(ROOM[0], ROOM[1]));
    let name = &titles_of(&trace.arms)[arm];
    let title = format!("Search tree: {name}");
    let mut sheet = Sheet::new(size, &title);
    let values = tree.nodes.iter().filter_map(|node| node.value);
    let span = values.fold(None, |span: Option<(f32, f32)>, v| {
        Some(span.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
    });
    let colour = ink(looks(&trace.arms)[arm].colour);
    sheet.legend(&keys(colour, span, sheet.em));
    let em = sheet.em;
    let drawing = Drawing {
        tree: &tree,
        colour,
        span,
        em,
        left: 0.8 * em,
        top: sheet.top,
        scale: [
            (sheet.width - 1.6 * em) / f64::from(tree.size.x),
            (sheet.height - 3.6 * em - sheet.top) / f64::from(tree.size.y - HEADER),
        ],
    };
    drawing.edges(&mut sheet);
    for node in &tree.nodes {
        drawing.node(&mut sheet, node);
    }
    drawing.numbers(&mut sheet);
    let settings = settings_line(column.name, &column.settings);
    Ok(sheet.finish(&title, &format!("{} {name}: {settings}", origin(trace))))
}

/// Returns the legend: the line to the response, the kinds of marks, and the scale of values.
fn keys(colour: &str, span: Option<(f32, f32)>, em: f64) -> Vec<Key> {
    let line = format!("M0,0H{}", number(2.0 * em));
    let circle = |fill: &str, stroke: &str| {
        html! {
            circle cx=(number(1.4 * em)) cy="0" r=(number(0.3 * em)) fill=(fill) stroke=(stroke)
                stroke-width=(number(0.09 * em)) {}
        }
    };
    let response = html! {
        path d=(line) fill="none" stroke=(colour) stroke-width=(number(0.2 * em)) {}
    };
    let mut keys = vec![
        (response, "response".to_owned()),
        (circle(WEAK, WEAK), "kept".to_owned()),
        (circle(SURFACE, WEAK), "dropped".to_owned()),
    ];
    if let Some((low, high)) = span {
        const STEPS: usize = 6;
        let width = 2.0 * em / STEPS as f64;
        let scale = html! {
            @for step in 0..STEPS {
                rect x=(number(step as f64 * width)) y=(number(-0.35 * em)) width=(number(width))
                    height=(number(0.7 * em))
                    fill=(graded(colour, step as f64 / (STEPS - 1) as f64)) {}
            }
        };
        let [low, high] = [low, high].map(|v| signed(v.into(), 2));
        keys.push((scale, format!("value, {low} to {high}")));
    }
    keys
}

/// Returns `colour` blended with white: pale for 0, full for 1.
fn graded(colour: &str, share: f64) -> String {
    let share = 0.25 + 0.75 * share.clamp(0.0, 1.0);
    let channel = |at: usize| {
        let value = colour.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        (255.0 + share * (f64::from(value.unwrap_or(0)) - 255.0)).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", channel(1), channel(3), channel(5))
}

/// A laid out tree with its place in the figure.
struct Drawing<'a> {
    tree: &'a Tree,
    colour: &'a str,
    /// Lowest and highest value.
    span: Option<(f32, f32)>,
    em: f64,
    left: f64,
    top: f64,
    scale: [f64; 2],
}

impl Drawing<'_> {
    fn at(&self, x: f32, y: f32) -> [f64; 2] {
        [self.left + self.scale[0] * f64::from(x), self.top + self.scale[1] * f64::from(y - HEADER)]
    }

    fn centre(&self, node: &Node) -> [f64; 2] {
        self.at(node.at.x, node.at.y)
    }

    /// Width of a chunk.
    fn step(&self) -> f64 {
        self.scale[0] * f64::from(self.tree.step)
    }

    /// Draws the lines from each candidate's parent: those of the response on top.
    fn edges(&self, sheet: &mut Sheet) {
        let path = |node: &Node| {
            let to = self.centre(node);
            let root = self.tree.root();
            let from = match node.parent.and_then(|i| self.tree.nodes.get(i)) {
                Some(parent) => self.centre(parent),
                None => self.at(root.x, root.y),
            };
            let bend = (to[0] - FAN * self.step()).max(from[0]);
            let middle = (bend + to[0]) / 2.0;
            format!(
                "M{}H{}C{} {} {}",
                pair(from),
                number(bend),
                pair([middle, from[1]]),
                pair([middle, to[1]]),
                pair(to)
            )
        };
        let all = |is_drawn: &dyn Fn(&&Node) -> bool| -> String {
            self.tree.nodes.iter().filter(is_drawn).map(path).collect()
        };
        let styles = [
            (all(&|n| !n.on_lead && !n.kept), "#c3cad6", 0.06),
            (all(&|n| !n.on_lead && n.kept), self.colour, 0.08),
            (all(&|n| n.on_lead), self.colour, 0.2),
        ];
        for (path, colour, width) in styles {
            sheet.add(&html! {
                path d=(path) fill="none" stroke=(colour) stroke-width=(number(width * self.em)) {}
            });
        }
    }

    /// Draws a candidate, and its text if there is room.
    fn node(&self, sheet: &mut Sheet, node: &Node) {
        let [x, y] = self.centre(node);
        let row = self.scale[1] * f64::from(node.height);
        let share = match (self.span, node.value) {
            (Some((low, high)), Some(value)) if high > low => (value - low) / (high - low),
            _ => 1.0,
        };
        let colour = graded(self.colour, share.into());
        let most = if node.kept { 0.36 } else { 0.24 } * self.em;
        let radius = (0.45 * row).min(most);
        let (fill, stroke) =
            if node.kept { (colour.as_str(), self.colour) } else { (SURFACE, colour.as_str()) };
        sheet.add(&html! {
            circle cx=(number(x)) cy=(number(y)) r=(number(radius)) fill=(fill) stroke=(stroke)
                stroke-width=(number(0.08 * self.em)) {}
        });
        if node.kept {
            self.words(sheet, node, radius);
        }
    }

    /// Writes the text of a candidate beside its dot, if there is room.
    fn words(&self, sheet: &mut Sheet, node: &Node, radius: f64) {
        let ([x, y], font) = (self.centre(node), 0.72 * self.em);
        let row = self.scale[1] * f64::from(node.height);
        let gap = radius + 0.2 * self.em;
        let room = (1.0 - FAN) * self.step() - gap;
        let letters = (room / text_width("m", font)).floor();
        if row < 1.3 * font || letters < MIN_LETTERS {
            return;
        }
        let words = excerpt(&node.label, letters as usize);
        let weight = if node.on_lead { "600" } else { "400" };
        // Hides the line to the successors behind the text.
        let width = text_width(&words, font) + 0.3 * font;
        sheet.add(&html! {
            rect x=(number(x + gap - 0.15 * font)) y=(number(y - 0.6 * font))
                width=(number(width)) height=(number(1.2 * font)) fill=(SURFACE) {}
            text x=(number(x + gap)) y=(number(y + 0.36 * font)) font-size=(number(font))
                font-weight=(weight) fill=(TEXT) { (words) }
        });
    }

    /// Draws the numbers of the chunks below the tree.
    fn numbers(&self, sheet: &mut Sheet) {
        let em = self.em;
        // With many chunks, only some numbers fit.
        let stride = (1.6 * em / self.step()).ceil().max(1.0) as usize;
        let y = sheet.height - 2.2 * em;
        for (t, range) in self.tree.chunks.iter().enumerate().step_by(stride) {
            if let Some(node) = self.tree.nodes.get(range.start) {
                let x = self.centre(node)[0];
                sheet.text([x, y], "middle", WEAK, &(t + 1).to_string());
            }
        }
        let middle = sheet.width / 2.0;
        sheet.text([middle, sheet.height - 0.8 * em], "middle", TEXT, CHUNK);
    }
}
