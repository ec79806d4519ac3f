//! Runs side by side: the columns of past runs added to the run shown, and runs of other packs.

use super::session::{ArmView, Origin, Run, Session};
use crate::guidance::columns::pinned;
use crate::guidance::settings::Column;
use crate::guidance::trace::Trace;
use crate::worker::protocol::RunId;

impl Session {
    /// Adds the arms of a past run to the run shown, up to `max` arms in total. The combined run
    /// gets the number `id`. Returns its columns, or `None` if no ended run is shown.
    pub(crate) fn add_arms(
        &mut self,
        id: RunId,
        mut trace: Trace,
        max: usize,
    ) -> Option<Vec<Column>> {
        let run = self.run.as_mut().filter(|r| !r.is_active())?;
        trace.arms.truncate(max.saturating_sub(run.arms.len()));
        if !trace.arms.is_empty() {
            run.id = id;
            for report in &trace.arms {
                run.request.columns.push(pinned(report, &trace.settings));
                run.arms.push(ArmView::completed(report, &trace));
            }
            run.beside.push(trace);
            run.widen_value_range();
        }
        Some(run.request.columns.clone())
    }

    /// Returns the pack of the run shown and the pack in use, if a past run of another pack is
    /// shown.
    pub(crate) fn other_pack(&self) -> Option<(&str, &str)> {
        let run = self.run.as_ref().filter(|run| matches!(run.origin, Origin::Past(_)))?;
        let (trace, pack) = (run.trace.as_ref()?, self.pack.as_ref()?);
        let is_other = trace.pack != pack.name && !run.is_pack_bar_closed;
        is_other.then_some((trace.pack.as_str(), pack.name.as_str()))
    }
}

impl Run {
    /// Returns the length of the plot's token axis: the longest budget of an arm.
    pub(crate) fn token_span(&self) -> usize {
        let budgets = self.arms.iter().map(|view| view.report.settings.max_tokens);
        budgets.fold(self.request.settings.max_tokens, usize::max)
    }
}

impl ArmView {
    /// Returns whether differences between the metrics of two arms are meaningful: both continue
    /// the same prompt, with the models and the judge of the same pack.
    pub(crate) fn is_comparable(&self, other: &Self) -> bool {
        self.prompt == other.prompt && self.pack == other.pack
    }
}
