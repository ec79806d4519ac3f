//! Where Jinja2 differs from the engine.

use minijinja::value::ValueKind;
use minijinja::{Environment, Value};

/// Puts Jinja2's tests in place of the engine's.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", is_iterable);
}

/// Whether a value has a length and items: in Python texts and dictionaries do.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map | ValueKind::Bytes)
}

/// Whether a loop may go over a value. minijinja accepts other kinds, such as none.
fn is_iterable(value: &Value) -> bool {
    let kind = value.kind();
    is_sequence(value) || matches!(kind, ValueKind::Iterable | ValueKind::Undefined)
}

/// `text` with `width` spaces before every line but the first and the empty ones, and before those
/// too where asked for. A line end at the end of the text is kept.
pub(super) fn indented(text: &str, width: usize, first: bool, blank: bool) -> String {
    let spaces = " ".repeat(width);
    let mut made = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            made.push('\n');
        }
        let is_indented = if index == 0 { first } else { blank || !line.is_empty() };
        if is_indented {
            made.push_str(&spaces);
        }
        made.push_str(line);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_is_that_of_jinja2() {
        assert_eq!(indented("a\n\nb\n", 2, false, false), "a\n\n  b\n");
        assert_eq!(indented("a\n\nb", 2, true, true), "  a\n  \n  b");
    }
}
