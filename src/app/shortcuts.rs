//! The keyboard shortcuts: one table for handling the keys and for the help window.

use eframe::egui::{Key, KeyboardShortcut, Modifiers, Ui};

use crate::app::action::{Action, GENERATE};
use crate::app::dialogs::path_dialog::Purpose;
use crate::app::state::coloring::Coloring;
use crate::app::state::preferences::LowerTab;
use crate::lab::sweep::SweepAxis;

/// A key combination and its action.
pub(crate) struct Shortcut {
    pub(crate) keys: KeyboardShortcut,
    action: Action,
    pub(crate) words: &'static str,
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn command(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn command_shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), key)
}

const fn shortcut(keys: KeyboardShortcut, action: Action, words: &'static str) -> Shortcut {
    Shortcut { keys, action, words }
}

/// Every shortcut of the window, in the order in which the help lists them. Redo comes before Undo,
/// because the keys of Undo are also pressed for Redo.
pub(crate) static SHORTCUTS: [Shortcut; 20] = [
    shortcut(GENERATE, Action::Generate, "Generate"),
    shortcut(plain(Key::Escape), Action::Escape, "Close what is open; stop the run"),
    shortcut(command(Key::L), Action::FocusPrompt, "Go to the prompt"),
    shortcut(command(Key::D), Action::NewSeed, "Draw another seed"),
    shortcut(command(Key::R), Action::ToggleLive, "Switch Live on or off"),
    shortcut(command(Key::Num1), Action::Color(Coloring::Plain), "Plain text"),
    shortcut(command(Key::Num2), Action::Color(Coloring::Advantage), "Colour by advantage"),
    shortcut(command(Key::Num3), Action::Color(Coloring::Kl), "Colour by KL"),
    shortcut(command(Key::Num4), Action::Color(Coloring::Probability), "Colour by probability"),
    shortcut(command(Key::Num5), Action::Color(Coloring::Changes), "Mark changed words"),
    shortcut(command_shift(Key::Z), Action::Redo, "Redo"),
    shortcut(command(Key::Z), Action::Undo, "Undo a change of prompt, settings or columns"),
    shortcut(command(Key::B), Action::ToggleSidebar, "Collapse or expand the sidebar"),
    shortcut(command(Key::Num0), Action::ResetZoom, "Reset the zoom"),
    shortcut(command(Key::H), Action::ToggleHistory, "Show or hide the history"),
    shortcut(command(Key::M), Action::ToggleModels, "Show or hide the models"),
    shortcut(command(Key::O), Action::AskForPath(Purpose::Open), "Open a trace"),
    shortcut(command(Key::S), Action::AskForPath(Purpose::Trace), "Save the trace"),
    shortcut(plain(Key::F11), Action::Present, "Start or end the presentation"),
    shortcut(plain(Key::F1), Action::Help, "Show or hide this list"),
];

const fn nudge(axis: SweepAxis, down: bool) -> Action {
    Action::Nudge { axis, down }
}

/// The shortcuts of the presentation. They are single keys, so they apply only while no text box
/// has the focus.
pub(crate) static STAGE_SHORTCUTS: [Shortcut; 14] = [
    shortcut(plain(Key::Space), Action::Generate, "Generate"),
    shortcut(plain(Key::PageDown), Action::NextStop { backward: false }, "Next step of the story"),
    shortcut(plain(Key::PageUp), Action::NextStop { backward: true }, "Previous step of the story"),
    shortcut(plain(Key::OpenBracket), nudge(SweepAxis::Beta, true), "Less token guidance β"),
    shortcut(plain(Key::CloseBracket), nudge(SweepAxis::Beta, false), "More token guidance β"),
    shortcut(plain(Key::OpenCurlyBracket), nudge(SweepAxis::Lambda, true), "Less chunk guidance λ"),
    shortcut(
        plain(Key::CloseCurlyBracket),
        nudge(SweepAxis::Lambda, false),
        "More chunk guidance λ",
    ),
    shortcut(plain(Key::Num1), Action::FocusColumn(0), "Only the first column, or all again"),
    shortcut(plain(Key::Num2), Action::FocusColumn(1), "Only the second column"),
    shortcut(plain(Key::Num3), Action::FocusColumn(2), "Only the third column"),
    shortcut(plain(Key::Num4), Action::FocusColumn(3), "Only the fourth column"),
    shortcut(plain(Key::V), Action::ShowLower(LowerTab::Values), "Show the values"),
    shortcut(plain(Key::T), Action::ShowLower(LowerTab::Tree), "Show the search tree"),
    shortcut(plain(Key::S), Action::ShowLower(LowerTab::Sweep), "Show the sweep"),
];

/// Keys that egui handles.
pub(crate) const EGUI_KEYS: [(&str, &str); 4] = [
    ("Tab, Shift+Tab", "Next control, previous control"),
    ("Arrow keys", "Change the focused setting"),
    ("Ctrl + and −", "Zoom in, zoom out"),
    ("Ctrl+C", "Copy the selected text"),
];

/// Returns the actions whose keys were pressed. Must be called before the panels are drawn, because
/// the prompt box would insert a new line for Ctrl+Enter. Unless `handles_escape` is set, Escape is
/// left to menus and text boxes.
pub(crate) fn pressed(ui: &Ui, handles_escape: bool) -> Vec<Action> {
    // A text box has its own undo.
    let is_typing = ui.ctx().text_edit_focused();
    let is_pressed = |s: &&Shortcut| {
        (handles_escape || s.action != Action::Escape)
            && !(is_typing && matches!(s.action, Action::Undo | Action::Redo))
            && ui.input_mut(|i| i.consume_shortcut(&s.keys))
    };
    SHORTCUTS.iter().filter(is_pressed).map(|s| s.action.clone()).collect()
}

/// Returns the actions of the stage's keys that were pressed. Returns none while a text box has the
/// focus. A focused button keeps the space bar.
pub(crate) fn pressed_on_stage(ui: &Ui) -> Vec<Action> {
    if ui.ctx().text_edit_focused() {
        return Vec::new();
    }
    let is_focused = ui.memory(|m| m.focused()).is_some();
    let is_pressed = |s: &&Shortcut| {
        (s.keys.logical_key != Key::Space || !is_focused)
            && ui.input_mut(|i| i.consume_shortcut(&s.keys))
    };
    STAGE_SHORTCUTS.iter().filter(is_pressed).map(|s| s.action.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_action() {
        let all: Vec<&Shortcut> = SHORTCUTS.iter().chain(&STAGE_SHORTCUTS).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| b.keys != a.keys), "{}", a.words);
        }
    }
}
