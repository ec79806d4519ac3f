//! The search of one column as a tree, and the reader for one of its beams.

pub(super) mod panel;
pub(super) mod reader;
