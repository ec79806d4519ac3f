//! `pack.toml`: which model plays which role.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::role::{JudgeRole, Part, Role};
use super::source::{Source, is_plain};
use crate::bounded_read::read_text;
use crate::guidance::aim::Aim;
use crate::guidance::settings::Settings;
use crate::guidance::steer::Steer;

/// The file's name inside a pack.
pub const MANIFEST: &str = "pack.toml";
/// Error message about a pair with two precisions.
pub(super) const PRECISION_MISMATCH: &str = "tuned.precision: untuned and tuned must have the \
                                             same precision, because their difference guides; \
                                             write one precision for both";
/// Maximum size of a file of prompts.
pub(crate) const MAX_PROMPTS_BYTES: u64 = 1 << 26;

/// The content of a `pack.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Short name.
    pub name: String,
    /// Description in one sentence.
    pub description: String,
    /// The licence of the models, such as `Apache-2.0`.
    pub licence: Option<String>,
    /// Web page with more information.
    pub url: Option<String>,
    /// The frozen model that is guided.
    pub base: Role,
    /// The small model before preference tuning.
    pub untuned: Option<Role>,
    /// The small model after preference tuning.
    pub tuned: Option<Role>,
    /// The value model.
    pub value: Option<Role>,
    /// The gold judge, which is used only to measure, never to guide.
    pub judge: Option<JudgeRole>,
    /// File with held-out prompts for an eval, one per line.
    pub eval_prompts: Option<PathBuf>,
    /// Example prompts for the models.
    pub examples: Vec<String>,
    /// What the guides steer towards.
    pub aim: Option<Aim>,
    /// Stories to present, in order.
    pub stories: Vec<Story>,
    /// Example steers for the base.
    pub steers: Vec<Steer>,
    /// Stop sequences, such as a newline; not included in the response.
    pub stop: Vec<String>,
    /// Default settings.
    pub defaults: Settings,
}

/// A prompt and a seed whose responses show the guidance well. It runs with the pack's default
/// settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { prompt = \"This film\", seed = 1 }")]
pub struct Story {
    /// The prompt.
    pub prompt: String,
    /// Seed of every random draw.
    pub seed: u64,
}

impl Manifest {
    /// Returns the name and role of each language model and value model, in loading order.
    pub fn roles(&self) -> impl Iterator<Item = (&'static str, &Role)> {
        let others = [("untuned", &self.untuned), ("tuned", &self.tuned), ("value", &self.value)];
        let others = others.into_iter().filter_map(|(name, role)| Some((name, role.as_ref()?)));
        std::iter::once(("base", &self.base)).chain(others)
    }

    /// Reads the eval prompts in the pack's `folder`. Returns the path of the file and its text, or
    /// `None` if the pack names no file.
    pub fn read_eval_prompts(&self, folder: &Path) -> Option<(PathBuf, io::Result<String>)> {
        let file = folder.join(self.eval_prompts.as_ref()?);
        let text = read_text(&file, MAX_PROMPTS_BYTES);
        Some((file, text))
    }

    /// Returns all sources that must be on this machine before the pack is loaded.
    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        for (name, role) in self.roles() {
            parts.extend(Part::of(name, role));
        }
        parts.extend(self.judge.iter().map(|judge| Part::judge(&judge.source)));
        parts
    }

    /// Checks all fields, without reading any other files.
    ///
    /// # Errors
    /// Returns the field and its problem.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() {
            return Err("name is empty; give the pack a short name".to_owned());
        }
        if self.untuned.is_some() != self.tuned.is_some() {
            return Err("untuned and tuned are a pair; name both or neither".to_owned());
        }
        let texts = [("name", Some(&self.name)), ("description", Some(&self.description))];
        let texts = texts.into_iter().chain([("licence", self.licence.as_ref())]);
        for (field, text) in texts.chain([("url", self.url.as_ref())]) {
            // A terminal would interpret control characters as commands.
            let text = text.map(|text| text.replace("\r\n", "\n"));
            let is_forbidden = |c: char| c.is_control() && !['\n', '\t'].contains(&c);
            if text.is_some_and(|text| text.contains(is_forbidden)) {
                return Err(format!("{field}: contains a control character; remove it"));
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
            // Without a precision, the default depends on the kind of file. The name of a local
            // file does not show its kind, so local files are compared on loading and checking.
            let is_hub = |source: &Source| matches!(source, Source::Hub(_));
            let differ = |source: &Source| {
                let of_untuned = untuned.source.as_ref().filter(|u| is_hub(u) && is_hub(source));
                tuned.precision.is_none()
                    && of_untuned.is_some_and(|u| u.is_gguf() != source.is_gguf())
            };
            if untuned.precision != tuned.precision || tuned.source.as_ref().is_some_and(differ) {
                return Err(PRECISION_MISMATCH.to_owned());
            }
        }
        if let Some(aim) = &self.aim {
            aim.check().map_err(|reason| format!("aim.{reason}"))?;
        }
        if self.stories.iter().any(|story| story.prompt.trim().is_empty()) {
            return Err("stories.prompt is empty; write the prompt of the story".to_owned());
        }
        if self.steers.iter().any(Steer::is_without_effect) {
            return Err(
                "steers: towards and away must differ; write two different instructions".to_owned()
            );
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
                Err("path, bundled, folder or hub: write one of them, or an adapter for untuned's \
                     weights"
                    .to_owned())
            }
            _ => Err("path, bundled, folder or hub: write one of them".to_owned()),
        }
    }

    /// Checks the trunk of a role. Only a value head has one; the trunk must be in the pack, and
    /// precision and adapter belong to the trunk.
    fn check_trunk(&self, name: &str, role: &Role) -> Result<(), String> {
        let Some(trunk) = role.trunk else { return Ok(()) };
        if name != "value" {
            return Err(
                "trunk belongs to value: it names the role whose model the head uses".to_owned()
            );
        }
        let backbones = ["base", "untuned", "tuned"];
        if !self.roles().any(|(other, _)| backbones.contains(&other) && other == trunk.role()) {
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
