//! The packs of models: what each needs, whether it is here, whether it fits; load, download, add,
//! put together.

use eframe::egui::{
    Align, Button, Color32, Frame, Id, Label, Layout, Popup, ProgressBar, Response, RichText,
    ScrollArea, Stroke, Ui, vec2,
};

use super::Action;
use crate::app::archive::shown;
use crate::app::path_dialog::Purpose;
use crate::app::session::Session;
use crate::app::shelf::{Fetching, Shelf};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, chip, icon_button, menu, pill};
use crate::words::{bytes, sentence, weights};
use crate::worker::library::{Entry, Kind, Presence, Shelved, Survey};
use crate::worker::protocol::{DeviceChoice, PackSource, no_gpu_support};

/// Width of the column of roles, and height of a row of it.
const ROLE_WIDTH: f32 = 92.0;
const ROLE_ROW: f32 = 18.0;

/// What a person asked of the packs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackAction {
    /// Look at all of them anew, and ask the hub for the sizes of what is not here.
    Look,
    /// Load one that is here.
    Load(PackSource),
    /// Download one, then load it.
    Fetch(PackSource),
    /// Stop the download, or the question how large it would be.
    StopFetching,
    /// Take an added one off the list. Nothing is deleted.
    Forget(PackSource),
    /// Read over what one has from the hub.
    Verify(PackSource),
    /// Put one together.
    New,
    /// Compute there from now on.
    UseDevice(DeviceChoice),
}

/// The list.
pub struct ModelsList<'a> {
    /// What there is.
    pub shelf: &'a Shelf,
    /// Says which is in use.
    pub session: &'a Session,
    /// Which is in use, if one is.
    pub in_use: Option<&'a PackSource>,
    /// Where the models are to compute.
    pub device: DeviceChoice,
}

