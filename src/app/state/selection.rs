//! The selected chunk: pointed at with the mouse, or opened for reading. All panels highlight it.

/// A candidate of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// Index of the column.
    pub column: usize,
    /// Index of the chunk, starting at 0.
    pub chunk: usize,
    /// Index of the candidate in the chunk.
    pub candidate: usize,
}

/// The candidate under the pointer, and the candidate that is open for reading.
///
/// Panels are drawn one after another, so an earlier panel cannot know what the pointer is over in
/// a later one. The candidate under the pointer is therefore highlighted in the next frame.
#[derive(Debug, Default)]
pub struct Selection {
    /// Under the pointer in this frame.
    current: Option<ChunkRef>,
    /// Under the pointer in the last frame.
    previous: Option<ChunkRef>,
    /// The candidate whose beam is open for reading.
    pub open: Option<ChunkRef>,
}

impl Selection {
    /// Records that the pointer is over this candidate.
    pub fn point(&mut self, at: ChunkRef) {
        self.current = Some(at);
    }

    /// Returns the candidate to highlight in this frame.
    pub fn marked(&self) -> Option<ChunkRef> {
        self.previous
    }

    /// Ends a frame. Returns whether the next frame highlights another candidate.
    pub(crate) fn end_frame(&mut self) -> bool {
        let current = self.current.take();
        let changed = current != self.previous;
        self.previous = current;
        changed
    }

    /// Clears the selection. Must be called when the run that it refers to is replaced.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlights_the_candidate_under_the_pointer_in_the_next_frame() {
        let mut selection = Selection::default();
        let at = ChunkRef { column: 1, chunk: 2, candidate: 3 };
        selection.point(at);
        assert_eq!(selection.marked(), None);
        assert!(selection.end_frame());
        assert_eq!(selection.marked(), Some(at));
        selection.point(at);
        assert!(!selection.end_frame(), "no change");
        assert!(selection.end_frame(), "the pointer has left");
        assert_eq!(selection.marked(), None);
    }
}
