//! Chat templates: Jinja programs that format a conversation as in a model's training.

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
use super::json_file::read_json;
use super::prompt_text::{Marker, PromptText};
use crate::local_time::LocalTime;

/// Maximum time to check or render a template; real templates take less than a millisecond.
const MAX_DURATION: Duration = Duration::from_secs(3);
/// Maximum length of the text that a template adds to the messages, in bytes.
const MAX_ADDED_BYTES: usize = 1 << 16;
/// Maximum length of a template in bytes; real templates have at most about 20,000.
const MAX_TEMPLATE_BYTES: usize = 1 << 16;
/// Stack size of the thread that parses and runs a template, in bytes. A template of maximum length
/// may be one long sum, and each term takes some stack. Unused stack takes no memory.
const STACK_BYTES: usize = 1 << 28;

/// A model's chat template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatTemplate {
    source: String,
    bos: String,
    eos: String,
    file: PathBuf,
}

impl ChatTemplate {
    /// Loads the template of a model. In a folder, it is in `chat_template.jinja`,
    /// `tokenizer_config.json` or `chat_template.json`; the first one found is used. Returns `None`
    /// if the folder or the GGUF file has no template.
    ///
    /// # Errors
    /// Fails if a file is damaged or has the wrong content, or the template does not parse.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        if GgufFile::is_gguf(path) {
            return Self::from_gguf(&GgufFile::open(path)?);
        }
        let file = path.join("tokenizer_config.json");
        let config = if file.is_file() { read_json(&file)? } else { Json::Null };
        let jinja_file = path.join("chat_template.jinja");
        let (source, file) = if jinja_file.is_file() {
            (Some(read_text(&jinja_file, MAX_TEMPLATE_BYTES as u64)?), jinja_file)
        } else {
            match template_in_config(&config, &file)? {
                Some(source) => (Some(source), file),
                None => template_of_processor(path)?,
            }
        };
        let token = |name: &str| {
            let token = &config[name];
            token.as_str().or_else(|| token["content"].as_str()).unwrap_or_default().to_owned()
        };
        let (bos, eos) = (token("bos_token"), token("eos_token"));
        source.map(|source| Self::new(source, bos, eos, file)).transpose()
    }

    /// Reads the template in a GGUF file. Returns `None` if the file has no template.
    ///
    /// # Errors
    /// Fails if the template does not parse.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Option<Self>> {
        let Some(source) = gguf.chat_template() else { return Ok(None) };
        let (bos, eos) = (gguf.token("bos_token_id"), gguf.token("eos_token_id"));
        Self::new(source.to_owned(), bos, eos, gguf.file().to_owned()).map(Some)
    }

    fn new(source: String, bos: String, eos: String, file: PathBuf) -> Result<Self> {
        let template = Self { source, bos, eos, file };
        if template.source.len() > MAX_TEMPLATE_BYTES {
            let length = template.source.len();
            let problem = format!("it is {length} bytes long; the limit is {MAX_TEMPLATE_BYTES}");
            return Err(template.failed(problem));
        }
        template.run_in_thread(|template| {
            jinja::check(&template.source).map_err(|error| template.explain(&error))
        })?;
        Ok(template)
    }

    /// Returns whether the template uses the current date or time.
    pub fn uses_time(&self) -> bool {
        jinja::uses_time(&self.source)
    }

    /// Renders a conversation with one user message, up to the start of the model's answer. A
    /// system message comes before it unless `system` is `None` or empty.
    ///
    /// # Errors
    /// Fails if the template rejects the conversation, for example its system prompt, or does not
    /// finish.
    pub fn render(&self, system: Option<&str>, user: &str) -> Result<String> {
        Ok(self.prompt(system, user, &[], LocalTime::now())?.text().to_owned())
    }

    /// Renders a conversation as [`ChatTemplate::render`] does, for a tokenizer with the control
    /// tokens `controls`. Control tokens that occur in the messages become plain text. `time` is
    /// the time that the template uses.
    ///
    /// # Errors
    /// Same as [`ChatTemplate::render`].
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
        let text =
            self.run_in_thread(move |template| template.render_here(&system, &user, time))?;
        Ok(marker.unmark(&text))
    }

    /// Checks that the template renders a one-word user message with this system prompt.
    ///
    /// # Errors
    /// Same as [`ChatTemplate::render`]; also if the template omits the user message.
    pub(crate) fn check_renders(&self, system: Option<&str>) -> Result<()> {
        const WORD: &str = "Hello";
        if self.render(system, WORD)?.contains(WORD) {
            return Ok(());
        }
        Err(self.failed("it omits the user message".into()))
    }

    /// Runs `work` in a new thread with a time limit. Fuel alone is not enough: a list that was
    /// doubled forty times costs little fuel, because it is built only when an item is read. After
    /// the time limit, the thread is abandoned.
    fn run_in_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (template, (done, result)) = (self.clone(), mpsc::channel());
        let work = move || done.send(work(&template));
        let thread = thread::Builder::new().name("chat-template".into()).stack_size(STACK_BYTES);
        let started = thread.spawn(work).map_err(|error| self.failed(error.to_string()));
        started.and_then(|_| match result.recv_timeout(MAX_DURATION) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(self.failed("it does not finish".into())),
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
            // Jinja2 defines `self` for the blocks of a template. There are no blocks here.
            self => context! {},
            // transformers passes both, as None if unused.
            tools => Value::from(()),
            documents => Value::from(()),
            // Read by Qwen 3's template: no reasoning before the answer.
            enable_thinking => false,
        };
        let text =
            jinja::render(&self.source, values, time).map_err(|error| self.explain(&error))?;
        let input = system.len() + user.len();
        if text.len() > MAX_ADDED_BYTES + 4 * input {
            let problem = format!("it turns {input} bytes of messages into {} bytes", text.len());
            return Err(self.failed(problem));
        }
        Ok(text)
    }

    fn explain(&self, error: &Error) -> LmError {
        let message = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        match error.kind() {
            ErrorKind::OutOfFuel => self.failed("it does not finish".into()),
            _ => self.failed(message.lines().next().unwrap_or_default().to_owned()),
        }
    }

    fn failed(&self, problem: String) -> LmError {
        LmError::Template { file: self.file.clone(), problem }
    }
}

/// Reads the template in `chat_template.json`, where vision-language models used to store it.
fn template_of_processor(path: &Path) -> Result<(Option<String>, PathBuf)> {
    let file = path.join("chat_template.json");
    let source = if file.is_file() { template_in_config(&read_json(&file)?, &file)? } else { None };
    Ok((source, file))
}

/// Reads the template in a `tokenizer_config.json`: a string, or a list of named templates.
fn template_in_config(config: &Json, file: &Path) -> Result<Option<String>> {
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
            problem: format!("is {other}, not a string"),
        }),
    }
}
