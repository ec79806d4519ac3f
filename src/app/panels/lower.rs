//! What stands below the texts: the plot of values, the tree of the search or the strength strip.

use eframe::egui::{Align, Frame, Label, Layout, Margin, RichText, Sense, Stroke, Ui, vec2};

use super::Action;
use super::plot::ValuePlot;
use super::strip::StrengthStrip;
use super::tree::{BeamTree, TreeView};
use crate::app::focus::Focus;
use crate::app::plot_view::PlotView;
use crate::app::preferences::{Lower, Preferences};
use crate::app::session::Session;
use crate::app::slots::slots;
use crate::app::strip_view::StripView;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, Mark, icon_button, marker, segmented};

/// How a person looks at what stands here. Not remembered.
#[derive(Debug, Default)]
pub struct Below {
    /// The plot.
    pub plot: PlotView,
    /// The tree.
    pub tree: TreeView,
    /// The strip.
    pub strip: StripView,
}

/// The panel below the texts.
pub struct LowerPanel<'a> {
    /// What it shows.
    pub session: &'a Session,
    /// What stands here, and whether it does.
    pub preferences: &'a mut Preferences,
    /// The candidate that is pointed at.
    pub focus: &'a mut Focus,
    /// How a person looks at it.
    pub below: &'a mut Below,
    /// Show the plot of values alone.
    pub presenting: bool,
}

/// Height of texts and this panel together below which the texts have it all: enlarged, or in a
/// small window.
pub const CRAMPED: f32 = 430.0;
/// Height of the line with tabs and legend.
const HEADING: f32 = space::ROW;

impl LowerPanel<'_> {
    /// The height that it takes of `room`, its margins included.
    pub fn height(&self, room: f32) -> f32 {
        if self.is_hidden() {
            return HEADING + 2.0 * space::M + space::XS;
        }
        // An audience reads: on the stage the texts come first.
        let (share, least) = if self.presenting { (0.35, 164.0) } else { (0.38, 200.0) };
        (room * share).clamp(least, 380.0)
    }

    fn is_hidden(&self) -> bool {
        self.preferences.lower_hidden && !self.presenting
    }

    /// Shows it over the whole of `ui`.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        if self.is_hidden() {
            return self.strip(ui);
        }
        let frame = Frame::new()
            .fill(p.surface)
            .stroke(Stroke::new(1.0, p.border))
            .corner_radius(space::CARD_RADIUS)
            .inner_margin(Margin::symmetric(space::L as i8, space::M as i8));
        frame.show(ui, |ui| self.contents(ui, actions));
    }

    /// What is left of it when it is hidden.
    fn strip(self, ui: &mut Ui) {
        let preferences = self.preferences;
        ui.horizontal(|ui| {
            let mut chosen = None;
            tabs(ui, &mut chosen);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let asked = icon_button(ui, Icon::Unfold, "Show the lower panel").clicked();
                preferences.lower_hidden = !asked && chosen.is_none();
            });
            preferences.lower = chosen.unwrap_or(preferences.lower);
        });
    }

    fn contents(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences, focus, below, presenting } = self;
        let shown = if presenting { Lower::Values } else { preferences.lower };
        let (mut chosen, mut hide) = (Some(shown), false);
        let slots = slots(session, preferences);
        let mut panel = match shown {
            Lower::Values => {
                let (slots, view) = (slots.as_slice(), &mut below.plot);
                Shown::Values(ValuePlot { session, preferences: &*preferences, slots, focus, view })
            }
            Lower::Tree => {
                let (slots, view) = (slots.as_slice(), &mut below.tree);
                Shown::Tree(BeamTree { session, slots, focus, view })
            }
            Lower::Strength => Shown::Strength(StrengthStrip {
                view: &mut below.strip,
                prompt: &preferences.prompt,
                settings: &preferences.settings,
                pack: session.pack.as_ref(),
            }),
        };
        ui.horizontal(|ui| {
            if presenting {
                let words = RichText::new("Value of every chunk").font(text::heading());
                ui.add(Label::new(words).selectable(false));
            } else {
                tabs(ui, &mut chosen);
            }
            match &mut panel {
                Shown::Values(_) => {}
                Shown::Tree(tree) => tree.choice(ui),
                Shown::Strength(strip) => strip.dials(ui),
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if !presenting {
                    hide = icon_button(ui, Icon::Fold, "Hide the lower panel").clicked();
                }
                match &mut panel {
                    Shown::Values(plot) => plot.legend(ui),
                    Shown::Tree(tree) => tree.legend(ui),
                    Shown::Strength(strip) => strip.controls(ui, actions),
                }
            });
        });
        match panel {
            Shown::Values(plot) => plot.show(ui),
            Shown::Tree(tree) => tree.show(ui),
            Shown::Strength(strip) => strip.show(ui, actions),
        }
        if !presenting {
            preferences.lower = chosen.unwrap_or(shown);
            preferences.lower_hidden = hide;
        }
    }
}

/// What each tab shows.
enum Shown<'a> {
    Values(ValuePlot<'a>),
    Tree(BeamTree<'a>),
    Strength(StrengthStrip<'a>),
}

/// The tabs; none is chosen while the panel is hidden, and whichever is clicked shows it.
fn tabs(ui: &mut Ui, chosen: &mut Option<Lower>) {
    let choices = [
        (Some(Lower::Values), "Values", "The value of every chunk that was tried.", None),
        (Some(Lower::Tree), "Tree", "The search as a tree of chunks.", None),
        (Some(Lower::Strength), "Strength", "What each strength buys, and what it costs.", None),
    ];
    segmented(ui, "Below", &choices, chosen);
}

/// Room that the two marks of candidates take, kept and dropped.
pub const KEYS: f32 = 150.0;

/// A mark of the legend and what it means; for a row that is filled from the right.
pub fn key(ui: &mut Ui, name: &str, mark: Mark) {
    let p = Palette::of(ui);
    let words = RichText::new(name).font(text::small()).color(p.weak);
    ui.add(Label::new(words).selectable(false));
    let (place, _) = ui.allocate_exact_size(vec2(12.0, 16.0), Sense::hover());
    marker(ui.painter(), place.center(), mark, p.weak);
}
