//! The loaded pack, and how another pack replaces it.

use super::error::WorkerError;
use super::protocol::PackSource;
use crate::packs::{Pack, PackError};

/// Holds at most one pack and its source.
#[derive(Default)]
pub(super) struct LoadedPack {
    loaded: Option<(PackSource, Pack)>,
}

impl LoadedPack {
    pub(super) fn pack(&self) -> Option<&Pack> {
        self.loaded.as_ref().map(|(_, pack)| pack)
    }

    pub(super) fn source(&self) -> Option<&PackSource> {
        self.loaded.as_ref().map(|(source, _)| source)
    }

    pub(crate) fn is_on_gpu(&self) -> bool {
        self.pack().is_some_and(|pack| !pack.device.is_cpu())
    }

    /// Loads the pack at `source` and replaces the current pack with it. The current pack stays
    /// loaded meanwhile if memory has room for both. Otherwise it is unloaded first, and loaded
    /// again if the new pack cannot be loaded even then.
    ///
    /// # Errors
    /// Returns the error of `open` for `source`.
    pub(super) fn replace(
        &mut self,
        source: &PackSource,
        open: impl Fn(&PackSource) -> Result<Pack, WorkerError>,
    ) -> Result<&mut Pack, WorkerError> {
        let mut opened = open(source);
        if self.should_unload_for(&opened) {
            let previous = self.loaded.take().map(|(source, _)| source);
            opened = open(source);
            if let (Err(_), Some(previous)) = (&opened, previous) {
                self.loaded = open(&previous).ok().map(|pack| (previous, pack));
            }
        }
        let (_, pack) = self.loaded.insert((source.clone(), opened?));
        Ok(pack)
    }

    /// Checks whether unloading the current pack would let the new pack load, or load on the GPU.
    fn should_unload_for(&self, opened: &Result<Pack, WorkerError>) -> bool {
        let Some(pack) = self.pack() else { return false };
        match opened {
            Ok(opened) => self.is_on_gpu() && opened.device.is_cpu() && opened.was_too_large,
            Err(WorkerError::Pack(PackError::TooLarge { held_bytes, free_bytes, .. })) => {
                !self.is_on_gpu()
                    && *held_bytes <= free_bytes.saturating_add(pack.max_weight_bytes())
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::packs::DeviceChoice;

    fn bundled() -> Pack {
        let source = PackSource::default();
        Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).expect("the bundled pack loads")
    }

    fn too_large(held_bytes: u64) -> WorkerError {
        PackError::TooLarge { role: "base", held_bytes, free_bytes: 1_000 }.into()
    }

    fn new() -> PackSource {
        PackSource::Folder("/new".into())
    }

    /// Replaces the bundled pack with `/new`, where successive loads return `outcomes`. Returns
    /// the result, the source of the loaded pack, and the sources that were opened.
    fn replaced(
        outcomes: Vec<Result<Pack, WorkerError>>,
    ) -> (Result<(), String>, Option<PackSource>, Vec<PackSource>) {
        let mut loaded = LoadedPack { loaded: Some((PackSource::default(), bundled())) };
        let (outcomes, opened) = (RefCell::new(outcomes.into_iter()), RefCell::new(Vec::new()));
        let open = |source: &PackSource| {
            opened.borrow_mut().push(source.clone());
            outcomes.borrow_mut().next().expect("an outcome for every load")
        };
        let result = loaded.replace(&new(), open).map(drop).map_err(|e| e.to_string());
        assert!(outcomes.into_inner().next().is_none(), "every outcome is used");
        (result, loaded.source().cloned(), opened.into_inner())
    }

    #[test]
    fn unloads_the_old_pack_if_the_new_one_fits_only_without_it() {
        let room = bundled().max_weight_bytes() + 1_000;
        let (result, loaded, opened) = replaced(vec![Err(too_large(room)), Ok(bundled())]);
        assert_eq!((result, loaded), (Ok(()), Some(new())));
        assert_eq!(opened, [new(), new()]);
    }

    #[test]
    fn loads_the_old_pack_again_if_the_new_one_still_does_not_fit() {
        let outcomes = vec![Err(too_large(2_000)), Err(too_large(2_000)), Ok(bundled())];
        let (result, loaded, opened) = replaced(outcomes);
        assert!(result.is_err_and(|e| e.contains("of memory are free")));
        assert_eq!(loaded, Some(PackSource::default()));
        assert_eq!(opened, [new(), new(), PackSource::default()]);
    }

    #[test]
    fn keeps_the_old_pack_if_unloading_it_would_not_help() {
        let room = bundled().max_weight_bytes() + 1_000;
        for error in [too_large(room + 1), WorkerError::NoPack] {
            let (result, loaded, opened) = replaced(vec![Err(error)]);
            assert!(result.is_err());
            assert_eq!((loaded, opened), (Some(PackSource::default()), vec![new()]));
        }
    }
}
