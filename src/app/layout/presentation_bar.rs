//! The bars with the prompt in one line: on the stage, and in a window with a collapsed sidebar.

use eframe::egui::{Align, Frame, Layout, Margin, Panel, Sense, Ui, UiBuilder, vec2};

use super::story_bar;
use crate::app::action::Action;
use crate::app::responses::panel::{LEGEND_WIDTH, color_scale};
use crate::app::settings::panel::Controls;
use crate::app::settings::prompt_box::prompt_line;
use crate::app::state::preferences::Preferences;
use crate::app::state::session::Session;
use crate::app::theme::{Palette, space};
use crate::app::widgets::{Icon, icon_button, secondary_button};

/// Height of the sentence on the stage, in points.
const SENTENCE_HEIGHT: f32 = 30.0;
/// Width of the sentence beside the prompt, in points.
const SENTENCE_MAX_WIDTH: f32 = 310.0;
/// Height of a stage that shows the sentence above the prompt, in points.
const MIN_TWO_ROW_HEIGHT: f32 = 640.0;
/// Width of the bar below which the exit is an icon, in points.
const EXIT_MIN_WIDTH: f32 = 1000.0;
/// Width of the Generate and Stop buttons together, in points.
const BUTTONS_WIDTH: f32 = 212.0;
/// Width of the prompt bar below which the colour scale is left out, in points.
const LEGEND_MIN_WIDTH: f32 = 780.0;

/// The bar of presentation mode: what is steered towards what, the prompt, and the buttons that
/// start and stop a run.
pub(crate) struct PresentationBar<'a> {
    pub(crate) session: &'a Session,
    pub(crate) preferences: &'a mut Preferences,
}

impl PresentationBar<'_> {
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences } = self;
        // A small screen shows the sentence beside the prompt, to leave height for the responses.
        let is_low = ui.ctx().content_rect().height() < MIN_TWO_ROW_HEIGHT;
        let height = space::TOP_BAR + if is_low { 0.0 } else { SENTENCE_HEIGHT };
        Panel::top("present").exact_size(height).frame(frame(ui)).show(ui, |ui| {
            if !is_low {
                let size = vec2(ui.available_width(), SENTENCE_HEIGHT);
                let layout = Layout::left_to_right(Align::Max);
                ui.allocate_ui_with_layout(size, layout, |ui| {
                    story_bar::sentence(ui, session, preferences);
                });
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let is_exit = if ui.available_width() >= EXIT_MIN_WIDTH {
                    secondary_button(ui, "Exit presentation", 128.0, true).clicked()
                } else {
                    icon_button(ui, Icon::Close, "Exit presentation").clicked()
                };
                if is_exit {
                    actions.push(Action::Present);
                }
                if is_low {
                    let size = vec2(ui.available_width() - SENTENCE_MAX_WIDTH, space::TOP_BAR);
                    let layout = Layout::right_to_left(Align::Center);
                    ui.allocate_ui_with_layout(size, layout, |ui| {
                        prompt_row(ui, session, preferences, actions);
                    });
                    // The scale of the colours takes the place of the sentence.
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        match preferences.coloring.legend() {
                            Some(_) => color_scale(ui, preferences.coloring),
                            None => story_bar::sentence(ui, session, preferences),
                        }
                    });
                } else {
                    prompt_row(ui, session, preferences, actions);
                }
            });
        });
    }
}

/// The bar that replaces the sidebar while it is collapsed.
pub(crate) struct PromptBar<'a> {
    pub(crate) session: &'a Session,
    pub(crate) preferences: &'a mut Preferences,
}

impl PromptBar<'_> {
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences } = self;
        Panel::top("prompt bar").exact_size(space::TOP_BAR).frame(frame(ui)).show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                prompt_row(ui, session, preferences, actions);
            });
        });
    }
}

fn frame(ui: &Ui) -> Frame {
    let margin = Margin::symmetric(space::L as i8, 0);
    Frame::new().fill(Palette::of(ui).surface).inner_margin(margin)
}

/// Draws the buttons, the colour scale and the prompt, from right to left.
fn prompt_row(
    ui: &mut Ui,
    session: &Session,
    preferences: &mut Preferences,
    actions: &mut Vec<Action>,
) {
    let (rect, _) = ui.allocate_exact_size(vec2(BUTTONS_WIDTH, 36.0), Sense::hover());
    // Top-aligned, because buttons taller than a centred row would extend below it.
    let builder = UiBuilder::new().max_rect(rect).layout(Layout::top_down(Align::Min));
    Controls { session, preferences }.buttons(&mut ui.new_child(builder), actions);
    // The colour scale is drawn here to leave more height for the responses.
    let has_room = ui.available_width() >= LEGEND_MIN_WIDTH - BUTTONS_WIDTH;
    if preferences.coloring.legend().is_some() && has_room {
        let size = vec2(LEGEND_WIDTH, space::ROW);
        ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
            color_scale(ui, preferences.coloring);
        });
    }
    prompt_line(ui, &mut preferences.prompt);
}
