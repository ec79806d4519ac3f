//! A test hub on the loopback interface that misbehaves on request.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use serde_json::{Value, json};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Minimum size in bytes of files that are listed as Git LFS objects.
pub const LARGE: usize = 1000;

/// A received request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// First byte of the requested range.
    pub from: Option<usize>,
    pub token: Option<String>,
}

impl Request {
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }
}

/// How the server answers a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    Serve,
    Status(&'static str),
    /// Answers 429 with the seconds to wait.
    Busy(u64),
    /// Announces the whole body, sends half and disconnects.
    CutOff,
    /// Announces the whole body, sends half and then nothing.
    Stall,
    /// Sends nothing.
    Mute,
    Redirect(String),
    /// Announces and sends one byte too few.
    Short,
    /// Sends the right number of wrong bytes.
    OtherBytes,
    /// Sends the whole body and ignores the requested range.
    Whole,
    /// Sends a page without a length, like the login page of a public network.
    Page,
}

type Files = BTreeMap<String, Vec<u8>>;
/// Selects the answer by the request and the number of earlier requests for the same path.
type Script = dyn Fn(&Request, usize) -> Act + Send + Sync;

pub struct Server {
    pub address: String,
    state: Arc<State>,
}

struct State {
    repositories: Mutex<HashMap<String, Files>>,
    commit: Mutex<String>,
    /// Whether lists contain only names.
    is_bare: bool,
    script: Box<Script>,
    log: Mutex<Vec<Request>>,
    /// Number of requests for each path. [`Server::forget`] does not reset it.
    counts: Mutex<HashMap<String, usize>>,
}

impl Server {
    pub fn good() -> Self {
        Self::start(false, |_, _| Act::Serve)
    }

    pub fn scripted(script: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::start(false, script)
    }

    pub fn start(
        is_bare: bool,
        script: impl Fn(&Request, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            repositories: Mutex::default(),
            commit: Mutex::new(COMMIT.to_owned()),
            is_bare,
            script: Box::new(script),
            log: Mutex::default(),
            counts: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client may disconnect early, so errors are ignored.
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    pub fn add(&self, id: &str, files: &[(&str, &[u8])]) -> &Self {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        self.state.repositories.lock().unwrap().insert(id.to_owned(), files.collect());
        self
    }

    /// Sets the commit of every branch.
    pub fn move_to(&self, commit: &str) {
        *self.state.commit.lock().unwrap() = commit.to_owned();
    }

    pub fn log(&self) -> Vec<Request> {
        self.state.log.lock().unwrap().clone()
    }

    /// Returns the first requested byte of every request for a file.
    pub fn starts(&self, file: &str) -> Vec<Option<usize>> {
        let log = self.log();
        log.iter().filter(|r| r.file() == file && r.method == "GET").map(|r| r.from).collect()
    }

    pub fn forget(&self) {
        self.state.log.lock().unwrap().clear();
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut request = Request { method, path, from: None, token: None };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let range = value.strip_prefix("bytes=").unwrap();
                request.from = Some(range.split_once('-').unwrap().0.parse().unwrap());
            }
            "authorization" => request.token = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(request)
}

fn serve(mut stream: TcpStream, state: &State) -> Option<()> {
    let request = read_request(&stream)?;
    state.log.lock().unwrap().push(request.clone());
    let before = {
        let mut counts = state.counts.lock().unwrap();
        let count = counts.entry(format!("{} {}", request.method, request.path)).or_default();
        *count += 1;
        *count - 1
    };
    let act = (state.script)(&request, before);
    let body = match body(&request, state) {
        Some(body) => body,
        None => return respond(&mut stream, "404 Not Found", "", b""),
    };
    match act {
        Act::Serve => send(&mut stream, &request, &body, body.len()),
        Act::Status(status) => respond(&mut stream, status, "", b""),
        Act::Busy(wait) => {
            let header = format!("retry-after: {wait}\r\n");
            respond(&mut stream, "429 Too Many Requests", &header, b"")
        }
        Act::CutOff | Act::Stall => {
            let start = request.from.unwrap_or(0);
            let middle = start + (body.len() - start) / 2;
            send(&mut stream, &request, &body, middle)?;
            if act == Act::Stall { wait_for_disconnect(&mut stream) } else { Some(()) }
        }
        Act::Mute => wait_for_disconnect(&mut stream),
        Act::Redirect(to) => {
            let header = format!("location: {to}{}\r\nx-linked-size: 7\r\n", request.path);
            respond(&mut stream, "302 Found", &header, b"")
        }
        Act::Short => respond(&mut stream, "200 OK", "", &body[..body.len() - 1]),
        Act::OtherBytes => {
            let other: Vec<u8> = body.iter().map(|byte| byte ^ 1).collect();
            send(&mut stream, &request, &other, other.len())
        }
        Act::Whole => respond(&mut stream, "200 OK", "", &body),
        Act::Page => stream
            .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>Log in</html>")
            .ok(),
    }
}

/// Waits until the client disconnects.
fn wait_for_disconnect(stream: &mut TcpStream) -> Option<()> {
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|read| read > 0) {}
    Some(())
}

fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> Option<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}

/// Announces the requested range and sends it up to `stop`.
fn send(stream: &mut TcpStream, request: &Request, body: &[u8], stop: usize) -> Option<()> {
    let start = request.from.unwrap_or(0);
    if start > 0 && start >= body.len() {
        return respond(stream, "416 Range Not Satisfiable", "", b"");
    }
    let (length, last) = (body.len() - start, body.len().saturating_sub(1));
    let status = match request.from {
        Some(_) => {
            format!("206 Partial Content\r\ncontent-range: bytes {start}-{last}/{}", body.len())
        }
        None => "200 OK".to_owned(),
    };
    let etag = if body.len() >= LARGE { "odd-etag".to_owned() } else { git_name(body) };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\netag: \"{etag}\"\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    if request.method == "HEAD" {
        return Some(());
    }
    stream.write_all(&body[start..stop.max(start)]).ok()
}

fn body(request: &Request, state: &State) -> Option<Vec<u8>> {
    let commit = state.commit.lock().unwrap().clone();
    let repositories = state.repositories.lock().unwrap();
    let path = request.path.trim_start_matches('/');
    if let Some(rest) = path.strip_prefix("api/models/") {
        let (id, _revision) = rest.split_once("/revision/")?;
        return Some(listing(repositories.get(id)?, &commit, state.is_bare).to_string().into());
    }
    let (id, rest) = path.split_once("/resolve/")?;
    let (revision, file) = rest.split_once('/')?;
    // Files must be requested by commit.
    assert_eq!(revision, commit, "{path}");
    repositories.get(id)?.get(file).cloned()
}

fn listing(files: &Files, commit: &str, is_bare: bool) -> Value {
    let sibling = |(name, bytes): (&String, &Vec<u8>)| {
        if is_bare {
            return json!({"rfilename": name});
        }
        let size = bytes.len();
        let mut sibling = json!({"rfilename": name, "size": size, "blobId": git_name(bytes)});
        if size >= LARGE {
            sibling["lfs"] = json!({"sha256": sha256(bytes), "size": size, "pointerSize": 134});
        }
        sibling
    };
    json!({
        "id": "ignored", "sha": commit, "gated": false, "tags": ["license:mit", "other"],
        "siblings": files.iter().map(sibling).collect::<Vec<_>>(),
        "safetensors": {"parameters": {"F32": 1000}, "total": 1000},
    })
}

fn hex(context: Context) -> String {
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    hex(context)
}

pub fn git_name(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", bytes.len()).as_bytes());
    context.update(bytes);
    hex(context)
}
