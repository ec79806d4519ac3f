//! The bar that says that the run shown was made with another pack, and offers to load that pack.

use eframe::egui::{Align, Frame, Label, Layout, Margin, Panel, RichText, Role, Ui, WidgetInfo};

use crate::app::action::{Action, PackAction};
use crate::app::models::state::ModelsState;
use crate::app::state::session::{Loading, Session};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, chip, icon_button};
use crate::format::one_line;

pub(crate) struct PackBar<'a> {
    pub(crate) session: &'a Session,
    /// The known packs.
    pub(crate) models: &'a ModelsState,
    /// The progress of loading a pack.
    pub(crate) loading: Option<&'a Loading>,
}

impl PackBar<'_> {
    /// Draws the bar if a past run of another pack is shown.
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Some((of_run, in_use)) = self.session.other_pack() else { return };
        if self.models.packs.is_none() && !self.models.is_refreshing {
            actions.push(Action::Pack(PackAction::Refresh));
        }
        let p = Palette::of(ui);
        let margin = Margin::symmetric(space::L as i8, space::XS as i8);
        let frame = Frame::new().fill(p.inset).inner_margin(margin);
        Panel::top("pack of the run").frame(frame).show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if icon_button(ui, Icon::Close, "Close this note").clicked() {
                    actions.push(Action::DismissPackBar);
                }
                // While a pack is loading, another one cannot be loaded.
                if let Some(source) = self.models.named(of_run).filter(|_| self.loading.is_none()) {
                    let load = chip(ui, &format!("Load {}", one_line(of_run)), false);
                    let hint = "Loads the pack of this run, so that you can repeat the run.";
                    if load.on_hover_text(hint).clicked() {
                        actions.push(Action::Pack(PackAction::LoadForRun(source.clone())));
                    }
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let words = format!(
                        "This run was made with the pack “{}”; “{}” is loaded.",
                        one_line(of_run),
                        one_line(in_use)
                    );
                    let label = RichText::new(&words).font(text::body()).color(p.text);
                    let label = ui.add(Label::new(label).truncate());
                    label.widget_info(|| WidgetInfo::labeled(Role::Status, true, &words));
                });
            });
        });
    }
}
