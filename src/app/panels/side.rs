//! The sidebar: the prompt, and below it what can be turned, the runs of the past, or the packs.

use eframe::egui::{Frame, Margin, Panel, ScrollArea, Ui};
use serde::{Deserialize, Serialize};

use super::Action;
use super::controls::Controls;
use super::history::HistoryList;
use super::models::{ModelsList, PackAction};
use crate::app::archive::Archive;
use crate::app::preferences::Preferences;
use crate::app::presets::preset_menu;
use crate::app::session::Session;
use crate::app::shelf::Shelf;
use crate::app::theme::{Palette, space};
use crate::app::widgets::{Edit, segmented};
use crate::worker::protocol::PackSource;

/// What the sidebar shows below the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What can be turned.
    #[default]
    Settings,
    /// The runs of the past.
    History,
    /// The packs of models.
    Models,
}

/// The sidebar.
pub struct SideBar<'a> {
    /// Says what applies.
    pub session: &'a Session,
    /// What is being turned.
    pub preferences: &'a mut Preferences,
    /// The runs of the past.
    pub archive: &'a mut Archive,
    /// The packs there are.
    pub shelf: &'a Shelf,
    /// The pack in use.
    pub in_use: Option<&'a PackSource>,
}

impl SideBar<'_> {
    /// Shows it.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let margin = Margin { left: space::L as i8, right: 0, top: 8, bottom: 8 };
        let frame = Frame::new().fill(p.surface).inner_margin(margin);
        let panel = Panel::left("settings").exact_size(space::SIDEBAR).resizable(false);
        panel.frame(frame).show(ui, |ui| {
            let Self { session, preferences, archive, shelf, in_use } = self;
            ui.scope(|ui| {
                ui.set_max_width(ui.available_width() - space::L);
                Controls { session, preferences }.prompt(ui, actions);
                ui.add_space(space::XS);
                let tabs = [
                    (Side::Settings, "Settings", "What can be turned. Ctrl+H", None),
                    (Side::History, "History", "The runs of the past. Ctrl+H", None),
                    (Side::Models, "Models", "Packs of models to choose from. Ctrl+M", None),
                ];
                ui.horizontal(|ui| {
                    segmented(ui, "Sidebar", &tabs, &mut preferences.side);
                    if preferences.side == Side::Settings {
                        let edit = preset_menu(ui, preferences, session.pack.as_ref());
                        if edit != Edit::default() {
                            actions.push(Action::Edited(edit));
                        }
                    }
                });
            });
            ui.add_space(space::XS);
            if preferences.side == Side::Models {
                if shelf.packs.is_none() && !shelf.is_looking {
                    actions.push(Action::Pack(PackAction::Look));
                }
                let device = preferences.device;
                return ModelsList { shelf, session, in_use, device }.show(ui, actions);
            }
            if preferences.side == Side::History {
                let can_compare = session.run.as_ref().is_some_and(|r| !r.is_active());
                return HistoryList { archive, can_compare }.show(ui, actions);
            }
            ScrollArea::vertical().id_salt("settings").auto_shrink(false).show(ui, |ui| {
                // The scroll bar has the right margin to itself.
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
