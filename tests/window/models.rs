//! The list of packs: loading, adding and creating packs. The pack service is the real one, but the
//! tests need no network.

use std::path::Path;

use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::SidebarTab;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::packs::{Manifest, Source};
use ivg_playground::worker::protocol::{
    Command, DeviceChoice, Event, PackInfo, PackSource, no_gpu_support,
};

use crate::engine::pack;
use crate::harness::Bench;

/// Opens a window that lists the packs.
fn listed() -> Bench {
    let mut bench = Bench::ready();
    bench.key(Modifiers::COMMAND, Key::M);
    bench.wait("the list", |b| b.shows("Load: imdb"));
    bench
}

/// Returns the bundled pack.
fn imdb() -> PackInfo {
    PackInfo { source: PackSource::Bundled("imdb".into()), name: "imdb".into(), ..pack() }
}

/// Opens the form with all fields.
fn open_form(bench: &mut Bench) {
    bench.click("Bring a model");
    bench.click("Advanced");
    assert!(bench.shows("New pack"));
}

fn write_pack(folder: &Path, name: &str) {
    let text =
        format!("name = \"{name}\"\ndescription = \"For a test\"\n[base]\npath = \"not-there\"\n");
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("pack.toml"), text).expect("a pack");
}

#[test]
fn packs_are_listed_and_one_is_loaded() {
    let mut bench = listed();
    assert!(bench.reads("memory free"));
    // One pack is bundled and others are on the hub. Sizes that only the hub knows are left out.
    assert!(bench.shows("Installed · 13.1M · 26 MB"));
    assert!(bench.shows("Download and load: paper-sentiment-xl"));
    bench.click("Load: imdb");
    let source = PackSource::Bundled("imdb".into());
    assert_eq!(bench.engine.command(), Command::LoadPack(source));
    bench.engine.send(Event::Loading { what: "base model".into(), fraction: 0.1 });
    bench.window.run();
    assert!(bench.is_disabled(Role::Button, "Load: imdb"), "one pack at a time");
    bench.engine.send(Event::Loaded(Box::new(imdb())));
    bench.window.run();
    assert!(bench.shows("in use"));
    assert!(!bench.shows("Load: imdb"), "it is loaded");
    bench.key(Modifiers::COMMAND, Key::M);
    assert_eq!(bench.window.state().preferences().side, SidebarTab::Settings);
}

#[test]
fn choosing_a_device_loads_the_pack_in_use_on_it() {
    let mut bench = listed();
    bench.click("Load: imdb");
    bench.engine.command();
    bench.engine.send(Event::Loaded(Box::new(imdb())));
    bench.window.run();
    let can_gpu = no_gpu_support().is_none();
    assert_eq!(bench.is_disabled(Role::Button, "GPU"), !can_gpu);
    bench.click("CPU");
    assert_eq!(bench.engine.command(), Command::UseDevice(DeviceChoice::Cpu));
    let source = PackSource::Bundled("imdb".into());
    assert_eq!(bench.engine.command(), Command::LoadPack(source.clone()));
    assert_eq!(bench.window.state().preferences().device, DeviceChoice::Cpu);
    // The device note is shown.
    let device_note = Some("Running on the CPU: the GPU's memory is too small.".to_owned());
    bench.engine.send(Event::Loaded(Box::new(PackInfo { device_note, ..imdb() })));
    bench.window.run();
    assert!(bench.reads("the GPU's memory is too small"));
    assert!(bench.shows("in use"));
    // Choosing the same device again does nothing.
    bench.click("CPU");
    bench.click("Automatic");
    assert_eq!(bench.engine.command(), Command::UseDevice(DeviceChoice::Auto));
}

/// An event about another pack, which the worker has reloaded by itself, does not end the loading.
#[test]
fn choosing_a_device_while_loading_loads_the_new_pack_on_it() {
    let mut bench = listed();
    bench.click("Load: imdb");
    let source = PackSource::Bundled("imdb".into());
    assert_eq!(bench.engine.command(), Command::LoadPack(source.clone()));
    bench.click("CPU");
    assert_eq!(bench.engine.command(), Command::UseDevice(DeviceChoice::Cpu));
    assert_eq!(bench.engine.command(), Command::LoadPack(source));
    bench.engine.send(Event::Loaded(Box::new(pack())));
    bench.window.run();
    assert!(!bench.shows("in use"), "the loaded pack is not in the list");
    bench.engine.send(Event::Loaded(Box::new(imdb())));
    bench.window.run();
    assert!(bench.shows("in use"));
}

#[test]
fn the_previous_pack_stays_in_use_if_a_pack_cannot_be_loaded() {
    let mut bench = listed();
    bench.click("Load: imdb");
    bench.engine.command();
    bench.engine.send(Event::LoadFailed {
        source: PackSource::Bundled("imdb".into()),
        message: "The base is damaged.".into(),
    });
    bench.window.run();
    assert!(bench.shows("The base is damaged."));
    assert!(!bench.shows("in use"), "the pack of the test is not in the list");
    assert!(!bench.is_disabled(Role::Button, "Load: imdb"), "it can be tried again");
}

