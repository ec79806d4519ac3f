//! A bar for what arrives from the hub.

use indicatif::{ProgressBar, ProgressStyle};
use ivg_playground::packs::hub::Progress;

/// On standard error, and only where that is a terminal; nothing is drawn before something arrives.
pub struct DownloadBar {
    bar: ProgressBar,
    /// Whether anything had to be downloaded.
    pub was_needed: bool,
}

impl DownloadBar {
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{wide_bar} {msg}");
        let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
        Self { bar, was_needed: false }
    }

    pub fn show(&mut self, progress: &Progress) {
        self.was_needed = true;
        self.bar.set_length(progress.total_bytes);
        self.bar.set_position(progress.done_bytes);
        self.bar.set_message(progress.to_string());
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
