//! The list of packs in the sidebar. Each card shows the models of a pack, their size and presence,
//! and loads or downloads the pack.

use eframe::egui::{
    Align, Button, Color32, Frame, Id, Label, Layout, Popup, ProgressBar, Response, RichText,
    ScrollArea, Stroke, Ui, vec2,
};

use super::jobs::PackJob;
use super::state::ModelsState;
use crate::app::action::Action;
use crate::app::action::PackAction;
use crate::app::dialogs::path_dialog::Purpose;
use crate::app::history::state::display_path;
use crate::app::state::session::{Loading, Session};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, chip, icon_button, menu, pill};
use crate::format::{bytes, sentence, weights};
use crate::worker::pack_service::{Entry, Kind, ListedPack, Presence, Survey};
use crate::worker::protocol::{DeviceChoice, PackSource, Progress, no_gpu_support};

/// Width of the column of roles.
const ROLE_WIDTH: f32 = 92.0;
const ROLE_ROW: f32 = 18.0;

pub(crate) struct ModelsList<'a> {
    pub(crate) models: &'a ModelsState,
    pub(crate) session: &'a Session,
    /// The progress of loading a pack.
    pub(crate) loading: Option<&'a Loading>,
    /// The device chosen in the preferences.
    pub(crate) device: DeviceChoice,
}

