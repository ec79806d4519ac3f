//! The window: it sends commands to the worker and draws what comes back. It holds no tensor, and
//! no model call, file or network access happens on its thread.
//!
//! * [`session`]: events in, state out; what is going on now.
//! * [`preferences`]: what is remembered.
//! * [`panels`]: one panel, one file, one type; they draw and return what a person asked for.
//! * [`theme`]: every colour, distance and type size.

pub mod availability;
pub mod coloring;
mod icon;
pub mod panels;
pub mod preferences;
mod response;
mod screenshot;
pub mod session;
mod stage;
mod strip_card;
mod strip_plot;
pub mod strip_view;
pub mod theme;
mod token_card;
pub mod widgets;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use eframe::egui::{
    self, CentralPanel, Frame, Key, KeyboardShortcut, Margin, Modifiers, Panel, Ui, Vec2,
    ViewportBuilder, ViewportCommand,
};
use thiserror::Error;

use crate::guidance::settings::{Arm, Settings};
use crate::worker::Link;
use crate::worker::protocol::{Command, Event, PackInfo, PackSource, Request, RunId};

use availability::why_no_run;
use panels::Action;
use preferences::Preferences;
use screenshot::{Camera, Outcome};
use session::Session;
use stage::Stage;
pub use theme::Theme;
use theme::{Palette, space};
use widgets::Edit;

/// The name in the title bar and of the folder that preferences are kept in.
const NAME: &str = "IVG Playground";
const APP_ID: &str = "ivg-playground";
/// Starts a run.
const GENERATE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Enter);
/// Steps on the stage and off it.
const PRESENT: Key = Key::F11;
/// Size of the window, in points, unless another was asked for or is remembered.
const SIZE: [f32; 2] = [1440.0, 900.0];
/// Frames in which the window is asked to take the size it was given.
const RESIZING: u32 = 10;
/// How long the window waits for more events before it draws them. With the time of a frame on
/// top this is a little over thirty frames a second.
const GATHER: Duration = Duration::from_millis(10);

/// How the window opens. What is none comes from the last session.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pack to load.
    pub pack: PackSource,
    /// The prompt.
    pub prompt: Option<String>,
    /// Press Generate as soon as the pack is ready.
    pub generate: bool,
    /// Write a picture of the window here once the first run is done (or, without `generate`,
    /// the pack is ready), then close.
    pub screenshot: Option<PathBuf>,
    /// Open on the stage: texts and plot alone, large.
    pub present: bool,
    /// Light, dark or what the desktop says.
    pub theme: Option<Theme>,
    /// Width and height of the window, in points.
    pub size: Option<[f32; 2]>,
    /// The settings.
    pub settings: Option<Settings>,
}

impl Options {
    /// Everything as in the last session, with this pack.
    pub fn new(pack: PackSource) -> Self {
        Self {
            pack,
            prompt: None,
            generate: false,
            screenshot: None,
            present: false,
            theme: None,
            size: None,
            settings: None,
        }
    }
}

/// Why there was no window, or no picture of it.
#[derive(Debug, Error)]
pub enum AppError {
    /// The desktop gave none.
    #[error(
        "no window could be opened: {0}; start it on a desktop, or without one use: \
         ivg-playground generate --prompt \"This film\""
    )]
    NoWindow(String),
    /// The worker could not be started.
    #[error("the engine could not be started ({0}); close other programs and try again")]
    NoEngine(String),
    /// The picture could not be written.
    #[error("the picture could not be written to {}: {reason}; choose another path", path.display())]
    Screenshot {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// There was nothing to take a picture of.
    #[error("no picture was taken: {0}")]
    NothingToShow(String),
}

impl AppError {
    fn from_opening(error: eframe::Error) -> Self {
        match error {
            eframe::Error::AppCreation(reason) => AppError::NoEngine(reason.to_string()),
            other => {
                // The window system puts the place in its own source before the reason.
                let words = other.to_string();
                let reason = words.rsplit(": ").next().unwrap_or(&words);
                AppError::NoWindow(reason.trim_end_matches('.').to_owned())
            }
        }
    }
}

/// Opens the window and stays until it is closed. `connect` starts the worker; it is given the
/// function that wakes the window, to be called after every event.
///
/// # Errors
/// If there is no display, or the picture asked for could not be taken.
pub fn run(
    options: Options,
    connect: impl FnOnce(Box<dyn Fn() + Send>) -> std::io::Result<Link> + 'static,
) -> Result<(), AppError> {
    let outcome = Outcome::default();
    let seen = Arc::clone(&outcome);
    let opened = eframe::run_native(
        APP_ID,
        native_options(&options),
        Box::new(move |cc| {
            let ctx = cc.egui_ctx.clone();
            // Asking for a frame in the future throttles: the earliest wish wins.
            let link = connect(Box::new(move || ctx.request_repaint_after(GATHER)))?;
            let camera = options.screenshot.clone().map(|path| Camera::new(path, seen));
            // A picture shows what was asked for, not what somebody did last week.
            let stored = cc.storage.filter(|_| camera.is_none());
            let mut app = App::new(&cc.egui_ctx, link, options, Preferences::load(stored));
            app.camera = camera;
            Ok(Box::new(app))
        }),
    );
    opened.map_err(AppError::from_opening)?;
    let result = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or(Ok(()))
}

