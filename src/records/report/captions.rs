//! Places captions beside the points of a plot.

use emath::{Pos2, Rect, Vec2, vec2};

/// Returns the rectangle for the caption of a point: the one around it that covers the fewest other
/// items.
pub(crate) fn caption_rect(
    at: Pos2,
    size: Vec2,
    clearance: f32,
    (taken, lines): (&[Rect], &[[Pos2; 2]]),
    frame: Rect,
) -> Rect {
    let (x, y) = (size.x / 2.0 + clearance, size.y / 2.0 + clearance);
    let (near_x, near_y) = (x - 2.0, y - 4.0);
    let around = [
        vec2(x, 0.0),
        vec2(-x, 0.0),
        vec2(near_x, -near_y),
        vec2(near_x, near_y),
        vec2(-near_x, -near_y),
        vec2(-near_x, near_y),
        vec2(0.0, -y),
        vec2(0.0, y),
    ];
    let positions = around.map(|d| Rect::from_center_size(at + d, size));
    // Covering a caption or a point costs more than covering a line. Leaving the frame costs most.
    let cost = |place: &Rect| {
        let outside = if frame.contains_rect(*place) { 0 } else { 20 };
        let covered = taken.iter().filter(|t| t.intersects(*place)).count();
        let crossed = lines.iter().filter(|line| crosses(**line, place.shrink(1.0))).count();
        outside + 5 * covered + crossed
    };
    positions.into_iter().min_by_key(cost).unwrap_or(positions[0])
}

/// Checks whether a line passes through `rect`. Samples the line about every three points.
fn crosses([from, to]: [Pos2; 2], rect: Rect) -> bool {
    let steps = (from.distance(to) / 3.0).ceil().clamp(1.0, 1000.0) as usize;
    (0..=steps).any(|i| rect.contains(from.lerp(to, i as f32 / steps as f32)))
}

#[cfg(test)]
mod tests {
    use emath::pos2;

    use super::*;

    #[test]
    fn a_caption_avoids_lines_captions_and_edges() {
        let frame = Rect::from_min_max(pos2(0.0, 0.0), pos2(200.0, 100.0));
        let (at, size) = (pos2(100.0, 50.0), vec2(20.0, 12.0));
        let place = |taken: &[Rect], lines: &[[Pos2; 2]]| {
            caption_rect(at, size, 8.0, (taken, lines), frame)
        };
        let right = place(&[], &[]);
        assert!(right.left() > at.x);
        // A line to the right, then also a caption to the left.
        let line = [at, pos2(190.0, 50.0)];
        let left = place(&[], &[line]);
        assert!(left.right() < at.x);
        let third = place(&[left], &[line]);
        assert!(!third.intersects(left) && !crosses(line, third));
        // At the edge, the caption stays inside the frame.
        let edge = caption_rect(pos2(195.0, 50.0), size, 8.0, (&[], &[]), frame);
        assert!(frame.contains_rect(edge));
    }
}
