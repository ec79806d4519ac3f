//! Model packs: which models play which role, and where their files come from.
//!
//! * [`Manifest`]: the content of a `pack.toml`: [`Role`]s, each with a [`Source`].
//! * [`device`]: selects the device that computes.
//! * [`hub`]: downloads models into the cache that other tools share.
//! * [`Pack`]: the loaded models.
//! * [`inspect`] and [`offers`]: read a model that the user brings, and find the bundled guides for
//!   it.
//! * [`survey`] and [`check`](mod@check): report what a pack needs and check its files, without
//!   loading it.

mod assets;
pub mod check;
pub mod device;
mod error;
mod format;
pub mod hub;
pub mod inspect;
mod loader;
mod manifest;
mod manifest_file;
pub mod offers;
mod prompts;
mod role;
pub mod size;
mod source;
pub mod survey;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::{Deserialize, Serialize};

pub use assets::embed;
pub use device::DeviceChoice;
pub use error::PackError;
pub(crate) use manifest::MAX_PROMPTS_BYTES;
pub use manifest::{MANIFEST, Manifest, Story};
pub use prompts::PromptCache;
pub(crate) use role::PLACEHOLDER;
pub use role::{BackboneRole, JudgeRole, PromptStyle, Role};
pub use source::{HubModel, Local, MAIN, Source};

pub use crate::lm::Precision;

use self::assets::asset_roots;
use self::device::{Loaded, load_on};
use self::hub::{FileSet, Hub, Progress, Watch};
use self::loader::{Contents, Loader, PackFiles, gather};
use self::role::Part;
use crate::guidance::Models;
use crate::guidance::settings::{Settings, ValueSource};
use crate::judge::Judge;
use crate::lm::ChatTemplate;
use crate::local_time::LocalTime;

/// Name of the pack that is loaded by default.
pub(crate) const DEFAULT_PACK: &str = "imdb";
/// Packs listed first: the one whose models are all bundled, then the one with a bundled guide.
const LISTED_FIRST: [&str; 2] = [DEFAULT_PACK, "smollm2"];

/// Which pack to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackSource {
    /// A bundled pack, by name.
    Bundled(String),
    /// A folder with a `pack.toml`.
    Folder(PathBuf),
}

impl Default for PackSource {
    fn default() -> Self {
        Self::Bundled(DEFAULT_PACK.to_owned())
    }
}

impl PackSource {
    /// Returns the pack's folder.
    ///
    /// # Errors
    /// [`PackError::NotBundled`] if no asset folder contains the bundled pack,
    /// [`PackError::NoFolder`] if the folder does not exist.
    pub fn folder(&self) -> Result<PathBuf, PackError> {
        let name = match self {
            PackSource::Folder(folder) if folder.is_dir() => return Ok(folder.clone()),
            PackSource::Folder(folder) => return Err(PackError::NoFolder(folder.clone())),
            PackSource::Bundled(name) => name,
        };
        let looked: Vec<PathBuf> = asset_roots().into_iter().map(|root| root.join(name)).collect();
        let found = looked.iter().find(|p| p.join(MANIFEST).is_file()).cloned();
        found.ok_or_else(|| PackError::NotBundled { name: name.clone(), looked })
    }

    /// Returns all bundled packs: the default pack, the one with a bundled guide, then the others
    /// by name.
    pub fn bundled() -> Vec<Self> {
        bundled_names().into_iter().map(Self::Bundled).collect()
    }

    /// Returns the pack folder for `path`, which is the folder itself or its `pack.toml`.
    pub(crate) fn pack_folder(path: &Path) -> &Path {
        let is_file = path.file_name().is_some_and(|name| name == MANIFEST);
        path.parent().filter(|_| is_file).unwrap_or(path)
    }

    /// Parses user input. A folder with a `pack.toml` comes first, then the name of a bundled pack;
    /// anything else is a folder.
    pub fn parse(text: &Path) -> Self {
        let text = Self::pack_folder(text);
        let is_folder = text.join(MANIFEST).is_file();
        let bundled = text.to_str().map(|name| Self::Bundled(name.to_owned()));
        let bundled = bundled.filter(|pack| !is_folder && Self::bundled().contains(pack));
        bundled.unwrap_or_else(|| Self::Folder(text.to_owned()))
    }

    /// Returns the pack's folder and its parsed `pack.toml`.
    ///
    /// # Errors
    /// See [`PackSource::folder`] and [`Manifest::read`].
    pub fn open(&self) -> Result<(PathBuf, Manifest), PackError> {
        let folder = self.folder()?;
        let manifest = Manifest::read(&folder)?;
        Ok((folder, manifest))
    }
}

