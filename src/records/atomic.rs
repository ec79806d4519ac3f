//! Files that are there whole or not at all, or a sentence.

use std::path::Path;

use super::RecordError;
pub(super) use crate::atomic::PART;
use crate::atomic::replace;

/// Writes `content` to `path`, replacing what is there: whoever reads it sees the old content or
/// the new, never half, even if the power fails.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), RecordError> {
    let failed = |source| RecordError::Write { path: path.to_owned(), source };
    replace(path, content).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

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
