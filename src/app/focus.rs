//! What a person points at or reads: one chunk of one candidate, marked wherever it is drawn.

/// A chunk of a column, and which of its candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// The column.
    pub slot: usize,
    /// The chunk, counted from 0.
    pub chunk: usize,
    /// The candidate, by its row.
    pub candidate: usize,
}

/// Pointed at in this frame, pointed at in the last one, and opened to be read.
///
/// Panels are drawn one after another, and the first cannot know what the pointer will find in
/// the last: what is found is marked with the next frame.
#[derive(Debug, Default)]
pub struct Focus {
    found: Option<ChunkRef>,
    shown: Option<ChunkRef>,
    /// The candidate whose whole beam is read.
    pub open: Option<ChunkRef>,
}

impl Focus {
    /// The pointer is on this.
    pub fn point(&mut self, at: ChunkRef) {
        self.found = Some(at);
    }

    /// What is marked in this frame.
    pub fn marked(&self) -> Option<ChunkRef> {
        self.shown
    }

    /// Ends a frame. True if the next one looks different.
    pub fn turn(&mut self) -> bool {
        let found = self.found.take();
        let changed = found != self.shown;
        self.shown = found;
        changed
    }

    /// Forgets everything: what it referred to is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pointed_at_is_marked_for_one_frame() {
        let mut focus = Focus::default();
        let at = ChunkRef { slot: 1, chunk: 2, candidate: 3 };
        focus.point(at);
        assert_eq!(focus.marked(), None);
        assert!(focus.turn());
        assert_eq!(focus.marked(), Some(at));
        focus.point(at);
        assert!(!focus.turn(), "nothing new");
        assert!(focus.turn(), "the pointer has left");
        assert_eq!(focus.marked(), None);
    }
}
