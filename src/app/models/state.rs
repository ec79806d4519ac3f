//! The packs and their jobs. The pack service does the work on a background thread.

use std::path::PathBuf;

use eframe::egui::Context;

use super::jobs::{PackJob, PackJobs};
use super::pack_form::PackForm;
use super::wizard::Wizard;
use crate::format::sentence;
use crate::worker::pack_service::{
    Command, Entry, Event, Hub, ListedPack, Manifest, PackService, Presence, SendError, Survey,
};
use crate::worker::protocol::PackSource;

/// The result of an event of the pack service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// A pack was surveyed and can be opened.
    Surveyed(PackSource),
    /// The size of a requested download is known.
    Measured(PackSource),
    /// A pack was downloaded and can be loaded.
    Downloaded(PackSource),
    /// A download was stopped.
    Stopped,
    /// All downloaded files match their checksums.
    Intact,
    /// A pack was written to this folder.
    Saved(PathBuf),
    /// A pack could not be written. The error is a sentence.
    SaveFailed(String),
    /// The form opens with the values of the pack in this folder.
    Opened(FormKind, PathBuf, Box<Manifest>),
    /// An error, as a sentence.
    Error(String),
}

/// Why a form opens with the values of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormKind {
    Edit,
    Copy,
}

/// The packs and their jobs.
#[derive(Debug, Default)]
pub(crate) struct ModelsState {
    service: Option<PackService>,
    /// All packs. `None` before the first survey.
    pub(crate) packs: Option<Vec<ListedPack>>,
    /// Free memory in bytes, if the system reports it.
    pub(crate) free_memory_bytes: Option<u64>,
    /// Whether the list is being refreshed.
    pub(crate) is_refreshing: bool,
    pub(crate) jobs: PackJobs,
    /// A pack to scroll to and highlight. The number identifies the request, so that the list
    /// scrolls once per request.
    pub(crate) highlighted: Option<(PackSource, u64)>,
    /// The form for a new pack, if it was closed before its pack was saved.
    pub(crate) draft: Option<PackForm>,
    /// The wizard, if it was closed before its pack was saved.
    pub(crate) wizard: Option<Box<Wizard>>,
    /// The pack whose values are being read for a form.
    opening: Option<(FormKind, PathBuf)>,
    hub: Hub,
    /// A pack whose download ended early; the next download continues it.
    interrupted: Option<PackSource>,
    /// Packs with a damaged downloaded file.
    damaged: Vec<PackSource>,
    /// Downloads of this many bytes or more must be confirmed.
    large_download_bytes: u64,
    /// Number of highlight requests so far.
    highlight_requests: u64,
}

impl ModelsState {
    /// Creates an empty list. The pack service starts when it is first needed. Downloads of
    /// `large_download_bytes` or more must be confirmed.
    pub(crate) fn new(hub: Hub, large_download_bytes: u64) -> Self {
        Self { hub, large_download_bytes, ..Self::default() }
    }

    /// Returns the source and the name of each pack whose files are all on this machine.
    pub(crate) fn ready_packs(&self) -> impl Iterator<Item = (&PackSource, &str)> {
        let surveyed = self.packs.iter().flatten();
        surveyed.filter_map(|listed| {
            let survey = listed.survey.as_ref().ok()?;
            let is_ready = survey
                .models
                .iter()
                .all(|model| !matches!(model.presence, Presence::ToDownload | Presence::Broken));
            is_ready.then_some((&listed.source, survey.name.as_str()))
        })
    }

    /// Refreshes the list. `added` are the folders that the user added. With `ask_hub`, requests
    /// the sizes of missing files from the hub.
    pub(crate) fn refresh(&mut self, ctx: &Context, added: &[PathBuf], ask_hub: bool) {
        self.is_refreshing = true;
        self.send(ctx, Command::List { added: added.to_vec(), hub: ask_hub });
    }

    /// Downloads the missing files of a pack. First gets their size, and the user's confirmation if
    /// the download is large.
    pub(crate) fn request_download(&mut self, ctx: &Context, source: PackSource) {
        match self.survey(&source).and_then(Survey::missing_bytes) {
            // The user has confirmed this download before.
            Some(_) if self.is_interrupted(&source) => self.download(ctx, source),
            Some(missing) if missing >= self.large_download_bytes => self.jobs.confirm(source),
            Some(_) => self.download(ctx, source),
            None => {
                let number = self.jobs.measure(source.clone());
                self.send(ctx, Command::Measure(number, source));
            }
        }
    }

    /// Scrolls the list to a pack and highlights it.
    pub(crate) fn highlight(&mut self, source: PackSource) {
        self.highlight_requests += 1;
        self.highlighted = Some((source, self.highlight_requests));
    }

    /// Downloads the missing files of a pack, which is loaded afterwards.
    pub(crate) fn download(&mut self, ctx: &Context, source: PackSource) {
        let number = self.jobs.download(source.clone());
        self.send(ctx, Command::Download(number, source));
    }

