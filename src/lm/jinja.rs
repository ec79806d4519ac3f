//! What templates from elsewhere are given, and what they may not do.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::Serialize;

type Result<T> = std::result::Result<T, Error>;

/// The name of a namespace that stands by itself in `source`, where it could be put into itself:
/// whoever then prints it never comes to an end. Real templates ask for what is in one.
///
/// # Errors
/// A template that is none.
pub(super) fn loose_namespace(source: &str, syntax: SyntaxConfig) -> Result<Option<String>> {
    let tokens: Result<Vec<Token<'_>>> =
        tokenize(source, false, syntax).map(|token| token.map(|(token, _)| token)).collect();
    let tokens = tokens?;
    let is_made = |at: usize| {
        let before = at.checked_sub(3).map(|start| &tokens[start..at]);
        let before = matches!(before, Some([Token::Ident("set"), Token::Ident(_), Token::Assign]));
        before && matches!(tokens.get(at + 1), Some(Token::ParenOpen))
    };
    let named = |name: &str| {
        let here = |at: &usize| matches!(tokens[*at], Token::Ident(found) if found == name);
        (0..tokens.len()).filter(here).collect::<Vec<_>>()
    };
    let makers = named("namespace");
    if makers.iter().any(|at| !is_made(*at)) {
        return Ok(Some("namespace".to_owned()));
    }
    let names = makers.iter().filter_map(|at| match tokens[at - 2] {
        Token::Ident(name) => Some(name),
        _ => None,
    });
    let is_loose = |at: usize| {
        let is_attribute = at > 0 && matches!(tokens[at - 1], Token::Dot);
        // What a method gives holds on to what it was called on.
        let is_called = matches!(tokens.get(at + 3), Some(Token::ParenOpen));
        let is_asked = match tokens.get(at + 1) {
            Some(Token::Dot) => !is_called,
            next => matches!(next, Some(Token::BracketOpen | Token::Assign | Token::Ident("is"))),
        };
        !is_attribute && !is_asked
    };
    let mut loose = names.filter(|name| named(name).into_iter().any(is_loose));
    Ok(loose.next().map(str::to_owned))
}

/// The methods of Python's strings, lists and dictionaries. Those that may make much of little are
/// paid for before they do: pycompat charges for what has come out.
pub(super) fn methods(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value> {
    match (method, value.as_str()) {
        ("format", Some(format)) => {
            if has_wide_field(format) {
                let reason = "a field of format() may be 9999 wide at most, not by another field";
                return Err(Error::new(ErrorKind::InvalidOperation, reason));
            }
            let longest = args.iter().map(bytes).max().unwrap_or(0);
            let fields = format.matches('{').count() as u64;
            pay(state, fields.saturating_mul(longest.saturating_add(MAX_WIDTH)))?;
        }
        ("join", Some(_)) => {
            for item in args.iter().filter_map(|list| list.try_iter().ok()).flatten() {
                pay(state, bytes(&item).max(1))?;
            }
        }
        _ => {}
    }
    unknown_method_callback(state, value, method, args)
}

/// Widest field that is formatted, in characters.
const MAX_WIDTH: u64 = 9_999;

/// Takes as much fuel as the engine takes for a text of so many bytes.
fn pay(state: &State<'_, '_>, bytes: u64) -> Result<()> {
    state.consume_fuel(bytes.div_ceil(64))
}

/// Bytes of a value as a text; of anything but a text, what a number may have.
fn bytes(value: &Value) -> u64 {
    value.as_str().map_or(400, |text| text.len() as u64)
}

/// Whether a format has a field whose width has more than four digits, or depends on another field.
fn has_wide_field(format: &str) -> bool {
    // What is doubled stands for itself.
    let format = format.replace("{{", "").replace("}}", "");
    format.split('{').skip(1).any(|field| {
        let (field, is_closed) = field.split_once('}').map_or((field, false), |(f, _)| (f, true));
        let mut numbers = field.split(|c: char| !c.is_ascii_digit());
        !is_closed || numbers.any(|number| number.len() > 4)
    })
}

/// What templates call when they do not take a conversation.
pub(super) fn refuse(reason: String) -> Result<Value> {
    Err(Error::new(ErrorKind::InvalidOperation, reason))
}

/// JSON with the spaces that Python puts, for those are what models were tuned on.
pub(super) fn python_json(value: Value) -> Result<String> {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }

        fn begin_object_key<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            self.begin_array_value(writer, first)
        }

        fn begin_object_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
        ) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Spaced);
    let bad = |what: String| Error::new(ErrorKind::BadSerialization, what);
    value.serialize(&mut serializer).map_err(|error| bad(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(source: &str) -> Option<String> {
        loose_namespace(source, SyntaxConfig::default()).expect("a template")
    }

    #[test]
    fn a_namespace_may_be_asked_but_not_handed_on() {
        for fine in [
            "namespace ns {% set ns = namespace(a=1, b='ns') %}{% set ns.a = ns.b %}{{ ns.a + 1 }}",
            "{% set ns = namespace() %}{% if ns is defined and m.ns %}{{ ns['a'] }}{% endif %}",
            "{{ messages }}",
        ] {
            assert_eq!(loose(fine), None, "{fine}");
        }
        for bad in [
            "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
            "{% set ns = namespace() %}{% set other = ns %}",
            "{% set ns = namespace() %}{{ [ns] }}",
            "{% set make = namespace %}",
            "{% set ns = namespace(inner=namespace()) %}",
            "{% set ns = namespace() %}{% set ns.x = ns.values() %}{{ ns.x }}",
        ] {
            assert!(loose(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_field_is_no_wider_than_a_page() {
        for fine in ["{}", "in 20240101: {:>20} {{:>99999}}", "{0} {name}", "{:.3f}"] {
            assert!(!has_wide_field(fine), "{fine}");
        }
        for wide in ["{:>99999}", "{:0900000000d}", "{:.900000000f}", "{:>{}}", "{:>{w}}"] {
            assert!(has_wide_field(wide), "{wide}");
        }
    }
}
