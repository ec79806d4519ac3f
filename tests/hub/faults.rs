//! Refusals and lies: what is said, what is tried again, and what is kept.

use std::time::{Duration, Instant};

use ivg_playground::packs::hub::{Fault, HubError, Need, Watch};

use super::bench::{Bench, fetch, order, order_of, weights};
use super::server::{Act, Request, Server};

const FILE: &str = "model.safetensors";

fn is_list(request: &Request) -> bool {
    request.path.starts_with("/api/")
}

/// Answers the list, or every file, with `act`, and says what came of it.
fn refused(act: &Act, list: bool) -> (HubError, Vec<Request>) {
    let act = act.clone();
    let bench = Bench::new(Server::scripted(move |request, _| {
        if is_list(request) == list { act.clone() } else { Act::Serve }
    }));
    let error = bench.fetch(&order()).unwrap_err();
    assert_eq!(bench.hub().cached(&order()), None);
    (error, bench.server.log())
}

#[test]
fn a_refusal_is_told_at_once_with_what_to_do() {
    let cases = [
        ("401 Unauthorized", 401, "accept the model's licence"),
        ("403 Forbidden", 403, "hf auth login"),
        ("404 Not Found", 404, "name and revision"),
        ("418 Teapot", 418, "HF_ENDPOINT"),
    ];
    for (line, status, advice) in cases {
        for list in [true, false] {
            let (error, log) = refused(&Act::Status(line), list);
            assert!(matches!(error.fault, Fault::Status { status: s, .. } if s == status));
            let text = error.to_string();
            assert!(text.contains("tiny/model") && text.contains(advice), "{text}");
            assert_eq!(error.file.is_none(), list);
            // Nobody is asked twice.
            assert_eq!(log.len(), if list { 1 } else { 2 });
        }
    }
}

#[test]
fn trouble_of_the_server_passes_or_is_told() {
    for line in ["500 Oh", "503 Busy"] {
        let bench =
            Bench::new(Server::scripted(
                move |_, before| {
                    if before < 2 { Act::Status(line) } else { Act::Serve }
                },
            ));
        bench.fetch(&order()).unwrap();
        assert_eq!(bench.server.starts(FILE).len(), 3);
        let (error, log) = refused(&Act::Status(line), true);
        assert!(error.to_string().contains("try again later"), "{error}");
        // Once and three times more.
        assert_eq!(log.len(), 4);
    }
}

#[test]
fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let bench = Bench::new(Server::scripted(|request, before| {
        if is_list(request) && before == 0 { Act::Busy(1) } else { Act::Serve }
    }));
    let start = Instant::now();
    // Who watches learns why nothing happens.
    let mut seen = Vec::new();
    let mut watch = Watch { cancelled: &|| false, progress: &mut |p| seen.push(p.to_string()) };
    bench.hub().fetch(&[order()], false, &mut watch).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    let why = "asking the hub · trying again in 1 s: too many requests (429)";
    assert!(seen.iter().any(|words| words == why), "{seen:?}");
    assert!(!seen.last().unwrap().contains("trying again"), "{seen:?}");
    // Longer than anybody would wait.
    let (error, log) = refused(&Act::Busy(3600), true);
    assert!(error.to_string().contains("try again in 60 min"), "{error}");
    assert_eq!(log.len(), 1);
}

#[test]
fn a_wrong_length_is_refused_and_not_tried_again() {
    let (error, log) = refused(&Act::Short, false);
    assert!(matches!(error.fault, Fault::Size { listed: 2, sent: 1 }), "{error}");
    assert!(error.to_string().contains("lists 2 bytes"), "{error}");
    assert_eq!(log.len(), 2);
}

