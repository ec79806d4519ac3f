//! Errors and wrong answers of the server: the messages, the retries, and the files that are kept.

use std::time::{Duration, Instant};

use ivg_playground::packs::hub::{HubError, HubFailure, Need, Watch};

use super::bench::{Bench, fetch, file_set, file_set_of, weights};
use super::server::{Act, Request, Server};

const FILE: &str = "model.safetensors";

fn is_list(request: &Request) -> bool {
    request.path.starts_with("/api/")
}

/// Answers the list, or every file, with `act`. Returns the error and the requests.
fn error_of(act: &Act, list: bool) -> (HubError, Vec<Request>) {
    let act = act.clone();
    let bench = Bench::new(Server::scripted(move |request, _| {
        if is_list(request) == list { act.clone() } else { Act::Serve }
    }));
    let error = bench.fetch(&file_set()).unwrap_err();
    assert_eq!(bench.hub().cached(&file_set()), None);
    (error, bench.server.log())
}

#[test]
fn client_errors_are_not_retried_and_say_what_to_do() {
    let cases = [
        ("401 Unauthorized", 401, "accept the model's licence"),
        ("403 Forbidden", 403, "hf auth login"),
        ("404 Not Found", 404, "name and revision"),
        ("418 Teapot", 418, "HF_ENDPOINT"),
    ];
    for (line, status, advice) in cases {
        for list in [true, false] {
            let (error, log) = error_of(&Act::Status(line), list);
            assert!(matches!(error.failure, HubFailure::Status { status: s, .. } if s == status));
            let text = error.to_string();
            assert!(text.contains("tiny/model") && text.contains(advice), "{text}");
            assert_eq!(error.file.is_none(), list);
            // There are no retries.
            assert_eq!(log.len(), if list { 1 } else { 2 });
        }
    }
}

#[test]
fn server_errors_are_retried_three_times() {
    for line in ["500 Oh", "503 Busy"] {
        let bench =
            Bench::new(Server::scripted(
                move |_, before| {
                    if before < 2 { Act::Status(line) } else { Act::Serve }
                },
            ));
        bench.fetch(&file_set()).unwrap();
        assert_eq!(bench.server.starts(FILE).len(), 3);
        let (error, log) = error_of(&Act::Status(line), true);
        assert!(error.to_string().contains("try again later"), "{error}");
        // The first attempt and three retries.
        assert_eq!(log.len(), 4);
    }
}

#[test]
fn waits_as_long_as_a_busy_server_asks() {
    let bench = Bench::new(Server::scripted(|request, before| {
        if is_list(request) && before == 0 { Act::Busy(1) } else { Act::Serve }
    }));
    let start = Instant::now();
    // The progress says why the download waits.
    let mut reports = Vec::new();
    let mut watch = Watch { cancelled: &|| false, progress: &mut |p| reports.push(p.to_string()) };
    bench.hub().fetch(&[file_set()], false, &mut watch).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    let why = "asking the hub · trying again in 1 s: too many requests (429)";
    assert!(reports.iter().any(|report| report == why), "{reports:?}");
    assert!(!reports.last().unwrap().contains("trying again"), "{reports:?}");
    // A very long wait is reported instead.
    let (error, log) = error_of(&Act::Busy(3600), true);
    assert!(error.to_string().contains("try again in 60 min"), "{error}");
    assert_eq!(log.len(), 1);
}

#[test]
fn a_file_of_the_wrong_length_is_rejected_without_a_retry() {
    let (error, log) = error_of(&Act::Short, false);
    assert!(matches!(error.failure, HubFailure::Size { listed: 2, sent: 1 }), "{error}");
    assert!(error.to_string().contains("lists 2 bytes"), "{error}");
    assert_eq!(log.len(), 2);
}

#[test]
fn a_file_with_the_wrong_checksum_is_rejected_and_deleted() {
    let bench = Bench::new(Server::scripted(|request, before| {
        if request.file() == FILE && before == 0 { Act::OtherBytes } else { Act::Serve }
    }));
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Checksum), "{error}");
    assert_eq!(error.file.as_deref(), Some(FILE));
    assert_eq!((bench.partial(), bench.hub().cached(&file_set())), (None, None));
    bench.fetch(&file_set()).unwrap();
    assert_eq!(bench.server.starts(FILE), [None, None]);
}

