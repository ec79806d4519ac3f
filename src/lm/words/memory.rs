//! What was computed for words, so that it is computed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lm::error::Result;

/// Number of words that are remembered.
const MAX_WORDS: usize = 1 << 16;

/// What is known of words, such as their ids.
pub(super) type Memory<T> = Mutex<HashMap<Box<str>, Arc<[T]>>>;

/// Returns what is remembered of `text`, or computes and remembers it.
pub(super) fn remembered<T>(
    memory: &Memory<T>,
    text: &str,
    compute: impl FnOnce() -> Result<Vec<T>>,
) -> Result<Arc<[T]>> {
    let lock = || -> MutexGuard<'_, HashMap<_, _>> {
        memory.lock().unwrap_or_else(PoisonError::into_inner)
    };
    if let Some(known) = lock().get(text) {
        return Ok(Arc::clone(known));
    }
    // Not locked, because computing may ask for other words.
    let computed: Arc<[T]> = compute()?.into();
    let mut known = lock();
    if known.len() >= MAX_WORDS {
        known.clear();
    }
    known.insert(text.into(), Arc::clone(&computed));
    Ok(computed)
}
