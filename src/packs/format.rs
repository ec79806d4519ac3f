//! The fields of a `pack.toml`, and their conversion from and to a [`Manifest`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, Story};
use super::role::{BackboneRole, JudgeRole, PLACEHOLDER, PromptStyle, Role};
use super::source::{HubModel, MAIN, Source};
use crate::guidance::aim::Aim;
use crate::guidance::settings::Settings;
use crate::guidance::steer::Steer;
use crate::lm::Precision;

/// The fields of the file. TOML requires plain values before tables.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackFile {
    name: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_prompts: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    examples: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stop: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aim: Option<Aim>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stories: Vec<Story>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steers: Vec<Steer>,
    base: RoleTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    untuned: Option<RoleTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuned: Option<RoleTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<RoleTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    judge: Option<SourceTable>,
    #[serde(default, skip_serializing_if = "is_paper")]
    defaults: Settings,
}

/// Returns whether these are the paper's settings. They are the default, so they are not written.
fn is_paper(settings: &Settings) -> bool {
    *settings == Settings::default()
}

/// The source of files: exactly one of `path`, `bundled`, `folder` and `hub`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { path = \"judge\" }")]
struct SourceTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundled: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

/// The fields of a [`SourceTable`] and of a model. They are repeated because serde cannot both
/// flatten a table and reject unknown fields.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { path = \"base\" }")]
struct RoleTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundled: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trunk: Option<BackboneRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<Precision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<SourceTable>,
}

impl SourceTable {
    /// Returns the source that the table names, or `None` if it names none.
    fn read(self) -> Result<Option<Source>, String> {
        let Self { path, bundled, folder, hub, revision, file } = self;
        if hub.is_none() {
            for (name, is_given) in [("revision", revision.is_some()), ("file", file.is_some())] {
                if is_given {
                    return Err(format!("{name} belongs to hub; name the model with hub"));
                }
            }
        }
        let hub = hub.map(|id| {
            let revision = revision.unwrap_or_else(|| MAIN.to_owned());
            Source::Hub(HubModel { id, revision, file })
        });
        let named =
            [path.map(Source::Pack), bundled.map(Source::Bundled), folder.map(Source::Folder), hub];
        let mut named = named.into_iter().flatten();
        let Some(source) = named.next() else { return Ok(None) };
        if named.next().is_some() {
            return Err("path, bundled, folder and hub: write only one of them".to_owned());
        }
        source.check()?;
        Ok(Some(source))
    }

    fn required(self) -> Result<Source, String> {
        self.read()?.ok_or_else(|| "path, bundled, folder or hub: write one of them".to_owned())
    }

    fn write(source: Option<&Source>) -> Self {
        match source {
            None => Self::default(),
            Some(Source::Pack(path)) => Self { path: Some(path.clone()), ..Self::default() },
            Some(Source::Bundled(path)) => Self { bundled: Some(path.clone()), ..Self::default() },
            Some(Source::Folder(path)) => Self { folder: Some(path.clone()), ..Self::default() },
            Some(Source::Hub(HubModel { id, revision, file })) => Self {
                hub: Some(id.clone()),
                revision: (revision != MAIN).then(|| revision.clone()),
                file: file.clone(),
                ..Self::default()
            },
        }
    }
}

impl RoleTable {
    /// Returns the role, and whether the table sets its prompt style.
    fn read(self) -> Result<(Role, bool), String> {
        let Self { path, bundled, folder, hub, revision, file, .. } = self;
        let Self { trunk, precision, template, chat, system, adapter, .. } = self;
        let sets_prompt = template.is_some() || chat.is_some() || system.is_some();
        let source = SourceTable { path, bundled, folder, hub, revision, file }.read()?;
        let adapter = adapter.map(SourceTable::required).transpose();
        let adapter = adapter.map_err(|reason| format!("adapter.{reason}"))?;
        if adapter.as_ref().is_some_and(Source::is_gguf) {
            return Err("adapter must be a PEFT folder, not a .gguf file".to_owned());
        }
        let prompt = prompt_style(template, chat.unwrap_or(false), system)?;
        Ok((Role { source, trunk, adapter, precision, prompt }, sets_prompt))
    }

