//! The packs there are, and what is being done with them. The work is done by
//! [`crate::worker::library`], on a thread of its own.

use std::path::PathBuf;

use eframe::egui::Context;

use super::pack_form::PackForm;
use crate::worker::library::{
    Ask, Entry, Hub, HubSettings, Library, Presence, Progress, Shelved, Survey, Told,
};
use crate::worker::protocol::PackSource;

/// What came of a question, for the window.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A pack that is to be opened was looked at.
    Looked(PackSource),
    /// The size of a pack that a person wants is known.
    Measured(PackSource),
    /// A pack is complete and is to be loaded.
    Ready(PackSource),
    /// A download was stopped.
    Stopped,
    /// What a pack has from the hub is as it came.
    Sound,
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
    /// A pack that is downloaded once the hub has said how large it is.
    pub measuring: Option<PackSource>,
    /// A pack whose files are read over because a person wants to know how they are.
    pub verifying: Option<PackSource>,
    /// A pack so large that a person is asked first.
    pub in_question: Option<PackSource>,
    /// A pack that is opened once it was looked at.
    pub opening: Option<PackSource>,
    /// A pack that has just come onto the list or is being fetched, to be shown; numbered, so that
    /// a person who has scrolled away from it is brought back once each time.
    pub fresh: Option<(PackSource, u64)>,
    /// A pack that is being put together.
    pub form: Option<PackForm>,
    /// One that was closed before it was saved, to be gone on with.
    pub draft: Option<PackForm>,
    /// Where models are downloaded from; none: as the environment says.
    hub: Option<HubSettings>,
    /// A pack whose download has ended early: the next one goes on with it.
    interrupted: Option<PackSource>,
    /// Packs of which something from the hub is damaged, until it is downloaded again.
    damaged: Vec<PackSource>,
    /// From this size on a download is asked about, in bytes.
    large: u64,
    /// How many downloads, questions and pointers there were.
    asked: u64,
    /// The number of the last question.
    measure: u64,
}

impl Shelf {
    /// A shelf whose thread starts when it is first looked at. Without a `hub`, the environment
    /// names one. Downloads of `large` bytes and more are asked about.
    pub fn new(hub: Option<HubSettings>, large: u64) -> Self {
        Self { hub, large, ..Self::default() }
    }

    /// Looks at the packs; `added` are folders of a person's own.
    pub fn look(&mut self, ctx: &Context, added: &[PathBuf], hub: bool) {
        self.is_looking = true;
        self.ask(ctx, Ask::Look { added: added.to_vec(), hub });
    }

    /// A person wants a pack that is not all here: how large it is comes first.
    pub fn want(&mut self, ctx: &Context, source: PackSource) {
        match self.survey(&source).and_then(Survey::missing_bytes) {
            // Who goes on with a download has agreed to it before.
            Some(_) if self.is_interrupted(&source) => self.fetch(ctx, source),
            Some(missing) if missing >= self.large => self.in_question = Some(source),
            Some(_) => self.fetch(ctx, source),
            None => {
                self.asked += 1;
                self.measure = self.asked;
                self.measuring = Some(source.clone());
                self.ask(ctx, Ask::Measure(self.asked, source));
            }
        }
    }

    /// Has the card of a pack shown.
    pub fn point_at(&mut self, source: PackSource) {
        self.asked += 1;
        self.fresh = Some((source, self.asked));
    }

    /// Downloads what a pack lacks; it is loaded afterwards.
    pub fn fetch(&mut self, ctx: &Context, source: PackSource) {
        self.asked += 1;
        let fetching = Fetching { source: source.clone(), progress: None, number: self.asked };
        self.fetching = Some(fetching);
        self.ask(ctx, Ask::Fetch(self.asked, source));
    }

    /// Whether a download of this pack has ended early, with some of it here.
    pub fn is_interrupted(&self, source: &PackSource) -> bool {
        self.interrupted.as_ref() == Some(source)
    }

