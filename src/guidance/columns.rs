//! Creates the columns that reproduce the arms of a trace.

use super::settings::{Arm, Column, Settings, limits};
use super::trace::{ArmTrace, Trace};

/// Returns the columns that reproduce the arms of `trace`, at most [`limits::COLUMNS`].
pub(crate) fn columns_of(trace: &Trace) -> Vec<Column> {
    let arms = trace.arms.iter().take(*limits::COLUMNS.end());
    arms.map(|arm| {
        let uses_run_settings = arm.name.apply(&trace.settings) == arm.settings;
        if uses_run_settings { arm.name.into() } else { pinned(arm, &trace.settings) }
    })
    .collect()
}

/// Returns a column with pinned settings that reproduces `arm` in a run of the same seed and
/// length. `chosen` are the settings of the run that produced `arm`.
pub fn pinned(arm: &ArmTrace, chosen: &Settings) -> Column {
    let settings = if arm.name.apply(chosen) == arm.settings {
        chosen.clone()
    } else if arm.name == Arm::BestOfN {
        within_limits(&arm.settings, chosen)
    } else {
        // `Arm::apply` is idempotent for the other arms.
        arm.settings.clone()
    };
    Column::pinned(arm.name, settings)
}

/// Returns settings within [`limits`] for which best-of-N decodes with `applied`. The N rows of
/// `applied` may exceed the limit of K, and its chunk length the limit of L.
fn within_limits(applied: &Settings, chosen: &Settings) -> Settings {
    let rows = applied.beams * applied.successors;
    let beams = limits::BEAMS
        .clone()
        .find(|beams| rows.is_multiple_of(*beams) && limits::SUCCESSORS.contains(&(rows / beams)));
    let beams = beams.unwrap_or(1);
    let (successors, chunk_tokens) = (rows / beams, chosen.chunk_tokens);
    Settings { beams, successors, chunk_tokens, ..applied.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_settings_of_a_large_best_of_n_are_within_limits() {
        let chosen = Settings { beams: 4, successors: 16, max_tokens: 400, ..Settings::default() };
        let applied = Arm::BestOfN.apply(&chosen);
        let pinned = within_limits(&applied, &Settings::default());
        assert_eq!(pinned.validate(), Ok(()));
        assert_eq!(Arm::BestOfN.apply(&pinned), applied);
    }
}
