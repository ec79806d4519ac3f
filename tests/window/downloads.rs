//! Downloads from the list of packs: confirming, stopping and resuming. The hub is a test server on
//! the loopback interface.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use eframe::egui::{Key, Modifiers};
use ivg_playground::app::Options;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::app::state::preferences::SidebarTab;
use ivg_playground::packs::hub::Hub;
use ivg_playground::worker::pack_service::HubSettings;
use ivg_playground::worker::protocol::{Command, Event, PackSource};

use crate::engine::pack;
use crate::harness::{Bench, options};
use crate::server::{Act, Server};

/// Writes a pack whose base is on the hub, and opens a window that lists it.
fn listed(dir: &Path, server: &Server, large: u64) -> Bench {
    listed_with(dir, server, large, 0)
}

/// Does the same with a number of retries.
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
        side: SidebarTab::Models,
        prompt: "This movie was".into(),
        ..Preferences::default()
    };
    let options = Options { hub: Hub::new(hub), large_download_bytes, ..options() };
    let mut bench = Bench::open(options, stored, pack());
    bench.wait("the card", |b| b.shows("Download and load: far"));
    bench
}

/// Waits for the next command of the window.
fn command(bench: &mut Bench) -> Command {
    let sent = RefCell::new(None);
    bench.wait("a command", |b| {
        let next = b.engine.next();
        let exists = next.is_some();
        sent.replace(next);
        exists
    });
    sent.take().expect("a command")
}

#[test]
fn a_pack_is_downloaded_and_loaded() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::good();
    let mut bench = listed(dir.path(), &server, u64::MAX);
    assert!(server.log().is_empty(), "no request before the user asks for one");
    bench.click("Download and load: far");
    let source = PackSource::Folder(dir.path().to_owned());
    assert_eq!(command(&mut bench), Command::LoadPack(source));
    assert_eq!(server.starts("model.safetensors"), [None]);
    bench.wait("the updated card", |b| b.shows("Load: far"));
}

#[test]
fn a_stopped_download_can_be_resumed() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|request, before| {
        let is_weights = request.file() == "model.safetensors" && request.method == "GET";
        if is_weights && before == 0 { Act::Stall } else { Act::Serve }
    });
    let mut bench = listed(dir.path(), &server, u64::MAX);
    bench.click("Download and load: far");
    bench.wait("half of the download", |b| {
        b.shows("Stop the download") && b.reads("base model · 30 kB of 60 kB")
    });
    // The status bar shows the progress while the list is hidden.
    bench.key(Modifiers::COMMAND, Key::M);
    assert!(bench.shows("Downloading 50%") && !bench.shows("Stop the download"));
    bench.key(Modifiers::COMMAND, Key::M);
    bench.click("Stop the download");
    bench.wait("the stop", |b| !b.shows("Stop the download"));
    // Refreshing looks up the remaining size on the hub.
    bench.wait("the list", |b| b.shows("Refresh"));
    bench.click("Refresh");
    bench.wait("the updated card", |b| b.shows("To download · 1000 · 60 kB"));
    bench.click("Download the rest and load: far");
    assert!(matches!(command(&mut bench), Command::LoadPack(_)));
    assert_eq!(server.starts("model.safetensors"), [None, Some(30_000)]);
}

/// The first of two models is shown as downloaded while the second is being downloaded. A failed
/// attempt does not lose the bytes of an earlier one.
#[test]
fn downloaded_models_and_bytes_are_kept() {
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
    bench.wait("both models", |b| b.reads("Download 69 kB and load"));
    bench.click("Download 69 kB and load: far");
    bench.wait("the second model", |b| {
        b.reads("value model · ") && b.shows("Installed · 1000 · 60 kB")
    });
    assert!(bench.shows("To download · 1000 · 9.0 kB"));
    bench.click("Stop the download");
    bench.wait("the stop", |b| b.shows("Download the rest and load: far"));
    bench.click("Download the rest and load: far");
    bench.wait("the error", |b| b.reads("not found (404)"));
    bench.wait("the updated card", |b| b.shows("Download the rest and load: far"));
}

#[test]
fn looking_up_the_size_of_a_pack_is_retried() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|request, before| {
        let is_list = request.path.starts_with("/api/");
        if is_list && before == 0 { Act::Status("503 Busy") } else { Act::Serve }
    });
    let mut bench = listed_with(dir.path(), &server, u64::MAX, 1);
    bench.click("Download and load: far");
    assert!(matches!(command(&mut bench), Command::LoadPack(_)));
}

#[test]
fn looking_up_the_size_of_a_pack_can_be_stopped() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|_, _| Act::Mute);
    let mut bench = listed(dir.path(), &server, u64::MAX);
    bench.click("Download and load: far");
    assert!(bench.reads("Asking the hub for the download size"));
    bench.wait("the request", |_| !server.log().is_empty());
    bench.click("Stop the download");
    bench.wait("the button", |b| b.shows("Download and load: far"));
    // The pack service has stopped too: it carries out the next command.
    server.forget();
    bench.click("Refresh");
    bench.wait("the next request", |_| !server.log().is_empty());
    assert!(!bench.reads("was stopped"), "a stop by the user is not reported");
}

