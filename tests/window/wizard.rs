//! The wizard "Bring a model". The background threads are the real ones; only the file dialog of the
//! desktop is replaced.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{DroppedFile, Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::{Preferences, SidebarTab};
use ivg_playground::app::{Options, Pick};
use ivg_playground::packs::Manifest;
use ivg_playground::worker::protocol::{Command, Event, PackInfo, PackSource};
use tempfile::TempDir;

use crate::engine::pack;
use crate::harness::{Bench, options};

/// The folder of the bundled language model.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb/base")
}

fn window(options: Options) -> Bench {
    let mut bench = Bench::open(options, Preferences::default(), pack());
    bench.key(Modifiers::COMMAND, Key::M);
    bench.wait("the list", |b| b.shows("Load: imdb"));
    bench
}

/// Opens the wizard.
fn opened() -> Bench {
    let mut bench = window(Options { pick_path: |_| None, ..options() });
    bench.click("Bring a model");
    bench
}

fn type_path(bench: &mut Bench, path: &Path) {
    bench.overtype(&path.display().to_string());
}

fn enter(bench: &mut Bench) {
    bench.key(Modifiers::NONE, Key::Enter);
}

fn overtype(bench: &mut Bench, name: &str, text: &str) {
    bench.window.get_by_role_and_label(Role::TextInput, name).focus();
    bench.window.run();
    bench.overtype(text);
}

/// Opens the wizard at the step with this number, with the bundled model.
fn at_step(number: usize) -> Bench {
    let mut bench = opened();
    type_path(&mut bench, &model());
    bench.wait("the model", |b| b.shows("Llama"));
    for _ in 1..number {
        enter(&mut bench);
    }
    bench
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("the window must not read it".to_owned())
    }
}

fn drop_files(bench: &mut Bench, paths: &[PathBuf]) {
    for path in paths {
        bench.window.input_mut().dropped_files.push(Arc::new(Dropped(path.clone())));
    }
    bench.window.run();
}

/// Returns a GGUF file without tensors and with this architecture.
fn gguf(architecture: &str) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    for (index, text) in ["general.architecture", architecture].into_iter().enumerate() {
        if index == 1 {
            bytes.extend(8u32.to_le_bytes());
        }
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[test]
fn a_model_is_guided_by_the_bundled_parts_that_fit_and_answers_the_test_prompt() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("mine");
    let mut bench = opened();
    assert!(bench.is_disabled(Role::Button, "Next"));
    type_path(&mut bench, &model());
    // Enter before the model was read goes on afterwards.
    enter(&mut bench);
    bench.wait("step 2", |b| b.shows("imdb/tuned · pair of models"));
    for part in ["imdb/tuned · pair of models", "imdb/value · value model", "imdb/judge · judge"]
    {
        assert!(is_checked(&bench, part), "{part}");
    }
    assert!(bench.is_disabled(Role::CheckBox, "smollm2/tuned · adapter"));
    assert!(bench.shows("It was made for a model with another vocabulary."));
    enter(&mut bench);
    assert!(bench.reads("This film"), "an example prompt");
    overtype(&mut bench, "Pack name", "Mine");
    overtype(&mut bench, "Pack folder", &target.display().to_string());
    overtype(&mut bench, "Test prompt", "The ending");
    bench.click("Save and load");
    bench.wait("its card", |b| b.shows("Mine") && !b.shows("Save and load"));
    let source = PackSource::Folder(target.clone());
    assert_eq!(bench.engine.command(), Command::LoadPack(source.clone()));
    bench.expect_silence();
    bench.engine.send(Event::Loaded(Box::new(PackInfo { source, name: "Mine".into(), ..pack() })));
    bench.window.run();
    assert_eq!(bench.engine.generate().1.prompt, "The ending");
    let saved = Manifest::read(&target).expect("a pack");
    assert!(saved.tuned.is_some() && saved.value.is_some() && saved.judge.is_some());
    assert_eq!(bench.window.state().preferences().added_packs, [target]);
    assert_eq!(bench.window.state().preferences().side, SidebarTab::Models);
}

