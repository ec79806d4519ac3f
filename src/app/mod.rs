//! The window. It sends commands to the worker and draws the results. It holds no tensors, and its
//! thread makes no model calls and does not access files or the network.
//!
//! * [`state`]: plain data: the running session, the stored preferences, the selection.
//! * `responses`, `value_plot`, `search_tree`, [`sweep`], `models`, `history`, `settings`: one
//!   folder per feature. Their panels draw the state and return [`action::Action`]s.
//! * `layout`: the bars and panels that hold the features.
//! * `commands`: carries out the actions.
//! * [`theme`]: all colours, distances and font sizes.

pub mod action;
mod commands;
mod dialogs;
mod example_run;
mod history;
mod icon;
mod layout;
mod modal;
mod models;
mod options;
mod responses;
mod screenshot;
mod search_tree;
mod settings;
mod shortcuts;
mod startup;
pub mod state;
pub mod sweep;
pub mod theme;
mod value_plot;
pub mod widgets;

use eframe::egui::{self, CentralPanel, Frame, Margin, Panel, Ui, Vec2, ViewportCommand};

use crate::guidance::settings::{Column, Settings};
use crate::worker::WorkerHandle;
use crate::worker::model_probe::ModelProbe;
use crate::worker::path_probe::PathProbe;
use crate::worker::protocol::{Command, DeviceChoice, Event, PackInfo, RunId};

use action::Action;
use dialogs::file_picker::FilePicker;
pub use dialogs::file_picker::{Pick, PickPath, native as native_file_dialog};
use dialogs::help::HelpPage;
use history::state::HistoryState;
use layout::lower_panel::LowerState;
use modal::Modal;
use models::state::ModelsState;
pub use options::AppError;
pub use options::{LARGE_DOWNLOAD_BYTES, Options, Renderer};
use screenshot::{Camera, Screenshots};
use search_tree::reader::BeamReader;
pub use startup::{history_folder, run};
use state::preferences::Preferences;
use state::presentation::Presentation;
use state::selection::Selection;
use state::session::{Loading, Session};
use state::undo::UndoHistory;
pub use theme::Theme;
use theme::{Palette, space};

/// Default size of the window in points.
const DEFAULT_SIZE: [f32; 2] = [1440.0, 900.0];

/// Number of frames in which the window requests its size.
const RESIZE_FRAMES: u32 = 10;

/// The window: its preferences, its session and the connection to the worker.
pub struct App {
    worker: WorkerHandle,
    preferences: Preferences,
    session: Session,
    last_run: RunId,
    /// Settings from the options. They replace the defaults of the first pack.
    settings_override: Option<Settings>,
    /// Whether the next frame focuses the prompt box.
    focus_prompt: bool,
    /// Whether to start a run as soon as the pack is loaded.
    generate_when_ready: bool,
    camera: Option<Camera>,
    screenshots: Screenshots,
    presentation: Presentation,
    selection: Selection,
    history: HistoryState,
    /// Whether the help window is open.
    help: bool,
    help_page: HelpPage,
    lower: LowerState,
    reader: BeamReader,
    models: ModelsState,
    path_probe: PathProbe,
    model_probe: ModelProbe,
    file_picker: FilePicker,
    modal: Option<Modal>,
    /// Whether to show the recorded example if there is no past run.
    example_pending: bool,
    /// The columns before some were removed because the pack cannot run them. They return with a
    /// pack that can run them all.
    columns_to_restore: Option<Vec<Column>>,
    /// Whether the sidebar is open in a window that is too narrow for it at first.
    narrow_sidebar_open: bool,
    /// Whether the window is too low for the panel below the responses.
    is_too_low: bool,
    undo: UndoHistory,
    /// When Live runs again, in seconds of egui's clock, if a slider is not moved before.
    live_due: Option<f64>,
    /// The requested size, and the number of frames left in which to request it.
    requested_size: Option<(Vec2, u32)>,
}