#[test]
fn the_reason_for_a_wait_between_two_attempts_is_shown() {
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
    bench.wait("the stop", |b| !b.shows("Stop the download"));
}

#[test]
fn an_error_of_the_hub_is_shown_on_the_card() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::scripted(|_, _| Act::Status("503 Service Unavailable"));
    let mut bench = listed(dir.path(), &server, u64::MAX);
    bench.click("Download and load: far");
    bench.wait("the reason", |b| b.reads("503"));
    assert!(bench.shows("Download and load: far"), "it can be tried again");
    bench.key(Modifiers::COMMAND, Key::M);
    assert_eq!(bench.window.state().preferences().side, SidebarTab::Settings);
}

#[test]
fn a_large_pack_named_at_the_start_is_downloaded_only_after_confirmation() {
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
        Options { hub: Hub::new(hub.clone()), large_download_bytes, look_first: true, ..named }
    };
    // Presentation mode ends, because it hides the card.
    let presenting = Options { present: true, ..options() };
    let mut bench = Bench::closed(presenting, Preferences::default());
    bench.wait("the dialog", |b| b.shows("Download 60 kB?"));
    assert!(bench.reads("To download · 1000 · 60 kB") && !bench.shows("Exit presentation"));
    assert_eq!(bench.window.state().preferences().side, SidebarTab::Models);
    assert!(server.starts("model.safetensors").is_empty());
    assert!(bench.window.state().loading().is_none(), "not loading before the confirmation");
    bench.click("Download");
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    assert_eq!(bench.window.state().preferences().added_packs, [dir.path()]);
    // After the download no confirmation is needed.
    let mut bench = Bench::closed(options(), Preferences::default());
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    assert_eq!(server.starts("model.safetensors"), [None]);
}

/// Keyboard shortcuts are disabled while the dialog is open.
#[test]
fn a_large_download_needs_confirmation() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::good();
    let mut bench = listed(dir.path(), &server, 10_000);
    for how in ["Cancel", "Escape"] {
        let name =
            if how == "Cancel" { "Download and load: far" } else { "Download 60 kB and load: far" };
        bench.click(name);
        bench.wait("the dialog", |b| b.shows("Download 60 kB?"));
        assert!(bench.reads("far needs files that are not on this machine."));
        bench.key(Modifiers::COMMAND, Key::M);
        assert_eq!(bench.window.state().preferences().side, SidebarTab::Models);
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

/// Only reading the whole file finds damage in the middle of it. A failed load or "Check the files"
/// then offers to download the file again.
#[test]
fn a_damaged_file_can_be_downloaded_again() {
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
    let failed = || Event::LoadFailed {
        source: source.clone(),
        message: "base model: something is no number".into(),
    };
    // The files are intact, so nothing is offered.
    bench.engine.send(failed());
    bench.wait("the reason", |b| b.reads("is no number"));
    bench.wait("its card", |b| b.shows("Load: far"));
    let blobs = dir.path().join("cache/models--tiny--base/blobs");
    let large = |file: &std::path::PathBuf| file.metadata().is_ok_and(|m| m.len() > 60_000);
    let mut blobs = std::fs::read_dir(blobs).expect("a cache").flatten().map(|file| file.path());
    let blob = blobs.find(large).expect("the weights");
    let damaged = [&weights[..30_000], &[255; 1000], &weights[31_000..]].concat();
    std::fs::write(&blob, &damaged).expect("damaged");
    // The user can also check the files.
    bench.click("More about the pack far");
    bench.click("Check the files");
    bench.wait("the offer", |b| b.shows("Download again and load: far"));
    bench.click("Download again and load: far");
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    bench.wait("its card", |b| b.shows("Load: far"));
    bench.click("More about the pack far");
    bench.click("Check the files");
    bench.wait("the result", |b| b.shows("All downloaded files match their checksums"));
    std::fs::write(&blob, damaged).expect("damaged again");
    bench.click("Load: far");
    assert_eq!(command(&mut bench), Command::LoadPack(source.clone()));
    bench.engine.send(failed());
    bench.wait("the offer", |b| b.shows("Download again and load: far"));
    assert!(bench.reads("Only that file will be downloaded again"));
    // The list scrolls to the card.
    bench.window.run();
    server.forget();
    bench.click("Download again and load: far");
    assert_eq!(command(&mut bench), Command::LoadPack(source));
    assert_eq!(server.starts("model.safetensors"), [None]);
    assert_eq!(std::fs::read(blob).expect("a file"), weights);
    bench.wait("its card", |b| b.shows("Load: far"));
}