fn is_checked(bench: &Bench, name: &str) -> bool {
    use egui_kittest::kittest::NodeT;
    let node = bench.window.get_by_role_and_label(Role::CheckBox, name);
    node.accesskit_node().toggled() == Some(eframe::egui::accesskit::Toggled::True)
}

#[test]
fn the_first_step_shows_the_facts_of_the_model() {
    let bench = at_step(1);
    for words in ["Llama", "13.1M parameters · 26 MB", "No, the model reads prompts as typed"] {
        assert!(bench.shows(words), "{words}");
    }
    assert!(bench.reads("52 MB needed"));
    assert!(!bench.is_disabled(Role::Button, "Next"));
}

#[test]
fn every_bad_path_is_answered_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("pictures")).expect("a folder");
    for name in ["a.jpg", "b.png"] {
        std::fs::write(at("pictures").join(name), "\u{fffd}JFIF").expect("written");
    }
    for name in ["large.bin", "large.gguf"] {
        let mut file = File::create(at(name)).expect("a file");
        file.write_all(b"a film, not a model").expect("written");
        // A sparse file, which takes no space on the disk.
        file.set_len(5 << 30).expect("grown");
    }
    std::fs::write(at("phi.gguf"), gguf("phi3")).expect("written");
    std::fs::create_dir(at("adapter")).expect("a folder");
    std::fs::write(at("adapter/adapter_config.json"), "{}").expect("written");
    std::fs::create_dir(at("many")).expect("a folder");
    for name in ["many/a.gguf", "many/b.gguf"] {
        std::fs::write(at(name), gguf("llama")).expect("written");
    }
    let mut bench = opened();
    for (path, words) in [
        (at("pictures"), "This folder contains no model"),
        (at("large.bin"), "This file is not a GGUF file"),
        (at("large.gguf"), "This file is not a GGUF file: it does not begin with GGUF"),
        (at("phi.gguf"), "Architecture 'phi3' is not supported; choose a model of architecture"),
        (at("adapter"), "This folder contains an adapter, not a whole model"),
        (at("many"), "This folder contains 2 GGUF files; choose one of them."),
        (at("nowhere"), "This path does not exist."),
        ("models/a.gguf".into(), "Type the full path"),
    ] {
        type_path(&mut bench, &path);
        bench.wait(words, |b| b.reads(words));
        assert!(bench.is_disabled(Role::Button, "Next"), "{words}");
        // Enter does not go on.
        enter(&mut bench);
        assert!(bench.reads(words));
        bench.window.get_by_role_and_label(Role::TextInput, "Model path").focus();
        bench.window.run();
    }
    bench.overtype(" ");
    assert!(bench.reads("Type the path of a GGUF file or of a model folder"));
    assert!(bench.is_disabled(Role::Button, "Next"));
    bench.expect_silence();
}

#[test]
fn dropped_files_open_the_wizard() {
    let (mut bench, folder) = (window(options()), tempfile::tempdir().expect("a folder"));
    drop_files(&mut bench, &[model()]);
    bench.wait("the model", |b| b.shows("Llama"));
    let ten: Vec<PathBuf> = (0..10).map(|i| folder.path().join(format!("{i}.gguf"))).collect();
    drop_files(&mut bench, &ten);
    assert!(bench.shows("10 files were dropped; drop one GGUF file or one model folder."));
    drop_files(&mut bench, &[folder.path().to_owned()]);
    bench.wait("the fault", |b| b.reads("This folder contains no model"));
    // The folder of a pack is added to the list.
    let text = "name = \"dropped\"\ndescription = \"\"\n[base]\npath = \"base\"\n";
    std::fs::write(folder.path().join("pack.toml"), text).expect("a pack");
    drop_files(&mut bench, &[folder.path().to_owned()]);
    bench.wait("its card", |b| b.shows("dropped") && !b.shows("Next"));
    assert_eq!(bench.window.state().preferences().added_packs, [folder.path()]);
    // Another dialog keeps its input.
    bench.click("Add a pack");
    drop_files(&mut bench, &[model()]);
    assert!(bench.shows("Close the open dialog, then drop the file again."));
    assert!(!bench.shows("Next"));
}

