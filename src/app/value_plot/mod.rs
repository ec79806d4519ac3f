//! The value plot: the value of each chunk against the length of the response.

pub(crate) mod chunk_tooltip;
pub(super) mod panel;
pub(crate) mod series;
pub(super) mod view;
