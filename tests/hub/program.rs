//! The program as a person runs it, with models on a hub.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::server::{Act, COMMIT, Server};
use super::support;

const ROLES: [&str; 4] = ["base", "untuned", "tuned", "value"];
const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// A pack in `pack` whose models are all on the hub, the same pack with its files in `files`, and
/// a cache in `home`.
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
        // Whatever the machine has stored: nothing of it is for these.
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

    /// The same where nobody answers.
    fn run_alone(&self, args: &[&str], pack: &str) -> Output {
        self.command(args, &self.path(pack), "http://127.0.0.1:9").output().unwrap()
    }
}

const GENERATE: [&str; 5] = ["generate", "--prompt", "A film", "--json", "-"];

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
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
    // Four roles: the list and three files of each.
    assert_eq!(case.server.log().len(), 4 * 4);
    assert_eq!(text(&case.run_alone(&GENERATE, "pack")), text_of_first);
    // The same models as from a folder.
    assert_eq!(text(&case.run_alone(&GENERATE, "files")), text_of_first);
}

#[test]
fn what_the_hub_refuses_is_one_line() {
    for (status, advice) in
        [("404 Not Found", "name and revision"), ("401 Unauthorized", "accept the model's licence")]
    {
        let case = Case::new(Server::scripted(move |_, _| Act::Status(status)));
        let message = refusal(&case.run(&GENERATE));
        assert!(message.contains("tiny/base") && message.contains(advice), "{message}");
    }
    let case = Case::new(Server::good());
    let message = refusal(&case.run_alone(&GENERATE, "pack"));
    assert!(message.contains("check the network"), "{message}");
}

/// What is cached is used alone only where nobody has asked for something newer.
#[test]
fn an_update_without_a_network_is_refused_and_costs_nothing() {
    let case = Case::new(Server::good());
    out(&case.run(&["models", "download"]));
    case.server.forget();
    let update = ["models", "download", "--update"];
    let message = refusal(&case.run_alone(&update, "pack"));
    assert!(message.contains("tiny/base") && message.contains("check the network"), "{message}");
    let mut offline = case.command(&update, &case.path("pack"), &case.server.address);
    let message = refusal(&offline.env("HF_HUB_OFFLINE", "1").output().unwrap());
    assert!(message.contains("may not be asked (HF_HUB_OFFLINE)"), "{message}");
    assert_eq!(case.server.log(), []);
    text(&case.run_alone(&GENERATE, "pack"));
    assert!(out(&case.run(&update)).contains("tiny: everything is here"));
    assert_eq!(case.server.log().len(), ROLES.len());
}

#[test]
fn download_check_and_list_agree() {
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
    assert!(out(&case.run(&["models", "download"])).contains("tiny: everything is here"));
    assert_eq!(case.server.log(), []);

    let check = out(&case.run_alone(&["models", "check"], "pack"));
    assert!(!check.contains("fault "), "{check}");
    for role in ROLES {
        assert!(check.contains(&format!("{role}: hub: tiny/{role}, 3 files match their checksum")));
    }
    let list = out(&case.run_alone(&["models", "list", "--json", "-"], "pack"));
    let report: serde_json::Value = serde_json::from_str(&list).unwrap();
    let packs = report["packs"].as_array().unwrap();
    assert_eq!((packs.len(), &packs[0]["name"]), (1, &"tiny".into()), "the one that is named");
    let models = packs[0]["models"].as_array().unwrap();
    assert!(models.iter().all(|m| m["presence"] == "here" && m["missing_bytes"] == 0));
    assert!(models.iter().all(|m| m["held_bytes"].as_u64() > Some(100_000)));
}

#[test]
fn a_file_that_rots_in_the_cache_is_found() {
    let case = Case::new(Server::good());
    out(&case.run(&["models", "download"]));
    let weights = format!("home/hub/models--tiny--tuned/snapshots/{COMMIT}/model.safetensors");
    let mut bytes = fs::read(case.path(&weights)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(case.path(&weights), bytes).unwrap();
    let check = case.run_alone(&["models", "check"], "pack");
    let lines = String::from_utf8(check.stdout.clone()).unwrap();
    assert!(lines.contains("fault tuned:") && lines.contains("match its checksum"), "{lines}");
    assert!(refusal(&check).contains("a fault"));
    // A download mends it, and what was cut short or changed at its length.
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
    out(&case.run_alone(&["models", "check"], "pack"));
    out(&case.run_alone(&GENERATE, "pack"));
}

/// Two programs that start together fetch every file once, and neither sees half of one.
#[test]
fn two_programs_at_once_share_the_work() {
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
    assert!(out(&case.run_alone(&["models", "check"], "pack")).contains("files match"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_ends_in_order_and_goes_on() {
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
        // The weights, and no small file on its way.
        files.any(|file| file.metadata().is_ok_and(|there| there.len() > 10_000))
    };
    for _ in 0..400 {
        if is_half_here() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    let id = program.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let message = refusal(&program.wait_with_output().unwrap());
    assert!(message.contains("tiny/base") && message.contains("kept"), "{message}");
    case.server.forget();
    out(&case.run(&["models", "download"]));
    let size = fs::metadata(case.path("files/base/model.safetensors")).unwrap().len();
    let starts = case.server.starts("model.safetensors");
    assert_eq!(starts[0], Some(usize::try_from(size / 2).unwrap()));
}