#[test]
fn packs_can_be_added_and_removed_and_show_their_problems() {
    let folder = tempfile::tempdir().expect("a folder");
    write_pack(folder.path(), "mine");
    let mut bench = listed();
    bench.click("Add a pack");
    bench.overtype(&folder.path().display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.shows("mine"));
    assert!(bench.reads("not-there"));
    assert!(bench.is_disabled(Role::Button, "Load: mine"));
    assert_eq!(bench.window.state().preferences().added_packs, [folder.path()]);
    bench.click("More about the pack mine");
    bench.click("Remove from the list");
    bench.wait("its card to go", |b| !b.shows("mine"));
    assert!(folder.path().join("pack.toml").is_file(), "no file is deleted");
    // A path that does not exist is reported in the dialog.
    bench.click("Add a pack");
    bench.overtype("/no/where");
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("the reason", |b| b.shows("This path does not exist."));
    bench.key(Modifiers::NONE, Key::Escape);
    // So are a folder without pack.toml and another file.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    for path in [empty.clone(), folder.path().join("pack.toml.txt")] {
        std::fs::write(folder.path().join("pack.toml.txt"), "").expect("a file");
        bench.click("Add a pack");
        bench.overtype(&path.display().to_string());
        bench.key(Modifiers::NONE, Key::Enter);
        bench.wait("the reason", |b| b.shows("There is no pack.toml at this path."));
        bench.key(Modifiers::NONE, Key::Escape);
    }
    // The card of a pack whose pack.toml is deleted shows the problem.
    write_pack(&empty, "gone");
    bench.click("Add a pack");
    bench.overtype(&empty.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.shows("gone"));
    std::fs::remove_file(empty.join("pack.toml")).expect("deleted");
    bench.click("Refresh");
    bench.wait("the reason", |b| b.reads("check that the pack folder is complete"));
}

/// The model is a sparse file of a terabyte.
#[test]
fn the_card_of_a_pack_too_large_for_the_memory_shows_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    write_pack(folder.path(), "vast");
    let model = folder.path().join("not-there");
    std::fs::create_dir(&model).expect("a folder");
    let rows: u64 = 1 << 19;
    let header = format!(
        r#"{{"x":{{"dtype":"F16","shape":[{rows},{rows}],"data_offsets":[0,{}]}}}}"#,
        2 * rows * rows
    );
    let content = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let path = model.join("model.safetensors");
    std::fs::write(&path, &content).expect("written");
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file");
    file.set_len(content.len() as u64 + 2 * rows * rows).expect("a sparse file");
    let mut bench = listed();
    bench.click("Add a pack");
    bench.overtype(&folder.path().display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.reads("1.1 TB in memory"));
    let warns = bench.reads("Not enough free memory: close other programs");
    // The pack might fit on a GPU.
    assert_eq!(warns, no_gpu_support().is_some());
}

#[test]
fn a_new_pack_can_be_created_and_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("gpt2-mine");
    let mut bench = listed();
    open_form(&mut bench);
    assert!(bench.is_disabled(Role::Button, "Save…"));
    let mut enter = |name: &str, text: &str| {
        bench.window.get_by_role_and_label(Role::TextInput, name).focus();
        bench.window.run();
        bench.overtype(text);
        bench.window.run();
    };
    enter("Name of the pack", "GPT-2 mine");
    enter("Base: files", "openai-community/gpt2-xl");
    enter("Untuned: files", "/models/gpt2-imdb");
    enter("Tuned: adapter", "~/adapters/dpo");
    bench.click("Save…");
    assert!(bench.shows("Save the pack"));
    bench.overtype(&target.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.shows("GPT-2 mine"));
    assert!(!bench.shows("New pack…"));
    let saved = Manifest::read(&target).expect("a pack");
    assert_eq!(
        saved.untuned.and_then(|r| r.source),
        Some(Source::Folder("/models/gpt2-imdb".into()))
    );
    assert_eq!(saved.tuned.and_then(|r| r.adapter), Some(Source::Folder("~/adapters/dpo".into())));
    // The form sets no defaults.
    assert_eq!(saved.defaults, Settings::default());
    let text = std::fs::read_to_string(target.join("pack.toml")).expect("a pack");
    assert!(!text.contains("defaults"), "{text}");
    // An existing pack is not overwritten.
    open_form(&mut bench);
    bench.window.get_by_role_and_label(Role::TextInput, "Base: files").focus();
    bench.window.run();
    bench.overtype("/not/there");
    bench.window.get_by_role_and_label(Role::TextInput, "Name of the pack").focus();
    bench.window.run();
    bench.overtype("Another");
    bench.wait("the reason", |b| b.shows("/not/there does not exist on this machine."));
    let mut base = |text: &str, words: &str| {
        bench.window.get_by_role_and_label(Role::TextInput, "Base: files").focus();
        bench.window.run();
        bench.overtype(text);
        bench.wait(words, |b| b.shows(words));
    };
    base("bundled:imdb/nope", "This program does not include imdb/nope.");
    base("bundled:imdb/base", "Ready to save.");
    bench.click("Save…");
    bench.overtype(&target.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    let taken = "This folder already contains a pack; choose another folder.";
    bench.wait("the reason", |b| b.shows(taken));
    bench.overtype(&folder.path().join("another").display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.shows("Another"));
    assert_eq!(Manifest::read(&target).expect("the first pack").name, "GPT-2 mine");
}

