//! How far a download is.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::words;

/// How far a download is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The role whose files arrive now.
    pub role: &'static str,
    /// The file that arrives now; empty before the first.
    pub file: String,
    /// Bytes that are here, of all files to be downloaded.
    pub done_bytes: u64,
    /// Bytes of all files to be downloaded.
    pub total_bytes: u64,
    /// Speed over the last seconds; none before it is known.
    pub bytes_per_s: Option<f64>,
    /// Time left at that speed.
    pub seconds_left: Option<f64>,
    /// Whether nothing has come for some seconds.
    pub is_silent: bool,
    /// Why nothing is asked for at the moment.
    pub pause: Option<Pause>,
}

/// A wait before another attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Pause {
    /// What went wrong with the last one, in words.
    pub problem: String,
    /// Until the next.
    pub seconds_left: f64,
}

impl Progress {
    /// The share that is here, 0 to 1.
    pub fn share(&self) -> f32 {
        (self.done_bytes as f64 / self.total_bytes.max(1) as f64).clamp(0.0, 1.0) as f32
    }

    /// What arrives, and how much of it is here.
    pub fn amount(&self) -> String {
        if self.file.is_empty() {
            return "asking the hub".to_owned();
        }
        let (done, total) = (words::bytes(self.done_bytes), words::bytes(self.total_bytes));
        format!("{} model · {done} of {total}", self.role)
    }

    /// Speed and time left as far as they are known, or why nothing is asked for; may be empty.
    pub fn pace(&self) -> String {
        if let Some(Pause { problem, seconds_left }) = &self.pause {
            return format!("trying again in {}: {problem}", words::duration(*seconds_left));
        }
        if self.is_silent {
            return "waiting for the server".to_owned();
        }
        let speed = self.bytes_per_s.map(|speed| format!("{}/s", words::bytes(speed as u64)));
        let left = self.seconds_left.map(|left| format!("{} left", words::duration(left)));
        speed.into_iter().chain(left).collect::<Vec<_>>().join(" · ")
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.amount())?;
        let pace = self.pace();
        if pace.is_empty() { Ok(()) } else { write!(f, " · {pace}") }
    }
}

/// What the transfer has done so far; it writes, whoever waits for it reads.
#[derive(Default)]
pub(super) struct Tally(Mutex<State>);

#[derive(Clone, Default)]
struct State {
    role: &'static str,
    file: String,
    done: u64,
    total: u64,
    /// Bytes that came over the network, whether or not they were of use.
    arrived: u64,
    /// What went wrong, and when the next attempt is.
    pause: Option<(String, Instant)>,
}

impl Tally {
    fn state(&self) -> MutexGuard<'_, State> {
        // Plain numbers: they are what they are, even if a thread died with them in hand.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn expect(&self, bytes: u64) {
        self.state().total += bytes;
    }

    pub fn begin(&self, role: &'static str, file: &str) {
        let mut state = self.state();
        state.role = role;
        state.file = file.to_owned();
    }

    /// Nothing is asked for until `wait` is over.
    pub fn pause(&self, problem: String, wait: Duration) {
        self.state().pause = Some((problem, Instant::now() + wait));
    }

    /// A pause is over.
    pub fn go_on(&self) {
        self.state().pause = None;
    }

    /// Bytes that were here already.
    pub fn found(&self, bytes: u64) {
        self.state().done += bytes;
    }

    pub fn arrived(&self, bytes: u64) {
        let mut state = self.state();
        state.done += bytes;
        state.arrived += bytes;
    }

    /// Bytes that turned out to be of no use.
    pub fn lost(&self, bytes: u64) {
        let mut state = self.state();
        state.done = state.done.saturating_sub(bytes);
    }
}

/// How far back a speed looks: long enough to be steady, short enough to notice a change.
const WINDOW: Duration = Duration::from_secs(5);
/// A speed over less time than this says nothing.
const LEAST: Duration = Duration::from_secs(1);

/// Turns a tally into progress.
pub(super) struct Meter {
    samples: VecDeque<(Instant, u64)>,
    /// Whether anything was reported: what was said of a pause must be taken back.
    has_read: bool,
}

impl Meter {
    pub fn new() -> Self {
        Self { samples: VecDeque::new(), has_read: false }
    }

