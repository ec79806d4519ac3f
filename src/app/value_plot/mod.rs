//! The value plot: the value of each chunk against the length of the response.

pub mod chunk_tooltip;
pub mod panel;
pub mod series;
pub mod view;
