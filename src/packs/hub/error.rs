//! Errors of the hub. Each message says what is wrong and what to do.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::format;

/// The failure of a hub request, with the model and the file.
#[derive(Debug, Error)]
#[error("{id} on the hub{}: {failure}", FileSuffix(.file.as_deref()))]
pub struct HubError {
    /// Name of the repository, such as `openai-community/gpt2`.
    pub id: String,
    /// The file, if the failure concerns one.
    pub file: Option<String>,
    /// The problem and what to do.
    #[source]
    pub failure: HubFailure,
}

struct FileSuffix<'a>(Option<&'a str>);

impl fmt::Display for FileSuffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|file| write!(f, ", {file}"))
    }
}

/// The reason why a hub request failed. The message states the problem and, after a semicolon, what
/// to do.
#[derive(Debug, Error)]
pub enum HubFailure {
    /// The server answered with an error status.
    #[error("{}", refusal(*.status, .wait.as_ref()))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The wait that the server requested (`Retry-After`).
        wait: Option<Duration>,
    },
    /// No connection to the address.
    #[error("cannot be reached ({0}); check the network, or HF_ENDPOINT, and try again")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection failed ({0}); check the network and try again")]
    Network(String),
    /// The server sent nothing for this time.
    #[error("the server sent nothing for {}; try again later", format::duration(.0.as_secs_f64()))]
    Stalled(Duration),
    /// A text answer was not complete within this time.
    #[error(
        "the server did not finish within {}; try again later",
        format::duration(.0.as_secs_f64())
    )]
    Slow(Duration),
    /// The transfer ended early.
    #[error("only {held} of {size} bytes arrived; try again to resume the download")]
    CutOff {
        /// Bytes in the partial file.
        held: u64,
        /// Bytes of the whole file.
        size: u64,
    },
    /// The size of the sent file differs from the size on the hub.
    #[error(
        "the hub lists {listed} bytes but {sent} were sent; a proxy or a login page may have \
         answered instead: check the network and try again"
    )]
    Size {
        /// Bytes that the hub lists.
        listed: u64,
        /// Bytes that the server announced or sent.
        sent: u64,
    },
    /// The contents do not match the checksum.
    #[error(
        "the downloaded bytes do not match the hub's checksum and were deleted; try again, and if \
         it fails again use another network or HF_ENDPOINT"
    )]
    Checksum,
    /// The answer is invalid.
    #[error("the answer cannot be used ({0}); check that HF_ENDPOINT is the address of a hub")]
    Answer(String),
    /// A file that the role needs is missing from the repository.
    #[error("{0}")]
    MissingFile(String),
    /// The files are not cached, and requests are disabled.
    #[error(
        "requests to the hub are disabled (HF_HUB_OFFLINE); unset it, or run `ivg-playground \
         models download --pack ...` with a network connection"
    )]
    Offline,
    /// A cached file is damaged, and requests are disabled.
    #[error(
        "the cached file does not match its checksum, and requests to the hub are disabled \
         (HF_HUB_OFFLINE); unset it and run `ivg-playground models download --pack ...`"
    )]
    DamagedOffline,
    /// The user stopped the download.
    #[error("the download was stopped; the next download resumes from the bytes that are kept")]
    Cancelled,
    /// The cache is not writable.
    #[error(
        "cannot write {}: {source}; free some space there, or set HF_HOME to another folder",
        .path.display()
    )]
    Disk {
        /// Path of the file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The home folder for the cache is unknown.
    #[error("there is no home folder for the cache; set HF_HOME to a folder")]
    NoCache,
}

impl HubFailure {
    /// Returns the problem without the advice: the message up to the semicolon.
    pub(super) fn problem(&self) -> String {
        let text = self.to_string();
        text.split_once(';').map_or(text.as_str(), |(problem, _)| problem).to_owned()
    }

    /// Returns whether another attempt may succeed. `has_answered` tells whether the hub was
    /// reached before; if so, an unreachable address is a temporary failure.
    pub(super) fn is_temporary(&self, has_answered: bool) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Network(_) | Self::Stalled(_) | Self::Slow(_) | Self::CutOff { .. } => true,
            Self::Unreachable(_) => has_answered,
            _ => false,
        }
    }
}

fn refusal(status: u16, wait: Option<&Duration>) -> String {
    match status {
        401 | 403 => format!(
            "access is refused ({status}); check the model's name; if the model is gated, \
             accept the model's licence on its page and store a token with `hf auth login` (or \
             set HF_TOKEN)"
        ),
        404 => "not found (404); check the model's name and revision".to_owned(),
        429 => {
            let later = wait.map_or("later".to_owned(), |wait| {
                format!("in {}", format::duration(wait.as_secs_f64()))
            });
            format!(
                "too many requests (429); try again {later}, or store a token to raise the limit"
            )
        }
        500..=599 => format!("the server failed ({status}); try again later"),
        _ => format!("the server answered {status}; check HF_ENDPOINT and try again"),
    }
}
