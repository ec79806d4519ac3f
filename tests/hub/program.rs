//! The program's commands with models on a hub.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::server::{Act, COMMIT, Server};
use super::support;

const ROLES: [&str; 4] = ["base", "untuned", "tuned", "value"];
const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// A folder with the pack `pack`, whose models are on the hub, the pack `files` with the same
/// models as files, and the cache `home`.
struct Case {
    dir: tempfile::TempDir,
    server: Server,
}

impl Case {
    fn new(server: Server) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        support::write_pack(&files);
        for role in ROLES {
            let read = |name: &str| fs::read(files.join(role).join(name)).unwrap();
            let contents: Vec<(&str, Vec<u8>)> = FILES.map(|name| (name, read(name))).into();
            let contents: Vec<(&str, &[u8])> =
                contents.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
            server.add(&format!("tiny/{role}"), &contents);
        }
        let pack = dir.path().join("pack");
        fs::create_dir(&pack).unwrap();
        let toml = support::PACK_TOML.replace("path = \"", "hub = \"tiny/");
        fs::write(pack.join("pack.toml"), toml).unwrap();
        Self { dir, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str], pack: &Path, endpoint: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ivg-playground"));
        // The result must not depend on the settings of this machine.
        for name in ["HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"] {
            command.env_remove(name);
        }
        command.args(args).arg("--pack").arg(pack);
        command.env("HF_HOME", self.path("home")).env("HF_ENDPOINT", endpoint);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args, &self.path("pack"), &self.server.address).output().unwrap()
    }

    /// Runs the program while no server is reachable.
    fn run_without_server(&self, args: &[&str], pack: &str) -> Output {
        self.command(args, &self.path(pack), "http://127.0.0.1:9").output().unwrap()
    }
}

const GENERATE: [&str; 5] = ["generate", "--prompt", "A film", "--json", "-"];

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn error_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn text(output: &Output) -> serde_json::Value {
    let trace: serde_json::Value = serde_json::from_str(&out(output)).unwrap();
    trace["arms"][1]["text"].clone()
}

#[test]
fn models_are_downloaded_once_and_then_used_offline() {
    let case = Case::new(Server::good());
    let first = case.run(&GENERATE);
    let text_of_first = text(&first);
    // One list and three files for each of four roles.
    assert_eq!(case.server.log().len(), 4 * 4);
    assert_eq!(text(&case.run_without_server(&GENERATE, "pack")), text_of_first);
    // The text is the same with the models from a folder.
    assert_eq!(text(&case.run_without_server(&GENERATE, "files")), text_of_first);
}

#[test]
fn a_hub_error_is_one_line() {
    for (status, advice) in
        [("404 Not Found", "name and revision"), ("401 Unauthorized", "accept the model's licence")]
    {
        let case = Case::new(Server::scripted(move |_, _| Act::Status(status)));
        let message = error_of(&case.run(&GENERATE));
        assert!(message.contains("tiny/base") && message.contains(advice), "{message}");
    }
    let case = Case::new(Server::good());
    let message = error_of(&case.run_without_server(&GENERATE, "pack"));
    assert!(message.contains("check the network"), "{message}");
}

/// The cached models can still be used afterwards.
#[test]
fn an_update_without_a_network_fails_and_changes_nothing() {
    let case = Case::new(Server::good());
    out(&case.run(&["models", "download"]));
    case.server.forget();
    let update = ["models", "download", "--update"];
    let message = error_of(&case.run_without_server(&update, "pack"));
    assert!(message.contains("tiny/base") && message.contains("check the network"), "{message}");
    let mut offline = case.command(&update, &case.path("pack"), &case.server.address);
    let message = error_of(&offline.env("HF_HUB_OFFLINE", "1").output().unwrap());
    assert!(message.contains("are disabled (HF_HUB_OFFLINE)"), "{message}");
    assert_eq!(case.server.log(), []);
    text(&case.run_without_server(&GENERATE, "pack"));
    assert!(out(&case.run(&update)).contains("tiny: nothing to download"));
    assert_eq!(case.server.log().len(), ROLES.len());
}

