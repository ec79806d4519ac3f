//! Renders `screenshots/` from real runs on the bundled pack:
//!
//! ```console
//! cargo run --release --example screenshots [NAME ...]
//! ```
//!
//! The program finds widgets by their accessible labels and renders them with a software adapter.
//! Texts, values and plots are the same in every run; speeds and times are not. `story` and `live` are
//! recordings (animated PNG).

#[path = "../tests/graphics/mod.rs"]
mod graphics;

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eframe::egui::{Key, Role, Vec2, pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use graphics::Painter;
use image::GenericImageView;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::app::state::session::Phase;
use ivg_playground::app::{App, Options, Theme};
use ivg_playground::guidance::settings::Settings;
use ivg_playground::packs::PackSource;
use ivg_playground::packs::hub::Hub;
use ivg_playground::worker;

const PICTURES: [(&str, fn()); 12] = [
    ("hero", hero),
    ("dark", dark),
    ("tokens", tokens),
    ("tree", tree),
    ("sweep", sweep),
    ("present", present),
    ("history", history),
    ("four_columns", four_columns),
    ("models", models),
    ("error", error),
    ("story", story),
    ("live", live),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, render) in PICTURES {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("{name}");
            render();
        }
    }
}

/// The prompt and the seed of the first story of the bundled pack.
const PROMPT: &str = "This film";
const SEED: u64 = 8;
/// The default size of the window.
const WINDOW_SIZE: Vec2 = Vec2::new(1440.0, 900.0);
/// Time limit of one wait. A sweep takes the longest.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A window with the real worker.
struct Studio {
    window: Harness<'static, App>,
}

impl Studio {
    /// Opens a window and waits until the bundled pack is loaded.
    fn open(theme: Theme) -> Self {
        let mut studio = Self::enter(options(theme), WINDOW_SIZE);
        studio.until("the pack", |window| window.state().session().pack.is_some());
        studio
    }

    fn enter(options: Options, size: Vec2) -> Self {
        let painter = Painter::new().expect("a software adapter; install mesa-vulkan-drivers");
        let link = worker::spawn(Hub::default(), || {}).expect("a thread");
        let window = Harness::builder()
            .with_size(size)
            .with_max_steps(20)
            .renderer(painter)
            .build_eframe(|cc| App::new(&cc.egui_ctx, link, options, Preferences::default()));
        Self { window }
    }

