//! A test server with a model, an empty cache, and file sets for the model.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ivg_playground::packs::hub::{
    FileSet, Hub, HubError, HubSettings, Need, Progress, Token, Watch,
};
use ivg_playground::packs::{HubModel, Local};

use super::server::Server;

/// Content of the large file of a model. A download does not parse it.
pub fn weights() -> Vec<u8> {
    (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

pub fn model_files(weights: &[u8]) -> [(&str, &[u8]); 4] {
    [
        ("README.md", b"not needed"),
        ("config.json", b"{}"),
        ("model.safetensors", weights),
        ("tokenizer.json", b"{\"a\":1}"),
    ]
}

/// A server with `tiny/model`, and an empty cache.
pub struct Bench {
    pub server: Server,
    pub dir: tempfile::TempDir,
    pub settings: HubSettings,
}

impl Bench {
    pub fn new(server: Server) -> Self {
        server.add("tiny/model", &model_files(&weights()));
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&server.address, &dir.path().join("hub"));
        Self { server, dir, settings }
    }

    pub fn hub(&self) -> Hub {
        Hub::new(self.settings.clone())
    }

    pub fn fetch(&self, file_set: &FileSet) -> Result<PathBuf, HubError> {
        let found = fetch(&self.hub(), file_set, false)?;
        Ok(found.path().to_owned())
    }

    /// Returns the model's folder in the cache.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("hub/models--tiny--model")
    }

    /// Returns the sorted names in a subfolder of the model's folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root().join(folder)) else { return Vec::new() };
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Returns the incomplete file, if any. There must be at most one.
    pub fn partial(&self) -> Option<PathBuf> {
        let names = self.names("blobs");
        let mut partial = names.iter().filter(|name| name.ends_with(".incomplete"));
        let found = partial.next().map(|name| self.root().join("blobs").join(name));
        assert!(partial.next().is_none(), "{names:?}");
        found
    }
}

/// Returns settings with short waits, so that tests are fast.
pub fn settings(endpoint: &str, cache: &Path) -> HubSettings {
    HubSettings {
        endpoint: endpoint.to_owned(),
        cache: Some(cache.to_owned()),
        token: Token::new("hf_secret"),
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(300),
        retries: 3,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
        max_retry_after: Duration::from_secs(2),
        ..HubSettings::default()
    }
}

pub fn fetch(hub: &Hub, file_set: &FileSet, update: bool) -> Result<Local, HubError> {
    let mut watch = Watch { cancelled: &|| false, progress: &mut |_: &Progress| {} };
    let mut found = hub.fetch(std::slice::from_ref(file_set), update, &mut watch)?;
    assert_eq!(found.len(), 1);
    Ok(found.remove(0))
}

pub fn file_set_of(need: Need) -> FileSet {
    let (id, revision) = ("tiny/model".to_owned(), "main".to_owned());
    let file = if let Need::Gguf(file) = &need { Some(file.clone()) } else { None };
    FileSet { role: "base", model: HubModel { id, revision, file }, need }
}

pub fn file_set() -> FileSet {
    file_set_of(Need::Model)
}
