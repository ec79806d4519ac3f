//! The preset menu: built-in presets, and presets saved by the user.

use eframe::egui::{Button, Id, Label, Popup, PopupCloseBehavior, RichText, TextEdit, Ui};

use crate::app::state::preferences::Preferences;
use crate::app::state::presets::{Preset, built_in, equal_except_seed};
use crate::app::theme::{Palette, text};
use crate::app::widgets::{Edit, Explain, Icon, choice, icon_button, menu};
use crate::guidance::labels;
use crate::guidance::settings::{Arm, Settings};
use crate::worker::protocol::PackInfo;

/// The last deleted preset, and its index in the list.
#[derive(Clone)]
struct Deleted {
    index: usize,
    preset: Preset,
}

/// Maximum length of a name, in characters.
const MAX_NAME_LENGTH: usize = 40;

/// Draws a button with the name of the current preset, and its menu.
pub(crate) fn preset_menu(
    ui: &mut Ui,
    preferences: &mut Preferences,
    pack: Option<&PackInfo>,
) -> Edit {
    let built_in = built_in(pack);
    let saved = preferences.presets.iter().map(|p| (p.name.as_str(), &p.settings));
    // Prefers a preset of the user to a built-in one with the same settings.
    let mut all = saved.chain(built_in.iter().map(|(name, _, s)| (name.as_str(), s)));
    let current = all.find(|(_, s)| equal_except_seed(s, &preferences.settings));
    let is_none = current.is_none();
    let name = current.map_or("none", |(name, _)| name).to_owned();
    let shown = if is_none { "Presets ⌄".to_owned() } else { format!("Preset: {name} ⌄") };
    let label = RichText::new(shown).font(text::small());
    let button = ui.add(Button::new(label).truncate());
    let button = button.explain(ui, "Choose a preset, or save the current settings as a preset.");
    let button = button.accessible_name(format!("Preset: {name}"));
    let mut chosen = None;
    let current = name.as_str();
    Popup::menu(&button).close_behavior(PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        menu(ui, 250.0);
        for (name, hint, settings) in &built_in {
            if ui.add(choice(ui, current == name, name)).on_hover_text(*hint).clicked() {
                chosen = Some(settings.clone());
                ui.close();
            }
        }
        ui.separator();
        chosen = user_presets(ui, preferences, current).or(chosen.take());
        save(ui, preferences);
    });
    let Some(chosen) = chosen else { return Edit::default() };
    let settings = &mut preferences.settings;
    *settings = Settings { seed: settings.seed, ..chosen };
    Edit::at_once(true)
}

/// Draws the user's presets, each with a delete button. Returns the settings of the chosen one.
fn user_presets(ui: &mut Ui, preferences: &mut Preferences, current: &str) -> Option<Settings> {
    let (mut chosen, mut deleted) = (None, None);
    for (i, preset) in preferences.presets.iter().enumerate() {
        ui.horizontal(|ui| {
            let line = labels::settings_line(Arm::Ivg, &preset.settings);
            let entry =
                ui.add(choice(ui, current == preset.name, &preset.name)).on_hover_text(line);
            if entry.clicked() {
                chosen = Some(preset.settings.clone());
                ui.close();
            }
            if icon_button(ui, Icon::Close, &format!("Delete preset {}", preset.name)).clicked() {
                deleted = Some(i);
            }
        });
    }
    if let Some(i) = deleted {
        let preset = preferences.presets.remove(i);
        ui.data_mut(|d| d.insert_temp(deleted_id(), Deleted { index: i, preset }));
    }
    undo(ui, preferences);
    chosen
}

/// Returns the key of the last deleted preset in egui's memory.
fn deleted_id() -> Id {
    Id::unique("deleted preset")
}

/// Draws a button that restores the last deleted preset.
fn undo(ui: &mut Ui, preferences: &mut Preferences) {
    let Some(Deleted { index, preset }) = ui.data(|d| d.get_temp::<Deleted>(deleted_id())) else {
        return;
    };
    ui.horizontal(|ui| {
        let words = RichText::new(format!("Deleted “{}”", preset.name)).font(text::small());
        let button = ui.small_button("Undo");
        let restore = button.accessible_name(format!("Restore preset {}", preset.name)).clicked();
        ui.add(Label::new(words.color(Palette::of(ui).weak)).truncate());
        if restore {
            preferences.presets.retain(|other| other.name != preset.name);
            let index = index.min(preferences.presets.len());
            preferences.presets.insert(index, preset);
            ui.data_mut(|d| d.remove::<Deleted>(deleted_id()));
        }
    });
}

/// Draws the text box and the button that save the current settings. Overwrites a preset with the
/// same name.
fn save(ui: &mut Ui, preferences: &mut Preferences) {
    let id = ui.scope_id().with("preset name");
    let mut name: String = ui.data_mut(|d| d.get_temp(id).unwrap_or_default());
    ui.horizontal(|ui| {
        let edit = TextEdit::singleline(&mut name).hint_text("Name").desired_width(150.0);
        ui.add(edit.char_limit(MAX_NAME_LENGTH)).accessible_name("Preset name");
        let is_named = !name.trim().is_empty();
        let button = ui.add_enabled(is_named, Button::new("Save"));
        let button = button.accessible_name("Save preset");
        if button.on_disabled_hover_text("Enter a name first.").clicked() {
            let (name, settings) = (name.trim().to_owned(), preferences.settings.clone());
            preferences.presets.retain(|p| p.name != name);
            preferences.presets.push(Preset { name, settings });
            // Restoring a deleted preset of the same name would replace the new one.
            ui.data_mut(|d| d.remove::<Deleted>(deleted_id()));
            ui.close();
        }
    });
    let weak = Palette::of(ui).weak;
    ui.label(RichText::new("A preset does not include the seed.").font(text::small()).color(weak));
    ui.data_mut(|d| d.insert_temp(id, name));
}
