//! The background work that the wizard uses.

use crate::app::dialogs::file_picker::FilePicker;
use crate::worker::model_probe::ModelProbe;
use crate::worker::path_probe::PathProbe;

/// Reads models, opens the file dialog and checks paths.
pub(crate) struct Tools<'a> {
    pub(crate) probe: &'a mut ModelProbe,
    pub(crate) picker: &'a mut FilePicker,
    pub(crate) path_probe: &'a mut PathProbe,
}
