//! Downloads that are interrupted, and go on.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use ivg_playground::packs::hub::{Fault, HubError, Watch};

use super::bench::{Bench, order, weights};
use super::server::{Act, COMMIT, Request, Server, sha256};

const FILE: &str = "model.safetensors";

/// Does `act` with the first request for the weights.
fn once(act: Act) -> impl Fn(&Request, usize) -> Act {
    move |request, before| match request.file() {
        FILE if before == 0 => act.clone(),
        _ => Act::Serve,
    }
}

/// Does `act` with every request for the weights.
fn always(act: Act) -> impl Fn(&Request, usize) -> Act {
    move |request, _| if request.file() == FILE { act.clone() } else { Act::Serve }
}

fn assert_arrived(bench: &Bench) {
    let folder = bench.root().join("snapshots").join(COMMIT);
    assert_eq!(fs::read(folder.join(FILE)).unwrap(), weights());
    assert_eq!(bench.partial(), None);
}

fn half() -> usize {
    weights().len() / 2
}

#[test]
fn a_transfer_that_is_cut_off_or_stalls_goes_on_from_there() {
    for act in [Act::CutOff, Act::Stall] {
        let bench = Bench::new(Server::scripted(once(act)));
        bench.fetch(&order()).unwrap();
        assert_eq!(bench.server.starts(FILE), [None, Some(half())]);
        assert_arrived(&bench);
    }
}

#[test]
fn a_server_that_says_nothing_is_asked_again() {
    let bench = Bench::new(Server::scripted(once(Act::Mute)));
    bench.fetch(&order()).unwrap();
    assert_eq!(bench.server.starts(FILE), [None, None]);
    assert_arrived(&bench);
}

#[test]
fn a_server_that_never_finishes_is_given_up_and_what_came_is_kept() {
    let bench = Bench::new(Server::scripted(always(Act::CutOff)));
    let error = bench.fetch(&order()).unwrap_err();
    assert!(matches!(error.fault, Fault::CutOff { .. }), "{error}");
    assert!(error.to_string().contains("tiny/model on the hub, model.safetensors: only "));
    // The first attempt and three more, each from where the one before ended.
    let (size, mut held) = (weights().len(), 0);
    let mut expected = vec![None];
    for _ in 0..3 {
        held += (size - held) / 2;
        expected.push(Some(held));
    }
    assert_eq!(bench.server.starts(FILE), expected);
    held += (size - held) / 2;
    assert_eq!(fs::metadata(bench.partial().unwrap()).unwrap().len(), held as u64);
    // Never taken for whole.
    assert_eq!(bench.hub().cached(&order()), None);
    assert!(!bench.root().join("snapshots").join(COMMIT).join(FILE).exists());

    let bench = Bench::new(Server::scripted(always(Act::Stall)));
    let error = bench.fetch(&order()).unwrap_err();
    assert!(matches!(error.fault, Fault::Stalled(_)), "{error}");
    assert_eq!(bench.hub().cached(&order()), None);
}

/// Stops as soon as half of the bytes are here.
fn fetch_until_half(bench: &Bench) -> Result<(), HubError> {
    let arrived = Cell::new(0);
    let cancelled = || arrived.get() >= half() as u64;
    let mut note =
        |progress: &ivg_playground::packs::hub::Progress| arrived.set(progress.done_bytes);
    let mut watch = Watch { cancelled: &cancelled, progress: &mut note };
    bench.hub().fetch(&[order()], false, &mut watch).map(drop)
}

#[test]
fn a_stop_is_heard_while_the_server_is_silent_and_the_next_download_goes_on() {
    let mut bench = Bench::new(Server::scripted(once(Act::Stall)));
    bench.settings.stall_timeout = Duration::from_secs(60);
    let start = Instant::now();
    let error = fetch_until_half(&bench).unwrap_err();
    assert!(matches!(error.fault, Fault::Cancelled), "{error}");
    assert!(error.to_string().contains("what has arrived is kept"));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(fs::metadata(bench.partial().unwrap()).unwrap().len(), half() as u64);
    let left = bench.hub().inquire(&order(), false, &|| false).unwrap().missing_bytes;
    assert_eq!(left, half() as u64);
    bench.server.forget();
    bench.fetch(&order()).unwrap();
    // Only the rest, and none of the files that had arrived before.
    assert_eq!(bench.server.starts(FILE), [Some(half())]);
    assert_eq!(bench.server.log().len(), 2);
    assert_arrived(&bench);
}

#[test]
fn a_stop_is_heard_while_waiting_to_try_again() {
    let mut bench = Bench::new(Server::scripted(|_, _| Act::Status("500 Oh")));
    bench.settings.first_wait = Duration::from_secs(60);
    bench.settings.longest_wait = Duration::from_secs(60);
    let start = Instant::now();
    let cancelled = || start.elapsed() > Duration::from_millis(200);
    let mut watch = Watch { cancelled: &cancelled, progress: &mut |_| {} };
    let error = bench.hub().fetch(&[order()], false, &mut watch).unwrap_err();
    assert!(matches!(error.fault, Fault::Cancelled), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// Leaves `bytes` as an earlier download would have.
fn leave(bench: &Bench, bytes: &[u8]) {
    let blobs = bench.root().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", sha256(&weights()))), bytes).unwrap();
}

#[test]
fn what_another_tool_began_is_gone_on_with() {
    let bench = Bench::new(Server::good());
    leave(&bench, &weights()[..1234]);
    bench.fetch(&order()).unwrap();
    assert_eq!(bench.server.starts(FILE), [Some(1234)]);
    assert_arrived(&bench);
    // All of it, and only its name was missing.
    let bench = Bench::new(Server::good());
    leave(&bench, &weights());
    bench.fetch(&order()).unwrap();
    assert_eq!(bench.server.starts(FILE), []);
    assert_arrived(&bench);
}

#[test]
fn a_partial_file_of_other_bytes_is_found_out() {
    let bench = Bench::new(Server::good());
    leave(&bench, &[0; 1234]);
    bench.fetch(&order()).unwrap();
    assert_eq!(bench.server.starts(FILE), [Some(1234), None]);
    assert_arrived(&bench);
    // Longer than the file can be.
    let bench = Bench::new(Server::good());
    leave(&bench, &vec![0; weights().len() + 1]);
    bench.fetch(&order()).unwrap();
    assert_eq!(bench.server.starts(FILE), [None]);
    assert_arrived(&bench);
}

#[test]
fn a_server_that_knows_no_ranges_is_used_all_the_same() {
    let bench = Bench::new(Server::scripted(always(Act::Whole)));
    leave(&bench, &weights()[..1234]);
    bench.fetch(&order()).unwrap();
    assert_eq!(bench.server.starts(FILE), [Some(1234)]);
    assert_arrived(&bench);
}

#[test]
fn a_page_in_between_costs_nothing_of_what_is_here() {
    let bench = Bench::new(Server::scripted(always(Act::Page)));
    leave(&bench, &weights()[..1234]);
    let error = bench.fetch(&order()).unwrap_err();
    assert!(error.to_string().contains("a page instead"), "{error}");
    assert_eq!(fs::metadata(bench.partial().unwrap()).unwrap().len(), 1234);
}
