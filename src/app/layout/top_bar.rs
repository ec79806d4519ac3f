//! The bar at the top: the title, Live, opening and saving files, presentation mode, the
//! theme and help.

use eframe::egui::{Align, Button, Frame, Label, Layout, Margin, Panel, Popup, RichText, Ui};

use crate::app::action::Action;
use crate::app::dialogs::path_dialog::Purpose;
use crate::app::state::preferences::Preferences;
use crate::app::state::session::Session;
use crate::app::theme::{Palette, Theme, space, text};
use crate::app::widgets::{Icon, chip, choice, icon_button, menu, segmented, switch};

/// Minimum width of the bar that shows the title, in points.
const TITLE_MIN_WIDTH: f32 = 560.0;
/// Minimum width of the window that shows the themes side by side, in points.
const THEMES_MIN_WIDTH: f32 = 860.0;

pub(crate) struct TopBar<'a> {
    pub(crate) session: &'a Session,
    /// Contains the theme and the Live switch.
    pub(crate) preferences: &'a mut Preferences,
}

impl TopBar<'_> {
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let margin = Margin::symmetric(space::L as i8, 0);
        let frame = Frame::new().fill(p.surface).inner_margin(margin);
        let panel = Panel::top("top bar").exact_size(space::TOP_BAR).frame(frame);
        panel.show(ui, |ui| {
            ui.horizontal_centered(|ui| {
                ui.spacing_mut().item_spacing.x = space::M;
                if ui.available_width() >= TITLE_MIN_WIDTH {
                    ui.add(Label::new(RichText::new("IVG Playground").font(text::title())));
                }
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    self.controls(ui, actions);
                });
            });
        });
    }

    /// Draws the controls, from right to left.
    fn controls(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        ui.spacing_mut().item_spacing.x = space::S;
        let help = chip(ui, "?", false).on_hover_text("Glossary and keyboard shortcuts. F1");
        if help.accessible_name("Help").clicked() {
            actions.push(Action::Help);
        }
        themes(ui, &mut self.preferences.theme);
        let present = chip(ui, "Present", false);
        if present.on_hover_text("Shows only the responses and the plot, enlarged. F11").clicked() {
            actions.push(Action::Present);
        }
        export_menu(ui, self.session, actions);
        let open = chip(ui, "Open", false).on_hover_text("Opens a saved trace. Ctrl+O");
        if open.clicked() {
            actions.push(Action::AskForPath(Purpose::Open));
        }
        ui.add_space(space::XS);
        switch(ui, &mut self.preferences.live, "Live").on_hover_text(
            "Runs again with the same seed when you release a slider or enter a number.",
        );
    }
}

/// Draws the choice of the theme: side by side, or in a menu in a narrow or enlarged window.
fn themes(ui: &mut Ui, theme: &mut Theme) {
    let themes = [
        (Theme::System, "System", "Follows the system theme.", None),
        (Theme::Light, "Light", "Dark text on light.", None),
        (Theme::Dark, "Dark", "Light text on dark.", None),
    ];
    if ui.ctx().content_rect().width() > THEMES_MIN_WIDTH {
        segmented(ui, "Theme", &themes, theme);
        return;
    }
    let button = icon_button(ui, Icon::More, "Theme");
    Popup::menu(&button).show(|ui| {
        menu(ui, 120.0);
        for (value, label, hint, _) in themes {
            if ui.add(choice(ui, *theme == value, label)).on_hover_text(hint).clicked() {
                *theme = value;
            }
        }
    });
}

/// Returns the reason the run shown cannot be saved, or `None` if it can.
pub(in crate::app) fn export_disabled_reason(session: &Session) -> Option<&'static str> {
    match &session.run {
        None => Some("There is no run yet."),
        Some(run) if run.is_active() => Some("The run has not ended yet."),
        Some(run) if run.trace.is_none() => Some("The run failed."),
        Some(_) => None,
    }
}

/// Returns the reason the run shown cannot be saved as a trace, or `None` if it can.
pub(in crate::app) fn trace_disabled_reason(session: &Session) -> Option<&'static str> {
    let is_combined = session.run.as_ref().is_some_and(|run| !run.beside.is_empty());
    let reason = "A trace holds one run, and runs are shown side by side; save a report instead.";
    export_disabled_reason(session).or(is_combined.then_some(reason))
}

/// Draws the Export button and its menu.
fn export_menu(ui: &mut Ui, session: &Session, actions: &mut Vec<Action>) {
    let button = chip(ui, "Export", false);
    let button = button.on_hover_text("Saves or copies the run shown.");
    let reason = export_disabled_reason(session);
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
        let report = "One HTML file for any browser: responses, metrics, plot and settings.";
        entry("Report (HTML)", report, reason, Action::AskForPath(Purpose::Report));
        let trace = "All data of the run. This program can open it again. Ctrl+S";
        let trace_reason = trace_disabled_reason(session);
        entry("Trace (JSON)", trace, trace_reason, Action::AskForPath(Purpose::Trace));
        let screenshot = "An image of the window as it looks now.";
        entry("Screenshot (PNG)", screenshot, None, Action::AskForPath(Purpose::Screenshot));
        let markdown = "Copies the responses and metrics to the clipboard.";
        entry("Copy as Markdown", markdown, reason, Action::CopyMarkdown);
    });
}
