//! The layout of the cache, and when it makes requests unnecessary.

use std::fs;
use std::thread;
use std::time::Duration;

use ivg_playground::packs::Local;
use ivg_playground::packs::hub::{Hub, HubError, HubFailure, Need, Progress, Watch};

use super::bench::{Bench, fetch, file_set, file_set_of, model_files, settings, weights};
use super::server::{Act, COMMIT, Server, git_name, sha256};

#[test]
fn files_are_stored_in_the_layout_of_other_tools() {
    let bench = Bench::new(Server::good());
    let folder = bench.fetch(&file_set()).unwrap();
    assert_eq!(folder, bench.root().join("snapshots").join(COMMIT));
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    assert_eq!(fs::read(folder.join("config.json")).unwrap(), b"{}");
    assert!(!folder.join("README.md").exists());
    assert_eq!(fs::read_to_string(bench.root().join("refs/main")).unwrap(), COMMIT);
    let mut blobs = [git_name(b"{}"), git_name(b"{\"a\":1}"), sha256(&weights())];
    blobs.sort();
    assert_eq!(bench.names("blobs"), blobs);
    let link = fs::read_link(folder.join("model.safetensors")).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("../../blobs/{}", sha256(&weights())));
    // Files that the commit does not have are noted as Python's huggingface_hub does.
    let absent = bench.names(&format!(".no_exist/{COMMIT}"));
    assert_eq!(absent.len(), 5);
    assert!(absent.contains(&"tokenizer_config.json".to_owned()));
}

#[test]
fn cached_models_need_no_request() {
    let bench = Bench::new(Server::good());
    let first = bench.fetch(&file_set()).unwrap();
    // One request for the list and one for each of three files.
    assert_eq!(bench.server.log().len(), 4);
    bench.server.forget();
    assert_eq!(bench.fetch(&file_set()).unwrap(), first);
    assert_eq!(bench.server.log(), []);
    // There is no server at this address.
    let cache = bench.settings.cache.clone().unwrap();
    let elsewhere = Hub::new(settings("http://127.0.0.1:9", &cache));
    assert_eq!(fetch(&elsewhere, &file_set(), false).unwrap(), Local::Folder(first));
}

#[test]
fn offline_mode_makes_no_request() {
    let mut bench = Bench::new(Server::good());
    bench.settings.is_offline = true;
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Offline), "{error}");
    assert!(error.to_string().contains("tiny/model") && error.to_string().contains("unset it"));
    assert!(bench.hub().model_info(&file_set(), false, &|| false).is_err());
    bench.settings.is_offline = false;
    bench.fetch(&file_set()).unwrap();
    bench.server.forget();
    bench.settings.is_offline = true;
    bench.fetch(&file_set()).unwrap();
    assert_eq!(bench.server.log(), []);
}

/// Another tool may have downloaded only the required files.
#[test]
fn missing_optional_files_are_looked_up_once_but_not_required() {
    let bench = Bench::new(Server::good());
    let folder = bench.fetch(&file_set()).unwrap();
    fs::remove_dir_all(bench.root().join(".no_exist")).unwrap();
    let unreachable =
        Hub::new(settings("http://127.0.0.1:9", bench.settings.cache.as_ref().unwrap()));
    assert_eq!(fetch(&unreachable, &file_set(), false).unwrap().path(), folder);
    let weights = weights();
    let mut files = model_files(&weights).to_vec();
    files.push(("chat_template.jinja", b"{{ x }}"));
    bench.server.add("tiny/model", &files).forget();
    bench.fetch(&file_set()).unwrap();
    assert_eq!(fs::read(folder.join("chat_template.jinja")).unwrap(), b"{{ x }}");
    let requests: Vec<String> = bench.server.log().iter().map(|r| r.file().to_owned()).collect();
    assert_eq!(requests, ["main?blobs=true", "chat_template.jinja"]);
    // A damaged optional file is also replaced.
    fs::write(folder.join("chat_template.jinja"), b"{{ y }}").unwrap();
    repair(&bench).unwrap();
    assert_eq!(fs::read(folder.join("chat_template.jinja")).unwrap(), b"{{ x }}");
}

