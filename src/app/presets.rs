//! Settings under a name: some that come along, and those that a person saves.

use eframe::egui::{Button, Id, Label, Popup, PopupCloseBehavior, RichText, TextEdit, Ui};
use serde::{Deserialize, Serialize};

use super::preferences::Preferences;
use super::theme::{Palette, text};
use super::widgets::{Edit, Icon, choice, icon_button, menu};
use crate::guidance::settings::{Arm, Settings};
use crate::words;
use crate::worker::protocol::PackInfo;

/// Settings that a person saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What it sets; the seed stays as it is.
    pub settings: Settings,
}

/// The last preset deleted, and where it stood.
#[derive(Clone)]
struct Deleted {
    place: usize,
    preset: Preset,
}

/// Longest name, in characters.
const LONGEST: usize = 40;

/// Those that come along: the pack's own, and the paper's three systems.
fn built_in(pack: Option<&PackInfo>) -> Vec<(&'static str, &'static str, Settings)> {
    let own = pack.map_or_else(Settings::default, |p| p.defaults.clone());
    let with = |beta, rows, chunk_tokens, max_tokens| Settings {
        beta,
        beams: rows,
        successors: rows,
        chunk_tokens,
        max_tokens,
        ..Settings::default()
    };
    vec![
        ("Pack's own", "What these models were made for.", own.clone()),
        ("Paper: sentiment", "β 1, W and K 4, L 5, 50 tokens.", with(1.0, 4, 5, 50)),
        ("Paper: summaries", "β 0.25, W and K 4, L 5, 128 tokens.", with(0.25, 4, 5, 128)),
        ("Paper: instructions", "β 1, W and K 2, L 30, 128 tokens.", with(1.0, 2, 30, 128)),
        (
            "Against the grain",
            "β −1 and no choice of chunks: what the pair shuns.",
            Settings { beta: -1.0, lambda: 0.0, ..own },
        ),
    ]
}

/// The same settings but for the seed.
fn alike(a: &Settings, b: &Settings) -> bool {
    Settings { seed: b.seed, ..a.clone() } == *b
}

/// A row that names the preset in force, and the menu behind it.
pub fn preset_menu(ui: &mut Ui, preferences: &mut Preferences, pack: Option<&PackInfo>) -> Edit {
    let built_in = built_in(pack);
    let own = preferences.presets.iter().map(|p| (p.name.as_str(), &p.settings));
    // A person's own name for the same settings says more.
    let mut all = own.chain(built_in.iter().map(|(name, _, s)| (*name, s)));
    let current = all.find(|(_, s)| alike(s, &preferences.settings));
    let is_none = current.is_none();
    let name = current.map_or("none", |(name, _)| name).to_owned();
    // Beside three tabs there is room for the name alone.
    let shown = if is_none { "Presets" } else { name.as_str() };
    let label = RichText::new(shown).font(text::small());
    let button = ui.add(Button::new(label).truncate());
    let button = button.on_hover_text("Settings under a name: choose, or save those of now.");
    let button = button.accessible_name(format!("Preset: {name}"));
    let mut chosen = None;
    let current = name.as_str();
    Popup::menu(&button).close_behavior(PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        menu(ui, 250.0);
        for (name, hint, settings) in &built_in {
            if ui.add(choice(ui, current == *name, name)).on_hover_text(*hint).clicked() {
                chosen = Some(settings.clone());
                ui.close();
            }
        }
        ui.separator();
        chosen = own_presets(ui, preferences, current).or(chosen.take());
        save(ui, preferences);
    });
    let Some(chosen) = chosen else { return Edit::default() };
    let settings = &mut preferences.settings;
    *settings = Settings { seed: settings.seed, ..chosen };
    Edit::at_once(true)
}

/// The person's own, each with a way to be rid of it.
fn own_presets(ui: &mut Ui, preferences: &mut Preferences, current: &str) -> Option<Settings> {
    let (mut chosen, mut gone) = (None, None);
    for (i, preset) in preferences.presets.iter().enumerate() {
        ui.horizontal(|ui| {
            let line = words::settings_line(Arm::Ivg, &preset.settings);
            let entry =
                ui.add(choice(ui, current == preset.name, &preset.name)).on_hover_text(line);
            if entry.clicked() {
                chosen = Some(preset.settings.clone());
                ui.close();
            }
            if icon_button(ui, Icon::Close, &format!("Delete preset {}", preset.name)).clicked() {
                gone = Some(i);
            }
        });
    }
    if let Some(i) = gone {
        let preset = preferences.presets.remove(i);
        ui.data_mut(|d| d.insert_temp(deleted_id(), Deleted { place: i, preset }));
    }
    undo(ui, preferences);
    chosen
}

/// Where the last preset deleted waits for a change of mind.
fn deleted_id() -> Id {
    Id::unique("deleted preset")
}

/// Offers to bring back the last preset deleted.
fn undo(ui: &mut Ui, preferences: &mut Preferences) {
    let Some(Deleted { place, preset }) = ui.data(|d| d.get_temp::<Deleted>(deleted_id())) else {
        return;
    };
    ui.horizontal(|ui| {
        let words = RichText::new(format!("Deleted “{}”", preset.name)).font(text::small());
        let button = ui.small_button("Undo");
        let back = button.accessible_name(format!("Bring back preset {}", preset.name)).clicked();
        ui.add(Label::new(words.color(Palette::of(ui).weak)).truncate());
        if back {
            preferences.presets.retain(|other| other.name != preset.name);
            let place = place.min(preferences.presets.len());
            preferences.presets.insert(place, preset);
            ui.data_mut(|d| d.remove::<Deleted>(deleted_id()));
        }
    });
}

/// The box in which the settings of now get a name. A name that is taken is used again.
fn save(ui: &mut Ui, preferences: &mut Preferences) {
    let id = ui.scope_id().with("preset name");
    let mut name: String = ui.data_mut(|d| d.get_temp(id).unwrap_or_default());
    ui.horizontal(|ui| {
        let edit = TextEdit::singleline(&mut name).hint_text("Name").desired_width(150.0);
        ui.add(edit.char_limit(LONGEST)).accessible_name("Name of the preset");
        let is_named = !name.trim().is_empty();
        let button = ui.add_enabled(is_named, Button::new("Save"));
        let button = button.accessible_name("Save preset");
        if button.on_disabled_hover_text("Give these settings a name.").clicked() {
            let (name, settings) = (name.trim().to_owned(), preferences.settings.clone());
            preferences.presets.retain(|p| p.name != name);
            preferences.presets.push(Preset { name, settings });
            // What was deleted before would take the place of a new one of its name.
            ui.data_mut(|d| d.remove::<Deleted>(deleted_id()));
            ui.close();
        }
    });
    let weak = Palette::of(ui).weak;
    ui.label(RichText::new("The seed is no part of a preset.").font(text::small()).color(weak));
    ui.data_mut(|d| d.insert_temp(id, name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_along_is_allowed_and_the_seed_does_not_count() {
        for (name, _, settings) in built_in(None) {
            assert_eq!(settings.validate(), Ok(()), "{name}");
        }
        let a = Settings::default();
        assert!(alike(&a, &Settings { seed: 99, ..a.clone() }));
        assert!(!alike(&a, &Settings { beta: 0.5, ..a.clone() }));
    }
}
