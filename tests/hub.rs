//! Models by name from a hub: a server of our own on the loopback, the real program as client.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a hub misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Announces the whole file, sends half and hangs up.
    CutOff,
    Status(&'static str),
}

/// Serves `root/<role>/<file>` as models `tiny/<role>`.
struct Hub {
    address: String,
    requests: Arc<AtomicUsize>,
}

impl Hub {
    fn start(root: PathBuf, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::Relaxed);
                // A client that hangs up early is its own affair.
                let _ = serve(stream, &root, fault);
            }
        });
        Self { address, requests }
    }
}

fn serve(mut stream: TcpStream, root: &Path, fault: Fault) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut start = 0;
    let mut end = usize::MAX;
    for line in lines.map_while(Result::ok).take_while(|l| !l.is_empty()) {
        let lower = line.to_ascii_lowercase();
        if let Some(range) = lower.strip_prefix("range: bytes=") {
            let (from, to) = range.split_once('-').unwrap();
            start = from.parse().unwrap();
            end = to.parse().unwrap_or(usize::MAX);
        }
    }
    if let Fault::Status(status) = fault {
        return write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
    // GET /tiny/<role>/resolve/<revision>/<file> HTTP/1.1
    let path = request.split(' ').nth(1).unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let [_, role, _, "main", file] = parts[..] else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    };
    let body = fs::read(root.join(role).join(file))?;
    let stop = body.len().min(end.saturating_add(1)).max(start);
    let part = &body[start..stop];
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {start}-{}/{}\r\n\
         etag: \"{role}-{file}\"\r\nx-repo-commit: 0123abc\r\nconnection: close\r\n\r\n",
        part.len(),
        stop.saturating_sub(1),
        body.len()
    )?;
    let sent = if fault == Fault::CutOff && part.len() > 1 { part.len() / 2 } else { part.len() };
    stream.write_all(&part[..sent])
}

/// A pack whose models are all on the hub; the hub's files lie in `files`.
fn pack(dir: &Path) -> (PathBuf, PathBuf) {
    let (files, pack) = (dir.join("files"), dir.join("pack"));
    support::write_pack(&files);
    fs::create_dir(&pack).unwrap();
    let toml = support::PACK_TOML.replace("path = \"", "hub = \"tiny/");
    fs::write(pack.join("pack.toml"), toml).unwrap();
    (files, pack)
}

fn generate(pack: &Path, home: &Path, endpoint: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ivg-playground"))
        .args(["generate", "--prompt", "A film", "--json", "-", "--pack"])
        .arg(pack)
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", endpoint)
        .output()
        .unwrap()
}

fn refusal(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(2));
    let text = String::from_utf8(out.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn models_are_downloaded_once_and_then_used_offline() {
    let dir = tempfile::tempdir().unwrap();
    let (files, pack) = pack(dir.path());
    let home = dir.path().join("home");
    let hub = Hub::start(files.clone(), Fault::None);
    let first = generate(&pack, &home, &hub.address);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    // Four roles of three files, each asked for its size and then for itself.
    assert_eq!(hub.requests.load(Ordering::Relaxed), 4 * 3 * 2);
    let text = |out: &Output| {
        let trace: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        trace["arms"][1]["text"].clone()
    };
    // Nobody listens here.
    let offline = generate(&pack, &home, "http://127.0.0.1:9");
    assert!(offline.status.success(), "{}", String::from_utf8_lossy(&offline.stderr));
    assert_eq!(text(&first), text(&offline));
    // The same models as from a folder.
    let local = generate(&files, &home, "http://127.0.0.1:9");
    assert_eq!(text(&first), text(&local));
}

#[test]
fn a_download_that_is_cut_off_is_never_taken_for_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (files, pack) = pack(dir.path());
    let home = dir.path().join("home");
    let bad = Hub::start(files.clone(), Fault::CutOff);
    let message = refusal(&generate(&pack, &home, &bad.address));
    assert!(message.contains("tiny/base on the hub, config.json"), "{message}");
    let good = Hub::start(files, Fault::None);
    assert!(generate(&pack, &home, &good.address).status.success());
}

#[test]
fn what_the_hub_refuses_is_said_with_what_to_do() {
    for (status, advice) in
        [("404 Not Found", "name and revision"), ("401 Unauthorized", "accept the model's licence")]
    {
        let dir = tempfile::tempdir().unwrap();
        let (files, pack) = pack(dir.path());
        let hub = Hub::start(files, Fault::Status(status));
        let message = refusal(&generate(&pack, &dir.path().join("home"), &hub.address));
        assert!(message.contains("tiny/base") && message.contains(advice), "{message}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (_, pack) = pack(dir.path());
    let message = refusal(&generate(&pack, &dir.path().join("home"), "http://127.0.0.1:9"));
    assert!(message.contains("check the network"), "{message}");
}
