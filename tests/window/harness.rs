//! The test harness: a window and a fake worker.

use std::path::Path;
use std::time::Duration;

use eframe::egui::epaint::TextShape;
use eframe::egui::{
    Event, Key, Modifiers, OutputCommand, PointerButton, Pos2, Role, Shape, Vec2, pos2,
};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, HarnessBuilder, Node};
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::app::state::session::{ArmView, Phase};
use ivg_playground::app::{App, Options};
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::{Candidate, StopReason};
use ivg_playground::worker::protocol::{Command, PackInfo, PackSource, Request, RunId};

use crate::engine::{Engine, engine, pack, tokens};

/// A window and its fake worker.
pub struct Bench {
    pub window: Harness<'static, App>,
    pub engine: Engine,
}

impl Bench {
    /// Opens a window whose pack is not loaded yet.
    pub fn closed(options: Options, stored: Preferences) -> Self {
        let builder = Harness::builder().with_size(Vec2::new(1280.0, 1000.0));
        Self::built(builder, options, stored)
    }

    /// Opens a window whose pack is not loaded yet, with the size and the renderer of `builder`.
    pub fn built(builder: HarnessBuilder<App>, options: Options, stored: Preferences) -> Self {
        let (link, engine) = engine(|| {});
        let window = builder
            .with_max_steps(20)
            .build_eframe(|cc| App::new(&cc.egui_ctx, link, options, stored));
        // A step of the harness takes a quarter of a second, which is too slow for a double-click.
        window.ctx.options_mut(|o| o.input_options.max_double_click_delay = 2.0);
        Self { window, engine }
    }

    /// Opens a window with this pack.
    pub fn with_pack(pack: PackInfo) -> Self {
        Self::open(options(), Preferences::default(), pack)
    }

    /// Opens a window with these options, preferences and pack.
    pub fn open(options: Options, stored: Preferences, pack: PackInfo) -> Self {
        let mut bench = Self::closed(options, stored);
        bench.engine.load(pack);
        bench.window.run();
        bench
    }

    /// Opens a window with a pack that has every role, and a prompt.
    pub fn ready() -> Self {
        let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
        Self::open(options(), stored, pack())
    }

    /// Opens the same window with a history in `folder`.
    pub fn keeping(folder: &Path) -> Self {
        let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
        let mut options = options();
        options.folder = Some(folder.to_owned());
        Self::open(options, stored, pack())
    }

    /// Opens a window in which a run has started.
    pub fn running() -> (Self, RunId, Request) {
        let mut bench = Self::ready();
        bench.click("Generate");
        let (run, request) = bench.engine.generate();
        bench.engine.send(ivg_playground::worker::protocol::Event::Started { run });
        bench.window.run();
        (bench, run, request)
    }

    /// Opens a window in which the guided column has searched `chunks` chunks of five tokens, with
    /// four of sixteen candidates kept, next to an unguided column.
    pub fn searched(chunks: usize) -> Self {
        let (mut bench, run, _) = Self::running();
        bench.search(run, chunks);
        bench
    }

    /// Sends the chunks of both columns of a run.
    pub fn search(&mut self, run: RunId, chunks: usize) {
        let words: String = (0..5 * chunks).map(|i| format!("w{i} ")).collect();
        let all = tokens(&words);
        for end in (5..=5 * chunks).step_by(5) {
            for (arm, rows) in [(0, (1, 1)), (1, (4, 16))] {
                let chunk = self.engine.search_chunk(end, end as f32 / 10.0, rows, end == 5);
                self.engine.chunk(run, arm, chunk, &all[..end]);
            }
        }
        self.window.run();
        // The plot reserves the space that its axes took in the previous frame.
        self.window.step();
    }

    /// Returns the candidates of a column's chunk.
    pub fn candidates(&self, arm: usize, chunk: usize) -> &[Candidate] {
        let run = self.window.state().session().run.as_ref().expect("a run");
        &run.arms[arm].report.chunks[chunk].candidates
    }

    /// Sets up three different columns: best-of-N, guidance with pinned settings, token guidance.
    pub fn unlike_columns(&mut self) {
        self.enter("Token guidance β", "-0.5");
        self.enter("Seed", "9");
        self.click("Column 2: Guided");
        self.click("Pin these settings");
        self.enter("Token guidance β", "2");
        self.add_column("Token only");
        self.click("Column 1: Unguided");
        self.click("Best of 16");
    }

    /// Adds a column with the arm of this title.
    pub fn add_column(&mut self, title: &str) {
        self.click("Add column");
        self.click(&format!("Add column: {title}"));
    }

    /// Clicks the only widget with this label.
    pub fn click(&mut self, name: &str) {
        self.window.get_by_label(name).click();
        self.window.run();
    }

    /// Starts a run and finishes it with these texts.
    pub fn finish(&mut self, texts: &[&str]) -> Request {
        self.click("Generate");
        let (run, request) = self.engine.generate();
        self.engine.done(run, &request, texts, StopReason::MaxTokens);
        self.window.run();
        request
    }

