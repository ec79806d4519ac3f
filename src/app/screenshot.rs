//! Pictures of the window: one that is written when its subject is complete, and then the window
//! closes; and those that a person asks for.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui::{ColorImage, Context, ViewportCommand};

use super::AppError;

/// Frames drawn between the subject being complete and the picture: text and scroll positions
/// settle one frame after their content.
const SETTLING: u32 = 4;

/// The outcome, shared with whoever started the window.
pub type Outcome = Arc<Mutex<Option<Result<(), AppError>>>>;

/// Takes the picture.
pub struct Camera {
    path: PathBuf,
    wait: u32,
    asked: bool,
    outcome: Outcome,
}

impl Camera {
    /// A camera that will write to `path`.
    pub fn new(path: PathBuf, outcome: Outcome) -> Self {
        Self { path, wait: SETTLING, asked: false, outcome }
    }

    /// Counts frames down while the subject is complete, takes the picture, closes the window.
    pub fn watch(&mut self, ctx: &Context, complete: bool) {
        if !complete || self.asked {
            return;
        }
        ctx.request_repaint();
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.asked = true;
        let (path, outcome, window) = (self.path.clone(), Arc::clone(&self.outcome), ctx.clone());
        ctx.request_screenshot(move |image| {
            settle(&outcome, write_png(&path, &image));
            window.send_viewport_cmd(ViewportCommand::Close);
            window.request_repaint();
        });
    }

    /// Gives up: there will be no subject.
    pub fn fail(&mut self, ctx: &Context, error: AppError) {
        self.asked = true;
        settle(&self.outcome, Err(error));
        ctx.send_viewport_cmd(ViewportCommand::Close);
    }
}

fn settle(outcome: &Outcome, result: Result<(), AppError>) {
    *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}

/// The file that a picture is for, and the picture.
type Taken = (PathBuf, Arc<ColorImage>);

/// Pictures that a person asked for while the window stays open.
#[derive(Default)]
pub struct Pictures {
    taken: Arc<Mutex<Vec<Taken>>>,
    /// Asked for, to be taken once what covered the window is gone.
    wanted: Option<(PathBuf, u32)>,
}

impl Pictures {
    /// Takes a picture in a few frames, for the file at `path`.
    pub fn ask(&mut self, ctx: &Context, path: PathBuf) {
        self.wanted = Some((path, SETTLING));
        ctx.request_repaint();
    }

    /// Counts the frames down.
    pub fn watch(&mut self, ctx: &Context) {
        let Some((path, wait)) = self.wanted.take() else { return };
        ctx.request_repaint();
        if wait > 0 {
            self.wanted = Some((path, wait - 1));
            return;
        }
        let (taken, window) = (Arc::clone(&self.taken), ctx.clone());
        ctx.request_screenshot(move |image| {
            taken.lock().unwrap_or_else(PoisonError::into_inner).push((path, image));
            window.request_repaint();
        });
    }

    /// Those that were taken since the last call, as PNG; or why one could not be made.
    pub fn taken(&mut self) -> Vec<(PathBuf, Result<Vec<u8>, String>)> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let encoded = |image: &ColorImage| {
            let mut bytes = Vec::new();
            let done = encode(&mut bytes, image);
            done.map(|()| bytes).map_err(|e| format!("The picture could not be made: {e}."))
        };
        taken.drain(..).map(|(path, image)| (path, encoded(&image))).collect()
    }
}

fn write_png(path: &Path, image: &ColorImage) -> Result<(), AppError> {
    let failed = |reason: String| AppError::Screenshot { path: path.to_owned(), reason };
    let file = File::create(path).map_err(|e| failed(e.to_string()))?;
    encode(BufWriter::new(file), image).map_err(|e| failed(e.to_string()))
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
    fn a_picture_is_written_and_a_missing_folder_is_an_error() {
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
