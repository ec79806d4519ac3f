//! Downloads from the list of packs: asked about, stopped, taken up again. The hub is a server of
//! our own on the loopback.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use eframe::egui::{Key, Modifiers};
use ivg_playground::app::Options;
use ivg_playground::app::panels::side::Side;
use ivg_playground::app::preferences::Preferences;
use ivg_playground::worker::library::HubSettings;
use ivg_playground::worker::protocol::{Command, Event, PackSource};

use crate::engine::pack;
use crate::harness::{Bench, options};
use crate::server::{Act, Server};

/// A pack whose base is on the hub, and a window that lists it.
fn listed(dir: &Path, server: &Server, large: u64) -> Bench {
    listed_with(dir, server, large, 0)
}

/// The same, which tries that often again.
fn listed_with(dir: &Path, server: &Server, large: u64, retries: u32) -> Bench {
    let weights: Vec<u8> =
        (0..60_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    server.add(
        "tiny/base",
        &[
            ("config.json", b"{}"),
            ("model.safetensors", &weights),
            ("tokenizer.json", b"{\"a\":1}"),
        ],
    );
    let text = "name = \"far\"\ndescription = \"On the hub\"\n[base]\nhub = \"tiny/base\"\n";
    std::fs::write(dir.join("pack.toml"), text).expect("a pack");
    let hub = HubSettings {
        endpoint: server.address.clone(),
        cache: Some(dir.join("cache")),
        stall_timeout: Duration::from_secs(60),
        retries,
        ..HubSettings::default()
    };
    open(dir, hub, large)
}

fn open(dir: &Path, hub: HubSettings, large_download_bytes: u64) -> Bench {
    let stored = Preferences {
        added_packs: vec![dir.to_owned()],
        side: Side::Models,
        prompt: "This movie was".into(),
        ..Preferences::default()
    };
    let options = Options { hub: Some(hub), large_download_bytes, ..options() };
    let mut bench = Bench::open(options, stored, pack());
    bench.wait("the card", |b| b.shows("Download and load: far"));
    bench
}

/// What the window sends next, however long the hub takes.
fn command(bench: &mut Bench) -> Command {
    let sent = RefCell::new(None);
    bench.wait("a command", |b| {
        let next = b.engine.next();
        let is_there = next.is_some();
        sent.replace(next);
        is_there
    });
    sent.take().expect("a command")
}

#[test]
fn a_pack_is_measured_downloaded_and_loaded() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::good();
    let mut bench = listed(dir.path(), &server, u64::MAX);
    assert!(server.log().is_empty(), "nothing is asked before somebody wants it");
    bench.click("Download and load: far");
    let source = PackSource::Folder(dir.path().to_owned());
    assert_eq!(command(&mut bench), Command::LoadPack(source));
    assert_eq!(server.starts("model.safetensors"), [None]);
    bench.wait("the new look", |b| b.shows("Load: far"));
}

#[test]
fn a_download_that_was_stopped_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|request, before| {
        let is_weights = request.file() == "model.safetensors" && request.method == "GET";
        if is_weights && before == 0 { Act::Stall } else { Act::Serve }
    });
    let mut bench = listed(dir.path(), &server, u64::MAX);
    bench.click("Download and load: far");
    bench.wait("half of it", |b| {
        b.shows("Stop the download") && b.reads("base model · 30 kB of 60 kB")
    });
    // Wherever a person looks meanwhile.
    bench.key(Modifiers::COMMAND, Key::M);
    assert!(bench.shows("Downloading 50%") && !bench.shows("Stop the download"));
    bench.key(Modifiers::COMMAND, Key::M);
    bench.click("Stop the download");
    bench.wait("the end of it", |b| !b.shows("Stop the download"));
    // How much of it is left, the hub says when it is asked.
    bench.wait("a look at what is here", |b| b.shows("Refresh"));
    bench.click("Refresh");
    bench.wait("the look", |b| b.shows("to download · 1000 · 60 kB"));
    bench.click("Download the rest and load: far");
    assert!(matches!(command(&mut bench), Command::LoadPack(_)));
    assert_eq!(server.starts("model.safetensors"), [None, Some(30_000)]);
}

