//! Reads text files that other programs wrote: limits their length, never blocks on pipes and
//! removes byte order marks. Also shortens texts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Byte order mark, which Windows editors write at the start of UTF-8 files.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Opens a regular file. Returns an error for anything else.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    // Opening a pipe would block until something writes to it.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    File::open(path)
}

/// Reads a UTF-8 text file of at most `max_bytes` bytes. Removes a byte order mark at its start.
pub(crate) fn read_text(path: &Path, max_bytes: u64) -> io::Result<String> {
    read_all(open_file(path)?, max_bytes)
}

/// Reads an open file or pipe to its end; see [`read_text`].
pub(crate) fn read_all(file: File, max_bytes: u64) -> io::Result<String> {
    let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let mut bytes = Vec::new();
    let read = file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if read as u64 > max_bytes {
        return Err(invalid(format!("is longer than {max_bytes} bytes, the maximum")));
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

/// Returns the beginning of a text as one line of at most `max_chars` characters.
pub fn excerpt(text: &str, max_chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max_chars {
        return line;
    }
    let cut: String = line.chars().take(max_chars.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_utf8_text_up_to_the_limit_and_rejects_other_files() {
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
            let status = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(status.is_ok_and(|status| status.success()));
            assert!(read_text(&pipe, 100).is_err(), "a pipe without a writer");
        }
        #[cfg(target_os = "linux")]
        for endless in ["/dev/zero", "/dev/tty"] {
            assert!(read_text(Path::new(endless), 100).is_err());
        }
    }
}
