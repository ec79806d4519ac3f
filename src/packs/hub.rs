//! Models from the Hugging Face hub, in the cache that other tools share (`HF_HOME`,
//! `HF_ENDPOINT` and the stored token are honoured). What is cached is used without a network.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::PackError;

/// What a model's folder must hold.
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
/// Attempts after the first, each resuming where the one before was cut off.
const RETRIES: usize = 3;

/// The local folder with the files of `id` at `revision`, downloaded where they are not cached.
/// `progress` hears the file's name and the share of it that has arrived.
///
/// # Errors
/// [`PackError::Hub`] naming the file.
pub fn fetch(
    id: &str,
    revision: &str,
    progress: &mut dyn FnMut(&str, f32),
) -> Result<PathBuf, PackError> {
    let repo = Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned());
    let cached = Cache::from_env().repo(repo.clone());
    let failed = |file: &str, reason: String| PackError::Hub {
        id: id.to_owned(),
        file: file.to_owned(),
        reason,
    };
    let mut api: Option<Api> = None;
    let mut folder = None;
    for file in FILES {
        let path = match cached.get(file) {
            Some(path) => path,
            None => {
                let api = match &api {
                    Some(api) => api,
                    None => api.insert(connect().map_err(|e| failed(file, explain(&e)))?),
                };
                download(&api.repo(repo.clone()), file, progress).map_err(|e| failed(file, e))?
            }
        };
        folder = path.parent().map(Path::to_owned);
    }
    folder.ok_or_else(|| failed(FILES[0], "the cache has no folder for it".to_owned()))
}

fn connect() -> Result<Api, ApiError> {
    ApiBuilder::from_env().with_progress(false).with_retries(RETRIES).build()
}

fn download(
    repo: &ApiRepo,
    file: &str,
    progress: &mut dyn FnMut(&str, f32),
) -> Result<PathBuf, String> {
    let expected = Cell::new(0);
    let meter = Meter { file, expected: &expected, arrived: 0, progress };
    let path = repo.download_with_progress(file, meter).map_err(|e| explain(&e))?;
    // A body that ends early is no error to the library: what is not whole is not kept.
    let held = std::fs::metadata(&path).map_err(|e| e.to_string())?.len();
    if held == expected.get() as u64 {
        return Ok(path);
    }
    for partial in [std::fs::canonicalize(&path).ok(), Some(path)].into_iter().flatten() {
        // If it cannot be removed there is nothing more to do; the error below is the news.
        let _ = std::fs::remove_file(partial);
    }
    Err(format!("only {held} of {} bytes arrived; try again", expected.get()))
}

/// hf-hub's progress, passed on.
struct Meter<'a> {
    file: &'a str,
    expected: &'a Cell<usize>,
    arrived: usize,
    progress: &'a mut dyn FnMut(&str, f32),
}

impl Progress for Meter<'_> {
    fn init(&mut self, size: usize, _filename: &str) {
        self.expected.set(size);
        self.arrived = 0;
    }

    fn update(&mut self, size: usize) {
        self.arrived += size;
        let share = self.arrived as f32 / self.expected.get().max(1) as f32;
        (self.progress)(self.file, share.min(1.0));
    }

    fn finish(&mut self) {}
}

/// What went wrong, and what to do.
fn explain(error: &ApiError) -> String {
    let text = error.to_string();
    let advice = if text.contains("404") {
        "check the model's name and revision"
    } else if text.contains("401") || text.contains("403") {
        "accept the model's licence on the hub and store a token with `hf auth login`"
    } else {
        "check the network and try again"
    };
    format!("{text}; {advice}")
}