impl ModelsList<'_> {
    /// Shows it over the whole of `ui`.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let width = ui.available_width() - space::L;
        ui.horizontal_wrapped(|ui| {
            ui.set_max_width(width);
            ui.spacing_mut().item_spacing.x = space::XS;
            let add = chip(ui, "Add a pack", false);
            if add.on_hover_text("A folder with a pack.toml.").clicked() {
                actions.push(Action::Ask(Purpose::AddPack));
            }
            let new = chip(ui, "New pack", false);
            if new.on_hover_text("Say which models play which role.").clicked() {
                actions.push(Action::Pack(PackAction::New));
            }
            let is_looking = self.shelf.is_looking && self.shelf.packs.is_some();
            let look = chip(ui, if is_looking { "Looking…" } else { "Refresh" }, is_looking);
            let look = look.on_hover_text("Looks again; asks the hub for sizes and licences.");
            if look.clicked() && !is_looking {
                actions.push(Action::Pack(PackAction::Look));
            }
        });
        ui.add_space(space::XS);
        self.devices(ui, actions);
        let Some(packs) = &self.shelf.packs else {
            ui.label(RichText::new("Looking…").color(p.weak));
            return;
        };
        ScrollArea::vertical().id_salt("models").auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(width);
            ui.spacing_mut().item_spacing.y = space::S;
            if let Some(free) = self.shelf.free_memory_bytes {
                small(ui, &format!("{} of memory are free.", bytes(free)), p.weak);
            }
            for shelved in packs {
                let fresh = self.shelf.fresh.as_ref();
                let fresh = fresh.filter(|(source, _)| *source == shelved.source);
                let edge = if fresh.is_some() { p.accent } else { p.border };
                let frame = Frame::new()
                    .fill(p.inset)
                    .stroke(Stroke::new(1.0, edge))
                    .corner_radius(space::RADIUS)
                    .inner_margin(space::M);
                let card = frame.show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    ui.spacing_mut().item_spacing = vec2(space::XS, 3.0);
                    self.card(ui, shelved, actions);
                });
                if let Some((_, number)) = fresh {
                    show_once(&card.response, *number, ui.clip_rect().height());
                }
            }
        });
    }

    /// Where the models compute, to choose.
    fn devices(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            small(ui, "Compute on", Palette::of(ui).weak);
            for device in DeviceChoice::ALL {
                let (words, hint) = match device {
                    DeviceChoice::Auto => ("Automatic", "The GPU if there is one, else the CPU."),
                    DeviceChoice::Cpu => ("CPU", "The processor, even if there is a GPU."),
                    DeviceChoice::Gpu => ("GPU", "What does not fit its memory goes to the CPU."),
                };
                let reason = no_gpu_support().filter(|_| device == DeviceChoice::Gpu);
                let is_chosen = self.device == device;
                let chip = ui.add_enabled_ui(reason.is_none(), |ui| chip(ui, words, is_chosen));
                let chip = chip.inner.on_hover_text(hint);
                let chip = chip.on_disabled_hover_text(sentence(reason.unwrap_or_default()));
                if chip.clicked() && !is_chosen {
                    actions.push(Action::Pack(PackAction::UseDevice(device)));
                }
            }
        });
        let note = self.session.pack.as_ref().and_then(|pack| pack.device_note.as_ref());
        if let Some(note) = note {
            small(ui, note, Palette::of(ui).danger);
        }
        ui.add_space(space::XS);
    }

    fn card(&self, ui: &mut Ui, shelved: &Shelved, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let source = &shelved.source;
        let name = name_of(shelved);
        let is_in_use = self.in_use == Some(source) && self.session.pack.is_some();
        ui.horizontal(|ui| {
            ui.add(Label::new(RichText::new(&name).font(text::heading())).truncate());
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let has_come = |survey: &Survey| survey.models.iter().any(Entry::has_come);
                let has_come = shelved.survey.as_ref().is_ok_and(has_come);
                if has_come || matches!(source, PackSource::Folder(_)) {
                    more(ui, &name, source, has_come, actions);
                }
                if is_in_use {
                    pill(ui, "in use");
                }
            });
        });
        let survey = match &shelved.survey {
            Ok(survey) => survey,
            Err(reason) => return small(ui, &sentence(reason), p.danger),
        };
        small(ui, &survey.description, p.text);
        let arriving = self.shelf.fetching.as_ref().filter(|f| f.source == *source);
        let arriving = arriving.and_then(|f| Some(f.progress.as_ref()?.role));
        let arriving = survey.models.iter().position(|entry| Some(entry.role) == arriving);
        for (at, entry) in survey.models.iter().enumerate() {
            // One role comes after another.
            model(ui, entry, arriving.is_some_and(|arriving| at < arriving));
        }
        // Where the hub does not answer, it does not for any of them: once is enough.
        if let Some(problem) = survey.models.iter().find_map(|model| model.problem.as_ref()) {
            small(ui, &sentence(problem), p.danger);
        }
        if self.shelf.verifying.as_ref() == Some(source) {
            small(ui, "Reading its files over…", p.weak);
        }
        if self.shelf.is_damaged(source) {
            small(
                ui,
                "A file that came from the hub is damaged; only it is fetched again.",
                p.danger,
            );
        }
        let (words, fits) = needs(survey, self.shelf.free_memory_bytes);
        small(ui, &words, p.weak);
        // What the processor's memory has no room for, a GPU may have.
        if fits == Some(false) && no_gpu_support().is_some() {
            small(
                ui,
                "More than is free: close other programs first, or it will not load.",
                p.danger,
            );
        }
        self.buttons(ui, source, survey, is_in_use, actions);
    }

    fn buttons(
        &self,
        ui: &mut Ui,
        source: &PackSource,
        survey: &Survey,
        is_in_use: bool,
        actions: &mut Vec<Action>,
    ) {
        let is_damaged = self.shelf.is_damaged(source);
        if is_in_use && self.session.loading.is_none() && !is_damaged {
            return;
        }
        ui.add_space(space::XS);
        if let Some(fetching) = self.shelf.fetching.as_ref().filter(|f| f.source == *source) {
            return progress(ui, fetching, actions);
        }
        if self.shelf.measuring.as_ref() == Some(source) {
            small(ui, "Asking the hub how large it is…", Palette::of(ui).weak);
            stop_button(ui, actions);
            return;
        }
        let missing =
            is_damaged || survey.models.iter().any(|model| model.presence == Presence::ToDownload);
        let broken = survey.models.iter().any(|model| model.presence == Presence::Broken);
        let reason = if broken {
            Some("A model is not where the pack says.")
        } else if (self.shelf.fetching.is_some() || self.shelf.measuring.is_some()) && missing {
            Some("Another pack is being downloaded.")
        } else if self.session.loading.is_some() {
            Some("Another pack is being loaded.")
        } else {
            None
        };
        let label = match (missing, survey.missing_bytes()) {
            (false, _) => "Load".to_owned(),
            (true, _) if is_damaged => "Download again and load".to_owned(),
            (true, _) if self.shelf.is_interrupted(source) => {
                "Download the rest and load".to_owned()
            }
            (true, Some(missing)) => format!("Download {} and load", bytes(missing)),
            (true, None) if survey.models.iter().any(Entry::has_come) => {
                "Download the rest and load".to_owned()
            }
            (true, None) => "Download and load".to_owned(),
        };
        let button = ui.add_enabled(reason.is_none(), Button::new(&label));
        let button = button.accessible_name(format!("{label}: {}", survey.name));
        let source = source.clone();
        let action = if missing { PackAction::Fetch(source) } else { PackAction::Load(source) };
        if button.on_disabled_hover_text(reason.unwrap_or_default()).clicked() {
            actions.push(Action::Pack(action));
        }
    }
}

