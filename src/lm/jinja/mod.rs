//! Chat templates are programs from elsewhere. They get what transformers gives them, bounded in
//! instructions, memory and recursion; they can read nothing else.

mod json;
mod namespace;
mod pay;
mod python;
mod rewrite;
mod tokens;

use std::collections::BTreeMap;

use minijinja::machinery::{
    CodeGenerator, Instruction, Instructions, eval, make_string_output, parse,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::local_time::LocalTime;
use crate::text::excerpt;

/// Instructions that a template may take, 64 bytes that it makes counted as one: real ones take some
/// hundred for two messages, one that loops for ever or doubles a text is stopped.
const FUEL: u64 = 200_000;

/// Rejects a template that does not parse or may not run.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(source: &str) -> Result<(), Error> {
    let source = rewrite::rewrite(source, syntax()?)?;
    parse(&source, NAME, syntax()?)?;
    match tokens::why_not(&source, syntax()?)? {
        None => Ok(()),
        Some(reason) => Err(refuse(reason)),
    }
}

/// Whether a template asks for the date or the time.
pub(super) fn asks_time(source: &str) -> bool {
    source.contains("strftime_now")
}

/// Renders the template with these values; `strftime_now` formats `time`.
///
/// # Errors
/// As [`check`]; what the template itself refuses, and the end of its fuel.
pub(super) fn render(source: &str, values: Value, time: LocalTime) -> Result<String, Error> {
    check(source)?;
    let source = rewrite::rewrite(source, syntax()?)?;
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", move |form: &str| time.strftime(form).map_err(refuse));
    python::install(&mut environment);
    pay::install(&mut environment);
    environment.add_filter("tojson", json::tojson);
    let assignments = namespace::assignments(&mut compile(&source)?);
    namespace::install(&mut environment, &assignments);
    let mut instructions = compile(&source)?;
    namespace::replace(&mut instructions, &assignments);
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

/// The template's instructions.
fn compile(source: &str) -> Result<Instructions<'_>, Error> {
    let mut code = CodeGenerator::new(NAME, source);
    code.compile_stmt(&parse(source, NAME, syntax()?)?);
    Ok(code.finish().0)
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
