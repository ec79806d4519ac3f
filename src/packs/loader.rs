//! Loads the models of a pack from the files of its roles.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use super::error::PackError;
use super::hub::{FileSet, Hub, Watch};
use super::manifest::{MANIFEST, Manifest, PRECISION_MISMATCH};
use super::role::{BackboneRole, Part, PromptStyle, Role, RoleFiles};
use super::size::{free_memory_bytes, measure};
use super::source::Local;
use crate::guidance::{Models, Pair, ValueGuide};
use crate::judge::Judge;
use crate::lm::{ChatTemplate, GuideWords, Lm, LmError, Precision};
use crate::lm::{Tokenizer, ValueModel, WordEncoder};

/// The files of every role, in loading order.
pub(super) type PackFiles = Vec<(&'static str, RoleFiles)>;

/// Returns the files of every role, after downloading the missing ones. With `update`, also
/// downloads newer commits of cached branches.
///
/// # Errors
/// Fails if a local path does not exist, before any download, or if a download fails.
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
    let file_sets: Vec<FileSet> = parts.iter().filter_map(Part::file_set).collect();
    let mut fetched = hub.fetch(&file_sets, update, watch)?.into_iter();
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
    share_weights(&mut files);
    check_pair_precision(manifest, pack, &files)?;
    Ok(files)
}

/// Checks that untuned and tuned have the same precision. Needs their files, because a GGUF file
/// may have any name.
///
/// # Errors
/// [`PackError::Invalid`] if the precisions differ.
pub(super) fn check_pair_precision(
    manifest: &Manifest,
    pack: &Path,
    files: &PackFiles,
) -> Result<(), PackError> {
    let precision = |name: &str, role: Option<&Role>| {
        let (_, files) = files.iter().find(|(role, _)| *role == name)?;
        let default = match files.weights.as_ref()? {
            Local::Gguf(_) => Precision::Q8_0,
            Local::Folder(_) => Precision::F32,
        };
        Some(role?.precision.unwrap_or(default))
    };
    let untuned = precision("untuned", manifest.untuned.as_ref());
    let tuned = precision("tuned", manifest.tuned.as_ref());
    match (untuned, tuned) {
        (Some(untuned), Some(tuned)) if untuned != tuned => {
            let reason = PRECISION_MISMATCH.to_owned();
            Err(PackError::Invalid { file: pack.join(MANIFEST), reason })
        }
        _ => Ok(()),
    }
}

/// Assigns the untuned weights to a tuned role that is only an adapter.
pub(super) fn share_weights(files: &mut PackFiles) {
    let index = |name: &str| files.iter().position(|(role, _)| *role == name);
    if let (Some(untuned), Some(tuned)) = (index("untuned"), index("tuned"))
        && files[tuned].1.weights.is_none()
    {
        files[tuned].1.weights = files[untuned].1.weights.clone();
    }
}

/// Loads the chat template of a role that uses one, and renders a test prompt with it.
///
/// # Errors
/// Fails if the model has no template, or the template is damaged or rejects the system prompt.
pub(super) fn chat_template(
    name: &'static str,
    role: &Role,
    files: &RoleFiles,
) -> Result<Option<ChatTemplate>, PackError> {
    let PromptStyle::Chat { system } = &role.prompt else { return Ok(None) };
    let path = weights_path(name, files)?;
    let failed = |source| PackError::Model { role: name, source };
    let Some(template) = ChatTemplate::load(path).map_err(failed)? else {
        return Err(PackError::NoChatTemplate { role: name, path: path.to_owned() });
    };
    template.check_renders(system.as_deref()).map_err(failed)?;
    Ok(Some(template))
}

fn weights_path<'f>(name: &'static str, files: &'f RoleFiles) -> Result<&'f Path, PackError> {
    files.weights.as_ref().map(Local::path).ok_or_else(|| PackError::Files {
        role: name,
        path: PathBuf::new(),
        // `Manifest::check` rejects this, but a manifest can also be built in code.
        reason: "no files are named; write path, bundled, folder or hub".to_owned(),
    })
}

/// A loaded model and its origin. Roles with the same model share its weights.
struct Loaded {
    path: PathBuf,
    precision: Option<Precision>,
    lm: Lm,
}