#[test]
fn download_check_and_list_are_consistent() {
    let case = Case::new(Server::good());
    let check = case.run(&["models", "check"]);
    assert_eq!(check.status.code(), Some(2));
    let lines = String::from_utf8(check.stdout).unwrap();
    for role in ROLES {
        let line = format!("fault {role}: hub: tiny/{role} is not downloaded; run `ivg-playground");
        assert!(lines.contains(&line), "{lines}");
    }
    let before = out(&case.run(&["models", "list"]));
    assert!(before.contains("to download") && before.contains("hub: tiny/value"), "{before}");
    assert!(before.contains("to download: ivg-playground models download"), "{before}");

    assert!(out(&case.run(&["models", "download"])).contains("tiny: downloaded and verified"));
    case.server.forget();
    assert!(out(&case.run(&["models", "download"])).contains("tiny: nothing to download"));
    assert_eq!(case.server.log(), []);

    let check = out(&case.run_without_server(&["models", "check"], "pack"));
    assert!(!check.contains("fault "), "{check}");
    for role in ROLES {
        assert!(check.contains(&format!("{role}: hub: tiny/{role}, 3 files match their checksum")));
    }
    let list = out(&case.run_without_server(&["models", "list", "--json", "-"], "pack"));
    let report: serde_json::Value = serde_json::from_str(&list).unwrap();
    let packs = report["packs"].as_array().unwrap();
    assert_eq!((packs.len(), &packs[0]["name"]), (1, &"tiny".into()), "only the named pack");
    let models = packs[0]["models"].as_array().unwrap();
    assert!(models.iter().all(|m| m["presence"] == "here" && m["missing_bytes"] == 0));
    assert!(models.iter().all(|m| m["held_bytes"].as_u64() > Some(100_000)));
}

#[test]
fn damaged_files_in_the_cache_are_found_and_downloaded_again() {
    let case = Case::new(Server::good());
    out(&case.run(&["models", "download"]));
    let weights = format!("home/hub/models--tiny--tuned/snapshots/{COMMIT}/model.safetensors");
    let mut bytes = fs::read(case.path(&weights)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(case.path(&weights), bytes).unwrap();
    let check = case.run_without_server(&["models", "check"], "pack");
    let lines = String::from_utf8(check.stdout.clone()).unwrap();
    assert!(lines.contains("fault tuned:") && lines.contains("match its checksum"), "{lines}");
    assert!(error_of(&check).contains("a fault"));
    // A download also replaces a file with other bytes of the same length, and a shortened file.
    let small = format!("home/hub/models--tiny--base/snapshots/{COMMIT}/config.json");
    let length = fs::metadata(case.path(&small)).unwrap().len() as usize;
    fs::write(case.path(&small), "X".repeat(length)).unwrap();
    let value = format!("home/hub/models--tiny--value/snapshots/{COMMIT}/model.safetensors");
    fs::OpenOptions::new().write(true).open(case.path(&value)).unwrap().set_len(1000).unwrap();
    let list = out(&case.run(&["models", "list"]));
    assert!(list.contains("to download") && list.contains("is damaged; a download"), "{list}");
    case.server.forget();
    assert!(out(&case.run(&["models", "download"])).contains("tiny: downloaded and verified"));
    assert_eq!(case.server.starts("model.safetensors"), [None, None]);
    assert_eq!(case.server.starts("config.json"), [None]);
    out(&case.run_without_server(&["models", "check"], "pack"));
    out(&case.run_without_server(&GENERATE, "pack"));
}

#[test]
fn simultaneous_programs_download_every_file_once() {
    let case = Case::new(Server::good());
    let start = || {
        let mut command =
            case.command(&["models", "download"], &case.path("pack"), &case.server.address);
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    for mut program in [start(), start(), start()] {
        assert!(program.wait().unwrap().success());
    }
    for file in FILES {
        let starts = case.server.starts(file);
        assert_eq!(starts.len(), ROLES.len(), "{file}");
    }
    assert!(out(&case.run_without_server(&["models", "check"], "pack")).contains("files match"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_exits_cleanly_and_can_be_resumed() {
    let case = Case::new(Server::scripted(|request, before| {
        let is_first = request.path.contains("/base/") && request.file() == "model.safetensors";
        if is_first && before == 0 { Act::Stall } else { Act::Serve }
    }));
    let mut command =
        case.command(&["models", "download"], &case.path("pack"), &case.server.address);
    let program = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let program = program.spawn().unwrap();
    let blobs = case.path("home/hub/models--tiny--base/blobs");
    let is_half_here = || {
        let files = fs::read_dir(&blobs).into_iter().flatten().flatten();
        let mut files = files.filter(|f| f.file_name().to_string_lossy().ends_with(".incomplete"));
        // Only the weights are this large.
        files.any(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 10_000))
    };
    for _ in 0..400 {
        if is_half_here() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    let id = program.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let message = error_of(&program.wait_with_output().unwrap());
    assert!(message.contains("tiny/base") && message.contains("kept"), "{message}");
    case.server.forget();
    out(&case.run(&["models", "download"]));
    let size = fs::metadata(case.path("files/base/model.safetensors")).unwrap().len();
    let starts = case.server.starts("model.safetensors");
    assert_eq!(starts[0], Some(usize::try_from(size / 2).unwrap()));
}
