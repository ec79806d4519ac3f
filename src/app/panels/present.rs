//! The bar of the stage: the prompt, and what starts and ends a run.

use eframe::egui::{Align, Frame, Layout, Margin, Panel, Sense, Ui, UiBuilder, vec2};

use super::Action;
use super::columns::{LEGEND, scale};
use super::controls::Controls;
use crate::app::preferences::Preferences;
use crate::app::prompt_box::prompt_line;
use crate::app::session::Session;
use crate::app::theme::{Palette, space};
use crate::app::widgets::secondary_button;

/// The bar.
pub struct PresentBar<'a> {
    /// Says whether a run can start or stop.
    pub session: &'a Session,
    /// The prompt.
    pub preferences: &'a mut Preferences,
}

impl PresentBar<'_> {
    /// Shows it.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences } = self;
        let margin = Margin::symmetric(space::L as i8, 0);
        let frame = Frame::new().fill(Palette::of(ui).surface).inner_margin(margin);
        Panel::top("present").exact_size(space::TOP_BAR).frame(frame).show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let leave = secondary_button(ui, "Leave", 64.0, true);
                if leave.on_hover_text("Back to all controls. F11").clicked() {
                    actions.push(Action::Present);
                }
                let (place, _) = ui.allocate_exact_size(vec2(212.0, 36.0), Sense::hover());
                // From the top: a centred row would let buttons higher than it hang out below.
                let inside = UiBuilder::new().max_rect(place).layout(Layout::top_down(Align::Min));
                Controls { session, preferences }.buttons(&mut ui.new_child(inside), actions);
                // The texts below want their height for themselves.
                if preferences.coloring.legend().is_some() {
                    let place = vec2(LEGEND, space::ROW);
                    ui.allocate_ui_with_layout(place, Layout::left_to_right(Align::Center), |ui| {
                        scale(ui, preferences.coloring);
                    });
                }
                prompt_line(ui, &mut preferences.prompt);
            });
        });
    }
}