    /// Returns the table of a role, without the prompt style if that is `default`.
    fn write(role: &Role, default: &PromptStyle) -> Self {
        let SourceTable { path, bundled, folder, hub, revision, file } =
            SourceTable::write(role.source.as_ref());
        let (template, chat, system) = match &role.prompt {
            prompt if prompt == default => (None, None, None),
            PromptStyle::Template(text) => (Some(text.clone()), None, None),
            PromptStyle::Chat { system } => (None, Some(true), system.clone()),
        };
        let adapter = role.adapter.as_ref().map(|source| SourceTable::write(Some(source)));
        let Role { trunk, precision, .. } = *role;
        Self {
            path,
            bundled,
            folder,
            hub,
            revision,
            file,
            trunk,
            precision,
            template,
            chat,
            system,
            adapter,
        }
    }
}

fn prompt_style(
    template: Option<String>,
    chat: bool,
    system: Option<String>,
) -> Result<PromptStyle, String> {
    if !chat {
        if system.is_some() {
            return Err("system needs a chat template; write chat = true too".to_owned());
        }
        let template = template.unwrap_or_else(|| PLACEHOLDER.to_owned());
        if !template.contains(PLACEHOLDER) {
            return Err(format!("template must contain {PLACEHOLDER}"));
        }
        return Ok(PromptStyle::Template(template));
    }
    if template.is_some_and(|text| text != PLACEHOLDER) {
        return Err("template and chat: write only one of them".to_owned());
    }
    Ok(PromptStyle::Chat { system })
}

impl TryFrom<PackFile> for Manifest {
    type Error = String;

    fn try_from(file: PackFile) -> Result<Self, String> {
        let read = |name: &str, table: RoleTable| {
            table.read().map_err(|reason| format!("{name}.{reason}"))
        };
        let optional =
            |name: &str, table: Option<RoleTable>| table.map(|t| read(name, t)).transpose();
        let (base, _) = read("base", file.base)?;
        let untuned = optional("untuned", file.untuned)?.map(|(role, _)| role);
        let tuned = optional("tuned", file.tuned)?.map(|(mut role, sets_prompt)| {
            // The pair shares prompt style and precision, so tuned inherits them from untuned.
            if let Some(untuned) = &untuned {
                if !sets_prompt {
                    role.prompt = untuned.prompt.clone();
                }
                role.precision = role.precision.or(untuned.precision);
            }
            role
        });
        let value = optional("value", file.value)?.map(|(mut role, sets_prompt)| {
            // A head inherits the prompt style of its trunk.
            let trunk = role.trunk.and_then(|t| t.of(&base, untuned.as_ref(), tuned.as_ref()));
            if let (Some(trunk), false) = (trunk, sets_prompt) {
                role.prompt = trunk.prompt.clone();
            }
            role
        });
        let judge = file.judge.map(SourceTable::required).transpose();
        let judge = judge.map_err(|reason| format!("judge.{reason}"))?;
        Ok(Self {
            name: file.name,
            description: file.description,
            licence: file.licence,
            url: file.url,
            base,
            untuned,
            tuned,
            value,
            judge: judge.map(|source| JudgeRole { source }),
            eval_prompts: file.eval_prompts,
            examples: file.examples,
            stop: file.stop,
            aim: file.aim,
            stories: file.stories,
            steers: file.steers,
            defaults: file.defaults,
        })
    }
}

impl From<&Manifest> for PackFile {
    fn from(manifest: &Manifest) -> Self {
        let plain = PromptStyle::default();
        let role = |role: &Role| RoleTable::write(role, &plain);
        // An inherited prompt style is not written.
        let prompt_of = |role: Option<&Role>| role.map_or(plain.clone(), |r| r.prompt.clone());
        let tuned = |role: &Role| RoleTable::write(role, &prompt_of(manifest.untuned.as_ref()));
        let value = |role: &Role| {
            let (untuned, tuned) = (manifest.untuned.as_ref(), manifest.tuned.as_ref());
            let trunk = role.trunk.and_then(|trunk| trunk.of(&manifest.base, untuned, tuned));
            RoleTable::write(role, &prompt_of(trunk))
        };
        Self {
            name: manifest.name.clone(),
            description: manifest.description.clone(),
            licence: manifest.licence.clone(),
            url: manifest.url.clone(),
            eval_prompts: manifest.eval_prompts.clone(),
            examples: manifest.examples.clone(),
            stop: manifest.stop.clone(),
            aim: manifest.aim.clone(),
            stories: manifest.stories.clone(),
            steers: manifest.steers.clone(),
            base: role(&manifest.base),
            untuned: manifest.untuned.as_ref().map(role),
            tuned: manifest.tuned.as_ref().map(tuned),
            value: manifest.value.as_ref().map(value),
            judge: manifest.judge.as_ref().map(|judge| SourceTable::write(Some(&judge.source))),
            defaults: manifest.defaults.clone(),
        }
    }
}
