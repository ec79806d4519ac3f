//! The pack in use, and how another takes its place.

use super::engine::WorkerError;
use super::protocol::PackSource;
use crate::packs::{Pack, PackError};

/// Holds one pack, or none.
#[derive(Default)]
pub(super) struct Holder {
    in_use: Option<(PackSource, Pack)>,
}

impl Holder {
    /// The pack in use.
    pub fn pack(&self) -> Option<&Pack> {
        self.in_use.as_ref().map(|(_, pack)| pack)
    }

    /// Where the pack in use is from.
    pub fn source(&self) -> Option<&PackSource> {
        self.in_use.as_ref().map(|(source, _)| source)
    }

    /// Whether the pack in use computes on a GPU.
    pub fn is_on_gpu(&self) -> bool {
        self.pack().is_some_and(|pack| !pack.device.is_cpu())
    }

    /// Opens a pack and puts it into use. The one before stays in use until the new one is there,
    /// but where there is no room for both: then it makes room, and comes back if the new one
    /// cannot be had all the same.
    ///
    /// # Errors
    /// What `open` says.
    pub fn replace(
        &mut self,
        source: &PackSource,
        open: impl Fn(&PackSource) -> Result<Pack, WorkerError>,
    ) -> Result<&mut Pack, WorkerError> {
        let mut opened = open(source);
        if self.is_in_the_way_of(&opened) {
            let before = self.in_use.take().map(|(source, _)| source);
            opened = open(source);
            // Whoever asked goes on with the pack that there was.
            if let (Err(_), Some(before)) = (&opened, before) {
                self.in_use = open(&before).ok().map(|pack| (before, pack));
            }
        }
        let (_, pack) = self.in_use.insert((source.clone(), opened?));
        Ok(pack)
    }

    /// Whether what was opened would do better without the pack in use.
    fn is_in_the_way_of(&self, opened: &Result<Pack, WorkerError>) -> bool {
        let Some(pack) = self.pack() else { return false };
        match opened {
            Ok(opened) => self.is_on_gpu() && opened.device.is_cpu() && opened.was_too_large,
            Err(WorkerError::Pack(PackError::TooLarge { held_bytes, free_bytes, .. })) => {
                !self.is_on_gpu() && *held_bytes <= free_bytes.saturating_add(pack.most_bytes())
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
        Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).expect("it comes along")
    }

    fn too_large(held_bytes: u64) -> WorkerError {
        PackError::TooLarge { role: "base", held_bytes, free_bytes: 1_000 }.into()
    }

    fn new() -> PackSource {
        PackSource::Folder("/new".into())
    }

    /// Puts `/new` in the place of the bundled pack; `answers` are given in turn. Gives what came
    /// of it, what is in use, and what was opened.
    fn replaced(
        answers: Vec<Result<Pack, WorkerError>>,
    ) -> (Result<(), String>, Option<PackSource>, Vec<PackSource>) {
        let mut holder = Holder { in_use: Some((PackSource::default(), bundled())) };
        let (answers, opened) = (RefCell::new(answers.into_iter()), RefCell::new(Vec::new()));
        let open = |source: &PackSource| {
            opened.borrow_mut().push(source.clone());
            answers.borrow_mut().next().expect("no more is opened")
        };
        let result = holder.replace(&new(), open).map(drop).map_err(|e| e.to_string());
        assert!(answers.into_inner().next().is_none(), "all of them are asked for");
        (result, holder.source().cloned(), opened.into_inner())
    }

    #[test]
    fn a_pack_makes_room_for_one_that_fits_without_it() {
        let room = bundled().most_bytes() + 1_000;
        let (result, in_use, opened) = replaced(vec![Err(too_large(room)), Ok(bundled())]);
        assert_eq!((result, in_use), (Ok(()), Some(new())));
        assert_eq!(opened, [new(), new()]);
    }

    #[test]
    fn a_pack_that_made_room_in_vain_comes_back() {
        let answers = vec![Err(too_large(2_000)), Err(too_large(2_000)), Ok(bundled())];
        let (result, in_use, opened) = replaced(answers);
        assert!(result.is_err_and(|e| e.contains("of memory are free")));
        assert_eq!(in_use, Some(PackSource::default()));
        assert_eq!(opened, [new(), new(), PackSource::default()]);
    }

    #[test]
    fn a_pack_stays_where_nothing_would_be_gained() {
        let room = bundled().most_bytes() + 1_000;
        for error in [too_large(room + 1), WorkerError::NoPack] {
            let (result, in_use, opened) = replaced(vec![Err(error)]);
            assert!(result.is_err());
            assert_eq!((in_use, opened), (Some(PackSource::default()), vec![new()]));
        }
    }
}
