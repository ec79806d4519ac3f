//! Step 2: the bundled guides and judges that fit the model.

use eframe::egui::{Checkbox, Label, RichText, ScrollArea, Ui};

use super::state::GuidanceStep;
use crate::app::theme::{Palette, space, text};
use crate::worker::model_probe::{Fit, Offer, OfferKind};

const KINDS: [(OfferKind, &str, &str); 3] = [
    (
        OfferKind::Pair,
        "Token guidance (β)",
        "No bundled pair fits. Token guidance needs an untuned and a tuned model of one vocabulary.",
    ),
    (
        OfferKind::Value,
        "Chunk guidance (λ)",
        "No bundled value model fits. Chunk guidance needs a value model.",
    ),
    (OfferKind::Judge, "Judge (measures only)", "No judge is bundled."),
];

impl GuidanceStep {
    /// Draws the step.
    pub(super) fn show(&mut self, ui: &mut Ui) {
        ui.label(RichText::new(self.summary()).color(Palette::of(ui).weak));
        let list = ScrollArea::vertical().id_salt("offers").auto_shrink(false);
        list.show(ui, |ui| {
            // Leaves room for the scroll bar.
            ui.set_max_width(ui.available_width() - space::L);
            for (kind, heading, missing) in KINDS {
                ui.add_space(space::S);
                ui.label(RichText::new(heading).font(text::group()));
                for index in 0..self.report.offers.len() {
                    if self.report.offers[index].kind == kind {
                        self.offer(ui, index);
                    }
                }
                if !self.has_fitting(kind) {
                    note(ui, missing);
                }
            }
        });
    }

    /// Returns a sentence about what fits.
    fn summary(&self) -> &'static str {
        let guides = self.report.offers.iter().filter(|offer| offer.kind != OfferKind::Judge);
        match guides.map(|offer| &offer.fit).min() {
            Some(Fit::Fits) => "These parts of the bundled packs fit this model.",
            Some(Fit::ReadsText) => {
                "No bundled guide was made for this model. Those below can read its responses as \
                 text, or you can go on without guidance. Your own guides (a tuned and an untuned \
                 model, or a value model) can be added in Advanced."
            }
            _ => {
                "No bundled guide fits this model. Guidance needs a tuned and an untuned model, or \
                 a value model; add them in Advanced, or go on without guidance."
            }
        }
    }

    fn offer(&mut self, ui: &mut Ui, index: usize) {
        let offer = &self.report.offers[index];
        let (name, words) = (title(offer), explanation(offer));
        let mut on = self.attached[index];
        let checkbox = ui.add_enabled(offer.can_attach(), Checkbox::new(&mut on, name));
        if checkbox.changed() {
            self.attach(index, on);
        }
        if let Some(words) = words {
            note(ui, &words);
        }
    }
}

fn title(offer: &Offer) -> String {
    format!("{} · {}", offer.path, offer.noun())
}

fn explanation(offer: &Offer) -> Option<String> {
    match &offer.fit {
        Fit::Fits => None,
        Fit::ReadsText => Some(
            "It has another vocabulary, so it reads the responses as text, which is slower."
                .to_owned(),
        ),
        Fit::Not(reason) => Some(reason.clone()),
    }
}

fn note(ui: &mut Ui, words: &str) {
    let ink = Palette::of(ui).weak;
    ui.horizontal(|ui| {
        ui.add_space(24.0);
        ui.add(Label::new(RichText::new(words).font(text::small()).color(ink)).wrap());
    });
}
