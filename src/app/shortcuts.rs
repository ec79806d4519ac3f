//! The keys: one table, which the window obeys and the help lists.

use eframe::egui::{Grid, Key, KeyboardShortcut, Modifiers, RichText, Ui, Window, vec2};

use super::coloring::Coloring;
use super::panels::Action;
use super::path_dialog::Purpose;
use super::theme::{Palette, text};

/// Starts a run.
pub const GENERATE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Enter);

/// A key and what it does.
pub struct Shortcut {
    keys: KeyboardShortcut,
    action: Action,
    words: &'static str,
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn command(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn shortcut(keys: KeyboardShortcut, action: Action, words: &'static str) -> Shortcut {
    Shortcut { keys, action, words }
}

/// Every shortcut of the window, in the order in which the help lists them.
pub static SHORTCUTS: [Shortcut; 16] = [
    shortcut(GENERATE, Action::Generate, "Generate"),
    shortcut(plain(Key::Escape), Action::Escape, "Stop the run; close what is open"),
    shortcut(command(Key::L), Action::FocusPrompt, "Go to the prompt"),
    shortcut(command(Key::D), Action::Dice, "Draw another seed"),
    shortcut(command(Key::R), Action::ToggleLive, "Switch Live on or off"),
    shortcut(command(Key::Num1), Action::Color(Coloring::Plain), "Plain text"),
    shortcut(command(Key::Num2), Action::Color(Coloring::Advantage), "Colour by advantage"),
    shortcut(command(Key::Num3), Action::Color(Coloring::Kl), "Colour by KL"),
    shortcut(command(Key::Num4), Action::Color(Coloring::Probability), "Colour by probability"),
    shortcut(command(Key::Num5), Action::Color(Coloring::Changes), "Mark changed words"),
    shortcut(command(Key::H), Action::ToggleHistory, "Settings or history"),
    shortcut(command(Key::M), Action::ToggleModels, "Settings or models"),
    shortcut(command(Key::O), Action::Ask(Purpose::Open), "Open a trace"),
    shortcut(command(Key::S), Action::Ask(Purpose::Trace), "Save the trace"),
    shortcut(plain(Key::F11), Action::Present, "Present, or leave the stage"),
    shortcut(plain(Key::F1), Action::Help, "This list"),
];

/// What egui and its controls do by themselves.
const GIVEN: [(&str, &str); 4] = [
    ("Tab, Shift+Tab", "Next control, the one before"),
    ("Arrow keys", "Turn the setting that has the focus"),
    ("Ctrl + and −, Ctrl 0", "Larger, smaller, as it was"),
    ("Ctrl+C", "Copy the selected text"),
];

/// The actions whose keys were pressed. Asked before the panels are drawn, or the prompt box
/// would take Ctrl+Enter for a new line. Escape is left to menus and boxes unless `escape`.
pub fn pressed(ui: &Ui, escape: bool) -> Vec<Action> {
    let hit = |s: &&Shortcut| {
        (escape || s.action != Action::Escape) && ui.input_mut(|i| i.consume_shortcut(&s.keys))
    };
    SHORTCUTS.iter().filter(hit).map(|s| s.action.clone()).collect()
}

/// The list, as a window.
pub fn help(ui: &Ui, open: &mut bool) {
    let window = Window::new("Keyboard").open(open).resizable(false).collapsible(false);
    window.default_pos(ui.ctx().content_rect().center() - vec2(200.0, 220.0)).show(
        ui.ctx(),
        |ui| {
            let weak = Palette::of(ui).weak;
            ui.spacing_mut().interact_size.y = 18.0;
            Grid::new("keys").num_columns(2).spacing([24.0, 4.0]).show(ui, |ui| {
                let own = SHORTCUTS.iter().map(|s| (ui.ctx().format_shortcut(&s.keys), s.words));
                let own: Vec<_> = own.collect();
                let given = GIVEN.map(|(keys, words)| (keys.to_owned(), words));
                for (keys, words) in own.into_iter().chain(given) {
                    ui.label(RichText::new(keys).font(text::group()));
                    ui.label(RichText::new(words).color(weak));
                    ui.end_row();
                }
            });
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        for (i, a) in SHORTCUTS.iter().enumerate() {
            assert!(SHORTCUTS[..i].iter().all(|b| b.keys != a.keys), "{}", a.words);
        }
    }
}
