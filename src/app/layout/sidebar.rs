//! The sidebar: the prompt, and below it the decoding settings, the past runs or the packs.

use eframe::egui::{Context, Frame, Margin, Panel, ScrollArea, Ui};

use crate::app::action::Action;
use crate::app::action::PackAction;
use crate::app::history::panel::HistoryList;
use crate::app::history::state::HistoryState;
use crate::app::models::panel::ModelsList;
use crate::app::models::state::ModelsState;
use crate::app::settings::panel::Controls;
use crate::app::settings::preset_menu::preset_menu;
use crate::app::state::preferences::Preferences;
use crate::app::state::preferences::SidebarTab;
use crate::app::state::session::{Loading, Session};
use crate::app::theme::{Palette, space};
use crate::app::widgets::{Edit, segmented};

pub(crate) struct SideBar<'a> {
    pub(crate) session: &'a Session,
    pub(crate) preferences: &'a mut Preferences,
    pub(crate) history: &'a mut HistoryState,
    pub(crate) models: &'a ModelsState,
    /// The progress of loading a pack.
    pub(crate) loading: Option<&'a Loading>,
}

/// Width of the window below which the sidebar is collapsed at first, in points.
const MIN_WINDOW_WIDTH: f32 = 1000.0;

/// Returns whether the window is too narrow to show the sidebar beside the responses at first.
pub(in crate::app) fn is_narrow(ctx: &Context) -> bool {
    ctx.content_rect().width() < MIN_WINDOW_WIDTH
}

impl SideBar<'_> {
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let margin = Margin { left: space::L as i8, right: 0, top: 8, bottom: 8 };
        let frame = Frame::new().fill(p.surface).inner_margin(margin);
        let panel = Panel::left("settings").exact_size(space::SIDEBAR).resizable(false);
        panel.frame(frame).show(ui, |ui| {
            let Self { session, preferences, history, models, loading } = self;
            ui.scope(|ui| {
                ui.set_max_width(ui.available_width() - space::L);
                Controls { session, preferences }.prompt(ui, actions);
                ui.add_space(space::XS);
                let tabs = [
                    (SidebarTab::Settings, "Settings", "Decoding settings. Ctrl+H", None),
                    (SidebarTab::History, "History", "Past runs. Ctrl+H", None),
                    (SidebarTab::Models, "Models", "Packs. Ctrl+M", None),
                ];
                segmented(ui, "Sidebar", &tabs, &mut preferences.side);
                if preferences.side == SidebarTab::Settings {
                    let edit = preset_menu(ui, preferences, session.pack.as_ref());
                    if edit != Edit::default() {
                        actions.push(Action::Edited(edit));
                    }
                }
            });
            ui.add_space(space::XS);
            if preferences.side == SidebarTab::Models {
                if models.packs.is_none() && !models.is_refreshing {
                    actions.push(Action::Pack(PackAction::Refresh));
                }
                let device = preferences.device;
                return ModelsList { models, session, loading, device }.show(ui, actions);
            }
            if preferences.side == SidebarTab::History {
                let can_compare = session.run.as_ref().is_some_and(|r| !r.is_active());
                return HistoryList { history, can_compare }.show(ui, actions);
            }
            ScrollArea::vertical().id_salt("settings").auto_shrink(false).show(ui, |ui| {
                // Leaves the right margin to the scroll bar.
                ui.set_max_width(ui.available_width() - space::L);
                ui.spacing_mut().item_spacing.y = space::XS;
                let edit = Controls { session, preferences }.settings(ui);
                if edit != Edit::default() {
                    actions.push(Action::Edited(edit));
                }
            });
        });
    }
}
