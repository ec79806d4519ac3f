//! The marks of plots and legends. Marks differ in shape as well as in colour.

use eframe::egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, pos2, vec2};

/// A kind of mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A filled circle: a kept candidate.
    Kept,
    /// A hollow circle: a dropped candidate.
    Dropped,
    /// A square on a dashed line: the first column.
    First,
    /// A circle on a bold line: the second column.
    Second,
    /// A triangle on a bold line: the third column.
    Third,
    /// A diamond on a bold line: the fourth column.
    Fourth,
}

impl Mark {
    /// Returns the mark of the column with this index.
    pub fn of(column: usize) -> Self {
        [Mark::First, Mark::Second, Mark::Third, Mark::Fourth][column % 4]
    }
}

/// Draws `mark` centred at `at`.
pub(crate) fn marker(painter: &Painter, at: Pos2, mark: Mark, color: Color32) {
    match mark {
        Mark::Kept => {
            painter.circle_filled(at, 4.0, color);
        }
        Mark::Dropped => {
            painter.circle_stroke(at, 3.5, Stroke::new(1.2, color));
        }
        Mark::First => {
            for step in [-1.0, 1.0] {
                let from = at + vec2(step * 6.0, 0.0);
                painter.line_segment([from, from + vec2(step * 5.0, 0.0)], Stroke::new(2.0, color));
            }
            let square = Rect::from_center_size(at, vec2(7.0, 7.0));
            painter.rect(square, 0.0, color, Stroke::NONE, StrokeKind::Inside);
        }
        Mark::Second => {
            line(painter, at, color);
            painter.circle_filled(at, 4.5, color);
        }
        Mark::Third => {
            line(painter, at, color);
            polygon(painter, at, color, &[(0.0, -5.5), (5.5, 4.0), (-5.5, 4.0)]);
        }
        Mark::Fourth => {
            line(painter, at, color);
            polygon(painter, at, color, &[(0.0, -6.0), (6.0, 0.0), (0.0, 6.0), (-6.0, 0.0)]);
        }
    }
}

fn line(painter: &Painter, at: Pos2, color: Color32) {
    let half_width = vec2(11.0, 0.0);
    painter.line_segment([at - half_width, at + half_width], Stroke::new(3.0, color));
}

fn polygon(painter: &Painter, at: Pos2, color: Color32, corners: &[(f32, f32)]) {
    let corners = corners.iter().map(|(x, y)| pos2(at.x + x, at.y + y)).collect();
    painter.add(Shape::convex_polygon(corners, color, Stroke::NONE));
}
