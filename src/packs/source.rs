//! Where the files of a role are: in the pack, elsewhere on this machine, on the hub.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::asset_roots;
use crate::lm::{GgufFile, split_parts};
use crate::text::read_text;

/// Longest name of a commit that is read, in bytes.
const MAX_REF_BYTES: u64 = 200;

/// The branch that is meant when none is named.
pub const MAIN: &str = "main";

/// Where the files of one role are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A folder, or a `.gguf` file, inside the pack.
    Pack(PathBuf),
    /// The same inside a pack that came with the program: `imdb/judge`.
    Bundled(PathBuf),
    /// A folder, or a `.gguf` file, anywhere on this machine. `~/` stands for the home folder.
    Folder(PathBuf),
    /// A model on the Hugging Face hub.
    Hub(HubModel),
}

/// A model on the Hugging Face hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubModel {
    /// Its name, such as `openai-community/gpt2`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The one `.gguf` file of the repository to use; none for its safetensors.
    pub file: Option<String>,
}

/// Files on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// A folder with `config.json`, `tokenizer.json` and safetensors.
    Folder(PathBuf),
    /// A `.gguf` file, which holds everything.
    Gguf(PathBuf),
}

impl Local {
    /// The folder or file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Gguf(path) => path,
        }
    }

    /// What `path` is: a GGUF file by its name or its first bytes, or else a folder.
    pub(super) fn at(path: PathBuf) -> Self {
        if GgufFile::is_one(&path) { Self::Gguf(path) } else { Self::Folder(path) }
    }

    /// The files in it, sorted: those of the folder itself, not of folders below.
    ///
    /// # Errors
    /// What the system says.
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
    /// Refuses what cannot be a source.
    ///
    /// # Errors
    /// The field (`path`, `bundled`, `folder`, `hub`, `revision`, `file`) and what is wrong with
    /// it.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Pack(path) if is_plain(path) => Ok(()),
            Self::Pack(_) => {
                Err("path must name a folder or a GGUF file inside the pack, without . and ..; \
                                  for one elsewhere on this machine write folder"
                    .to_owned())
            }
            Self::Bundled(path) if is_plain(path) && path.components().count() > 1 => Ok(()),
            Self::Bundled(_) => {
                Err("bundled must name a pack that came with the program and what \
                                     is in it, such as imdb/judge"
                    .to_owned())
            }
            Self::Folder(path) if path.is_absolute() || path.starts_with("~") => Ok(()),
            Self::Folder(_) => Err("folder must begin with / or ~/; \
                                    for one inside the pack write path"
                .to_owned()),
            Self::Hub(model) => model.check(),
        }
    }

    /// Whether there is something at a place on this machine that does not depend on a pack. What
    /// is in a pack or on the hub is taken to be there.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Folder(path) => expanded(path).is_ok_and(|path| path.exists()),
            Self::Bundled(path) => asset_roots().iter().any(|root| root.join(path).exists()),
            Self::Pack(_) | Self::Hub(_) => true,
        }
    }

    /// Whether the source is one `.gguf` file.
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

/// Whether `text` is letters, digits and `others`, and not empty.
fn is_word(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

pub(super) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

/// Whether `path` stays where it starts: no root, no way up.
pub(super) fn is_plain(path: &Path) -> bool {
    !path.as_os_str().is_empty() && path.components().all(|c| matches!(c, Component::Normal(_)))
}

/// `path` inside `pack`. Refused if a link leads outside: a downloaded pack must not read other
/// files of the computer. To use files elsewhere, the manifest names their folder with `folder`.
pub(super) fn inside(pack: &Path, path: &Path) -> Result<PathBuf, String> {
    let found = pack.join(path);
    check_inside(pack, &found)?;
    Ok(found)
}

/// Refuses `found` if it, a file in it, or another part of the same split file is a link that leads
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
        // A dangling link leads nowhere; whatever needs the file reports that it is missing.
        let Ok(real) = path.canonicalize() else { continue };
        if !real.starts_with(&root) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(format!(
                "'{name}' is a link that leads out of the pack; put the file itself there, or name the \
                 place of a model with folder"
            ));
        }
    }
    Ok(())
}

/// The snapshot in `folder`, if that is a model's folder in the hub's cache (`models--owner--name`):
/// the one of its main branch, or the only one. Any other folder is its own.
///
/// # Errors
/// A folder of the cache from which the snapshot does not follow.
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
                "is a model's folder in the hub's cache and holds {count}; write hub = \"{}\", or \
                 name the folder snapshots/COMMIT in it",
                id.replacen("--", "/", 1)
            ))
        }
    }
}

/// `path` with the home folder for a leading `~`.
pub(super) fn expanded(path: &Path) -> Result<PathBuf, String> {
    let Ok(rest) = path.strip_prefix("~") else { return Ok(path.to_owned()) };
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    home.map(|home| home.join(rest))
        .ok_or_else(|| "there is no home folder; write the whole path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(id: &str, revision: &str, file: Option<&str>) -> Result<(), String> {
        let (id, revision) = (id.to_owned(), revision.to_owned());
        Source::Hub(HubModel { id, revision, file: file.map(str::to_owned) }).check()
    }

    #[test]
    fn names_on_the_hub_cannot_leave_the_cache() {
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
    fn a_folder_says_where_it_is() {
        let folder = |p: &str| Source::Folder(p.into()).check();
        assert!(folder("/a/b").is_ok() && folder("~/models").is_ok());
        let bundled = |p: &str| Source::Bundled(p.into()).check();
        assert!(bundled("imdb/judge").is_ok());
        for bad in ["imdb", "../imdb/judge", "/imdb/judge", ""] {
            assert!(bundled(bad).expect_err("refused").contains("came with"), "{bad}");
        }
        assert!(folder("a/b").expect_err("refused").contains("path"));
        assert!(Source::Pack("a/../b".into()).check().expect_err("refused").contains("inside"));
    }

    #[test]
    fn a_folder_of_the_cache_stands_for_its_snapshot() {
        let dir = tempfile::tempdir().expect("a folder");
        let model = dir.path().join("models--o--m");
        let made = |path: &str| {
            std::fs::create_dir_all(model.join(path)).expect("a folder");
            model.join(path)
        };
        assert_eq!(snapshot(model.clone()), Ok(model.clone()));
        made("snapshots");
        assert!(snapshot(model.clone()).is_err_and(|reason| reason.contains("no snapshot")));
        let first = made("snapshots/aa");
        assert_eq!(snapshot(model.clone()), Ok(first));
        let second = made("snapshots/bb");
        assert!(snapshot(model.clone()).is_err_and(|reason| reason.contains("hub = \"o/m\"")));
        made("refs");
        for (main, expected) in [("bb\n", Ok(second)), ("../..", Err(()))] {
            std::fs::write(model.join("refs/main"), main).expect("written");
            assert_eq!(snapshot(model.clone()).map_err(|_| ()), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_pack_is_refused() {
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
        // A snapshot lies deeper than what its folder's name says.
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
