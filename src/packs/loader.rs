//! From the files of a role to its model.

use std::path::Path;

use candle_core::Device;

use super::error::PackError;
use super::hub::{Hub, Order, Watch};
use super::manifest::Manifest;
use super::role::{Part, Precision, PromptStyle, Role, RoleFiles};
use super::source::Local;
use crate::guidance::{Models, Pair, ValueGuide};
use crate::judge::Judge;
use crate::lm::{Lm, Tokenizer, ValueModel};

/// The files of every role, in the order of loading.
pub(super) type PackFiles = Vec<(&'static str, RoleFiles)>;

/// Finds the files of every role; those on the hub are downloaded first. `update` asks the hub for
/// newer ones.
///
/// # Errors
/// A place that is not there, before anything is downloaded; what the hub says.
pub(super) fn gather(
    manifest: &Manifest,
    pack: &Path,
    hub: &Hub,
    update: bool,
    watch: &mut Watch<'_>,
) -> Result<PackFiles, PackError> {
    let parts = manifest.parts();
    let found: Result<Vec<Option<Local>>, PackError> =
        parts.iter().map(|part| part.local(pack)).collect();
    let found = found?;
    let orders: Vec<Order> = parts.iter().filter_map(Part::order).collect();
    let mut fetched = hub.fetch(&orders, update, watch)?.into_iter();
    let mut files: PackFiles = Vec::new();
    for (part, local) in parts.iter().zip(found) {
        let Some(local) = local.or_else(|| fetched.next()) else { continue };
        if files.last().is_none_or(|(role, _)| *role != part.role) {
            files.push((part.role, RoleFiles { weights: None, adapter: None }));
        }
        if let Some((_, files)) = files.last_mut() {
            part.put(local, files);
        }
    }
    Ok(files)
}

/// What a role may ask for and is not loaded yet.
pub(super) fn not_yet(role: &'static str, what: &str) -> PackError {
    PackError::NotYet { role, what: what.to_owned() }
}

/// The folder to load a model from.
///
/// # Errors
/// [`not_yet`] for everything that is no plain folder of safetensors.
pub(super) fn plain_folder<'f>(
    name: &'static str,
    role: &Role,
    files: &'f RoleFiles,
) -> Result<&'f Path, PackError> {
    if role.adapter.is_some() {
        return Err(not_yet(name, "an adapter"));
    }
    if role.precision == Some(Precision::Q8_0) {
        return Err(not_yet(name, "precision \"q8_0\""));
    }
    if matches!(role.prompt, PromptStyle::Chat { .. }) {
        return Err(not_yet(name, "chat = true"));
    }
    match &files.weights {
        Some(Local::Folder(folder)) => Ok(folder),
        _ => Err(not_yet(name, "a .gguf file")),
    }
}

/// The language model of a role, and its tokenizer.
fn load_lm(
    name: &'static str,
    role: &Role,
    files: &RoleFiles,
    device: &Device,
) -> Result<(Lm, Tokenizer), PackError> {
    let folder = plain_folder(name, role, files)?;
    let failed = |source| PackError::Model { role: name, source };
    let lm = Lm::load(folder, device).map_err(failed)?;
    Ok((lm, Tokenizer::load(folder).map_err(failed)?))
}

/// The value model of a role, and its tokenizer.
fn load_value(
    name: &'static str,
    role: &Role,
    files: &RoleFiles,
    device: &Device,
) -> Result<(ValueModel, Tokenizer), PackError> {
    let folder = plain_folder(name, role, files)?;
    let failed = |source| PackError::Model { role: name, source };
    let model = ValueModel::load(folder, device).map_err(failed)?;
    Ok((model, Tokenizer::load(folder).map_err(failed)?))
}

