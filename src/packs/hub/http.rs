//! Requests to the hub, with redirects, error statuses, retries and cancellation.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::checksum::CHUNK_BYTES;
use super::error::HubFailure;
use super::progress::Tally;
use super::settings::HubSettings;

/// Maximum redirects of one request.
const MAX_REDIRECTS: usize = 8;
/// Interval between checks for a stop while waiting.
const STOP_POLL: Duration = Duration::from_millis(20);
/// Maximum size of a text answer.
const MAX_TEXT_BYTES: usize = 16 << 20;
/// Time limit for a text answer. Real answers have a few hundred kilobytes.
const MAX_TEXT_TIME: Duration = Duration::from_secs(60);

/// A flag that stops the work.
#[derive(Default)]
pub(super) struct Stop(AtomicBool);

impl Stop {
    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns [`HubFailure::Cancelled`] if the flag is set.
    pub(super) fn check(&self) -> Result<(), HubFailure> {
        if self.0.load(Ordering::Relaxed) { Err(HubFailure::Cancelled) } else { Ok(()) }
    }

    /// Sleeps for `wait`, or until the flag is set.
    pub(super) fn sleep(&self, wait: Duration) -> Result<(), HubFailure> {
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

/// Sends the requests of one operation.
pub(super) struct Client<'a> {
    pub(crate) settings: &'a HubSettings,
    pub(crate) stop: &'a Stop,
    pub(crate) tally: &'a Tally,
    agent: Agent,
    /// Whether the hub has answered any request.
    has_answered: AtomicBool,
}

/// The part of a file that a request asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestPart {
    /// The whole contents.
    All,
    /// The contents from this byte on.
    From(u64),
    /// The headers, without following redirects to other hosts.
    Head,
}

/// Creates an agent that returns redirects and error statuses to the caller.
pub(super) fn agent(settings: &HubSettings) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A range of compressed bytes is not a range of the file.
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
    pub(super) fn new(
        settings: &'a HubSettings,
        agent: Agent,
        stop: &'a Stop,
        tally: &'a Tally,
    ) -> Self {
        Self { settings, stop, tally, agent, has_answered: AtomicBool::new(false) }
    }

    /// Sends one request and follows redirects. Sends the token only to the hub, never to a host
    /// that the hub redirects to.
    ///
    /// # Errors
    /// Fails on an error status or a failed connection.
    pub(super) fn request(
        &self,
        url: &str,
        part: RequestPart,
    ) -> Result<Response<Body>, HubFailure> {
        let mut url = parse(url)?;
        let hub = origin(&parse(&self.settings.endpoint)?);
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(&url, part, &hub)?;
            let status = response.status().as_u16();
            match status {
                200..=299 => return Ok(response),
                // The range begins beyond the end of the file. The caller restarts.
                416 if matches!(part, RequestPart::From(_)) => return Ok(response),
                301 | 302 | 303 | 307 | 308 => {
                    let next = redirected(&url, header(&response, "location"))?;
                    if part == RequestPart::Head && origin(&next) != hub {
                        return Ok(response);
                    }
                    url = next;
                }
                _ => {
                    let wait = header(&response, "retry-after").and_then(|s| s.parse().ok());
                    return Err(HubFailure::Status { status, wait: wait.map(Duration::from_secs) });
                }
            }
        }
        Err(HubFailure::Answer("too many redirects".to_owned()))
    }

    fn send(
        &self,
        url: &Uri,
        part: RequestPart,
        hub: &Origin,
    ) -> Result<Response<Body>, HubFailure> {
        self.stop.check()?;
        let mut request = match part {
            RequestPart::Head => self.agent.head(url),
            RequestPart::All | RequestPart::From(_) => self.agent.get(url),
        };
        if let RequestPart::From(start) = part {
            request = request.header("range", format!("bytes={start}-"));
        }
        if let Some(token) = &self.settings.token
            && origin(url) == *hub
        {
            request = request.header("authorization", token.header());
        }
        let answer = request.call();
        // After a stop, any error is a consequence of the stop.
        self.stop.check()?;
        let response = answer.map_err(|e| self.failure(e))?;
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(response)
    }

    /// Requests the text at `url`, with retries as in [`Client::attempt`].
    pub(super) fn text(&self, url: &str, retries: u32) -> Result<String, HubFailure> {
        self.attempt(retries, || {
            let mut body = self.request(url, RequestPart::All)?.into_body().into_reader();
            let (mut text, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES]);
            let start = Instant::now();
            loop {
                let read = body.read(&mut chunk);
                self.stop.check()?;
                match read.map_err(|e| self.failure(ureq::Error::from(e)))? {
                    0 => break,
                    read => text.extend_from_slice(&chunk[..read]),
                }
                // The timeout of the agent applies to each read, so limit the total time.
                if start.elapsed() > MAX_TEXT_TIME {
                    return Err(HubFailure::Slow(MAX_TEXT_TIME));
                }
                if text.len() > MAX_TEXT_BYTES {
                    return Err(HubFailure::Answer("too long".to_owned()));
                }
            }
            String::from_utf8(text).map_err(|_| HubFailure::Answer("not UTF-8 text".to_owned()))
        })
    }

    /// Calls `work` until it succeeds, fails permanently, or has been retried `retries` times.
    pub(super) fn attempt<T>(
        &self,
        retries: u32,
        mut work: impl FnMut() -> Result<T, HubFailure>,
    ) -> Result<T, HubFailure> {
        let mut failures = 0;
        loop {
            match work() {
                Ok(done) => return Ok(done),
                Err(failure) => self.wait_after(failure, failures, retries)?,
            }
            failures += 1;
        }
    }

    /// Waits before another attempt. The wait doubles with each of the earlier `failures`, and is
    /// at least as long as the server requests.
    ///
    /// # Errors
    /// Returns the failure itself if it is permanent, if no retries are left, or if the requested
    /// wait is too long.
    pub(crate) fn wait_after(
        &self,
        failure: HubFailure,
        failures: u32,
        retries: u32,
    ) -> Result<(), HubFailure> {
        if failures >= retries || !failure.is_temporary(self.has_answered.load(Ordering::Relaxed)) {
            return Err(failure);
        }
        let doubled = self.settings.first_wait.saturating_mul(2u32.saturating_pow(failures));
        let mut wait = doubled.min(self.settings.longest_wait);
        if let HubFailure::Status { wait: Some(requested), .. } = &failure {
            if *requested > self.settings.max_retry_after {
                return Err(failure);
            }
            wait = wait.max(*requested);
        }
        tracing::info!(%failure, ?wait, "trying again");
        self.tally.pause(failure.problem(), wait);
        let slept = self.stop.sleep(wait);
        self.tally.resume();
        slept
    }

    fn failure(&self, error: ureq::Error) -> HubFailure {
        match error {
            ureq::Error::HostNotFound => HubFailure::Unreachable("no such host".to_owned()),
            ureq::Error::ConnectionFailed => HubFailure::Unreachable("no connection".to_owned()),
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
                HubFailure::Unreachable("no answer".to_owned())
            }
            ureq::Error::Timeout(_) => HubFailure::Stalled(self.settings.stall_timeout),
            ureq::Error::BadUri(uri) => invalid_address(&uri),
            ureq::Error::Io(e) => match e.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable => HubFailure::Unreachable(e.to_string()),
                _ => self.broken(e.to_string()),
            },
            other => self.broken(other.to_string()),
        }
    }

    /// Returns the failure of a broken connection. Before the first answer it is permanent, because
    /// the user must fix the cause: a certificate, a proxy or the address.
    fn broken(&self, problem: String) -> HubFailure {
        if self.has_answered.load(Ordering::Relaxed) {
            HubFailure::Network(problem)
        } else {
            HubFailure::Unreachable(problem)
        }
    }

    /// Converts an error that occurred while reading a body.
    pub(crate) fn read_fault(&self, error: io::Error, held: u64, size: u64) -> HubFailure {
        // Unwraps the errors of ureq.
        match ureq::Error::from(error) {
            ureq::Error::Timeout(_) => HubFailure::Stalled(self.settings.stall_timeout),
            error => {
                tracing::info!(%error, held, size, "transfer ended early");
                HubFailure::CutOff { held, size }
            }
        }
    }
}

