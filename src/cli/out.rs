//! Lines on standard output and standard error. Whoever reads them may have gone, or a disk be full:
//! that is no panic.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;

/// A line on standard output. Ends the program where nobody reads it any more, as others of the
/// command line do, or where it cannot be written.
pub fn line(words: Arguments<'_>) {
    let mut out = stdout().lock();
    let written = out.write_fmt(words).and_then(|()| out.write_all(b"\n"));
    match written.and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(e) => {
            note(format_args!("ivg-playground: cannot write to standard output: {e}"));
            exit(2);
        }
    }
}

/// A line on standard error. There is nobody to tell if that fails.
pub fn note(words: Arguments<'_>) {
    let mut out = stderr().lock();
    let _ = out.write_fmt(words).and_then(|()| out.write_all(b"\n"));
}

/// A line on standard output, as `println!` has it.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::out::line(format_args!($($words)*)) };
}

/// A line on standard error, as `eprintln!` has it.
macro_rules! tell {
    ($($words:tt)*) => { $crate::cli::out::note(format_args!($($words)*)) };
}