#[test]
fn a_pinned_commit_is_requested_by_its_hash() {
    let bench = Bench::new(Server::good());
    let mut pinned = file_set();
    pinned.model.revision = COMMIT.to_owned();
    bench.fetch(&pinned).unwrap();
    assert!(bench.server.log()[0].path.ends_with(&format!("/revision/{COMMIT}?blobs=true")));
    assert_eq!(bench.names("refs"), Vec::<String>::new());
    bench.server.forget();
    bench.fetch(&pinned).unwrap();
    assert_eq!(bench.server.log(), []);
    // A list of another commit is rejected.
    let mut other = file_set();
    other.model.revision = "f".repeat(40);
    let error = bench.fetch(&other).unwrap_err();
    assert!(error.to_string().contains("another commit"), "{error}");
}

#[test]
fn a_branch_name_may_contain_slashes() {
    let bench = Bench::new(Server::good());
    let mut branch = file_set();
    branch.model.revision = "refs/pr/5".to_owned();
    bench.fetch(&branch).unwrap();
    assert!(bench.server.log()[0].path.contains("/revision/refs%2Fpr%2F5?"));
    assert_eq!(fs::read_to_string(bench.root().join("refs/refs/pr/5")).unwrap(), COMMIT);
}

#[test]
fn a_branch_is_updated_only_on_request() {
    let bench = Bench::new(Server::good());
    let old = bench.fetch(&file_set()).unwrap();
    let commit = "f".repeat(40);
    bench.server.move_to(&commit);
    assert_eq!(bench.fetch(&file_set()).unwrap(), old);
    bench.server.forget();
    let new = fetch(&bench.hub(), &file_set(), true).unwrap();
    assert!(new.path().ends_with(&commit));
    assert!(new.path().join("model.safetensors").is_file());
    assert_eq!(fs::read_to_string(bench.root().join("refs/main")).unwrap(), commit);
    // The contents are unchanged and cached, so only the list is requested.
    assert_eq!(bench.server.log().len(), 1);
}

#[test]
fn a_deleted_file_is_downloaded_again() {
    let bench = Bench::new(Server::good());
    let folder = bench.fetch(&file_set()).unwrap();
    let blob = bench.root().join("blobs").join(sha256(&weights()));
    fs::remove_file(&blob).unwrap();
    assert_eq!(bench.hub().cached(&file_set()), None);
    bench.fetch(&file_set()).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn simultaneous_downloads_fetch_every_file_once() {
    // The delay makes the downloads overlap.
    let bench = Bench::new(Server::scripted(|_, _| {
        thread::sleep(Duration::from_millis(50));
        Act::Serve
    }));
    thread::scope(|scope| {
        let fetches: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.fetch(&file_set()))).collect();
        for fetch in fetches {
            let folder = fetch.join().unwrap().unwrap();
            assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
        }
    });
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        assert_eq!(bench.server.starts(file), [None], "{file}");
    }
    assert_eq!(bench.partial(), None);
}

#[test]
fn shards_are_found_by_their_index() {
    let bench = Bench::new(Server::good());
    let index = br#"{"metadata":{},"weight_map":{"a":"model-1.safetensors",
        "b":"model-2.safetensors","c":"model-1.safetensors"}}"#;
    let mut files: Vec<(&str, &[u8])> = vec![
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", b"one"),
        ("model-2.safetensors", b"two"),
        ("model-3.safetensors", b"of another index"),
    ];
    bench.server.add("tiny/model", &files);
    let folder = bench.fetch(&file_set()).unwrap();
    assert_eq!(fs::read(folder.join("model-2.safetensors")).unwrap(), b"two");
    assert!(!folder.join("model-3.safetensors").exists());
    fs::remove_file(folder.join("model-2.safetensors")).unwrap();
    assert_eq!(bench.hub().cached(&file_set()), None);
    // A missing shard is reported when only the list and the index have been downloaded.
    files.remove(4);
    let bench = Bench::new(Server::good());
    bench.server.add("tiny/model", &files);
    let error = bench.fetch(&file_set()).unwrap_err();
    assert!(error.to_string().contains("no model-2.safetensors"), "{error}");
    assert_eq!(bench.server.log().len(), 2);
}

