//! The bar at the top: what this is, which models it uses, and how the window behaves.

use eframe::egui::{Align, Frame, Label, Layout, Margin, Panel, RichText, Ui};

use super::Action;
use crate::app::preferences::Preferences;
use crate::app::session::Session;
use crate::app::theme::{Palette, Theme, space, text};
use crate::app::widgets::{chip, pill, segmented, switch};
use crate::worker::protocol::PackInfo;

/// The top bar.
pub struct TopBar<'a> {
    /// Names the pack.
    pub session: &'a Session,
    /// Theme and live switch.
    pub preferences: &'a mut Preferences,
}

impl TopBar<'_> {
    /// Shows it.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let margin = Margin::symmetric(space::L as i8, 0);
        let frame = Frame::new().fill(p.surface).inner_margin(margin);
        let panel = Panel::top("top bar").exact_size(space::TOP_BAR).frame(frame);
        panel.show(ui, |ui| {
            ui.horizontal_centered(|ui| {
                ui.spacing_mut().item_spacing.x = space::M;
                ui.add(Label::new(RichText::new("IVG Playground").font(text::title())));
                self.pack(ui);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    self.switches(ui, actions);
                });
            });
        });
    }

    fn pack(&self, ui: &mut Ui) {
        let name = match (&self.session.pack, &self.session.loading) {
            (Some(pack), _) => pack.name.as_str(),
            (None, Some(_)) => "loading…",
            (None, None) => "no models",
        };
        let shown = pill(ui, name);
        if let Some(pack) = &self.session.pack {
            shown.on_hover_ui(|ui| describe(ui, pack));
        }
    }

    fn switches(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let themes = [
            (Theme::System, "System", "Follow the desktop.", None),
            (Theme::Light, "Light", "Dark text on light.", None),
            (Theme::Dark, "Dark", "Light text on dark.", None),
        ];
        segmented(ui, "Theme", &themes, &mut self.preferences.theme);
        ui.add_space(space::S);
        let present = chip(ui, "Present", false);
        if present.on_hover_text("The texts and the plot alone, large. F11").clicked() {
            actions.push(Action::Present);
        }
        ui.add_space(space::S);
        switch(ui, &mut self.preferences.live, "Live").on_hover_text(
            "Runs again with the same seed as soon as a slider is let go or a number is entered.",
        );
    }
}

fn describe(ui: &mut Ui, pack: &PackInfo) {
    if !pack.description.is_empty() {
        ui.label(&pack.description);
    }
    let weak = Palette::of(ui).weak;
    for role in &pack.roles {
        let millions = role.parameters as f64 / 1e6;
        let line = format!("{}: {millions:.1} million parameters", role.role);
        ui.label(RichText::new(line).font(text::small()).color(weak));
    }
    let line = format!("Reads up to {} tokens.", pack.context_tokens);
    ui.label(RichText::new(line).font(text::small()).color(weak));
}
