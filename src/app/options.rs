//! Startup options and errors of the window.

use std::path::PathBuf;

use thiserror::Error;

use super::Theme;
use super::dialogs::file_picker::{self, PickPath};
use super::state::preferences::{LowerTab, Preferences};
use crate::guidance::settings::Settings;
use crate::worker::pack_service::Hub;
use crate::worker::protocol::{DeviceChoice, PackSource};

/// The graphics interface that draws the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renderer {
    /// OpenGL: a smaller build, and faster without a graphics card.
    #[default]
    Glow,
    /// Vulkan, Metal, Direct3D or OpenGL, whichever is available.
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

/// Startup options. An option that is `None` keeps the value of the last session.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pack to load.
    pub pack: PackSource,
    /// Whether to add the pack to the list and survey it before it is loaded. Missing files are
    /// then downloaded with progress shown in the window, where the user can stop the download.
    pub look_first: bool,
    /// The prompt to start with.
    pub prompt: Option<String>,
    /// Start a run as soon as the pack is loaded.
    pub generate: bool,
    /// Save a screenshot to this file after the first run (without `generate`, after the pack is
    /// loaded), then close the window.
    pub screenshot: Option<PathBuf>,
    /// Start in presentation mode: only the responses and the plot, enlarged.
    pub present: bool,
    /// Light, dark or the system theme.
    pub theme: Option<Theme>,
    /// The tab of the panel below the responses.
    pub lower: Option<LowerTab>,
    /// Width and height of the window, in points.
    pub size: Option<[f32; 2]>,
    /// The decoding settings. They replace the defaults of the first pack.
    pub settings: Option<Settings>,
    /// The folder of the history. With `None`, no runs are kept and no files are saved.
    pub folder: Option<PathBuf>,
    /// The device that the models compute on.
    pub device: Option<DeviceChoice>,
    /// The hub that models are downloaded from.
    pub hub: Hub,
    /// Downloads of this size or more must be confirmed by the user.
    pub large_download_bytes: u64,
    /// Show the recorded example if the user has never made a run.
    pub example: bool,
    /// The graphics interface that draws the window.
    pub renderer: Renderer,
    /// Shows the file dialog. Called on a background thread.
    pub pick_path: PickPath,
}

/// Default of [`Options::large_download_bytes`]: 1 GB.
pub const LARGE_DOWNLOAD_BYTES: u64 = 1_000_000_000;

impl Options {
    /// Returns the stored preferences with these options applied.
    pub(super) fn apply_to(&self, stored: Preferences) -> Preferences {
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

    /// Returns options that load this pack and keep everything else of the last session.
    pub fn new(pack: PackSource) -> Self {
        Self {
            pack,
            look_first: false,
            prompt: None,
            device: None,
            hub: Hub::from_env(),
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
            pick_path: file_picker::native,
        }
    }
}

/// An error that keeps the window from opening, or from writing its screenshot.
#[derive(Debug, Error)]
pub enum AppError {
    /// The desktop did not open a window.
    #[error(
        "the window could not be opened: {0}; start the program on a desktop, or run it without a \
         window: ivg-playground generate --prompt \"This film\""
    )]
    NoWindow(String),
    /// The worker could not be started.
    #[error("the engine could not be started ({0}); close other programs and try again")]
    NoEngine(String),
    /// The screenshot could not be written.
    #[error(
        "the screenshot could not be written to {}: {reason}; choose another path",
        path.display()
    )]
    Screenshot {
        /// Path of the screenshot.
        path: PathBuf,
        /// The message of the operating system.
        reason: String,
    },
    /// An error kept the window from showing anything to take a screenshot of.
    #[error("no screenshot was taken: {0}")]
    NothingToShow(String),
}

impl AppError {
    pub(super) fn from_opening(error: eframe::Error) -> Self {
        match error {
            eframe::Error::AppCreation(reason) => AppError::NoEngine(reason.to_string()),
            other => {
                // The message of the window system starts with a location in its own source code.
                let message = other.to_string();
                let reason = message.rsplit(": ").next().unwrap_or(&message);
                AppError::NoWindow(reason.trim_end_matches('.').to_owned())
            }
        }
    }
}
