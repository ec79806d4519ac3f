//! Programs in Jinja from elsewhere: what they are given, and what they may not do.

mod pay;
mod tokens;

use std::collections::BTreeMap;

use minijinja::machinery::{CodeGenerator, Instruction, eval, make_string_output, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::words::excerpt;

/// Instructions that a template may take, 64 bytes that it makes counted as one: real ones take some
/// hundred for two messages, one that loops for ever or doubles a text is stopped.
const FUEL: u64 = 200_000;

/// Refuses what is no template, and what may not be run.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(source: &str) -> Result<(), Error> {
    let syntax = syntax()?;
    parse(source, NAME, syntax.clone())?;
    match tokens::why_not(source, syntax)? {
        None => Ok(()),
        Some(reason) => Err(refuse(reason)),
    }
}

/// What the template makes of these values.
///
/// # Errors
/// As [`check`]; what the template itself refuses, and the end of its fuel.
pub(super) fn render(source: &str, values: Value) -> Result<String, Error> {
    check(source)?;
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.add_function("raise_exception", raise_exception);
    pay::install(&mut environment);
    let mut code = CodeGenerator::new(NAME, source);
    code.compile_stmt(&parse(source, NAME, syntax()?)?);
    let (mut instructions, _) = code.finish();
    // The engine's own ~ makes its text before it pays; a function of ours takes its place.
    let mut at = 0;
    while let Some(instruction) = instructions.get_mut(at) {
        if matches!(instruction, Instruction::StringConcat) {
            *instruction = Instruction::CallFunction(pay::JOIN, Some(2));
        }
        at += 1;
    }
    let mut text = String::new();
    let (blocks, mut out) = (BTreeMap::new(), make_string_output(&mut text));
    eval(&environment, &instructions, values, &blocks, &mut out, AutoEscape::None)?;
    Ok(text)
}

/// Longest reason of a template's own, in characters.
const LONGEST_REASON: usize = 300;
/// The name of every template, for the engine.
const NAME: &str = "chat";

/// As transformers sets its own.
fn syntax() -> Result<SyntaxConfig, Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()
}

/// An error of this template's own.
fn refuse(reason: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// What templates call when they do not take a conversation.
fn raise_exception(reason: &str) -> Result<Value, Error> {
    Err(refuse(excerpt(reason, LONGEST_REASON)))
}

/// JSON as transformers makes it for its templates: the spaces are those that Python puts, for those
/// are what models were tuned on.
fn python_json(value: Value, options: Kwargs) -> Result<String, Error> {
    // Python's default is another; transformers' is this one.
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(refuse("tojson(ensure_ascii=True) is not supported".to_owned()));
    }
    options.assert_all_used().map_err(|e| refuse(format!("tojson: {e}")))?;
    struct Spaced;
    impl Formatter for Spaced {
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
    let mut serializer = Serializer::with_formatter(&mut bytes, Spaced);
    let bad = |what: String| Error::new(ErrorKind::BadSerialization, what);
    value.serialize(&mut serializer).map_err(|error| bad(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| bad(error.to_string()))
}
