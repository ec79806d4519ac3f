//! The panel below the responses: the value plot, the search tree or the sweep.

use eframe::egui::{Align, Frame, Label, Layout, Margin, RichText, Stroke, Ui};

use super::figure_menu::{figure_disabled_reason, figure_menu};
use crate::app::action::Action;
use crate::app::search_tree::panel::{BeamTree, TreeView};
use crate::app::state::columns::column_views;
use crate::app::state::plot_file::figure_folder;
use crate::app::state::preferences::{LowerTab, Preferences};
use crate::app::state::selection::Selection;
use crate::app::state::session::Session;
use crate::app::sweep::panel::SweepPanel;
use crate::app::sweep::state::SweepState;
use crate::app::theme::{Palette, space, text};
use crate::app::value_plot::panel::ValuePlot;
use crate::app::value_plot::view::PlotView;
use crate::app::widgets::{Icon, icon_button, segmented};

/// View state of the panel. It is not stored between sessions.
#[derive(Debug, Default)]
pub(crate) struct LowerState {
    pub(crate) plot: PlotView,
    pub(crate) tree: TreeView,
    pub(crate) sweep: SweepState,
}

pub(crate) struct LowerPanel<'a> {
    pub(crate) session: &'a Session,
    /// Contains the tab, and whether the panel is hidden.
    pub(crate) preferences: &'a mut Preferences,
    pub(crate) selection: &'a mut Selection,
    pub(crate) lower: &'a mut LowerState,
    /// Presentation mode: shows the content without tabs.
    pub(crate) presenting: bool,
}

/// Minimum height of the responses and this panel together. With less, as in a small or enlarged
/// window, the panel is not drawn.
const MIN_SHARED_HEIGHT: f32 = 430.0;
/// The same on the stage.
const MIN_STAGE_HEIGHT: f32 = 380.0;
/// Height of the row with tabs and legend.
const HEADING: f32 = space::ROW;

impl LowerPanel<'_> {
    /// Returns whether there is room for the panel below the responses.
    pub(crate) fn has_room(&self, available: f32) -> bool {
        available >= if self.presenting { MIN_STAGE_HEIGHT } else { MIN_SHARED_HEIGHT }
    }

    /// Returns the height of the panel with its margins. `available` is the height that it shares
    /// with the responses.
    pub(crate) fn height(&self, available: f32) -> f32 {
        if self.is_hidden() {
            return HEADING + 2.0 * space::M + space::XS;
        }
        // The presentation leaves more height for the responses.
        let (share, min) = if self.presenting { (0.35, 142.0) } else { (0.38, 200.0) };
        (available * share).clamp(min, 380.0)
    }

    fn is_hidden(&self) -> bool {
        self.preferences.lower_hidden && !self.presenting
    }

    /// Draws the panel. Fills `ui`.
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        if self.is_hidden() {
            return self.hidden_bar(ui);
        }
        let frame = Frame::new()
            .fill(p.surface)
            .stroke(Stroke::new(1.0, p.border))
            .corner_radius(space::CARD_RADIUS)
            .inner_margin(Margin::symmetric(space::L as i8, space::M as i8));
        frame.show(ui, |ui| self.draw(ui, actions));
    }

    /// Draws the tabs alone while the panel is hidden.
    fn hidden_bar(self, ui: &mut Ui) {
        let preferences = self.preferences;
        ui.horizontal(|ui| {
            let mut chosen = None;
            tabs(ui, &mut chosen);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let unfold = icon_button(ui, Icon::Unfold, "Show the lower panel").clicked();
                preferences.lower_hidden = !unfold && chosen.is_none();
            });
            preferences.lower = chosen.unwrap_or(preferences.lower);
        });
    }

    fn draw(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences, selection, lower, presenting } = self;
        let tab = preferences.lower;
        let (mut chosen, mut hide) = (Some(tab), false);
        let columns = column_views(session, preferences);
        let folder = figure_folder(preferences);
        let not_savable = figure_disabled_reason(tab, session, &lower.sweep);
        let mut content = match tab {
            LowerTab::Values => {
                let (columns, view) = (columns.as_slice(), &mut lower.plot);
                Content::Values(ValuePlot {
                    session,
                    preferences: &*preferences,
                    columns,
                    selection,
                    view,
                })
            }
            LowerTab::Tree => {
                let (columns, view) = (columns.as_slice(), &mut lower.tree);
                Content::Tree(BeamTree { session, columns, selection, view })
            }
            LowerTab::Sweep => Content::Sweep(SweepPanel {
                view: &mut lower.sweep,
                prompt: &preferences.prompt,
                settings: &preferences.settings,
                pack: session.pack.as_ref(),
            }),
        };
        ui.horizontal(|ui| {
            if presenting {
                let words = RichText::new(heading(tab)).font(text::heading());
                ui.add(Label::new(words).selectable(false));
            } else {
                tabs(ui, &mut chosen);
            }
            match &mut content {
                Content::Values(_) => {}
                Content::Tree(tree) => tree.choice(ui),
                Content::Sweep(sweep) => sweep.axes(ui),
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if !presenting {
                    hide = icon_button(ui, Icon::Fold, "Hide the lower panel").clicked();
                    figure_menu(ui, tab, &folder, not_savable, actions);
                }
                match &mut content {
                    Content::Values(plot) => plot.legend(ui),
                    Content::Tree(tree) => tree.legend(ui),
                    Content::Sweep(sweep) => sweep.controls(ui, actions),
                }
            });
        });
        match content {
            Content::Values(plot) => plot.show(ui),
            Content::Tree(tree) => tree.show(ui),
            Content::Sweep(sweep) => sweep.show(ui, actions),
        }
        if !presenting {
            preferences.lower = chosen.unwrap_or(tab);
            preferences.lower_hidden = hide;
        }
    }
}

/// The content of the current tab.
enum Content<'a> {
    Values(ValuePlot<'a>),
    Tree(BeamTree<'a>),
    Sweep(SweepPanel<'a>),
}

/// Returns the heading of a tab on the stage.
fn heading(tab: LowerTab) -> &'static str {
    match tab {
        LowerTab::Values => "Value of every chunk",
        LowerTab::Tree => "Search tree",
        LowerTab::Sweep => "How strong should guidance be?",
    }
}

/// Draws the tabs. `chosen` is `None` while the panel is hidden; clicking a tab shows it.
fn tabs(ui: &mut Ui, chosen: &mut Option<LowerTab>) {
    let choices = [
        (Some(LowerTab::Values), "Values", "The value of each sampled chunk.", None),
        (Some(LowerTab::Tree), "Tree", "The search as a tree of chunks.", None),
        (
            Some(LowerTab::Sweep),
            "Sweep",
            "One setting at several values: reward against distance from the base.",
            None,
        ),
    ];
    segmented(ui, "Lower panel", &choices, chosen);
}
