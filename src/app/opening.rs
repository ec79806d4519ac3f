//! How the window is opened, and why it was not.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use eframe::egui::ViewportBuilder;
use thiserror::Error;

use super::preferences::{Lower, Preferences};
use super::screenshot::{Camera, Outcome};
use super::{App, Theme, icon};
use crate::guidance::settings::Settings;
use crate::worker::Link;
use crate::worker::library::HubSettings;
use crate::worker::protocol::{DeviceChoice, PackSource};

/// The name in the title bar and of the folder that preferences are kept in.
const NAME: &str = "IVG Playground";
const APP_ID: &str = "ivg-playground";
/// Size of the window, in points, unless another was asked for or is remembered.
pub(super) const SIZE: [f32; 2] = [1440.0, 900.0];
/// How long the window waits for more events before it draws them. With the time of a frame on
/// top this is a little over thirty frames a second.
const GATHER: Duration = Duration::from_millis(10);

/// What draws the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renderer {
    /// OpenGL: the smaller build, and the faster one without a graphics card.
    #[default]
    Glow,
    /// Vulkan, Metal, Direct3D or OpenGL, whichever there is.
    #[cfg(feature = "wgpu")]
    Wgpu,
}

impl From<Renderer> for eframe::Renderer {
    fn from(renderer: Renderer) -> Self {
        match renderer {
            Renderer::Glow => eframe::Renderer::Glow,
            #[cfg(feature = "wgpu")]
            Renderer::Wgpu => eframe::Renderer::Wgpu,
        }
    }
}

/// How the window opens. What is none comes from the last session.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pack to load.
    pub pack: PackSource,
    /// Whether the pack is put on the list and looked at before it is loaded: what is not here is
    /// downloaded where that is shown and can be stopped.
    pub look_first: bool,
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
    /// What stands below the texts.
    pub lower: Option<Lower>,
    /// Width and height of the window, in points.
    pub size: Option<[f32; 2]>,
    /// The settings.
    pub settings: Option<Settings>,
    /// Where runs are kept; none keeps nothing and saves nothing.
    pub folder: Option<PathBuf>,
    /// Where the models compute; none: as chosen last.
    pub device: Option<DeviceChoice>,
    /// Where models are downloaded from; none: as the environment says.
    pub hub: Option<HubSettings>,
    /// From this size on a download is asked about.
    pub large_download_bytes: u64,
    /// Show the recorded example to somebody who has not made a run yet.
    pub example: bool,
    /// What draws the window.
    pub renderer: Renderer,
}

/// A gigabyte is worth a question.
pub const LARGE_DOWNLOAD_BYTES: u64 = 1_000_000_000;

impl Options {
    /// What was stored, but for what is asked for now.
    pub(super) fn over(&self, stored: Preferences) -> Preferences {
        let mut preferences = stored;
        if let Some(prompt) = &self.prompt {
            preferences.prompt.clone_from(prompt);
        }
        if let Some(theme) = self.theme {
            preferences.theme = theme;
        }
        if let Some(lower) = self.lower {
            (preferences.lower, preferences.lower_hidden) = (lower, false);
        }
        if let Some(device) = self.device {
            preferences.device = device;
        }
        if let Some(settings) = &self.settings {
            preferences.settings = settings.clone();
        }
        preferences
    }

    /// Everything as in the last session, with this pack.
    pub fn new(pack: PackSource) -> Self {
        Self {
            pack,
            look_first: false,
            prompt: None,
            device: None,
            hub: None,
            large_download_bytes: LARGE_DOWNLOAD_BYTES,
            generate: false,
            screenshot: None,
            present: false,
            theme: None,
            lower: None,
            size: None,
            settings: None,
            folder: None,
            example: false,
            renderer: Renderer::default(),
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
        renderer: options.renderer.into(),
        // A third of the time of a frame on a software renderer, and nobody sees it.
        dithering: false,
        persist_window: options.size.is_none() && options.screenshot.is_none(),
        ..Default::default()
    }
}

/// The folder in which the window keeps runs, where the system has a place for such things.
pub fn history_folder() -> Option<PathBuf> {
    eframe::storage_dir(APP_ID).map(|folder| folder.join("history"))
}
