//! Catches expected panics of third-party code without printing them.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and catches a panic without printing it. Other panics are printed as before.
///
/// # Errors
/// Returns the payload of the panic. The caller must not use state that `work` may have left half
/// changed.
pub(crate) fn catch_quietly<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_EXPECTED.get() {
                previous(panic);
            }
        }));
    });
    let was_expected = IS_EXPECTED.replace(true);
    let caught = catch_unwind(AssertUnwindSafe(work));
    IS_EXPECTED.set(was_expected);
    caught
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_caught_and_printed_again_afterwards() {
        let caught = catch_quietly(|| catch_quietly(|| panic!("inner")).is_err());
        assert!(caught.is_ok_and(|inner| inner));
        assert!(catch_quietly(|| panic!("outer")).is_err());
        assert!(!IS_EXPECTED.get());
        assert_eq!(catch_quietly(|| 7).ok(), Some(7));
    }
}
