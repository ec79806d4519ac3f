//! Fields of a model's `config.json`, each read with a sentence ready for when it is wrong.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::{LmError, Result};

/// A JSON object and the file it came from.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    json: &'a Map<String, Value>,
    file: &'a Path,
}

impl<'a> Fields<'a> {
    /// The object in `json`; `file` is used in messages.
    ///
    /// # Errors
    /// When it is something else.
    pub fn new(json: &'a Value, file: &'a Path) -> Result<Self> {
        let json = json.as_object().ok_or_else(|| LmError::Damaged {
            file: file.to_path_buf(),
            problem: "not a JSON object".into(),
        })?;
        Ok(Self { json, file })
    }

    /// The value of a field; none where it is missing or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    /// When it is missing or no such number.
    pub fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| {
            self.wrong(name, "is missing; take the file from the model's own repository".into())
        })
    }

    /// A whole number, or `default`.
    ///
    /// # Errors
    /// When it is there and no such number.
    pub fn size_or(&self, name: &str, default: usize) -> Result<usize> {
        Ok(self.optional_size(name)?.unwrap_or(default))
    }

    /// A whole number, if it is there.
    ///
    /// # Errors
    /// When it is there and no such number.
    pub fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
        size.map(Some).ok_or_else(|| self.wrong(name, format!("is {value}, not a whole number")))
    }

    /// A number that must be there.
    ///
    /// # Errors
    /// When it is missing or no number.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.optional_number(name)?.ok_or_else(|| {
            self.wrong(name, "is missing; take the file from the model's own repository".into())
        })
    }

    /// A number, if it is there.
    ///
    /// # Errors
    /// When it is there and no number.
    pub fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64();
        number.map(Some).ok_or_else(|| self.wrong(name, format!("is {value}, not a number")))
    }

    /// A yes or no, or `default`.
    ///
    /// # Errors
    /// When it is there and neither.
    pub fn flag_or(&self, name: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.wrong(name, format!("is {value}, not true or false")))
    }

    /// A text, if it is there.
    ///
    /// # Errors
    /// When it is there and no text.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, format!("is {value}, not a text")))
    }

    /// An object inside this one, if it is there.
    ///
    /// # Errors
    /// When it is there and no object.
    pub fn object(&self, name: &str) -> Result<Option<Fields<'a>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let json = value.as_object();
        let json = json.ok_or_else(|| self.wrong(name, format!("is {value}, not an object")))?;
        Ok(Some(Fields { json, file: self.file }))
    }

    /// Token ids: none, one, or a list of them. −1, which stands for no token, is left out.
    ///
    /// # Errors
    /// When it is there and something else.
    pub fn ids(&self, name: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let id = |value: &&Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let is_none = |value: &&Value| value.as_i64() == Some(-1) || value.is_null();
        let ids = list.iter().filter(|value| !is_none(value));
        ids.map(|value| id(&value)).collect::<Option<_>>().ok_or_else(|| {
            self.wrong(name, format!("is {value}, not a token id or a list of them"))
        })
    }

    /// The error of a field that cannot be.
    pub fn wrong(&self, name: &str, problem: String) -> LmError {
        LmError::Field { file: self.file.to_path_buf(), field: name.into(), problem }
    }

    /// The error of a field that asks for what this program does not do.
    pub fn unsupported(&self, what: String, instead: &str) -> LmError {
        LmError::Unsupported { file: self.file.to_path_buf(), what, instead: instead.into() }
    }
}