/// Returns a header if it is text.
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

fn parse(url: &str) -> Result<Uri, HubFailure> {
    let uri: Uri = url.parse().map_err(|_| invalid_address(url))?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    if is_web && uri.host().is_some() { Ok(uri) } else { Err(invalid_address(url)) }
}

fn invalid_address(url: &str) -> HubFailure {
    HubFailure::Unreachable(format!("'{url}' is not a valid address"))
}

/// Returns the target of a redirect. Rejects a redirect from https to http.
fn redirected(from: &Uri, location: Option<&str>) -> Result<Uri, HubFailure> {
    let location =
        location.ok_or_else(|| HubFailure::Answer("a redirect without an address".to_owned()))?;
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
        return Err(HubFailure::Answer("a redirect from https to http".to_owned()));
    }
    Ok(to)
}

/// Percent-encodes `path` for a URL, except for slashes.
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
    fn resolves_redirects_as_browsers_do() {
        let from = "https://hub.co/a/b?x=1";
        assert_eq!(to(from, "/c?y=2").as_deref(), Ok("https://hub.co/c?y=2"));
        assert_eq!(to(from, "//cdn.co/c").as_deref(), Ok("https://cdn.co/c"));
        assert_eq!(to(from, "https://cdn.co:1/c").as_deref(), Ok("https://cdn.co:1/c"));
        assert!(to(from, "http://hub.co/c").expect_err("refused").contains("https to http"));
        assert!(to(from, "ftp://hub.co/c").expect_err("refused").contains("not a valid address"));
    }

    #[test]
    fn an_origin_consists_of_scheme_host_and_port() {
        let of = |url: &str| origin(&url.parse().expect("an address"));
        assert_eq!(of("https://Hub.co/a"), of("https://hub.co:443/b"));
        assert_ne!(of("https://hub.co"), of("http://hub.co"));
        assert_ne!(of("http://hub.co"), of("http://hub.co:81"));
        // The text before the @ is not the host.
        assert_ne!(of("https://hub.co"), of("https://hub.co@evil.co/"));
    }

    #[test]
    fn escapes_names_but_keeps_slashes() {
        assert_eq!(escaped("q8/a b#c?.gguf"), "q8/a%20b%23c%3F.gguf");
    }
}