    /// Waits until a condition holds that depends on the worker.
    fn until(&mut self, what: &str, exists: impl Fn(&Harness<'static, App>) -> bool) {
        let started = Instant::now();
        while !exists(&self.window) {
            assert!(started.elapsed() < TIMEOUT, "timed out waiting for {what}");
            self.window.step();
            std::thread::sleep(Duration::from_millis(20));
        }
        self.settle();
    }

    /// Draws frames until the layout is stable: scroll bars, tooltips and plot axes need several
    /// frames.
    fn settle(&mut self) {
        for _ in 0..12 {
            self.window.step();
        }
    }

    fn click(&mut self, name: &str) {
        self.window.get_by_label(name).click();
        self.settle();
        self.window.remove_cursor();
        self.settle();
    }

    fn type_prompt(&mut self, prompt: &str) {
        let edit = self.window.get_by_role(Role::MultilineTextInput);
        edit.focus();
        edit.type_text(prompt);
        self.settle();
    }

    /// Presses Generate and waits until the run has finished.
    fn generate(&mut self) {
        self.click("Generate");
        self.until("the run", |window| {
            let run = window.state().session().run.as_ref();
            run.is_some_and(|run| run.phase == Phase::Finished)
        });
        // Removes the text cursor from the picture.
        self.window.ctx.memory_mut(|m| m.stop_text_input());
        self.settle();
    }

    fn save(&mut self, name: &str) {
        let image = self.window.render().expect("a picture");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
        let file = BufWriter::new(File::create(folder.join(name)).expect("a file"));
        let mut encoder = png::Encoder::new(file, image.width(), image.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let rgb: Vec<u8> =
            image.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&rgb).expect("the pixels");
        writer.finish().expect("a whole file");
    }
}

fn options(theme: Theme) -> Options {
    let settings = Some(Settings { seed: SEED, ..Settings::default() });
    Options { theme: Some(theme), settings, ..Options::new(PackSource::default()) }
}

/// Returns a window with a finished run of [`PROMPT`].
fn finished(theme: Theme) -> Studio {
    let mut studio = Studio::open(theme);
    studio.type_prompt(PROMPT);
    studio.generate();
    studio
}

fn hero() {
    finished(Theme::Light).save("hero.png");
}

fn dark() {
    finished(Theme::Dark).save("dark.png");
}

/// Tokens coloured by advantage, with the tooltip of a token of high advantage.
fn tokens() {
    let mut studio = finished(Theme::Light);
    studio.click("Colour tokens by: Advantage");
    let run = studio.window.state().session().run.as_ref().expect("a run");
    let guided = &run.arms.last().expect("a column").report;
    // Near the top, so that the tooltip does not cover the text around the token.
    let near = guided.tokens.iter().filter(|t| t.end < guided.text.len() / 3);
    let wanted =
        near.max_by(|a, b| a.advantage.unwrap_or(0.0).total_cmp(&b.advantage.unwrap_or(0.0)));
    let wanted = wanted.expect("a token");
    let (card, words) = (format!("token {}", wanted.id), format!("{PROMPT}{}", guided.text));
    let place = studio.window.get_by_label(&words).rect();
    let lines = (0..).map(|i| place.top() + 10.0 + 8.0 * i as f32);
    let mut points = lines.take_while(|y| *y < place.bottom()).flat_map(|y| {
        let across = (0..).map(move |i| vec2(place.left() + 3.0 + 8.0 * i as f32, y));
        across.take_while(move |at| at.x < place.right())
    });
    let found = points.find(|at| {
        studio.window.hover_at(at.to_pos2());
        studio.settle();
        studio.window.query_by_label(&card).is_some()
    });
    let edge = found.unwrap_or_else(|| panic!("the pointer did not find {card}"));
    // Moves the pointer from the edge of the word into it.
    studio.window.hover_at((edge + vec2(10.0, 4.0)).to_pos2());
    studio.settle();
    assert!(studio.window.query_by_label(&card).is_some(), "the word is too short");
    studio.save("tokens.png");
}

fn tree() {
    let mut studio = finished(Theme::Light);
    studio.click("Lower panel: Tree");
    studio.save("tree.png");
}

/// A finished sweep of [`PROMPT`].
fn sweep() {
    let mut studio = finished(Theme::Light);
    studio.click("Lower panel: Sweep");
    studio.click("Compare strengths");
    studio.until("the sweep", |window| window.query_by_label("Run again").is_some());
    studio.save("sweep.png");
}

fn present() {
    let prompt = Some(PROMPT.to_owned());
    let options = Options { present: true, prompt, ..options(Theme::Light) };
    // The presentation is enlarged 1.4 times, so the picture has 1280 by 720 pixels.
    let mut studio = Studio::enter(options, vec2(1280.0, 720.0) / 1.4);
    studio.until("the pack", |window| window.state().session().pack.is_some());
    studio.generate();
    studio.save("present.png");
}

/// The history in the sidebar, with one run for each example prompt.
fn history() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { folder: Some(folder.path().to_owned()), ..options(Theme::Light) };
    let mut studio = Studio::enter(options, WINDOW_SIZE);
    studio.until("the pack", |window| window.state().session().pack.is_some());
    let examples = studio.window.state().session().pack.as_ref().expect("a pack").examples.clone();
    for example in &examples {
        studio.click(&format!("Example: {example}"));
        studio.generate();
    }
    studio.click("Sidebar: History");
    let first = format!("Run: {}", examples[0]);
    studio.until("the history", |window| window.query_by_label(&first).is_some());
    studio.save("history.png");
}

fn four_columns() {
    // Wide enough for four columns side by side.
    let mut studio = Studio::enter(options(Theme::Light), vec2(1640.0, 900.0));
    studio.until("the pack", |window| window.state().session().pack.is_some());
    for title in ["Token only", "Chunk only"] {
        studio.click("Add column");
        studio.click(&format!("Add column: {title}"));
    }
    studio.type_prompt(PROMPT);
    studio.generate();
    studio.save("four-columns.png");
}

/// The list of packs in the sidebar.
fn models() {
    let mut studio = finished(Theme::Light);
    studio.click("Sidebar: Models");
    studio.until("the packs", |window| window.query_by_label("in use").is_some());
    studio.save("models.png");
}

/// The error for a folder that contains no pack.
fn error() {
    let pack = PackSource::Folder(PathBuf::from("my-pack"));
    let options = Options { theme: Some(Theme::Light), ..Options::new(pack) };
    let mut studio = Studio::enter(options, WINDOW_SIZE);
    studio.until("the error", |window| window.state().session().error.is_some());
    studio.save("error.png");
}

/// Time between two frames of a recording.
const FRAME: Duration = Duration::from_millis(250);
/// How long a recording shows a finished run.
const HOLD: Duration = Duration::from_millis(2400);

/// An animation: pictures and the time that each is shown.
#[derive(Default)]
struct Recording(Vec<(image::RgbaImage, Duration)>);

impl Recording {
    /// Adds a picture of the window. A picture equal to the last one prolongs that one.
    fn add(&mut self, studio: &mut Studio, time: Duration) {
        let image = studio.window.render().expect("a picture");
        match self.0.last_mut().filter(|(last, _)| *last == image) {
            Some((_, shown)) => *shown += time,
            None => self.0.push((image, time)),
        }
    }

    /// Adds pictures until the run has finished, and holds the last.
    fn add_run(&mut self, studio: &mut Studio) {
        loop {
            let started = Instant::now();
            studio.window.step();
            let run = studio.window.state().session().run.as_ref();
            let has_ended = run.is_some_and(|run| run.phase == Phase::Finished);
            self.add(studio, FRAME);
            if has_ended {
                break;
            }
            std::thread::sleep(FRAME.saturating_sub(started.elapsed()));
        }
        studio.settle();
        self.add(studio, HOLD);
    }

