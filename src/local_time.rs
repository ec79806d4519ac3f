//! The local date and time that chat templates can use. A run records it, so that it can be
//! repeated on another day.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use serde::{Deserialize, Serialize};

/// A local date and time, to the second. Files store it as `2026-11-27T12:00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalTime(DateTime);

impl LocalTime {
    /// Returns the current local time.
    pub fn now() -> Self {
        let now = jiff::Zoned::now().datetime();
        Self(now.with().subsec_nanosecond(0).build().unwrap_or(now))
    }

    /// Formats the time as Python's `datetime.strftime` does for a time without a zone.
    ///
    /// # Errors
    /// Returns an error if a directive is unknown.
    pub(crate) fn strftime(self, format: &str) -> Result<String, String> {
        // For a time without a zone, Python writes nothing for %Z and %z, and six digits for %f.
        let mut known = String::with_capacity(format.len());
        let mut rest = format.chars();
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
        time.map_err(|_| format!("{text:?} is not a local time; write it as 2026-11-27T12:00:00"))
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
    fn parses_writes_and_formats_times_as_python_does() {
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
