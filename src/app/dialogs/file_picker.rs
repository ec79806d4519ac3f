//! Opens the desktop's file dialog on a background thread.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::actor::{self, Handle, Limits, Mailbox};

const LIMITS: Limits =
    Limits { name: "ivg-file-dialog", commands: 1, events: 1, drop_timeout: Duration::ZERO };

/// A dialog that ends sooner than this was never shown.
const SHORTEST_CHOICE: Duration = Duration::from_millis(600);

const NO_DIALOG: &str = "No file dialog is available on this system; type the path.";
const NOTHING: &str = "Nothing was chosen. If no file dialog has appeared, type the path.";

/// What the user chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// A `.gguf` file.
    Gguf,
    /// A folder.
    Folder,
}

/// Shows a file dialog and waits for the user. Returns `None` if nothing was chosen.
pub type PickPath = fn(Pick) -> Option<PathBuf>;

/// Shows the dialog of the desktop. It also returns `None` if the desktop has no file dialog.
pub fn native(pick: Pick) -> Option<PathBuf> {
    let dialog = rfd::FileDialog::new();
    match pick {
        Pick::Gguf => dialog
            .set_title("Choose a model")
            .add_filter("GGUF models", &["gguf"])
            .add_filter("All files", &["*"])
            .pick_file(),
        Pick::Folder => dialog.set_title("Choose a model folder").pick_folder(),
    }
}

/// The result of a dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Picked {
    Path(PathBuf),
    /// Nothing was chosen, with a sentence about the reason.
    Nothing(&'static str),
}

/// Opens the file dialog, one at a time.
#[derive(Debug)]
pub(crate) struct FilePicker {
    pick: PickPath,
    open: Option<Handle<Pick, Picked>>,
}

impl FilePicker {
    pub(crate) fn new(pick: PickPath) -> Self {
        Self { pick, open: None }
    }

    /// Opens the dialog. `wake` is called when it closes. Does nothing while a dialog is open.
    pub(crate) fn open(&mut self, pick: Pick, wake: impl Fn() + Send + 'static) {
        if self.open.is_some() {
            return;
        }
        let show = self.pick;
        let run = move |mailbox: Mailbox<Pick, Picked>| {
            while let Some(pick) = mailbox.next() {
                let opened = Instant::now();
                let path = actor::guard(|| show(pick));
                let was_shown = opened.elapsed() >= SHORTEST_CHOICE;
                mailbox.send(match path {
                    Ok(Some(path)) => Picked::Path(path),
                    Ok(None) if was_shown => Picked::Nothing(NOTHING),
                    Ok(None) => Picked::Nothing(NO_DIALOG),
                    Err(reason) => {
                        tracing::warn!("the file dialog failed: {reason}");
                        Picked::Nothing(NO_DIALOG)
                    }
                });
            }
        };
        let handle = actor::spawn(LIMITS, wake, run);
        let handle = handle.inspect_err(|error| tracing::warn!("no file dialog: {error}"));
        self.open = handle.ok().filter(|handle| handle.send(pick).is_ok());
    }

    /// Returns whether the dialog is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns the result of the dialog, once.
    pub(crate) fn picked(&mut self) -> Option<Picked> {
        let picked = self.open.as_ref()?.drain().next()?;
        self.open = None;
        Some(picked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn result(pick: PickPath) -> Option<Picked> {
        let (wake, wakes) = mpsc::channel();
        let mut picker = FilePicker::new(pick);
        picker.open(Pick::Gguf, move || wake.send(()).expect("the test is waiting"));
        assert!(picker.is_open());
        assert_eq!(wakes.recv(), Ok(()));
        let picked = picker.picked();
        assert!(!picker.is_open());
        picked
    }

    #[test]
    fn tells_a_missing_dialog_from_one_that_was_closed() {
        assert_eq!(result(|_| Some("/a.gguf".into())), Some(Picked::Path("/a.gguf".into())));
        assert_eq!(result(|_| None), Some(Picked::Nothing(NO_DIALOG)));
        assert_eq!(result(|_| panic!("no desktop")), Some(Picked::Nothing(NO_DIALOG)));
        let slow = |_| {
            std::thread::sleep(2 * SHORTEST_CHOICE);
            None
        };
        assert_eq!(result(slow), Some(Picked::Nothing(NOTHING)));
    }
}
