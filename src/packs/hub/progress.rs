//! The progress of a download.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::format;

/// The progress of a download.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The role of the current file.
    pub role: &'static str,
    /// The current file; empty before the first one.
    pub file: String,
    /// Bytes on this machine, over all files of the download.
    pub done_bytes: u64,
    /// Bytes of all files of the download.
    pub total_bytes: u64,
    /// Speed over the last seconds, or `None` before it is known.
    pub bytes_per_s: Option<f64>,
    /// Time left at that speed, in seconds.
    pub seconds_left: Option<f64>,
    /// Whether no bytes have arrived for some seconds.
    pub is_silent: bool,
    /// The wait before the next attempt, if the last one failed.
    pub pause: Option<Pause>,
}

/// A wait before another attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Pause {
    /// Description of the failure.
    pub problem: String,
    /// Seconds until the next attempt.
    pub seconds_left: f64,
}

impl Progress {
    /// Returns the fraction done, 0 to 1.
    pub fn share(&self) -> f32 {
        (self.done_bytes as f64 / self.total_bytes.max(1) as f64).clamp(0.0, 1.0) as f32
    }

    /// Returns the current model and the bytes done.
    pub(crate) fn amount(&self) -> String {
        if self.file.is_empty() {
            return "asking the hub".to_owned();
        }
        let (done, total) = (format::bytes(self.done_bytes), format::bytes(self.total_bytes));
        format!("{} model · {done} of {total}", self.role)
    }

    /// Returns speed and time left if known, or the reason for a wait. May be empty.
    pub(crate) fn pace(&self) -> String {
        if let Some(Pause { problem, seconds_left }) = &self.pause {
            return format!("trying again in {}: {problem}", format::duration(*seconds_left));
        }
        if self.is_silent {
            return "waiting for the server".to_owned();
        }
        let speed = self.bytes_per_s.map(|speed| format!("{}/s", format::bytes(speed as u64)));
        let left = self.seconds_left.map(|left| format!("{} left", format::duration(left)));
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

/// Counters of a download. The transfer writes them; the waiting thread reads them.
#[derive(Default)]
pub(super) struct Tally(Mutex<State>);

#[derive(Clone, Default)]
struct State {
    role: &'static str,
    file: String,
    done: u64,
    total: u64,
    /// Bytes received over the network, including discarded ones.
    arrived: u64,
    /// The problem, and the time of the next attempt.
    pause: Option<(String, Instant)>,
}

impl Tally {
    fn state(&self) -> MutexGuard<'_, State> {
        // The counters stay valid even if a thread panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.state().total += bytes;
    }

    pub(super) fn begin(&self, role: &'static str, file: &str) {
        let mut state = self.state();
        state.role = role;
        state.file = file.to_owned();
    }

    pub(super) fn pause(&self, problem: String, wait: Duration) {
        self.state().pause = Some((problem, Instant::now() + wait));
    }

    pub(super) fn resume(&self) {
        self.state().pause = None;
    }

    /// Adds bytes that were already on this machine.
    pub(super) fn found(&self, bytes: u64) {
        self.state().done += bytes;
    }

    /// Adds bytes received over the network.
    pub(super) fn arrived(&self, bytes: u64) {
        let mut state = self.state();
        state.done += bytes;
        state.arrived += bytes;
    }

    /// Subtracts discarded bytes.
    pub(crate) fn discarded(&self, bytes: u64) {
        let mut state = self.state();
        state.done = state.done.saturating_sub(bytes);
    }
}

/// Time span of a speed: long enough to be steady, short enough to show a change.
const WINDOW: Duration = Duration::from_secs(5);
/// Minimum time span of a speed.
const MIN_SPAN: Duration = Duration::from_secs(1);

/// Computes the progress from a tally.
pub(super) struct Meter {
    samples: VecDeque<(Instant, u64)>,
    /// Whether a progress was returned. If it had a pause, the end of the pause must be reported.
    has_reported: bool,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { samples: VecDeque::new(), has_reported: false }
    }