    /// A pack would not load: what it has from the hub may be damaged.
    pub fn verify(&mut self, ctx: &Context, source: PackSource) {
        self.ask(ctx, Ask::Verify(source));
    }

    /// The same, because a person wants to know.
    pub fn verify_for(&mut self, ctx: &Context, source: PackSource) {
        self.verifying = Some(source.clone());
        self.verify(ctx, source);
    }

    /// Whether something that this pack has from the hub is damaged.
    pub fn is_damaged(&self, source: &PackSource) -> bool {
        self.damaged.contains(source)
    }

    /// Notes what a download that ends early leaves.
    fn end_early(&mut self) {
        let fetching = self.fetching.take();
        let begun = fetching.filter(|f| f.progress.as_ref().is_some_and(|p| p.done_bytes > 0));
        if let Some(fetching) = begun {
            self.interrupted = Some(fetching.source);
        }
    }

    /// What is under way for a pack that a person wants, and the share of it that is done.
    pub fn waiting(&self) -> Option<(String, f32)> {
        let progress = self.fetching.as_ref().map(|fetching| fetching.progress.as_ref());
        match (progress, &self.measuring) {
            (Some(Some(progress)), _) => Some((progress.to_string(), progress.share())),
            (Some(None), _) | (None, Some(_)) => Some(("what the hub has".to_owned(), 0.0)),
            (None, None) => None,
        }
    }

    /// Whether a form or a question of the shelf's lies over the window.
    pub fn asks(&self) -> bool {
        self.form.is_some() || self.in_question.is_some()
    }

    /// A pack that goes off the list is neither measured nor fetched.
    pub fn forget(&mut self, source: &PackSource) {
        if self.measuring.as_ref() == Some(source) {
            self.stop_measuring();
        }
        self.interrupted.take_if(|interrupted| interrupted == source);
        self.damaged.retain(|damaged| damaged != source);
        self.in_question.take_if(|asked| asked == source);
        if self.fetching.as_ref().is_some_and(|fetching| fetching.source == *source) {
            self.stop();
        }
    }

    /// Stops the download, or the question how large one would be.
    pub fn stop(&mut self) {
        if let (Some(fetching), Some(library)) = (&self.fetching, &self.library) {
            library.stop(fetching.number);
        }
        self.stop_measuring();
    }

    fn stop_measuring(&mut self) {
        if let (Some(_), Some(library)) = (self.measuring.take(), &self.library) {
            library.stop(self.measure);
        }
    }

    /// Closes the form; what was typed is there when it is opened again.
    pub fn close_form(&mut self) {
        self.draft = self.form.take().filter(|form| !form.is_untouched());
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
            Told::Packs { mut packs, free_memory_bytes } => {
                for before in self.packs.iter().flatten() {
                    let now = packs.iter_mut().find(|now| now.source == before.source);
                    now.into_iter().for_each(|now| remember(now, before));
                }
                self.packs = Some(packs);
                self.free_memory_bytes = free_memory_bytes;
                self.is_looking = false;
                self.opening.take().map(Outcome::Looked)
            }
            Told::Measured(measured) => {
                let is_wanted = self.measuring.take_if(|wanted| *wanted == measured.source);
                let mut shelved = self.packs.iter_mut().flatten();
                let shelved = shelved.find(|shelved| shelved.source == measured.source)?;
                *shelved = measured;
                // What the hub has not said, the card says.
                let known = shelved.survey.as_ref().is_ok_and(|s| s.missing_bytes().is_some());
                is_wanted.filter(|_| known).map(Outcome::Measured)
            }
            Told::Progress(progress) => {
                if let Some(fetching) = &mut self.fetching {
                    fetching.progress = Some(progress);
                }
                None
            }
            Told::Fetched(source) => {
                self.fetching = None;
                self.interrupted.take_if(|interrupted| *interrupted == source);
                self.damaged.retain(|damaged| *damaged != source);
                Some(Outcome::Ready(source))
            }
            Told::Verified { source, is_damaged } => {
                let is_wanted = self.verifying.take_if(|wanted| *wanted == source);
                if !is_damaged {
                    return is_wanted.map(|_| Outcome::Sound);
                }
                if !self.is_damaged(&source) {
                    self.damaged.push(source.clone());
                }
                self.point_at(source);
                None
            }
            Told::FetchStopped => {
                self.end_early();
                Some(Outcome::Stopped)
            }
            Told::FetchFailed(_, reason) => {
                self.end_early();
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
            let hub = self.hub.clone();
            let hub = move || hub.map_or_else(Hub::from_env, Hub::new);
            let library = Library::spawn(hub, move || ctx.request_repaint());
            self.library = library.inspect_err(|e| tracing::warn!("no library of packs: {e}")).ok();
        }
        if !self.library.as_ref().is_some_and(|library| library.ask(ask)) {
            self.is_looking = false;
            self.fetching = None;
            self.measuring = None;
            self.verifying = None;
        }
    }
}