/// Loads the language model of a role and its tokenizer.
fn load_lm(
    name: &'static str,
    role: &Role,
    files: &RoleFiles,
    loaded: &mut Vec<Loaded>,
    device: &Device,
) -> Result<(Lm, Tokenizer), PackError> {
    let path = weights_path(name, files)?;
    let failed = |source| PackError::Model { role: name, source };
    let known = loaded.iter().find(|l| l.path == path && l.precision == role.precision);
    let lm = match known {
        Some(known) => known.lm.clone(),
        None => {
            check_memory(name, role, files, device)?;
            let lm = Lm::load_as(path, role.precision, device).map_err(failed)?;
            let (path, precision) = (path.to_owned(), role.precision);
            loaded.push(Loaded { path, precision, lm: lm.clone() });
            lm
        }
    };
    let lm = match &files.adapter {
        Some(adapter) => lm.with_adapter(adapter).map_err(failed)?,
        None => lm,
    };
    Ok((lm, Tokenizer::load(path).map_err(failed)?))
}

/// Checks that the weights of a role fit into free memory, if the system reports it. Running out of
/// memory would end the whole program. A GPU reports an error instead, so it needs no check.
fn check_memory(
    name: &'static str,
    role: &Role,
    files: &RoleFiles,
    device: &Device,
) -> Result<(), PackError> {
    let (Some(local), true) = (&files.weights, device.is_cpu()) else { return Ok(()) };
    // A file that cannot be measured does not load either; loading reports the reason.
    let Ok(size) = measure(local, role.precision) else { return Ok(()) };
    match free_memory_bytes() {
        Some(free_bytes) if size.held_bytes > free_bytes => {
            Err(PackError::TooLarge { role: name, held_bytes: size.held_bytes, free_bytes })
        }
        _ => Ok(()),
    }
}

/// Loads a value model with its own backbone, and its tokenizer.
fn load_value(
    role: &Role,
    files: &RoleFiles,
    loaded: &[Loaded],
    device: &Device,
) -> Result<(ValueModel, Tokenizer), PackError> {
    let path = weights_path("value", files)?;
    let failed = |source| PackError::Model { role: "value", source };
    let known = loaded.iter().find(|l| l.path == path && l.precision == role.precision);
    let mut model = match known {
        // A GGUF file has no separate head.
        Some(known) if path.is_dir() => ValueModel::on_trunk(&known.lm, path),
        _ => {
            check_memory("value", role, files, device)?;
            ValueModel::load_as(path, role.precision, device)
        }
    }
    .map_err(failed)?;
    if let Some(adapter) = &files.adapter {
        let trunk = model.trunk().with_adapter(adapter).map_err(failed)?;
        model = ValueModel::on_trunk(&trunk, path).map_err(failed)?;
    }
    Ok((model, Tokenizer::load(path).map_err(failed)?))
}

/// Loads the roles of one pack.
pub(super) struct Loader<'a> {
    manifest: &'a Manifest,
    files: &'a PackFiles,
    device: &'a Device,
    /// Called with the role that is read next and the fraction of the pack that has been read.
    reading: &'a mut dyn FnMut(&'static str, f32),
    /// Number of ids shared by all token models loaded so far.
    vocab_size: usize,
    loaded: Vec<Loaded>,
}