/// How far a download is, and the way to stop it.
fn progress(ui: &mut Ui, fetching: &Fetching, actions: &mut Vec<Action>) {
    let share = fetching.progress.as_ref().map_or(0.0, |progress| progress.share());
    let (amount, pace) = match &fetching.progress {
        Some(progress) => (progress.amount(), progress.pace()),
        None => ("Looking what is missing".into(), String::new()),
    };
    ui.scope(|ui| {
        let p = Palette::of(ui);
        ui.visuals_mut().extreme_bg_color = p.rail;
        let bar = ProgressBar::new(share).desired_height(6.0).fill(p.accent);
        ui.add(bar).on_hover_text(format!("{:.0}%", share * 100.0));
    });
    // Two lines at all times: the button below must stay where it is.
    for words in [amount, pace] {
        let words = if words.is_empty() { " ".to_owned() } else { words };
        let ink = Palette::of(ui).weak;
        let words = RichText::new(words).font(text::small()).color(ink);
        ui.add(Label::new(words).truncate());
    }
    stop_button(ui, actions);
}

fn stop_button(ui: &mut Ui, actions: &mut Vec<Action>) {
    let stop = ui.button("Stop").accessible_name("Stop the download");
    if stop.on_hover_text("What has arrived is kept.").clicked() {
        actions.push(Action::Pack(PackAction::StopFetching));
    }
}

/// Scrolls to a card that has just come onto the list; a person may scroll away from it.
fn show_once(card: &Response, number: u64, room: f32) {
    let shown = Id::unique("the pack that was scrolled to");
    let was_shown = card.ctx.data_mut(|data| {
        let before = data.get_temp::<u64>(shown);
        data.insert_temp(shown, number);
        before == Some(number)
    });
    if !was_shown {
        // Of one that is too tall, the end, where its button is.
        let is_tall = card.rect.height() > room;
        card.scroll_to_me(Some(if is_tall { Align::Max } else { Align::Center }));
    }
}

/// What can be done with a pack beside loading it. `has_come`: whether something of it came from
/// the hub.
fn more(ui: &mut Ui, name: &str, source: &PackSource, has_come: bool, actions: &mut Vec<Action>) {
    let button = icon_button(ui, Icon::More, &format!("More about the pack {name}"));
    Popup::menu(&button).show(|ui| {
        menu(ui, 220.0);
        if has_come {
            let verify = ui.button("Check the files");
            let hint = "Reads what came from the hub over, against its checksums.";
            if verify.on_hover_text(hint).clicked() {
                actions.push(Action::Pack(PackAction::Verify(source.clone())));
            }
        }
        let PackSource::Folder(folder) = source else { return };
        if ui.button("Copy the path").on_hover_text(shown(folder)).clicked() {
            ui.copy_text(folder.display().to_string());
        }
        let forget = ui.button("Take off the list");
        if forget.on_hover_text("Nothing is deleted.").clicked() {
            actions.push(Action::Pack(PackAction::Forget(source.clone())));
        }
    });
}

