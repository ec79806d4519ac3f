//! The program, run as users run it.
#![allow(clippy::unwrap_used, missing_docs)]

mod compatibility;
mod corpus;
mod installed;
mod program;