/// Covers the shards of PyTorch and the parts of a split GGUF file.
#[test]
fn all_files_of_a_model_are_downloaded() {
    let index = br#"{"weight_map":{"a":"pytorch_model-1.bin","b":"pytorch_model-2.bin"}}"#;
    let bench = Bench::new(Server::good());
    let files: [(&str, &[u8]); 9] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("pytorch_model.bin.index.json", index),
        ("pytorch_model-1.bin", b"one"),
        ("pytorch_model-2.bin", b"two"),
        ("q8/x-00001-of-00002.gguf", b"GGUF1"),
        ("q8/x-00002-of-00002.gguf", b"GGUF2"),
        ("adapter_config.json", b"{}"),
        ("adapter_model.bin", b"a"),
    ];
    bench.server.add("tiny/model", &files);
    let folder = bench.fetch(&file_set()).unwrap();
    assert_eq!(fs::read(folder.join("pytorch_model-2.bin")).unwrap(), b"two");
    let part = |number: u32| format!("q8/x-0000{number}-of-00002.gguf");
    let file_set = file_set_of(Need::Gguf(part(1)));
    let first = bench.fetch(&file_set).unwrap();
    let second = first.with_file_name("x-00002-of-00002.gguf");
    assert_eq!(fs::read(&second).unwrap(), b"GGUF2");
    let local = bench.hub().cached(&file_set).unwrap();
    assert_eq!(local.files().unwrap(), [first, second.clone()]);
    fs::remove_file(second).unwrap();
    assert_eq!(bench.hub().cached(&file_set), None);
    let adapter = bench.fetch(&file_set_of(Need::Adapter)).unwrap();
    assert!(adapter.join("adapter_model.bin").is_file());
}

#[test]
fn an_index_may_name_only_weight_files_in_its_folder() {
    for name in ["../config.json", "/etc/passwd", "a\\\\b.safetensors", "config.json"] {
        let bench = Bench::new(Server::good());
        let index = format!("{{\"weight_map\":{{\"a\":\"{name}\"}}}}");
        bench.server.add(
            "tiny/model",
            &[
                ("config.json", b"{}"),
                ("tokenizer.json", b"{}"),
                ("model.safetensors.index.json", index.as_bytes()),
            ],
        );
        let error = bench.fetch(&file_set()).unwrap_err().to_string();
        assert!(error.contains("not a file of weights beside it"), "{error}");
    }
}

#[test]
fn a_gguf_file_and_an_adapter_need_only_their_own_files() {
    let bench = Bench::new(Server::good());
    let files: [(&str, &[u8]); 4] = [
        ("q8/x.gguf", b"GGUF..."),
        ("y.gguf", b"GGUF"),
        ("adapter_config.json", b"{}"),
        ("adapter_model.safetensors", b"a"),
    ];
    bench.server.add("tiny/model", &files);
    let gguf = bench.fetch(&file_set_of(Need::Gguf("q8/x.gguf".into()))).unwrap();
    assert!(gguf.ends_with(format!("{COMMIT}/q8/x.gguf")));
    assert_eq!(fs::read(gguf).unwrap(), b"GGUF...");
    let adapter = bench.fetch(&file_set_of(Need::Adapter)).unwrap();
    assert!(adapter.join("adapter_model.safetensors").is_file());
    let error = bench.fetch(&file_set_of(Need::Gguf("z.gguf".into()))).unwrap_err().to_string();
    assert!(error.contains("no z.gguf") && error.contains("q8/x.gguf, y.gguf"), "{error}");
}

#[test]
fn a_list_without_sizes_and_checksums_is_enough() {
    let bench = Bench::new(Server::start(true, |_, _| Act::Serve));
    let folder = bench.fetch(&file_set()).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    // The blob is named by its ETag, as other tools do.
    assert!(bench.names("blobs").contains(&"odd-etag".to_owned()));
    let requests = bench.server.log();
    assert_eq!(requests.iter().filter(|request| request.method == "HEAD").count(), 3);
}

