//! The packs of models: looked at, loaded, added, put together. The library behind the list is the
//! real one; it is not asked for anything that would need a network.

use std::path::Path;

use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::panels::side::Side;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::packs::{Manifest, Source};
use ivg_playground::worker::protocol::{
    Command, DeviceChoice, Event, PackInfo, PackSource, no_gpu_support,
};

use crate::engine::pack;
use crate::harness::Bench;

/// A window whose sidebar lists the packs.
fn listed() -> Bench {
    let mut bench = Bench::ready();
    bench.key(Modifiers::COMMAND, Key::M);
    bench.wait("the list", |b| b.shows("Load: imdb"));
    bench
}

/// The pack that comes along.
fn imdb() -> PackInfo {
    PackInfo { source: PackSource::Bundled("imdb".into()), name: "imdb".into(), ..pack() }
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
    assert!(bench.reads("of memory are free"));
    // One pack is here, others are on the hub; what cannot be known without it is left out.
    assert!(bench.shows("here · 13.1 M · 26 MB"));
    assert!(bench.shows("Download and load: paper-sentiment-xl"));
    bench.click("Load: imdb");
    let source = PackSource::Bundled("imdb".into());
    assert_eq!(bench.engine.command(), Command::LoadPack(source));
    bench.engine.send(Event::Loading { what: "base model".into(), fraction: 0.1 });
    bench.window.run();
    assert!(bench.is_disabled(Role::Button, "Load: imdb"), "one at a time");
    bench.engine.send(Event::Loaded(imdb()));
    bench.window.run();
    assert!(bench.shows("in use"));
    assert!(!bench.shows("Load: imdb"), "it is loaded");
    bench.key(Modifiers::COMMAND, Key::M);
    assert_eq!(bench.window.state().preferences().side, Side::Settings);
}

/// The pack in use is loaded again where a person wants it to compute.
#[test]
fn the_device_is_chosen_and_the_pack_moves_to_it() {
    let mut bench = listed();
    bench.click("Load: imdb");
    bench.engine.command();
    bench.engine.send(Event::Loaded(imdb()));
    bench.window.run();
    let can_gpu = no_gpu_support().is_none();
    assert_eq!(bench.is_disabled(Role::Button, "GPU"), !can_gpu);
    bench.click("CPU");
    assert_eq!(bench.engine.command(), Command::UseDevice(DeviceChoice::Cpu));
    let source = PackSource::Bundled("imdb".into());
    assert_eq!(bench.engine.command(), Command::LoadPack(source.clone()));
    assert_eq!(bench.window.state().preferences().device, DeviceChoice::Cpu);
    // What is to be said of it is said.
    let device_note = Some("The processor computes: the GPU's memory is too small.".to_owned());
    bench.engine.send(Event::Loaded(PackInfo { device_note, ..imdb() }));
    bench.window.run();
    assert!(bench.reads("the GPU's memory is too small"));
    assert!(bench.shows("in use"));
    // Chosen once more, it changes nothing.
    bench.click("CPU");
    bench.click("Automatic");
    assert_eq!(bench.engine.command(), Command::UseDevice(DeviceChoice::Auto));
}

/// A pack that is still coming is the one that moves, and one that the worker has moved by itself
/// is not taken for it.
#[test]
fn a_pack_that_is_coming_is_the_one_that_moves() {
    let mut bench = listed();
    bench.click("Load: imdb");
    let coming = PackSource::Bundled("imdb".into());
    assert_eq!(bench.engine.command(), Command::LoadPack(coming.clone()));
    bench.click("CPU");
    assert_eq!(bench.engine.command(), Command::UseDevice(DeviceChoice::Cpu));
    assert_eq!(bench.engine.command(), Command::LoadPack(coming));
    bench.engine.send(Event::Loaded(pack()));
    bench.window.run();
    assert!(!bench.shows("in use"), "what came is none of the bundled ones");
    bench.engine.send(Event::Loaded(imdb()));
    bench.window.run();
    assert!(bench.shows("in use"));
}

