//! The filter `tojson`, with the spacing of Python's JSON as in transformers, because models were
//! tuned on it.
//!
//! minijinja's filter escapes HTML, does not support `ensure_ascii`, `separators` and `sort_keys`,
//! and charges fuel after writing.

use std::io::{self, Write};

use minijinja::value::{Kwargs, Rest, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

use super::fuel::{charge, charge_value};

/// Maximum indentation, in spaces.
const MAX_INDENT: usize = 64;
const SPACES: [u8; MAX_INDENT] = [b' '; MAX_INDENT];

/// Implements the filter `tojson(ensure_ascii, indent, separators, sort_keys)`.
pub(super) fn tojson(
    state: &mut State<'_, '_>,
    args: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
    let args = args.into_values();
    args.iter().try_for_each(|value| charge_value(state, value))?;
    let (value, options): (Value, Kwargs) = from_args(&args)?;
    write(value, &options, &|bytes| charge(state, bytes))
}

/// Returns the JSON of `value`. Calls `charge` with the bytes of every piece before storing it,
/// because indentation and separators can make a short list long.
fn write(
    value: Value,
    options: &Kwargs,
    charge: &dyn Fn(u64) -> Result<(), Error>,
) -> Result<String, Error> {
    let invalid = |problem: String| Error::new(ErrorKind::InvalidOperation, problem);
    let ensure_ascii = options.get::<Option<bool>>("ensure_ascii")? == Some(true);
    let indent = options.get::<Option<usize>>("indent")?;
    if indent.is_some_and(|indent| indent > MAX_INDENT) {
        return Err(invalid(format!("tojson(indent) must be at most {MAX_INDENT}")));
    }
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let (item_separator, key_separator) = match separators.as_deref() {
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(invalid("tojson(separators) must be a pair of strings".to_owned())),
    };
    let sort_keys = options.get::<Option<bool>>("sort_keys")? == Some(true);
    options.assert_all_used().map_err(|e| invalid(format!("tojson: {e}")))?;
    let failed = |problem: String| Error::new(ErrorKind::BadSerialization, problem);
    let formatter = PythonFormatter {
        ensure_ascii,
        indent,
        item_separator,
        key_separator,
        depth: 0,
        is_empty: true,
    };
    let mut out = ChargedWriter { bytes: Vec::new(), charge, error: None };
    let mut serializer = Serializer::with_formatter(&mut out, formatter);
    let written = if sort_keys {
        let json = serde_json::to_value(&value).map_err(|error| failed(error.to_string()))?;
        sorted(json).serialize(&mut serializer)
    } else {
        value.serialize(&mut serializer)
    };
    let ChargedWriter { bytes, error, .. } = out;
    error.map_or(Ok(()), Err)?;
    written.map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

/// A writer that charges for bytes before storing them.
struct ChargedWriter<'a> {
    bytes: Vec<u8>,
    charge: &'a dyn Fn(u64) -> Result<(), Error>,
    /// The error of `charge`, if it failed.
    error: Option<Error>,
}

impl Write for ChargedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = (self.charge)(bytes.len() as u64) {
            self.error = Some(error);
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sorted(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            serde_json::Value::Object(fields.into_iter().collect())
        }
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// Formats JSON as Python's `json.dumps` does.
struct PythonFormatter {
    ensure_ascii: bool,
    indent: Option<usize>,
    item_separator: String,
    key_separator: String,
    depth: usize,
    /// Whether the innermost array or object has no item yet.
    is_empty: bool,
}

impl PythonFormatter {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if !self.is_empty {
            self.break_line(writer)?;
        }
        self.is_empty = false;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(self.item_separator.as_bytes())?;
        }
        self.is_empty = false;
        self.break_line(writer)
    }

    fn break_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        let Some(indent) = self.indent else { return Ok(()) };
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(&SPACES[..indent]))
    }
}

impl Formatter for PythonFormatter {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.key_separator.as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !self.ensure_ascii || fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                write!(writer, "{character}")?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let text = match escape {
            CharEscape::Quote => "\\\"".to_owned(),
            CharEscape::ReverseSolidus => "\\\\".to_owned(),
            CharEscape::Solidus => "/".to_owned(),
            CharEscape::Backspace => "\\b".to_owned(),
            CharEscape::FormFeed => "\\f".to_owned(),
            CharEscape::LineFeed => "\\n".to_owned(),
            CharEscape::CarriageReturn => "\\r".to_owned(),
            CharEscape::Tab => "\\t".to_owned(),
            CharEscape::AsciiControl(byte) => format!("\\u{byte:04x}"),
        };
        writer.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn writes_json_as_python_does() {
        let value = context! {
            b => vec![Value::from(1), 2.5.into(), "é\n".into()],
            a => context! {},
            c => Vec::<Value>::new(),
            d => context! { x => (), e => true },
        };
        let text = |options: &[(&'static str, Value)]| {
            let options = options.iter().cloned().collect::<Kwargs>();
            write(value.clone(), &options, &|_| Ok(())).expect("JSON")
        };
        assert_eq!(
            text(&[]),
            r#"{"b": [1, 2.5, "é\n"], "a": {}, "c": [], "d": {"x": null, "e": true}}"#
        );
        let options = [("ensure_ascii", true.into()), ("sort_keys", true.into())];
        assert_eq!(
            text(&options),
            r#"{"a": {}, "b": [1, 2.5, "\u00e9\n"], "c": [], "d": {"e": true, "x": null}}"#
        );
        assert_eq!(
            text(&[("indent", 2.into())]),
            "{\n  \"b\": [\n    1,\n    2.5,\n    \"é\\n\"\n  ],\n  \"a\": {},\n  \"c\": [],\n  \"d\": {\n    \"x\": null,\n    \"e\": true\n  }\n}"
        );
        let tight = Value::from(vec![",", ":"]);
        assert_eq!(
            text(&[("separators", tight)]),
            r#"{"b":[1,2.5,"é\n"],"a":{},"c":[],"d":{"x":null,"e":true}}"#
        );
    }
}
