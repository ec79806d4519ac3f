//! The name of a column, and the menu behind it: which arm it is, at which settings.

use eframe::egui::{Button, Popup, RichText, Ui};

use super::availability::why_no_arm;
use super::slots::Slot;
use super::theme::{Palette, text};
use super::widgets::{choice, menu};
use crate::guidance::settings::{Arm, Column, Settings, limits};
use crate::words;
use crate::worker::protocol::PackInfo;

/// What a person did to the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnEdit {
    /// Another arm.
    Arm(usize, Arm),
    /// Keep the settings it has.
    Pin(usize),
    /// Go by the sliders again.
    Follow(usize),
    /// Take it away.
    Remove(usize),
    /// Put this arm beside the last.
    Add(Arm),
}

impl ColumnEdit {
    /// Carries it out. `applied` is what each column decodes with now.
    pub fn apply(self, columns: &mut Vec<Column>, applied: &[Settings], chosen: &Settings) {
        match self {
            ColumnEdit::Arm(i, arm) => {
                if let Some(column) = columns.get_mut(i) {
                    column.arm = arm;
                }
            }
            ColumnEdit::Pin(i) => {
                // A base at its own settings would be pinned to W = K = 1: what counts is what
                // was chosen. A column that a trace brought has only what it decoded with.
                if let Some(column) = columns.get_mut(i) {
                    let is_current = column.arm.apply(chosen) == applied[i];
                    let own = if is_current { chosen } else { &applied[i] };
                    column.pinned = Some(own.clone());
                }
            }
            ColumnEdit::Follow(i) => {
                if let Some(column) = columns.get_mut(i) {
                    column.pinned = None;
                }
            }
            ColumnEdit::Remove(i) => {
                if columns.len() > *limits::COLUMNS.start() && i < columns.len() {
                    columns.remove(i);
                }
            }
            ColumnEdit::Add(arm) => {
                if columns.len() < *limits::COLUMNS.end() {
                    columns.push(arm.into());
                }
            }
        }
    }
}

/// The arm that a comparison lacks and that the pack can decode: token and chunk guidance each alone
/// say most beside both.
///
/// # Errors
/// Why there is no room for another, or no arm, in a sentence.
pub fn newcomer(
    columns: &[Column],
    chosen: &Settings,
    pack: Option<&PackInfo>,
) -> Result<Arm, &'static str> {
    if columns.len() >= *limits::COLUMNS.end() {
        return Err("Four columns are the most.");
    }
    let arms = [Arm::Ivg, Arm::Token, Arm::Chunk, Arm::BestOfN, Arm::Base];
    let mut possible = arms.into_iter().filter(|arm| why_no_arm(*arm, chosen, pack).is_none());
    let missing = |arm: &Arm| columns.iter().all(|c| c.arm != *arm);
    // One that is there already may be pinned to other settings.
    let again = possible.clone().find(|arm| *arm != Arm::Base);
    possible.find(missing).or(again).ok_or("This pack has nothing that could guide the base.")
}

/// What an arm does, in one sentence.
fn sentence(arm: Arm) -> &'static str {
    match arm {
        Arm::Base => "The base model alone.",
        Arm::BestOfN => "W·K whole responses of the base model; the most valuable one is shown.",
        Arm::Token => "β at every token, no search.",
        Arm::Chunk => "The search among chunks, no β.",
        Arm::Ivg => "Integrated Value Guidance: β at every token and the search among chunks.",
    }
}

/// The name of a column as a button that opens its menu.
pub struct ColumnMenu<'a> {
    /// The column.
    pub slot: &'a Slot<'a>,
    /// The settings of the sliders.
    pub settings: &'a Settings,
    /// Says which arms it can decode.
    pub pack: Option<&'a PackInfo>,
    /// Whether it is the only column.
    pub is_last: bool,
}

