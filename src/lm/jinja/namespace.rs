//! The function `namespace()`, which copies assigned values so that no namespace contains itself.
//!
//! minijinja's namespace stores references. Comparing or hashing one that contains itself never
//! ends, and takes no fuel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::{Enumerator, Object, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::fuel::charge;

type Result<T> = std::result::Result<T, Error>;

/// Name prefix of the functions that assign to an attribute. No template can call such a name.
const ASSIGN_PREFIX: &str = "~set ";

#[derive(Debug, Default)]
struct Namespace(Mutex<BTreeMap<String, Value>>);

impl Namespace {
    fn values(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Object for Namespace {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values().get(key.as_str()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.values().keys().map(Value::from).collect())
    }
}

/// Returns the names of the functions that [`install`] must add: one for each attribute that these
/// instructions set.
pub(super) fn assignments(instructions: &mut Instructions<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut at = 0;
    while let Some(instruction) = instructions.get_mut(at) {
        if let Instruction::SetAttr(attribute) = instruction {
            names.insert(format!("{ASSIGN_PREFIX}{attribute}"));
        }
        at += 1;
    }
    names
}

/// Replaces minijinja's assignments to attributes with calls of these functions. The result of a
/// call stays on minijinja's stack, below all values that are still used.
pub(super) fn replace<'s>(instructions: &mut Instructions<'s>, names: &'s BTreeSet<String>) {
    let mut at = 0;
    while let Some(instruction) = instructions.get_mut(at) {
        if let Instruction::SetAttr(attribute) = instruction
            && let Some(name) = names.get(&format!("{ASSIGN_PREFIX}{attribute}"))
        {
            *instruction = Instruction::CallFunction(name, Some(2));
        }
        at += 1;
    }
}

/// Adds `namespace()` and the assigning functions `names`.
pub(super) fn install(environment: &mut Environment<'_>, names: &BTreeSet<String>) {
    environment.add_function("namespace", namespace);
    for name in names {
        let attribute = name.strip_prefix(ASSIGN_PREFIX).unwrap_or_default().to_owned();
        let assign = move |state: &mut State<'_, '_>, value: Value, target: Value| {
            let Some(namespace) = target.downcast_object_ref::<Namespace>() else {
                let problem = format!("can only assign to namespaces, not {}", target.kind());
                return Err(Error::new(ErrorKind::InvalidOperation, problem));
            };
            let copied = copy(state, &value)?;
            namespace.values().insert(attribute.clone(), copied);
            Ok(Value::UNDEFINED)
        };
        environment.add_function(name.clone(), assign);
    }
}

/// Implements the function `namespace(values, name=value, …)`.
fn namespace(state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<Value> {
    let namespace = Namespace::default();
    for values in args.into_values() {
        if values.kind() != ValueKind::Map {
            let problem = format!("namespace() takes a dictionary, not {}", values.kind());
            return Err(Error::new(ErrorKind::InvalidOperation, problem));
        }
        for key in values.try_iter()? {
            let value = copy(state, &values.get_item(&key)?)?;
            // Attributes are read by name only, so other keys are dropped.
            if let Some(name) = key.as_str() {
                namespace.values().insert(name.to_owned(), value);
            }
        }
    }
    Ok(Value::from_object(namespace))
}

/// Copies a value deeply into new lists and dictionaries, so that it refers to no namespace.
fn copy(state: &State<'_, '_>, value: &Value) -> Result<Value> {
    charge(state, 1)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.map(|item| copy(state, &item));
            Ok(items.collect::<Result<Vec<Value>>>()?.into())
        }
        ValueKind::Map => {
            let pairs = value.try_iter()?.map(|key| {
                let item = copy(state, &value.get_item(&key)?)?;
                Ok((copy(state, &key)?, item))
            });
            Ok(Value::from_pairs(pairs.collect::<Result<Vec<(Value, Value)>>>()?))
        }
        _ => Ok(value.clone()),
    }
}
