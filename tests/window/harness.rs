//! A window and the engine behind it.

use std::path::Path;
use std::time::Duration;

use eframe::egui::epaint::TextShape;
use eframe::egui::{
    Event, Key, Modifiers, OutputCommand, PointerButton, Pos2, Role, Shape, Vec2, pos2,
};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, HarnessBuilder, Node};
use ivg_playground::app::session::{ArmView, Phase};
use ivg_playground::app::{App, Options, preferences::Preferences};
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::{Candidate, StopReason};
use ivg_playground::worker::protocol::{Command, PackInfo, PackSource, Request, RunId};

use crate::engine::{Engine, engine, pack, tokens};

/// Both ends, in one hand.
pub struct Bench {
    /// The window.
    pub window: Harness<'static, App>,
    /// The worker.
    pub engine: Engine,
}

impl Bench {
    /// A window that waits for its pack.
    pub fn closed(options: Options, stored: Preferences) -> Self {
        let builder = Harness::builder().with_size(Vec2::new(1280.0, 1000.0));
        Self::built(builder, options, stored)
    }

    /// The same from a builder that says how large it is and what draws it.
    pub fn built(builder: HarnessBuilder<App>, options: Options, stored: Preferences) -> Self {
        let (link, engine) = engine(|| {});
        let window = builder
            .with_max_steps(20)
            .build_eframe(|cc| App::new(&cc.egui_ctx, link, options, stored));
        // A step of the harness is a quarter of a second, too slow for a double-click.
        window.ctx.options_mut(|o| o.input_options.max_double_click_delay = 2.0);
        Self { window, engine }
    }

    /// A window with a pack.
    pub fn with_pack(pack: PackInfo) -> Self {
        Self::open(options(), Preferences::default(), pack)
    }

    /// A window with a pack and a history.
    pub fn open(options: Options, stored: Preferences, pack: PackInfo) -> Self {
        let mut bench = Self::closed(options, stored);
        bench.engine.load(pack);
        bench.window.run();
        bench
    }

    /// A window with a pack that can do everything, and a prompt.
    pub fn ready() -> Self {
        let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
        Self::open(options(), stored, pack())
    }

    /// The same with a folder for its runs.
    pub fn keeping(folder: &Path) -> Self {
        let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
        let mut options = options();
        options.folder = Some(folder.to_owned());
        Self::open(options, stored, pack())
    }

    /// A window in which a run has begun.
    pub fn running() -> (Self, RunId, Request) {
        let mut bench = Self::ready();
        bench.click("Generate");
        let (run, request) = bench.engine.generate();
        bench.engine.send(ivg_playground::worker::protocol::Event::Started { run });
        bench.window.run();
        (bench, run, request)
    }

