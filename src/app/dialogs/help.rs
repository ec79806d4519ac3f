//! The help window: the keys and the glossary.

use eframe::egui::{Grid, RichText, ScrollArea, Ui, Window, vec2};

use super::glossary::glossary;
use crate::app::shortcuts::{EGUI_KEYS, SHORTCUTS, STAGE_SHORTCUTS};
use crate::app::theme::{Palette, text};
use crate::app::widgets::segmented;

/// The page of the help window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HelpPage {
    /// The terms of the method.
    #[default]
    Glossary,
    /// The keyboard shortcuts.
    Keys,
}

/// Draws the help window over the window.
pub(crate) fn help(ui: &Ui, open: &mut bool, page: &mut HelpPage) {
    let screen = ui.ctx().content_rect();
    let size = vec2(540.0, 560.0).min(screen.size() - vec2(48.0, 96.0));
    let window = Window::new("Help").open(open).resizable(false).collapsible(false);
    let window = window.default_pos(screen.center() - size / 2.0).default_size(size);
    window.constrain_to(screen).show(ui.ctx(), |ui| {
        let pages = [
            (HelpPage::Glossary, "Glossary", "The terms of the method.", None),
            (HelpPage::Keys, "Keys", "The keyboard shortcuts.", None),
        ];
        segmented(ui, "Help", &pages, page);
        ScrollArea::vertical().max_height(size.y).auto_shrink([true, true]).show(
            ui,
            |ui| match page {
                HelpPage::Glossary => glossary(ui),
                HelpPage::Keys => keys(ui),
            },
        );
    });
}

fn keys(ui: &mut Ui) {
    ui.spacing_mut().interact_size.y = 18.0;
    let line = |ui: &mut Ui, keys: &str, words: &str| {
        let weak = Palette::of(ui).weak;
        ui.label(RichText::new(keys).font(text::group()));
        ui.label(RichText::new(words).color(weak));
        ui.end_row();
    };
    Grid::new("keys").num_columns(2).spacing([24.0, 4.0]).show(ui, |ui| {
        for shortcut in &SHORTCUTS {
            let keys = ui.ctx().format_shortcut(&shortcut.keys);
            line(ui, &keys, shortcut.words);
        }
        for (keys, words) in EGUI_KEYS {
            line(ui, keys, words);
        }
    });
    ui.add_space(6.0);
    ui.label(RichText::new("While presenting").font(text::group()));
    Grid::new("stage keys").num_columns(2).spacing([24.0, 4.0]).show(ui, |ui| {
        for shortcut in &STAGE_SHORTCUTS {
            let keys = ui.ctx().format_shortcut(&shortcut.keys);
            line(ui, &keys, shortcut.words);
        }
    });
}