fn name_of(shelved: &Shelved) -> String {
    match (&shelved.survey, &shelved.source) {
        (Ok(survey), _) => survey.name.clone(),
        (Err(_), PackSource::Bundled(name)) => name.clone(),
        (Err(_), PackSource::Folder(folder)) => shown(folder),
    }
}

/// One model: its role, size and whether it is here; the rest on hover.
fn model(ui: &mut Ui, entry: &Entry, has_arrived: bool) {
    let p = Palette::of(ui);
    let role = match entry.kind {
        Kind::Model => entry.role.to_owned(),
        Kind::Adapter => format!("{}, adapter", entry.role),
        Kind::Head => format!("{}, head", entry.role),
    };
    let presence = match entry.presence {
        Presence::Here => "here",
        Presence::ToDownload if has_arrived => "here",
        Presence::ToDownload => "to download",
        Presence::Broken => "not usable",
    };
    let parameters = entry.parameters.map(weights);
    let size = entry.file_bytes.map(bytes);
    let parts: Vec<String> = match entry.same_as {
        Some(other) => vec![format!("same model as {other}")],
        None => [Some(presence.to_owned()), parameters, size].into_iter().flatten().collect(),
    };
    let row = vec2(ui.available_width(), ROLE_ROW);
    ui.allocate_ui_with_layout(row, Layout::left_to_right(Align::Center), |ui| {
        ui.spacing_mut().interact_size.y = ROLE_ROW;
        let words = Label::new(RichText::new(role).font(text::small())).truncate();
        let left = Layout::left_to_right(Align::Center);
        ui.allocate_ui_with_layout(vec2(ROLE_WIDTH, ROLE_ROW), left, |ui| {
            ui.set_min_width(ROLE_WIDTH);
            ui.add(words);
        });
        let line = ui.add(
            Label::new(RichText::new(parts.join(" · ")).font(text::small()).color(p.weak))
                .truncate(),
        );
        line.on_hover_ui(|ui| {
            ui.label(&entry.source);
            if let Some(licence) = &entry.licence {
                ui.label(format!("Licence: {licence}"));
            }
            if let Some(held) = entry.held_bytes {
                ui.label(format!("{} in memory", bytes(held)));
            }
        });
    });
}

/// Licence and memory in words, and whether it fits where that is known.
fn needs(survey: &Survey, free: Option<u64>) -> (String, Option<bool>) {
    let licence = licences(survey);
    match survey.held_bytes() {
        Some(held) => {
            let fits = free.map(|free| held <= free);
            (format!("{} in memory · {licence}", bytes(held)), fits)
        }
        None if survey.models.iter().any(|m| m.from_hub && m.file_bytes.is_none()) => {
            (format!("{licence} · Refresh asks the hub for sizes"), None)
        }
        None => (licence, None),
    }
}

/// The licence that the pack names, or else those that the hub names for its models.
fn licences(survey: &Survey) -> String {
    if let Some(licence) = &survey.licence {
        return licence.clone();
    }
    let mut named: Vec<&str> =
        survey.models.iter().filter_map(|model| model.licence.as_deref()).collect();
    named.sort_unstable();
    named.dedup();
    match named.is_empty() {
        false => named.join(", "),
        true if survey.models.iter().any(|model| model.from_hub) => {
            "licence: see its page on the hub".to_owned()
        }
        true => "licence not named".to_owned(),
    }
}

fn small(ui: &mut Ui, words: &str, ink: Color32) {
    ui.add(Label::new(RichText::new(words).font(text::small()).color(ink)).wrap());
}
