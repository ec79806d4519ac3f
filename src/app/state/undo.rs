//! Undo and redo of the prompt, the settings and the columns. The prompt box has an undo of its own
//! for typed text, so typing makes no undo point.

use super::preferences::Preferences;
use crate::guidance::settings::{Column, Settings};

/// Maximum number of undo points.
const MAX_POINTS: usize = 200;

/// The undo points before and after the current state.
#[derive(Debug, Default)]
pub(crate) struct UndoHistory {
    past: Vec<Point>,
    current: Option<Point>,
    future: Vec<Point>,
}

/// A state to return to.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    prompt: String,
    settings: Settings,
    columns: Vec<Column>,
}

impl Point {
    fn of(preferences: &Preferences) -> Self {
        let Preferences { prompt, settings, columns, .. } = preferences;
        Self { prompt: prompt.clone(), settings: settings.clone(), columns: columns.clone() }
    }

    fn is(&self, preferences: &Preferences) -> bool {
        let Preferences { prompt, settings, columns, .. } = preferences;
        (&self.prompt, &self.settings, &self.columns) == (prompt, settings, columns)
    }

    fn restore(self, preferences: &mut Preferences) {
        preferences.prompt.clone_from(&self.prompt);
        preferences.settings.clone_from(&self.settings);
        preferences.columns.clone_from(&self.columns);
    }
}

impl UndoHistory {
    /// Records the current state, if it has changed. Must be called between changes, not while a
    /// slider is dragged. `is_typing` tells whether the prompt box has the focus.
    pub(crate) fn record(&mut self, preferences: &Preferences, is_typing: bool) {
        let Some(current) = &mut self.current else {
            self.current = Some(Point::of(preferences));
            return;
        };
        if current.is(preferences) {
            return;
        }
        if is_typing && current.settings == preferences.settings {
            current.prompt.clone_from(&preferences.prompt);
            return;
        }
        self.past.push(std::mem::replace(current, Point::of(preferences)));
        self.future.clear();
        if self.past.len() > MAX_POINTS {
            self.past.remove(0);
        }
    }

    /// Returns to the state before the last change. Returns whether there was one.
    pub(crate) fn undo(&mut self, preferences: &mut Preferences) -> bool {
        self.record(preferences, false);
        let Some(point) = self.past.pop() else { return false };
        self.future.extend(self.current.replace(point.clone()));
        point.restore(preferences);
        true
    }

    /// Returns to the state before the last undo. Returns whether there was one.
    pub(crate) fn redo(&mut self, preferences: &mut Preferences) -> bool {
        self.record(preferences, false);
        let Some(point) = self.future.pop() else { return false };
        self.past.extend(self.current.replace(point.clone()));
        point.restore(preferences);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::settings::Arm;

    #[test]
    fn changes_are_undone_and_redone_in_order_and_the_ends_do_nothing() {
        let mut preferences = Preferences::default();
        let mut history = UndoHistory::default();
        history.record(&preferences, false);
        preferences.settings.beta = 2.0;
        history.record(&preferences, false);
        preferences.columns.push(Arm::Token.into());
        history.record(&preferences, false);
        let full = preferences.clone();
        assert!(history.undo(&mut preferences));
        assert_eq!((preferences.columns.len(), preferences.settings.beta), (2, 2.0));
        assert!(history.undo(&mut preferences));
        assert_eq!(preferences.settings.beta, 1.0);
        assert!(!history.undo(&mut preferences), "past the beginning");
        assert!(history.redo(&mut preferences) && history.redo(&mut preferences));
        assert_eq!(preferences, full);
        assert!(!history.redo(&mut preferences), "past the end");
    }

    #[test]
    fn a_new_change_clears_the_redo_and_typing_makes_no_point() {
        let mut preferences = Preferences::default();
        let mut history = UndoHistory::default();
        history.record(&preferences, false);
        for typed in ["T", "Th", "The"] {
            preferences.prompt = typed.into();
            history.record(&preferences, true);
        }
        assert!(!history.undo(&mut preferences), "typing alone is not undone here");
        preferences.prompt = "An example".into();
        history.record(&preferences, false);
        assert!(history.undo(&mut preferences));
        assert_eq!(preferences.prompt, "The", "the example is undone, the typed text returns");
        preferences.settings.beta = 0.0;
        assert!(!history.redo(&mut preferences), "the change cleared the redo");
        assert!(history.undo(&mut preferences), "a change that was not recorded yet counts");
    }
}
