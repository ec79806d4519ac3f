//! The name of a column, and its menu: the choice of arm, pinning and removal.

use eframe::egui::{Button, Popup, RichText, Ui};

use crate::app::state::availability::arm_disabled_reason;
use crate::app::state::columns::ColumnView;
use crate::app::theme::{Palette, text};
use crate::app::widgets::{choice, menu};
use crate::guidance::labels;
use crate::guidance::settings::{Arm, Column, Settings, limits};
use crate::worker::protocol::PackInfo;

/// A change to the columns. The numbers are column indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnEdit {
    /// Decodes the column with this arm.
    Arm(usize, Arm),
    /// Pins the current settings to the column.
    Pin(usize),
    /// Decodes the column with the settings of the sidebar again.
    Follow(usize),
    /// Adds a copy of the column beside it, pinned to its settings.
    Freeze(usize),
    /// Removes the column.
    Remove(usize),
    /// Adds a column with this arm on the right.
    Add(Arm),
}

impl ColumnEdit {
    /// Returns whether the edit adds a column.
    pub(crate) fn is_added(self) -> bool {
        matches!(self, ColumnEdit::Add(_) | ColumnEdit::Freeze(_))
    }

    /// Applies the edit. `applied` holds the settings that each column decodes with now.
    pub(crate) fn apply(self, columns: &mut Vec<Column>, applied: &[Settings], chosen: &Settings) {
        match self {
            ColumnEdit::Arm(i, arm) => {
                if let Some(column) = columns.get_mut(i) {
                    column.arm = arm;
                }
            }
            ColumnEdit::Pin(i) => {
                // Pins the chosen settings, because the applied ones of a base column always have
                // W = K = 1. A column from a trace has only its applied settings.
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
            ColumnEdit::Freeze(i) => {
                let mut frozen = columns.clone();
                ColumnEdit::Pin(i).apply(&mut frozen, applied, chosen);
                if columns.len() < *limits::COLUMNS.end() && i < columns.len() {
                    columns.insert(i + 1, frozen.swap_remove(i));
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

/// Returns why no column can be added, or `None` if one can.
pub(super) fn add_disabled_reason(columns: &[Column]) -> Option<&'static str> {
    (columns.len() >= *limits::COLUMNS.end()).then_some("At most four columns.")
}

pub(super) fn description(arm: Arm) -> &'static str {
    match arm {
        Arm::Base => "The base model alone.",
        Arm::BestOfN => {
            "Samples W·K responses of the base model and shows the one with the highest value."
        }
        Arm::Token => "Token guidance β, without a search.",
        Arm::Chunk => "Search over chunks, without token guidance.",
        Arm::Ivg => "Integrated Value Guidance: token guidance β and a search over chunks.",
        Arm::PromptOnly => {
            "The base model with your sentences in its prompt, without guidance: what prompting \
             alone achieves."
        }
    }
}

/// The name of a column as a button that opens its menu.
pub(crate) struct ColumnMenu<'a> {
    pub(crate) column_view: &'a ColumnView<'a>,
    /// The settings of the sidebar.
    pub(crate) settings: &'a Settings,
    /// Decides which arms are available.
    pub(crate) pack: Option<&'a PackInfo>,
    pub(crate) is_only_column: bool,
}

impl ColumnMenu<'_> {
    /// Draws the button and returns the edit chosen in the menu.
    pub(crate) fn show(self, ui: &mut Ui) -> Option<ColumnEdit> {
        let p = Palette::of(ui);
        let color = p.column(self.column_view.index);
        let words = format!("{} ⌄", self.column_view.title);
        let words = RichText::new(words).font(text::heading()).color(color);
        let button = Button::new(words).frame_when_inactive(false);
        let response = ui.add(button).on_hover_text("Choose how this column generates text.");
        let name = format!("Column {}: {}", self.column_view.index + 1, self.column_view.title);
        let response = response.accessible_name(name);
        let mut edit = None;
        Popup::menu(&response).show(|ui| {
            menu(ui, 230.0);
            edit = self.entries(ui);
        });
        edit
    }

    fn entries(&self, ui: &mut Ui) -> Option<ColumnEdit> {
        let (i, column) = (self.column_view.index, self.column_view.spec);
        let mut edit = None;
        for arm in Arm::ALL {
            let name = labels::title(arm, &arm.apply(&column.chosen(self.settings)));
            let reason = arm_disabled_reason(arm, &column.chosen(self.settings), self.pack);
            let entry = choice(ui, column.arm == arm, &name);
            let response = ui.add_enabled(reason.is_none(), entry);
            let response = response.on_hover_text(description(arm));
            if let Some(reason) = reason {
                response.on_disabled_hover_text(reason);
            } else if response.clicked() {
                edit = Some(ColumnEdit::Arm(i, arm));
            }
        }
        ui.separator();
        if column.pinned.is_some() {
            let follow = ui.button("Follow the sliders");
            if follow.on_hover_text("Uses the settings of the sidebar again.").clicked() {
                edit = Some(ColumnEdit::Follow(i));
            }
        } else {
            let pin = ui.button("Pin these settings");
            let hint = "Keeps the current settings in this column when you move the sliders. Seed \
                        and length are still shared.";
            if pin.on_hover_text(hint).clicked() {
                edit = Some(ColumnEdit::Pin(i));
            }
        }
        let remove = ui.add_enabled(!self.is_only_column, Button::new("Remove this column"));
        if remove.on_disabled_hover_text("The last column cannot be removed.").clicked() {
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
    fn adds_up_to_four_columns_and_keeps_the_last() {
        let mut columns: Vec<Column> = vec![Arm::Base.into(), Arm::Ivg.into()];
        for arm in [Arm::Token, Arm::Chunk] {
            assert_eq!(add_disabled_reason(&columns), None);
            columns = edited(ColumnEdit::Add(arm), &columns);
        }
        assert!(add_disabled_reason(&columns).is_some_and(|why| why.contains("four")));
        assert_eq!(
            edited(ColumnEdit::Add(Arm::Ivg), &columns),
            columns,
            "a fifth column is not added"
        );
        for _ in 0..5 {
            columns = edited(ColumnEdit::Remove(0), &columns);
        }
        assert_eq!(columns, [Arm::Chunk.into()]);
    }

    #[test]
    fn a_frozen_column_stands_beside_the_live_one() {
        let live: [Column; 2] = [Arm::Base.into(), Arm::Ivg.into()];
        let frozen = edited(ColumnEdit::Freeze(1), &live);
        assert_eq!(frozen[..2], live);
        assert_eq!(frozen[2], Column::pinned(Arm::Ivg, Settings::default()));
        assert_eq!(edited(ColumnEdit::Freeze(0), &frozen).len(), 4);
        let full = edited(ColumnEdit::Freeze(0), &frozen);
        assert_eq!(edited(ColumnEdit::Freeze(0), &full), full, "a fifth column is not added");
    }

    #[test]
    fn a_pinned_column_keeps_the_chosen_settings_for_every_arm() {
        let chosen = Settings::default();
        let pinned = edited(ColumnEdit::Pin(0), &[Arm::Base.into()]);
        assert_eq!(pinned[0].pinned.as_ref(), Some(&chosen));
        let guided = edited(ColumnEdit::Arm(0, Arm::Ivg), &pinned);
        assert_eq!(guided[0].applied(&Settings { beta: -2.0, ..chosen.clone() }), chosen);
        assert_eq!(edited(ColumnEdit::Follow(0), &guided), [Arm::Ivg.into()]);
    }
}
