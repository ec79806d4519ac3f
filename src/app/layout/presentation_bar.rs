//! The bar of presentation mode: the prompt, and the buttons that start and stop a run.

use eframe::egui::{Align, Frame, Layout, Margin, Panel, Sense, Ui, UiBuilder, vec2};

use crate::app::action::Action;
use crate::app::responses::panel::{LEGEND_WIDTH, color_scale};
use crate::app::settings::panel::Controls;
use crate::app::settings::prompt_box::prompt_line;
use crate::app::state::preferences::Preferences;
use crate::app::state::session::Session;
use crate::app::theme::{Palette, space};
use crate::app::widgets::secondary_button;

pub(crate) struct PresentationBar<'a> {
    pub(crate) session: &'a Session,
    pub(crate) preferences: &'a mut Preferences,
}

impl PresentationBar<'_> {
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences } = self;
        let margin = Margin::symmetric(space::L as i8, 0);
        let frame = Frame::new().fill(Palette::of(ui).surface).inner_margin(margin);
        Panel::top("present").exact_size(space::TOP_BAR).frame(frame).show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let leave = secondary_button(ui, "Leave", 64.0, true);
                if leave.on_hover_text("Ends the presentation. F11").clicked() {
                    actions.push(Action::Present);
                }
                let (rect, _) = ui.allocate_exact_size(vec2(212.0, 36.0), Sense::hover());
                // Top-aligned, because buttons taller than a centred row would extend below it.
                let builder = UiBuilder::new().max_rect(rect).layout(Layout::top_down(Align::Min));
                Controls { session, preferences }.buttons(&mut ui.new_child(builder), actions);
                // The colour scale is drawn here to leave more height for the responses.
                if preferences.coloring.legend().is_some() {
                    let size = vec2(LEGEND_WIDTH, space::ROW);
                    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
                        color_scale(ui, preferences.coloring);
                    });
                }
                prompt_line(ui, &mut preferences.prompt);
            });
        });
    }
}
