//! From the files of a role to its model.

use std::path::{Path, PathBuf};

use candle_core::Device;

use super::error::PackError;
use super::hub::{Hub, Order, Watch};
use super::manifest::{MANIFEST, Manifest, UNLIKE_PAIR};
use super::role::{Part, PromptStyle, Role, RoleFiles, Trunk};
use super::size::{free_memory_bytes, measure};
use super::source::Local;
use crate::guidance::{Models, Pair, ValueGuide};
use crate::judge::Judge;
use crate::lm::{ChatTemplate, Lm, LmError, Precision, Tokenizer, ValueModel};

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
    share_weights(&mut files);
    held_alike(manifest, pack, &files)?;
    Ok(files)
}

/// Whether untuned and tuned are held in one precision, now that their files are known: a GGUF file
/// need not be named as one.
///
/// # Errors
/// [`PackError::Invalid`] where they are not.
pub(super) fn held_alike(
    manifest: &Manifest,
    pack: &Path,
    files: &PackFiles,
) -> Result<(), PackError> {
    let precision = |name: &str, role: Option<&Role>| {
        let (_, files) = files.iter().find(|(role, _)| *role == name)?;
        let own = match files.weights.as_ref()? {
            Local::Gguf(_) => Precision::Q8_0,
            Local::Folder(_) => Precision::F32,
        };
        Some(role?.precision.unwrap_or(own))
    };
    let untuned = precision("untuned", manifest.untuned.as_ref());
    let tuned = precision("tuned", manifest.tuned.as_ref());
    match (untuned, tuned) {
        (Some(untuned), Some(tuned)) if untuned != tuned => {
            Err(PackError::Invalid { file: pack.join(MANIFEST), reason: UNLIKE_PAIR.to_owned() })
        }
        _ => Ok(()),
    }
}

/// A tuned model that is an adapter alone is put on the untuned one's weights.
pub(super) fn share_weights(files: &mut PackFiles) {
    let of = |name: &str| files.iter().position(|(role, _)| *role == name);
    if let (Some(untuned), Some(tuned)) = (of("untuned"), of("tuned"))
        && files[tuned].1.weights.is_none()
    {
        files[tuned].1.weights = files[untuned].1.weights.clone();
    }
}

/// The chat template of a role that asks for one, tried on a word.
///
/// # Errors
/// A model without a template, or with a damaged one, or one that refuses the system prompt.
pub(super) fn chat_template(
    name: &'static str,
    role: &Role,
    files: &RoleFiles,
) -> Result<Option<ChatTemplate>, PackError> {
    let PromptStyle::Chat { system } = &role.prompt else { return Ok(None) };
    let path = weights(name, files)?;
    let failed = |source| PackError::Model { role: name, source };
    let Some(template) = ChatTemplate::load(path).map_err(failed)? else {
        return Err(PackError::NoChatTemplate { role: name, path: path.to_owned() });
    };
    template.try_out(system.as_deref()).map_err(failed)?;
    Ok(Some(template))
}

/// Where the weights are.
fn weights<'f>(name: &'static str, files: &'f RoleFiles) -> Result<&'f Path, PackError> {
    files.weights.as_ref().map(Local::path).ok_or_else(|| PackError::Place {
        role: name,
        path: PathBuf::new(),
        // `Manifest` has refused this; whoever makes one by hand is told as well.
        reason: "no files are named; write path, bundled, folder or hub".to_owned(),
    })
}

/// A model that was loaded, and from what: two roles that are one model share its weights.
struct Loaded {
    path: PathBuf,
    precision: Option<Precision>,
    lm: Lm,
}

