//! Settings of the hub: address, cache, token, timeouts and retries.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::packs::source::expanded;

/// Settings of the hub.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Address of the hub, without a trailing slash.
    pub endpoint: String,
    /// Folder of the cache that other tools share, or `None` if the home folder is unknown.
    pub cache: Option<PathBuf>,
    /// Access token for gated models.
    pub token: Option<Token>,
    /// Whether requests are disabled.
    pub is_offline: bool,
    /// Maximum time to connect.
    pub connect_timeout: Duration,
    /// Maximum time without data from the server.
    pub stall_timeout: Duration,
    /// Maximum number of retries after attempts without new data.
    pub retries: u32,
    /// Wait before the first retry. It doubles for each further retry.
    pub first_wait: Duration,
    /// Maximum wait before a retry.
    pub longest_wait: Duration,
    /// Maximum wait that a server may request (`Retry-After`). A longer one ends the download.
    pub max_retry_after: Duration,
}

/// An access token. Its `Debug` output hides the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Creates a token from trimmed text. Returns `None` if it is empty or not allowed in a header.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_sendable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        is_sendable.then(|| Self(text.to_owned()))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Default for HubSettings {
    /// Returns the settings of the public hub, without a cache or a token.
    fn default() -> Self {
        Self {
            endpoint: "https://huggingface.co".to_owned(),
            cache: None,
            token: None,
            is_offline: false,
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            retries: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(300),
        }
    }
}

impl HubSettings {
    /// Reads the settings from the environment, as other tools of the hub do: `HF_ENDPOINT`;
    /// `HF_HUB_CACHE`, `HF_HOME` or `XDG_CACHE_HOME` for the cache; `HF_TOKEN`, or else the token
    /// that `hf auth login` stores; `HF_HUB_OFFLINE`. Like `huggingface_hub`, also reads the older
    /// names `HUGGINGFACE_HUB_CACHE`, `HUGGING_FACE_HUB_TOKEN` and `TRANSFORMERS_OFFLINE` if the
    /// newer ones are unset.
    pub fn from_env() -> Self {
        Self::from_vars(&|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_vars(var: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let text = |name: &str| var(name).and_then(|value| value.into_string().ok());
        let folder = |name: &str| var(name).map(|value| expanded_folder(&value));
        let hf_home = folder("HF_HOME")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(std::env::home_dir()?.join(".cache/huggingface")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(hf_home.as_ref()?.join("hub")));
        let stored = folder("HF_TOKEN_PATH").or_else(|| Some(hf_home.as_ref()?.join("token")));
        let stored = || std::fs::read_to_string(stored?).ok();
        let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(stored);
        let default = Self::default();
        let is_on = |text: String| {
            ["1", "on", "yes", "true"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
        };
        Self {
            endpoint: text("HF_ENDPOINT")
                .map_or(default.endpoint, |url| url.trim_end_matches('/').to_owned()),
            cache,
            token: token.as_deref().and_then(Token::new),
            is_offline: text("HF_HUB_OFFLINE")
                .or_else(|| text("TRANSFORMERS_OFFLINE"))
                .is_some_and(is_on),
            ..Self::default()
        }
    }
}

/// Returns a folder from the environment, with a leading `~` replaced by the home folder.
fn expanded_folder(value: &OsStr) -> PathBuf {
    let path = Path::new(value);
    expanded(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> HubSettings {
        let find = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into());
        HubSettings::from_vars(&find)
    }

    #[test]
    fn uses_the_cache_folder_of_other_tools() {
        let cache = |vars: &[(&str, &str)]| settings(vars).cache.expect("a cache");
        assert_eq!(cache(&[("HF_HOME", "/a")]), Path::new("/a/hub"));
        assert_eq!(cache(&[("HF_HOME", "/a"), ("HF_HUB_CACHE", "/b")]), Path::new("/b"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/c")]), Path::new("/c/huggingface/hub"));
        let older = ("HUGGINGFACE_HUB_CACHE", "/d");
        assert_eq!(cache(&[older, ("HF_HOME", "/a")]), Path::new("/d"));
        assert_eq!(cache(&[older, ("HF_HUB_CACHE", "/b")]), Path::new("/b"));
    }

    #[test]
    fn finds_the_token_and_hides_it_in_debug_output() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("token"), "hf_stored\n").expect("written");
        let home = dir.path().to_str().expect("a path");
        let stored = settings(&[("HF_HOME", home)]);
        assert_eq!(stored.token, Token::new("hf_stored"));
        assert!(!format!("{stored:?}").contains("hf_stored"));
        let given = settings(&[("HF_HOME", home), ("HF_TOKEN", "hf_given")]);
        assert_eq!(given.token, Token::new("hf_given"));
        let older = settings(&[("HF_HOME", home), ("HUGGING_FACE_HUB_TOKEN", "hf_older")]);
        assert_eq!(older.token, Token::new("hf_older"));
        assert_eq!(Token::new(" \n"), None);
        assert_eq!(Token::new("two\nlines"), None);
    }

    #[test]
    fn reads_endpoint_and_offline_mode() {
        let some = settings(&[("HF_ENDPOINT", "http://mirror/"), ("HF_HUB_OFFLINE", "1")]);
        assert_eq!((some.endpoint.as_str(), some.is_offline), ("http://mirror", true));
        assert!(settings(&[("TRANSFORMERS_OFFLINE", "1")]).is_offline);
        let both = [("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")];
        assert!(!settings(&both).is_offline);
        let none = settings(&[]);
        assert_eq!((none.endpoint.as_str(), none.is_offline), ("https://huggingface.co", false));
    }
}