/// Of two models the first is here while the second arrives; and a try that fails at once forgets
/// nothing of what an earlier one has left.
#[test]
fn what_has_arrived_is_here_and_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_second = |path: &str| path.contains("tiny/second");
    let server = Server::scripted(move |request, before| {
        let is_list = request.path.starts_with("/api/") && is_second(&request.path);
        let is_weights = request.file() == "model.safetensors" && request.method == "GET";
        match (is_second(&request.path) && is_weights, is_list, before) {
            (true, _, 0) => Act::Stall,
            (_, true, 2) => Act::Status("404 Not Found"),
            _ => Act::Serve,
        }
    });
    server.add(
        "tiny/second",
        &[("config.json", b"{}"), ("model.safetensors", &[7; 9000]), ("tokenizer.json", b"{}")],
    );
    let mut bench = listed(dir.path(), &server, u64::MAX);
    let text = "name = \"far\"\ndescription = \"On the hub\"\n[base]\nhub = \"tiny/base\"\n\
                [value]\nhub = \"tiny/second\"\n";
    std::fs::write(dir.path().join("pack.toml"), text).expect("a pack");
    bench.click("Refresh");
    bench.wait("both", |b| b.reads("Download 69 kB and load"));
    bench.click("Download 69 kB and load: far");
    bench.wait("the second", |b| b.reads("value model · ") && b.shows("here · 1000 · 60 kB"));
    assert!(bench.shows("to download · 1000 · 9.0 kB"));
    bench.click("Stop the download");
    bench.wait("the end of it", |b| b.shows("Download the rest and load: far"));
    bench.click("Download the rest and load: far");
    bench.wait("the refusal", |b| b.reads("not found (404)"));
    bench.wait("the look", |b| b.shows("Download the rest and load: far"));
}

/// Trouble that passes is waited for before the first byte too.
#[test]
fn a_hub_in_trouble_is_asked_again_how_large_a_pack_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|request, before| {
        let is_list = request.path.starts_with("/api/");
        if is_list && before == 0 { Act::Status("503 Busy") } else { Act::Serve }
    });
    let mut bench = listed_with(dir.path(), &server, u64::MAX, 1);
    bench.click("Download and load: far");
    assert!(matches!(command(&mut bench), Command::LoadPack(_)));
}

/// A question can be stopped as a download can.
#[test]
fn a_hub_that_is_silent_need_not_be_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|_, _| Act::Mute);
    let mut bench = listed(dir.path(), &server, u64::MAX);
    bench.click("Download and load: far");
    assert!(bench.reads("Asking the hub how large it is"));
    bench.wait("the question", |_| !server.log().is_empty());
    bench.click("Stop the download");
    bench.wait("the button", |b| b.shows("Download and load: far"));
    // The library hears it too: it answers the next question.
    server.forget();
    bench.click("Refresh");
    bench.wait("the next question", |_| !server.log().is_empty());
    assert!(!bench.reads("was stopped"), "whoever stopped it knows");
}

/// Somebody who waits sees what for.
#[test]
fn a_pause_between_two_attempts_is_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|request, before| {
        let is_weights = request.file() == "model.safetensors" && request.method == "GET";
        if is_weights && before == 0 { Act::Busy(10) } else { Act::Serve }
    });
    let mut bench = listed_with(dir.path(), &server, u64::MAX, 1);
    bench.click("Download and load: far");
    bench.wait("the reason", |b| {
        b.shows("base model · 9 B of 60 kB")
            && b.reads("s: too many requests (429)")
            && b.reads("trying again in")
    });
    bench.click("Stop the download");
    bench.wait("the end of it", |b| !b.shows("Stop the download"));
}

#[test]
fn a_hub_that_does_not_answer_is_told_on_the_card() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|_, _| Act::Status("503 Service Unavailable"));
    let mut bench = listed(dir.path(), &server, u64::MAX);
    bench.click("Download and load: far");
    bench.wait("the reason", |b| b.reads("503"));
    assert!(bench.shows("Download and load: far"), "to be tried again");
    bench.key(Modifiers::COMMAND, Key::M);
    assert_eq!(bench.window.state().preferences().side, Side::Settings);
}

