//! Marks of the plot and of everything that refers to it. Shape says as much as colour.

use eframe::egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, pos2, vec2};

/// The kinds of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A filled circle: a candidate that was kept.
    Kept,
    /// A hollow circle: a candidate that was dropped.
    Dropped,
    /// A square on a dashed line: the first column.
    First,
    /// A circle on a bold line: the second.
    Second,
    /// A triangle: the third.
    Third,
    /// A diamond: the fourth.
    Fourth,
}

impl Mark {
    /// The mark of a column.
    pub fn of(slot: usize) -> Self {
        [Mark::First, Mark::Second, Mark::Third, Mark::Fourth][slot % 4]
    }
}

/// Draws `mark` around `at`, as the plot does.
pub fn marker(painter: &Painter, at: Pos2, mark: Mark, ink: Color32) {
    match mark {
        Mark::Kept => {
            painter.circle_filled(at, 4.0, ink);
        }
        Mark::Dropped => {
            painter.circle_stroke(at, 3.5, Stroke::new(1.2, ink));
        }
        Mark::First => {
            for step in [-1.0, 1.0] {
                let from = at + vec2(step * 6.0, 0.0);
                painter.line_segment([from, from + vec2(step * 5.0, 0.0)], Stroke::new(2.0, ink));
            }
            let square = Rect::from_center_size(at, vec2(7.0, 7.0));
            painter.rect(square, 0.0, ink, Stroke::NONE, StrokeKind::Inside);
        }
        Mark::Second => {
            line(painter, at, ink);
            painter.circle_filled(at, 4.5, ink);
        }
        Mark::Third => {
            line(painter, at, ink);
            polygon(painter, at, ink, &[(0.0, -5.5), (5.5, 4.0), (-5.5, 4.0)]);
        }
        Mark::Fourth => {
            line(painter, at, ink);
            polygon(painter, at, ink, &[(0.0, -6.0), (6.0, 0.0), (0.0, 6.0), (-6.0, 0.0)]);
        }
    }
}

fn line(painter: &Painter, at: Pos2, ink: Color32) {
    let reach = vec2(11.0, 0.0);
    painter.line_segment([at - reach, at + reach], Stroke::new(3.0, ink));
}

fn polygon(painter: &Painter, at: Pos2, ink: Color32, corners: &[(f32, f32)]) {
    let corners = corners.iter().map(|(x, y)| pos2(at.x + x, at.y + y)).collect();
    painter.add(Shape::convex_polygon(corners, ink, Stroke::NONE));
}