#[test]
fn a_pack_that_does_not_load_leaves_the_one_in_use() {
    let mut bench = listed();
    bench.click("Load: imdb");
    bench.engine.command();
    bench.engine.send(Event::LoadFailed("The base is damaged.".into()));
    bench.window.run();
    assert!(bench.shows("The base is damaged."));
    assert!(!bench.shows("in use"), "the pack of the test is none of the bundled ones");
    assert!(!bench.is_disabled(Role::Button, "Load: imdb"), "to be tried again");
}

#[test]
fn a_pack_is_added_says_what_is_wrong_and_is_taken_off_again() {
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
    bench.click("Take off the list");
    bench.wait("its card to go", |b| !b.shows("mine"));
    assert!(folder.path().join("pack.toml").is_file(), "nothing is deleted");
    // A path that leads nowhere is said at once.
    bench.click("Add a pack");
    bench.overtype("/no/where");
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("what is wrong", |b| b.shows("There is nothing at this path."));
    bench.key(Modifiers::NONE, Key::Escape);
    // Nor is a folder or a file a pack.
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
    // One whose file has gone gets a card that says so.
    write_pack(&empty, "gone");
    bench.click("Add a pack");
    bench.overtype(&empty.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.shows("gone"));
    std::fs::remove_file(empty.join("pack.toml")).expect("gone");
    bench.click("Refresh");
    bench.wait("the reason", |b| b.reads("check that the pack folder is complete"));
}

/// A file that claims a million million bytes, and takes none.
#[test]
fn a_pack_that_does_not_fit_says_so_on_its_card() {
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
    file.set_len(content.len() as u64 + 2 * rows * rows).expect("a file with a hole");
    let mut bench = listed();
    bench.click("Add a pack");
    bench.overtype(&folder.path().display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.reads("1.1 TB in memory"));
    let warns = bench.reads("More than is free: close other programs first");
    // A GPU may have the room.
    assert_eq!(warns, no_gpu_support().is_some());
}

#[test]
fn a_pack_is_put_together_and_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("gpt2-mine");
    let mut bench = listed();
    bench.click("New pack");
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
    // The paper's settings, for nobody has asked for others.
    assert_eq!(saved.defaults, Settings::default());
    let text = std::fs::read_to_string(target.join("pack.toml")).expect("a pack");
    assert!(!text.contains("defaults"), "{text}");
    // What lies there is not written over.
    bench.click("New pack");
    bench.window.get_by_role_and_label(Role::TextInput, "Base: files").focus();
    bench.window.run();
    bench.overtype("/not/there");
    bench.window.get_by_role_and_label(Role::TextInput, "Name of the pack").focus();
    bench.window.run();
    bench.overtype("Another");
    bench.wait("what is wrong", |b| b.shows("There is nothing at /not/there on this machine."));
    let mut base = |text: &str, words: &str| {
        bench.window.get_by_role_and_label(Role::TextInput, "Base: files").focus();
        bench.window.run();
        bench.overtype(text);
        bench.wait(words, |b| b.shows(words));
    };
    base("bundled:imdb/nope", "No imdb/nope came with the program.");
    base("bundled:imdb/base", "Ready to be saved.");
    bench.click("Save…");
    bench.overtype(&target.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    let taken = "There is a pack in this folder already; choose another.";
    bench.wait("what is wrong", |b| b.shows(taken));
    bench.overtype(&folder.path().join("another").display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("its card", |b| b.shows("Another"));
    assert_eq!(Manifest::read(&target).expect("as it was").name, "GPT-2 mine");
}

/// Escape and a wrong button cost nothing that was typed; only Clear throws it away.
#[test]
fn a_form_that_is_closed_keeps_what_was_typed() {
    let mut bench = listed();
    bench.click("New pack");
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
        bench.click("New pack");
        assert!(bench.reads("some/model"), "{close}");
    }
    bench.click("Clear");
    assert!(!bench.reads("some/model"));
    bench.click("Close");
    bench.click("New pack");
    assert!(!bench.reads("some/model"));
    bench.expect_silence();
}
