//! Requests to the hub: redirects, refusals, waits, and an end at any moment.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::checksum::CHUNK_BYTES;
use super::error::Fault;
use super::progress::Tally;
use super::settings::HubSettings;

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 8;
/// How long a stop goes unnoticed while waiting.
const STOP_POLL: Duration = Duration::from_millis(20);
/// Longest description of a repository that is read.
const MAX_TEXT_BYTES: usize = 16 << 20;
/// Longest that one takes to come: real ones have some hundred thousand bytes.
const LONGEST_TEXT: Duration = Duration::from_secs(60);

/// Whether the work is to end.
#[derive(Default)]
pub(super) struct Stop(AtomicBool);

impl Stop {
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// [`Fault::Cancelled`] once it is raised.
    pub fn check(&self) -> Result<(), Fault> {
        if self.0.load(Ordering::Relaxed) { Err(Fault::Cancelled) } else { Ok(()) }
    }

    /// Waits, unless it is raised.
    pub fn sleep(&self, wait: Duration) -> Result<(), Fault> {
        let start = Instant::now();
        loop {
            self.check()?;
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(STOP_POLL));
        }
    }
}

/// Makes the requests of one errand.
pub(super) struct Client<'a> {
    pub settings: &'a HubSettings,
    pub stop: &'a Stop,
    /// What has come of it so far.
    pub tally: &'a Tally,
    agent: Agent,
    has_answered: AtomicBool,
}

/// What asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// For the contents.
    All,
    /// For the contents from this byte on.
    From(u64),
    /// For the headers, without following the hub elsewhere.
    Head,
}

/// An agent that leaves redirects and refusals to us.
pub(super) fn agent(settings: &HubSettings) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A range of compressed bytes would be no range of the file.
        .accept_encoding("identity")
        .user_agent(concat!("ivg-playground/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(settings.connect_timeout))
        .timeout_connect(Some(settings.connect_timeout))
        .timeout_recv_response(Some(settings.stall_timeout))
        .timeout_per_read(Some(settings.stall_timeout))
        .timeout_per_write(Some(settings.stall_timeout))
        .build()
        .into()
}

impl<'a> Client<'a> {
    pub fn new(settings: &'a HubSettings, agent: Agent, stop: &'a Stop, tally: &'a Tally) -> Self {
        Self { settings, stop, tally, agent, has_answered: AtomicBool::new(false) }
    }

    /// One request; redirects are followed. The token goes to the hub alone, never to the host
    /// that it sends us to.
    ///
    /// # Errors
    /// A refusal, or a connection that fails.
    pub fn request(&self, url: &str, ask: Ask) -> Result<Response<Body>, Fault> {
        let mut url = parse(url)?;
        let hub = origin(&parse(&self.settings.endpoint)?);
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(&url, ask, &hub)?;
            let status = response.status().as_u16();
            match status {
                200..=299 => return Ok(response),
                // Nothing of the file lies beyond what we have; the caller knows what that means.
                416 if matches!(ask, Ask::From(_)) => return Ok(response),
                301 | 302 | 303 | 307 | 308 => {
                    let next = redirected(&url, header(&response, "location"))?;
                    if ask == Ask::Head && origin(&next) != hub {
                        return Ok(response);
                    }
                    url = next;
                }
                _ => {
                    let wait = header(&response, "retry-after").and_then(|s| s.parse().ok());
                    return Err(Fault::Status { status, wait: wait.map(Duration::from_secs) });
                }
            }
        }
        Err(Fault::Answer("it sends us in a circle".to_owned()))
    }

    fn send(&self, url: &Uri, ask: Ask, hub: &Origin) -> Result<Response<Body>, Fault> {
        self.stop.check()?;
        let mut request = match ask {
            Ask::Head => self.agent.head(url),
            Ask::All | Ask::From(_) => self.agent.get(url),
        };
        if let Ask::From(start) = ask {
            request = request.header("range", format!("bytes={start}-"));
        }
        if let Some(token) = &self.settings.token
            && origin(url) == *hub
        {
            request = request.header("authorization", token.header());
        }
        let answer = request.call();
        // An error after a stop is the stop's doing.
        self.stop.check()?;
        let response = answer.map_err(|e| self.fault(e))?;
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(response)
    }

    /// The text at `url`, asked for as often as [`Client::attempt`] allows.
    pub fn text(&self, url: &str, retries: u32) -> Result<String, Fault> {
        self.attempt(retries, || {
            let mut body = self.request(url, Ask::All)?.into_body().into_reader();
            let (mut text, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES]);
            let start = Instant::now();
            loop {
                let read = body.read(&mut chunk);
                self.stop.check()?;
                match read.map_err(|e| self.fault(ureq::Error::from(e)))? {
                    0 => break,
                    read => text.extend_from_slice(&chunk[..read]),
                }
                // One that sends a byte now and then would keep us for ever.
                if start.elapsed() > LONGEST_TEXT {
                    return Err(Fault::Slow(LONGEST_TEXT));
                }
                if text.len() > MAX_TEXT_BYTES {
                    return Err(Fault::Answer("it does not come to an end".to_owned()));
                }
            }
            String::from_utf8(text).map_err(|_| Fault::Answer("it is no text".to_owned()))
        })
    }

    /// Does `work` until it succeeds or fails for good.
    pub fn attempt<T>(
        &self,
        retries: u32,
        mut work: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut failures = 0;
        loop {
            match work() {
                Ok(done) => return Ok(done),
                Err(fault) => self.wait_after(fault, failures, retries)?,
            }
            failures += 1;
        }
    }

    /// Waits before another attempt, `failures` having failed before this one: twice as long
    /// every time, or as long as the server asks.
    ///
    /// # Errors
    /// The fault itself, if another attempt is no use.
    pub fn wait_after(&self, fault: Fault, failures: u32, retries: u32) -> Result<(), Fault> {
        if failures >= retries || !fault.is_passing(self.has_answered.load(Ordering::Relaxed)) {
            return Err(fault);
        }
        let doubled = self.settings.first_wait.saturating_mul(2u32.saturating_pow(failures));
        let mut wait = doubled.min(self.settings.longest_wait);
        if let Fault::Status { wait: Some(asked), .. } = &fault {
            if *asked > self.settings.longest_asked_wait {
                return Err(fault);
            }
            wait = wait.max(*asked);
        }
        tracing::info!(%fault, ?wait, "trying again");
        self.tally.pause(fault.problem(), wait);
        let slept = self.stop.sleep(wait);
        self.tally.go_on();
        slept
    }

    fn fault(&self, error: ureq::Error) -> Fault {
        match error {
            ureq::Error::HostNotFound => Fault::Unreachable("no such host".to_owned()),
            ureq::Error::ConnectionFailed => Fault::Unreachable("no connection".to_owned()),
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
                Fault::Unreachable("no answer".to_owned())
            }
            ureq::Error::Timeout(_) => Fault::Stalled(self.settings.stall_timeout),
            ureq::Error::BadUri(uri) => Fault::Unreachable(format!("'{uri}' is no address")),
            ureq::Error::Io(e) => match e.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable => Fault::Unreachable(e.to_string()),
                _ => self.broken(e.to_string()),
            },
            other => self.broken(other.to_string()),
        }
    }

    /// A connection that fails. Before the hub has answered at all, more attempts would only keep
    /// a person waiting for what they can mend: a certificate, a proxy, an address.
    fn broken(&self, problem: String) -> Fault {
        if self.has_answered.load(Ordering::Relaxed) {
            Fault::Network(problem)
        } else {
            Fault::Unreachable(problem)
        }
    }

    /// What a failed read of a body means.
    pub fn read_fault(&self, error: io::Error, held: u64, size: u64) -> Fault {
        // ureq's own errors come wrapped.
        match ureq::Error::from(error) {
            ureq::Error::Timeout(_) => Fault::Stalled(self.settings.stall_timeout),
            error => {
                tracing::info!(%error, held, size, "a transfer was cut off");
                Fault::CutOff { held, size }
            }
        }
    }
}

