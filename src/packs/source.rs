//! Where the files of a role are: in the pack, elsewhere on this machine, or on the hub.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::assets::asset_roots;
use crate::bounded_read::read_text;
use crate::lm::{GgufFile, split_parts};

/// Maximum size of a file with a commit name, in bytes.
const MAX_REF_BYTES: u64 = 200;

/// The default branch of a repository.
pub const MAIN: &str = "main";

/// Where the files of one role are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A folder or a `.gguf` file inside the pack.
    Pack(PathBuf),
    /// A folder or a `.gguf` file inside a bundled pack, such as `imdb/judge`.
    Bundled(PathBuf),
    /// A folder or a `.gguf` file anywhere on this machine. `~/` means the home folder.
    Folder(PathBuf),
    /// A model on the Hugging Face hub.
    Hub(HubModel),
}

/// A model on the Hugging Face hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubModel {
    /// Name of the repository, such as `openai-community/gpt2`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The `.gguf` file of the repository to use. `None` selects its safetensors.
    pub file: Option<String>,
}

/// Files on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// A folder with `config.json`, `tokenizer.json` and safetensors.
    Folder(PathBuf),
    /// A `.gguf` file, which contains configuration, tokenizer and weights.
    Gguf(PathBuf),
}

impl Local {
    /// Returns the path of the folder or file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Gguf(path) => path,
        }
    }

    /// Classifies `path` as a GGUF file, by its name or its first bytes, or else as a folder.
    pub(super) fn at(path: PathBuf) -> Self {
        if GgufFile::is_gguf(&path) { Self::Gguf(path) } else { Self::Folder(path) }
    }

    /// Returns the files directly in the folder, or the parts of the GGUF file that exist, sorted.
    ///
    /// # Errors
    /// Fails if the folder cannot be read.
    pub fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        let folder = match self {
            Self::Gguf(file) => {
                let mut parts = split_parts(file);
                parts.retain(|part| part == file || part.is_file());
                return Ok(parts);
            }
            Self::Folder(folder) => folder,
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pack(path) => write!(f, "pack: {}", path.display()),
            Self::Bundled(path) => write!(f, "bundled: {}", path.display()),
            Self::Folder(path) => write!(f, "folder: {}", path.display()),
            Self::Hub(model) => write!(f, "hub: {model}"),
        }
    }
}

impl fmt::Display for HubModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if self.revision != MAIN {
            write!(f, "@{}", self.revision)?;
        }
        self.file.iter().try_for_each(|file| write!(f, "/{file}"))
    }
}

impl Source {
    /// Checks that the source is valid, without reading any files.
    ///
    /// # Errors
    /// Returns the field (`path`, `bundled`, `folder`, `hub`, `revision` or `file`) and its
    /// problem.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Pack(path) if is_plain(path) => Ok(()),
            Self::Pack(_) => {
                Err("path must name a folder or a GGUF file inside the pack, without . and ..; \
                     use folder for one elsewhere on this machine"
                    .to_owned())
            }
            Self::Bundled(path) if is_plain(path) && path.components().count() > 1 => Ok(()),
            Self::Bundled(_) => {
                Err("bundled must name a pack of the program and a path inside it, such as \
                     imdb/judge"
                    .to_owned())
            }
            Self::Folder(path) if path.is_absolute() || path.starts_with("~") => Ok(()),
            Self::Folder(_) => {
                Err("folder must begin with / or ~/; use path for one inside the pack".to_owned())
            }
            Self::Hub(model) => model.check(),
        }
    }

    /// Returns whether the path of a folder or bundled source exists. Returns true for sources in
    /// the pack or on the hub, which are not checked.
    pub fn exists(&self) -> bool {
        match self {
            Self::Folder(path) => expanded(path).is_ok_and(|path| path.exists()),
            Self::Bundled(path) => asset_roots().iter().any(|root| root.join(path).exists()),
            Self::Pack(_) | Self::Hub(_) => true,
        }
    }

    /// Returns whether the source names a `.gguf` file.
    pub fn is_gguf(&self) -> bool {
        match self {
            Self::Pack(path) | Self::Bundled(path) | Self::Folder(path) => is_gguf(path),
            Self::Hub(model) => model.file.is_some(),
        }
    }
}

