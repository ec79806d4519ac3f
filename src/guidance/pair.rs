//! The implicit value function.

use std::sync::Arc;

use crate::lm::{GuideWords, Lm};

/// The implicit value function: a small model before and after preference tuning.
#[derive(Clone)]
pub struct Pair {
    /// Before preference tuning.
    pub untuned: Lm,
    /// After preference tuning.
    pub tuned: Lm,
    /// The vocabulary of both, if it differs from the base's. They then read the response as text.
    pub words: Option<Arc<GuideWords>>,
}
