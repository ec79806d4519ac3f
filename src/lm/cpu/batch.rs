//! The new tokens of one forward pass.

use std::sync::Arc;

use super::attention::NewToken;
use crate::lm::cache::Row;
use crate::lm::rope::{RotaryAngles, RotaryFrequencies};

/// The new tokens of one forward pass: all rows concatenated, without padding.
pub(super) struct Batch {
    pub(crate) new_tokens: Vec<NewToken>,
    /// Number of new tokens per row.
    pub(crate) lens: Vec<usize>,
    /// Maximum of `lens`.
    pub(crate) tokens: usize,
    pub(crate) ropes: Option<Arc<RotaryFrequencies>>,
    pub(crate) angles: Vec<RotaryAngles>,
}

impl Batch {
    pub(super) fn new(
        ropes: Option<Arc<RotaryFrequencies>>,
        rows: &[Row],
        new: &[&[u32]],
        tokens: usize,
    ) -> Self {
        let lens: Vec<usize> = new.iter().map(|row| row.len()).collect();
        let new_tokens: Vec<NewToken> = rows
            .iter()
            .zip(&lens)
            .enumerate()
            .flat_map(|(row, (held, &len))| {
                (held.len()..held.len() + len).map(move |position| NewToken { row, position })
            })
            .collect();
        let positions: Vec<usize> = new_tokens.iter().map(|token| token.position).collect();
        let angles = ropes.as_ref().map_or_else(Vec::new, |ropes| ropes.angles(&positions));
        Self { new_tokens, lens, tokens, ropes, angles }
    }

    /// Returns the rotations of the new tokens in `layer`, or `None` for learned positions.
    pub(super) fn angles(&self, layer: usize) -> Option<&RotaryAngles> {
        let ropes = self.ropes.as_ref()?;
        self.angles.get(ropes.index_of_layer(layer))
    }
}
