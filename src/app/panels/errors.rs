//! The strip below the top bar that says what went wrong. It leaves everything else alone.

use eframe::egui::{Align, Frame, Label, Layout, Margin, Panel, RichText, Role, Ui, WidgetInfo};

use super::Action;
use crate::app::session::Session;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, icon_button};

/// The error strip.
pub struct ErrorStrip<'a> {
    /// Holds the sentence.
    pub session: &'a Session,
}

impl ErrorStrip<'_> {
    /// Shows it, if there is something to say.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Some(message) = &self.session.error else { return };
        let p = Palette::of(ui);
        let margin = Margin::symmetric(space::L as i8, space::S as i8);
        let frame = Frame::new().fill(p.danger_fill).inner_margin(margin);
        Panel::top("errors").frame(frame).show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if icon_button(ui, Icon::Close, "Dismiss the error").clicked() {
                    actions.push(Action::DismissError);
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let mark = RichText::new("Error").font(text::button()).color(p.danger);
                    ui.add(Label::new(mark).selectable(false));
                    let words = RichText::new(message).font(text::body()).color(p.danger);
                    let shown = ui.add(Label::new(words).wrap());
                    // Screen readers announce an alert as it appears.
                    shown.widget_info(|| WidgetInfo::labeled(Role::Alert, true, message));
                });
            });
        });
    }
}
