//! The strip at the bottom of the stage: both strengths, Live, the stops of the demo and the seed.

use eframe::egui::{Align, Frame, Label, Layout, Margin, Panel, RichText, Ui, vec2};

use crate::app::action::Action;
use crate::app::settings::panel::Controls;
use crate::app::state::preferences::Preferences;
use crate::app::state::session::Session;
use crate::app::state::stories;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Edit, Icon, icon_button, switch};

/// Height of the strip, in points.
pub(crate) const HEIGHT: f32 = 58.0;
/// Minimum width of the controls on the right, in points.
const RIGHT_WIDTH: f32 = 388.0;
/// Width of the caption of the stop, in points.
const CAPTION_WIDTH: f32 = 210.0;
/// Width below which the caption of the stop is left out.
const NARROW: f32 = 760.0;

pub(crate) struct StageStrip<'a> {
    pub(crate) session: &'a Session,
    pub(crate) preferences: &'a mut Preferences,
}

impl StageStrip<'_> {
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let margin = Margin::symmetric(space::L as i8, 0);
        let frame = Frame::new().fill(Palette::of(ui).surface).inner_margin(margin);
        Panel::bottom("stage strip").exact_size(HEIGHT).frame(frame).show(ui, |ui| {
            let Self { session, preferences } = self;
            let is_narrow = ui.available_width() < NARROW;
            let right = if is_narrow { RIGHT_WIDTH - CAPTION_WIDTH } else { RIGHT_WIDTH };
            ui.horizontal_centered(|ui| {
                ui.spacing_mut().item_spacing.x = space::M;
                let width = ((ui.available_width() - right) / 2.0 - space::M).clamp(96.0, 420.0);
                let edit = Controls { session, preferences }.stage_strengths(ui, width);
                if edit != Edit::default() {
                    actions.push(Action::Edited(edit));
                }
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    ui.spacing_mut().item_spacing.x = space::S;
                    if icon_button(ui, Icon::Dice, "Draw another seed").clicked() {
                        actions.push(Action::NewSeed);
                    }
                    stops(ui, session, preferences, is_narrow, actions);
                    switch(ui, &mut preferences.live, "Live");
                });
            });
        });
    }
}

/// Draws the buttons that go through the stops of the demo, and the current stop. Draws from right
/// to left.
fn stops(
    ui: &mut Ui,
    session: &Session,
    preferences: &Preferences,
    is_narrow: bool,
    actions: &mut Vec<Action>,
) {
    let Some(pack) = &session.pack else { return };
    if icon_button(ui, Icon::Right, "Next step of the story").clicked() {
        actions.push(Action::NextStop { backward: false });
    }
    if !is_narrow {
        let caption = match stories::current(preferences, pack) {
            Some(stop) => stop.caption(pack),
            None => format!("Seed {}", preferences.settings.seed),
        };
        let words = RichText::new(caption).font(text::small()).color(Palette::of(ui).weak);
        let label = Label::new(words).selectable(false).truncate();
        let response = ui.add_sized(vec2(CAPTION_WIDTH, space::ROW), label);
        if let Some(reason) = stories::stories_disabled_reason(pack) {
            response.on_hover_text(reason);
        }
    }
    if icon_button(ui, Icon::Left, "Previous step of the story").clicked() {
        actions.push(Action::NextStop { backward: true });
    }
}
