//! The glossary in the help window: each term of the method with one sentence and one picture.

use eframe::egui::{
    Align, Color32, Grid, Label, Layout, Painter, Pos2, Rect, RichText, Sense, Shape, Stroke,
    StrokeKind, Ui, vec2,
};

use crate::app::theme::{Palette, text};

/// Size of a picture, in points.
const PICTURE: eframe::egui::Vec2 = vec2(76.0, 34.0);

/// A term of the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    Base,
    Guide,
    Value,
    Judge,
    Kl,
    Advantage,
    Beta,
    Lambda,
    Beams,
    Successors,
    ChunkTokens,
}

/// Every term with its name and its sentence, in reading order.
const TERMS: [(Term, &str, &str); 11] = [
    (Term::Base, "Base", "The language model that writes. Its weights never change."),
    (
        Term::Guide,
        "Guide",
        "A small model, or a pair of them, that steers the base model while it writes.",
    ),
    (
        Term::Value,
        "Value",
        "A prediction, from an unfinished text, of how well the finished text will do.",
    ),
    (
        Term::Judge,
        "Judge",
        "An independent model that scores the finished text. It measures and never steers.",
    ),
    (
        Term::Kl,
        "KL",
        "How far guidance moved the base model's token probabilities: the price, in nats.",
    ),
    (
        Term::Advantage,
        "Advantage",
        "How much more likely a token is after the guide was tuned than before.",
    ),
    (Term::Beta, "β", "Strength of guidance at each token. 0 is off, negative values reverse it."),
    (
        Term::Lambda,
        "λ",
        "How strongly the value decides which chunks are kept. 0 is random, ∞ keeps the best.",
    ),
    (Term::Beams, "W", "Number of texts that are kept after each chunk."),
    (Term::Successors, "K", "Number of continuations that are tried for each kept text."),
    (Term::ChunkTokens, "L", "Number of tokens in a chunk: the distance between two choices."),
];

/// Draws the glossary.
pub(super) fn glossary(ui: &mut Ui) {
    Grid::new("glossary").num_columns(3).spacing([14.0, 6.0]).show(ui, |ui| {
        for (term, name, sentence) in TERMS {
            let (rect, _) = ui.allocate_exact_size(PICTURE, Sense::hover());
            Picture { painter: ui.painter(), rect, p: Palette::of(ui) }.draw(term);
            ui.label(RichText::new(name).font(text::group()));
            let words = RichText::new(sentence).color(Palette::of(ui).weak);
            let size = vec2(SENTENCE_WIDTH, PICTURE.y);
            ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
                ui.add(Label::new(words).wrap());
            });
            ui.end_row();
        }
    });
}

/// Width of the sentences, in points.
const SENTENCE_WIDTH: f32 = 330.0;

/// A picture of a term.
struct Picture<'a> {
    painter: &'a Painter,
    rect: Rect,
    p: &'a Palette,
}

