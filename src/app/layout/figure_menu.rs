//! The menu that saves the plot of the lower panel as a figure.

use std::path::Path;

use eframe::egui::{Button, Popup, Ui};

use super::top_bar::export_disabled_reason;
use crate::app::action::Action;
use crate::app::dialogs::path_dialog::Purpose;
use crate::app::history::state::display_path;
use crate::app::state::plot_file::PlotFile;
use crate::app::state::preferences::LowerTab;
use crate::app::state::session::Session;
use crate::app::sweep::state::SweepState;
use crate::app::widgets::{Icon, icon_button, menu};
use crate::records::report::figure::{FigureFormat, FigureSize};
use crate::records::report::value_plot::NO_VALUES;

/// Returns the reason the plot of this tab cannot be saved, or `None` if it can.
pub(in crate::app) fn figure_disabled_reason(
    tab: LowerTab,
    session: &Session,
    sweep: &SweepState,
) -> Option<&'static str> {
    if tab == LowerTab::Sweep {
        let measured = sweep.curve().is_some_and(|c| c.points.iter().any(|p| p.mean.is_some()));
        return (!measured).then_some("This sweep has no point yet.");
    }
    let arms = session.run.iter().flat_map(|run| &run.arms);
    let mut candidates = arms.flat_map(|arm| &arm.report.chunks).flat_map(|c| &c.candidates);
    let mut has_values = || candidates.any(|c| c.value.is_some_and(f32::is_finite));
    export_disabled_reason(session).or_else(|| (!has_values()).then_some(NO_VALUES))
}

/// Draws the button and its menu.
pub(super) fn figure_menu(
    ui: &mut Ui,
    tab: LowerTab,
    folder: &Path,
    disabled_reason: Option<&str>,
    actions: &mut Vec<Action>,
) {
    let is_enabled = disabled_reason.is_none();
    let button = ui.add_enabled_ui(is_enabled, |ui| icon_button(ui, Icon::Save, "Save figure"));
    let button = button.inner.on_disabled_hover_text(disabled_reason.unwrap_or_default());
    if !is_enabled {
        return;
    }
    Popup::menu(&button).show(|ui| {
        menu(ui, 170.0);
        let mut entry = |words: &str, hint: &str, action: Action| {
            if ui.add(Button::new(words)).on_hover_text(hint).clicked() {
                actions.push(action);
            }
        };
        let paper = "90 mm wide, for one column of a paper. PNG: 300 dpi.";
        let slide = "1920 × 1080 pixels.";
        for (words, hint, size, format) in [
            ("SVG for a paper", paper, FigureSize::Paper, FigureFormat::Svg),
            ("PNG for a paper", paper, FigureSize::Paper, FigureFormat::Png),
            ("SVG for a slide", slide, FigureSize::Slide, FigureFormat::Svg),
            ("PNG for a slide", slide, FigureSize::Slide, FigureFormat::Png),
        ] {
            entry(words, hint, Action::SavePlot(PlotFile::Figure(tab, size, format)));
        }
        if tab == LowerTab::Sweep {
            let hint = "A table with one row per response, of all settings.";
            entry("Data (CSV)", hint, Action::SavePlot(PlotFile::SweepData));
        }
        let hint = format!("Files are saved in {}.", display_path(folder));
        entry("Change folder…", &hint, Action::AskForPath(Purpose::FigureFolder));
    });
}
