//! Interrupted downloads and how they resume.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use ivg_playground::packs::hub::{HubError, HubFailure, Watch};

use super::bench::{Bench, file_set, weights};
use super::server::{Act, COMMIT, Request, Server, sha256};

const FILE: &str = "model.safetensors";

/// Answers the first request for the weights with `act`.
fn once(act: Act) -> impl Fn(&Request, usize) -> Act {
    move |request, before| match request.file() {
        FILE if before == 0 => act.clone(),
        _ => Act::Serve,
    }
}

/// Answers every request for the weights with `act`.
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
fn resumes_a_transfer_that_is_cut_off_or_stalls() {
    for act in [Act::CutOff, Act::Stall] {
        let bench = Bench::new(Server::scripted(once(act)));
        bench.fetch(&file_set()).unwrap();
        assert_eq!(bench.server.starts(FILE), [None, Some(half())]);
        assert_arrived(&bench);
    }
}

#[test]
fn retries_if_the_server_sends_nothing() {
    let bench = Bench::new(Server::scripted(once(Act::Mute)));
    bench.fetch(&file_set()).unwrap();
    assert_eq!(bench.server.starts(FILE), [None, None]);
    assert_arrived(&bench);
}

#[test]
fn gives_up_after_three_retries_and_keeps_the_downloaded_bytes() {
    let bench = Bench::new(Server::scripted(always(Act::CutOff)));
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(matches!(error.failure, HubFailure::CutOff { .. }), "{error}");
    assert!(error.to_string().contains("tiny/model on the hub, model.safetensors: only "));
    // The first attempt and three retries, each from the end of the previous one.
    let (size, mut held) = (weights().len(), 0);
    let mut expected = vec![None];
    for _ in 0..3 {
        held += (size - held) / 2;
        expected.push(Some(held));
    }
    assert_eq!(bench.server.starts(FILE), expected);
    held += (size - held) / 2;
    assert_eq!(fs::metadata(bench.partial().unwrap()).unwrap().len(), held as u64);
    // The incomplete file is never used.
    assert_eq!(bench.hub().cached(&file_set()), None);
    assert!(!bench.root().join("snapshots").join(COMMIT).join(FILE).exists());

    let bench = Bench::new(Server::scripted(always(Act::Stall)));
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Stalled(_)), "{error}");
    assert_eq!(bench.hub().cached(&file_set()), None);
}

/// Cancels the download when half of the bytes have arrived.
fn fetch_until_half(bench: &Bench) -> Result<(), HubError> {
    let arrived = Cell::new(0);
    let cancelled = || arrived.get() >= half() as u64;
    let mut report =
        |progress: &ivg_playground::packs::hub::Progress| arrived.set(progress.done_bytes);
    let mut watch = Watch { cancelled: &cancelled, progress: &mut report };
    bench.hub().fetch(&[file_set()], false, &mut watch).map(drop)
}

#[test]
fn cancelling_works_while_the_server_stalls_and_the_next_download_resumes() {
    let mut bench = Bench::new(Server::scripted(once(Act::Stall)));
    bench.settings.stall_timeout = Duration::from_secs(60);
    let start = Instant::now();
    let error = fetch_until_half(&bench).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Cancelled), "{error}");
    assert!(error.to_string().contains("resumes from the bytes that are kept"));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(fs::metadata(bench.partial().unwrap()).unwrap().len(), half() as u64);
    let left = bench.hub().model_info(&file_set(), false, &|| false).unwrap().missing_bytes;
    assert_eq!(left, half() as u64);
    bench.server.forget();
    bench.fetch(&file_set()).unwrap();
    // Downloads only the rest of the weights, and no file that is complete.
    assert_eq!(bench.server.starts(FILE), [Some(half())]);
    assert_eq!(bench.server.log().len(), 2);
    assert_arrived(&bench);
}

#[test]
fn cancelling_works_while_waiting_for_a_retry() {
    let mut bench = Bench::new(Server::scripted(|_, _| Act::Status("500 Oh")));
    bench.settings.first_wait = Duration::from_secs(60);
    bench.settings.longest_wait = Duration::from_secs(60);
    let start = Instant::now();
    let cancelled = || start.elapsed() > Duration::from_millis(200);
    let mut watch = Watch { cancelled: &cancelled, progress: &mut |_| {} };
    let error = bench.hub().fetch(&[file_set()], false, &mut watch).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Cancelled), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// Writes `bytes` as the incomplete file of an earlier download.
fn write_partial(bench: &Bench, bytes: &[u8]) {
    let blobs = bench.root().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", sha256(&weights()))), bytes).unwrap();
}

#[test]
fn resumes_a_download_of_another_tool() {
    let bench = Bench::new(Server::good());
    write_partial(&bench, &weights()[..1234]);
    bench.fetch(&file_set()).unwrap();
    assert_eq!(bench.server.starts(FILE), [Some(1234)]);
    assert_arrived(&bench);
    // All bytes are present, so the file is only renamed.
    let bench = Bench::new(Server::good());
    write_partial(&bench, &weights());
    bench.fetch(&file_set()).unwrap();
    assert_eq!(bench.server.starts(FILE), []);
    assert_arrived(&bench);
}

#[test]
fn a_partial_file_with_wrong_bytes_is_downloaded_again() {
    let bench = Bench::new(Server::good());
    write_partial(&bench, &[0; 1234]);
    bench.fetch(&file_set()).unwrap();
    assert_eq!(bench.server.starts(FILE), [Some(1234), None]);
    assert_arrived(&bench);
    // The partial file is longer than the whole file.
    let bench = Bench::new(Server::good());
    write_partial(&bench, &vec![0; weights().len() + 1]);
    bench.fetch(&file_set()).unwrap();
    assert_eq!(bench.server.starts(FILE), [None]);
    assert_arrived(&bench);
}

#[test]
fn downloads_from_a_server_without_range_requests() {
    let bench = Bench::new(Server::scripted(always(Act::Whole)));
    write_partial(&bench, &weights()[..1234]);
    bench.fetch(&file_set()).unwrap();
    assert_eq!(bench.server.starts(FILE), [Some(1234)]);
    assert_arrived(&bench);
}

#[test]
fn a_login_page_instead_of_the_file_does_not_change_the_partial_file() {
    let bench = Bench::new(Server::scripted(always(Act::Page)));
    write_partial(&bench, &weights()[..1234]);
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(error.to_string().contains("a page instead"), "{error}");
    assert_eq!(fs::metadata(bench.partial().unwrap()).unwrap().len(), 1234);
}
