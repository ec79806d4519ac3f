//! The real program on a virtual display. It opens, generates once with the bundled pack and saves
//! a screenshot. The test needs `Xvfb` and software OpenGL. Without `Xvfb` it is skipped with a
//! message, or fails if `IVG_TEST_WINDOW=required`.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::display::Display;

struct Picture {
    width: usize,
    height: usize,
    /// RGB or RGBA, `channels` bytes per pixel.
    pixels: Vec<u8>,
    channels: usize,
}

impl Picture {
    fn read(file: &Path) -> Self {
        let file = BufReader::new(std::fs::File::open(file).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let channels = info.color_type.samples();
        Self { width: info.width as usize, height: info.height as usize, pixels, channels }
    }

    /// Returns the colours of a region, given as ranges of width and height from 0 to 1.
    fn region(&self, x: [f64; 2], y: [f64; 2]) -> Vec<[u8; 3]> {
        let span = |share: [f64; 2], size: usize| {
            (share[0] * size as f64) as usize..(share[1] * size as f64) as usize
        };
        let pixel = |row: usize, column: usize| {
            let at = (row * self.width + column) * self.channels;
            [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
        };
        let columns = span(x, self.width);
        span(y, self.height)
            .flat_map(|row| columns.clone().map(move |column| pixel(row, column)))
            .collect()
    }
}

#[test]
fn the_window_opens_generates_and_shows_the_run() {
    let Some(display) = Display::required() else { return };
    let dir = tempfile::tempdir().unwrap();
    for theme in ["light", "dark"] {
        let before = screenshot(&display, dir.path(), theme, &[]);
        let after = screenshot(&display, dir.path(), theme, &["--generate"]);
        assert_eq!((after.width, after.height), (1280, 720));
        // Anti-aliased text has many shades, an empty panel only a few.
        let shades: HashSet<_> = after.region([0.0, 0.25], [0.1, 0.9]).into_iter().collect();
        assert!(shades.len() > 50, "{theme}: no controls");
        // The run must change the regions that were empty before.
        for (what, x, y) in [
            ("unguided text", [0.29, 0.62], [0.16, 0.50]),
            ("guided text", [0.65, 0.98], [0.16, 0.50]),
            ("plot", [0.33, 0.97], [0.70, 0.87]),
        ] {
            let (old, new) = (before.region(x, y), after.region(x, y));
            let changed = old.iter().zip(&new).filter(|(a, b)| a != b).count();
            assert!(changed > 2000, "{theme}: the run changed only {changed} pixels of the {what}");
        }
    }
}

/// Runs the program with these arguments and returns its screenshot.
fn screenshot(display: &Display, dir: &Path, theme: &str, more: &[&str]) -> Picture {
    let file = dir.join("window.png");
    let mut window = display
        .program(dir)
        .args(["--prompt", "This film", "--theme", theme, "--size", "1280x720"])
        .args(more)
        .arg("--screenshot")
        .arg(&file)
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = window.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > Duration::from_secs(120) {
            let _ = window.kill();
            panic!("the window did not finish in two minutes");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success());
    Picture::read(&file)
}
