//! Charges fuel for a text before it is created.
//!
//! minijinja charges for a formatted list after writing it, and repeating a list is free.
//! Formatting a list that holds one long text a million times would take gigabytes before the fuel
//! runs out.

use minijinja::value::{
    FunctionArgs, FunctionResult, Kwargs, Rest, StringInput, ValueKind, ValueOrKwargs, from_args,
};
use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value, escape_formatter, filters,
    functions::Function,
};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::python::indent_lines;

type Result<T> = std::result::Result<T, Error>;

/// Name of the function [`concat`]. It is not an identifier, so no template can call or replace it.
pub(super) const CONCAT: &str = "~";

/// Maximum width of a formatted field, in characters.
const MAX_WIDTH: u64 = 9_999;

/// Installs filters, methods and operators that charge for their values before they create text.
pub(super) fn install(environment: &mut Environment<'_>) {
    // Both print values of any size.
    environment.remove_global("debug");
    environment.remove_filter("pprint");
    environment.set_formatter(format_output);
    environment.set_unknown_method_callback(call_method);
    environment.add_function(CONCAT, concat);
    let mut charged = ChargedFilters { environment };
    charged.add("join", filters::join);
    charged.add("string", filters::string);
    charged.add("safe", filters::safe);
    charged.add("escape", filters::escape);
    charged.add("e", filters::escape);
    charged.add("upper", filters::upper);
    charged.add("lower", filters::lower);
    charged.add("title", filters::title);
    charged.add("capitalize", filters::capitalize);
    charged.add("trim", filters::trim);
    charged.add("split", filters::split);
    charged.add("lines", filters::lines);
    charged.add("format", filters::format);
    charged.add("int", filters::int);
    charged.add("float", filters::float);
    charged.add("sum", filters::sum);
    charged.add("min", filters::min);
    charged.add("max", filters::max);
    charged.add("sort", filters::sort);
    charged.add("dictsort", filters::dictsort);
    charged.add("groupby", filters::groupby);
    charged.add("unique", filters::unique);
    charged.environment.add_filter("indent", indent);
    charged.environment.add_filter("replace", replace);
}

struct ChargedFilters<'a, 'env> {
    environment: &'a mut Environment<'env>,
}

impl ChargedFilters<'_, '_> {
    /// Adds a filter that charges for its arguments before it runs.
    fn add<F, Rv, Args>(&mut self, name: &'static str, filter: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        let filter = Value::from_function(filter);
        let charged = move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            args.iter().try_for_each(|value| charge_value(state, value))?;
            filter.call(state, &args)
        };
        self.environment.add_filter(name, charged);
    }
}

/// Charges as much fuel as minijinja charges for a text of this many bytes.
pub(super) fn charge(state: &State<'_, '_>, bytes: u64) -> Result<()> {
    state.consume_fuel(bytes.div_ceil(64))
}

/// Charges for a value as text, including all nested values.
pub(super) fn charge_value(state: &State<'_, '_>, value: &Value) -> Result<()> {
    if let Some(text) = value.as_str() {
        // Empty texts also cost time in a list of millions.
        return charge(state, text.len().max(1) as u64);
    }
    charge(state, 1)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter()?.try_for_each(|item| charge_value(state, &item))
        }
        ValueKind::Map => value.try_iter()?.try_for_each(|key| {
            charge_value(state, &key)?;
            charge_value(state, &value.get_item(&key)?)
        }),
        ValueKind::Bytes => charge(state, value.len().unwrap_or(0) as u64),
        _ => Ok(()),
    }
}

fn format_output(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<()> {
    charge_value(state, value)?;
    escape_formatter(out, state, value)
}

/// Implements the operator `~`: returns both values as one text.
fn concat(state: &mut State<'_, '_>, left: Value, right: Value) -> Result<String> {
    charge_value(state, &left)?;
    charge_value(state, &right)?;
    Ok(format!("{left}{right}"))
}

/// Implements the filter `indent(width, first, blank)`. Charges for the spaces before writing them.
fn indent(state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<String> {
    type Args<'a> = (&'a Value, Option<usize>, Option<bool>, Option<bool>, Kwargs);
    let args = args.into_values();
    args.iter().try_for_each(|value| charge_value(state, value))?;
    let (text, width, first, blank, named): Args<'_> = from_args(&args)?;
    let text = text.to_string();
    let flag = |positional: Option<bool>, name: &str| match positional {
        Some(value) => Ok(value),
        None => named.get::<Option<bool>>(name).map(|value| value == Some(true)),
    };
    let width = match width {
        Some(width) => width,
        None => named.get::<Option<usize>>("width")?.unwrap_or(4),
    };
    let (first, blank) = (flag(first, "first")?, flag(blank, "blank")?);
    named.assert_all_used()?;
    let lines = text.split('\n').count() as u64;
    charge(state, lines.saturating_mul(width as u64))?;
    Ok(indent_lines(&text, width, first, blank))
}

/// Implements the filter `replace(old, new, count)`; `count` may be a keyword argument.
fn replace(state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<String> {
    type Args<'a> = (&'a Value, StringInput<'a>, StringInput<'a>, Option<u64>, Kwargs);
    let args = args.into_values();
    args.iter().try_for_each(|value| charge_value(state, value))?;
    let (text, old, new, count, named): Args<'_> = from_args(&args)?;
    let (old, new) = (old.as_str(), new.as_str());
    let count = match count {
        Some(count) => Some(count),
        None => named.get::<Option<u64>>("count")?,
    };
    named.assert_all_used()?;
    let max_count = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let text = text.to_string();
    let found = if old.is_empty() { text.len() + 1 } else { text.matches(old).count() };
    charge(state, (found.min(max_count) as u64).saturating_mul(new.len() as u64))?;
    Ok(text.replacen(old, new, max_count))
}

/// Calls a method of Python's strings, lists or dictionaries, and charges for its arguments first.
fn call_method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value> {
    args.iter().try_for_each(|value| charge_value(state, value))?;
    if let ("format", Some(format)) = (method, value.as_str()) {
        if has_wide_field(format) {
            let reason = "a field of format() must be at most 9999 wide and hold no other field";
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
        // Every field may repeat the longest argument.
        for _ in format.matches('{') {
            charge(state, MAX_WIDTH)?;
            args.iter().try_for_each(|value| charge_value(state, value))?;
        }
    }
    unknown_method_callback(state, value, method, args)
}

/// Returns whether a format has a field whose width has more than four digits or depends on another
/// field.
fn has_wide_field(format: &str) -> bool {
    // Doubled braces are literal braces.
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
    fn rejects_fields_wider_than_four_digits() {
        for valid in ["{}", "in 20240101: {:>20} {{:>99999}}", "{0} {name}", "{:.3f}"] {
            assert!(!has_wide_field(valid), "{valid}");
        }
        for wide in ["{:>99999}", "{:0900000000d}", "{:.900000000f}", "{:>{}}", "{:>{w}}"] {
            assert!(has_wide_field(wide), "{wide}");
        }
    }
}
