//! What can go wrong with the hub, and what a person can do about it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::words;

/// Files of a hub model that cannot be had.
#[derive(Debug, Error)]
#[error("{id} on the hub{}: {fault}", Place(.file.as_deref()))]
pub struct HubError {
    /// The model.
    pub id: String,
    /// The file, if it is about one.
    pub file: Option<String>,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

struct Place<'a>(Option<&'a str>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|file| write!(f, ", {file}"))
    }
}

/// One way in which a download fails. Its sentence says what is wrong and, behind a semicolon, what
/// to do about it.
#[derive(Debug, Error)]
pub enum Fault {
    /// The hub answered, and said no.
    #[error("{}", refusal(*.status, .wait.as_ref()))]
    Status {
        /// The HTTP status.
        status: u16,
        /// How long it asked us to wait.
        wait: Option<Duration>,
    },
    /// Nobody answers at that address.
    #[error("cannot be reached ({0}); check the network, or HF_ENDPOINT, and try again")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection failed ({0}); check the network and try again")]
    Network(String),
    /// The server sends nothing.
    #[error("the server sent nothing for {}; try again later", words::duration(.0.as_secs_f64()))]
    Stalled(Duration),
    /// The server sends too little of what it should send at once.
    #[error(
        "the server did not come to an end within {}; try again later",
        words::duration(.0.as_secs_f64())
    )]
    Slow(Duration),
    /// The file ended early.
    #[error(
        "only {held} of {size} bytes arrived; try again, the download goes on where it was cut off"
    )]
    CutOff {
        /// Bytes that are here.
        held: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The server sends a file of another size than the hub lists.
    #[error(
        "the hub lists {listed} bytes and {sent} were announced; something between may have \
         answered instead (a proxy, a login page): check the network and try again"
    )]
    Size {
        /// What the hub lists.
        listed: u64,
        /// What the server announces.
        sent: u64,
    },
    /// The bytes are not those of the file.
    #[error(
        "the bytes that arrived do not match the hub's checksum and were thrown away; try again, \
         and if it happens again use another network or HF_ENDPOINT"
    )]
    Checksum,
    /// An answer that cannot be understood.
    #[error("the answer cannot be used ({0}); check that HF_ENDPOINT is a hub")]
    Answer(String),
    /// The repository has not what the role needs.
    #[error("{0}")]
    Lacks(String),
    /// The files are not here and no request may be made.
    #[error(
        "the hub may not be asked (HF_HUB_OFFLINE); unset it, or run `ivg-playground models download \
         --pack ...` where there is a network"
    )]
    Offline,
    /// A cached file is damaged and no request may be made.
    #[error(
        "the cached file does not match its checksum, and the hub may not be asked for another \
         (HF_HUB_OFFLINE); unset it and run `ivg-playground models download --pack ...`"
    )]
    DamagedOffline,
    /// A person stopped it.
    #[error("the download was stopped; what has arrived is kept and the next one goes on from it")]
    Cancelled,
    /// The cache cannot be used.
    #[error("cannot write {}: {source}; free some space there, or set HF_HOME to another folder", .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No place for the cache.
    #[error("there is no home folder for the cache; set HF_HOME to a folder")]
    NoCache,
}

impl Fault {
    /// What is wrong, without what to do about it: its sentence up to the semicolon.
    pub(super) fn problem(&self) -> String {
        let text = self.to_string();
        text.split_once(';').map_or(text.as_str(), |(problem, _)| problem).to_owned()
    }

    /// Whether another attempt may go better. `has_answered`: whether the hub has been reached
    /// before, so that an address where nobody answers is a passing trouble.
    pub(super) fn is_passing(&self, has_answered: bool) -> bool {
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
            "access is refused ({status}); check the model's name, and if the model is gated \
             accept the model's licence on its page and store a token with `hf auth login` (or \
             set HF_TOKEN)"
        ),
        404 => "not found (404); check the model's name and revision".to_owned(),
        429 => {
            let later = wait.map_or("later".to_owned(), |wait| {
                format!("in {}", words::duration(wait.as_secs_f64()))
            });
            format!("too many requests (429); try again {later}, a stored token raises the limit")
        }
        500..=599 => format!("the server is in trouble ({status}); try again later"),
        _ => format!("the server answered {status}; check HF_ENDPOINT and try again"),
    }
}
