//! The progress bar of downloads.

use indicatif::{ProgressBar, ProgressStyle};
use ivg_playground::packs::hub::Progress;

/// A progress bar on standard error, drawn only on a terminal and only once a download starts.
/// Without a terminal, prints a line for each wait, for users who follow a log.
pub struct DownloadBar {
    bar: ProgressBar,
    /// Whether a download was necessary.
    pub was_needed: bool,
    /// Problem and remaining seconds of the wait in the last progress.
    last_wait: Option<(String, f64)>,
}

impl DownloadBar {
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{wide_bar} {msg}");
        let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
        Self { bar, was_needed: false, last_wait: None }
    }

    pub fn show(&mut self, progress: &Progress) {
        self.was_needed = true;
        self.bar.set_length(progress.total_bytes);
        self.bar.set_position(progress.done_bytes);
        self.bar.set_message(progress.to_string());
        let wait = progress.pause.as_ref().map(|p| (p.problem.clone(), p.seconds_left));
        let is_new = match (&wait, &self.last_wait) {
            (Some((problem, left)), Some((last_problem, last_left))) => {
                problem != last_problem || left > last_left
            }
            (wait, _) => wait.is_some(),
        };
        if self.bar.is_hidden() && is_new {
            errln!("{progress}");
        }
        self.last_wait = wait;
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
