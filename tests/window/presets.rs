//! Settings under a name.

use std::collections::HashMap;

use eframe::egui::Role;
use egui_kittest::kittest::Queryable;
use ivg_playground::app::preferences::Preferences;
use ivg_playground::guidance::settings::Settings;

use crate::engine::pack;
use crate::harness::{Bench, options};

/// What a desktop keeps for the window.
#[derive(Default)]
struct Drawer(HashMap<String, String>);

impl eframe::Storage for Drawer {
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
    bench.window.get_by_role_and_label(Role::TextInput, "Name of the preset").click();
    bench.window.run();
    bench.overtype(name);
    bench.click("Save preset");
}

fn names(bench: &Bench) -> Vec<&str> {
    bench.window.state().preferences().presets.iter().map(|p| p.name.as_str()).collect()
}

#[test]
fn a_built_in_preset_sets_everything_but_the_seed() {
    let mut bench = Bench::ready();
    bench.enter("Seed", "77");
    bench.enter("Temperature", "1.5");
    bench.click("Preset: none");
    bench.click("Paper: summaries");
    let expected = Settings { beta: 0.25, max_tokens: 128, seed: 77, ..Settings::default() };
    assert_eq!(*bench.settings(), expected);
    assert!(bench.shows("Preset: Paper: summaries"), "the row says which one is in force");
    bench.click("Preset: Paper: summaries");
    bench.click("Pack's own");
    assert_eq!(*bench.settings(), Settings { seed: 77, ..Settings::default() });
    bench.expect_silence();
}

#[test]
fn own_presets_are_saved_overwritten_chosen_deleted_and_brought_back() {
    let mut bench = Bench::ready();
    bench.enter("Token guidance β", "-0.5");
    save(&mut bench, "Preset: none", "Sour");
    assert_eq!(names(&bench), ["Sour"]);
    assert!(bench.shows("Preset: Sour"));
    bench.enter("Token guidance β", "-2");
    assert!(bench.shows("Preset: none"));
    save(&mut bench, "Preset: none", "Sour");
    assert_eq!(names(&bench), ["Sour"], "the name is used again");
    bench.enter("Token guidance β", "3");
    bench.click("Preset: none");
    bench.click("Sour");
    assert_eq!(bench.settings().beta, -2.0);
    bench.click("Preset: Sour");
    bench.click("Delete preset Sour");
    assert!(names(&bench).is_empty());
    assert_eq!(bench.settings().beta, -2.0, "what is set stays");
    bench.click("Bring back preset Sour");
    assert_eq!(names(&bench), ["Sour"]);
    assert!(!bench.shows("Bring back preset Sour"));
    bench.click("Sour");
    assert!(bench.shows("Preset: Sour"));
    // Where a new one has its name, there is nothing to bring back.
    bench.click("Preset: Sour");
    bench.click("Delete preset Sour");
    bench.click("Save preset");
    bench.click("Preset: Sour");
    assert!(bench.shows("Delete preset Sour") && !bench.shows("Bring back preset Sour"));
}

#[test]
fn a_preset_wants_a_name() {
    let mut bench = Bench::ready();
    bench.click("Preset: Pack's own");
    assert!(bench.is_disabled(Role::Button, "Save preset"));
    let at = bench.window.get_by_label("Save preset").rect().center();
    bench.hover(at);
    assert!(bench.shows("Give these settings a name."));
}

#[test]
fn presets_outlive_the_window() {
    let mut bench = Bench::ready();
    bench.enter("Token guidance β", "-0.5");
    save(&mut bench, "Preset: none", "Sour");
    let mut drawer = Drawer::default();
    bench.window.state().preferences().save(&mut drawer);
    let stored = Preferences::load(Some(&drawer));
    let mut bench = Bench::open(options(), stored, pack());
    assert!(bench.shows("Preset: Sour"));
    bench.enter("Token guidance β", "3");
    bench.click("Preset: none");
    bench.click("Sour");
    assert_eq!(bench.settings().beta, -0.5);
}

#[test]
fn live_runs_with_the_preset_that_is_chosen() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    bench.click("Live");
    bench.click("Preset: Pack's own");
    bench.expect_silence();
    bench.click("Against the grain");
    let (_, request) = bench.engine.generate();
    assert_eq!((request.settings.beta, request.settings.lambda), (-1.0, 0.0));
    bench.expect_silence();
}