#[test]
fn other_bytes_are_refused_and_thrown_away() {
    let bench = Bench::new(Server::scripted(|request, before| {
        if request.file() == FILE && before == 0 { Act::OtherBytes } else { Act::Serve }
    }));
    let error = bench.fetch(&order()).unwrap_err();
    assert!(matches!(error.fault, Fault::Checksum), "{error}");
    assert_eq!(error.file.as_deref(), Some(FILE));
    assert_eq!((bench.partial(), bench.hub().cached(&order())), (None, None));
    bench.fetch(&order()).unwrap();
    assert_eq!(bench.server.starts(FILE), [None, None]);
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let elsewhere = Server::good();
    elsewhere.add("tiny/model", &[(FILE, &weights())]);
    let to = elsewhere.address.clone();
    let bench = Bench::new(Server::scripted(move |request, _| {
        if request.file() == FILE { Act::Redirect(to.clone()) } else { Act::Serve }
    }));
    let folder = bench.fetch(&order()).unwrap();
    assert_eq!(std::fs::read(folder.join(FILE)).unwrap(), weights());
    let token = Some("Bearer hf_secret".to_owned());
    assert!(bench.server.log().iter().all(|request| request.token == token));
    let there = elsewhere.log();
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].token, None);
}

/// A model that was renamed: the hub sends us to another of its own pages.
#[test]
fn a_redirect_within_the_hub_is_followed_with_the_token_and_not_for_ever() {
    let bench = Bench::new(Server::scripted(|request, _| {
        if is_list(request) { Act::Redirect(String::new()) } else { Act::Serve }
    }));
    let error = bench.fetch(&order()).unwrap_err();
    assert!(error.to_string().contains("in a circle"), "{error}");
    assert!(bench.server.log().iter().all(|request| request.token.is_some()));
    assert!(bench.server.log().len() < 12);
}

#[test]
fn nobody_there_is_told_at_once() {
    let mut bench = Bench::new(Server::good());
    bench.settings.endpoint = "http://127.0.0.1:9".to_owned();
    bench.settings.first_wait = Duration::from_secs(60);
    let error = bench.fetch(&order()).unwrap_err();
    assert!(matches!(error.fault, Fault::Unreachable(_)), "{error}");
    assert!(error.to_string().contains("check the network"));
    bench.settings.endpoint = "no address".to_owned();
    assert!(bench.fetch(&order()).unwrap_err().to_string().contains("HF_ENDPOINT"));
    bench.settings.cache = None;
    assert!(bench.fetch(&order()).unwrap_err().to_string().contains("set HF_HOME"));
}

#[test]
fn an_answer_that_is_no_list_is_not_believed() {
    let bench = Bench::new(Server::scripted(
        |request, _| {
            if is_list(request) { Act::Page } else { Act::Serve }
        },
    ));
    let error = bench.fetch(&order()).unwrap_err();
    assert!(matches!(error.fault, Fault::Answer(_)), "{error}");
    // The commit becomes a folder's name.
    let bench = Bench::new(Server::good());
    bench.server.move_to("../../../elsewhere");
    let error = bench.fetch(&order()).unwrap_err();
    assert!(error.to_string().contains("names no commit"), "{error}");
}

#[test]
fn a_missing_file_is_named_before_anything_is_downloaded() {
    let split = || Need::Gguf("x-00001-of-00002.gguf".to_owned());
    let cases: [(&[&str], Need, &[&str]); 7] = [
        (&["config.json", "tokenizer.model"], Need::Model, &["tokenizer.json", "SentencePiece"]),
        (&["config.json", "tokenizer.json", "tf_model.h5"], Need::Model, &[FILE, "not read"]),
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
        let error = bench.fetch(&order_of(need)).unwrap_err();
        assert!(matches!(error.fault, Fault::Lacks(_)), "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "'{word}' is not in: {error}");
        }
        assert_eq!(bench.server.log().len(), 1);
    }
}

#[test]
fn what_is_missing_in_the_last_model_is_said_before_the_first_is_downloaded() {
    let bench = Bench::new(Server::good());
    let mut other = order();
    other.model.id = "tiny/nothing".to_owned();
    let mut watch =
        ivg_playground::packs::hub::Watch { cancelled: &|| false, progress: &mut |_| {} };
    let error = bench.hub().fetch(&[order(), other], false, &mut watch).unwrap_err();
    assert_eq!(error.id, "tiny/nothing");
    assert_eq!(bench.server.log().len(), 2);
    assert!(!bench.root().exists());
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let mut bench = Bench::new(Server::good());
    let file = bench.dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    bench.settings.cache = Some(file.join("hub"));
    let error = fetch(&bench.hub(), &order(), false).unwrap_err();
    assert!(matches!(error.fault, Fault::Disk { .. }), "{error}");
    assert!(error.to_string().contains("set HF_HOME to another folder"), "{error}");
}
