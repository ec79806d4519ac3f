//! Loads the pack of a subcommand.

use ivg_playground::packs::hub::Hub;
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, Step};

use super::download_bar::DownloadBar;

/// Loads a pack, and shows the progress of downloads on standard error.
pub fn load_pack(source: &PackSource, device: DeviceChoice) -> anyhow::Result<Pack> {
    let mut bar = DownloadBar::new();
    let mut show = |step: Step<'_>| match step {
        Step::Downloading(progress) => bar.show(progress),
        Step::Reading { .. } => bar.clear(),
    };
    let pack = Pack::load_from(source, device, &Hub::from_env(), &|| false, &mut show);
    bar.clear();
    let pack = pack?;
    if let Some(note) = &pack.device_note {
        errln!("{note}");
    }
    Ok(pack)
}