impl App {
    /// Creates the window and tells the worker to load the pack.
    pub fn new(
        ctx: &egui::Context,
        worker: WorkerHandle,
        options: Options,
        stored: Preferences,
    ) -> Self {
        theme::install(ctx);
        let restores_newest = options.screenshot.is_none() && !options.generate;
        widgets::install_tooltips(ctx);
        let shows_example = options.example && options.prompt.is_none() && !options.generate;
        let preferences = options.apply_to(stored);
        ctx.set_theme(preferences.theme.preference());
        ctx.set_zoom_factor(preferences.zoom);
        let generate_when_ready = options.generate;
        let focus_prompt = options.screenshot.is_none();
        let size = options.size.or(options.screenshot.as_ref().map(|_| DEFAULT_SIZE));
        let requested_size = size.map(|size| (size.into(), RESIZE_FRAMES));
        let wake = || {
            let ctx = ctx.clone();
            move || ctx.request_repaint()
        };
        let mut app = Self {
            worker,
            preferences,
            session: Session::default(),
            last_run: 0,
            settings_override: options.settings,
            focus_prompt,
            generate_when_ready,
            camera: None,
            screenshots: Screenshots::default(),
            presentation: Presentation::default(),
            selection: Selection::default(),
            history: HistoryState::new(ctx, options.folder, restores_newest),
            help: false,
            help_page: HelpPage::default(),
            lower: LowerState::default(),
            reader: BeamReader::default(),
            models: ModelsState::new(options.hub, options.large_download_bytes),
            path_probe: PathProbe::spawn(wake()),
            model_probe: ModelProbe::new(wake()),
            file_picker: FilePicker::new(options.pick_path),
            modal: None,
            example_pending: shows_example,
            columns_to_restore: None,
            narrow_sidebar_open: false,
            is_too_low: false,
            undo: UndoHistory::default(),
            live_due: None,
            requested_size,
        };
        if options.present {
            app.presentation.toggle(ctx, &app.preferences);
        }
        // Otherwise it waits for the list of past runs.
        if app.history.closed_reason().is_some() {
            app.show_pending_example();
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

    /// Returns the running session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the progress of loading a pack, or `None` if nothing is loaded. Before the first
    /// pack, this can be the progress of a download.
    pub fn loading(&self) -> Option<Loading> {
        let jobs = &self.models.jobs;
        if self.session.pack.is_some() || jobs.load_progress().is_some() {
            return jobs.load_progress().cloned();
        }
        let just_started = Loading { what: "looking for the models".into(), fraction: 0.0 };
        jobs.loading().map(|_| just_started).or_else(|| jobs.waiting())
    }

    /// Returns the preferences.
    pub fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    /// Handles the events of the worker.
    fn receive(&mut self, ctx: &egui::Context) {
        let events: Vec<_> = self.worker.drain().collect();
        for event in events {
            match &event {
                Event::Downloading(progress) => {
                    let (what, fraction) = (progress.to_string(), progress.share());
                    self.models.jobs.set_load_progress(Loading { what, fraction });
                }
                Event::Loading { what, fraction } => {
                    let fraction = fraction.clamp(0.0, 1.0);
                    self.models.jobs.set_load_progress(Loading { what: what.clone(), fraction });
                }
                Event::Loaded(pack) => {
                    // This may not be the pack requested last: the worker loads packs in order,
                    // and moves a pack to the CPU by itself if it does not fit on the GPU.
                    self.models.jobs.load_ended(&pack.source);
                    self.apply_pack_settings(pack);
                    self.fit_columns(pack);
                    if let Some(note) = &pack.device_note {
                        self.notice(ctx, note.clone(), false);
                    }
                }
                Event::LoadFailed { source, .. } => {
                    self.generate_when_ready = false;
                    if self.models.jobs.load_ended(source) {
                        self.models.verify_after_failure(ctx, source.clone());
                    }
                }
                _ => {}
            }
            self.lower.sweep.apply(&event);
            let finished = if let Event::Done { run, .. } = event { Some(run) } else { None };
            self.session.apply(event);
            // A run that was replaced by another run is not kept.
            if finished.is_some() && finished == self.session.run.as_ref().map(|run| run.id) {
                self.keep();
            }
        }
        if self.generate_when_ready
            && self.session.pack.is_some()
            && self.models.jobs.loading().is_none()
        {
            self.generate_when_ready = false;
            self.generate();
        }
    }

    /// Uses the settings from the options for the first pack, and the pack's own otherwise.
    fn apply_pack_settings(&mut self, pack: &PackInfo) {
        match self.settings_override.take() {
            Some(settings) => {
                self.preferences.pack = Some(pack.name.clone());
                self.preferences.settings = settings;
            }
            None => self.preferences.adopt(pack),
        }
    }

    fn show_panels(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        self.show_bars(ui, actions);
        self.show_canvas(ui, actions);
    }

    /// Shows the bars and the sidebar around the canvas.
    fn show_bars(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let loading = self.loading();
        let loading = loading.as_ref();
        let Self { session, preferences, history, models, narrow_sidebar_open, .. } = self;
        if self.presentation.is_on() {
            layout::presentation_bar::PresentationBar { session, preferences }.show(ui, actions);
            layout::error_bar::ErrorBar { session }.show(ui, actions);
            layout::stage_strip::StageStrip { session, preferences }.show(ui, actions);
        } else {
            layout::top_bar::TopBar { session, preferences }.show(ui, actions);
            layout::story_bar::StoryBar { session, preferences, models, loading }.show(ui, actions);
            layout::error_bar::ErrorBar { session }.show(ui, actions);
            let download = models.jobs.is_downloading().then(|| models.jobs.waiting()).flatten();
            if ui.ctx().content_rect().height() >= layout::status_bar::MIN_WINDOW_HEIGHT {
                let is_too_low = self.is_too_low;
                let bar = layout::status_bar::StatusBar {
                    session,
                    loading,
                    preferences,
                    download,
                    is_too_low,
                };
                bar.show(ui, actions);
            }
            let is_open = match layout::sidebar::is_narrow(ui.ctx()) {
                true => *narrow_sidebar_open,
                false => !preferences.sidebar_hidden,
            };
            if is_open {
                layout::sidebar::SideBar { session, preferences, history, models, loading }
                    .show(ui, actions);
            } else {
                layout::presentation_bar::PromptBar { session, preferences }.show(ui, actions);
            }
            // Beside the sidebar, so that its cards do not move when a click on one shows the bar.
            layout::pack_bar::PackBar { session, models, loading }.show(ui, actions);
        }
    }

    /// Shows the responses and the panel below them.
    fn show_canvas(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let loading = self.loading();
        let loading = loading.as_ref();
        let Self { session, preferences, presentation, selection, lower, reader, .. } = self;
        let presenting = presentation.is_on();
        let canvas = Frame::new().fill(Palette::of(ui).canvas);
        let margin = |top, bottom| Margin { left: 16, right: 16, top, bottom };
        let available = ui.available_height();
        let lower =
            layout::lower_panel::LowerPanel { session, preferences, selection, lower, presenting };
        self.is_too_low = !lower.has_room(available);
        if !self.is_too_low {
            let height = lower.height(available);
            let bottom = if presenting { space::M } else { space::L };
            Panel::bottom("lower")
                .exact_size(height)
                .show_separator_line(false)
                .frame(canvas.inner_margin(margin(space::M as i8, bottom as i8)))
                .show(ui, |ui| lower.show(ui, actions));
        }
        CentralPanel::default().frame(canvas.inner_margin(margin(space::L as i8, 0))).show(
            ui,
            |ui| {
                let columns = responses::panel::Columns {
                    session,
                    loading,
                    preferences,
                    selection,
                    presenting,
                    focused: presentation.focused(),
                };
                columns.show(ui, actions);
            },
        );
        reader.show(ui.ctx(), session, preferences, selection, actions);
    }

    /// Requests the size from the options, because eframe restores the size of the last session.
    /// Returns true when the window has that size, or has not taken it for [`RESIZE_FRAMES`]
    /// frames.
    fn resize(&mut self, ctx: &egui::Context) -> bool {
        let Some((size, frames)) = self.requested_size else { return true };
        let shown = ctx.content_rect().size() * ctx.zoom_factor();
        if frames == 0 || (shown - size).length() < 2.0 {
            self.requested_size = None;
            return true;
        }
        self.requested_size = Some((size, frames - 1));
        ctx.send_viewport_cmd(ViewportCommand::Maximized(false));
        ctx.send_viewport_cmd(ViewportCommand::InnerSize(size / ctx.zoom_factor()));
        ctx.request_repaint();
        false
    }

    fn update_camera(&mut self, ctx: &egui::Context) {
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
        self.receive_from_pack_service(ctx);
        self.screenshots.watch(ctx);
        if self.resize(ctx) {
            self.update_camera(ctx);
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        // `IVG_LOG=ivg_playground::app=trace` logs every frame and the CPU time of the last one.
        tracing::trace!(cpu_seconds = frame.info().cpu_usage, "frame");
        ui.ctx().set_theme(self.preferences.theme.preference());
        self.presentation.remember_zoom(ui.ctx(), &mut self.preferences);
        widgets::allow_tooltips(ui.ctx(), self.presentation.is_on());
        if std::mem::take(&mut self.focus_prompt) {
            ui.memory_mut(|m| m.request_focus(settings::prompt_box::prompt_id()));
        }
        if let Some(reason) = settings::prompt_box::refuse_paste(ui.ctx()) {
            self.report(Err(reason));
        }
        let mut actions = self.shortcuts(ui);
        self.run_when_rested(ui.ctx());
        let before = self.preferences.theme;
        self.show_panels(ui, &mut actions);
        dialogs::help::help(ui, &mut self.help, &mut self.help_page);
        self.show_modal(ui);
        self.presentation.hide_idle_pointer(ui.ctx());
        // Actions run last, so that a run starts with the values entered in this frame.
        self.record_undo(ui);
        let needs_repaint =
            self.selection.end_frame() || !actions.is_empty() || self.preferences.theme != before;
        actions.sort_by_key(|a| !matches!(a, Action::Edited(_)));
        for action in actions {
            self.act(ui.ctx(), action);
        }
        if needs_repaint {
            ui.ctx().request_repaint();
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        if self.camera.is_none() {
            self.preferences.save(storage);
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.keep_unfinished();
    }

    fn persist_egui_memory(&self) -> bool {
        // Stored panel sizes would override those of a new layout.
        false
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}
