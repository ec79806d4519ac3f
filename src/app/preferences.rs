//! What a person chose, kept between sessions. What is going on now is [`super::session`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::coloring::Coloring;
use super::panels::side::Side;
use super::presets::Preset;
use super::theme::Theme;
use crate::guidance::settings::{Arm, Column, Settings, limits};
use crate::worker::protocol::{DeviceChoice, PackInfo};

/// Everything that is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// The settings of the next run.
    pub settings: Settings,
    /// What stands side by side.
    pub columns: Vec<Column>,
    /// The pack that the settings were made for.
    pub pack: Option<String>,
    /// Folders of packs that a person added.
    pub added_packs: Vec<PathBuf>,
    /// Where the models compute.
    pub device: DeviceChoice,
    /// The prompt as typed.
    pub prompt: String,
    /// Light, dark or what the desktop says.
    pub theme: Theme,
    /// What the background of every token shows.
    pub coloring: Coloring,
    /// Settings that a person saved, each under a name of its own.
    pub presets: Vec<Preset>,
    /// What the sidebar shows.
    pub side: Side,
    /// Whether a person has made a run: until then an example is shown.
    pub has_run: bool,
    /// What stands below the texts.
    pub lower: Lower,
    /// Whether the texts have that room as well.
    pub lower_hidden: bool,
    /// Run again whenever a setting has changed.
    pub live: bool,
    /// How much larger than usual everything is drawn (Ctrl with plus and minus).
    pub zoom: f32,
    /// The same on the stage.
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
            presets: Vec::new(),
            side: Side::default(),
            has_run: false,
            lower: Lower::default(),
            lower_hidden: false,
            live: false,
            zoom: 1.0,
            present_zoom: PRESENT_ZOOM,
        }
    }
}

/// What the panel below the texts shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lower {
    /// The value of every chunk over the length of the response.
    #[default]
    Values,
    /// The search of one column as a tree.
    Tree,
    /// Gold reward against KL at seven strengths.
    Strength,
}

/// Large enough for the back of a room, small enough for 1280×720.
const PRESENT_ZOOM: f32 = 1.4;
/// What egui zooms to; a NaN is in it nowhere.
const ZOOMS: std::ops::RangeInclusive<f32> = 0.2..=5.0;

const KEY: &str = "preferences";

impl Preferences {
    /// Reads what was stored; whatever cannot be used any more falls back to its default.
    pub fn load(storage: Option<&dyn eframe::Storage>) -> Self {
        storage.and_then(|s| s.get_string(KEY)).map(|s| Self::from_json(&s)).unwrap_or_default()
    }

    /// Stores everything.
    pub fn save(&self, storage: &mut dyn eframe::Storage) {
        // JSON, as in every other file of this program: it spells an infinite λ as "inf".
        match serde_json::to_string(self) {
            Ok(text) => storage.set_string(KEY, text),
            Err(error) => tracing::warn!("preferences were not stored: {error}"),
        }
    }

    /// Puts a person's own pack on the list, once.
    pub fn add_pack(&mut self, folder: &Path) {
        if !self.added_packs.iter().any(|added| added == folder) {
            self.added_packs.push(folder.to_owned());
        }
    }

    /// Goes over to `pack`: its own defaults, unless these settings were made for it.
    pub fn adopt(&mut self, pack: &PackInfo) {
        if self.pack.as_ref() != Some(&pack.name) {
            self.settings = pack.defaults.clone();
            self.pack = Some(pack.name.clone());
        }
    }

    fn from_json(text: &str) -> Self {
        let mut read: Self = serde_json::from_str(text).unwrap_or_default();
        if read.settings.validate().is_err() {
            read.settings = Settings::default();
        }
        read.presets.retain(|p| p.settings.validate().is_ok());
        let sound = |c: &Column| c.pinned.as_ref().is_none_or(|s| s.validate().is_ok());
        read.columns.retain(sound);
        if !limits::COLUMNS.contains(&read.columns.len()) {
            read.columns = Self::default().columns;
        }
        if !ZOOMS.contains(&read.zoom) {
            read.zoom = 1.0;
        }
        if !ZOOMS.contains(&read.present_zoom) {
            read.present_zoom = PRESENT_ZOOM;
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_back() {
        let mut chosen = Preferences {
            prompt: "The film".into(),
            theme: Theme::Dark,
            live: true,
            coloring: Coloring::Kl,
            lower: Lower::Tree,
            lower_hidden: true,
            ..Preferences::default()
        };
        chosen.settings.lambda = f32::INFINITY;
        chosen.settings.beta = -0.5;
        let text = serde_json::to_string(&chosen).expect("serialises");
        assert_eq!(Preferences::from_json(&text), chosen);
    }

    #[test]
    fn settings_out_of_range_fall_back_and_the_rest_stays() {
        let read = Preferences::from_json(r#"{"settings":{"beta":99.0},"prompt":"kept","zoom":0}"#);
        assert_eq!(read.settings, Settings::default());
        assert_eq!((read.prompt.as_str(), read.zoom), ("kept", 1.0));
    }

    #[test]
    fn nonsense_is_ignored() {
        assert_eq!(Preferences::from_json("not json"), Preferences::default());
    }
}