impl HubModel {
    fn check(&self) -> Result<(), String> {
        let parts: Vec<&str> = self.id.split('/').collect();
        let is_name = |part: &&str| is_word(part, "._-") && !part.starts_with(['.', '-']);
        if parts.len() > 2 || !parts.iter().all(is_name) || self.id.contains("..") {
            return Err("hub must be a model's name, such as owner/model".to_owned());
        }
        let is_revision = self.revision.split('/').all(|part| is_word(part, "._-+@"));
        if !is_revision || !is_plain(Path::new(&self.revision)) {
            return Err("revision must be a branch, a tag or a commit".to_owned());
        }
        match &self.file {
            Some(file) if !is_plain(Path::new(file)) || !is_gguf(Path::new(file)) => {
                Err("file must name a .gguf file of the repository; leave it out for safetensors"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether `text` is non-empty and consists of ASCII letters, digits and `others`.
fn is_word(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

pub(super) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

/// Returns whether `path` is relative and has no `.` or `..`.
pub(super) fn is_plain(path: &Path) -> bool {
    !path.as_os_str().is_empty() && path.components().all(|c| matches!(c, Component::Normal(_)))
}

/// Returns the full path of `path` inside `pack`. Rejects a link that leads out of the pack: a
/// downloaded pack must not read other files of the computer. A manifest names files elsewhere with
/// `folder`.
pub(super) fn inside(pack: &Path, path: &Path) -> Result<PathBuf, String> {
    let found = pack.join(path);
    check_inside(pack, &found)?;
    Ok(found)
}

/// Rejects `found` if it, a file in it, or another part of the same split file is a link that leads
/// out of `pack`.
pub(super) fn check_inside(pack: &Path, found: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{e}; check that the pack folder is complete");
    let root = pack.canonicalize().map_err(failed)?;
    let mut all = split_parts(found);
    if found.is_dir() {
        let entries = std::fs::read_dir(found).map_err(failed)?;
        all.extend(entries.flatten().map(|entry| entry.path()));
    }
    for path in all {
        // A dangling link is reported as a missing file on loading.
        let Ok(real) = path.canonicalize() else { continue };
        if !real.starts_with(&root) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(format!(
                "'{name}' is a link that leads out of the pack; replace the link by the file, or \
                 use folder for a model elsewhere on this machine"
            ));
        }
    }
    Ok(())
}

/// Returns the snapshot in a model folder of the hub cache (`models--owner--name`): the one of the
/// main branch, or the only one. Returns any other folder unchanged.
///
/// # Errors
/// Fails for a model folder of the cache without a snapshot, or with several and no main branch.
pub(super) fn snapshot(folder: PathBuf) -> Result<PathBuf, String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let all = folder.join("snapshots");
    let Some(id) = name.strip_prefix("models--").filter(|_| all.is_dir()) else {
        return Ok(folder);
    };
    let main = read_text(&folder.join("refs").join(MAIN), MAX_REF_BYTES).unwrap_or_default();
    let main = Path::new(main.trim());
    if is_plain(main) && all.join(main).is_dir() {
        return Ok(all.join(main));
    }
    let entries = std::fs::read_dir(&all).map_err(|e| e.to_string())?;
    let mut found = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (first, _) => {
            let count = if first.is_some() { "several snapshots" } else { "no snapshot" };
            Err(format!(
                "is a model folder of the hub cache with {count}; write hub = \"{}\", or name its \
                 subfolder snapshots/COMMIT",
                id.replacen("--", "/", 1)
            ))
        }
    }
}

/// Returns `path` with a leading `~` replaced by the home folder.
pub(super) fn expanded(path: &Path) -> Result<PathBuf, String> {
    let Ok(rest) = path.strip_prefix("~") else { return Ok(path.to_owned()) };
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    home.map(|home| home.join(rest))
        .ok_or_else(|| "the home folder for ~ is unknown; write the full path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(id: &str, revision: &str, file: Option<&str>) -> Result<(), String> {
        let (id, revision) = (id.to_owned(), revision.to_owned());
        Source::Hub(HubModel { id, revision, file: file.map(str::to_owned) }).check()
    }

    #[test]
    fn rejects_hub_names_that_lead_out_of_the_cache() {
        for good in ["gpt2", "owner/model", "a-b/c_d.e-1"] {
            assert!(hub(good, "main", None).is_ok(), "{good}");
        }
        for bad in ["", "a/b/c", "../b", "a/..", "/a", "a/", "a b/c", "a/b?x", "-a/b", ".a/b"] {
            assert!(hub(bad, "main", None).expect_err("refused").contains("owner/model"), "{bad}");
        }
        for good in ["main", "refs/pr/5", "v1.0", "0123456789abcdef0123456789abcdef01234567"] {
            assert!(hub("a/b", good, None).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/../b", "/a", "a//b", "a b", "a?b", "a\\b"] {
            assert!(hub("a/b", bad, None).expect_err("refused").contains("revision"), "{bad}");
        }
        assert!(hub("a/b", "main", Some("q8/x.GGUF")).is_ok());
        for bad in ["x.bin", "../x.gguf", "/x.gguf", ""] {
            assert!(hub("a/b", "main", Some(bad)).expect_err("refused").contains(".gguf"), "{bad}");
        }
    }

    #[test]
    fn rejects_paths_of_the_wrong_kind() {
        let folder = |p: &str| Source::Folder(p.into()).check();
        assert!(folder("/a/b").is_ok() && folder("~/models").is_ok());
        let bundled = |p: &str| Source::Bundled(p.into()).check();
        assert!(bundled("imdb/judge").is_ok());
        for bad in ["imdb", "../imdb/judge", "/imdb/judge", ""] {
            assert!(bundled(bad).expect_err("refused").contains("imdb/judge"), "{bad}");
        }
        assert!(folder("a/b").expect_err("refused").contains("path"));
        assert!(Source::Pack("a/../b".into()).check().expect_err("refused").contains("inside"));
    }

    #[test]
    fn finds_the_snapshot_of_a_cache_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let model = dir.path().join("models--o--m");
        let create = |path: &str| {
            std::fs::create_dir_all(model.join(path)).expect("a folder");
            model.join(path)
        };
        assert_eq!(snapshot(model.clone()), Ok(model.clone()));
        create("snapshots");
        assert!(snapshot(model.clone()).is_err_and(|reason| reason.contains("no snapshot")));
        let first = create("snapshots/aa");
        assert_eq!(snapshot(model.clone()), Ok(first));
        let second = create("snapshots/bb");
        assert!(snapshot(model.clone()).is_err_and(|reason| reason.contains("hub = \"o/m\"")));
        create("refs");
        for (main, expected) in [("bb\n", Ok(second)), ("../..", Err(()))] {
            std::fs::write(model.join("refs/main"), main).expect("written");
            assert_eq!(snapshot(model.clone()).map_err(|_| ()), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn rejects_links_that_lead_out_of_the_pack() {
        let dir = tempfile::tempdir().expect("a folder");
        let (pack, out) = (dir.path().join("pack"), dir.path().join("out"));
        for folder in [pack.join("a"), pack.join("b"), out.clone()] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        std::fs::write(out.join("f"), "").expect("a file");
        let link = |to: &Path, name: &str| {
            std::os::unix::fs::symlink(to, pack.join(name)).expect("a link");
        };
        link(&out, "all");
        link(&out.join("f"), "a/one");
        link(&pack.join("a"), "b/within");
        // The snapshot is a subfolder of the folder that the pack names.
        let cached = pack.join("models--o--m/snapshots/aa");
        std::fs::create_dir_all(&cached).expect("a folder");
        link(&out.join("f"), "models--o--m/snapshots/aa/config.json");
        let found =
            inside(&pack, Path::new("models--o--m")).and_then(snapshot).expect("a snapshot");
        assert!(check_inside(&pack, &found).is_err_and(|reason| reason.contains("config.json")));
        let inside = |name: &str| inside(&pack, Path::new(name));
        assert!(inside("all").expect_err("refused").contains("'all' is a link"));
        assert!(inside("a").expect_err("refused").contains("'one' is a link"));
        std::fs::write(pack.join("m-00001-of-00002.gguf"), "").expect("a file");
        link(&out.join("f"), "m-00002-of-00002.gguf");
        assert!(inside("m-00001-of-00002.gguf").expect_err("refused").contains("is a link"));
        assert_eq!(inside("b"), Ok(pack.join("b")));
    }
}
