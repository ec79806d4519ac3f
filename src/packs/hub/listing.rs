//! What a repository holds, as the hub lists it.

use std::collections::HashMap;

use serde::Deserialize;

use super::cache::is_commit;
use super::checksum::Checksum;
use super::error::Fault;
use super::http::{Ask, Client, escaped, header};
use super::need::Need;
use crate::packs::source::HubModel;

/// A repository at one commit.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default)]
    tags: Vec<String>,
    /// `false`, or how access is granted.
    #[serde(default)]
    gated: serde_json::Value,
    safetensors: Option<Parameters>,
    gguf: Option<Parameters>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob: Option<String>,
    lfs: Option<Large>,
}

/// A file that git holds elsewhere.
#[derive(Debug, Deserialize)]
struct Large {
    sha256: Option<String>,
    size: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    total: Option<u64>,
}

/// One file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its path in the repository.
    pub file: String,
    /// What its contents are called in the cache.
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub checksum: Option<Checksum>,
    pub url: String,
}

impl Listing {
    /// Asks the hub.
    pub fn ask(client: &Client<'_>, model: &HubModel, retries: u32) -> Result<Self, Fault> {
        let revision = escaped(&model.revision).replace('/', "%2F");
        let HubModel { id, .. } = model;
        let endpoint = &client.settings.endpoint;
        let url = format!("{endpoint}/api/models/{id}/revision/{revision}?blobs=true");
        let text = client.text(&url, retries)?;
        let listing: Self = serde_json::from_str(&text)
            .map_err(|e| Fault::Answer(format!("the list of files: {e}")))?;
        // The commit becomes a folder's name.
        if !is_commit(&listing.sha) {
            return Err(Fault::Answer("the list of files names no commit".to_owned()));
        }
        if is_commit(&model.revision) && !listing.sha.eq_ignore_ascii_case(&model.revision) {
            return Err(Fault::Answer("the list of files is of another commit".to_owned()));
        }
        Ok(listing)
    }

    pub fn commit(&self) -> &str {
        &self.sha
    }

    pub fn has(&self, name: &str) -> bool {
        self.siblings.iter().any(|s| s.rfilename == name)
    }

    pub fn licence(&self) -> Option<String> {
        self.tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned)
    }

    pub fn is_gated(&self) -> bool {
        !matches!(self.gated, serde_json::Value::Null | serde_json::Value::Bool(false))
    }

    pub fn parameters(&self) -> Option<u64> {
        self.safetensors.as_ref().or(self.gguf.as_ref())?.total
    }

    /// The files that `need` cannot do without, the index standing for its shards.
    pub fn essential(&self, need: &Need) -> Result<Vec<String>, Fault> {
        need.essential(&|name| self.has(name)).map_err(|missing| self.lacks(need, &missing))
    }

    pub fn lacks(&self, need: &Need, missing: &str) -> Fault {
        let names: Vec<&str> = self.siblings.iter().map(|s| s.rfilename.as_str()).collect();
        Fault::Lacks(need.advice(missing, &names))
    }

    /// Size, name and checksum of `file`, from the list or, where that is bare, from the file's
    /// own headers.
    pub fn item(
        &self,
        client: &Client<'_>,
        model: &HubModel,
        file: &str,
        retries: u32,
    ) -> Result<Item, Fault> {
        let endpoint = &client.settings.endpoint;
        // By the commit and not by the branch: what is resumed later is of the same commit.
        let url = format!("{endpoint}/{}/resolve/{}/{}", model.id, self.sha, escaped(file));
        let listed: HashMap<&str, &Sibling> =
            self.siblings.iter().map(|s| (s.rfilename.as_str(), s)).collect();
        let found = listed.get(file).and_then(|sibling| sibling.contents());
        let (name, size) = match found {
            Some(found) => found,
            None => client.attempt(retries, || headers(client, &url))?,
        };
        let checksum = Checksum::of_name(&name);
        Ok(Item { file: file.to_owned(), name, size, checksum, url })
    }
}

impl Sibling {
    /// What the contents are called, and their size.
    fn contents(&self) -> Option<(String, u64)> {
        let large = self.lfs.as_ref();
        let name = match large {
            Some(large) => large.sha256.clone()?,
            None => self.blob.clone()?,
        };
        let size = large.and_then(|large| large.size).or(self.size)?;
        Checksum::of_name(&name)?;
        Some((name, size))
    }
}

/// What the contents at `url` are called, and their size.
fn headers(client: &Client<'_>, url: &str) -> Result<(String, u64), Fault> {
    let response = client.request(url, Ask::Head)?;
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| header(&response, name));
    let name = first(["x-linked-etag", "etag"]).unwrap_or_default();
    let name = name.trim_start_matches("W/").trim_matches('"');
    // It becomes a file's name.
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_name) {
        return Err(Fault::Answer("a file without a usable etag".to_owned()));
    }
    // The length of a redirect is its own.
    let own = (!response.status().is_redirection()).then_some("content-length");
    let size = first(["x-linked-size", own.unwrap_or("x-linked-size")]);
    let size = size.and_then(|size| size.parse().ok());
    let size = size.ok_or_else(|| Fault::Answer("a file without a size".to_owned()))?;
    Ok((name.to_owned(), size))
}
