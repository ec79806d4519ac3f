//! A bar for what arrives from the hub.

use indicatif::{ProgressBar, ProgressStyle};
use ivg_playground::packs::hub::Progress;

/// On standard error, and only where that is a terminal; nothing is drawn before something arrives.
/// Elsewhere a wait is told in a line: somebody may watch a log.
pub struct DownloadBar {
    bar: ProgressBar,
    /// Whether anything had to be downloaded.
    pub was_needed: bool,
    /// The wait that was told last where there is no terminal: why, and how long it was to be yet.
    told: Option<(String, f64)>,
}

impl DownloadBar {
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{wide_bar} {msg}");
        let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
        Self { bar, was_needed: false, told: None }
    }

    pub fn show(&mut self, progress: &Progress) {
        self.was_needed = true;
        self.bar.set_length(progress.total_bytes);
        self.bar.set_position(progress.done_bytes);
        self.bar.set_message(progress.to_string());
        let wait = progress.pause.as_ref().map(|p| (p.problem.clone(), p.seconds_left));
        let is_same = match (&wait, &self.told) {
            (Some((problem, left)), Some((before, had))) => problem == before && left <= had,
            (wait, _) => wait.is_none(),
        };
        if self.bar.is_hidden() && !is_same {
            tell!("{progress}");
        }
        self.told = wait;
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
