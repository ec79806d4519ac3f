//! The run that comes with the program: recorded with the bundled models, shown to whoever has not
//! made a run yet. A test makes it again, token by token.

use crate::guidance::trace::Trace;

/// Written by the command in the README.
const EXAMPLE: &str = include_str!("../../assets/example.json");

/// The recorded run.
///
/// # Errors
/// The file was not written by this version.
pub fn example() -> serde_json::Result<Trace> {
    serde_json::from_str(EXAMPLE)
}
