//! Carries out the actions of a demo: its stops, and single steps of the guidance strengths.

use eframe::egui::Context;

use crate::app::App;
use crate::app::state::preferences::SidebarTab;
use crate::app::state::stories;
use crate::app::widgets::Edit;
use crate::guidance::settings::limits;
use crate::lab::sweep::SweepAxis;

/// Step of β by key.
const BETA_STEP: f32 = 0.5;
/// The values of λ that the keys step through.
const LAMBDA_STEPS: [f32; 7] = [0.0, 0.3, 1.0, 3.0, 10.0, 30.0, f32::INFINITY];

impl App {
    /// Goes to the next or the previous stop of the demo and runs it.
    pub(super) fn next_stop(&mut self, backward: bool) {
        let Some(pack) = &self.session.pack else { return };
        // A presentation begins with the first story, whatever was shown before.
        let first = self.presentation.begin() && !backward;
        let stop = match first {
            true => stories::stops(pack).into_iter().next(),
            false => stories::next(&self.preferences, pack, backward),
        };
        let Some(stop) = stop else {
            return self.report(Err("This pack has no stories and no example prompts.".into()));
        };
        stop.apply(&mut self.preferences, pack);
        self.generate();
    }

    /// Raises or lowers β or λ by one step.
    pub(super) fn nudge(&mut self, ctx: &Context, axis: SweepAxis, down: bool) {
        let settings = &mut self.preferences.settings;
        let before = settings.clone();
        match axis {
            SweepAxis::Beta => settings.beta = stepped_beta(settings.beta, down),
            SweepAxis::Lambda => settings.lambda = stepped_lambda(settings.lambda, down),
            SweepAxis::ChunkTokens => {}
        }
        if self.preferences.settings != before {
            self.edited(ctx, Edit::at_once(true));
        }
    }

    /// Presents only this column, or all columns if it is the only one shown.
    pub(super) fn focus_column(&mut self, column: usize) {
        if column < self.preferences.columns.len() {
            self.presentation.toggle_focus(column);
        }
    }

    /// Collapses or expands the sidebar.
    pub(super) fn toggle_sidebar_panel(&mut self, ctx: &Context) {
        let is_narrow = crate::app::layout::sidebar::is_narrow(ctx);
        let hidden = &mut self.preferences.sidebar_hidden;
        if is_narrow {
            self.narrow_sidebar_open = !self.narrow_sidebar_open;
        } else {
            *hidden = !*hidden;
        }
    }

    /// Opens a tab of the sidebar, or the settings if it is open already.
    pub(super) fn toggle_sidebar(&mut self, ctx: &Context, tab: SidebarTab) {
        let is_narrow = crate::app::layout::sidebar::is_narrow(ctx);
        let is_open =
            if is_narrow { self.narrow_sidebar_open } else { !self.preferences.sidebar_hidden };
        let current = &mut self.preferences.side;
        *current = if *current == tab && is_open { SidebarTab::Settings } else { tab };
        if is_narrow {
            self.narrow_sidebar_open = true;
        } else {
            self.preferences.sidebar_hidden = false;
        }
    }
}

/// Returns the next multiple of [`BETA_STEP`] within the limits.
fn stepped_beta(beta: f32, down: bool) -> f32 {
    let steps = beta / BETA_STEP;
    let next = if down { (steps - 0.01).floor() } else { (steps + 0.01).ceil() };
    (next * BETA_STEP).clamp(*limits::BETA.start(), *limits::BETA.end())
}

/// Returns the next value of [`LAMBDA_STEPS`].
fn stepped_lambda(lambda: f32, down: bool) -> f32 {
    let next = if down {
        LAMBDA_STEPS.into_iter().rev().find(|step| *step < lambda)
    } else {
        LAMBDA_STEPS.into_iter().find(|step| *step > lambda)
    };
    next.unwrap_or(lambda)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_step_through_the_strengths_and_stop_at_the_ends() {
        for (beta, down, expected) in [
            (1.0, false, 1.5),
            (1.0, true, 0.5),
            (0.3, true, 0.0),
            (0.3, false, 0.5),
            (-2.9, true, -3.0),
            (3.0, false, 3.0),
        ] {
            assert_eq!(stepped_beta(beta, down), expected, "{beta}");
        }
        for (lambda, down, expected) in [
            (f32::INFINITY, true, 30.0),
            (f32::INFINITY, false, f32::INFINITY),
            (0.0, true, 0.0),
            (0.0, false, 0.3),
            (2.0, true, 1.0),
            (50.0, false, f32::INFINITY),
        ] {
            assert_eq!(stepped_lambda(lambda, down), expected, "{lambda}");
        }
    }
}