    fn save(&self, name: &str) {
        let (width, height) = self.0[0].0.dimensions();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
        let file = BufWriter::new(File::create(folder.join(name)).expect("a file"));
        let mut colors = Colors::of(&self.0);
        let mut encoder = png::Encoder::new(file, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(colors.palette.concat());
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.set_animated(self.0.len() as u32, 0).expect("frames");
        encoder.set_blend_op(png::BlendOp::Source).expect("an animation");
        let mut writer = encoder.write_header().expect("a header");
        let mut last: Option<&image::RgbaImage> = None;
        for (image, time) in &self.0 {
            let [x, y, w, h] =
                last.map_or([0, 0, width, height], |last| changed_region(last, image));
            let region = image.view(x, y, w, h);
            let indices: Vec<u8> = region.pixels().map(|(_, _, p)| colors.index(p.0)).collect();
            // The size is checked against the position of the last frame.
            writer.reset_frame_position().expect("a position");
            writer.set_frame_dimension(w, h).expect("a size");
            writer.set_frame_position(x, y).expect("a position");
            writer.set_frame_delay(time.as_millis() as u16, 1000).expect("a delay");
            writer.write_image_data(&indices).expect("the pixels");
            last = Some(image);
        }
        writer.finish().expect("a whole file");
    }
}

/// The most frequent colours of an animation. Text and plots have few, so the others are close to
/// one of these.
struct Colors {
    palette: Vec<[u8; 3]>,
    /// The index of every colour found so far.
    indices: HashMap<[u8; 3], u8>,
}

impl Colors {
    fn of(frames: &[(image::RgbaImage, Duration)]) -> Self {
        let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
        for pixel in frames.iter().flat_map(|(image, _)| image.pixels()) {
            *counts.entry([pixel[0], pixel[1], pixel[2]]).or_default() += 1;
        }
        let mut palette: Vec<[u8; 3]> = counts.keys().copied().collect();
        palette.sort_by_key(|color| (std::cmp::Reverse(counts[color]), *color));
        palette.truncate(256);
        Self { palette, indices: HashMap::new() }
    }

    /// Returns the index of the closest colour of the palette.
    fn index(&mut self, [r, g, b, _]: [u8; 4]) -> u8 {
        let color = [r, g, b];
        let distance = |other: &[u8; 3]| -> i32 {
            color.iter().zip(other).map(|(a, b)| (i32::from(*a) - i32::from(*b)).pow(2)).sum()
        };
        let palette = &self.palette;
        *self.indices.entry(color).or_insert_with(|| {
            let closest = (0..palette.len()).min_by_key(|&i| distance(&palette[i]));
            closest.unwrap_or(0) as u8
        })
    }
}

/// Returns position and size of the smallest rectangle with all pixels that differ.
fn changed_region(a: &image::RgbaImage, b: &image::RgbaImage) -> [u32; 4] {
    let differing = a.enumerate_pixels().zip(b.pixels()).filter(|((_, _, a), b)| a != b);
    let (mut low, mut high) = ([u32::MAX; 2], [0; 2]);
    for ((x, y, _), _) in differing {
        low = [low[0].min(x), low[1].min(y)];
        high = [high[0].max(x), high[1].max(y)];
    }
    [low[0], low[1], high[0] - low[0] + 1, high[1] - low[1] + 1]
}

/// The first story on the stage, told with three keys.
fn story() {
    let options = Options { present: true, settings: None, ..options(Theme::Dark) };
    // The presentation is enlarged 1.4 times, so the picture has 1280 by 720 pixels.
    let mut studio = Studio::enter(options, vec2(1280.0, 720.0) / 1.4);
    studio.until("the pack", |window| window.state().session().pack.is_some());
    studio.window.ctx.memory_mut(|m| m.stop_text_input());
    studio.settle();
    let mut recording = Recording::default();
    for _ in 0..3 {
        studio.window.key_press(Key::PageDown);
        recording.add_run(&mut studio);
    }
    recording.save("story.png");
}

/// Dragging the strength with Live on: the guided text is written again at every rest.
fn live() {
    let mut studio = Studio::enter(options(Theme::Light), vec2(1024.0, 640.0));
    studio.until("the pack", |window| window.state().session().pack.is_some());
    studio.type_prompt(PROMPT);
    studio.generate();
    studio.click("Live");
    let mut recording = Recording::default();
    recording.add(&mut studio, HOLD);
    let slider = studio.window.get_by_role_and_label(Role::Slider, "Token guidance β").rect();
    let at = |beta: f32| {
        let share = (beta + 3.0) / 6.0;
        pos2(slider.left() + 9.0 + share * (slider.width() - 18.0), slider.top() + 12.0)
    };
    studio.window.drag_at(at(1.0));
    for beta in [0.5, 0.0, -0.5, -1.5] {
        studio.window.hover_at(at(beta));
        let moved = Instant::now();
        while moved.elapsed() < Duration::from_millis(400) {
            studio.window.step();
            recording.add(&mut studio, FRAME);
            std::thread::sleep(FRAME);
        }
        recording.add_run(&mut studio);
    }
    studio.window.drop_at(at(-1.5));
    recording.save("live.png");
}