/// The language model of a role, and its tokenizer.
fn load_lm(
    name: &'static str,
    role: &Role,
    files: &RoleFiles,
    loaded: &mut Vec<Loaded>,
    device: &Device,
) -> Result<(Lm, Tokenizer), PackError> {
    let path = weights(name, files)?;
    let failed = |source| PackError::Model { role: name, source };
    let known = loaded.iter().find(|l| l.path == path && l.precision == role.precision);
    let lm = match known {
        Some(known) => known.lm.clone(),
        None => {
            check_room(name, role, files, device)?;
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

/// Whether the weights of a role fit into the memory that is free, as far as the system says: what
/// does not fit would end the whole program, not the load alone. A GPU says so by itself.
fn check_room(
    role: &'static str,
    how: &Role,
    files: &RoleFiles,
    device: &Device,
) -> Result<(), PackError> {
    let (Some(local), true) = (&files.weights, device.is_cpu()) else { return Ok(()) };
    // A file that cannot be measured does not load either, and then says why.
    let Ok(size) = measure(local, how.precision) else { return Ok(()) };
    match free_memory_bytes() {
        Some(free_bytes) if size.held_bytes > free_bytes => {
            Err(PackError::TooLarge { role, held_bytes: size.held_bytes, free_bytes })
        }
        _ => Ok(()),
    }
}

/// The value model of a role that has files of its own, and its tokenizer.
fn load_value(
    role: &Role,
    files: &RoleFiles,
    loaded: &[Loaded],
    device: &Device,
) -> Result<(ValueModel, Tokenizer), PackError> {
    let path = weights("value", files)?;
    let failed = |source| PackError::Model { role: "value", source };
    let known = loaded.iter().find(|l| l.path == path && l.precision == role.precision);
    let mut model = match known {
        // A file that holds everything has no head beside it.
        Some(known) if path.is_dir() => ValueModel::on_trunk(&known.lm, path),
        _ => {
            check_room("value", role, files, device)?;
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
    /// Hears the role that is read next, and the share of the pack before it.
    reading: &'a mut dyn FnMut(&'static str, f32),
    /// Ids that all token models read so far have in common.
    vocab_size: usize,
    loaded: Vec<Loaded>,
}

/// What a pack's files hold.
pub(super) struct Contents {
    pub models: Models,
    pub judge: Option<Judge>,
    /// The chat template of every role that asks for one.
    pub chats: Vec<(&'static str, ChatTemplate)>,
}

impl<'a> Loader<'a> {
    pub fn new(
        manifest: &'a Manifest,
        files: &'a PackFiles,
        device: &'a Device,
        reading: &'a mut dyn FnMut(&'static str, f32),
    ) -> Self {
        Self { manifest, files, device, reading, vocab_size: 0, loaded: Vec::new() }
    }

    /// Every model, the judge, and how prompts are put to them.
    ///
    /// # Errors
    /// The first file that is damaged or does not fit the others.
    pub fn load(mut self) -> Result<Contents, PackError> {
        let manifest = self.manifest;
        let chats = self.chats()?;
        let (base, tokenizer) = self.lm("base", &manifest.base, 0.0)?;
        // Tokens that were added to a tokenizer and never given to the model cannot be drawn.
        self.vocab_size = tokenizer.vocab_size().min(base.config().vocab_size);
        let common = (&base, &tokenizer);
        let pair = match (&manifest.untuned, &manifest.tuned) {
            (Some(untuned), Some(tuned)) => Some(Pair {
                untuned: self.guide("untuned", untuned, 0.5, common)?,
                tuned: self.guide("tuned", tuned, 0.7, common)?,
            }),
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

    /// Before any weights are read: a missing template is soon said.
    fn chats(&self) -> Result<Vec<(&'static str, ChatTemplate)>, PackError> {
        let mut chats = Vec::new();
        for (name, role) in self.manifest.roles() {
            // A head has no template of its own.
            let owner = role.trunk.map_or(name, Trunk::role);
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

    /// A model that must share the base's vocabulary.
    fn guide(
        &mut self,
        name: &'static str,
        role: &Role,
        done: f32,
        base: (&Lm, &Tokenizer),
    ) -> Result<Lm, PackError> {
        let (lm, tokenizer) = self.lm(name, role, done)?;
        let common = base.1.common_vocabulary(&tokenizer).map_err(|difference| {
            let path = self.files(name).weights.map_or_else(PathBuf::new, |w| w.path().to_owned());
            PackError::Vocabulary { role: name, path, difference }
        })?;
        // No more of it than both models' logits cover.
        for rows in [common, base.0.config().vocab_size, lm.config().vocab_size] {
            self.vocab_size = self.vocab_size.min(rows);
        }
        Ok(lm)
    }

    /// A value model of another vocabulary reads text.
    fn value(&self, role: &Role, base: (&Lm, &Tokenizer)) -> Result<ValueGuide, PackError> {
        let (model, tokenizer) = load_value(role, &self.files("value"), &self.loaded, self.device)?;
        let shared = base.1.common_vocabulary(&tokenizer);
        let reads_tokens =
            shared.is_ok_and(|_| base.1.vocab_size() <= model.trunk().config().vocab_size);
        Ok(ValueGuide { model, tokenizer: (!reads_tokens).then_some(tokenizer) })
    }

    /// A value head on a model that is loaded already, whose tokens it reads.
    fn head(&self, trunk: Trunk, base: &Lm, pair: Option<&Pair>) -> Result<ValueGuide, PackError> {
        let lm = trunk.of(base, pair.map(|pair| &pair.untuned), pair.map(|pair| &pair.tuned));
        let files = self.files("value");
        let folder = weights("value", &files)?;
        // `Manifest` has refused a trunk that there is not.
        let lm = lm.ok_or_else(|| PackError::Place {
            role: "value",
            path: folder.to_owned(),
            reason: format!("stands on {}, which the pack does not have", trunk.role()),
        })?;
        let failed = |source| PackError::Model { role: "value", source };
        let model = ValueModel::on_trunk(lm, folder).map_err(failed)?;
        Ok(ValueGuide { model, tokenizer: None })
    }

    fn judge(&mut self) -> Result<Judge, PackError> {
        let files = self.files("judge");
        // A manifest names no file for a judge, and so it is a folder.
        let folder = files.weights.as_ref().map_or(Path::new(""), Local::path);
        Ok(Judge::load(folder)?)
    }
}
