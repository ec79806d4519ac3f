//! Replaces behaviour of minijinja that differs from Jinja2.

use minijinja::value::ValueKind;
use minijinja::{Environment, Value};

/// Replaces minijinja's tests with Jinja2's.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", is_iterable);
}

/// Returns whether a value has a length and items. In Python, strings and dictionaries do.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map | ValueKind::Bytes)
}

/// Returns whether a loop can iterate over a value. minijinja also accepts other kinds, such as
/// `none`.
fn is_iterable(value: &Value) -> bool {
    let kind = value.kind();
    is_sequence(value) || matches!(kind, ValueKind::Iterable | ValueKind::Undefined)
}

/// Indents the lines of `text` by `width` spaces: the first line only if `first`, empty lines only
/// if `blank`. Keeps a line end at the end of the text.
pub(super) fn indent_lines(text: &str, width: usize, first: bool, blank: bool) -> String {
    let spaces = " ".repeat(width);
    let mut output = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            output.push('\n');
        }
        let is_indented = if index == 0 { first } else { blank || !line.is_empty() };
        if is_indented {
            output.push_str(&spaces);
        }
        output.push_str(line);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indents_lines_as_jinja2_does() {
        assert_eq!(indent_lines("a\n\nb\n", 2, false, false), "a\n\n  b\n");
        assert_eq!(indent_lines("a\n\nb", 2, true, true), "  a\n  \n  b");
    }
}
