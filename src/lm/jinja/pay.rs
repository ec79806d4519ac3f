//! What a template makes is paid for in fuel before it is made. The engine charges for what has
//! come out, which is late where a list holds one long text a million times at no cost.

use minijinja::value::{
    FunctionArgs, FunctionResult, Kwargs, Rest, StringInput, ValueKind, ValueOrKwargs, from_args,
};
use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value, escape_formatter, filters,
    functions::Function,
};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::python::indented;

type Result<T> = std::result::Result<T, Error>;

/// What [`join`] is called by. No template can write it, nor put another in its place.
pub(super) const JOIN: &str = "~";

/// Widest field that is formatted, in characters.
const MAX_WIDTH: u64 = 9_999;

/// Lets everything that can make a text out of other values pay for them first.
pub(super) fn install(environment: &mut Environment<'_>) {
    // Both print whatever there is.
    environment.remove_global("debug");
    environment.remove_filter("pprint");
    environment.set_formatter(print);
    environment.set_unknown_method_callback(methods);
    environment.add_function(JOIN, join);
    let mut pays = Payer { environment };
    pays.first("join", filters::join);
    pays.first("string", filters::string);
    pays.first("safe", filters::safe);
    pays.first("escape", filters::escape);
    pays.first("e", filters::escape);
    pays.first("upper", filters::upper);
    pays.first("lower", filters::lower);
    pays.first("title", filters::title);
    pays.first("capitalize", filters::capitalize);
    pays.first("trim", filters::trim);
    pays.first("split", filters::split);
    pays.first("lines", filters::lines);
    pays.first("format", filters::format);
    pays.first("int", filters::int);
    pays.first("float", filters::float);
    pays.first("sum", filters::sum);
    pays.first("min", filters::min);
    pays.first("max", filters::max);
    pays.first("sort", filters::sort);
    pays.first("dictsort", filters::dictsort);
    pays.first("groupby", filters::groupby);
    pays.first("unique", filters::unique);
    pays.environment.add_filter("indent", indent);
    pays.environment.add_filter("replace", replace);
}

struct Payer<'a, 'env> {
    environment: &'a mut Environment<'env>,
}

impl Payer<'_, '_> {
    /// The filter `name`, which pays for what it is given before it does its work.
    fn first<F, Rv, Args>(&mut self, name: &'static str, filter: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        let filter = Value::from_function(filter);
        let paid = move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            args.iter().try_for_each(|value| pay_for(state, value))?;
            filter.call(state, &args)
        };
        self.environment.add_filter(name, paid);
    }
}

/// Takes as much fuel as the engine takes for a text of so many bytes.
pub(super) fn pay(state: &State<'_, '_>, bytes: u64) -> Result<()> {
    state.consume_fuel(bytes.div_ceil(64))
}

/// Takes fuel for a value as a text, with all that is in it.
pub(super) fn pay_for(state: &State<'_, '_>, value: &Value) -> Result<()> {
    if let Some(text) = value.as_str() {
        // A million empty ones take their time too.
        return pay(state, text.len().max(1) as u64);
    }
    pay(state, 1)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter()?.try_for_each(|item| pay_for(state, &item))
        }
        ValueKind::Map => value.try_iter()?.try_for_each(|key| {
            pay_for(state, &key)?;
            pay_for(state, &value.get_item(&key)?)
        }),
        ValueKind::Bytes => pay(state, value.len().unwrap_or(0) as u64),
        _ => Ok(()),
    }
}

fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<()> {
    pay_for(state, value)?;
    escape_formatter(out, state, value)
}

/// What stands on the two sides of ~, as one text.
fn join(state: &mut State<'_, '_>, left: Value, right: Value) -> Result<String> {
    pay_for(state, &left)?;
    pay_for(state, &right)?;
    Ok(format!("{left}{right}"))
}

/// `indent(width, first, blank)`. The spaces it will write are paid for first.
fn indent(state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<String> {
    type Args<'a> = (&'a Value, Option<usize>, Option<bool>, Option<bool>, Kwargs);
    let args = args.into_values();
    args.iter().try_for_each(|value| pay_for(state, value))?;
    let (text, width, first, blank, named): Args<'_> = from_args(&args)?;
    let text = text.to_string();
    let flag = |given: Option<bool>, name: &str| match given {
        Some(given) => Ok(given),
        None => named.get::<Option<bool>>(name).map(|named| named == Some(true)),
    };
    let width = match width {
        Some(width) => width,
        None => named.get::<Option<usize>>("width")?.unwrap_or(4),
    };
    let (first, blank) = (flag(first, "first")?, flag(blank, "blank")?);
    named.assert_all_used()?;
    let lines = text.split('\n').count() as u64;
    pay(state, lines.saturating_mul(width as u64))?;
    Ok(indented(&text, width, first, blank))
}

/// `replace(old, new, count)`, the count by its name too.
fn replace(state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<String> {
    type Args<'a> = (&'a Value, StringInput<'a>, StringInput<'a>, Option<u64>, Kwargs);
    let args = args.into_values();
    args.iter().try_for_each(|value| pay_for(state, value))?;
    let (text, old, new, count, named): Args<'_> = from_args(&args)?;
    let (old, new) = (old.as_str(), new.as_str());
    let count = match count {
        Some(count) => Some(count),
        None => named.get::<Option<u64>>("count")?,
    };
    named.assert_all_used()?;
    let most = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let text = text.to_string();
    let found = if old.is_empty() { text.len() + 1 } else { text.matches(old).count() };
    pay(state, (found.min(most) as u64).saturating_mul(new.len() as u64))?;
    Ok(text.replacen(old, new, most))
}

/// The methods of Python's strings, lists and dictionaries.
fn methods(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value> {
    args.iter().try_for_each(|value| pay_for(state, value))?;
    if let ("format", Some(format)) = (method, value.as_str()) {
        if has_wide_field(format) {
            let reason = "a field of format() may be 9999 wide at most, not by another field";
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
        // Each field may show the longest of all once more.
        for _ in format.matches('{') {
            pay(state, MAX_WIDTH)?;
            args.iter().try_for_each(|value| pay_for(state, value))?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
