//! The packs there are, and what is being done with them. The work is done by
//! [`crate::worker::library`], on a thread of its own.

use std::path::PathBuf;

use eframe::egui::Context;

use super::pack_form::PackForm;
use crate::worker::library::{Ask, Hub, Library, Progress, Shelved, Survey, Told};
use crate::worker::protocol::PackSource;

/// What came of a question, for the window.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A pack is complete and is to be loaded.
    Ready(PackSource),
    /// A pack was written to this folder.
    Saved(PathBuf),
    /// Something went wrong, in a sentence.
    Error(String),
}

/// A download in progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetching {
    /// The pack.
    pub source: PackSource,
    /// How far it is; none before the first file.
    pub progress: Option<Progress>,
    number: u64,
}

/// The packs there are.
#[derive(Debug, Default)]
pub struct Shelf {
    library: Option<Library>,
    /// Every pack, once looked at.
    pub packs: Option<Vec<Shelved>>,
    /// Memory that is free, in bytes, where the system says.
    pub free_memory_bytes: Option<u64>,
    /// Whether an answer is awaited.
    pub is_looking: bool,
    /// The download in progress.
    pub fetching: Option<Fetching>,
    /// A pack that is being put together.
    pub form: Option<PackForm>,
    fetches: u64,
}

impl Shelf {
    /// A shelf whose thread starts when it is first looked at.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the packs; `added` are folders of a person's own.
    pub fn look(&mut self, ctx: &Context, added: &[PathBuf], hub: bool) {
        self.is_looking = true;
        self.ask(ctx, Ask::Look { added: added.to_vec(), hub });
    }

    /// Downloads what a pack lacks; it is loaded afterwards.
    pub fn fetch(&mut self, ctx: &Context, source: PackSource) {
        self.fetches += 1;
        let fetching = Fetching { source: source.clone(), progress: None, number: self.fetches };
        self.fetching = Some(fetching);
        self.ask(ctx, Ask::Fetch(self.fetches, source));
    }

    /// Stops the download.
    pub fn stop(&mut self) {
        if let (Some(fetching), Some(library)) = (&self.fetching, &self.library) {
            library.stop(fetching.number);
        }
    }

    /// Writes the pack that was put together.
    pub fn save(&mut self, ctx: &Context, folder: PathBuf) -> Option<String> {
        let manifest = match self.form.as_ref()?.manifest() {
            Ok(manifest) => manifest,
            Err(reason) => return Some(reason),
        };
        self.ask(ctx, Ask::Save(folder, Box::new(manifest)));
        None
    }

    /// What a pack needs, if it was looked at.
    pub fn survey(&self, source: &PackSource) -> Option<&Survey> {
        let shelved = self.packs.iter().flatten().find(|shelved| shelved.source == *source)?;
        shelved.survey.as_ref().ok()
    }

    /// Takes in what was told.
    pub fn receive(&mut self) -> Vec<Outcome> {
        let told: Vec<Told> = self.library.iter().flat_map(Library::drain).collect();
        told.into_iter().filter_map(|told| self.take(told)).collect()
    }

    fn take(&mut self, told: Told) -> Option<Outcome> {
        match told {
            Told::Packs { packs, free_memory_bytes } => {
                self.packs = Some(packs);
                self.free_memory_bytes = free_memory_bytes;
                self.is_looking = false;
                None
            }
            Told::Progress(progress) => {
                if let Some(fetching) = &mut self.fetching {
                    fetching.progress = Some(progress);
                }
                None
            }
            Told::Fetched(source) => {
                self.fetching = None;
                Some(Outcome::Ready(source))
            }
            Told::FetchStopped => {
                self.fetching = None;
                None
            }
            Told::FetchFailed(_, reason) => {
                self.fetching = None;
                Some(Outcome::Error(crate::words::sentence(&reason)))
            }
            Told::Saved(folder) => {
                self.form = None;
                Some(Outcome::Saved(folder))
            }
            Told::SaveFailed(reason) => Some(Outcome::Error(crate::words::sentence(&reason))),
        }
    }

    fn ask(&mut self, ctx: &Context, ask: Ask) {
        if self.library.is_none() {
            let ctx = ctx.clone();
            let library = Library::spawn(Hub::from_env, move || ctx.request_repaint());
            self.library = library.inspect_err(|e| tracing::warn!("no library of packs: {e}")).ok();
        }
        if !self.library.as_ref().is_some_and(|library| library.ask(ask)) {
            self.is_looking = false;
            self.fetching = None;
        }
    }
}
