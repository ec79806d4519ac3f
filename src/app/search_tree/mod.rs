//! The search of one column as a tree, and the reader for one of its beams.

pub mod layout;
pub mod panel;
pub mod reader;
