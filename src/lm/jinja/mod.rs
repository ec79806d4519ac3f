//! Renders chat templates: Jinja programs that come with downloaded models. They get the variables
//! and functions that transformers passes, and nothing else.
//!
//! Threat model: a template is untrusted code. minijinja keeps it from files, network and
//! environment, so it can only try to exhaust time, memory or the stack.
//!
//! minijinja's fuel does not prevent this alone: it charges for a formatted list only after writing
//! it, and charges nothing for constant folding or for comparing a namespace that contains itself.
//! The guards in [`fuel`], [`namespace`] and [`static_checks`] close these gaps. The parent's
//! `chat` module also limits the time and runs templates on a thread with a large stack.

mod fuel;
mod json;
mod namespace;
mod python;
mod rewrite;
mod static_checks;

use std::collections::BTreeMap;

use minijinja::machinery::{
    CodeGenerator, Instruction, Instructions, eval, make_string_output, parse,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::bounded_read::excerpt;
use crate::local_time::LocalTime;

/// Maximum instructions of a template; 64 bytes of output count as one. Real templates take a few
/// hundred for two messages. The limit stops templates that loop forever or double a text.
const FUEL: u64 = 200_000;

/// Checks that a template parses and passes the static checks.
///
/// # Errors
/// Returns the reason if it does not.
pub(super) fn check(source: &str) -> Result<(), Error> {
    let source = rewrite::rewrite(source, syntax()?)?;
    parse(&source, NAME, syntax()?)?;
    match static_checks::reason_to_reject(&source, syntax()?)? {
        None => Ok(()),
        Some(reason) => Err(invalid(reason)),
    }
}

/// Returns whether a template uses the date or the time.
pub(super) fn uses_time(source: &str) -> bool {
    source.contains("strftime_now")
}

/// Renders a template with these values; its function `strftime_now` formats `time`.
///
/// # Errors
/// Returns an error if [`check`] fails, the template raises an exception, or it runs out of fuel.
pub(super) fn render(source: &str, values: Value, time: LocalTime) -> Result<String, Error> {
    check(source)?;
    let source = rewrite::rewrite(source, syntax()?)?;
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.add_function("raise_exception", raise_exception);
    environment
        .add_function("strftime_now", move |format: &str| time.strftime(format).map_err(invalid));
    python::install(&mut environment);
    fuel::install(&mut environment);
    environment.add_filter("tojson", json::tojson);
    let assignments = namespace::assignments(&mut compile(&source)?);
    namespace::install(&mut environment, &assignments);
    let mut instructions = compile(&source)?;
    namespace::replace(&mut instructions, &assignments);
    // minijinja's `~` charges for a list after writing it, so a function that charges first
    // replaces it.
    let mut at = 0;
    while let Some(instruction) = instructions.get_mut(at) {
        if matches!(instruction, Instruction::StringConcat) {
            *instruction = Instruction::CallFunction(fuel::CONCAT, Some(2));
        }
        at += 1;
    }
    let mut text = String::new();
    let (blocks, mut out) = (BTreeMap::new(), make_string_output(&mut text));
    eval(&environment, &instructions, values, &blocks, &mut out, AutoEscape::None)?;
    Ok(text)
}

fn compile(source: &str) -> Result<Instructions<'_>, Error> {
    let mut code = CodeGenerator::new(NAME, source);
    code.compile_stmt(&parse(source, NAME, syntax()?)?);
    Ok(code.finish().0)
}

/// Maximum characters of a message that a template raises.
const MAX_MESSAGE: usize = 300;
/// Name of every template in minijinja's messages.
const NAME: &str = "chat";

/// Returns the syntax options that transformers uses.
fn syntax() -> Result<SyntaxConfig, Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()
}

fn invalid(reason: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// Implements the function that templates call to reject a conversation.
fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(invalid(excerpt(message, MAX_MESSAGE)))
}
