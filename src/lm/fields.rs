//! Typed access to the fields of a model's `config.json`. Errors name the file and the field.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::{LmError, Result};

/// A JSON object and the file that it was read from.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    json: &'a Map<String, Value>,
    file: &'a Path,
}

impl<'a> Fields<'a> {
    /// Wraps the object `json`; `file` is used in messages.
    ///
    /// # Errors
    /// Fails if `json` is not an object.
    pub(super) fn new(json: &'a Value, file: &'a Path) -> Result<Self> {
        let json = json.as_object().ok_or_else(|| LmError::Invalid {
            file: file.to_path_buf(),
            problem: "is not a JSON object; use the file from the model's repository".into(),
        })?;
        Ok(Self { json, file })
    }

    /// Returns the value of a field, or `None` if it is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }

    /// Returns a required whole number.
    ///
    /// # Errors
    /// Fails if it is missing or not a whole number.
    pub(super) fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| {
            self.wrong(name, "is missing; use the file from the model's repository".into())
        })
    }

    /// Returns a whole number, or `default` if it is missing.
    ///
    /// # Errors
    /// Fails if it is present but not a whole number.
    pub(crate) fn size_or(&self, name: &str, default: usize) -> Result<usize> {
        Ok(self.optional_size(name)?.unwrap_or(default))
    }

    /// Returns a whole number, or `None` if it is missing.
    ///
    /// # Errors
    /// Fails if it is present but not a whole number.
    pub(crate) fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
        size.map(Some).ok_or_else(|| self.wrong(name, format!("is {value}, not a whole number")))
    }

    /// Returns a required number.
    ///
    /// # Errors
    /// Fails if it is missing or not a number.
    pub(super) fn number(&self, name: &str) -> Result<f64> {
        self.optional_number(name)?.ok_or_else(|| {
            self.wrong(name, "is missing; use the file from the model's repository".into())
        })
    }

    /// Returns a number, or `None` if it is missing.
    ///
    /// # Errors
    /// Fails if it is present but not a number.
    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64();
        number.map(Some).ok_or_else(|| self.wrong(name, format!("is {value}, not a number")))
    }

    /// Returns a boolean, or `default` if it is missing.
    ///
    /// # Errors
    /// Fails if it is present but not a boolean.
    pub(crate) fn flag_or(&self, name: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.wrong(name, format!("is {value}, not true or false")))
    }

    /// Returns a string, or `None` if it is missing.
    ///
    /// # Errors
    /// Fails if it is present but not a string.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.wrong(name, format!("is {value}, not a string")))
    }

    /// Returns a nested object, or `None` if it is missing.
    ///
    /// # Errors
    /// Fails if it is present but not an object.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Fields<'a>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let json = value.as_object();
        let json = json.ok_or_else(|| self.wrong(name, format!("is {value}, not an object")))?;
        Ok(Some(Fields { json, file: self.file }))
    }

    /// Returns the token ids in a field that holds one id or a list of ids. A missing field returns
    /// an empty list. Skips −1, which means no token, and null.
    ///
    /// # Errors
    /// Fails if it is present and holds any other value.
    pub(super) fn ids(&self, name: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let id = |value: &&Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let is_unset = |value: &&Value| value.as_i64() == Some(-1) || value.is_null();
        let ids = list.iter().filter(|value| !is_unset(value));
        ids.map(|value| id(&value)).collect::<Option<_>>().ok_or_else(|| {
            self.wrong(name, format!("is {value}, not a token id or a list of them"))
        })
    }

    /// Returns the error for a field with an invalid value.
    pub(super) fn wrong(&self, name: &str, problem: String) -> LmError {
        LmError::Field { file: self.file.to_path_buf(), field: name.into(), problem }
    }

    /// Returns the error for a field that requires an unsupported feature. `instead` completes
    /// "choose a model …".
    pub(crate) fn unsupported(&self, feature: String, instead: &str) -> LmError {
        LmError::Unsupported { file: self.file.to_path_buf(), feature, instead: instead.into() }
    }
}
