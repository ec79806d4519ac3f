//! Files that somebody else wrote: not read by the gigabyte where they are called small, and not
//! waited for where they are none.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Opens a file that is one.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for whoever writes to it.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no file"));
    }
    File::open(path)
}

/// Reads a text file that has no business being longer than `most` bytes: what a folder from
/// elsewhere calls small is not read by the gigabyte.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    read_all(open_file(path)?, most)
}

/// Reads all that is in an open file, or comes through a pipe, if that is not more than `most`
/// bytes.
pub(crate) fn read_all(file: File, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = file.take(most.saturating_add(1)).read_to_string(&mut text)?;
    if read as u64 > most {
        let problem = format!("is longer than {most} bytes, which cannot be right");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_not_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a");
        std::fs::write(&file, "1234").expect("written");
        assert_eq!(read_text(&file, 4).ok().as_deref(), Some("1234"));
        let problem = read_text(&file, 3).expect_err("too long").to_string();
        assert!(problem.contains("longer than 3 bytes"), "{problem}");
        #[cfg(unix)]
        {
            let pipe = dir.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(made.is_ok_and(|status| status.success()));
            assert!(read_text(&pipe, 100).is_err(), "nobody writes to it");
        }
        #[cfg(target_os = "linux")]
        for endless in ["/dev/zero", "/dev/tty"] {
            assert!(read_text(Path::new(endless), 100).is_err());
        }
    }
}
