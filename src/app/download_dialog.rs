//! Asks before a large download.

use eframe::egui::{Frame, Id, Modal, RichText, Ui};

use super::theme::{Palette, space, text};
use super::widgets::{primary_button, secondary_button};
use crate::words::bytes;
use crate::worker::library::Survey;

/// Shows what it costs; gives the answer once there is one.
pub fn show(ui: &Ui, survey: &Survey, free: Option<u64>) -> Option<bool> {
    let mut answer = None;
    let frame = Frame::popup(ui.style()).inner_margin(space::L);
    let modal = Modal::new(Id::unique("download")).frame(frame).show(ui.ctx(), |ui| {
        ui.set_width(400.0);
        let size = survey.missing_bytes().map_or_else(|| "the models".to_owned(), bytes);
        ui.label(RichText::new(format!("Download {size}?")).font(text::heading()));
        let why = "needs files that are not on this machine. What has arrived is kept if you stop.";
        ui.label(format!("{} {why}", survey.name));
        if let Some(held) = survey.held_bytes() {
            let room = match free {
                Some(free) if held > free => {
                    format!(", more than the {} that are free", bytes(free))
                }
                Some(free) => format!(" of {} that are free", bytes(free)),
                None => String::new(),
            };
            let ink = Palette::of(ui).weak;
            let words = format!("Loaded, they take {} of memory{room}.", bytes(held));
            ui.label(RichText::new(words).color(ink));
        }
        ui.add_space(space::S);
        ui.horizontal(|ui| {
            if primary_button(ui, "Download", 104.0, true).clicked() {
                answer = Some(true);
            }
            if secondary_button(ui, "Cancel", 88.0, true).clicked() {
                answer = Some(false);
            }
        });
    });
    answer.or(modal.should_close().then_some(false))
}