impl ColumnMenu<'_> {
    /// Shows it.
    pub fn show(self, ui: &mut Ui) -> Option<ColumnEdit> {
        let p = Palette::of(ui);
        let ink = p.column(self.slot.index);
        let words = RichText::new(&self.slot.title).font(text::heading()).color(ink);
        let button = Button::new(words).frame_when_inactive(false);
        let response = ui.add(button).on_hover_text("Choose what this column decodes with.");
        let name = format!("Column {}: {}", self.slot.index + 1, self.slot.title);
        let response = response.accessible_name(name);
        let mut edit = None;
        Popup::menu(&response).show(|ui| {
            menu(ui, 230.0);
            edit = self.entries(ui);
        });
        edit
    }

    fn entries(&self, ui: &mut Ui) -> Option<ColumnEdit> {
        let (i, column) = (self.slot.index, self.slot.column);
        let mut edit = None;
        for arm in Arm::ALL {
            let name = words::title(arm, &arm.apply(&column.chosen(self.settings)));
            let reason = why_no_arm(arm, &column.chosen(self.settings), self.pack);
            let entry = choice(ui, column.arm == arm, &name);
            let response = ui.add_enabled(reason.is_none(), entry);
            let response = response.on_hover_text(sentence(arm));
            if let Some(reason) = reason {
                response.on_disabled_hover_text(reason);
            } else if response.clicked() {
                edit = Some(ColumnEdit::Arm(i, arm));
            }
        }
        ui.separator();
        if column.pinned.is_some() {
            let follow = ui.button("Follow the sliders");
            if follow.on_hover_text("Decode with the settings at the left again.").clicked() {
                edit = Some(ColumnEdit::Follow(i));
            }
        } else {
            let pin = ui.button("Pin these settings");
            let hint = "Keep the settings as they are now in this column, whatever the sliders \
                        do; seed and length stay common.";
            if pin.on_hover_text(hint).clicked() {
                edit = Some(ColumnEdit::Pin(i));
            }
        }
        let remove = ui.add_enabled(!self.is_last, Button::new("Remove this column"));
        if remove.on_disabled_hover_text("The last column stays.").clicked() {
            edit = Some(ColumnEdit::Remove(i));
        }
        edit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(edit: ColumnEdit, columns: &[Column]) -> Vec<Column> {
        let chosen = Settings::default();
        let mut columns = columns.to_vec();
        let applied: Vec<_> = columns.iter().map(|c| c.applied(&chosen)).collect();
        edit.apply(&mut columns, &applied, &chosen);
        columns
    }

    #[test]
    fn columns_come_and_go_within_their_limits() {
        let mut columns: Vec<Column> = vec![Arm::Base.into(), Arm::Ivg.into()];
        let chosen = Settings::default();
        for expected in [Arm::Token, Arm::Chunk] {
            let arm = newcomer(&columns, &chosen, None);
            assert_eq!(arm, Ok(expected));
            columns = edited(ColumnEdit::Add(expected), &columns);
        }
        assert!(newcomer(&columns, &chosen, None).is_err_and(|why| why.contains("Four")));
        assert_eq!(edited(ColumnEdit::Add(Arm::Ivg), &columns), columns, "four are enough");
        for _ in 0..5 {
            columns = edited(ColumnEdit::Remove(0), &columns);
        }
        assert_eq!(columns, [Arm::Chunk.into()]);
    }

    #[test]
    fn a_pinned_column_keeps_what_was_chosen_and_another_arm_can_use_it() {
        let chosen = Settings::default();
        let pinned = edited(ColumnEdit::Pin(0), &[Arm::Base.into()]);
        assert_eq!(pinned[0].pinned.as_ref(), Some(&chosen));
        let guided = edited(ColumnEdit::Arm(0, Arm::Ivg), &pinned);
        assert_eq!(guided[0].applied(&Settings { beta: -2.0, ..chosen.clone() }), chosen);
        assert_eq!(edited(ColumnEdit::Follow(0), &guided), [Arm::Ivg.into()]);
    }
}
