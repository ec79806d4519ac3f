//! Writes results to files or to standard output.

use std::path::Path;

use anyhow::{Context, anyhow};

/// Checks that a result can be written to `file`, before the result is computed.
pub fn check_writable(file: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else { return Ok(()) };
    let failed = || format!("cannot write {}", path.display());
    match path.symlink_metadata() {
        // Remove the test file, so that a later failure leaves no empty file.
        Err(_) => {
            std::fs::File::create_new(path).with_context(failed)?;
            std::fs::remove_file(path).with_context(failed)
        }
        Ok(there) if there.is_file() => {
            let opened = std::fs::OpenOptions::new().append(true).open(path);
            opened.map(drop).with_context(failed)
        }
        Ok(there) if there.is_dir() => Err(anyhow!("{}: it is a folder; name a file", failed())),
        // Opening and closing a pipe would signal its end to the reader.
        Ok(_) => Ok(()),
    }
}

/// Writes `json` to `file`, if given, and calls `print` to show the result as text. If `file` is
/// `-`, prints only `json`.
pub fn write_result(json: &str, file: Option<&Path>, print: impl FnOnce()) -> anyhow::Result<()> {
    match file {
        Some(path) if path == Path::new("-") => outln!("{json}"),
        Some(path) => {
            let failed = || format!("cannot write {}", path.display());
            std::fs::write(path, format!("{json}\n")).with_context(failed)?;
            print();
        }
        None => print(),
    }
    Ok(())
}
