//! The bar below the top bar that shows an error.

use eframe::egui::{Align, Frame, Label, Layout, Margin, Panel, RichText, Role, Ui, WidgetInfo};

use crate::app::action::Action;
use crate::app::state::session::Session;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, icon_button};

pub(crate) struct ErrorBar<'a> {
    pub(crate) session: &'a Session,
}

impl ErrorBar<'_> {
    /// Draws the bar if the session has an error.
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
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
                    let label = RichText::new("Error").font(text::button()).color(p.danger);
                    ui.add(Label::new(label).selectable(false));
                    let words = RichText::new(message).font(text::body()).color(p.danger);
                    let response = ui.add(Label::new(words).wrap());
                    // Screen readers announce an alert when it appears.
                    response.widget_info(|| WidgetInfo::labeled(Role::Alert, true, message));
                });
            });
        });
    }
}
