//! Screenshots of the window: [`Camera`] takes the one of `--screenshot`, then closes the window.
//! [`Screenshots`] takes those that the user requests in the window.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui::{ColorImage, Context, ViewportCommand};

use super::AppError;

/// Frames to wait before a screenshot is taken. Text and scroll positions settle one frame after
/// their content.
const SETTLE_FRAMES: u32 = 4;

/// Result of the screenshot, shared with the function that opened the window.
pub(crate) type Outcome = Arc<Mutex<Option<Result<(), AppError>>>>;

/// Takes one screenshot and closes the window.
pub(crate) struct Camera {
    path: PathBuf,
    wait: u32,
    is_requested: bool,
    outcome: Outcome,
}

impl Camera {
    /// Creates a camera that writes to `path`.
    pub(super) fn new(path: PathBuf, outcome: Outcome) -> Self {
        Self { path, wait: SETTLE_FRAMES, is_requested: false, outcome }
    }

    /// Must be called once per frame. When the content has been complete for [`SETTLE_FRAMES`]
    /// frames, takes the screenshot and closes the window.
    pub(super) fn watch(&mut self, ctx: &Context, complete: bool) {
        if !complete || self.is_requested {
            return;
        }
        ctx.request_repaint();
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.is_requested = true;
        let (path, outcome, window) = (self.path.clone(), Arc::clone(&self.outcome), ctx.clone());
        ctx.request_screenshot(move |image| {
            set_outcome(&outcome, write_png(&path, &image));
            window.send_viewport_cmd(ViewportCommand::Close);
            window.request_repaint();
        });
    }

    /// Closes the window with an error instead of a screenshot.
    pub(super) fn fail(&mut self, ctx: &Context, error: AppError) {
        self.is_requested = true;
        set_outcome(&self.outcome, Err(error));
        ctx.send_viewport_cmd(ViewportCommand::Close);
    }
}

fn set_outcome(outcome: &Outcome, result: Result<(), AppError>) {
    *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}

/// A target file and the image for it.
type Screenshot = (PathBuf, Arc<ColorImage>);

/// Takes the screenshots that the user requests; the window stays open.
#[derive(Default)]
pub(crate) struct Screenshots {
    taken: Arc<Mutex<Vec<Screenshot>>>,
    /// A requested screenshot and the frames to wait, so that the dialog is no longer visible.
    pending: Option<(PathBuf, u32)>,
}

impl Screenshots {
    /// Requests a screenshot for the file at `path`. It is taken a few frames later.
    pub(super) fn request(&mut self, ctx: &Context, path: PathBuf) {
        self.pending = Some((path, SETTLE_FRAMES));
        ctx.request_repaint();
    }

    /// Must be called once per frame. Takes the pending screenshot when its frames have passed.
    pub(super) fn watch(&mut self, ctx: &Context) {
        let Some((path, wait)) = self.pending.take() else { return };
        ctx.request_repaint();
        if wait > 0 {
            self.pending = Some((path, wait - 1));
            return;
        }
        let (taken, window) = (Arc::clone(&self.taken), ctx.clone());
        ctx.request_screenshot(move |image| {
            taken.lock().unwrap_or_else(PoisonError::into_inner).push((path, image));
            window.request_repaint();
        });
    }

    /// Returns the screenshots taken since the last call, as PNG data or as an error message.
    pub(super) fn taken(&mut self) -> Vec<(PathBuf, Result<Vec<u8>, String>)> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let encoded = |image: &ColorImage| {
            let mut bytes = Vec::new();
            let result = encode(&mut bytes, image);
            result.map(|()| bytes).map_err(|e| format!("The screenshot could not be encoded: {e}."))
        };
        taken.drain(..).map(|(path, image)| (path, encoded(&image))).collect()
    }
}

fn write_png(path: &Path, image: &ColorImage) -> Result<(), AppError> {
    let error = |reason: String| AppError::Screenshot { path: path.to_owned(), reason };
    let file = File::create(path).map_err(|e| error(e.to_string()))?;
    encode(BufWriter::new(file), image).map_err(|e| error(e.to_string()))
}

fn encode(file: impl Write, image: &ColorImage) -> Result<(), png::EncodingError> {
    let (width, height) = (image.width() as u32, image.height() as u32);
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    let bytes: Vec<u8> = image.pixels.iter().flat_map(|c| c.to_array()).collect();
    writer.write_image_data(&bytes)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::Color32;

    #[test]
    fn writes_a_png_and_reports_a_missing_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let image = ColorImage::filled([3, 2], Color32::RED);
        let path = folder.path().join("window.png");
        write_png(&path, &image).expect("written");
        let file = std::io::BufReader::new(File::open(&path).expect("there"));
        let reader = png::Decoder::new(file).read_info().expect("a PNG");
        assert_eq!((reader.info().width, reader.info().height), (3, 2));
        let error = write_png(&folder.path().join("no/where.png"), &image).expect_err("no folder");
        assert!(error.to_string().contains("where.png"));
    }
}