fn native_options(options: &Options) -> eframe::NativeOptions {
    let mut viewport = ViewportBuilder::default()
        .with_title(NAME)
        .with_app_id(APP_ID)
        .with_icon(icon::icon())
        .with_min_inner_size([1024.0, 640.0])
        .with_inner_size(SIZE);
    if let Some(size) = options.size {
        viewport = viewport.with_inner_size(size);
    }
    eframe::NativeOptions {
        viewport,
        renderer: eframe::Renderer::Glow,
        // A third of the time of a frame on a software renderer, and nobody sees it.
        dithering: false,
        persist_window: options.size.is_none() && options.screenshot.is_none(),
        ..Default::default()
    }
}

/// The window's state: what is remembered, what is going on, and the line to the worker.
pub struct App {
    link: Link,
    preferences: Preferences,
    session: Session,
    last_run: RunId,
    /// Settings that a pack's own must not replace.
    settings_asked_for: Option<Settings>,
    /// Put the caret into the prompt box with the first frame.
    focus_prompt: bool,
    /// Start a run as soon as the pack is ready.
    generate_when_ready: bool,
    camera: Option<Camera>,
    stage: Stage,
    /// The size asked for, and for how many frames more to insist on it.
    size: Option<(Vec2, u32)>,
}

impl App {
    /// A window on the worker at the other end of `link`, which is told to load the pack.
    pub fn new(ctx: &egui::Context, link: Link, options: Options, stored: Preferences) -> Self {
        theme::install(ctx);
        let mut preferences = stored;
        if let Some(prompt) = options.prompt {
            preferences.prompt = prompt;
        }
        if let Some(theme) = options.theme {
            preferences.theme = theme;
        }
        if let Some(settings) = &options.settings {
            preferences.settings = settings.clone();
        }
        ctx.set_theme(preferences.theme.preference());
        ctx.set_zoom_factor(preferences.zoom);
        let loading = session::Loading { what: "looking for the models".into(), fraction: 0.0 };
        let session = Session { loading: Some(loading), ..Session::default() };
        let generate_when_ready = options.generate;
        let focus_prompt = options.screenshot.is_none();
        let size = options.size.or(options.screenshot.as_ref().map(|_| SIZE));
        let size = size.map(|size| (size.into(), RESIZING));
        let camera = None;
        let settings_asked_for = options.settings;
        let mut app = Self {
            link,
            preferences,
            session,
            last_run: 0,
            settings_asked_for,
            focus_prompt,
            generate_when_ready,
            camera,
            stage: Stage::default(),
            size,
        };
        if options.present {
            app.stage.toggle(ctx, &app.preferences);
        }
        app.send(Command::LoadPack(options.pack));
        app
    }

    /// What is going on.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What is remembered.
    pub fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    /// Takes in what the worker has sent.
    fn receive(&mut self) {
        let events: Vec<_> = self.link.drain().collect();
        for event in events {
            if let Event::Loaded(pack) = &event {
                self.meet(pack);
            }
            self.session.apply(event);
        }
        if self.generate_when_ready && self.session.pack.is_some() {
            self.generate_when_ready = false;
            self.generate();
        }
    }

    /// Settings asked for at the start outlive the first pack; otherwise a pack brings its own.
    fn meet(&mut self, pack: &PackInfo) {
        match self.settings_asked_for.take() {
            Some(settings) => {
                self.preferences.pack = Some(pack.name.clone());
                self.preferences.settings = settings;
            }
            None => self.preferences.adopt(pack),
        }
    }

    fn send(&mut self, command: Command) {
        if !self.link.send(command) {
            self.session.loading = None;
            self.session.error = Some(
                "The engine does not answer any more; close the window and start again.".into(),
            );
        }
    }

    fn generate(&mut self) {
        let Preferences { prompt, settings, .. } = &self.preferences;
        if let Some(reason) = why_no_run(prompt, settings, self.session.pack.as_ref()) {
            self.session.error = Some(reason);
            return;
        }
        self.last_run += 1;
        let request = Request {
            prompt: prompt.clone(),
            columns: vec![Arm::Base.into(), Arm::Ivg.into()],
            settings: settings.clone(),
        };
        self.session.error = None;
        self.session.begin(self.last_run, request.clone());
        self.send(Command::Generate(self.last_run, request));
    }

    fn stop(&mut self) {
        if let Some(run) = self.session.run.as_ref().filter(|r| r.is_active()) {
            let id = run.id;
            self.session.stopping();
            self.send(Command::Stop(id));
        }
    }

    fn act(&mut self, ctx: &egui::Context, action: Action) {
        match action {
            Action::Generate => self.generate(),
            Action::Stop => self.stop(),
            Action::Edited(edit) => self.edited(edit),
            Action::Present => {
                self.stage.toggle(ctx, &self.preferences);
                self.stage.fill_screen(ctx);
            }
            Action::DismissError => self.session.error = None,
            // No panel of the window sends these yet.
            Action::RunStrip | Action::Adopt { .. } => {}
        }
    }

