//! Packs: the list in the sidebar, the downloads, and the form for a new pack.

pub(crate) mod jobs;
pub(crate) mod pack_form;
pub(super) mod panel;
pub(super) mod state;
