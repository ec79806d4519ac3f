//! Writes files atomically, with the errors of this module.

use std::path::Path;

use super::RecordError;
pub(super) use crate::atomic_file::PART;
use crate::atomic_file::replace;

/// Writes `content` to `path` and replaces an existing file. Readers see the old content or the
/// new, never a part, even after a power failure.
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
    fn replaces_a_file_and_leaves_no_other_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a.txt");
        write_whole(&file, b"old").expect("written");
        write_whole(&file, b"new").expect("written");
        assert_eq!(fs::read(&file).expect("exists"), b"new");
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[test]
    fn errors_name_the_path_and_a_remedy_and_leave_no_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let refused = |path: &Path| write_whole(path, b"x").expect_err("refused").to_string();
        let folder = refused(dir.path());
        assert!(folder.contains("name a file") && folder.contains(&*dir.path().to_string_lossy()));
        assert!(refused(&dir.path().join("no/file")).contains("a folder that exists"));
        let file = dir.path().join("file");
        write_whole(&file, b"x").expect("written");
        assert!(refused(&file.join("below")).contains("a folder that exists"));
        let mut protected = fs::metadata(&file).expect("exists").permissions();
        protected.set_readonly(true);
        fs::set_permissions(&file, protected).expect("protected");
        assert!(refused(&file).contains("you may write to"));
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn unfinished_files_of_a_killed_program_do_not_block_writing() {
        let dir = tempfile::tempdir().expect("a folder");
        let unfinished: Vec<PathBuf> = (0..200)
            .map(|i| dir.path().join(format!(".ivg-{}-{i}{PART}", std::process::id())))
            .collect();
        unfinished.iter().for_each(|path| fs::write(path, b"half").expect("written"));
        let file = dir.path().join("file");
        write_whole(&file, b"whole").expect("written");
        assert_eq!(fs::read(&file).expect("exists"), b"whole");
        assert!(unfinished.iter().all(|path| fs::read(path).expect("exists") == b"half"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reports_a_full_disk_and_does_not_replace_a_device_file() {
        let full = write_whole(Path::new("/dev/full"), b"x").expect_err("full").to_string();
        assert!(full.contains("/dev/full") && full.contains("free some space"), "{full}");
        write_whole(Path::new("/dev/null"), b"x").expect("written");
        assert!(!fs::metadata("/dev/null").expect("exists").is_file());
    }

    #[cfg(unix)]
    #[test]
    fn writes_to_the_target_of_a_symbolic_link() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, b"old").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        write_whole(&link, b"new").expect("written");
        assert!(fs::symlink_metadata(&link).expect("exists").file_type().is_symlink());
        assert_eq!(fs::read(&file).expect("exists"), b"new");
    }
}