    /// Returns the progress at `now`, or `None` before the first file or pause.
    pub(super) fn read(&mut self, tally: &Tally, now: Instant) -> Option<Progress> {
        let state = tally.state().clone();
        if state.file.is_empty() && state.pause.is_none() && !self.has_reported {
            return None;
        }
        self.has_reported = true;
        if state.pause.is_some() {
            // A wait must not lower the speed.
            self.samples.clear();
        }
        self.samples.push_back((now, state.arrived));
        while self.samples.len() > 2 && now.duration_since(self.samples[0].0) > WINDOW {
            self.samples.pop_front();
        }
        let (start, before) = self.samples[0];
        let elapsed = now.duration_since(start);
        let speed = (state.arrived - before) as f64 / elapsed.as_secs_f64();
        let bytes_per_s = (elapsed >= MIN_SPAN && speed > 0.0).then_some(speed);
        Some(Progress {
            role: state.role,
            file: state.file,
            done_bytes: state.done,
            total_bytes: state.total,
            bytes_per_s,
            is_silent: elapsed + MIN_SPAN >= WINDOW && speed == 0.0,
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
    fn speed_counts_arriving_bytes_and_time_left_counts_missing_bytes() {
        let (tally, mut meter, start) = (Tally::default(), Meter::new(), Instant::now());
        assert_eq!(meter.read(&tally, start), None);
        tally.expect(1_000);
        tally.begin("base", "model.safetensors");
        // Bytes that were already here do not count as speed.
        tally.found(500);
        let first = meter.read(&tally, start).expect("begun");
        assert_eq!((first.done_bytes, first.bytes_per_s), (500, None));
        tally.arrived(100);
        let second = meter.read(&tally, start + Duration::from_secs(1)).expect("begun");
        assert_eq!((second.bytes_per_s, second.seconds_left), (Some(100.0), Some(4.0)));
        assert!((second.share() - 0.6).abs() < 1e-6);
        assert_eq!(second.to_string(), "base model · 600 B of 1.0 kB · 100 B/s · 4 s left");
    }

    #[test]
    fn a_pause_shows_its_reason_and_duration() {
        let (tally, mut meter) = (Tally::default(), Meter::new());
        tally.pause("too many requests (429)".to_owned(), Duration::from_secs(7));
        let now = Instant::now();
        let paused = meter.read(&tally, now + Duration::from_secs(3)).expect("a pause");
        let expected = "asking the hub · trying again in 4 s: too many requests (429)";
        assert_eq!(paused.to_string(), expected);
        tally.resume();
        let after = meter.read(&tally, now).expect("it is over");
        assert_eq!(after.to_string(), "asking the hub");
        tally.expect(10);
        tally.begin("base", "model.safetensors");
        tally.arrived(5);
        tally.pause("the connection failed (reset)".to_owned(), Duration::ZERO);
        let paused = meter.read(&tally, Instant::now()).expect("begun");
        let expected =
            "base model · 5 B of 10 B · trying again in 0 s: the connection failed (reset)";
        assert_eq!(paused.to_string(), expected);
    }

    #[test]
    fn shows_that_the_server_sends_nothing() {
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
    fn a_pause_does_not_lower_the_speed() {
        let (tally, mut meter, start) = (Tally::default(), Meter::new(), Instant::now());
        tally.expect(1_000);
        tally.begin("base", "a");
        meter.read(&tally, start);
        tally.pause("too many requests (429)".to_owned(), Duration::from_secs(3));
        meter.read(&tally, start + Duration::from_secs(3));
        tally.resume();
        tally.arrived(100);
        let read = meter.read(&tally, start + Duration::from_secs(4)).expect("begun");
        assert_eq!(read.bytes_per_s, Some(100.0));
    }

    #[test]
    fn the_speed_covers_only_the_last_seconds() {
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
