//! The jobs of packs: surveys, downloads, verifications and loading.

use crate::app::state::session::Loading;
use crate::worker::protocol::{PackSource, Progress};

/// Something that is being done for a pack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PackJob {
    /// Checks which files the pack needs, before the pack is opened.
    Surveying,
    /// Asks the hub for the size of the download.
    Measuring {
        /// Cancels the request.
        number: u64,
    },
    /// Waits for the user to confirm a large download.
    Confirming,
    /// Downloads the missing files.
    Downloading {
        /// Cancels the download.
        number: u64,
        /// `None` before the first file.
        progress: Option<Progress>,
    },
    /// Compares downloaded files with their checksums at the user's request.
    Verifying,
    /// The worker loads the pack.
    Loading,
}

/// The jobs of all packs. Each kind of job serves one pack at a time; a new one replaces it. Jobs of
/// different kinds run side by side: the worker loads packs, the pack service does the rest in order.
#[derive(Debug, Default)]
pub(crate) struct PackJobs {
    jobs: Vec<(PackSource, PackJob)>,
    /// Progress of the worker, which may also load a pack by itself.
    load_progress: Option<Loading>,
    /// Number of the last request that can be cancelled.
    requests: u64,
}

impl PackJobs {
    /// Returns the jobs of `source`.
    pub(crate) fn of(&self, source: &PackSource) -> impl Iterator<Item = &PackJob> {
        self.jobs.iter().filter(move |(other, _)| other == source).map(|(_, job)| job)
    }

    fn start(&mut self, source: PackSource, job: PackJob) {
        let kind = std::mem::discriminant(&job);
        self.jobs.retain(|(_, other)| std::mem::discriminant(other) != kind);
        self.jobs.push((source, job));
    }

    fn find(&self, is_it: impl Fn(&PackJob) -> bool) -> Option<&PackSource> {
        self.jobs.iter().find(|(_, job)| is_it(job)).map(|(source, _)| source)
    }

    fn take(&mut self, is_it: impl Fn(&PackJob) -> bool) -> Option<(PackSource, PackJob)> {
        let at = self.jobs.iter().position(|(_, job)| is_it(job))?;
        Some(self.jobs.remove(at))
    }

    fn take_of(&mut self, source: &PackSource, is_it: impl Fn(&PackJob) -> bool) -> bool {
        let before = self.jobs.len();
        self.jobs.retain(|(other, job)| other != source || !is_it(job));
        self.jobs.len() < before
    }

    fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Starts the survey of a pack that is opened afterwards.
    pub(crate) fn survey(&mut self, source: PackSource) {
        self.start(source, PackJob::Surveying);
    }

    /// Ends the survey. Returns the pack to open.
    pub(crate) fn surveyed(&mut self) -> Option<PackSource> {
        Some(self.take(|job| matches!(job, PackJob::Surveying))?.0)
    }

    /// Starts to measure a download. Returns the number of the request.
    pub(crate) fn measure(&mut self, source: PackSource) -> u64 {
        let number = self.next_request();
        self.start(source, PackJob::Measuring { number });
        number
    }

    /// Ends the measurement of `source`. Returns false if it was cancelled or replaced before.
    pub(crate) fn measured(&mut self, source: &PackSource) -> bool {
        self.take_of(source, |job| matches!(job, PackJob::Measuring { .. }))
    }

    /// Waits for the user to confirm the download of `source`.
    pub(crate) fn confirm(&mut self, source: PackSource) {
        self.start(source, PackJob::Confirming);
    }

    /// Returns the pack whose download waits for confirmation.
    pub(crate) fn confirming(&self) -> Option<&PackSource> {
        self.find(|job| matches!(job, PackJob::Confirming))
    }

    /// Ends the confirmation. Returns the pack.
    pub(crate) fn answered(&mut self) -> Option<PackSource> {
        Some(self.take(|job| matches!(job, PackJob::Confirming))?.0)
    }

    /// Starts a download. Returns the number of the request.
    pub(crate) fn download(&mut self, source: PackSource) -> u64 {
        let number = self.next_request();
        self.start(source, PackJob::Downloading { number, progress: None });
        number
    }

