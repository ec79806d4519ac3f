//! Locations of the bundled packs.
//!
//! Packs beside the program or in the source tree are used where they are. An installed program
//! contains the packs and unpacks them once, to the user's cache folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Files of the bundled packs, by their path below the folder of packs.
pub(crate) type EmbeddedFiles = Vec<(&'static Path, &'static [u8])>;

static EMBEDDED: OnceLock<EmbeddedFiles> = OnceLock::new();

/// Overrides where bundled packs are: a folder, or `embedded` for those inside the program.
const VARIABLE: &str = "IVG_ASSETS";

/// Registers the packs that are part of the program. Later calls have no effect.
pub fn embed(files: EmbeddedFiles) {
    // A second registration would change packs in use.
    let _ = EMBEDDED.set(files);
}

/// Returns the folders that may contain bundled packs: beside the program (an unpacked release), in
/// the source tree (`cargo run`), or unpacked from the program.
pub(super) fn asset_roots() -> Vec<PathBuf> {
    let chosen = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let roots = match chosen {
        Some(value) if value == "embedded" => Vec::new(),
        Some(folder) => return vec![folder.into()],
        None => {
            let exe = std::env::current_exe().ok();
            let beside = exe.as_deref().and_then(Path::parent).map(Path::to_owned);
            let roots = beside.into_iter().chain([PathBuf::from(env!("CARGO_MANIFEST_DIR"))]);
            roots.map(|root| root.join("assets/packs")).collect()
        }
    };
    if roots.iter().any(|root| root.is_dir()) {
        return roots;
    }
    roots.into_iter().chain(unpacked().map(Path::to_owned)).collect()
}

/// Returns the folder of the packs inside the program. Unpacks them on the first call.
fn unpacked() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let files = EMBEDDED.get()?;
        let caches = [dirs::cache_dir(), Some(std::env::temp_dir())];
        caches.into_iter().flatten().find_map(|cache| {
            let unpacked = unpack(files, &cache.join("ivg-playground"));
            let warn = |error: &io::Error| {
                tracing::warn!("cannot unpack the bundled packs to {}: {error}", cache.display());
            };
            unpacked.inspect_err(warn).ok()
        })
    });
    folder.as_deref()
}

/// Writes `files` below `cache`, to a folder named after their content, unless it exists.
fn unpack(files: &EmbeddedFiles, cache: &Path) -> io::Result<PathBuf> {
    let mut checksum = crc32fast::Hasher::new();
    for (path, content) in files {
        checksum.update(path.as_os_str().as_encoded_bytes());
        checksum.update(content);
    }
    let name = format!("packs-{}-{:08x}", env!("CARGO_PKG_VERSION"), checksum.finalize());
    let folder = cache.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(cache)?;
    // A folder that exists is complete: it is renamed only after the last file is written.
    let unfinished = tempfile::Builder::new().prefix(".packs-").tempdir_in(cache)?;
    for (path, content) in files {
        let file = unfinished.path().join(path);
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(file, content)?;
    }
    match fs::rename(unfinished.path(), &folder) {
        // Another process may have unpacked the same files meanwhile.
        Err(error) if !folder.is_dir() => Err(error),
        _ => Ok(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(content: &'static [u8]) -> EmbeddedFiles {
        vec![(Path::new("a/pack.toml"), content), (Path::new("a/base/config.json"), b"{}")]
    }

    #[test]
    fn files_are_unpacked_once_and_again_after_a_change() {
        let cache = tempfile::tempdir().expect("a folder");
        let first = unpack(&files(b"one"), cache.path()).expect("unpacked");
        assert_eq!(fs::read(first.join("a/pack.toml")).expect("a file"), b"one");
        assert!(first.join("a/base/config.json").is_file());
        fs::write(first.join("mark"), "").expect("written");
        assert_eq!(unpack(&files(b"one"), cache.path()).expect("unpacked"), first);
        assert!(first.join("mark").exists(), "nothing was written again");
        let second = unpack(&files(b"two"), cache.path()).expect("unpacked");
        assert_ne!(second, first);
        let entries = fs::read_dir(cache.path()).expect("a folder").count();
        assert_eq!(entries, 2, "no unfinished folder remains");
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_an_error() {
        let cache = tempfile::NamedTempFile::new().expect("a file");
        assert!(unpack(&files(b"one"), cache.path()).is_err());
    }
}