/// Returns the names of the bundled packs in the order of [`PackSource::bundled`].
fn bundled_names() -> Vec<String> {
    let folders = asset_roots().into_iter().filter_map(|root| std::fs::read_dir(root).ok());
    let entries = folders.flat_map(Iterator::flatten);
    let packs = entries.filter(|entry| entry.path().join(MANIFEST).is_file());
    let mut names: Vec<String> =
        packs.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let rank = |name: &String| LISTED_FIRST.iter().position(|first| first == name);
    names.sort_by_key(|name| (rank(name).unwrap_or(LISTED_FIRST.len()), name.clone()));
    names.dedup();
    names
}

/// How a typed prompt is converted to tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptOptions {
    /// Whether control tokens spelled out in the prompt, such as `<|im_end|>`, are recognised.
    pub special_tokens: bool,
    /// The local time passed to chat templates.
    pub time: LocalTime,
}

impl Default for PromptOptions {
    /// Reads the prompt as plain text, at the current time.
    fn default() -> Self {
        Self { special_tokens: false, time: LocalTime::now() }
    }
}

/// A step of loading a pack.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// Files are being downloaded.
    Downloading(&'a Progress),
    /// A model is being read from disk.
    Reading {
        /// The model's role.
        role: &'static str,
        /// The fraction of the pack that has been read, 0 to 1.
        share: f32,
    },
}

/// A loaded pack.
///
/// ```
/// use ivg_playground::packs::{DeviceChoice, Pack, PackSource};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = &mut |what: &str, share: f32| println!("{what}: {:.0}%", share * 100.0);
/// let pack = Pack::load(&PackSource::Bundled("imdb".into()), DeviceChoice::Cpu, report)?;
/// assert!(pack.models.pair.is_some() && pack.models.value.is_some());
/// assert!(pack.gold_reward("This film", " is wonderful.") > pack.gold_reward("This film", " is awful."));
/// # Ok(())
/// # }
/// ```
pub struct Pack {
    /// The parsed `pack.toml`.
    pub manifest: Manifest,
    /// The base, the pair and the value model.
    pub models: Models,
    /// The gold judge, if the pack has one.
    pub judge: Option<Judge>,
    /// The folder with the `pack.toml`.
    pub folder: PathBuf,
    /// The device that computes.
    pub device: Device,
    /// One sentence that explains a device other than the chosen one.
    pub device_note: Option<String>,
    /// Whether the pack did not fit into GPU memory and was loaded on the CPU.
    pub(crate) was_too_large: bool,
    files: PackFiles,
    /// Chat templates of the roles that use one.
    chats: Vec<(&'static str, ChatTemplate)>,
}

impl Pack {
    /// Loads all models of the pack, with the hub settings of the environment. `progress` receives
    /// a description of the current step and the fraction done, 0 to 1.
    ///
    /// # Errors
    /// See [`Pack::load_from`].
    pub fn load(
        source: &PackSource,
        device: DeviceChoice,
        progress: &mut dyn FnMut(&str, f32),
    ) -> Result<Self, PackError> {
        Self::load_from(source, device, &Hub::from_env(), &|| false, &mut |step| match step {
            Step::Downloading(download) => progress(&download.to_string(), download.share()),
            Step::Reading { role, share } => progress(&format!("{role} model"), share),
        })
    }

