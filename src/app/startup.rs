//! Opens the window.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use eframe::egui::ViewportBuilder;

use super::options::{AppError, Options};
use super::screenshot::{Camera, Outcome};
use super::state::preferences::Preferences;
use super::{App, DEFAULT_SIZE, icon};
use crate::worker::WorkerHandle;

/// Title of the window.
const NAME: &str = "IVG Playground";
/// Identifies the program to the desktop; also the name of the folder that stores preferences.
const APP_ID: &str = "ivg-playground";
/// How long the window waits for more events before it draws them. Together with the time that a
/// frame takes, this allows slightly more than thirty frames per second.
const EVENT_BATCH_DELAY: Duration = Duration::from_millis(10);

/// Opens the window and returns when it is closed. `connect` starts the worker. Its argument wakes
/// the window and must be called after every event.
///
/// # Errors
/// Fails if there is no display, or if the requested screenshot could not be taken.
pub fn run(
    options: Options,
    connect: impl FnOnce(Box<dyn Fn() + Send>) -> std::io::Result<WorkerHandle> + 'static,
) -> Result<(), AppError> {
    let outcome = Outcome::default();
    let camera_outcome = Arc::clone(&outcome);
    let opened = eframe::run_native(
        APP_ID,
        native_options(&options),
        Box::new(move |cc| {
            let ctx = cc.egui_ctx.clone();
            // A delayed repaint batches events: egui keeps the earliest of all requested times.
            let worker = connect(Box::new(move || ctx.request_repaint_after(EVENT_BATCH_DELAY)))?;
            let camera = options.screenshot.clone().map(|path| Camera::new(path, camera_outcome));
            // A screenshot must depend on the options only, not on the last session.
            let stored = cc.storage.filter(|_| camera.is_none());
            let mut app = App::new(&cc.egui_ctx, worker, options, Preferences::load(stored));
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
        .with_min_inner_size([1024.0, 640.0])
        .with_inner_size(DEFAULT_SIZE);
    match icon::icon() {
        Ok(icon) => viewport = viewport.with_icon(icon),
        Err(error) => tracing::warn!("no icon: {error}"),
    }
    if let Some(size) = options.size {
        viewport = viewport.with_inner_size(size);
    }
    eframe::NativeOptions {
        viewport,
        renderer: options.renderer.into(),
        // Dithering takes a third of a frame's time on a software renderer and is not visible.
        dithering: false,
        persist_window: options.size.is_none() && options.screenshot.is_none(),
        ..Default::default()
    }
}

/// Returns the folder in which the window keeps runs, or `None` if the system has no folder for
/// application data.
pub fn history_folder() -> Option<PathBuf> {
    eframe::storage_dir(APP_ID).map(|folder| folder.join("history"))
}
