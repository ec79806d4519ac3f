//! Panics in code of others that are expected, and become sentences.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, and gives the panic that ended it where one did. Nothing is printed of that one;
/// what is printed of any other stays as it was.
pub(crate) fn catch_quietly<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_EXPECTED.get() {
                before(panic);
            }
        }));
    });
    let was_expected = IS_EXPECTED.replace(true);
    // The caller uses nothing again that a panic may have left half done.
    let caught = catch_unwind(AssertUnwindSafe(work));
    IS_EXPECTED.set(was_expected);
    caught
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_given_and_the_next_is_not_expected() {
        let caught = catch_quietly(|| catch_quietly(|| panic!("inner")).is_err());
        assert!(caught.is_ok_and(|inner| inner));
        assert!(catch_quietly(|| panic!("outer")).is_err());
        assert!(!IS_EXPECTED.get());
        assert_eq!(catch_quietly(|| 7).ok(), Some(7));
    }
}
