//! `pack.toml`: which model plays which role.

use std::io;
use std::path::{Path, PathBuf};

use super::error::PackError;
use super::format::PackFile;
use super::role::{JudgeRole, Part, Role};
use super::source::{Source, inside, is_plain};
use crate::atomic::replace;
use crate::guidance::settings::Settings;
use crate::text::read_text;

/// The file's name inside a pack.
pub const MANIFEST: &str = "pack.toml";
/// What is said of a pair that is held in two precisions.
pub(super) const UNLIKE_PAIR: &str = "tuned.precision: untuned and tuned must be held alike, their \
                                      difference is what guides; write one precision for both";
/// Longest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Longest file of prompts that is read.
pub(crate) const MAX_PROMPTS_BYTES: u64 = 1 << 26;

/// A pack as its file describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Short name.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// The licence of the models, such as `Apache-2.0`.
    pub licence: Option<String>,
    /// Where people read more.
    pub url: Option<String>,
    /// The frozen model.
    pub base: Role,
    /// The small model before preference tuning.
    pub untuned: Option<Role>,
    /// The same after it.
    pub tuned: Option<Role>,
    /// The value model.
    pub value: Option<Role>,
    /// The gold judge, which measures and never guides.
    pub judge: Option<JudgeRole>,
    /// File of held-out prompts, one a line, that an eval uses.
    pub eval_prompts: Option<PathBuf>,
    /// Prompts that suit the models.
    pub examples: Vec<String>,
    /// Texts that end a response, such as a new line; they are no part of it.
    pub stop: Vec<String>,
    /// Where the sliders start.
    pub defaults: Settings,
}

impl Manifest {
    /// Reads `folder/pack.toml`.
    ///
    /// # Errors
    /// A missing or malformed file, an unknown field, a role without a place or with two, a path
    /// that leaves the folder, half a pair, a template without the prompt, default settings out
    /// of range.
    pub fn read(folder: &Path) -> Result<Self, PackError> {
        let file = folder.join(MANIFEST);
        let text = read_text(&file, MAX_BYTES)
            .map_err(|source| PackError::Unreadable { file: file.clone(), source })?;
        let manifest = Self::parse(&text)
            .map_err(|reason| PackError::Invalid { file: file.clone(), reason })?;
        if let Some(prompts) = &manifest.eval_prompts {
            inside(folder, prompts).map_err(|reason| PackError::Invalid {
                file,
                reason: format!("eval_prompts: {reason}"),
            })?;
        }
        Ok(manifest)
    }