    /// A window with a finished search of `chunks` chunks of five tokens, four of sixteen
    /// candidates kept, beside a single line of the base.
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
        // The plot leaves its axes the room that they took in the frame before.
        self.window.step();
    }

    /// The candidates of a column's chunk.
    pub fn candidates(&self, arm: usize, chunk: usize) -> &[Candidate] {
        let run = self.window.state().session().run.as_ref().expect("a run");
        &run.arms[arm].report.chunks[chunk].candidates
    }

    /// Sets three unlike columns up: best of N, guidance pinned at other settings than the
    /// sliders', token guidance alone.
    pub fn unlike_columns(&mut self) {
        self.enter("Token guidance β", "-0.5");
        self.enter("Seed", "9");
        self.click("Column 2: Guided");
        self.click("Pin these settings");
        self.enter("Token guidance β", "2");
        self.click("Add column");
        self.click("Column 1: Unguided");
        self.click("Best of 16");
    }

    /// Clicks the one thing that is called this.
    pub fn click(&mut self, name: &str) {
        self.window.get_by_label(name).click();
        self.window.run();
    }

    /// Runs what is set, to its end.
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

    /// Types over everything that the focused box holds.
    pub fn overtype(&mut self, text: &str) {
        self.key(Modifiers::COMMAND, Key::A);
        self.window.event(Event::Text(text.into()));
        self.window.run();
    }

    /// Waits for what another thread does. A step is a quarter of a second for the window.
    pub fn wait(&mut self, what: &str, is_there: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            self.window.step();
            if is_there(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = &self.window.state().session().error;
        panic!("waited in vain for {what}; the error strip says {error:?}");
    }

    /// What goes to the clipboard when this is clicked.
    pub fn copied(&mut self, name: &str) -> Option<OutputCommand> {
        self.window.get_by_label(name).click();
        let mut copied = None;
        for _ in 0..3 {
            self.window.step();
            copied = copied.or(self.window.output().platform_output.commands.first().cloned());
        }
        copied
    }

    /// The texts on screen with their place, as they are drawn.
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

    /// The settings of the next run.
    pub fn settings(&self) -> &Settings {
        &self.window.state().preferences().settings
    }

    /// What a column shows.
    pub fn arm(&self, arm: Arm) -> &ArmView {
        self.window.state().session().arm(arm).expect("the arm takes part")
    }

    /// How far the run is.
    pub fn phase(&self) -> Option<Phase> {
        self.window.state().session().run.as_ref().map(|run| run.phase)
    }

    /// Whether something on screen reads exactly like this.
    pub fn shows(&self, words: &str) -> bool {
        self.window.query_all_by_label(words).next().is_some()
    }

    /// Whether a text on screen contains this.
    pub fn reads(&self, words: &str) -> bool {
        self.window.query_all_by_label_contains(words).next().is_some()
            || self.window.query_all_by_value(words).next().is_some()
    }

    /// The rail of a setting.
    pub fn slider<'a>(&'a self, name: &'a str) -> Node<'a> {
        self.window.get_by_role_and_label(Role::Slider, name)
    }

    /// The number box of a setting.
    pub fn number<'a>(&'a self, name: &'a str) -> Node<'a> {
        self.window.get_by_role_and_label(Role::SpinButton, name)
    }

    /// Types into the number box of a setting and presses Enter.
    pub fn enter(&mut self, name: &str, text: &str) {
        self.number(name).click();
        self.window.run();
        self.window.event(Event::Text(text.into()));
        self.window.run();
        self.window.key_press(eframe::egui::Key::Enter);
        self.window.run();
    }

    /// A place on the rail of a setting, 0 to 1.
    pub fn place(&self, name: &str, share: f32) -> Pos2 {
        let rect = self.slider(name).rect();
        // The rail begins a handle's width inside its rectangle.
        let (left, right) = (rect.left() + 9.0, rect.right() - 9.0);
        pos2(left + share * (right - left), rect.top() + 12.0)
    }

    /// Presses the handle of a setting at one place and moves it to another, without letting go.
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

    /// Lets go.
    pub fn drop(&mut self, at: Pos2) {
        self.window.drop_at(at);
        self.window.run();
    }

    /// Presses and releases the mouse in one place.
    pub fn press(&mut self, at: Pos2) {
        self.window.hover_at(at);
        self.window.run();
        for pressed in [true, false] {
            let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
            self.window.event(Event::PointerButton { pos: at, button, pressed, modifiers });
            self.window.step();
        }
    }

    /// The sentence that appears over something.
    pub fn hover(&mut self, at: Pos2) {
        self.window.hover_at(at);
        // Tooltips wait until the pointer is still.
        for _ in 0..6 {
            self.window.step();
        }
    }

    /// Whether something can be used.
    pub fn is_disabled(&self, role: Role, name: &str) -> bool {
        self.window.get_by_role_and_label(role, name).accesskit_node().is_disabled()
    }

    /// Fails if the window has sent anything.
    pub fn expect_silence(&self) {
        assert_eq!(self.engine.next(), None, "the window sent a command");
    }

    /// The next command, which must be a stop.
    pub fn expect_stop(&self, run: RunId) {
        assert_eq!(self.engine.command(), Command::Stop(run));
    }
}

/// The bundled pack and nothing else.
pub fn options() -> Options {
    Options::new(PackSource::Bundled("imdb-sentiment".into()))
}