    /// With the live switch on, a setting that was turned after a run runs it again.
    fn edited(&mut self, edit: Edit) {
        let Some(run) = self.session.run.as_ref() else { return };
        let turned = run.request.settings != self.preferences.settings;
        if self.preferences.live && edit.committed && turned {
            self.generate();
        }
    }

    /// Shortcuts come before the panels, or the prompt box would take Ctrl+Enter for a new line.
    fn shortcuts(&self, ui: &Ui, actions: &mut Vec<Action>) {
        if ui.input_mut(|i| i.consume_shortcut(&GENERATE)) {
            // A number being typed counts: leaving its box enters it.
            let focus =
                ui.memory(|m| m.focused()).filter(|&id| id != panels::controls::prompt_id());
            if let Some(id) = focus {
                ui.memory_mut(|m| m.surrender_focus(id));
            }
            actions.push(Action::Generate);
        }
        if ui.input_mut(|i| i.consume_key(Modifiers::NONE, PRESENT)) {
            actions.push(Action::Present);
        }
        let running = self.session.is_running();
        if running && ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Escape)) {
            actions.push(Action::Stop);
        }
    }

    fn panels(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences, stage, .. } = self;
        let presenting = stage.is_on();
        if presenting {
            panels::present::PresentBar { session, preferences }.show(ui, actions);
            panels::errors::ErrorStrip { session }.show(ui, actions);
        } else {
            panels::top::TopBar { session, preferences }.show(ui, actions);
            panels::errors::ErrorStrip { session }.show(ui, actions);
            panels::status::StatusBar { session, preferences }.show(ui);
            panels::controls::Controls { session, preferences }.show(ui, actions);
        }
        let canvas = Frame::new().fill(Palette::of(ui).canvas);
        let least = if presenting { 190.0 } else { 200.0 };
        let plot_height = (ui.available_height() * 0.38).clamp(least, 380.0);
        let margin = |top, bottom| Margin { left: 16, right: 16, top, bottom };
        Panel::bottom("plot")
            .exact_size(plot_height)
            .show_separator_line(false)
            .frame(canvas.inner_margin(margin(space::M as i8, space::L as i8)))
            .show(ui, |ui| {
                let settings = &preferences.settings;
                panels::plot::ValuePlot { session, settings }.show(ui);
            });
        CentralPanel::default().frame(canvas.inner_margin(margin(space::L as i8, 0))).show(
            ui,
            |ui| {
                panels::columns::Columns { session, preferences, presenting }.show(ui);
            },
        );
    }

    /// The size asked for wins over the remembered one, which is restored even where it is not
    /// remembered any further. True once the window has it, or will not take it.
    fn resize(&mut self, ctx: &egui::Context) -> bool {
        let Some((size, frames)) = self.size else { return true };
        let shown = ctx.content_rect().size() * ctx.zoom_factor();
        if frames == 0 || (shown - size).length() < 2.0 {
            self.size = None;
            return true;
        }
        self.size = Some((size, frames - 1));
        ctx.send_viewport_cmd(ViewportCommand::Maximized(false));
        ctx.send_viewport_cmd(ViewportCommand::InnerSize(size / ctx.zoom_factor()));
        ctx.request_repaint();
        false
    }

    fn photograph(&mut self, ctx: &egui::Context) {
        let Some(camera) = &mut self.camera else { return };
        let session = &self.session;
        match (&session.run, &session.error) {
            (None, Some(error)) => {
                camera.fail(ctx, AppError::NothingToShow(error.clone()));
            }
            (Some(run), _) => camera.watch(ctx, !run.is_active()),
            (None, None) => camera.watch(ctx, session.pack.is_some() && !self.generate_when_ready),
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.receive();
        if self.resize(ctx) {
            self.photograph(ctx);
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        // `IVG_LOG=ivg_playground::app=trace` shows when frames come and what the last one cost.
        tracing::trace!(cpu_seconds = frame.info().cpu_usage, "frame");
        ui.ctx().set_theme(self.preferences.theme.preference());
        self.stage.remember_zoom(ui.ctx(), &mut self.preferences);
        if std::mem::take(&mut self.focus_prompt) {
            ui.memory_mut(|m| m.request_focus(panels::controls::prompt_id()));
        }
        let mut actions = Vec::new();
        self.shortcuts(ui, &mut actions);
        let before = self.preferences.theme;
        self.panels(ui, &mut actions);
        // Last, so that a run starts with what was entered in this very frame.
        let asked = !actions.is_empty() || self.preferences.theme != before;
        actions.sort_by_key(|a| !matches!(a, Action::Edited(_)));
        for action in actions {
            self.act(ui.ctx(), action);
        }
        if asked {
            ui.ctx().request_repaint();
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        if self.camera.is_none() {
            self.preferences.save(storage);
        }
    }

    fn persist_egui_memory(&self) -> bool {
        // Nothing in there is worth keeping, and old panel sizes would survive a new layout.
        false
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}