/// A header as text.
pub(super) fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// Scheme, host and port.
type Origin = (String, String, u16);

fn origin(url: &Uri) -> Origin {
    let scheme = url.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    let port = url.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    (scheme, host, port)
}

fn parse(url: &str) -> Result<Uri, Fault> {
    let bad = || Fault::Unreachable(format!("'{url}' is no address"));
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    if is_web && uri.host().is_some() { Ok(uri) } else { Err(bad()) }
}

/// Where a redirect leads.
fn redirected(from: &Uri, location: Option<&str>) -> Result<Uri, Fault> {
    let location = location.ok_or_else(|| Fault::Answer("a redirect to nowhere".to_owned()))?;
    let (scheme, authority) = (from.scheme_str(), from.authority());
    let (scheme, authority) = (scheme.unwrap_or_default(), authority.map_or("", |a| a.as_str()));
    let to = if location.starts_with("//") {
        parse(&format!("{scheme}:{location}"))?
    } else if location.starts_with('/') {
        parse(&format!("{scheme}://{authority}{location}"))?
    } else {
        parse(location)?
    };
    if scheme == "https" && to.scheme_str() == Some("http") {
        return Err(Fault::Answer("a redirect from https to http".to_owned()));
    }
    Ok(to)
}

/// `path` as it stands in a URL.
pub(super) fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(byte.into());
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(from: &str, location: &str) -> Result<String, String> {
        let from = from.parse().expect("an address");
        redirected(&from, Some(location)).map(|u| u.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn redirects_lead_where_browsers_go() {
        let from = "https://hub.co/a/b?x=1";
        assert_eq!(to(from, "/c?y=2").as_deref(), Ok("https://hub.co/c?y=2"));
        assert_eq!(to(from, "//cdn.co/c").as_deref(), Ok("https://cdn.co/c"));
        assert_eq!(to(from, "https://cdn.co:1/c").as_deref(), Ok("https://cdn.co:1/c"));
        assert!(to(from, "http://hub.co/c").expect_err("refused").contains("https to http"));
        assert!(to(from, "ftp://hub.co/c").expect_err("refused").contains("no address"));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let of = |url: &str| origin(&url.parse().expect("an address"));
        assert_eq!(of("https://Hub.co/a"), of("https://hub.co:443/b"));
        assert_ne!(of("https://hub.co"), of("http://hub.co"));
        assert_ne!(of("http://hub.co"), of("http://hub.co:81"));
        // What stands before the @ is no host.
        assert_ne!(of("https://hub.co"), of("https://hub.co@evil.co/"));
    }

    #[test]
    fn names_are_escaped_and_stay_paths() {
        assert_eq!(escaped("q8/a b#c?.gguf"), "q8/a%20b%23c%3F.gguf");
    }
}
