//! The files of a repository, as the hub lists them.

use std::collections::HashMap;

use serde::Deserialize;

use super::cache::is_commit;
use super::checksum::Checksum;
use super::error::HubFailure;
use super::http::{Client, RequestPart, escaped, header};
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
    /// `false`, or the way access is granted.
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

/// A file in Git LFS.
#[derive(Debug, Deserialize)]
struct Large {
    sha256: Option<String>,
    size: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    total: Option<u64>,
}

/// One file to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Path in the repository.
    pub(crate) file: String,
    /// Name of the blob in the cache.
    pub(crate) name: String,
    /// Size in bytes.
    pub(crate) size: u64,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) url: String,
}

impl Listing {
    /// Requests the list of files from the hub.
    pub(super) fn request(
        client: &Client<'_>,
        model: &HubModel,
        retries: u32,
    ) -> Result<Self, HubFailure> {
        let revision = escaped(&model.revision).replace('/', "%2F");
        let HubModel { id, .. } = model;
        let endpoint = &client.settings.endpoint;
        let url = format!("{endpoint}/api/models/{id}/revision/{revision}?blobs=true");
        let text = client.text(&url, retries)?;
        let listing: Self = serde_json::from_str(&text)
            .map_err(|e| HubFailure::Answer(format!("the list of files: {e}")))?;
        // The commit becomes a folder name, so it must not contain other characters.
        if !is_commit(&listing.sha) {
            return Err(HubFailure::Answer("the list of files names no commit".to_owned()));
        }
        if is_commit(&model.revision) && !listing.sha.eq_ignore_ascii_case(&model.revision) {
            return Err(HubFailure::Answer("the list of files is for another commit".to_owned()));
        }
        Ok(listing)
    }

    pub(super) fn commit(&self) -> &str {
        &self.sha
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.siblings.iter().any(|s| s.rfilename == name)
    }

    pub(super) fn licence(&self) -> Option<String> {
        self.tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned)
    }

    pub(super) fn is_gated(&self) -> bool {
        !matches!(self.gated, serde_json::Value::Null | serde_json::Value::Bool(false))
    }

    pub(super) fn parameters(&self) -> Option<u64> {
        self.safetensors.as_ref().or(self.gguf.as_ref())?.total
    }

    /// Returns the required files, see [`Need::essential`].
    pub(crate) fn essential(&self, need: &Need) -> Result<Vec<String>, HubFailure> {
        need.essential(&|name| self.has(name)).map_err(|missing| self.missing_file(need, &missing))
    }

    pub(crate) fn missing_file(&self, need: &Need, missing: &str) -> HubFailure {
        let names: Vec<&str> = self.siblings.iter().map(|s| s.rfilename.as_str()).collect();
        HubFailure::MissingFile(need.advice(missing, &names))
    }

    /// Returns name, size and checksum of `file`. Requests its headers if the list does not contain
    /// them.
    pub(super) fn item(
        &self,
        client: &Client<'_>,
        model: &HubModel,
        file: &str,
        retries: u32,
    ) -> Result<Item, HubFailure> {
        let endpoint = &client.settings.endpoint;
        // Names the commit instead of the branch, so that a resumed download is of the same commit.
        let url = format!("{endpoint}/{}/resolve/{}/{}", model.id, self.sha, escaped(file));
        let listed: HashMap<&str, &Sibling> =
            self.siblings.iter().map(|s| (s.rfilename.as_str(), s)).collect();
        let listed = listed.get(file).and_then(|sibling| sibling.name_and_size());
        let (name, size) = match listed {
            Some(listed) => listed,
            None => client.attempt(retries, || request_name_and_size(client, &url))?,
        };
        let checksum = Checksum::of_name(&name);
        Ok(Item { file: file.to_owned(), name, size, checksum, url })
    }
}

impl Sibling {
    /// Returns the blob name and the size, if the list contains both.
    fn name_and_size(&self) -> Option<(String, u64)> {
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

/// Requests the blob name and the size of the file at `url`.
fn request_name_and_size(client: &Client<'_>, url: &str) -> Result<(String, u64), HubFailure> {
    let response = client.request(url, RequestPart::Head)?;
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| header(&response, name));
    let name = first(["x-linked-etag", "etag"]).unwrap_or_default();
    let name = name.trim_start_matches("W/").trim_matches('"');
    // The etag becomes a file name.
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_name) {
        return Err(HubFailure::Answer("a file without a usable etag".to_owned()));
    }
    // The content-length of a redirect is not that of the file.
    let length = (!response.status().is_redirection()).then_some("content-length");
    let size = first(["x-linked-size", length.unwrap_or("x-linked-size")]);
    let size = size.and_then(|size| size.parse().ok());
    let size = size.ok_or_else(|| HubFailure::Answer("a file without a size".to_owned()))?;
    Ok((name.to_owned(), size))
}
