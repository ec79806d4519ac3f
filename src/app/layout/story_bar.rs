//! The bar that says what the window shows: which model, steered towards what, by which pack.

use eframe::egui::{
    Align, Button, Frame, Label, Layout, Margin, Panel, Popup, RichText, Ui, text::LayoutJob,
};

use crate::app::action::{Action, PackAction};
use crate::app::models::state::ModelsState;
use crate::app::state::preferences::Preferences;
use crate::app::state::session::{Loading, Session};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, choice, icon_button, menu};
use crate::guidance::aim;
use crate::worker::protocol::PackInfo;

/// Height of the bar, in points.
pub(crate) const HEIGHT: f32 = 40.0;

pub(crate) struct StoryBar<'a> {
    pub(crate) session: &'a Session,
    pub(crate) preferences: &'a Preferences,
    pub(crate) models: &'a ModelsState,
    /// The progress of loading a pack.
    pub(crate) loading: Option<&'a Loading>,
}

impl StoryBar<'_> {
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let margin = Margin::symmetric(space::L as i8, 0);
        let frame = Frame::new().fill(Palette::of(ui).surface).inner_margin(margin);
        Panel::top("story").exact_size(HEIGHT).frame(frame).show(ui, |ui| {
            ui.horizontal_centered(|ui| {
                ui.spacing_mut().item_spacing.x = space::S;
                if icon_button(ui, Icon::Sidebar, "Collapse or expand the sidebar").clicked() {
                    actions.push(Action::ToggleSidebar);
                }
                // The pack comes first from the right, so that a long sentence is cut, not the pack.
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    self.pack(ui, actions);
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        sentence(ui, self.session, self.preferences);
                    });
                });
            });
        });
    }

    fn pack(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let name = match (&self.session.pack, self.loading) {
            (Some(pack), _) => format!("pack {} ⌄", pack.name),
            (None, Some(_)) => "loading… ⌄".to_owned(),
            (None, None) => "no models ⌄".to_owned(),
        };
        let words = RichText::new(name).font(text::small());
        let button = ui.add(Button::new(words).corner_radius(12));
        let button = button.on_hover_ui(|ui| match &self.session.pack {
            Some(pack) => pack_tooltip(ui, pack),
            None => drop(ui.label("Choose the models to load.")),
        });
        if button.clicked() && self.models.packs.is_none() {
            actions.push(Action::Pack(PackAction::Refresh));
        }
        Popup::menu(&button).show(|ui| {
            menu(ui, 220.0);
            self.pack_menu(ui, actions);
        });
    }

    /// Draws the packs that can be loaded at once, and an entry that leads to all of them.
    fn pack_menu(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        for (source, name) in self.models.ready_packs() {
            let is_current = self.session.pack.as_ref().is_some_and(|p| p.source == *source);
            if ui.add(choice(ui, is_current, name)).clicked() && !is_current {
                actions.push(Action::Pack(PackAction::Load(source.clone())));
            }
        }
        if self.models.is_refreshing {
            ui.label("Looking for packs…");
        }
        ui.separator();
        if ui.button("All packs…").clicked() {
            actions.push(Action::ToggleModels);
        }
    }
}

/// Draws the sentence that tells where the current settings steer. The name of the goal is bold.
pub(crate) fn sentence(ui: &mut Ui, session: &Session, preferences: &Preferences) {
    let p = Palette::of(ui);
    let pack = session.pack.as_ref();
    let (has_pair, has_value) = pack.map_or((true, true), |p| (p.has_pair, p.has_value));
    let aim = pack.and_then(|pack| pack.aim.as_ref());
    let (before, name, after) = aim::sentence(&preferences.settings, has_pair, has_value, aim);
    let mut job = LayoutJob::default();
    let format =
        |font, color| eframe::egui::TextFormat { font_id: font, color, ..Default::default() };
    job.append(&before, 0.0, format(text::response(), p.text));
    job.append(&name, 0.0, format(text::title(), p.guided));
    job.append(&after, 0.0, format(text::response(), p.text));
    ui.add(Label::new(job).selectable(false).truncate()).on_hover_text(
        "The base model writes both texts. In the guided column, small guide models steer it \
         while it writes. The strengths β and λ decide how much.",
    );
}

fn pack_tooltip(ui: &mut Ui, pack: &PackInfo) {
    if !pack.description.is_empty() {
        ui.label(&pack.description);
    }
    let weak = Palette::of(ui).weak;
    for role in &pack.roles {
        let millions = role.parameters as f64 / 1e6;
        let line = format!("{}: {millions:.1} million parameters", role.role);
        ui.label(RichText::new(line).font(text::small()).color(weak));
    }
    let line = format!("Context: {} tokens", pack.context_tokens);
    ui.label(RichText::new(line).font(text::small()).color(weak));
}