impl Picture<'_> {
    /// Returns the point at these shares of width and height.
    fn at(&self, x: f32, y: f32) -> Pos2 {
        self.rect.min + vec2(x, y) * self.rect.size()
    }

    fn line(&self, points: &[(f32, f32)], color: Color32) {
        let points = points.iter().map(|&(x, y)| self.at(x, y)).collect();
        self.painter.add(Shape::line(points, Stroke::new(2.0, color)));
    }

    fn arrow(&self, from: (f32, f32), to: (f32, f32), color: Color32) {
        let (from, to) = (self.at(from.0, from.1), self.at(to.0, to.1));
        self.painter.arrow(from, to - from, Stroke::new(2.0, color));
    }

    fn dot(&self, x: f32, y: f32, color: Color32, is_filled: bool) {
        let fill = if is_filled { color } else { Color32::TRANSPARENT };
        self.painter.circle(self.at(x, y), 3.5, fill, Stroke::new(1.5, color));
    }

    fn model(&self, x: f32, y: f32, half: f32, color: Color32) {
        let frame = Rect::from_center_size(self.at(x, y), vec2(2.0 * half, 1.4 * half));
        self.painter.rect_stroke(frame, 3.0, Stroke::new(2.0, color), StrokeKind::Inside);
    }

    fn text_lines(&self, left: f32) {
        for (y, right) in [(0.28, 0.98), (0.5, 0.94), (0.72, 0.86)] {
            self.line(&[(left, y), (right, y)], self.p.weak);
        }
    }

    fn bell(&self, center: f32, color: Color32) {
        let height = |x: f32| 0.92 - 0.78 * (-((x - center) / 0.14).powi(2)).exp();
        let points: Vec<(f32, f32)> =
            (0..=40).map(|i| i as f32 / 40.0).map(|x| (x, height(x))).collect();
        self.line(&points, color);
    }

    fn draw(&self, term: Term) {
        let (base, guide, weak) = (self.p.unguided, self.p.guided, self.p.weak);
        match term {
            Term::Base => {
                self.model(0.17, 0.5, 11.0, base);
                self.arrow((0.36, 0.5), (0.54, 0.5), base);
                self.text_lines(0.62);
            }
            Term::Guide => {
                self.model(0.17, 0.3, 9.0, base);
                self.line(&[(0.32, 0.3), (0.6, 0.3)], base);
                self.model(0.5, 0.82, 6.0, guide);
                self.arrow((0.62, 0.7), (0.96, 0.12), guide);
            }
            Term::Value => {
                self.line(&[(0.04, 0.7), (0.4, 0.55)], weak);
                for step in 0..4 {
                    let x = 0.46 + 0.12 * step as f32;
                    self.line(
                        &[(x, 0.52 - 0.08 * step as f32), (x + 0.06, 0.48 - 0.08 * step as f32)],
                        guide,
                    );
                }
                self.dot(0.96, 0.2, guide, true);
            }
            Term::Judge => {
                self.line(&[(0.02, 0.28), (0.44, 0.28)], weak);
                self.line(&[(0.02, 0.5), (0.4, 0.5)], weak);
                self.line(&[(0.02, 0.72), (0.3, 0.72)], weak);
                self.line(&[(0.6, 0.5), (0.72, 0.8), (0.96, 0.2)], guide);
            }
            Term::Kl => {
                self.bell(0.36, base);
                self.bell(0.64, guide);
            }
            Term::Advantage => {
                for (x, height, color) in [(0.3, 0.35, weak), (0.46, 0.75, guide)] {
                    let bar =
                        Rect::from_min_max(self.at(x, 0.92 - height), self.at(x + 0.12, 0.92));
                    self.painter.rect_filled(bar, 1.0, color);
                }
                self.arrow((0.74, 0.75), (0.74, 0.2), guide);
            }
            Term::Beta => self.strength(0.5, 0.76),
            Term::Lambda => {
                for (i, y) in [0.18, 0.4, 0.62, 0.84].into_iter().enumerate() {
                    self.dot(0.3, y, guide, i == 0);
                }
                self.arrow((0.42, 0.18), (0.88, 0.18), guide);
            }
            Term::Beams => {
                for (y, is_kept) in [(0.2, true), (0.5, false), (0.8, true)] {
                    let color = if is_kept { guide } else { weak };
                    let end = if is_kept { 0.96 } else { 0.5 };
                    self.line(&[(0.06, y), (end, y)], color);
                    self.dot(0.5, y, color, is_kept);
                }
            }
            Term::Successors => {
                for y in [0.12, 0.38, 0.62, 0.88] {
                    self.line(&[(0.1, 0.5), (0.8, y)], guide);
                    self.dot(0.84, y, guide, false);
                }
                self.dot(0.1, 0.5, guide, true);
            }
            Term::ChunkTokens => {
                for x in [0.06, 0.94] {
                    self.line(&[(x, 0.15), (x, 0.85)], guide);
                }
                for step in 0..5 {
                    let left = 0.12 + 0.16 * step as f32;
                    self.line(&[(left, 0.5), (left + 0.11, 0.5)], weak);
                }
            }
        }
    }

    /// Draws a slider with its fill from `from` to the handle at `to`.
    fn strength(&self, from: f32, to: f32) {
        self.line(&[(0.04, 0.5), (0.96, 0.5)], self.p.rail);
        self.line(&[(from, 0.25), (from, 0.75)], self.p.weak);
        self.line(&[(from, 0.5), (to, 0.5)], self.p.guided);
        self.painter.circle(self.at(to, 0.5), 6.0, self.p.handle, Stroke::new(2.0, self.p.guided));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_has_one_sentence() {
        for (term, name, sentence) in TERMS {
            assert!(!name.is_empty() && sentence.ends_with('.'), "{term:?}");
            assert_eq!(TERMS.iter().filter(|other| other.0 == term).count(), 1);
        }
    }
}
