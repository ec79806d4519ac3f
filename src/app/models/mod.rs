//! Packs: the list in the sidebar, the downloads, and the form for a new pack.

pub mod jobs;
pub mod pack_form;
pub mod panel;
pub mod state;
