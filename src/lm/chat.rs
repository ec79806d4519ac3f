//! Chat templates: the Jinja programs that put a conversation into the form a model was tuned on.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use minijinja::{Error, ErrorKind, Value, context};
use serde_json::Value as Json;

use super::error::{LmError, Result};
use super::file_kind::read_text;
use super::gguf::GgufFile;
use super::jinja;
use super::prompt_text::{Marker, PromptText};
use super::weights::read_json;
use crate::local_time::LocalTime;

/// How long a template may take: real ones take less than a millisecond.
const LONGEST: Duration = Duration::from_secs(3);
/// Longest text that a template may make of a prompt, beside the prompt itself, in bytes.
const MAX_ADDED: usize = 1 << 16;
/// Longest template, in bytes: real ones have some twenty thousand at most.
const MAX_TEMPLATE: usize = 1 << 16;
/// Stack of the thread that reads and runs a template: one of that length may be a single sum of
/// which every term takes some stack. What is not used of it is not held.
const STACK: usize = 1 << 28;

/// A model's chat template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatTemplate {
    source: String,
    bos: String,
    eos: String,
    file: PathBuf,
}

impl ChatTemplate {
    /// The template of a model: `chat_template.jinja`, or the one in `tokenizer_config.json` or
    /// `chat_template.json` of a folder, or the one inside a GGUF file. None where the model has
    /// none.
    ///
    /// # Errors
    /// A file that is damaged or holds something else.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        if GgufFile::is_one(path) {
            return Self::from_gguf(&GgufFile::open(path)?);
        }
        let file = path.join("tokenizer_config.json");
        let config = if file.is_file() { read_json(&file)? } else { Json::Null };
        let beside = path.join("chat_template.jinja");
        let (source, file) = if beside.is_file() {
            (Some(read_text(&beside, MAX_TEMPLATE as u64)?), beside)
        } else {
            match inside(&config, &file)? {
                Some(source) => (Some(source), file),
                None => of_processor(path)?,
            }
        };
        let token = |name: &str| {
            let token = &config[name];
            token.as_str().or_else(|| token["content"].as_str()).unwrap_or_default().to_owned()
        };
        let (bos, eos) = (token("bos_token"), token("eos_token"));
        source.map(|source| Self::new(source, bos, eos, file)).transpose()
    }

    /// The template inside a GGUF file.
    ///
    /// # Errors
    /// A template that does not parse.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Option<Self>> {
        let Some(source) = gguf.chat_template() else { return Ok(None) };
        let (bos, eos) = (gguf.token("bos_token_id"), gguf.token("eos_token_id"));
        Self::new(source.to_owned(), bos, eos, gguf.file().to_owned()).map(Some)
    }

    fn new(source: String, bos: String, eos: String, file: PathBuf) -> Result<Self> {
        let template = Self { source, bos, eos, file };
        if template.source.len() > MAX_TEMPLATE {
            return Err(template.failed(format!("it is {} bytes long", template.source.len())));
        }
        template.apart(|template| {
            jinja::check(&template.source).map_err(|error| template.explain(&error))
        })?;
        Ok(template)
    }

    /// Whether the template asks for the date or the time.
    pub fn asks_time(&self) -> bool {
        jinja::asks_time(&self.source)
    }

    /// A conversation of one message of the user, and before it the system's where there is one,
    /// up to where the model's answer begins, as text. An empty system prompt is left
    /// out.
    ///
    /// # Errors
    /// What the template itself refuses, such as a system prompt; a template that does not end.
    pub fn render(&self, system: Option<&str>, user: &str) -> Result<String> {
        Ok(self.prompt(system, user, &[], LocalTime::now())?.text().to_owned())
    }

    /// As [`ChatTemplate::render`], for a tokenizer with these control tokens: what reads as one of
    /// them in either message is plain in the result. `time` is what the template is told.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn prompt(
        &self,
        system: Option<&str>,
        user: &str,
        controls: &[String],
        time: LocalTime,
    ) -> Result<PromptText> {
        let system = system.unwrap_or_default();
        let marker = Marker::new([self.source.as_str(), system, user]);
        let (system, user) = (marker.mark(system, controls), marker.mark(user, controls));
        let text = self.apart(move |template| template.render_here(&system, &user, time))?;
        Ok(marker.unmark(&text))
    }

    /// Tries the template on a word, with this system prompt.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`]; a template that leaves out what the user says.
    pub fn try_out(&self, system: Option<&str>) -> Result<()> {
        const WORD: &str = "Hello";
        if self.render(system, WORD)?.contains(WORD) {
            return Ok(());
        }
        Err(self.failed("it leaves out what the user says".into()))
    }

    /// Does `work` on a thread of its own, for as long as anybody waits. A list that was doubled
    /// forty times costs little fuel, for it is made only when one of its items is asked for:
    /// whoever asks is left to itself.
    fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (template, (done, result)) = (self.clone(), mpsc::channel());
        let work = move || done.send(work(&template));
        let thread = thread::Builder::new().name("chat-template".into()).stack_size(STACK);
        let started = thread.spawn(work).map_err(|error| self.failed(error.to_string()));
        started.and_then(|_| match result.recv_timeout(LONGEST) {
            Ok(made) => made,
            Err(RecvTimeoutError::Timeout) => Err(self.failed("it does not come to an end".into())),
            Err(RecvTimeoutError::Disconnected) => Err(self.failed("it cannot be run".into())),
        })
    }

    fn render_here(&self, system: &str, user: &str, time: LocalTime) -> Result<String> {
        let message = |role: &str, content: &str| context! { role => role, content => content };
        let mut messages: Vec<Value> = Vec::new();
        if !system.is_empty() {
            messages.push(message("system", system));
        }
        messages.push(message("user", user));
        let values = context! {
            messages => messages,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            add_generation_prompt => true,
            // Jinja2's own name for the template and its blocks, of which there are none.
            self => context! {},
            // transformers passes both, as None where there are none.
            tools => Value::from(()),
            documents => Value::from(()),
            // What Qwen 3's template asks: no thinking aloud before the answer.
            enable_thinking => false,
        };
        let text =
            jinja::render(&self.source, values, time).map_err(|error| self.explain(&error))?;
        let given = system.len() + user.len();
        if text.len() > MAX_ADDED + 4 * given {
            return Err(self.failed(format!("it made {} bytes of {given}", text.len())));
        }
        Ok(text)
    }

    fn explain(&self, error: &Error) -> LmError {
        let what = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        match error.kind() {
            ErrorKind::OutOfFuel => self.failed("it does not come to an end".into()),
            _ => self.failed(what.lines().next().unwrap_or_default().to_owned()),
        }
    }

    fn failed(&self, problem: String) -> LmError {
        LmError::Template { file: self.file.clone(), problem }
    }
}

/// The template in `chat_template.json`, where models that also read pictures had it.
fn of_processor(path: &Path) -> Result<(Option<String>, PathBuf)> {
    let file = path.join("chat_template.json");
    let source = if file.is_file() { inside(&read_json(&file)?, &file)? } else { None };
    Ok((source, file))
}

/// The template in a `tokenizer_config.json`: a text, or a list of named ones.
fn inside(config: &Json, file: &Path) -> Result<Option<String>> {
    match &config["chat_template"] {
        Json::Null => Ok(None),
        Json::String(source) => Ok(Some(source.clone())),
        Json::Array(list) => {
            let default = list.iter().find(|one| one["name"] == "default").or_else(|| list.first());
            Ok(default.and_then(|one| one["template"].as_str()).map(str::to_owned))
        }
        other => Err(LmError::Field {
            file: file.to_owned(),
            field: "chat_template".into(),
            problem: format!("is {other}, not a text"),
        }),
    }
}