/// Loads the roles of one pack.
pub(super) struct Loader<'a> {
    pub manifest: &'a Manifest,
    pub files: &'a PackFiles,
    pub device: &'a Device,
    /// Hears the role that is read next, and the share of the pack before it.
    pub reading: &'a mut dyn FnMut(&'static str, f32),
    /// Ids that all token models read so far have in common.
    pub vocab_size: usize,
}

impl Loader<'_> {
    /// Every model, and the judge.
    ///
    /// # Errors
    /// The first file that is damaged or does not fit the others.
    pub fn load(&mut self) -> Result<(Models, Option<Judge>), PackError> {
        let manifest = self.manifest;
        let (base, tokenizer) = self.lm("base", &manifest.base, 0.0)?;
        self.vocab_size = tokenizer.vocab_size();
        let common = (&base, &tokenizer);
        let pair = match (&manifest.untuned, &manifest.tuned) {
            (Some(untuned), Some(tuned)) => Some(Pair {
                untuned: self.guide("untuned", untuned, 0.5, common)?,
                tuned: self.guide("tuned", tuned, 0.7, common)?,
            }),
            _ => None,
        };
        let value = manifest.value.as_ref().map(|role| self.value(role, 0.9, common));
        let value = value.transpose()?;
        let judge = manifest.judge.as_ref().map(|_| self.judge()).transpose()?;
        let vocab_size = self.vocab_size;
        Ok((Models { base, pair, value, tokenizer, vocab_size }, judge))
    }

    fn files(&self, name: &str) -> RoleFiles {
        let found = self.files.iter().find(|(role, _)| *role == name);
        found.map_or(RoleFiles { weights: None, adapter: None }, |(_, files)| files.clone())
    }

    fn lm(
        &mut self,
        name: &'static str,
        role: &Role,
        done: f32,
    ) -> Result<(Lm, Tokenizer), PackError> {
        (self.reading)(name, done);
        load_lm(name, role, &self.files(name), self.device)
    }

    /// A model that must share the base's vocabulary.
    fn guide(
        &mut self,
        name: &'static str,
        role: &Role,
        done: f32,
        base: (&Lm, &Tokenizer),
    ) -> Result<Lm, PackError> {
        let (lm, tokenizer) = self.lm(name, role, done)?;
        let common = check_vocabulary(name, base, (&lm, &tokenizer))?;
        self.vocab_size = self.vocab_size.min(common);
        Ok(lm)
    }

    /// A value model of another vocabulary reads text.
    fn value(
        &mut self,
        role: &Role,
        done: f32,
        base: (&Lm, &Tokenizer),
    ) -> Result<ValueGuide, PackError> {
        (self.reading)("value", done);
        let (model, tokenizer) = load_value("value", role, &self.files("value"), self.device)?;
        let shared = base.1.common_vocabulary(&tokenizer);
        let reads_tokens =
            shared.is_ok_and(|_| base.1.vocab_size() <= model.trunk().config().vocab_size);
        Ok(ValueGuide { model, tokenizer: (!reads_tokens).then_some(tokenizer) })
    }

    fn judge(&mut self) -> Result<Judge, PackError> {
        let files = self.files("judge");
        // A manifest names no file for a judge, and so it is a folder.
        let folder = files.weights.as_ref().map_or(Path::new(""), Local::path);
        Ok(Judge::load(folder)?)
    }
}

/// How many ids two models have in common, by content and by what their logits cover.
fn check_vocabulary(
    role: &'static str,
    base: (&Lm, &Tokenizer),
    other: (&Lm, &Tokenizer),
) -> Result<usize, PackError> {
    let differs = |difference| PackError::Vocabulary { role, difference };
    let common = base.1.common_vocabulary(other.1).map_err(differs)?;
    for (lm, whose) in [(base.0, "base"), (other.0, role)] {
        let rows = lm.config().vocab_size;
        if rows < common {
            return Err(differs(format!(
                "the tokenizers have {common} tokens in common, {whose} has {rows} embedding rows"
            )));
        }
    }
    Ok(common)
}
