//! Reads text files from elsewhere (bounded in length, without blocking on pipes, whatever marks an
//! editor put at their start) and shortens texts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Byte order mark, as Windows editors write it at the start of a UTF-8 file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Opens a regular file; anything else is refused.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    // Opening a pipe would block until something writes to it.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no file"));
    }
    File::open(path)
}

/// Reads a UTF-8 text file of at most `most` bytes. A byte order mark at its start is dropped.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    read_all(open_file(path)?, most)
}

/// Reads an open file or pipe to its end, as [`read_text`] does.
pub(crate) fn read_all(file: File, most: u64) -> io::Result<String> {
    let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let mut bytes = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if read as u64 > most {
        return Err(invalid(format!("is longer than {most} bytes, which cannot be right")));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(invalid("is UTF-16 text; save it as UTF-8".to_owned()));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8 text".to_owned()))?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}

/// The beginning of a text in one line of at most `most` characters.
pub fn excerpt(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let cut: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_files_are_bounded_and_decoded() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a");
        std::fs::write(&file, "1234").expect("written");
        assert_eq!(read_text(&file, 4).ok().as_deref(), Some("1234"));
        let problem = read_text(&file, 3).expect_err("too long").to_string();
        assert!(problem.contains("longer than 3 bytes"), "{problem}");
        for (bytes, expected) in [
            ("\u{feff}Hi\r\n".as_bytes(), Ok("Hi\r\n")),
            (b"\xff\xfeH\0i\0", Err("UTF-16")),
            (b"\xfe\xff\0H\0i", Err("UTF-16")),
            (b"H\xffi", Err("not UTF-8")),
        ] {
            std::fs::write(&file, bytes).expect("written");
            match (read_text(&file, 100), expected) {
                (Ok(text), expected) => assert_eq!(Ok(text.as_str()), expected),
                (Err(e), expected) => {
                    assert!(expected.is_err_and(|part| e.to_string().contains(part)), "{e}");
                }
            }
        }
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