/// Only Clear empties the form.
#[test]
fn closing_the_form_keeps_its_content() {
    let mut bench = listed();
    open_form(&mut bench);
    assert!(!bench.shows("Clear"));
    bench.window.get_by_role_and_label(Role::TextInput, "Base: files").focus();
    bench.window.run();
    bench.overtype("some/model");
    for close in ["Escape", "Close"] {
        match close {
            "Close" => bench.click("Close"),
            _ => bench.key(Modifiers::NONE, Key::Escape),
        }
        assert!(!bench.shows("Base: files"), "{close}");
        open_form(&mut bench);
        assert!(bench.reads("some/model"), "{close}");
    }
    bench.click("Clear");
    assert!(!bench.reads("some/model"));
    bench.click("Close");
    open_form(&mut bench);
    assert!(!bench.reads("some/model"));
    bench.expect_silence();
}

#[test]
fn generating_works_after_the_worker_has_moved_a_pack_by_itself() {
    let mut bench = Bench::ready();
    bench.engine.send(Event::Loading { what: "base model".into(), fraction: 0.5 });
    bench.window.run();
    bench.engine.send(Event::Loaded(Box::new(imdb())));
    bench.window.run();
    bench.click("Generate");
    bench.engine.generate();
}

/// Adds a pack with a file of its own, and returns its folder.
fn added(bench: &mut Bench, name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_pack(folder.path(), name);
    let text = std::fs::read_to_string(folder.path().join("pack.toml")).expect("a pack");
    let text = text.replacen("[base]", "licence = \"MIT\"\nexamples = [\"One\"]\n[base]", 1);
    std::fs::write(folder.path().join("pack.toml"), text).expect("written");
    std::fs::create_dir(folder.path().join("not-there")).expect("a folder");
    bench.click("Add a pack");
    bench.overtype(&folder.path().display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.shows(name));
    folder
}

fn choose(bench: &mut Bench, pack: &str, entry: &str) {
    bench.click(&format!("More about the pack {pack}"));
    bench.click(entry);
    bench.wait("the form", |b| b.shows("Base: files") || b.reads("Base: files"));
}

fn type_into(bench: &mut Bench, name: &str, text: &str) {
    bench.window.get_by_role_and_label(Role::TextInput, name).focus();
    bench.window.run();
    bench.overtype(text);
    bench.window.run();
}

#[test]
fn an_added_pack_can_be_edited() {
    let mut bench = listed();
    let folder = added(&mut bench, "mine");
    choose(&mut bench, "mine", "Edit");
    assert!(bench.shows("Edit mine"));
    assert!(bench.reads("pack:not-there"));
    // A fault shows while typing, in the words of the form.
    type_into(&mut bench, "Base: files", "a/b/c");
    assert!(bench.reads("Base, Files: write a path that begins with / or ~/"));
    assert!(bench.is_disabled(Role::Button, "Save"));
    bench.click("Undo changes");
    assert!(bench.reads("pack:not-there"));
    type_into(&mut bench, "Name of the pack", "renamed");
    bench.click("Save");
    bench.wait("the new name", |b| b.shows("renamed") && !b.shows("Edit mine"));
    let saved = Manifest::read(folder.path()).expect("a pack");
    assert_eq!((saved.name.as_str(), saved.licence.as_deref()), ("renamed", Some("MIT")));
    assert_eq!(saved.base.source, Some(Source::Pack("not-there".into())));
    assert_eq!(saved.examples, ["One"]);
    assert_eq!(bench.window.state().preferences().added_packs, [folder.path()]);
    bench.expect_silence();
}

#[test]
fn a_duplicate_is_a_new_pack_with_the_same_values() {
    let mut bench = listed();
    let folder = added(&mut bench, "mine");
    choose(&mut bench, "mine", "Duplicate");
    assert!(bench.shows("New pack") && bench.reads("mine copy"));
    let target = folder.path().join("copy");
    bench.click("Save…");
    bench.overtype(&target.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.shows("mine copy"));
    let saved = Manifest::read(&target).expect("a pack");
    assert_eq!(saved.base.source, Some(Source::Folder(folder.path().join("not-there"))));
    assert_eq!(Manifest::read(folder.path()).expect("the first pack").name, "mine");
}

#[test]
fn a_pack_that_cannot_be_read_cannot_be_edited() {
    let mut bench = listed();
    let folder = added(&mut bench, "mine");
    std::fs::write(folder.path().join("pack.toml"), "name = ").expect("written");
    bench.click("More about the pack mine");
    bench.click("Edit");
    bench.wait("the reason", |b| b.reads("pack.toml: line 1"));
    assert!(!bench.shows("Edit mine"));
}