    /// Returns whether a download of this pack ended early.
    pub(crate) fn is_interrupted(&self, source: &PackSource) -> bool {
        self.interrupted.as_ref() == Some(source)
    }

    /// Verifies the downloaded files of a pack that failed to load.
    pub(crate) fn verify_after_failure(&mut self, ctx: &Context, source: PackSource) {
        self.send(ctx, Command::Verify(source));
    }

    /// Verifies the downloaded files of a pack at the user's request.
    pub(crate) fn verify(&mut self, ctx: &Context, source: PackSource) {
        self.jobs.verify(source.clone());
        self.send(ctx, Command::Verify(source));
    }

    /// Returns whether a downloaded file of this pack is damaged.
    pub(crate) fn is_damaged(&self, source: &PackSource) -> bool {
        self.damaged.contains(source)
    }

    fn download_ended(&mut self) {
        if let Some(source) = self.jobs.download_ended() {
            self.interrupted = Some(source);
        }
    }

    /// Stops the jobs of a pack that is removed from the list.
    pub(crate) fn forget(&mut self, source: &PackSource) {
        self.interrupted.take_if(|interrupted| interrupted == source);
        self.damaged.retain(|damaged| damaged != source);
        if self.jobs.confirming() == Some(source) {
            self.jobs.answered();
        }
        let fetches =
            |job: &PackJob| matches!(job, PackJob::Measuring { .. } | PackJob::Downloading { .. });
        if self.jobs.of(source).any(fetches) {
            self.stop();
        }
    }

    /// Stops the download and the measurement.
    pub(crate) fn stop(&mut self) {
        for number in self.jobs.stop() {
            if let Some(service) = &self.service {
                service.stop(number);
            }
        }
    }

    /// Saves the pack of a form in `folder`.
    ///
    /// # Errors
    /// Returns a sentence that names the wrong field of the form.
    pub(crate) fn save(
        &mut self,
        ctx: &Context,
        form: &PackForm,
        folder: PathBuf,
    ) -> Result<(), String> {
        let manifest = Box::new(form.manifest()?);
        self.write(ctx, Command::Save(folder, manifest))
    }

    /// Sends a command that writes or reads one pack.
    ///
    /// # Errors
    /// Returns a sentence if the service does not accept the command.
    pub(crate) fn write(&mut self, ctx: &Context, command: Command) -> Result<(), String> {
        match self.send(ctx, command) {
            true => Ok(()),
            false => Err("The pack service is busy or has stopped; try again.".to_owned()),
        }
    }

    /// Reads the pack in `folder` for a form.
    ///
    /// # Errors
    /// Returns a sentence if the service does not accept the command.
    pub(crate) fn open_form(
        &mut self,
        ctx: &Context,
        kind: FormKind,
        folder: PathBuf,
    ) -> Result<(), String> {
        self.opening = Some((kind, folder.clone()));
        self.write(ctx, Command::Read(folder))
    }

    /// Returns the survey of a pack, or `None` if it has not been surveyed or is invalid.
    pub(crate) fn survey(&self, source: &PackSource) -> Option<&Survey> {
        let listed = self.packs.iter().flatten().find(|listed| listed.source == *source)?;
        listed.survey.as_ref().ok()
    }

    /// Returns the first pack in the list with this name.
    pub(crate) fn named(&self, name: &str) -> Option<&PackSource> {
        let mut listed = self.packs.iter().flatten();
        let found = listed.find(|listed| listed.survey.as_ref().is_ok_and(|s| s.name == name))?;
        Some(&found.source)
    }

    /// Handles the events of the service.
    pub(crate) fn receive(&mut self) -> Vec<Outcome> {
        let events: Vec<Event> = self.service.iter().flat_map(PackService::drain).collect();
        events.into_iter().filter_map(|event| self.apply(event)).collect()
    }