/// The loaded contents of a pack.
pub(super) struct Contents {
    pub(crate) models: Models,
    pub(crate) judge: Option<Judge>,
    /// Chat templates of the roles that use one.
    pub(crate) chats: Vec<(&'static str, ChatTemplate)>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(
        manifest: &'a Manifest,
        files: &'a PackFiles,
        device: &'a Device,
        reading: &'a mut dyn FnMut(&'static str, f32),
    ) -> Self {
        Self { manifest, files, device, reading, vocab_size: 0, loaded: Vec::new() }
    }

    /// Loads all models, the judge and the chat templates.
    ///
    /// # Errors
    /// Names the first file that is damaged or incompatible with the others.
    pub(super) fn load(mut self) -> Result<Contents, PackError> {
        let manifest = self.manifest;
        let chats = self.chats()?;
        let (base, tokenizer) = self.lm("base", &manifest.base, 0.0)?;
        // Tokens that were added to the tokenizer but not to the model cannot be sampled.
        self.vocab_size = tokenizer.vocab_size().min(base.config().vocab_size);
        let tokenizer = Arc::new(tokenizer);
        let common = (&base, &tokenizer);
        let pair = match (&manifest.untuned, &manifest.tuned) {
            (Some(untuned), Some(tuned)) => Some(self.pair(untuned, tuned, common)?),
            _ => None,
        };
        let value = manifest.value.as_ref().map(|role| {
            (self.reading)("value", 0.9);
            match role.trunk {
                Some(trunk) => self.head(trunk, &base, pair.as_ref()),
                None => self.value(role, common),
            }
        });
        let value = value.transpose()?;
        let judge = manifest.judge.as_ref().map(|_| self.judge()).transpose()?;
        let vocab_size = self.vocab_size;
        let stops = manifest.stop.clone();
        let models = Models { base, pair, value, tokenizer, vocab_size, stops };
        Ok(Contents { models, judge, chats })
    }

    /// Loads the chat templates. Called before any weights are read, so errors appear early.
    fn chats(&self) -> Result<Vec<(&'static str, ChatTemplate)>, PackError> {
        let mut chats = Vec::new();
        for (name, role) in self.manifest.roles() {
            // A head uses the template of its trunk.
            let owner = role.trunk.map_or(name, BackboneRole::role);
            let template = chat_template(name, role, &self.files(owner))?;
            chats.extend(template.map(|template| (name, template)));
        }
        Ok(chats)
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
        let files = self.files(name);
        let (lm, tokenizer) = load_lm(name, role, &files, &mut self.loaded, self.device)?;
        if !lm.has_head() {
            return Err(PackError::Model { role: name, source: LmError::NoHead });
        }
        Ok((lm, tokenizer))
    }

    /// Loads the pair. Both halves must have one vocabulary. If it is not the base's, they read the
    /// response as text.
    fn pair(
        &mut self,
        untuned: &Role,
        tuned: &Role,
        base: (&Lm, &Arc<Tokenizer>),
    ) -> Result<Pair, PackError> {
        let (untuned, own) = self.lm("untuned", untuned, 0.5)?;
        let (tuned, other) = self.lm("tuned", tuned, 0.7)?;
        let of_pair = own.common_vocabulary(&other).map_err(|difference| {
            let path = self.files("tuned").weights.map_or_else(PathBuf::new, |w| w.path().into());
            PackError::Vocabulary { path, difference }
        })?;
        let Ok(of_base) = base.1.common_vocabulary(&own) else {
            let words = Some(Arc::new(GuideWords::new(own, Arc::clone(base.1))));
            return Ok(Pair { untuned, tuned, words });
        };
        // All models must have a logit for every id.
        let rows = [&untuned, &tuned, base.0].map(|lm| lm.config().vocab_size);
        for rows in rows.into_iter().chain([of_pair, of_base]) {
            self.vocab_size = self.vocab_size.min(rows);
        }
        Ok(Pair { untuned, tuned, words: None })
    }

    /// Loads a value model. With another vocabulary than the base's, it reads text.
    fn value(&self, role: &Role, base: (&Lm, &Arc<Tokenizer>)) -> Result<ValueGuide, PackError> {
        let (model, tokenizer) = load_value(role, &self.files("value"), &self.loaded, self.device)?;
        let shared = base.1.common_vocabulary(&tokenizer);
        let reads_tokens =
            shared.is_ok_and(|_| base.1.vocab_size() <= model.trunk().config().vocab_size);
        let words = (!reads_tokens).then(|| Arc::new(WordEncoder::new(tokenizer)));
        Ok(ValueGuide { model, words })
    }

    /// Loads a value head for a model that is already loaded. The head reads that model's tokens.
    fn head(
        &self,
        trunk: BackboneRole,
        base: &Lm,
        pair: Option<&Pair>,
    ) -> Result<ValueGuide, PackError> {
        let lm = trunk.of(base, pair.map(|pair| &pair.untuned), pair.map(|pair| &pair.tuned));
        let files = self.files("value");
        let folder = weights_path("value", &files)?;
        // `Manifest::check` rejects this, but a manifest can also be built in code.
        let lm = lm.ok_or_else(|| PackError::Files {
            role: "value",
            path: folder.to_owned(),
            reason: format!("trunk: the pack has no {}; name a role that it has", trunk.role()),
        })?;
        let failed = |source| PackError::Model { role: "value", source };
        let model = ValueModel::on_trunk(lm, folder).map_err(failed)?;
        // The head reads what its trunk reads.
        let pair = pair.filter(|_| trunk != BackboneRole::Base);
        let words = pair.and_then(|pair| pair.words.as_ref());
        Ok(ValueGuide { model, words: words.map(|words| Arc::clone(words.own())) })
    }

    fn judge(&mut self) -> Result<Judge, PackError> {
        let files = self.files("judge");
        // `Part::local` rejects a judge that is a GGUF file, so this is a folder.
        let folder = files.weights.as_ref().map_or(Path::new(""), Local::path);
        Ok(Judge::load(folder)?)
    }
}
