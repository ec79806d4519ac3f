//! Marks of the plot and of everything that refers to it. Shape says as much as colour.

use eframe::egui::{Color32, Painter, Pos2, Rect, Stroke, StrokeKind, vec2};

/// The kinds of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A filled circle: a guided candidate that was kept.
    Kept,
    /// A hollow circle: a guided candidate that was dropped.
    Dropped,
    /// A square on a dashed line: the unguided response.
    Unguided,
    /// A circle on a bold line: the guided response.
    Leader,
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
        Mark::Unguided => {
            for step in [-1.0, 1.0] {
                let from = at + vec2(step * 6.0, 0.0);
                painter.line_segment([from, from + vec2(step * 5.0, 0.0)], Stroke::new(2.0, ink));
            }
            let square = Rect::from_center_size(at, vec2(7.0, 7.0));
            painter.rect(square, 0.0, ink, Stroke::NONE, StrokeKind::Inside);
        }
        Mark::Leader => {
            let reach = vec2(11.0, 0.0);
            painter.line_segment([at - reach, at + reach], Stroke::new(3.0, ink));
            painter.circle_filled(at, 4.5, ink);
        }
    }
}