    /// Loads all models of the pack, after downloading missing files from `hub`. The download stops
    /// when `cancelled` returns true. `steps` receives each step. A pack that does not fit into GPU
    /// memory is loaded on the CPU, see [`Pack::device_note`].
    ///
    /// # Errors
    /// Names the first file that is missing, damaged or incompatible with the others.
    pub fn load_from(
        source: &PackSource,
        device: DeviceChoice,
        hub: &Hub,
        cancelled: &dyn Fn() -> bool,
        steps: &mut dyn FnMut(Step<'_>),
    ) -> Result<Self, PackError> {
        let (folder, manifest) = source.open()?;
        let mut progress = |download: &Progress| steps(Step::Downloading(download));
        let mut watch = Watch { cancelled, progress: &mut progress };
        let files = gather(&manifest, &folder, hub, false, &mut watch)?;
        let mut reading = |role, share| steps(Step::Reading { role, share });
        let loaded =
            load_on(device, |device| Loader::new(&manifest, &files, device, &mut reading).load())?;
        let Loaded { value, device, note: device_note, was_too_large } = loaded;
        let Contents { models, judge, chats } = value;
        Ok(Self {
            manifest,
            models,
            judge,
            folder,
            device,
            device_note,
            was_too_large,
            files,
            chats,
        })
    }

    /// Downloads the files that the pack needs from `hub`, without loading them. Replaces cached
    /// files that do not match their checksum. With `update`, also downloads newer commits of
    /// cached branches.
    ///
    /// # Errors
    /// See [`Pack::load_from`].
    pub fn download(
        source: &PackSource,
        hub: &Hub,
        update: bool,
        watch: &mut Watch<'_>,
    ) -> Result<(), PackError> {
        let (folder, manifest) = source.open()?;
        let file_sets: Vec<FileSet> = manifest.parts().iter().filter_map(Part::file_set).collect();
        hub.repair(&file_sets, watch)?;
        gather(&manifest, &folder, hub, update, watch).map(drop)
    }

    /// Returns whether a cached hub file does not match its checksum. Reads all cached files of the
    /// pack and makes no request. The reading stops when `cancelled` returns true.
    pub(crate) fn is_damaged(source: &PackSource, hub: &Hub, cancelled: &dyn Fn() -> bool) -> bool {
        let Ok((_, manifest)) = source.open() else { return false };
        let file_sets: Vec<FileSet> = manifest.parts().iter().filter_map(Part::file_set).collect();
        hub.is_damaged(&file_sets, cancelled)
    }

    /// Returns the gold reward of a finished text, or `None` if the pack has no judge or the judge
    /// fails.
    pub fn gold_reward(&self, prompt: &str, response: &str) -> Option<f32> {
        let judge = self.judge.as_ref()?;
        let judged = judge.gold_reward(&format!("{prompt}{response}"));
        judged.inspect_err(|e| tracing::warn!("the judge failed: {e}")).ok()
    }

    /// Returns a CRC-32 of everything that determines the texts besides the settings: prompt style
    /// and precision of every role, stop sequences, kind of device, and all model files. It
    /// distinguishes packs with the same name but other weights or prompts.
    ///
    /// # Errors
    /// Fails if a file can no longer be read.
    pub fn fingerprint(&self) -> Result<u32, PackError> {
        let mut hasher = crc32fast::Hasher::new();
        let is_model = |file: &PathBuf| {
            let kinds = ["safetensors", "json", "gguf", "bin", "txt", "jinja"];
            file.extension().is_some_and(|e| kinds.iter().any(|kind| e == *kind))
        };
        for (name, role) in self.manifest.roles() {
            let Role { prompt, precision, trunk, .. } = role;
            hasher.update(format!("{name} {prompt:?} {precision:?} {trunk:?}").as_bytes());
        }
        hasher.update(format!("{:?}", self.manifest.stop).as_bytes());
        hasher.update(match self.device {
            Device::Cpu => b"cpu",
            Device::Cuda(_) | Device::Metal(_) => b"gpu",
        });
        for (role, files) in &self.files {
            for local in files.all() {
                hasher.update(role.as_bytes());
                let failed =
                    |file: &Path, source| PackError::Unreadable { file: file.into(), source };
                let files = local.files().map_err(|e| failed(local.path(), e))?;
                let is_gguf = matches!(local, Local::Gguf(_));
                for file in files.iter().filter(|file| is_gguf || is_model(file)) {
                    add_file(&mut hasher, file).map_err(|e| failed(file, e))?;
                }
            }
        }
        Ok(hasher.finalize())
    }

    /// Returns whether a chat template in use reads the date or the time.
    pub fn uses_time(&self) -> bool {
        self.chats.iter().any(|(_, template)| template.uses_time())
    }

    /// Returns the pack's default settings, restricted to the models that it has.
    pub fn defaults(&self) -> Settings {
        let (has_pair, has_value) = (self.models.pair.is_some(), self.models.value.is_some());
        let mut settings = self.manifest.defaults.clone();
        if !has_pair {
            settings.beta = 0.0;
        }
        match (has_pair, has_value) {
            (true, true) => {}
            (true, false) => settings.value_source = ValueSource::Implicit,
            (false, true) => settings.value_source = ValueSource::Explicit,
            (false, false) => (settings.beams, settings.successors) = (1, 1),
        }
        settings
    }

    /// Returns the maximum memory of the weights in bytes: all in f32, none shared between roles.
    pub(crate) fn max_weight_bytes(&self) -> u64 {
        self.sizes().iter().map(|(_, parameters)| 4 * *parameters as u64).sum()
    }

    /// Returns role names and parameter counts, in the order base, untuned, tuned, value.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut sizes = vec![("base", self.models.base.parameters())];
        if let Some(pair) = &self.models.pair {
            sizes.push(("untuned", pair.untuned.parameters()));
            sizes.push(("tuned", pair.tuned.parameters()));
        }
        sizes.extend(self.models.value.iter().map(|v| ("value", v.model.trunk().parameters())));
        sizes
    }

    /// Returns the maximum length of prompt plus response that every model can read, in tokens.
    pub fn context_tokens(&self) -> usize {
        let models = &self.models;
        let pair = models.pair.iter().flat_map(|p| [&p.untuned, &p.tuned]);
        let value = models.value.iter().map(|value| value.model.trunk());
        let all = std::iter::once(&models.base).chain(pair).chain(value);
        all.map(|lm| lm.config().context_tokens).min().unwrap_or(0)
    }
}

/// Adds a file to a checksum in chunks, so the file is never in memory as a whole.
fn add_file(hasher: &mut crc32fast::Hasher, file: &Path) -> std::io::Result<()> {
    let mut file = File::open(file)?;
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(()),
            read => hasher.update(&chunk[..read]),
        }
    }
}