    /// Returns whether a pack is being downloaded, or its download measured.
    pub(crate) fn is_fetching(&self) -> bool {
        let fetches =
            |job: &PackJob| matches!(job, PackJob::Downloading { .. } | PackJob::Measuring { .. });
        self.find(fetches).is_some()
    }

    /// Returns whether a pack is being downloaded.
    pub(crate) fn is_downloading(&self) -> bool {
        self.find(|job| matches!(job, PackJob::Downloading { .. })).is_some()
    }

    /// Sets the progress of the download.
    pub(crate) fn set_download_progress(&mut self, new: Progress) {
        for (_, job) in &mut self.jobs {
            if let PackJob::Downloading { progress, .. } = job {
                *progress = Some(new.clone());
            }
        }
    }

    /// Ends the download. Returns the pack if any bytes were downloaded.
    pub(crate) fn download_ended(&mut self) -> Option<PackSource> {
        let (source, job) = self.take(|job| matches!(job, PackJob::Downloading { .. }))?;
        let PackJob::Downloading { progress: Some(progress), .. } = job else { return None };
        (progress.done_bytes > 0).then_some(source)
    }

    /// Starts to verify a pack's files at the user's request.
    pub(crate) fn verify(&mut self, source: PackSource) {
        self.start(source, PackJob::Verifying);
    }

    /// Ends the verification of `source`. Returns whether the user requested it.
    pub(crate) fn verified(&mut self, source: &PackSource) -> bool {
        self.take_of(source, |job| matches!(job, PackJob::Verifying))
    }

    /// Records that the worker was told to load a pack.
    pub(crate) fn load(&mut self, source: PackSource) {
        self.start(source, PackJob::Loading);
    }

    /// Returns the pack that the worker was last told to load.
    pub(crate) fn loading(&self) -> Option<&PackSource> {
        self.find(|job| matches!(job, PackJob::Loading))
    }

    /// Returns the progress of the worker, or `None` until it reports.
    pub(crate) fn load_progress(&self) -> Option<&Loading> {
        self.load_progress.as_ref()
    }

    /// Sets the progress of the worker.
    pub(crate) fn set_load_progress(&mut self, progress: Loading) {
        self.load_progress = Some(progress);
    }

    /// Ends the loading of `source`, successfully or not. A pack that the worker was told to load
    /// later keeps loading. Returns false if the worker loaded the pack by itself.
    pub(crate) fn load_ended(&mut self, source: &PackSource) -> bool {
        self.load_progress = None;
        self.take_of(source, |job| matches!(job, PackJob::Loading))
    }

    /// Ends loading, because the worker has stopped.
    pub(crate) fn worker_ended(&mut self) {
        self.load_progress = None;
        self.take(|job| matches!(job, PackJob::Loading));
    }

    /// Returns the progress of the download, measurement or survey that must end before a pack
    /// loads.
    pub(crate) fn waiting(&self) -> Option<Loading> {
        let just_started = |what: &str| Some(Loading { what: what.to_owned(), fraction: 0.0 });
        let job =
            |is_it: fn(&PackJob) -> bool| self.jobs.iter().map(|(_, job)| job).find(|j| is_it(j));
        match job(|job| matches!(job, PackJob::Downloading { .. })) {
            Some(PackJob::Downloading { progress: Some(progress), .. }) => {
                let (what, fraction) = (progress.to_string(), progress.share());
                Some(Loading { what, fraction })
            }
            Some(_) => just_started("asking the hub for sizes"),
            None if job(|job| matches!(job, PackJob::Measuring { .. })).is_some() => {
                just_started("asking the hub for sizes")
            }
            None if job(|job| matches!(job, PackJob::Surveying)).is_some() => {
                just_started("looking for the models")
            }
            None => None,
        }
    }

    /// Returns the numbers of the requests to cancel, so that the download and the measurement
    /// stop. A measurement ends at once. A download ends when the service reports it.
    pub(crate) fn stop(&mut self) -> Vec<u64> {
        let measuring = self.take(|job| matches!(job, PackJob::Measuring { .. }));
        let mut numbers = Vec::new();
        if let Some((_, PackJob::Measuring { number })) = measuring {
            numbers.push(number);
        }
        numbers.extend(self.jobs.iter().find_map(|(_, job)| match job {
            PackJob::Downloading { number, .. } => Some(*number),
            _ => None,
        }));
        numbers
    }