#[test]
fn progress_counts_the_missing_bytes_of_all_orders() {
    let bench = Bench::new(Server::good());
    bench.server.add("tiny/other", &model_files(&weights()));
    let mut other = file_set();
    other.model.id = "tiny/other".to_owned();
    other.role = "value";
    let mut reports = Vec::new();
    let mut watch = Watch { cancelled: &|| false, progress: &mut |p| reports.push(p.clone()) };
    // One model is ordered twice, because two roles may share a model.
    let file_sets = [file_set(), other, file_set()];
    let found = bench.hub().fetch(&file_sets, false, &mut watch).unwrap();
    assert_eq!(found[0], found[2]);
    assert_ne!(found[0], found[1]);
    let last = reports.last().unwrap();
    let total = 2 * (weights().len() + b"{}".len() + b"{\"a\":1}".len()) as u64;
    assert_eq!((last.done_bytes, last.total_bytes, last.role), (total, total, "value"));
    assert!(reports.is_sorted_by_key(|p| p.done_bytes));
}

#[test]
fn a_model_can_be_looked_up_without_downloading_it() {
    let bench = Bench::new(Server::good());
    let info = bench.hub().model_info(&file_set(), false, &|| false).unwrap();
    assert_eq!(info.total_bytes, weights().len() as u64 + 9);
    assert_eq!(info.missing_bytes, info.total_bytes);
    assert_eq!((info.parameters, info.is_gated), (Some(1000), false));
    assert_eq!(info.licence.as_deref(), Some("mit"));
    assert_eq!(bench.server.log().len(), 1);
    assert!(!bench.root().exists());
}

fn repair(bench: &Bench) -> Result<(), HubError> {
    let mut watch = Watch { cancelled: &|| false, progress: &mut |_: &Progress| {} };
    bench.hub().repair(&[file_set(), file_set()], &mut watch)
}

/// A damaged file is kept until its replacement has been downloaded.
#[test]
fn damaged_files_in_the_cache_are_replaced() {
    let mut bench = Bench::new(Server::good());
    let folder = bench.fetch(&file_set()).unwrap();
    bench.server.forget();
    repair(&bench).unwrap();
    assert_eq!(bench.server.log(), [], "no file is damaged");
    let weights_file = folder.join("model.safetensors");
    let damaged = vec![0; weights().len()];
    fs::write(&weights_file, &damaged).unwrap();
    fs::write(folder.join("config.json"), "[]").unwrap();
    let address = std::mem::replace(&mut bench.settings.endpoint, "http://127.0.0.1:9".into());
    let error = repair(&bench).unwrap_err();
    assert!(matches!(error.failure, HubFailure::Unreachable(_)), "{error}");
    assert_eq!(fs::read(&weights_file).unwrap(), damaged);
    bench.settings.is_offline = true;
    let error = repair(&bench).unwrap_err();
    assert!(matches!(error.failure, HubFailure::DamagedOffline), "{error}");
    (bench.settings.is_offline, bench.settings.endpoint) = (false, address);
    bench.server.forget();
    thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| repair(&bench))).collect();
        both.into_iter().for_each(|one| one.join().unwrap().unwrap());
    });
    assert_eq!(fs::read(&weights_file).unwrap(), weights());
    assert_eq!(fs::read(folder.join("config.json")).unwrap(), b"{}");
    assert_eq!(bench.server.starts("model.safetensors"), [None], "one download for both");
    assert_eq!(bench.partial(), None);
}

/// The cache is shared with other tools.
#[cfg(unix)]
#[test]
fn repairing_does_not_touch_files_of_other_tools() {
    let bench = Bench::new(Server::good());
    let folder = bench.fetch(&file_set()).unwrap();
    bench.server.forget();
    let link = |name: &str, to: &std::path::Path| {
        drop(fs::remove_file(folder.join(name)));
        std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
    };
    let unneeded = bench.root().join("blobs").join("a".repeat(64));
    let elsewhere = bench.dir.path().join("b".repeat(40));
    for file in [&unneeded, &elsewhere] {
        fs::write(file, "{}").unwrap();
    }
    link("model.onnx", &unneeded);
    link("config.json", &elsewhere);
    repair(&bench).unwrap();
    assert_eq!(bench.server.log(), []);
    assert!(unneeded.is_file() && elsewhere.is_file());
}