    /// The progress now; none before the first file has begun or the first pause.
    pub fn read(&mut self, tally: &Tally, now: Instant) -> Option<Progress> {
        let state = tally.state().clone();
        if state.file.is_empty() && state.pause.is_none() && !self.has_read {
            return None;
        }
        self.has_read = true;
        if state.pause.is_some() {
            // A wait is no slow network.
            self.samples.clear();
        }
        self.samples.push_back((now, state.arrived));
        while self.samples.len() > 2 && now.duration_since(self.samples[0].0) > WINDOW {
            self.samples.pop_front();
        }
        let (start, before) = self.samples[0];
        let elapsed = now.duration_since(start);
        let speed = (state.arrived - before) as f64 / elapsed.as_secs_f64();
        let bytes_per_s = (elapsed >= LEAST && speed > 0.0).then_some(speed);
        Some(Progress {
            role: state.role,
            file: state.file,
            done_bytes: state.done,
            total_bytes: state.total,
            bytes_per_s,
            is_silent: elapsed + LEAST >= WINDOW && speed == 0.0,
            seconds_left: bytes_per_s.map(|s| state.total.saturating_sub(state.done) as f64 / s),
            pause: state.pause.map(|(problem, end)| Pause {
                problem,
                seconds_left: end.saturating_duration_since(now).as_secs_f64(),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_of_what_arrives_and_the_time_left_of_what_is_missing() {
        let (tally, mut meter, start) = (Tally::default(), Meter::new(), Instant::now());
        assert_eq!(meter.read(&tally, start), None);
        tally.expect(1_000);
        tally.begin("base", "model.safetensors");
        // Half of it was here: that is no speed.
        tally.found(500);
        let first = meter.read(&tally, start).expect("begun");
        assert_eq!((first.done_bytes, first.bytes_per_s), (500, None));
        tally.arrived(100);
        let second = meter.read(&tally, start + Duration::from_secs(1)).expect("begun");
        assert_eq!((second.bytes_per_s, second.seconds_left), (Some(100.0), Some(4.0)));
        assert!((second.share() - 0.6).abs() < 1e-6);
        let words = "base model · 600 B of 1.0 kB · 100 B/s · 4 s left";
        assert_eq!(second.to_string(), words);
    }

    #[test]
    fn a_pause_says_why_and_how_long() {
        let (tally, mut meter) = (Tally::default(), Meter::new());
        tally.pause("too many requests (429)".to_owned(), Duration::from_secs(7));
        let now = Instant::now();
        let paused = meter.read(&tally, now + Duration::from_secs(3)).expect("a pause");
        let words = "asking the hub · trying again in 4 s: too many requests (429)";
        assert_eq!(paused.to_string(), words);
        tally.go_on();
        let after = meter.read(&tally, now).expect("it is over");
        assert_eq!(after.to_string(), "asking the hub");
        tally.expect(10);
        tally.begin("base", "model.safetensors");
        tally.arrived(5);
        tally.pause("the connection failed (reset)".to_owned(), Duration::ZERO);
        let paused = meter.read(&tally, Instant::now()).expect("begun");
        let words = "base model · 5 B of 10 B · trying again in 0 s: the connection failed (reset)";
        assert_eq!(paused.to_string(), words);
    }

    #[test]
    fn a_server_that_sends_nothing_is_waited_for() {
        let (tally, mut meter, start) = (Tally::default(), Meter::new(), Instant::now());
        tally.expect(1_000);
        tally.begin("base", "a");
        let mut pace = |bytes: u64, second: u64| {
            tally.arrived(bytes);
            let read = meter.read(&tally, start + Duration::from_secs(second));
            read.expect("begun").pace()
        };
        assert_eq!(pace(0, 0), "");
        assert_eq!(pace(100, 1), "100 B/s · 9 s left");
        assert_eq!(pace(0, 5), "20 B/s · 45 s left");
        assert_eq!((pace(0, 8), pace(0, 10)), (String::new(), "waiting for the server".into()));
        assert_eq!(pace(400, 11), "133 B/s · 4 s left");
    }

    #[test]
    fn a_wait_is_no_slow_network() {
        let (tally, mut meter, start) = (Tally::default(), Meter::new(), Instant::now());
        tally.expect(1_000);
        tally.begin("base", "a");
        meter.read(&tally, start);
        tally.pause("too many requests (429)".to_owned(), Duration::from_secs(3));
        meter.read(&tally, start + Duration::from_secs(3));
        tally.go_on();
        tally.arrived(100);
        let read = meter.read(&tally, start + Duration::from_secs(4)).expect("begun");
        assert_eq!(read.bytes_per_s, Some(100.0));
    }

    #[test]
    fn a_speed_forgets_what_was_long_ago() {
        let (tally, mut meter, start) = (Tally::default(), Meter::new(), Instant::now());
        tally.expect(1_000_000);
        tally.begin("base", "a");
        meter.read(&tally, start);
        tally.arrived(100_000);
        for second in 1..20 {
            tally.arrived(10);
            let read = meter.read(&tally, start + Duration::from_secs(second)).expect("begun");
            if second > 7 {
                assert_eq!(read.bytes_per_s, Some(10.0), "{second}");
            }
        }
    }
}