/// A look that asks no hub keeps what one has said before: all of it of what is still not here, the
/// licence of what has come.
fn remember(now: &mut Shelved, before: &Shelved) {
    let (Ok(now), Ok(before)) = (&mut now.survey, &before.survey) else { return };
    for model in &mut now.models {
        let same = |old: &&Entry| {
            old.role == model.role && old.source == model.source && old.kind == model.kind
        };
        let Some(old) = before.models.iter().find(same) else { continue };
        let is_unknown = model.file_bytes.is_none() && model.problem.is_none();
        let is_still_away = [model.presence, old.presence] == [Presence::ToDownload; 2];
        if is_unknown && is_still_away {
            *model = old.clone();
        }
        if model.licence.is_none() {
            model.licence.clone_from(&old.licence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::library::Kind;

    fn shelved(missing_bytes: Option<u64>) -> Shelved {
        let model = Entry {
            role: "base",
            kind: Kind::Model,
            same_as: None,
            source: "a/b".into(),
            from_hub: true,
            presence: Presence::ToDownload,
            file_bytes: missing_bytes,
            missing_bytes,
            parameters: None,
            held_bytes: None,
            licence: None,
            problem: None,
        };
        let survey = Survey {
            name: "large".into(),
            description: String::new(),
            licence: None,
            folder: "/large".into(),
            models: vec![model],
        };
        Shelved { source: PackSource::Folder("/large".into()), survey: Ok(survey) }
    }

    #[test]
    fn a_large_download_is_asked_about_and_an_unknown_one_measured() {
        let ctx = Context::default();
        let source = PackSource::Folder("/large".into());
        let mut shelf = Shelf { packs: Some(vec![shelved(None)]), ..Shelf::new(None, 10) };
        shelf.want(&ctx, source.clone());
        assert_eq!((shelf.measuring.as_ref(), &shelf.in_question), (Some(&source), &None));
        assert!(shelf.waiting().is_some());
        let outcome = shelf.take(Told::Measured(shelved(Some(10))));
        assert_eq!(outcome, Some(Outcome::Measured(source.clone())));
        shelf.want(&ctx, source.clone());
        assert!(shelf.measuring.is_none() && shelf.fetching.is_none());
        assert_eq!(shelf.waiting(), None);
        assert_eq!(shelf.in_question, Some(source.clone()));
        // A look at what is here alone forgets nothing of what is not.
        let told = Told::Packs { packs: vec![shelved(None)], free_memory_bytes: None };
        assert_eq!(shelf.take(told), None);
        assert_eq!(shelf.survey(&source).and_then(Survey::missing_bytes), Some(10));
        // What the hub has not said is not asked for again and again.
        shelf.in_question = None;
        shelf.measuring = Some(PackSource::Folder("/large".into()));
        assert_eq!(shelf.take(Told::Measured(shelved(None))), None);
        // Nor is what went off the list meanwhile.
        shelf.measuring = Some(PackSource::Folder("/large".into()));
        shelf.forget(&PackSource::Folder("/large".into()));
        assert_eq!(shelf.take(Told::Measured(shelved(Some(1)))), None);
    }
}