#[test]
fn browse_fills_the_path_and_a_missing_dialog_is_reported() {
    let mut bench = opened();
    bench.click("Browse…");
    let words = "No file dialog is available on this system; type the path.";
    bench.wait("the note", |b| b.shows(words));
    let pick_path = |pick| Some(model()).filter(|_| pick == Pick::Folder);
    let mut bench = window(Options { pick_path, ..options() });
    bench.click("Bring a model");
    bench.click("Browse folders…");
    bench.wait("the model", |b| b.shows("Llama"));
    assert!(!bench.shows(words));
}

#[test]
fn guides_can_be_detached_and_the_steps_go_back() {
    let mut bench = at_step(2);
    bench.click("imdb/tuned · pair of models");
    bench.click("imdb/value · value model");
    bench.click("imdb/judge · judge");
    bench.click("Next");
    bench.click("Back");
    assert!(!is_checked(&bench, "imdb/tuned · pair of models"), "the choice is kept");
    bench.click("Back");
    assert!(bench.shows("Llama"));
    bench.key(Modifiers::NONE, Key::Escape);
    assert!(!bench.shows("Llama"));
    // The wizard opens again where it was closed.
    bench.click("Bring a model");
    assert!(bench.shows("Llama"));
    bench.click("Close");
    bench.expect_silence();
}

#[test]
fn the_last_step_names_the_wrong_field_while_typing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("pack.toml"), "").expect("a pack");
    let mut bench = at_step(3);
    overtype(&mut bench, "Pack name", " ");
    assert!(bench.shows("Name: give the pack a short name."));
    assert!(bench.is_disabled(Role::Button, "Save and load"));
    overtype(&mut bench, "Pack name", "mine");
    overtype(&mut bench, "Pack folder", "packs/mine");
    assert!(bench.reads("Folder: type the full path"));
    overtype(&mut bench, "Pack folder", &folder.path().display().to_string());
    bench.wait("the reason", |b| b.reads("Folder: it already contains a pack"));
    assert!(bench.is_disabled(Role::Button, "Save and load"));
    // A folder below a file cannot be created; the wizard stays open.
    let below = folder.path().join("pack.toml/mine");
    overtype(&mut bench, "Pack folder", &below.display().to_string());
    bench.wait("the button", |b| !b.is_disabled(Role::Button, "Save and load"));
    bench.click("Save and load");
    bench.wait("the reason", |b| b.reads("choose a folder that you may write to"));
    assert!(!bench.is_disabled(Role::Button, "Save and load"), "it can be tried again");
    bench.expect_silence();
}

#[test]
fn advanced_opens_the_form_with_the_choices_so_far() {
    let mut bench = at_step(3);
    overtype(&mut bench, "Pack name", "Special");
    bench.click("Advanced");
    assert!(bench.shows("New pack") && bench.reads("Special"));
    assert!(bench.reads(&model().display().to_string()));
    assert!(bench.reads("bundled:imdb/tuned"));
    assert!(bench.shows("Ready to save."));
}

/// `IVG_TEST_GGUF` names SmolLM2-135M-Instruct.Q4_1.gguf, which is too large for the repository.
#[test]
fn a_gguf_file_is_guided_by_the_bundled_adapter_in_six_actions() {
    let Some(file) = std::env::var_os("IVG_TEST_GGUF") else {
        eprintln!("skipped: IVG_TEST_GGUF is not set");
        return;
    };
    let (folder, file): (TempDir, PathBuf) = (tempfile::tempdir().expect("a folder"), file.into());
    let mut bench = opened();
    type_path(&mut bench, &file);
    bench.wait("the model", |b| b.shows("Llama"));
    assert!(bench.shows("Yes"), "a chat template");
    bench.click("Next");
    assert!(is_checked(&bench, "smollm2/tuned · adapter"));
    assert!(is_checked(&bench, "smollm2/value · value head"));
    bench.click("Next");
    let target = folder.path().join("smollm2");
    overtype(&mut bench, "Pack folder", &target.display().to_string());
    bench.click("Save and load");
    bench.wait("the pack", |_| target.join("pack.toml").is_file());
    let saved = Manifest::read(&target).expect("a pack");
    assert_eq!(saved.untuned.expect("a pair").source, saved.base.source);
}
