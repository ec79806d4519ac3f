//! Remakes `screenshots/` from real runs of the real engine on the bundled pack:
//!
//! ```console
//! cargo test --release --test screenshots -- --ignored
//! ```
//!
//! The window is driven by its accessible names, as in the other tests, and drawn by a software
//! adapter. Texts, values and plots are the same every time; what the runs took is not.
#![allow(clippy::unwrap_used, missing_docs)]
#![cfg(feature = "window")]

mod graphics;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eframe::egui::{Role, Vec2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use graphics::Painter;
use ivg_playground::app::preferences::Preferences;
use ivg_playground::app::session::Phase;
use ivg_playground::app::{App, Options, Theme};
use ivg_playground::guidance::settings::Settings;
use ivg_playground::packs::PackSource;
use ivg_playground::worker;

const PROMPT: &str = "After the first ten minutes";
/// A seed at which the base is of another opinion than its guides.
const SEED: u64 = 6;
/// The size in which the window opens.
const USUAL: Vec2 = Vec2::new(1440.0, 900.0);
/// A strip takes longest.
const PATIENCE: Duration = Duration::from_secs(600);

/// A window on the real worker. There is one at a time, so that runs are not slowed down by
/// others.
struct Studio {
    window: Harness<'static, App>,
    _turn: MutexGuard<'static, ()>,
}

impl Studio {
    /// A window with the bundled pack.
    fn open(theme: Theme) -> Self {
        let mut studio = Self::enter(options(theme), USUAL);
        studio.until("the pack", |window| window.state().session().pack.is_some());
        studio
    }

    fn enter(options: Options, size: Vec2) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let painter = Painter::new().expect("a software adapter; install mesa-vulkan-drivers");
        let link = worker::spawn(|| {}).unwrap();
        let window = Harness::builder()
            .with_size(size)
            .with_max_steps(20)
            .renderer(painter)
            .build_eframe(|cc| App::new(&cc.egui_ctx, link, options, Preferences::default()));
        Self { window, _turn: turn }
    }

    /// Waits for the worker.
    fn until(&mut self, what: &str, is_there: impl Fn(&Harness<'static, App>) -> bool) {
        let started = Instant::now();
        while !is_there(&self.window) {
            assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
            self.window.step();
            std::thread::sleep(Duration::from_millis(20));
        }
        self.settle();
    }

    /// Draws until nothing moves: scroll bars, tooltips and the room of the axes take a while.
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

    /// Presses Generate and waits for the end.
    fn generate(&mut self) {
        self.click("Generate");
        self.until("the run", |window| {
            let run = window.state().session().run.as_ref();
            run.is_some_and(|run| run.phase == Phase::Finished)
        });
        // A caret says that somebody is about to type.
        self.window.ctx.memory_mut(|m| m.stop_text_input());
        self.settle();
    }

    fn save(&mut self, name: &str) {
        let image = self.window.render().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
        let file = BufWriter::new(File::create(folder.join(name)).unwrap());
        let mut encoder = png::Encoder::new(file, image.width(), image.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let rgb: Vec<u8> =
            image.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&rgb).unwrap();
        writer.finish().unwrap();
    }
}

fn options(theme: Theme) -> Options {
    let settings = Some(Settings { seed: SEED, ..Settings::default() });
    Options { theme: Some(theme), settings, ..Options::new(PackSource::default()) }
}

/// A finished run of the usual prompt.
fn finished(theme: Theme) -> Studio {
    let mut studio = Studio::open(theme);
    studio.type_prompt(PROMPT);
    studio.generate();
    studio
}

#[test]
#[ignore = "remakes a picture of the README"]
fn hero() {
    finished(Theme::Light).save("hero.png");
}

#[test]
#[ignore = "remakes a picture of the README"]
fn dark() {
    finished(Theme::Dark).save("dark.png");
}

/// Tokens coloured by advantage; the pointer rests on the one that guidance likes best.
#[test]
#[ignore = "remakes a picture of the README"]
fn tokens() {
    let mut studio = finished(Theme::Light);
    studio.click("Colour tokens by: Advantage");
    let run = studio.window.state().session().run.as_ref().unwrap();
    let guided = &run.arms.last().unwrap().report;
    // Near the top, so that its card does not cover what it is about.
    let near = guided.tokens.iter().filter(|t| t.end < guided.text.len() / 3);
    let wanted = near.max_by(|a, b| a.advantage.partial_cmp(&b.advantage).unwrap()).unwrap();
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
    // Off the edge of the word.
    studio.window.hover_at((edge + vec2(10.0, 4.0)).to_pos2());
    studio.settle();
    assert!(studio.window.query_by_label(&card).is_some(), "the word is too short");
    studio.save("tokens.png");
}

#[test]
#[ignore = "remakes a picture of the README"]
fn tree() {
    let mut studio = finished(Theme::Light);
    studio.click("Below: Tree");
    studio.save("tree.png");
}

/// The strip of the usual prompt, complete.
#[test]
#[ignore = "remakes a picture of the README"]
fn strip() {
    let mut studio = finished(Theme::Light);
    studio.click("Below: Strength");
    studio.click("Run the strip");
    studio.until("the strip", |window| window.query_by_label("Run again").is_some());
    studio.save("strip.png");
}

#[test]
#[ignore = "remakes a picture of the README"]
fn present() {
    let prompt = Some(PROMPT.to_owned());
    let options = Options { present: true, prompt, ..options(Theme::Light) };
    // The stage is drawn 1.4 times as large; together these are 1280 by 720 pixels.
    let mut studio = Studio::enter(options, vec2(1280.0, 720.0) / 1.4);
    studio.until("the pack", |window| window.state().session().pack.is_some());
    studio.generate();
    studio.save("present.png");
}

/// Several runs in the sidebar, the last of them shown.
#[test]
#[ignore = "remakes a picture of the README"]
fn history() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { folder: Some(folder.path().to_owned()), ..options(Theme::Light) };
    let mut studio = Studio::enter(options, USUAL);
    studio.until("the pack", |window| window.state().session().pack.is_some());
    let examples = studio.window.state().session().pack.as_ref().unwrap().examples.clone();
    for example in &examples {
        studio.click(&format!("Example: {example}"));
        studio.generate();
    }
    studio.click("Sidebar: History");
    let first = format!("Run: {}", examples[0]);
    studio.until("the history", |window| window.query_by_label(&first).is_some());
    studio.save("history.png");
}

#[test]
#[ignore = "remakes a picture of the README"]
fn four_columns() {
    let mut studio = Studio::open(Theme::Light);
    studio.click("Add column");
    studio.click("Add column");
    studio.type_prompt(PROMPT);
    studio.generate();
    studio.save("four-columns.png");
}

/// The packs, on top those that a person sees first.
#[test]
#[ignore = "remakes a picture of the README"]
fn models() {
    let mut studio = finished(Theme::Light);
    studio.click("Sidebar: Models");
    studio.until("the packs", |window| window.query_by_label("in use").is_some());
    studio.save("models.png");
}

/// A folder that is no pack.
#[test]
#[ignore = "remakes a picture of the README"]
fn error() {
    let pack = PackSource::Folder(PathBuf::from("my-pack"));
    let options = Options { theme: Some(Theme::Light), ..Options::new(pack) };
    let mut studio = Studio::enter(options, USUAL);
    studio.until("the error", |window| window.state().session().error.is_some());
    studio.save("error.png");
}
