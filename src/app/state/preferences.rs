//! The user's choices, stored between sessions. The running session is
//! [`crate::app::state::session`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::coloring::Coloring;
use super::presets::Preset;
use crate::app::theme::Theme;
use crate::guidance::settings::{Arm, Column, Settings, limits};
use crate::worker::protocol::{DeviceChoice, PackInfo};

/// Everything that is stored between sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// The settings of the next run.
    pub settings: Settings,
    /// The columns, from left to right.
    pub columns: Vec<Column>,
    /// Name of the pack that the settings belong to.
    pub pack: Option<String>,
    /// Folders of the packs that the user added.
    pub added_packs: Vec<PathBuf>,
    /// The device that the models compute on.
    pub device: DeviceChoice,
    /// The prompt as typed.
    pub prompt: String,
    /// Light, dark or the system theme.
    pub theme: Theme,
    /// The measure that the background colour of tokens shows.
    pub coloring: Coloring,
    /// Whether [`Coloring::Changes`] also shows the words that only the first column has.
    pub show_removed_words: bool,
    /// Presets that the user saved. Their names are unique.
    pub presets: Vec<Preset>,
    /// The tab of the sidebar.
    pub side: SidebarTab,
    /// Whether the user has ever started a run. Until then, an example is shown.
    pub has_run: bool,
    /// The tab of the panel below the responses.
    pub lower: LowerTab,
    /// Whether that panel is hidden.
    pub lower_hidden: bool,
    /// Whether to run again whenever a setting has changed.
    pub live: bool,
    /// Whether all metrics are shown, not only the judge's score.
    pub details: bool,
    /// Whether the sidebar is collapsed.
    pub sidebar_hidden: bool,
    /// Whether the columns scroll together.
    pub scroll_together: bool,
    /// The folder in which figures are saved, if the user chose one.
    pub figure_folder: Option<PathBuf>,
    /// Zoom factor of the window (Ctrl with plus and minus); 1 is the normal size.
    pub zoom: f32,
    /// Zoom factor of the presentation.
    pub present_zoom: f32,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            columns: vec![Arm::Base.into(), Arm::Ivg.into()],
            pack: None,
            added_packs: Vec::new(),
            device: DeviceChoice::default(),
            prompt: String::new(),
            theme: Theme::default(),
            coloring: Coloring::default(),
            show_removed_words: false,
            presets: Vec::new(),
            side: SidebarTab::default(),
            has_run: false,
            lower: LowerTab::default(),
            lower_hidden: false,
            live: false,
            details: false,
            sidebar_hidden: false,
            scroll_together: false,
            figure_folder: None,
            zoom: 1.0,
            present_zoom: PRESENT_ZOOM,
        }
    }
}

/// A tab of the panel below the responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LowerTab {
    /// The value of each chunk, plotted against the length of the response.
    #[default]
    Values,
    /// The search of one column as a tree.
    Tree,
    /// One setting run at several values: gold reward against KL.
    #[serde(alias = "strength")]
    Sweep,
}

/// A tab of the sidebar, below the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SidebarTab {
    /// Decoding settings.
    #[default]
    Settings,
    /// Past runs.
    History,
    /// Packs.
    Models,
}

/// Default zoom of the presentation: readable from the back of a room, and fits 1280×720.
pub(super) const PRESENT_ZOOM: f32 = 1.4;
/// Zoom factors that egui accepts. The range also excludes NaN.
const ZOOMS: std::ops::RangeInclusive<f32> = 0.2..=5.0;

const KEY: &str = "preferences";

impl Preferences {
    /// Loads the stored preferences. Values that are invalid fall back to their defaults.
    pub fn load(storage: Option<&dyn eframe::Storage>) -> Self {
        storage.and_then(|s| s.get_string(KEY)).map(|s| Self::from_json(&s)).unwrap_or_default()
    }

    /// Writes the preferences to `storage`.
    pub fn save(&self, storage: &mut dyn eframe::Storage) {
        // JSON like the other files of this program, which write an infinite λ as "inf".
        match serde_json::to_string(self) {
            Ok(text) => storage.set_string(KEY, text),
            Err(error) => tracing::warn!("preferences were not stored: {error}"),
        }
    }

    /// Adds the folder of a pack to the list, unless the list already contains it.
    pub(crate) fn add_pack(&mut self, folder: &Path) {
        if !self.added_packs.iter().any(|added| added == folder) {
            self.added_packs.push(folder.to_owned());
        }
    }

    /// Replaces the settings with the defaults of `pack`, unless they belong to it already.
    pub(crate) fn adopt(&mut self, pack: &PackInfo) {
        if self.pack.as_ref() != Some(&pack.name) {
            self.settings = pack.defaults.clone();
            self.pack = Some(pack.name.clone());
        }
    }

    fn from_json(text: &str) -> Self {
        let mut preferences: Self = serde_json::from_str(text).unwrap_or_default();
        if preferences.settings.validate().is_err() {
            preferences.settings = Settings::default();
        }
        preferences.presets.retain(|p| p.settings.validate().is_ok());
        let is_valid = |c: &Column| c.pinned.as_ref().is_none_or(|s| s.validate().is_ok());
        preferences.columns.retain(is_valid);
        if !limits::COLUMNS.contains(&preferences.columns.len()) {
            preferences.columns = Self::default().columns;
        }
        if !ZOOMS.contains(&preferences.zoom) {
            preferences.zoom = 1.0;
        }
        if !ZOOMS.contains(&preferences.present_zoom) {
            preferences.present_zoom = PRESENT_ZOOM;
        }
        preferences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_survive_a_round_trip_through_json() {
        let mut chosen = Preferences {
            prompt: "The film".into(),
            theme: Theme::Dark,
            live: true,
            coloring: Coloring::Kl,
            show_removed_words: true,
            lower: LowerTab::Tree,
            lower_hidden: true,
            ..Preferences::default()
        };
        chosen.settings.lambda = f32::INFINITY;
        chosen.settings.beta = -0.5;
        let text = serde_json::to_string(&chosen).expect("serialises");
        assert_eq!(Preferences::from_json(&text), chosen);
    }

    #[test]
    fn settings_out_of_range_fall_back_to_defaults_and_the_rest_is_kept() {
        let read = Preferences::from_json(r#"{"settings":{"beta":99.0},"prompt":"kept","zoom":0}"#);
        assert_eq!(read.settings, Settings::default());
        assert_eq!((read.prompt.as_str(), read.zoom), ("kept", 1.0));
    }

    #[test]
    fn invalid_json_gives_the_defaults() {
        assert_eq!(Preferences::from_json("not json"), Preferences::default());
    }
}
