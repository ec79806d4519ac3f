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
        let is_asked = matches!(
            tokens.get(at + 1),
            Some(Token::Dot | Token::BracketOpen | Token::Assign | Token::Ident("is"))
        );
        !is_attribute && !is_asked
    };
    let mut loose = names.filter(|name| named(name).into_iter().any(is_loose));
    Ok(loose.next().map(str::to_owned))
}

/// The methods of Python's strings, lists and dictionaries, but for fields of any width: fuel pays
/// for what comes out of a method, not for what it takes on the way.
pub(super) fn methods(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value> {
    let format = value.as_str().filter(|_| method == "format");
    if format.is_some_and(has_wide_field) {
        let reason = "a field of format() may be 9999 wide at most, and not by another field";
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    unknown_method_callback(state, value, method, args)
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
            if first { Ok(()) } else { writer.write_all(b", ") }
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
