//! The dialog that asks the user to confirm a large download.

use eframe::egui::{Frame, Id, Modal, RichText, Ui};

use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{primary_button, secondary_button};
use crate::format::bytes;
use crate::worker::pack_service::Survey;

/// Shows the size of a download and the memory that its models need, next to the free memory in
/// bytes. Returns the user's answer, or `None` while there is none.
pub(crate) fn show(ui: &Ui, survey: &Survey, free_bytes: Option<u64>) -> Option<bool> {
    let mut answer = None;
    let frame = Frame::popup(ui.style()).inner_margin(space::L);
    let modal = Modal::new(Id::unique("download")).frame(frame).show(ui.ctx(), |ui| {
        ui.set_width(400.0);
        let size = survey.missing_bytes().map_or_else(|| "the models".to_owned(), bytes);
        ui.label(RichText::new(format!("Download {size}?")).font(text::heading()));
        let reason =
            "needs files that are not on this machine. If you stop, downloaded data is kept.";
        ui.label(format!("{} {reason}", survey.name));
        if let Some(held) = survey.held_bytes() {
            let free = match free_bytes {
                Some(free) if held > free => format!("; only {} is free", bytes(free)),
                Some(free) => format!("; {} is free", bytes(free)),
                None => String::new(),
            };
            let words = format!("The models need {} of memory{free}.", bytes(held));
            ui.label(RichText::new(words).color(Palette::of(ui).weak));
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
