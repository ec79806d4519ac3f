//! `pack.toml`: which model plays which role.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{PackError, hub};
use crate::guidance::settings::Settings;

/// The file's name inside a pack.
pub const MANIFEST: &str = "pack.toml";

/// A pack as its file describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Short name.
    pub name: String,
    /// One sentence for people.
    pub description: String,
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
    #[serde(default)]
    pub examples: Vec<String>,
    /// Where the sliders start.
    #[serde(default)]
    pub defaults: Settings,
}

/// One role of a pack: a folder inside it, or a model on the hub.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Folder inside the pack: `config.json`, `model.safetensors`, `tokenizer.json`.
    pub path: Option<PathBuf>,
    /// Model on the Hugging Face hub, such as `openai-community/gpt2`.
    pub hub: Option<String>,
    /// Branch, tag or commit of `hub`.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// How the prompt is put to this model; `{prompt}` stands for what was typed.
    #[serde(default = "raw_prompt")]
    pub template: String,
}

/// The judge of a pack: a folder inside it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeRole {
    /// Folder inside the pack: `config.json`, `model.safetensors`.
    pub path: PathBuf,
}

fn main_branch() -> String {
    "main".to_owned()
}

/// Where the typed prompt goes in a template.
const PLACEHOLDER: &str = "{prompt}";

fn raw_prompt() -> String {
    PLACEHOLDER.to_owned()
}

impl Role {
    /// The text this role reads for a typed prompt.
    pub fn fill(&self, prompt: &str) -> String {
        self.template.replace(PLACEHOLDER, prompt)
    }

    /// The folder with this role's files; those of a hub model are downloaded first, which
    /// `progress` hears of (file, share of it).
    ///
    /// # Errors
    /// What the hub says.
    pub fn folder(
        &self,
        pack: &Path,
        progress: &mut dyn FnMut(&str, f32),
    ) -> Result<PathBuf, PackError> {
        match (&self.path, &self.hub) {
            (Some(path), _) => Ok(pack.join(path)),
            (None, Some(id)) => hub::fetch(id, &self.revision, progress),
            // `check_source` has refused this.
            (None, None) => Ok(pack.to_owned()),
        }
    }

    fn check_source(&self) -> Result<(), String> {
        match (&self.path, &self.hub) {
            (Some(path), None) if is_plain(path) => Ok(()),
            (Some(_), None) => Err("path must name a folder inside the pack".to_owned()),
            (None, Some(id)) if is_plain(Path::new(id)) => Ok(()),
            (None, Some(_)) => Err("hub must be a model's name, such as owner/model".to_owned()),
            _ => Err("path or hub: name one of the two".to_owned()),
        }
    }
}

/// Whether `path` stays where it starts: no root, no way up.
fn is_plain(path: &Path) -> bool {
    !path.as_os_str().is_empty() && path.components().all(|c| matches!(c, Component::Normal(_)))
}

impl Manifest {
    /// Reads `folder/pack.toml`.
    ///
    /// # Errors
    /// A missing or malformed file, a role path that leaves the folder, half a pair, a template
    /// without the prompt, default settings out of range.
    pub fn read(folder: &Path) -> Result<Self, PackError> {
        let file = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&file)
            .map_err(|source| PackError::Unreadable { file: file.clone(), source })?;
        let invalid = |reason: String| PackError::Invalid { file: file.clone(), reason };
        let manifest: Self = toml::from_str(&text).map_err(|e| invalid(e.message().to_owned()))?;
        manifest.check().map_err(invalid)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.untuned.is_some() != self.tuned.is_some() {
            return Err("untuned and tuned are one pair; name both or neither".to_owned());
        }
        let named = [
            ("base", Some(&self.base)),
            ("untuned", self.untuned.as_ref()),
            ("tuned", self.tuned.as_ref()),
            ("value", self.value.as_ref()),
        ];
        for (name, role) in named {
            let Some(role) = role else { continue };
            role.check_source().map_err(|reason| format!("{name}.{reason}"))?;
            if !role.template.contains(PLACEHOLDER) {
                return Err(format!("{name}.template must contain {PLACEHOLDER}"));
            }
        }
        if self.judge.as_ref().is_some_and(|judge| !is_plain(&judge.path)) {
            return Err("judge.path must name a folder inside the pack".to_owned());
        }
        if self.eval_prompts.as_ref().is_some_and(|file| !is_plain(file)) {
            return Err("eval_prompts must name a file inside the pack".to_owned());
        }
        if let (Some(untuned), Some(tuned)) = (&self.untuned, &self.tuned)
            && untuned.template != tuned.template
        {
            return Err("untuned and tuned must read the same template".to_owned());
        }
        self.defaults.validate().map_err(|e| format!("defaults: {e}"))
    }
}
