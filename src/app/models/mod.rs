//! Packs: the list in the sidebar, the downloads, the wizard that makes a pack from a model, and the
//! form with all fields of a pack.

pub(crate) mod jobs;
pub(crate) mod pack_form;
pub(super) mod panel;
mod role_form;
pub(super) mod state;
pub(crate) mod wizard;
