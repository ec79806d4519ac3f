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
mod side_by_side;
mod svg;
pub(crate) mod sweep_plot;
pub mod value_plot;

use crate::guidance::aim;
use crate::guidance::trace::Trace;

/// Returns the sentence that tells where a run steers and with which pack.
fn story(trace: &Trace) -> String {
    let mut tokens = trace.arms.iter().flat_map(|arm| &arm.tokens);
    // Steers have an advantage too, but no log-probabilities of a pair.
    let has_pair = tokens.any(|token| {
        token.advantage.is_some()
            && (token.logp_tuned.is_some()
                || token.unguided_mass.is_some()
                || token.steer_advantages.is_empty())
    });
    let has_value = trace.arms.iter().any(|arm| arm.value.is_some());
    let (before, name, after) =
        aim::sentence(&trace.settings, has_pair, has_value, trace.aim.as_ref());
    format!("{before}{name}{after} · pack {}", trace.pack)
}
