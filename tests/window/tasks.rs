//! Five tasks, carried out in the real window on a virtual display with the mouse and the keyboard,
//! each from a new profile. The tests count the actions: a click, a key, or a text that is typed.
//!
//! A second window of the same size, without a display, tells where a widget is. It receives the same
//! clicks and keys. The results are read from the files that the program writes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eframe::egui::{Event, Key, Modifiers, Role, Vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::app::{App, Options};
use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::trace::Trace;
use ivg_playground::packs::PackSource;
use ivg_playground::packs::hub::Hub;
use ivg_playground::records::history::History;
use ivg_playground::worker;
use tempfile::TempDir;

use crate::display::Display;

/// Time limit of one wait, for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Pause between two actions, so that the window draws what the first one has opened.
const PAUSE: Duration = Duration::from_millis(700);

/// The tests run one after another, so that the windows are not slowed down.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The real window and its counterpart without a display.
struct Desk {
    _turn: MutexGuard<'static, ()>,
    display: Display,
    program: Child,
    home: TempDir,
    twin: Harness<'static, App>,
    /// The folder of the counterpart's history.
    _twin_folder: TempDir,
    actions: usize,
}

impl Desk {
    /// Opens both windows with new profiles and waits until the bundled pack is loaded. Returns
    /// `None` without a virtual display.
    fn open() -> Option<Self> {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let display = Display::with_input()?;
        let home = tempfile::tempdir().expect("a folder");
        let mut program = display.program(home.path());
        let program = program.args(["--size", "1280x720"]).env("IVG_LOG", "ivg_playground=info");
        let mut program = program.stderr(Stdio::piped()).spawn().expect("the program");
        let mut log = BufReader::new(program.stderr.take().expect("a pipe")).lines();
        let twin_folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            folder: Some(twin_folder.path().join("history")),
            example: true,
            pick_path: |_| None,
            ..Options::new(PackSource::default())
        };
        let link = worker::spawn(Hub::default(), || {}).expect("a thread");
        let twin = Harness::builder()
            .with_size(Vec2::new(1280.0, 720.0))
            .with_max_steps(20)
            .build_eframe(|cc| App::new(&cc.egui_ctx, link, options, Preferences::default()));
        let (actions, _twin_folder) = (0, twin_folder);
        let mut desk = Self { _turn, display, program, home, twin, _twin_folder, actions };
        desk.until("the pack", |desk| desk.twin.state().session().pack.is_some());
        desk.until("the example", |desk| desk.twin.state().session().run.is_some());
        // Without a window manager, a window has the keyboard only if it is told to.
        let search = ["search", "--sync", "--onlyvisible", "--name", "IVG Playground"];
        desk.display.input(&[&search[..], &["windowfocus"]].concat());
        let loaded = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("loaded")));
        assert!(loaded.is_some(), "the program has ended");
        // Later messages must not fill the pipe.
        std::thread::spawn(move || log.for_each(drop));
        desk.wait(2 * PAUSE);
        Some(desk)
    }

    /// Waits until a condition holds that depends on another thread or on the program.
    fn until(&mut self, what: &str, exists: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !exists(self) {
            assert!(started.elapsed() < TIMEOUT, "timed out waiting for {what}");
            let ended = self.program.try_wait().expect("a child");
            assert_eq!(ended, None, "the program has ended");
            self.twin.step();
            std::thread::sleep(Duration::from_millis(20));
        }
        self.wait(PAUSE);
    }

    fn wait(&mut self, pause: Duration) {
        let started = Instant::now();
        while started.elapsed() < pause {
            self.twin.step();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks a widget in the real window only.
    fn click_there(&mut self, name: &str) {
        let at = self.twin.get_by_label(name).rect().center();
        let (x, y) = (at.x.to_string(), at.y.to_string());
        self.display.input(&["mousemove", &x, &y]);
        std::thread::sleep(PAUSE / 2);
        self.display.input(&["click", "1"]);
        self.actions += 1;
        self.wait(PAUSE);
    }

    /// Clicks a widget in both windows.
    fn click(&mut self, name: &str) {
        self.click_there(name);
        self.twin.get_by_label(name).click();
        self.wait(PAUSE);
    }

    /// Presses a key in both windows.
    fn press(&mut self, keysym: &str, modifiers: Modifiers, key: Key) {
        self.display.input(&["key", keysym]);
        self.twin.key_press_modifiers(modifiers, key);
        self.actions += 1;
        self.wait(PAUSE);
    }

    /// Types a text over the content of the focused field in both windows and confirms it with
    /// Enter.
    fn enter(&mut self, text: &str) {
        self.display.input(&["key", "ctrl+a"]);
        self.display.input(&["type", "--delay", "20", "--", text]);
        self.twin.key_press_modifiers(Modifiers::COMMAND, Key::A);
        self.twin.step();
        self.twin.event(Event::Text(text.into()));
        self.wait(PAUSE);
        self.display.input(&["key", "Return"]);
        self.twin.key_press(Key::Enter);
        self.actions += 1;
        self.wait(PAUSE);
    }

    /// Returns the runs in the history of the real window, oldest first.
    fn runs(&self) -> Vec<Trace> {
        let folder = self.home.path().join("ivg-playground/history");
        let history = History::open(&folder).expect("a history");
        let mut entries = history.list().expect("a listing").entries;
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        entries.iter().map(|entry| history.load(&entry.id).expect("a run")).collect()
    }

    /// Waits until the history of the real window has this many runs, and returns the newest.
    fn run(&mut self, number: usize) -> Trace {
        self.until("a run", |desk| desk.runs().len() >= number);
        let mut runs = self.runs();
        assert_eq!(runs.len(), number, "an action has started more than one run");
        runs.pop().expect("a run")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let file = std::env::temp_dir().join("ivg-task.xwd");
            let _ = std::process::Command::new("xwd")
                .args(["-root", "-silent", "-display", self.display.name(), "-out"])
                .arg(&file)
                .status()
                .inspect(|_| eprintln!("the window is shown in {}", file.display()));
        }
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Returns the names of the files in `folder` that end with `suffix`.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
}

#[test]
fn the_first_guided_text_takes_one_action() {
    let Some(mut desk) = Desk::open() else { return };
    desk.click("Generate");
    let run = desk.run(1);
    let guided = run.arms.iter().find(|arm| arm.name == Arm::Ivg).expect("a guided column");
    assert!(!guided.text.is_empty() && guided.settings.beta == 1.0);
    assert_eq!(desk.actions, 1);
}

#[test]
fn two_strengths_stand_side_by_side_after_four_actions() {
    let Some(mut desk) = Desk::open() else { return };
    desk.click("Freeze Guided beside itself");
    let field = desk.twin.get_by_role_and_label(Role::SpinButton, "Token guidance β").rect();
    let (x, y) = (field.center().x.to_string(), field.center().y.to_string());
    desk.display.input(&["mousemove", &x, &y, "click", "1"]);
    desk.twin.get_by_role_and_label(Role::SpinButton, "Token guidance β").click();
    desk.actions += 1;
    desk.wait(PAUSE);
    desk.enter("-1");
    desk.click("Generate");
    let run = desk.run(1);
    let guided = run.arms.iter().filter(|arm| arm.name == Arm::Ivg && !arm.text.is_empty());
    let betas: Vec<f32> = guided.map(|arm| arm.settings.beta).collect();
    assert_eq!(betas, [-1.0, 1.0]);
    assert_eq!(desk.actions, 4);
}

#[test]
fn a_story_of_three_steps_is_told_on_stage_with_four_keys() {
    let Some(mut desk) = Desk::open() else { return };
    desk.press("F11", Modifiers::NONE, Key::F11);
    for (step, beta) in [0.0, 1.0, -1.0].into_iter().enumerate() {
        desk.press("Next", Modifiers::NONE, Key::PageDown);
        let run = desk.run(step + 1);
        assert_eq!((run.prompt.as_str(), run.seed), ("This film", 8));
        assert_eq!(run.settings.beta, beta);
    }
    assert_eq!(desk.actions, 4);
}

/// `IVG_TEST_GGUF` names SmolLM2-135M-Instruct.Q4_1.gguf, which is too large for the repository.
/// Without it, the folder of the bundled language model is brought.
#[test]
fn a_model_from_disk_is_guided_by_bundled_parts_after_five_actions() {
    let Some(mut desk) = Desk::open() else { return };
    let gguf = std::env::var_os("IVG_TEST_GGUF").map(PathBuf::from);
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb/base");
    let path = gguf.unwrap_or(bundled);
    desk.press("ctrl+m", Modifiers::COMMAND, Key::M);
    desk.click("Bring a model");
    desk.enter(&path.display().to_string());
    desk.until("the guides", |desk| {
        desk.twin.query_by_label("imdb/tuned · pair of models").is_some()
    });
    desk.press("Return", Modifiers::NONE, Key::Enter);
    desk.click_there("Save and load");
    let run = desk.run(1);
    let guided = run.arms.iter().find(|arm| arm.name == Arm::Ivg).expect("a guided column");
    assert!(!guided.text.is_empty());
    assert!(guided.tokens.iter().any(|token| token.logp_tuned.is_some()), "not guided");
    assert_ne!(run.pack, "imdb");
    assert_eq!(desk.actions, 5);
}

#[test]
fn the_value_plot_is_saved_as_svg_in_two_actions() {
    let Some(mut desk) = Desk::open() else { return };
    desk.click("Save figure");
    desk.click_there("SVG for a paper");
    let home = desk.home.path().to_owned();
    desk.until("the figure", |_| !files(&home, ".values.svg").is_empty());
    let svg = std::fs::read_to_string(&files(&home, ".values.svg")[0]).expect("a figure");
    assert!(svg.contains("Length of the response (tokens)"));
    assert_eq!(desk.actions, 2);
}