impl ModelsList<'_> {
    /// Draws the list. Fills `ui`.
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let width = ui.available_width() - space::L;
        ui.horizontal_wrapped(|ui| {
            ui.set_max_width(width);
            ui.spacing_mut().item_spacing.x = space::XS;
            let add = chip(ui, "Add a pack", false);
            if add.on_hover_text("Adds a folder with a pack.toml.").clicked() {
                actions.push(Action::AskForPath(Purpose::AddPack));
            }
            let bring = chip(ui, "Bring a model", false);
            let hint = "Makes a pack from a model on this machine, with the guides that fit it.";
            if bring.on_hover_text(hint).clicked() {
                actions.push(Action::Pack(PackAction::BringModel));
            }
            let is_refreshing = self.models.is_refreshing && self.models.packs.is_some();
            let label = if is_refreshing { "Refreshing…" } else { "Refresh" };
            let refresh = chip(ui, label, is_refreshing);
            let hint = "Refreshes the list. Asks the hub for sizes and licences.";
            if refresh.on_hover_text(hint).clicked() && !is_refreshing {
                actions.push(Action::Pack(PackAction::Refresh));
            }
        });
        ui.add_space(space::XS);
        self.devices(ui, actions);
        let Some(packs) = &self.models.packs else {
            ui.label(RichText::new("Refreshing…").color(p.weak));
            return;
        };
        ScrollArea::vertical().id_salt("models").auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(width);
            ui.spacing_mut().item_spacing.y = space::S;
            if let Some(free) = self.models.free_memory_bytes {
                small(ui, &format!("{} memory free", bytes(free)), p.weak);
            }
            for pack in packs {
                let highlight = self.models.highlighted.as_ref();
                let highlight = highlight.filter(|(source, _)| *source == pack.source);
                let border = if highlight.is_some() { p.accent } else { p.border };
                let frame = Frame::new()
                    .fill(p.inset)
                    .stroke(Stroke::new(1.0, border))
                    .corner_radius(space::RADIUS)
                    .inner_margin(space::M);
                let card = frame.show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    ui.spacing_mut().item_spacing = vec2(space::XS, 3.0);
                    self.card(ui, pack, actions);
                });
                if let Some((_, number)) = highlight {
                    scroll_to_once(&card.response, *number, ui.clip_rect().height());
                }
            }
        });
    }

    /// Draws the choice of the device.
    fn devices(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            small(ui, "Compute on", Palette::of(ui).weak);
            for device in DeviceChoice::ALL {
                let (words, hint) = match device {
                    DeviceChoice::Auto => ("Automatic", "The GPU if available, else the CPU."),
                    DeviceChoice::Cpu => ("CPU", "The CPU, even if a GPU is available."),
                    DeviceChoice::Gpu => ("GPU", "Models too large for its memory run on the CPU."),
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

    fn card(&self, ui: &mut Ui, pack: &ListedPack, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let source = &pack.source;
        let name = pack_name(pack);
        let is_in_use = self.session.pack.as_ref().is_some_and(|used| used.source == *source);
        ui.horizontal(|ui| {
            ui.add(Label::new(RichText::new(&name).font(text::heading())).truncate());
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let is_downloaded =
                    |survey: &Survey| survey.models.iter().any(Entry::is_downloaded);
                let is_downloaded = pack.survey.as_ref().is_ok_and(is_downloaded);
                if is_downloaded || matches!(source, PackSource::Folder(_)) {
                    more_menu(ui, &name, source, is_downloaded, actions);
                }
                if is_in_use {
                    pill(ui, "in use");
                }
            });
        });
        let survey = match &pack.survey {
            Ok(survey) => survey,
            Err(reason) => return small(ui, &sentence(reason), p.danger),
        };
        small(ui, &survey.description, p.text);
        let current_role = self.models.jobs.of(source).find_map(|job| match job {
            PackJob::Downloading { progress, .. } => progress.as_ref().map(|p| p.role),
            _ => None,
        });
        let current = survey.models.iter().position(|entry| Some(entry.role) == current_role);
        for (at, entry) in survey.models.iter().enumerate() {
            // The models are downloaded in this order.
            model_row(ui, entry, current.is_some_and(|current| at < current));
        }
        // Problems with the hub are usually the same for all models, so only the first is shown.
        if let Some(problem) = survey.models.iter().find_map(|model| model.problem.as_ref()) {
            small(ui, &sentence(problem), p.danger);
        }
        if self.models.jobs.of(source).any(|job| *job == PackJob::Verifying) {
            small(ui, "Verifying files…", p.weak);
        }
        if self.models.is_damaged(source) {
            small(
                ui,
                "A downloaded file is damaged. Only that file will be downloaded again.",
                p.danger,
            );
        }
        let (words, fits) = memory_and_licence(survey, self.models.free_memory_bytes);
        small(ui, &words, p.weak);
        // With GPU support, a pack that does not fit in main memory may fit on the GPU.
        if fits == Some(false) && no_gpu_support().is_some() {
            small(
                ui,
                "Not enough free memory: close other programs before you load this pack.",
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
        let is_damaged = self.models.is_damaged(source);
        if is_in_use && self.loading.is_none() && !is_damaged {
            return;
        }
        ui.add_space(space::XS);
        for job in self.models.jobs.of(source) {
            match job {
                PackJob::Downloading { progress, .. } => {
                    return download_progress(ui, progress.as_ref(), actions);
                }
                PackJob::Measuring { .. } => {
                    small(ui, "Asking the hub for the download size…", Palette::of(ui).weak);
                    return stop_button(ui, actions);
                }
                _ => {}
            }
        }
        let needs_download =
            is_damaged || survey.models.iter().any(|model| model.presence == Presence::ToDownload);
        let is_broken = survey.models.iter().any(|model| model.presence == Presence::Broken);
        let reason = if is_broken {
            Some("A model of this pack cannot be used.")
        } else if self.models.jobs.is_fetching() && needs_download {
            Some("Another pack is being downloaded.")
        } else if self.loading.is_some() {
            Some("Another pack is being loaded.")
        } else {
            None
        };
        let label = match (needs_download, survey.missing_bytes()) {
            (false, _) => "Load".to_owned(),
            (true, _) if is_damaged => "Download again and load".to_owned(),
            (true, _) if self.models.is_interrupted(source) => {
                "Download the rest and load".to_owned()
            }
            (true, Some(missing)) => format!("Download {} and load", bytes(missing)),
            (true, None) if survey.models.iter().any(Entry::is_downloaded) => {
                "Download the rest and load".to_owned()
            }
            (true, None) => "Download and load".to_owned(),
        };
        let button = ui.add_enabled(reason.is_none(), Button::new(&label));
        let button = button.accessible_name(format!("{label}: {}", survey.name));
        let source = source.clone();
        let action = match needs_download {
            true => PackAction::Download(source),
            false => PackAction::Load(source),
        };
        if button.on_disabled_hover_text(reason.unwrap_or_default()).clicked() {
            actions.push(Action::Pack(action));
        }
    }
}

/// Draws the progress of a download and the Stop button.
fn download_progress(ui: &mut Ui, progress: Option<&Progress>, actions: &mut Vec<Action>) {
    let share = progress.map_or(0.0, Progress::share);
    let (amount, pace) = match progress {
        Some(progress) => (progress.amount(), progress.pace()),
        None => ("Looking for missing files".into(), String::new()),
    };
    ui.scope(|ui| {
        let p = Palette::of(ui);
        ui.visuals_mut().extreme_bg_color = p.rail;
        let bar = ProgressBar::new(share).desired_height(6.0).fill(p.accent);
        ui.add(bar).on_hover_text(format!("{:.0}%", share * 100.0));
    });
    // Always two lines, so that the button below does not move.
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
    if stop.on_hover_text("Downloaded data is kept.").clicked() {
        actions.push(Action::Pack(PackAction::StopDownload));
    }
}

/// Scrolls to a highlighted card once per request `number`, so that the user can scroll away.
fn scroll_to_once(card: &Response, number: u64, visible_height: f32) {
    let id = Id::unique("the pack that was scrolled to");
    let was_scrolled = card.ctx.data_mut(|data| {
        let last = data.get_temp::<u64>(id);
        data.insert_temp(id, number);
        last == Some(number)
    });
    if !was_scrolled {
        // The button is at the end of the card, so the end of a tall card is shown.
        let is_tall = card.rect.height() > visible_height;
        card.scroll_to_me(Some(if is_tall { Align::Max } else { Align::Center }));
    }
}

/// Draws the menu with more actions. `is_downloaded`: whether a file of the pack is from the hub.
fn more_menu(
    ui: &mut Ui,
    name: &str,
    source: &PackSource,
    is_downloaded: bool,
    actions: &mut Vec<Action>,
) {
    let button = icon_button(ui, Icon::More, &format!("More about the pack {name}"));
    Popup::menu(&button).show(|ui| {
        menu(ui, 220.0);
        if is_downloaded {
            let verify = ui.button("Check the files");
            let hint = "Compares the downloaded files with their checksums.";
            if verify.on_hover_text(hint).clicked() {
                actions.push(Action::Pack(PackAction::Verify(source.clone())));
            }
        }
        let PackSource::Folder(folder) = source else { return };
        if ui.button("Copy the path").on_hover_text(display_path(folder)).clicked() {
            ui.copy_text(folder.display().to_string());
        }
        let edit = ui.button("Edit").on_hover_text("Comments in pack.toml are not kept.");
        if edit.clicked() {
            actions.push(Action::Pack(PackAction::Edit(folder.clone())));
        }
        let duplicate = ui.button("Duplicate");
        if duplicate.on_hover_text("Makes a new pack with the same values.").clicked() {
            actions.push(Action::Pack(PackAction::Duplicate(folder.clone())));
        }
        let forget = ui.button("Remove from the list");
        if forget.on_hover_text("No files are deleted.").clicked() {
            actions.push(Action::Pack(PackAction::Forget(source.clone())));
        }
    });
}

fn pack_name(pack: &ListedPack) -> String {
    match (&pack.survey, &pack.source) {
        (Ok(survey), _) => survey.name.clone(),
        (Err(_), PackSource::Bundled(name)) => name.clone(),
        (Err(_), PackSource::Folder(folder)) => display_path(folder),
    }
}

/// Draws one model: its role, presence and size, with details on hover. `was_just_downloaded`: the
/// current download has completed this model.
fn model_row(ui: &mut Ui, entry: &Entry, was_just_downloaded: bool) {
    let p = Palette::of(ui);
    let role = match entry.kind {
        Kind::Model => entry.role.to_owned(),
        Kind::Adapter => format!("{}, adapter", entry.role),
        Kind::Head => format!("{}, head", entry.role),
    };
    let presence = match entry.presence {
        Presence::Here => "Installed",
        Presence::ToDownload if was_just_downloaded => "Installed",
        Presence::ToDownload => "To download",
        Presence::Broken => "Not usable",
    };
    // The sidebar has no room for the word "parameters"; the hover text spells it out.
    let parameters = entry.parameters.map(compact);
    let size = entry.file_bytes.map(bytes);
    let parts: Vec<String> = match entry.same_as {
        Some(other) => vec![format!("Same model as {other}")],
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
            if let Some(count) = entry.parameters {
                ui.label(format!("{} parameters", compact(count)));
            }
            if let Some(licence) = &entry.licence {
                ui.label(format!("Licence: {licence}"));
            }
            if let Some(held) = entry.held_bytes {
                ui.label(format!("{} in memory", bytes(held)));
            }
        });
    });
}

/// Returns the memory and licence of a pack as text, and whether it fits in the free memory, or
/// `None` if that is unknown.
fn memory_and_licence(survey: &Survey, free_bytes: Option<u64>) -> (String, Option<bool>) {
    let licence = licences(survey);
    match survey.held_bytes() {
        Some(held) => {
            let fits = free_bytes.map(|free| held <= free);
            (format!("{} in memory · {licence}", bytes(held)), fits)
        }
        None if survey.models.iter().any(|m| m.from_hub && m.file_bytes.is_none()) => {
            (format!("{licence} · press Refresh to get sizes from the hub"), None)
        }
        None => (licence, None),
    }
}

/// Returns the licence that the pack states, or the licences that the hub states for its models.
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
        true => "licence not stated".to_owned(),
    }
}

/// Returns a number of weights without a space, such as "13.1M".
fn compact(count: u64) -> String {
    weights(count).replace(' ', "")
}

fn small(ui: &mut Ui, words: &str, ink: Color32) {
    ui.add(Label::new(RichText::new(words).font(text::small()).color(ink)).wrap());
}
