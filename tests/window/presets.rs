//! Presets: built-in and saved settings.

use std::collections::HashMap;

use eframe::egui::Role;
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::guidance::settings::Settings;

use crate::engine::pack;
use crate::harness::{Bench, options};

/// The storage of eframe, in memory.
#[derive(Default)]
struct MemoryStorage(HashMap<String, String>);

impl eframe::Storage for MemoryStorage {
    fn get_string(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    fn set_string(&mut self, key: &str, value: String) {
        self.0.insert(key.into(), value);
    }

    fn remove_string(&mut self, key: &str) {
        self.0.remove(key);
    }

    fn flush(&mut self) {}
}

fn save(bench: &mut Bench, menu: &str, name: &str) {
    bench.click(menu);
    bench.window.get_by_role_and_label(Role::TextInput, "Preset name").click();
    bench.window.run();
    bench.overtype(name);
    bench.click("Save preset");
}

fn names(bench: &Bench) -> Vec<&str> {
    bench.window.state().preferences().presets.iter().map(|p| p.name.as_str()).collect()
}

#[test]
fn a_built_in_preset_sets_every_setting_except_the_seed() {
    let mut bench = Bench::ready();
    bench.enter("Seed", "77");
    bench.enter("Temperature", "1.5");
    bench.click("Preset: none");
    bench.click("Paper: summaries");
    let expected = Settings { beta: 0.25, max_tokens: 128, seed: 77, ..Settings::default() };
    assert_eq!(*bench.settings(), expected);
    assert!(bench.shows("Preset: Paper: summaries"), "the menu names the current preset");
    bench.click("Preset: Paper: summaries");
    bench.click("Default");
    assert_eq!(*bench.settings(), Settings { seed: 77, ..Settings::default() });
    bench.expect_silence();
}

#[test]
fn presets_can_be_saved_overwritten_chosen_deleted_and_restored() {
    let mut bench = Bench::ready();
    bench.enter("Token guidance β", "-0.5");
    save(&mut bench, "Preset: none", "Sour");
    assert_eq!(names(&bench), ["Sour"]);
    assert!(bench.shows("Preset: Sour"));
    bench.enter("Token guidance β", "-2");
    assert!(bench.shows("Preset: none"));
    save(&mut bench, "Preset: none", "Sour");
    assert_eq!(names(&bench), ["Sour"], "the preset of this name is overwritten");
    bench.enter("Token guidance β", "3");
    bench.click("Preset: none");
    bench.click("Sour");
    assert_eq!(bench.settings().beta, -2.0);
    bench.click("Preset: Sour");
    bench.click("Delete preset Sour");
    assert!(names(&bench).is_empty());
    assert_eq!(bench.settings().beta, -2.0, "the settings stay");
    bench.click("Restore preset Sour");
    assert_eq!(names(&bench), ["Sour"]);
    assert!(!bench.shows("Restore preset Sour"));
    bench.click("Sour");
    assert!(bench.shows("Preset: Sour"));
    // A deleted preset cannot be restored once a new one has its name.
    bench.click("Preset: Sour");
    bench.click("Delete preset Sour");
    bench.click("Save preset");
    bench.click("Preset: Sour");
    assert!(bench.shows("Delete preset Sour") && !bench.shows("Restore preset Sour"));
}

#[test]
fn saving_a_preset_requires_a_name() {
    let mut bench = Bench::ready();
    bench.click("Preset: Default");
    assert!(bench.is_disabled(Role::Button, "Save preset"));
    let at = bench.window.get_by_label("Save preset").rect().center();
    bench.hover(at);
    assert!(bench.shows("Enter a name first."));
}

#[test]
fn presets_are_stored() {
    let mut bench = Bench::ready();
    bench.enter("Token guidance β", "-0.5");
    save(&mut bench, "Preset: none", "Sour");
    let mut storage = MemoryStorage::default();
    bench.window.state().preferences().save(&mut storage);
    let stored = Preferences::load(Some(&storage));
    let mut bench = Bench::open(options(), stored, pack());
    assert!(bench.shows("Preset: Sour"));
    bench.enter("Token guidance β", "3");
    bench.click("Preset: none");
    bench.click("Sour");
    assert_eq!(bench.settings().beta, -0.5);
}

#[test]
fn choosing_another_preset_runs_again_in_live_mode() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    bench.click("Live");
    bench.click("Preset: Default");
    bench.expect_silence();
    bench.click("Reverse (towards criticism)");
    let (_, request) = bench.engine.generate();
    assert_eq!((request.settings.beta, request.settings.lambda), (-1.0, 0.0));
    bench.expect_silence();
}
