//! The modal dialog of the window. At most one is open.

use super::dialogs::path_dialog::PathDialog;
use super::models::pack_form::PackForm;
use super::models::wizard::Wizard;
use crate::worker::protocol::PackSource;

/// A dialog that receives all input until it is closed.
#[derive(Debug)]
pub(crate) enum Modal {
    /// Asks for a path.
    Path(PathDialog),
    /// Makes a pack from a model.
    Wizard(Box<Wizard>),
    /// The form with all fields of a pack.
    PackForm(Box<PackForm>),
    /// Asks where to save the pack of the form. The form opens again afterwards.
    SavePack(Box<PackForm>, PathDialog),
    /// Asks the user to confirm a large download.
    ConfirmDownload(PackSource),
}