    /// What `text` says, as the content of a `pack.toml`.
    ///
    /// # Errors
    /// As [`Manifest::read`]: the field or line, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let told = |e: &toml::de::Error, field: String| {
            let line = e.span().map(|span| line_of(text, span.start));
            let place = line.map_or(String::new(), |line| format!("line {line}: "));
            // The parser's words may run over several lines.
            format!("{place}{field}{}", e.message().replace('\n', " "))
        };
        let document = toml::Deserializer::parse(text).map_err(|e| told(&e, String::new()))?;
        let file: PackFile = serde_path_to_error::deserialize(document).map_err(|e| {
            let path = e.path().to_string();
            let field = if path == "." { String::new() } else { format!("{path}: ") };
            told(e.inner(), field)
        })?;
        let manifest = Self::try_from(file)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The content of a `pack.toml` that says this.
    ///
    /// # Errors
    /// What [`Manifest::parse`] would refuse.
    pub fn to_toml(&self) -> Result<String, String> {
        self.check()?;
        toml::to_string_pretty(&PackFile::from(self)).map_err(|e| e.to_string())
    }

    /// Writes `folder/pack.toml`, whole or not at all; what was there is replaced.
    ///
    /// # Errors
    /// What [`Manifest::read`] would refuse; a folder that cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), PackError> {
        let file = folder.join(MANIFEST);
        let text =
            self.to_toml().map_err(|reason| PackError::Invalid { file: file.clone(), reason })?;
        replace(&file, text.as_bytes()).map_err(|source| PackError::Unwritable { file, source })
    }

    /// The roles with a model of their own kind: name and role, in the order of loading.
    pub fn roles(&self) -> impl Iterator<Item = (&'static str, &Role)> {
        let others = [("untuned", &self.untuned), ("tuned", &self.tuned), ("value", &self.value)];
        let others = others.into_iter().filter_map(|(name, role)| Some((name, role.as_ref()?)));
        std::iter::once(("base", &self.base)).chain(others)
    }

    /// The file of prompts for an eval in the pack's `folder`, and what it holds; none if none is
    /// named.
    pub fn read_eval_prompts(&self, folder: &Path) -> Option<(PathBuf, io::Result<String>)> {
        let file = folder.join(self.eval_prompts.as_ref()?);
        let text = read_text(&file, MAX_PROMPTS_BYTES);
        Some((file, text))
    }

    /// Everything that must be on this machine before the pack is loaded.
    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        for (name, role) in self.roles() {
            parts.extend(Part::of(name, role));
        }
        parts.extend(self.judge.iter().map(|judge| Part::judge(&judge.source)));
        parts
    }

    fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() {
            return Err("name is empty; give the pack a short name".to_owned());
        }
        if self.untuned.is_some() != self.tuned.is_some() {
            return Err("untuned and tuned are one pair; name both or neither".to_owned());
        }
        let said = [("name", Some(&self.name)), ("description", Some(&self.description))];
        let said = said.into_iter().chain([("licence", self.licence.as_ref())]);
        for (field, text) in said.chain([("url", self.url.as_ref())]) {
            // A terminal would take them for commands.
            let text = text.map(|text| text.replace("\r\n", "\n"));
            let is_odd = |c: char| c.is_control() && !['\n', '\t'].contains(&c);
            if text.is_some_and(|text| text.contains(is_odd)) {
                return Err(format!("{field}: has a control character; leave it out"));
            }
        }
        for (name, role) in self.roles() {
            self.check_role(name, role).map_err(|reason| format!("{name}.{reason}"))?;
        }
        if let Some(judge) = &self.judge {
            judge.source.check().map_err(|reason| format!("judge.{reason}"))?;
            if judge.source.is_gguf() {
                return Err("judge.path must name a folder, not a .gguf file".to_owned());
            }
        }
        if self.eval_prompts.as_ref().is_some_and(|file| !is_plain(file)) {
            return Err("eval_prompts must name a file inside the pack".to_owned());
        }
        if let (Some(untuned), Some(tuned)) = (&self.untuned, &self.tuned) {
            if untuned.prompt != tuned.prompt {
                return Err(
                    "tuned.template: untuned and tuned must read the same prompt".to_owned()
                );
            }
            // As the files suit, they would differ. What a file on this machine is, its name need not
            // say: that is looked at when the pack is loaded or checked.
            let is_hub = |source: &Source| matches!(source, Source::Hub(_));
            let differ = |source: &Source| {
                let of_untuned = untuned.source.as_ref().filter(|u| is_hub(u) && is_hub(source));
                tuned.precision.is_none()
                    && of_untuned.is_some_and(|u| u.is_gguf() != source.is_gguf())
            };
            if untuned.precision != tuned.precision || tuned.source.as_ref().is_some_and(differ) {
                return Err(UNLIKE_PAIR.to_owned());
            }
        }
        if self.stop.iter().any(String::is_empty) {
            return Err("stop: an empty text would end every response at once".to_owned());
        }
        self.defaults.validate().map_err(|e| format!("defaults: {e}"))
    }

    fn check_role(&self, name: &str, role: &Role) -> Result<(), String> {
        for source in role.source.iter().chain(&role.adapter) {
            source.check()?;
        }
        self.check_trunk(name, role)?;
        if role.source.is_some() {
            return Ok(());
        }
        match (name, &role.adapter) {
            ("tuned", Some(_)) => Ok(()),
            ("tuned", None) => {
                Err("path, bundled, folder or hub: say where the files are, or name an \
                                    adapter for untuned's weights"
                    .to_owned())
            }
            _ => Err("path, bundled, folder or hub: say where the files are".to_owned()),
        }
    }

    /// A head belongs to a value model, on a model that there is, and has nothing else of its own.
    fn check_trunk(&self, name: &str, role: &Role) -> Result<(), String> {
        let Some(trunk) = role.trunk else { return Ok(()) };
        if name != "value" {
            return Err("trunk belongs to value, whose head may stand on another role".to_owned());
        }
        let there = ["base", "untuned", "tuned"];
        if !self.roles().any(|(other, _)| there.contains(&other) && other == trunk.role()) {
            let role = trunk.role();
            return Err(format!("trunk: the pack has no {role}; name a role that it has"));
        }
        if role.precision.is_some() || role.adapter.is_some() {
            let owner = trunk.role();
            return Err(format!(
                "trunk: the model is {owner}'s; write precision and adapter there"
            ));
        }
        match &role.source {
            Some(source) if source.is_gguf() => {
                Err("trunk: the head is a folder with model.safetensors, not a .gguf file"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// The line, counted from 1, in which byte `at` of `text` lies.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
