//! The window: it sends commands to the worker and draws what comes back. It holds no tensor, and
//! no model call, file or network access happens on its thread.
//!
//! * [`session`]: events in, state out; what is going on now.
//! * [`preferences`]: what is remembered.
//! * [`panels`]: one panel, one file, one type; they draw and return what a person asked for.
//! * [`theme`]: every colour, distance and type size.

mod acting;
pub mod archive;
pub mod availability;
mod beam_window;
mod changes;
mod chunk_card;
pub mod coloring;
mod column_menu;
mod download_dialog;
mod figures;
mod focus;
mod icon;
mod lineage;
mod opening;
mod pack_form;
mod packs;
pub mod panels;
mod path_dialog;
mod plot_view;
pub mod preferences;
mod presets;
mod prompt_box;
mod recorded;
mod response;
mod screenshot;
pub mod session;
mod shelf;
mod shortcuts;
mod slots;
mod stage;
mod strip_card;
mod strip_plot;
pub mod strip_view;
pub mod theme;
mod token_card;
mod tree_layout;
mod value_lines;
pub mod widgets;

use eframe::egui::{self, CentralPanel, Frame, Margin, Panel, Ui, Vec2, ViewportCommand};

use crate::guidance::settings::{Column, Settings};
use crate::worker::Link;
use crate::worker::places::Places;
use crate::worker::protocol::{Command, DeviceChoice, Event, PackInfo, PackSource, RunId};

use archive::Archive;
use beam_window::BeamReader;
use focus::Focus;
use opening::SIZE;
pub use opening::{AppError, LARGE_DOWNLOAD_BYTES, Options, Renderer, history_folder, run};
use panels::Action;
use panels::lower::Below;
use preferences::Preferences;
use screenshot::{Camera, Pictures};
use session::Session;
use shelf::Shelf;
use stage::Stage;
pub use theme::Theme;
use theme::{Palette, space};

/// Frames in which the window is asked to take the size it was given.
const RESIZING: u32 = 10;
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
    pictures: Pictures,
    stage: Stage,
    focus: Focus,
    archive: Archive,
    /// Whether the keys are listed.
    help: bool,
    below: Below,
    reader: BeamReader,
    shelf: Shelf,
    places: Places,
    /// The pack in use, and the one being loaded.
    in_use: Option<PackSource>,
    coming: Option<PackSource>,
    /// Columns that the pack in use cannot run, to come back with one that can.
    set_aside: Option<Vec<Column>>,
    /// The size asked for, and for how many frames more to insist on it.
    size: Option<(Vec2, u32)>,
}

impl App {
    /// A window on the worker at the other end of `link`, which is told to load the pack.
    pub fn new(ctx: &egui::Context, link: Link, options: Options, stored: Preferences) -> Self {
        theme::install(ctx);
        let wants_example = options.example && options.prompt.is_none() && !options.generate;
        let preferences = options.over(stored);
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
            pictures: Pictures::default(),
            stage: Stage::default(),
            focus: Focus::default(),
            archive: Archive::new(ctx, options.folder),
            help: false,
            below: Below::default(),
            reader: BeamReader::default(),
            shelf: Shelf::new(options.hub, options.large_download_bytes),
            places: {
                let ctx = ctx.clone();
                Places::spawn(move || ctx.request_repaint())
            },
            in_use: None,
            coming: None,
            set_aside: None,
            size,
        };
        if options.present {
            app.stage.toggle(ctx, &app.preferences);
        }
        if wants_example && !app.preferences.has_run {
            app.show_example();
        }
        if app.preferences.device != DeviceChoice::default() {
            app.send(Command::UseDevice(app.preferences.device));
        }
        if options.look_first {
            app.open_pack(ctx, options.pack);
        } else {
            app.load_pack(options.pack);
        }
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
    fn receive(&mut self, ctx: &egui::Context) {
        let events: Vec<_> = self.link.drain().collect();
        for event in events {
            match &event {
                Event::Loaded(pack) => {
                    // It may be another than the one asked for last: the worker takes them in
                    // turn, and moves one by itself where a GPU is too small for it.
                    self.in_use = Some(pack.source.clone());
                    self.coming = self.coming.take().filter(|coming| *coming != pack.source);
                    self.meet(pack);
                    self.fit_columns(pack);
                    if let Some(note) = &pack.device_note {
                        self.notice(ctx, note.clone(), false);
                    }
                }
                Event::LoadFailed(_) => {
                    self.generate_when_ready = false;
                    if let Some(source) = self.coming.take() {
                        self.shelf.verify(ctx, source);
                    }
                }
                _ => {}
            }
            self.below.strip.apply(&event);
            let ended = if let Event::Done { run, .. } = event { Some(run) } else { None };
            self.session.apply(event);
            // A run that gave way to another one is not kept.
            if ended.is_some() && ended == self.session.run.as_ref().map(|run| run.id) {
                self.keep();
            }
        }
        if self.generate_when_ready && self.session.pack.is_some() && self.coming.is_none() {
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

    fn panels(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences, stage, focus, below, reader, archive, shelf, .. } = self;
        let in_use = self.in_use.as_ref();
        let presenting = stage.is_on();
        if presenting {
            panels::present::PresentBar { session, preferences }.show(ui, actions);
            panels::errors::ErrorStrip { session }.show(ui, actions);
        } else {
            panels::top::TopBar { session, preferences }.show(ui, actions);
            panels::errors::ErrorStrip { session }.show(ui, actions);
            let download = shelf.fetching.is_some().then(|| shelf.waiting()).flatten();
            panels::status::StatusBar { session, preferences, download }.show(ui, actions);
            panels::side::SideBar { session, preferences, archive, shelf, in_use }
                .show(ui, actions);
        }
        let canvas = Frame::new().fill(Palette::of(ui).canvas);
        let margin = |top, bottom| Margin { left: 16, right: 16, top, bottom };
        let room = ui.available_height();
        if room >= panels::lower::CRAMPED {
            let lower =
                panels::lower::LowerPanel { session, preferences, focus, below, presenting };
            let height = lower.height(room);
            let foot = if presenting { space::M } else { space::L };
            Panel::bottom("lower")
                .exact_size(height)
                .show_separator_line(false)
                .frame(canvas.inner_margin(margin(space::M as i8, foot as i8)))
                .show(ui, |ui| lower.show(ui, actions));
        }
        CentralPanel::default().frame(canvas.inner_margin(margin(space::L as i8, 0))).show(
            ui,
            |ui| {
                let columns = panels::columns::Columns { session, preferences, focus, presenting };
                columns.show(ui, actions);
            },
        );
        reader.show(ui.ctx(), session, preferences, focus, actions);
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
        self.receive(ctx);
        self.receive_from_disk(ctx);
        self.receive_from_library(ctx);
        self.pictures.watch(ctx);
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
            ui.memory_mut(|m| m.request_focus(prompt_box::prompt_id()));
        }
        if let Some(reason) = prompt_box::refuse_paste(ui.ctx()) {
            self.session.error = Some(reason);
        }
        let mut actions = self.shortcuts(ui);
        let before = self.preferences.theme;
        self.panels(ui, &mut actions);
        shortcuts::help(ui, &mut self.help);
        self.dialog(ui);
        self.pack_form(ui);
        self.download_dialog(ui);
        // Last, so that a run starts with what was entered in this very frame.
        let asked = self.focus.turn() || !actions.is_empty() || self.preferences.theme != before;
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