#[test]
fn the_token_is_sent_only_to_the_hub() {
    let elsewhere = Server::good();
    elsewhere.add("tiny/model", &[(FILE, &weights())]);
    let address = elsewhere.address.clone();
    let bench = Bench::new(Server::scripted(move |request, _| {
        if request.file() == FILE { Act::Redirect(address.clone()) } else { Act::Serve }
    }));
    let folder = bench.fetch(&file_set()).unwrap();
    assert_eq!(std::fs::read(folder.join(FILE)).unwrap(), weights());
    let token = Some("Bearer hf_secret".to_owned());
    assert!(bench.server.log().iter().all(|request| request.token == token));
    let requests = elsewhere.log();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].token, None);
}

/// The hub redirects requests for a renamed model to another of its own pages.
#[test]
fn redirects_within_the_hub_keep_the_token_and_are_limited() {
    let bench = Bench::new(Server::scripted(|request, _| {
        if is_list(request) { Act::Redirect(String::new()) } else { Act::Serve }
    }));
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error}");
    assert!(bench.server.log().iter().all(|request| request.token.is_some()));
    assert!(bench.server.log().len() < 12);
}

#[test]
fn an_unreachable_hub_is_reported_without_waiting() {
    let mut bench = Bench::new(Server::good());
    bench.settings.endpoint = "http://127.0.0.1:9".to_owned();
    bench.settings.first_wait = Duration::from_secs(60);
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Unreachable(_)), "{error}");
    assert!(error.to_string().contains("check the network"));
    bench.settings.endpoint = "no address".to_owned();
    assert!(bench.fetch(&file_set()).unwrap_err().to_string().contains("HF_ENDPOINT"));
    bench.settings.cache = None;
    assert!(bench.fetch(&file_set()).unwrap_err().to_string().contains("set HF_HOME"));
}

#[test]
fn rejects_an_answer_that_is_not_a_list() {
    let bench = Bench::new(Server::scripted(
        |request, _| {
            if is_list(request) { Act::Page } else { Act::Serve }
        },
    ));
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Answer(_)), "{error}");
    // A commit must be a hash, because it becomes the name of a folder.
    let bench = Bench::new(Server::good());
    bench.server.move_to("../../../elsewhere");
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(error.to_string().contains("names no commit"), "{error}");
}

#[test]
fn a_missing_file_is_named_before_anything_is_downloaded() {
    let split = || Need::Gguf("x-00001-of-00002.gguf".to_owned());
    let cases: [(&[&str], Need, &[&str]); 7] = [
        (&["config.json", "tokenizer.model"], Need::Model, &["tokenizer.json", "SentencePiece"]),
        (&["config.json", "tokenizer.json", "tf_model.h5"], Need::Model, &[FILE, "not supported"]),
        (&["config.json", "tokenizer.json"], Need::Model, &[FILE, "revision"]),
        (&["x-00001-of-00002.gguf"], split(), &["no x-00002-of-00002.gguf"]),
        (&["config.json", "vocab.json"], Need::Model, &["no tokenizer.json"]),
        (&["x-q8.gguf"], Need::Model, &["no config.json", "file: x-q8.gguf"]),
        (&["adapter_config.json"], Need::Adapter, &["no adapter_model.safetensors"]),
    ];
    for (names, need, words) in cases {
        let bench = Bench::new(Server::good());
        let files: Vec<(&str, &[u8])> = names.iter().map(|n| (*n, b"".as_slice())).collect();
        bench.server.add("tiny/model", &files);
        let error = bench.fetch(&file_set_of(need)).unwrap_err();
        assert!(matches!(error.failure, HubFailure::MissingFile(_)), "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "'{word}' is not in: {error}");
        }
        assert_eq!(bench.server.log().len(), 1);
    }
}

#[test]
fn a_missing_last_model_is_reported_before_the_first_is_downloaded() {
    let bench = Bench::new(Server::good());
    let mut other = file_set();
    other.model.id = "tiny/nothing".to_owned();
    let mut watch =
        ivg_playground::packs::hub::Watch { cancelled: &|| false, progress: &mut |_| {} };
    let error = bench.hub().fetch(&[file_set(), other], false, &mut watch).unwrap_err();
    assert_eq!(error.id, "tiny/nothing");
    assert_eq!(bench.server.log().len(), 2);
    assert!(!bench.root().exists());
}

#[cfg(unix)]
#[test]
fn the_error_for_an_unwritable_cache_suggests_another_folder() {
    let mut bench = Bench::new(Server::good());
    let file = bench.dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    bench.settings.cache = Some(file.join("hub"));
    let error = fetch(&bench.hub(), &file_set(), false).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Disk { .. }), "{error}");
    assert!(error.to_string().contains("set HF_HOME to another folder"), "{error}");
}
