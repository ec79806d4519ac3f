//! Compatibility with version 0.1.0: its files open, its commands work, and every arm generates the
//! same texts.
//!
//! Version 0.1.0 wrote the files in `tests/goldens/0.1.0`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::TRACE_VERSION;
use ivg_playground::guidance::{Prefilled, Search};
use ivg_playground::packs::{DeviceChoice, Manifest, Pack, PackSource, PromptOptions};
use ivg_playground::records::history::History;
use ivg_playground::records::trace_file;
use serde::Deserialize;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/0.1.0").join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_trace_opens_and_is_written_unchanged() {
    let trace = trace_file::read(&golden("trace.json")).unwrap();
    let written: Value = serde_json::from_str(&trace_file::to_json(&trace).unwrap()).unwrap();
    assert_eq!(written, json(&golden("trace.json")));
}

#[test]
fn rejects_a_trace_of_a_newer_version_and_asks_for_an_update() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("newer.json");
    let mut trace = json(&golden("trace.json"));
    trace["version"] = (TRACE_VERSION + 1).into();
    trace["program"] = "9.0.0".into();
    fs::write(&file, trace.to_string()).unwrap();
    let message = trace_file::read(&file).unwrap_err().to_string();
    assert!(message.contains("9.0.0") && message.contains("newer.json"), "{message}");
    assert!(message.contains("update") && !message.contains('\n'), "{message}");
}

#[test]
fn the_history_opens() {
    let folder = tempfile::tempdir().unwrap();
    let name = "1795827353284-46bde121.run";
    fs::copy(golden(name), folder.path().join(name)).unwrap();
    let history = History::open(folder.path()).unwrap();
    let listing = history.list().unwrap();
    assert_eq!((listing.entries.len(), listing.notice), (1, None));
    let trace = history.load(&listing.entries[0].id).unwrap();
    assert_eq!((trace.prompt.as_str(), trace.arms.len()), ("The movie was", 2));
}

#[test]
fn packs_open_and_are_written_unchanged() {
    for name in ["pack.toml", "pack-hub.toml"] {
        let text = fs::read_to_string(golden(name)).unwrap();
        let manifest = Manifest::parse(&text).unwrap();
        assert_eq!(Manifest::parse(&manifest.to_toml().unwrap()).unwrap(), manifest, "{name}");
    }
}

#[cfg(feature = "window")]
#[test]
fn preferences_and_presets_are_restored() {
    use ivg_playground::app::Theme;
    use ivg_playground::app::state::preferences::{LowerTab, Preferences};

    struct Stored(String);
    impl eframe::Storage for Stored {
        fn get_string(&self, key: &str) -> Option<String> {
            // eframe writes a map of strings in RON, which is JSON except for the last comma.
            let map = self.0.trim().trim_end_matches('}').trim_end().trim_end_matches(',');
            let map: Value = serde_json::from_str(&format!("{map}}}")).ok()?;
            Some(map[key].as_str()?.to_owned())
        }
        fn set_string(&mut self, _: &str, _: String) {}
        fn remove_string(&mut self, _: &str) {}
        fn flush(&mut self) {}
    }
    let stored = Stored(fs::read_to_string(golden("app.ron")).unwrap());
    let preferences = Preferences::load(Some(&stored));
    assert_eq!((preferences.theme, preferences.lower), (Theme::Dark, LowerTab::Sweep));
    assert_eq!((preferences.settings.beta, preferences.settings.lambda), (-1.0, 0.0));
    assert_eq!(preferences.prompt, "The movie was");
    assert_eq!(preferences.presets.len(), 1);
    assert_eq!(preferences.presets[0].name, "Sour");
    assert_eq!(preferences.presets[0].settings.beta, -1.0);
}

#[test]
fn an_interrupted_eval_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["plan.json", "texts.jsonl"] {
        fs::copy(golden("eval").join(name), folder.path().join(name)).unwrap();
    }
    let texts = folder.path().join("texts.jsonl");
    let before = fs::read_to_string(&texts).unwrap();
    let half: String = before.lines().take(6).map(|line| format!("{line}\n")).collect();
    fs::write(&texts, half).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_ivg-playground"))
        .args(["eval", "--resume", "--prompts", "2", "--seeds", "1", "--max-tokens", "6"])
        .args(["--w", "2", "--k", "2", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let read = |text: &str| -> Vec<Value> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|record| record["text"].clone()).collect()
    };
    let after = fs::read_to_string(&texts).unwrap();
    assert_eq!(read(&after), read(&before));
}

#[test]
fn the_old_name_of_sweep_works_and_its_json_is_unchanged() {
    let run = |name: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_ivg-playground"))
            .args([name, "--prompt", "The movie was", "--seeds", "1", "--max-tokens", "6"])
            .args(["--w", "2", "--k", "2", "--json", "-"])
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let mut sweep: Value = serde_json::from_slice(&out.stdout).unwrap();
        drop_times(&mut sweep);
        sweep
    };
    let mut expected = json(&golden("strip.json"));
    drop_times(&mut expected);
    assert_eq!(run("strip"), expected);
    assert_eq!(run("sweep"), expected);
}

/// Removes the values that differ between runs: seconds, milliseconds and speeds.
fn drop_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.contains("_ms") && !name.contains("second"));
            fields.values_mut().for_each(drop_times);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_times),
        _ => {}
    }
}

#[derive(Deserialize)]
struct Texts {
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    seed: u64,
    explicit: std::collections::HashMap<Arm, String>,
    implicit: std::collections::HashMap<Arm, String>,
}

#[test]
fn every_arm_generates_the_same_text_for_ten_seeds() {
    let pack = Pack::load(&PackSource::default(), DeviceChoice::Cpu, &mut |_, _| {}).unwrap();
    let texts = fs::read_to_string(golden("texts.json")).unwrap();
    let inputs: Value = serde_json::from_str(&texts).unwrap();
    let texts: Texts = serde_json::from_str(&texts).unwrap();
    assert_eq!(texts.runs.len(), 10);
    for run in &texts.runs {
        for (kind, arms) in [("explicit", &run.explicit), ("implicit", &run.implicit)] {
            let mut settings = serde_json::to_value(&pack.manifest.defaults).unwrap();
            for (name, value) in inputs[kind].as_object().unwrap() {
                if name != "prompt" {
                    settings[name] = value.clone();
                }
            }
            let settings: Settings = serde_json::from_value(settings).unwrap();
            let settings = Settings { seed: run.seed, ..settings };
            let prompt = inputs[kind]["prompt"].as_str().unwrap();
            let prompt = pack.prompts(prompt, PromptOptions::default()).unwrap();
            let prompt = Prefilled::new(&pack.models, &prompt).unwrap();
            for (arm, text) in arms {
                let mut search = Search::new(&pack.models, &prompt, *arm, &settings).unwrap();
                while !search.is_done() {
                    search.step().unwrap();
                }
                let trace = search.finish().unwrap();
                assert_eq!(&trace.text, text, "{kind}, {arm}, seed {}", run.seed);
            }
        }
    }
}
