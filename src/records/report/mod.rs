//! Reports of a run.
//!
//! * [`metrics`] and [`value_plot`] compute the content. The window, the reports and the command
//!   line all use them.
//! * [`html`] and [`markdown`] format a report, [`figure`] one plot as SVG or PNG.

pub(crate) mod captions;
pub mod figure;
pub mod html;
pub mod markdown;
pub mod metrics;
pub(crate) mod search_tree;
mod svg;
pub(crate) mod sweep_plot;
pub mod value_plot;
