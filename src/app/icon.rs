//! The window's icon, drawn so that it needs no file: two answers that part, the guided one
//! rising.

use eframe::egui::IconData;

use super::theme::ICON;

const SIZE: usize = 64;
/// Samples a pixel and direction, for smooth edges.
const FINE: usize = 4;

/// The icon.
pub fn icon() -> IconData {
    let mut rgba = Vec::with_capacity(SIZE * SIZE * 4);
    for y in 0..SIZE {
        for x in 0..SIZE {
            rgba.extend(pixel(x, y));
        }
    }
    IconData { rgba, width: SIZE as u32, height: SIZE as u32 }
}

fn pixel(x: usize, y: usize) -> [u8; 4] {
    let mut sum = [0usize; 4];
    for i in 0..FINE * FINE {
        let at = |p: usize, i: usize| (p as f32 + (i as f32 + 0.5) / FINE as f32) / SIZE as f32;
        if let Some(color) = colour(at(x, i % FINE), at(y, i / FINE)) {
            for (sum, value) in sum.iter_mut().zip([color[0], color[1], color[2], 255]) {
                *sum += usize::from(value);
            }
        }
    }
    let covered = (sum[3] / 255).max(1);
    let mean = |v: usize| (v / covered) as u8;
    [mean(sum[0]), mean(sum[1]), mean(sum[2]), (sum[3] / (FINE * FINE)) as u8]
}

/// What is at a place between 0 and 1; nothing outside the rounded square.
fn colour(x: f32, y: f32) -> Option<[u8; 3]> {
    let corner = |v: f32| (0.22 - v).max(v - 0.78).max(0.0);
    if corner(x).hypot(corner(y)) > 0.22 {
        return None;
    }
    let start = (0.2, 0.62);
    let guided = near(start, (0.8, 0.24), x, y, 0.045) || (x - 0.8).hypot(y - 0.24) < 0.095;
    let unguided = near(start, (0.8, 0.78), x, y, 0.045)
        || ((x - 0.8).abs() < 0.08 && (y - 0.78).abs() < 0.08);
    let [paper, rising, falling] = ICON;
    Some(if guided {
        rising
    } else if unguided {
        falling
    } else {
        paper
    })
}

/// Whether a place is within `reach` of a line.
fn near(from: (f32, f32), to: (f32, f32), x: f32, y: f32, reach: f32) -> bool {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let along = ((x - from.0) * dx + (y - from.1) * dy) / (dx * dx + dy * dy);
    let along = along.clamp(0.0, 1.0);
    (x - from.0 - along * dx).hypot(y - from.1 - along * dy) < reach
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_is_a_rounded_square_with_both_lines() {
        let icon = icon();
        let at = |x: usize, y: usize| &icon.rgba[(y * SIZE + x) * 4..][..4];
        assert_eq!(icon.rgba.len(), SIZE * SIZE * 4);
        assert_eq!(at(0, 0)[3], 0);
        let [paper, rising, falling] = ICON;
        assert_eq!(at(32, 6)[..3], paper);
        assert_eq!(at(51, 15)[..3], rising);
        assert_eq!(at(51, 50)[..3], falling);
    }
}
