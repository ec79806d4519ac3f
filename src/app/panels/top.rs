//! The bar at the top: what this is, which models it uses, files, and how the window behaves.

use eframe::egui::{Align, Button, Frame, Label, Layout, Margin, Panel, Popup, RichText, Ui};

use super::Action;
use crate::app::path_dialog::Purpose;
use crate::app::preferences::Preferences;
use crate::app::session::Session;
use crate::app::theme::{Palette, Theme, space, text};
use crate::app::widgets::{chip, menu, pill, segmented, switch};
use crate::worker::protocol::PackInfo;

/// The top bar.
pub struct TopBar<'a> {
    /// Names the pack; says whether there is a run to save.
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

    /// From right to left.
    fn switches(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        ui.spacing_mut().item_spacing.x = space::S;
        let help = chip(ui, "?", false).on_hover_text("Keys. F1");
        if help.accessible_name("Help").clicked() {
            actions.push(Action::Help);
        }
        // Enlarged, or in a narrow window, the rest needs the room.
        let is_wide = ui.ctx().content_rect().width() > 860.0;
        let themes = [
            (Theme::System, "System", "Follow the desktop.", None),
            (Theme::Light, "Light", "Dark text on light.", None),
            (Theme::Dark, "Dark", "Light text on dark.", None),
        ];
        if is_wide {
            segmented(ui, "Theme", &themes, &mut self.preferences.theme);
        }
        let present = chip(ui, "Present", false);
        if present.on_hover_text("The texts and the plot alone, large. F11").clicked() {
            actions.push(Action::Present);
        }
        export(ui, self.session, actions);
        let open = chip(ui, "Open", false).on_hover_text("Open a saved trace. Ctrl+O");
        if open.clicked() {
            actions.push(Action::Ask(Purpose::Open));
        }
        ui.add_space(space::XS);
        switch(ui, &mut self.preferences.live, "Live").on_hover_text(
            "Runs again with the same seed as soon as a slider is let go or a number is entered.",
        );
    }
}

/// Why the run that is shown cannot be saved; none if it can.
pub(in crate::app) fn why_no_export(session: &Session) -> Option<&'static str> {
    match &session.run {
        None => Some("There is no run yet."),
        Some(run) if run.is_active() => Some("The run has not ended yet."),
        Some(run) if run.trace.is_none() => Some("Two runs side by side cannot be saved as one."),
        Some(_) => None,
    }
}

/// The ways to take a run along.
fn export(ui: &mut Ui, session: &Session, actions: &mut Vec<Action>) {
    let button = chip(ui, "Export", false);
    let button = button.on_hover_text("Save or copy what is shown.");
    let reason = why_no_export(session);
    Popup::menu(&button).show(|ui| {
        menu(ui, 230.0);
        let mut entry = |words: &str, hint: &str, reason: Option<&str>, action: Action| {
            let button = ui.add_enabled(reason.is_none(), Button::new(words));
            let button = button.on_hover_text(hint);
            if let Some(reason) = reason {
                button.on_disabled_hover_text(reason);
            } else if button.clicked() {
                actions.push(action);
            }
        };
        let report = "One file for any browser: coloured texts, figures, plot, settings.";
        entry("Report (HTML)", report, reason, Action::Ask(Purpose::Report));
        let trace = "Everything this run knows; opens again here. Ctrl+S";
        entry("Trace (JSON)", trace, reason, Action::Ask(Purpose::Trace));
        let picture = "The window as it looks now.";
        entry("Picture (PNG)", picture, None, Action::Ask(Purpose::Picture));
        let markdown = "Texts and figures, to be pasted.";
        entry("Copy as Markdown", markdown, reason, Action::CopyMarkdown);
    });
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