    fn apply(&mut self, event: Event) -> Option<Outcome> {
        match event {
            Event::Packs { mut packs, free_memory_bytes } => {
                for old in self.packs.iter().flatten() {
                    let new = packs.iter_mut().find(|new| new.source == old.source);
                    new.into_iter().for_each(|new| keep_hub_answers(new, old));
                }
                self.packs = Some(packs);
                self.free_memory_bytes = free_memory_bytes;
                self.is_refreshing = false;
                self.jobs.surveyed().map(Outcome::Surveyed)
            }
            Event::Measured(measured) => {
                let is_pending = self.jobs.measured(&measured.source);
                let source = measured.source.clone();
                let mut listed = self.packs.iter_mut().flatten();
                let listed = listed.find(|listed| listed.source == source)?;
                *listed = measured;
                // If the size is unknown, the card shows the reason.
                let is_known = listed.survey.as_ref().is_ok_and(|s| s.missing_bytes().is_some());
                (is_pending && is_known).then_some(Outcome::Measured(source))
            }
            Event::Progress(progress) => {
                self.jobs.set_download_progress(progress);
                None
            }
            Event::Downloaded(source) => {
                self.jobs.download_ended();
                self.interrupted.take_if(|interrupted| *interrupted == source);
                self.damaged.retain(|damaged| *damaged != source);
                Some(Outcome::Downloaded(source))
            }
            Event::Verified { source, is_damaged } => {
                let is_requested = self.jobs.verified(&source);
                if !is_damaged {
                    return is_requested.then_some(Outcome::Intact);
                }
                if !self.is_damaged(&source) {
                    self.damaged.push(source.clone());
                }
                self.highlight(source);
                None
            }
            Event::DownloadStopped => {
                self.download_ended();
                Some(Outcome::Stopped)
            }
            Event::DownloadFailed(_, reason) => {
                self.download_ended();
                Some(Outcome::Error(sentence(&reason)))
            }
            Event::Saved(folder) => Some(Outcome::Saved(folder)),
            Event::SaveFailed(reason) => Some(Outcome::SaveFailed(sentence(&reason))),
            Event::Read(folder, manifest) => self.opened(folder, manifest),
        }
    }

    /// Opens the form for which a pack was read.
    fn opened(
        &mut self,
        folder: PathBuf,
        manifest: Result<Box<Manifest>, String>,
    ) -> Option<Outcome> {
        let (kind, _) = self.opening.take_if(|(_, asked)| *asked == folder)?;
        Some(match manifest {
            Ok(manifest) => Outcome::Opened(kind, folder, manifest),
            Err(reason) => Outcome::Error(sentence(&reason)),
        })
    }

    /// Sends a command to the service, which is started if needed. Returns whether it was accepted.
    fn send(&mut self, ctx: &Context, command: Command) -> bool {
        if self.service.is_none() {
            let ctx = ctx.clone();
            let service = PackService::spawn(self.hub.clone(), move || ctx.request_repaint());
            self.service = service.inspect_err(|e| tracing::warn!("no pack service: {e}")).ok();
        }
        let sent = self.service.as_ref().map_or(Err(SendError::Ended), |s| s.send(command));
        let Err(error) = sent else { return true };
        tracing::warn!("the pack service does not accept commands: {error:?}");
        self.is_refreshing = false;
        if error == SendError::Ended {
            self.jobs.service_ended();
        }
        false
    }
}

/// Copies earlier answers of the hub into a survey that did not ask it: all fields of models that
/// are still missing, and the licence of models that were downloaded.
fn keep_hub_answers(new: &mut ListedPack, old: &ListedPack) {
    let (Ok(new), Ok(old)) = (&mut new.survey, &old.survey) else { return };
    for model in &mut new.models {
        let is_same = |old: &&Entry| {
            old.role == model.role && old.source == model.source && old.kind == model.kind
        };
        let Some(old) = old.models.iter().find(is_same) else { continue };
        let is_unknown = model.file_bytes.is_none() && model.problem.is_none();
        let is_still_missing = [model.presence, old.presence] == [Presence::ToDownload; 2];
        if is_unknown && is_still_missing {
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
    use crate::worker::pack_service::Kind;

    fn listed_pack(missing_bytes: Option<u64>) -> ListedPack {
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
        ListedPack { source: PackSource::Folder("/large".into()), survey: Ok(survey) }
    }

    #[test]
    fn measures_downloads_of_unknown_size_and_confirms_large_ones() {
        let ctx = Context::default();
        let source = PackSource::Folder("/large".into());
        let unknown = vec![listed_pack(None)];
        let mut models =
            ModelsState { packs: Some(unknown), ..ModelsState::new(Hub::default(), 10) };
        models.request_download(&ctx, source.clone());
        assert!(matches!(models.jobs.of(&source).next(), Some(PackJob::Measuring { .. })));
        let outcome = models.apply(Event::Measured(listed_pack(Some(10))));
        assert_eq!(outcome, Some(Outcome::Measured(source.clone())));
        models.request_download(&ctx, source.clone());
        assert_eq!(models.jobs.confirming(), Some(&source));
        // A refresh that does not ask the hub keeps its earlier answer.
        let event = Event::Packs { packs: vec![listed_pack(None)], free_memory_bytes: None };
        assert_eq!(models.apply(event), None);
        assert_eq!(models.survey(&source).and_then(Survey::missing_bytes), Some(10));
        // If the hub does not know the size, the answer does not start another request.
        models.jobs.measure(source.clone());
        assert_eq!(models.apply(Event::Measured(listed_pack(None))), None);
        // The answer for a pack that was removed from the list is ignored.
        models.jobs.measure(source.clone());
        models.forget(&source);
        assert_eq!(models.apply(Event::Measured(listed_pack(Some(1)))), None);
    }
}
