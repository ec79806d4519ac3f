//! Prints lines to standard output and standard error. Does not panic if the reader has closed the
//! pipe or if the disk is full.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;

/// Prints a line to standard output. Exits with status 0 if the reader has closed the pipe, as
/// other command-line tools do, and with status 2 if the line cannot be written.
pub fn line(text: Arguments<'_>) {
    let mut out = stdout().lock();
    let written = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
    match written.and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(e) => {
            note(format_args!("ivg-playground: cannot write to standard output: {e}"));
            exit(2);
        }
    }
}

/// Prints a line to standard error. Ignores an error, because there is no other place to report it.
pub fn note(text: Arguments<'_>) {
    let mut out = stderr().lock();
    let _ = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
}

/// Prints a line to standard output, with the arguments of `println!`.
macro_rules! outln {
    ($($args:tt)*) => { $crate::cli::out::line(format_args!($($args)*)) };
}

/// Prints a line to standard error, with the arguments of `eprintln!`.
macro_rules! errln {
    ($($args:tt)*) => { $crate::cli::out::note(format_args!($($args)*)) };
}