    /// Presses a key.
    pub fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.window.key_press_modifiers(modifiers, key);
        self.window.run();
    }

    /// Replaces the text of the focused field.
    pub fn overtype(&mut self, text: &str) {
        self.key(Modifiers::COMMAND, Key::A);
        self.window.event(Event::Text(text.into()));
        self.window.run();
    }

    /// Waits until a condition holds that depends on another thread. For the window, each step
    /// takes a quarter of a second.
    pub fn wait(&mut self, what: &str, exists: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            self.window.step();
            if exists(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = &self.window.state().session().error;
        panic!("timed out waiting for {what}; the error bar shows {error:?}");
    }

    /// Clicks a widget and returns what it copies to the clipboard.
    pub fn copied(&mut self, name: &str) -> Option<OutputCommand> {
        self.window.get_by_label(name).click();
        let mut copied = None;
        for _ in 0..3 {
            self.window.step();
            copied = copied.or(self.window.output().platform_output.commands.first().cloned());
        }
        copied
    }

    /// Returns the drawn texts with their positions.
    pub fn drawn(&self) -> Vec<TextShape> {
        fn texts(shape: &Shape, found: &mut Vec<TextShape>) {
            match shape {
                Shape::Text(text) => found.push(text.clone()),
                Shape::Vec(shapes) => shapes.iter().for_each(|shape| texts(shape, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        self.window.output().shapes.iter().for_each(|s| texts(&s.shape, &mut found));
        found
    }

    /// Returns the settings of the next run.
    pub fn settings(&self) -> &Settings {
        &self.window.state().preferences().settings
    }

    /// Returns the column of an arm.
    pub fn arm(&self, arm: Arm) -> &ArmView {
        self.window.state().session().arm(arm).expect("a column with this arm")
    }

    /// Returns the phase of the run.
    pub fn phase(&self) -> Option<Phase> {
        self.window.state().session().run.as_ref().map(|run| run.phase)
    }

    /// Returns whether a widget has exactly this label.
    pub fn shows(&self, words: &str) -> bool {
        self.window.query_all_by_label(words).next().is_some()
    }

    /// Returns whether the label of a widget contains this text, or its value equals it.
    pub fn reads(&self, words: &str) -> bool {
        self.window.query_all_by_label_contains(words).next().is_some()
            || self.window.query_all_by_value(words).next().is_some()
    }

    /// Returns the slider of a setting.
    pub fn slider<'a>(&'a self, name: &'a str) -> Node<'a> {
        self.window.get_by_role_and_label(Role::Slider, name)
    }

    /// Returns the number field of a setting.
    pub fn number<'a>(&'a self, name: &'a str) -> Node<'a> {
        self.window.get_by_role_and_label(Role::SpinButton, name)
    }

    /// Types into the number field of a setting and presses Enter.
    pub fn enter(&mut self, name: &str, text: &str) {
        self.number(name).click();
        self.window.run();
        self.window.event(Event::Text(text.into()));
        self.window.run();
        self.window.key_press(eframe::egui::Key::Enter);
        self.window.run();
    }

    /// Returns a position on the slider of a setting, from 0 (left) to 1 (right).
    pub fn place(&self, name: &str, share: f32) -> Pos2 {
        let rect = self.slider(name).rect();
        // The track is inset by the width of the handle.
        let (left, right) = (rect.left() + 9.0, rect.right() - 9.0);
        pos2(left + share * (right - left), rect.top() + 12.0)
    }

    /// Drags the handle of a slider between two positions without releasing it. Returns the end
    /// position.
    pub fn drag(&mut self, name: &str, from: f32, to: f32) -> Pos2 {
        let (from, to) = (self.place(name, from), self.place(name, to));
        self.window.hover_at(from);
        self.window.run();
        self.window.drag_at(from);
        self.window.run();
        for step in 1..=4 {
            self.window.hover_at(from + (to - from) * (step as f32 / 4.0));
            self.window.run();
        }
        to
    }

    /// Releases the mouse button after [`Bench::drag`].
    pub fn drop(&mut self, at: Pos2) {
        self.window.drop_at(at);
        self.window.run();
    }

    /// Clicks at a position.
    pub fn press(&mut self, at: Pos2) {
        self.window.hover_at(at);
        self.window.run();
        for pressed in [true, false] {
            let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
            self.window.event(Event::PointerButton { pos: at, button, pressed, modifiers });
            self.window.step();
        }
    }

    /// Moves the pointer to a position and waits for the tooltip.
    pub fn hover(&mut self, at: Pos2) {
        self.window.hover_at(at);
        // Tooltips appear only after the pointer has rested.
        for _ in 0..6 {
            self.window.step();
        }
    }

    /// Returns whether a widget is disabled.
    pub fn is_disabled(&self, role: Role, name: &str) -> bool {
        self.window.get_by_role_and_label(role, name).accesskit_node().is_disabled()
    }

    /// Asserts that the window has sent no command.
    pub fn expect_silence(&self) {
        assert_eq!(self.engine.next(), None, "the window sent a command");
    }

    /// Asserts that the next command stops this run.
    pub fn expect_stop(&self, run: RunId) {
        assert_eq!(self.engine.command(), Command::Stop(run));
    }
}

/// Returns options that only set the pack.
pub fn options() -> Options {
    Options::new(PackSource::Bundled("imdb-sentiment".into()))
}
