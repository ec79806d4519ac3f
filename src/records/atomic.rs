//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::RecordError;

/// How the name of an unfinished file ends.
pub(super) const PART: &str = ".part";

/// Writes `content` to `path`, replacing what is there: whoever reads it sees the old content or
/// the new, never half, even if the power fails.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), RecordError> {
    let failed = |source| RecordError::Write { path: path.to_owned(), source };
    replace(path, content).map_err(failed)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = &followed(path);
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        // A device or a pipe cannot be replaced, only written to.
        Ok(there) if !there.is_file() => {
            return OpenOptions::new().write(true).open(path)?.write_all(content);
        }
        // Renaming would replace it all the same, and somebody has protected it.
        Ok(there) if there.permissions().readonly() => {
            return Err(ErrorKind::PermissionDenied.into());
        }
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    if path.file_name().is_none() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let (part, mut file) = create_part(folder)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    // Closed before it is renamed: some systems insist.
    drop(file);
    let written = written.and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // Nothing else can be done about it; the first error is the one to tell.
        let _ = fs::remove_file(&part);
    }
    written?;
    // Not every file system can: the file itself is safe by now.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// The file behind a link, so that the link stays one.
fn followed(path: &Path) -> PathBuf {
    let is_link = fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_symlink());
    let target = if is_link { fs::canonicalize(path).ok() } else { None };
    target.unwrap_or_else(|| path.to_owned())
}

/// A new file under a name that no other thread or program uses.
fn create_part(folder: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".ivg-{}-{count}{PART}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            // Left behind by a program that had the same number and was killed.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a.txt");
        write_whole(&file, b"old").expect("written");
        write_whole(&file, b"new").expect("written");
        assert_eq!(fs::read(&file).expect("there"), b"new");
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[test]
    fn refusals_name_the_path_and_what_to_do_and_leave_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let refused = |path: &Path| write_whole(path, b"x").expect_err("refused").to_string();
        let folder = refused(dir.path());
        assert!(folder.contains("name a file") && folder.contains(&*dir.path().to_string_lossy()));
        assert!(refused(&dir.path().join("no/file")).contains("a folder that exists"));
        let file = dir.path().join("file");
        write_whole(&file, b"x").expect("written");
        assert!(refused(&file.join("below")).contains("a folder that exists"));
        let mut protected = fs::metadata(&file).expect("there").permissions();
        protected.set_readonly(true);
        fs::set_permissions(&file, protected).expect("protected");
        assert!(refused(&file).contains("you may write to"));
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn what_a_killed_program_left_is_in_nobody_s_way() {
        let dir = tempfile::tempdir().expect("a folder");
        let left: Vec<PathBuf> = (0..200)
            .map(|i| dir.path().join(format!(".ivg-{}-{i}{PART}", std::process::id())))
            .collect();
        left.iter().for_each(|path| fs::write(path, b"half").expect("written"));
        let file = dir.path().join("file");
        write_whole(&file, b"whole").expect("written");
        assert_eq!(fs::read(&file).expect("there"), b"whole");
        assert!(left.iter().all(|path| fs::read(path).expect("there") == b"half"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_and_a_device_stays_one() {
        let full = write_whole(Path::new("/dev/full"), b"x").expect_err("full").to_string();
        assert!(full.contains("/dev/full") && full.contains("free some space"), "{full}");
        write_whole(Path::new("/dev/null"), b"x").expect("swallowed");
        assert!(!fs::metadata("/dev/null").expect("there").is_file());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, b"old").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        write_whole(&link, b"new").expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").file_type().is_symlink());
        assert_eq!(fs::read(&file).expect("there"), b"new");
    }
}