/// What is named at the start is not downloaded before anybody has agreed.
#[test]
fn a_pack_that_is_opened_is_looked_at_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::good();
    drop(listed(dir.path(), &server, 0));
    let source = PackSource::Folder(dir.path().to_owned());
    let hub = HubSettings {
        endpoint: server.address.clone(),
        cache: Some(dir.path().join("cache")),
        ..HubSettings::default()
    };
    let options = || {
        let large_download_bytes = 10_000;
        let named = Options::new(source.clone());
        Options { hub: Some(hub.clone()), large_download_bytes, look_first: true, ..named }
    };
    // On the stage its card could not be seen.
    let presenting = Options { present: true, ..options() };
    let mut bench = Bench::closed(presenting, Preferences::default());
    bench.wait("the question", |b| b.shows("Download 60 kB?"));
    assert!(bench.reads("to download · 1000 · 60 kB") && !bench.shows("Leave"));
    assert_eq!(bench.window.state().preferences().side, Side::Models);
    assert!(server.starts("model.safetensors").is_empty());
    assert!(bench.window.state().session().loading.is_none(), "an answer is awaited");
    bench.click("Download");
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    assert_eq!(bench.window.state().preferences().added_packs, [dir.path()]);
    // Now it is here.
    let mut bench = Bench::closed(options(), Preferences::default());
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    assert_eq!(server.starts("model.safetensors"), [None]);
}

/// The answer decides, whichever way it is given; meanwhile keys do nothing behind the question.
#[test]
fn a_large_download_waits_for_an_answer() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::good();
    let mut bench = listed(dir.path(), &server, 10_000);
    for how in ["Cancel", "Escape"] {
        let name =
            if how == "Cancel" { "Download and load: far" } else { "Download 60 kB and load: far" };
        bench.click(name);
        bench.wait("the question", |b| b.shows("Download 60 kB?"));
        assert!(bench.reads("far needs files that are not on this machine."));
        bench.key(Modifiers::COMMAND, Key::M);
        assert_eq!(bench.window.state().preferences().side, Side::Models);
        match how {
            "Cancel" => bench.click("Cancel"),
            _ => bench.key(Modifiers::NONE, Key::Escape),
        }
        assert!(!bench.shows("Download 60 kB?"), "{how}");
    }
    assert!(server.starts("model.safetensors").is_empty());
    bench.click("Download 60 kB and load: far");
    bench.click("Download");
    assert!(matches!(command(&mut bench), Command::LoadPack(_)));
}

/// The header of a file shows no damage in its middle: loading does, and then the way out is there.
#[test]
fn what_does_not_load_because_it_is_damaged_is_downloaded_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::good();
    let mut bench = listed(dir.path(), &server, u64::MAX);
    let header = r#"{"x":{"dtype":"F32","shape":[15000],"data_offsets":[0,60000]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    let weights = [&length[..], header.as_bytes(), &[1; 60_000]].concat();
    server.add(
        "tiny/base",
        &[("config.json", b"{}"), ("model.safetensors", &weights), ("tokenizer.json", b"{}")],
    );
    bench.window.set_size(eframe::egui::vec2(1280.0, 1200.0));
    bench.window.run();
    bench.click("Download and load: far");
    let source = PackSource::Folder(dir.path().to_owned());
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    let failed = || Event::LoadFailed("base model: something is no number".into());
    // Not every pack that does not load is damaged.
    bench.engine.send(failed());
    bench.wait("the reason", |b| b.reads("is no number"));
    bench.wait("its card", |b| b.shows("Load: far"));
    let blobs = dir.path().join("cache/models--tiny--base/blobs");
    let large = |file: &std::path::PathBuf| file.metadata().is_ok_and(|m| m.len() > 60_000);
    let mut blobs = std::fs::read_dir(blobs).expect("a cache").flatten().map(|file| file.path());
    let blob = blobs.find(large).expect("the weights");
    let damaged = [&weights[..30_000], &[255; 1000], &weights[31_000..]].concat();
    std::fs::write(&blob, &damaged).expect("damaged");
    // Whoever is in doubt can ask too.
    bench.click("More about the pack far");
    bench.click("Check the files");
    bench.wait("the way out", |b| b.shows("Download again and load: far"));
    bench.click("Download again and load: far");
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    bench.wait("its card", |b| b.shows("Load: far"));
    bench.click("More about the pack far");
    bench.click("Check the files");
    bench.wait("the answer", |b| b.shows("Every file from the hub is as it came"));
    std::fs::write(&blob, damaged).expect("damaged again");
    bench.click("Load: far");
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    bench.engine.send(failed());
    bench.wait("the way out", |b| b.shows("Download again and load: far"));
    assert!(bench.reads("only it is fetched again"));
    // Its card comes into sight.
    bench.window.run();
    server.forget();
    bench.click("Download again and load: far");
    assert_eq!(command(&mut bench), Command::LoadPack(source));
    assert_eq!(server.starts("model.safetensors"), [None]);
    assert_eq!(std::fs::read(blob).expect("there"), weights);
    bench.wait("its card", |b| b.shows("Load: far"));
}
