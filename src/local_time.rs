//! The local date and time that chat templates may ask for. A run notes the one it was given, so
//! that it can be repeated on another day.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use serde::{Deserialize, Serialize};

/// A local date and time, to the second. Files write it as `2026-11-27T12:00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalTime(DateTime);

impl LocalTime {
    /// The time now.
    pub fn now() -> Self {
        let now = jiff::Zoned::now().datetime();
        Self(now.with().subsec_nanosecond(0).build().unwrap_or(now))
    }

    /// The time in the form that Python's `datetime.strftime` gives it; a local time has no zone.
    ///
    /// # Errors
    /// A directive that is not known.
    pub(crate) fn strftime(self, form: &str) -> Result<String, String> {
        // A time without a zone has neither of these in Python, and microseconds of six digits.
        let mut known = String::with_capacity(form.len());
        let mut rest = form.chars();
        while let Some(character) = rest.next() {
            match (character, rest.clone().next()) {
                ('%', Some('Z' | 'z')) => drop(rest.next()),
                ('%', Some('f')) => {
                    rest.next();
                    known.push_str("000000");
                }
                ('%', Some(next)) => {
                    rest.next();
                    known.extend([character, next]);
                }
                _ => known.push(character),
            }
        }
        let config = Config::new().custom(PosixCustom::new());
        let time = BrokenDownTime::from(self.0);
        time.to_string_with_config(&config, &known).map_err(|error| error.to_string())
    }
}

impl FromStr for LocalTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = text.parse::<DateTime>().map(Self);
        time.map_err(|_| format!("{text:?} is no local time; write one as 2026-11-27T12:00:00"))
    }
}

impl TryFrom<String> for LocalTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LocalTime> for String {
    fn from(time: LocalTime) -> Self {
        time.to_string()
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_written_and_formatted_as_python_does() {
        let time: LocalTime = "2026-11-07T09:05:00".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-11-07T09:05:00");
        assert_eq!(LocalTime::now().to_string().parse(), Ok(LocalTime::now()));
        for (form, expected) in [
            ("%Y-%m-%d", "2026-11-07"),
            ("%d %b %Y", "07 Nov 2026"),
            ("%B %-d, %Y", "November 7, 2026"),
            ("%A %H:%M:%S%Z", "Saturday 09:05:00"),
            ("100%%Z", "100%Z"),
            ("%c|%x|%X|%f", "Sat Nov  7 09:05:00 2026|11/07/26|09:05:00|000000"),
        ] {
            assert_eq!(time.strftime(form).as_deref(), Ok(expected), "{form}");
        }
        assert!(time.strftime("%").is_err() && "today".parse::<LocalTime>().is_err());
        assert_eq!(
            "2026-11-07".parse::<LocalTime>().map(|t| t.to_string()).ok().as_deref(),
            Some("2026-11-07T00:00:00")
        );
    }
}
