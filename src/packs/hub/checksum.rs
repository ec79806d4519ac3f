//! Checksums of files on the hub.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// Size of a read, in bytes.
pub(super) const CHUNK_BYTES: usize = 1 << 16;

/// The expected checksum of a file, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256 of the contents, for large files.
    Sha256(String),
    /// Git's blob hash, for small files: SHA-1 of a header and the contents.
    Git(String),
}

impl Checksum {
    /// Parses the name of a blob. Returns `None` if it is not a checksum.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let is_hex = name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match name.len() {
            64 if is_hex => Some(Self::Sha256(name.to_owned())),
            40 if is_hex => Some(Self::Git(name.to_owned())),
            _ => None,
        }
    }

    /// Starts a hash over contents of `size` bytes.
    pub(super) fn begin(&self, size: u64) -> Context {
        match self {
            Self::Sha256(_) => Context::new(&SHA256),
            Self::Git(_) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {size}\0").as_bytes());
                context
            }
        }
    }

    /// Returns whether the hashed contents match this checksum.
    pub(super) fn matches(&self, context: Context) -> bool {
        let (Self::Sha256(expected) | Self::Git(expected)) = self;
        let digest = context.finish();
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        hex == *expected
    }
}

/// Returns whether a cached file matches the checksum in its name. Returns `None` if the name is
/// not a checksum, or as soon as `keep_reading` returns false.
///
/// # Errors
/// Fails if the file cannot be read.
pub(super) fn is_intact(blob: &Path, keep_reading: &dyn Fn() -> bool) -> io::Result<Option<bool>> {
    let real = blob.canonicalize()?;
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(checksum) = Checksum::of_name(&name) else { return Ok(None) };
    let mut file = File::open(&real)?;
    let mut context = checksum.begin(file.metadata()?.len());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if !keep_reading() {
            return Ok(None);
        }
        match file.read(&mut chunk)? {
            0 => return Ok(Some(checksum.matches(context))),
            read => context.update(&chunk[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `printf 'hello\n' | sha256sum` and `printf 'hello\n' | git hash-object --stdin`.
    #[test]
    fn checksums_equal_those_of_sha256sum_and_git() {
        for name in [
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "ce013625030ba8dba906f756967f9e9ca394464a",
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            let file = dir.path().join(name);
            std::fs::write(&file, "hello\n").expect("written");
            assert_eq!(is_intact(&file, &|| true).ok(), Some(Some(true)));
            assert_eq!(is_intact(&file, &|| false).ok(), Some(None));
            std::fs::write(&file, "hellO\n").expect("written");
            assert_eq!(is_intact(&file, &|| true).ok(), Some(Some(false)));
        }
        assert_eq!(Checksum::of_name("5891"), None);
        assert_eq!(Checksum::of_name(&"g".repeat(40)), None);
    }
}