    /// Ends the jobs of the pack service, which has stopped.
    pub(crate) fn service_ended(&mut self) {
        self.jobs.retain(|(_, job)| matches!(job, PackJob::Loading | PackJob::Confirming));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(name: &str) -> PackSource {
        PackSource::Folder(name.into())
    }

    fn loading(what: &str) -> Loading {
        Loading { what: what.into(), fraction: 0.5 }
    }

    #[test]
    fn each_kind_of_job_has_one_pack_and_kinds_run_side_by_side() {
        let mut jobs = PackJobs::default();
        jobs.verify(pack("a"));
        jobs.verify(pack("b"));
        assert_eq!(jobs.of(&pack("a")).count(), 0, "replaced");
        let number = jobs.download(pack("b"));
        jobs.load(pack("b"));
        assert_eq!(jobs.of(&pack("b")).count(), 3);
        assert!(jobs.is_downloading() && jobs.loading() == Some(&pack("b")));
        assert!(jobs.verified(&pack("b")) && !jobs.verified(&pack("b")));
        assert_eq!(jobs.stop(), [number], "the download can still be stopped");
    }

    #[test]
    fn a_download_goes_from_its_survey_to_loading() {
        let mut jobs = PackJobs::default();
        jobs.survey(pack("a"));
        assert_eq!(jobs.waiting().map(|w| w.what), Some("looking for the models".into()));
        let source = jobs.surveyed().expect("the pack to open");
        let first = jobs.measure(source.clone());
        assert!(jobs.is_fetching() && jobs.measured(&source) && !jobs.is_fetching());
        jobs.confirm(source);
        let source = jobs.answered().expect("the confirmed pack");
        let second = jobs.download(source.clone());
        assert!(second > first && jobs.is_fetching());
        assert_eq!(jobs.download_ended(), None, "no bytes were downloaded");
        jobs.load(source.clone());
        assert_eq!((jobs.loading(), jobs.load_progress()), (Some(&source), None));
        jobs.set_load_progress(loading("base model"));
        assert_eq!(jobs.load_progress(), Some(&loading("base model")));
        assert!(jobs.load_ended(&source));
        assert_eq!((jobs.loading(), jobs.load_progress(), jobs.waiting()), (None, None, None));
    }

    #[test]
    fn a_measurement_stops_at_once_and_a_download_when_the_service_reports_it() {
        let mut jobs = PackJobs::default();
        let number = jobs.measure(pack("a"));
        assert_eq!((jobs.stop(), jobs.is_fetching()), (vec![number], false));
        assert!(!jobs.measured(&pack("a")), "the answer is not used any more");
        let number = jobs.download(pack("a"));
        assert_eq!((jobs.stop(), jobs.is_fetching()), (vec![number], true));
        assert_eq!(jobs.download_ended(), None);
        assert!(!jobs.is_fetching() && jobs.stop().is_empty());
    }

    #[test]
    fn a_pack_loaded_by_an_earlier_command_leaves_the_later_one_loading() {
        let mut jobs = PackJobs::default();
        jobs.load(pack("a"));
        jobs.load(pack("b"));
        jobs.set_load_progress(loading("base model"));
        assert!(!jobs.load_ended(&pack("a")));
        assert_eq!((jobs.loading(), jobs.load_progress()), (Some(&pack("b")), None));
        assert!(jobs.load_ended(&pack("b")) && !jobs.load_ended(&pack("b")));
    }

    #[test]
    fn progress_alone_leaves_no_job_behind() {
        // The worker moves the pack in use to the CPU by itself.
        let mut jobs = PackJobs::default();
        jobs.set_load_progress(loading("base model"));
        assert_eq!(jobs.loading(), None);
        assert!(!jobs.load_ended(&pack("a")));
        assert_eq!(jobs.load_progress(), None);
    }

    #[test]
    fn loading_and_the_confirmation_outlive_the_service() {
        let mut jobs = PackJobs::default();
        jobs.load(pack("a"));
        jobs.confirm(pack("b"));
        jobs.verify(pack("c"));
        jobs.download(pack("d"));
        jobs.service_ended();
        assert_eq!((jobs.loading(), jobs.confirming()), (Some(&pack("a")), Some(&pack("b"))));
        assert!(jobs.of(&pack("c")).next().is_none() && !jobs.is_fetching());
    }
}
