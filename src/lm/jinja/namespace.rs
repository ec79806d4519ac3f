//! `namespace()`, whose values are copies. A namespace that held itself would never end when it is
//! compared or hashed, which takes no fuel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::{Enumerator, Object, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::pay::pay;

type Result<T> = std::result::Result<T, Error>;

/// What the functions that assign are called, before the attribute's name. No template can write it.
const ASSIGN: &str = "~set ";

/// A namespace. The engine's own cannot be told to copy.
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

/// The names of the functions that assign to the attributes which these instructions set.
pub(super) fn assignments(instructions: &mut Instructions<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut at = 0;
    while let Some(instruction) = instructions.get_mut(at) {
        if let Instruction::SetAttr(attribute) = instruction {
            names.insert(format!("{ASSIGN}{attribute}"));
        }
        at += 1;
    }
    names
}

/// Puts these functions in the place of the engine's own assignment to an attribute. What a
/// function gives stays on the engine's stack, below all that is used of it.
pub(super) fn replace<'s>(instructions: &mut Instructions<'s>, names: &'s BTreeSet<String>) {
    let mut at = 0;
    while let Some(instruction) = instructions.get_mut(at) {
        if let Instruction::SetAttr(attribute) = instruction
            && let Some(name) = names.get(&format!("{ASSIGN}{attribute}"))
        {
            *instruction = Instruction::CallFunction(name, Some(2));
        }
        at += 1;
    }
}

/// Adds `namespace()` and these functions.
pub(super) fn install(environment: &mut Environment<'_>, names: &BTreeSet<String>) {
    environment.add_function("namespace", namespace);
    for name in names {
        let attribute = name.strip_prefix(ASSIGN).unwrap_or_default().to_owned();
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

/// `namespace(values, name=value, …)`.
fn namespace(state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<Value> {
    let namespace = Namespace::default();
    for given in args.into_values() {
        if given.kind() != ValueKind::Map {
            let problem = format!("namespace() takes a dictionary, not {}", given.kind());
            return Err(Error::new(ErrorKind::InvalidOperation, problem));
        }
        for key in given.try_iter()? {
            let value = copy(state, &given.get_item(&key)?)?;
            // Only attributes with names can be asked for.
            if let Some(name) = key.as_str() {
                namespace.values().insert(name.to_owned(), value);
            }
        }
    }
    Ok(Value::from_object(namespace))
}

/// Copies a value deeply into new lists and dictionaries, so that it refers to no namespace.
fn copy(state: &State<'_, '_>, value: &Value) -> Result<Value> {
    pay(state, 1)?;
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
