//! Model packs: which models play which role, and where their files come from.
//!
//! * [`Manifest`]: what a `pack.toml` says: [`Role`]s, each with a [`Source`].
//! * [`device`]: where they compute.
//! * [`hub`]: models by name, downloaded into the cache that other tools share.
//! * [`Pack`]: the models themselves.
//! * [`survey`] and [`check`](mod@check): what a pack needs and whether it is in order, without
//!   loading it.

pub mod check;
pub mod device;
mod error;
mod format;
pub mod hub;
mod loader;
mod manifest;
mod role;
pub mod size;
mod source;
pub mod survey;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::{Deserialize, Serialize};

pub use device::DeviceChoice;
pub use error::PackError;
pub(crate) use manifest::MAX_PROMPTS_BYTES;
pub use manifest::{MANIFEST, Manifest};
pub use role::{JudgeRole, PLACEHOLDER, PromptStyle, Role, RoleFiles, Trunk};
pub use source::{HubModel, Local, MAIN, Source};

pub use crate::lm::Precision;

use self::device::{Loaded, load_on};
use self::hub::{Hub, Order, Progress, Watch};
use self::loader::{Contents, Loader, PackFiles, gather};
use self::role::Part;
use crate::guidance::settings::{Settings, ValueSource};
use crate::guidance::{GuidanceError, Models, Prompts, ValueGuide, ValuePrompt};
use crate::judge::Judge;
use crate::lm::{ChatTemplate, PromptText, Tokenizer};
use crate::local_time::LocalTime;

/// Name of the pack that the program starts with.
pub const DEFAULT_PACK: &str = "imdb";
/// Those that are listed first: what comes whole, then what comes with its guide.
const LISTED_FIRST: [&str; 2] = [DEFAULT_PACK, "smollm2"];

/// Which pack to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackSource {
    /// A pack that came with the program, by name.
    Bundled(String),
    /// A folder that holds a `pack.toml`.
    Folder(PathBuf),
}

impl Default for PackSource {
    fn default() -> Self {
        Self::Bundled(DEFAULT_PACK.to_owned())
    }
}

impl PackSource {
    /// The folder that holds the pack.
    ///
    /// # Errors
    /// [`PackError::NotBundled`] if no place where bundled packs are kept has it,
    /// [`PackError::NoFolder`] if it is a folder that is not there.
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

    /// Every pack that came with the program: the one it starts with, the one whose guide comes
    /// along, then the others by name.
    pub fn bundled() -> Vec<Self> {
        bundled_names().into_iter().map(Self::Bundled).collect()
    }

    /// The folder of a pack: who names its `pack.toml` means the folder.
    pub fn folder_named(path: &Path) -> &Path {
        let is_file = path.file_name().is_some_and(|name| name == MANIFEST);
        path.parent().filter(|_| is_file).unwrap_or(path)
    }

    /// What a person means by `text`: the name of a bundled pack, or else a folder.
    pub fn named(text: &Path) -> Self {
        let text = Self::folder_named(text);
        let is_folder = text.join(MANIFEST).is_file();
        let bundled = text.to_str().map(|name| Self::Bundled(name.to_owned()));
        let bundled = bundled.filter(|pack| !is_folder && Self::bundled().contains(pack));
        bundled.unwrap_or_else(|| Self::Folder(text.to_owned()))
    }

    /// What its `pack.toml` says, and the folder that holds it.
    ///
    /// # Errors
    /// As [`PackSource::folder`] and [`Manifest::read`].
    pub fn open(&self) -> Result<(PathBuf, Manifest), PackError> {
        let folder = self.folder()?;
        let manifest = Manifest::read(&folder)?;
        Ok((folder, manifest))
    }
}

/// The names of the packs that came with the program, as [`PackSource::bundled`] orders them.
fn bundled_names() -> Vec<String> {
    let folders = asset_roots().into_iter().filter_map(|root| std::fs::read_dir(root).ok());
    let entries = folders.flat_map(Iterator::flatten);
    let packs = entries.filter(|entry| entry.path().join(MANIFEST).is_file());
    let mut names: Vec<String> =
        packs.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let place = |name: &String| LISTED_FIRST.iter().position(|first| first == name);
    names.sort_by_key(|name| (place(name).unwrap_or(LISTED_FIRST.len()), name.clone()));
    names.dedup();
    names
}

/// Where bundled packs are: beside the program (an unpacked release), then where it was built
/// (`cargo run`).
fn asset_roots() -> Vec<PathBuf> {
    let exe = std::env::current_exe().ok();
    let beside = exe.as_deref().and_then(Path::parent).map(Path::to_owned);
    let roots = beside.into_iter().chain([PathBuf::from(env!("CARGO_MANIFEST_DIR"))]);
    roots.map(|root| root.join("assets/packs")).collect()
}

/// How a typed prompt is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Whether control tokens written out in it, such as `<|im_end|>`, are recognised.
    pub special_tokens: bool,
    /// The time that chat templates are told.
    pub time: LocalTime,
}

impl Default for Reading {
    /// As plain text, now.
    fn default() -> Self {
        Self { special_tokens: false, time: LocalTime::now() }
    }
}

/// What happens while a pack is loaded.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// Files that are not on this machine arrive.
    Downloading(&'a Progress),
    /// A model is read from the disk.
    Reading {
        /// The role.
        role: &'static str,
        /// The share of the pack that was read before, 0 to 1.
        share: f32,
    },
}

/// A loaded pack.
pub struct Pack {
    /// What its file says.
    pub manifest: Manifest,
    /// Its models.
    pub models: Models,
    /// Its gold judge.
    pub judge: Option<Judge>,
    /// The folder of its `pack.toml`.
    pub folder: PathBuf,
    /// Where its models compute.
    pub device: Device,
    /// What is to be said of how the device was chosen: one sentence.
    pub device_note: Option<String>,
    /// Whether a GPU's memory had no room for it.
    pub was_too_large: bool,
    files: PackFiles,
    /// The chat template of every role that asks for one.
    chats: Vec<(&'static str, ChatTemplate)>,
}

impl Pack {
    /// Loads every model of the pack, from the hub that the environment names where one is on the
    /// hub. `progress` hears what is read or downloaded, and the share done (0 to 1).
    ///
    /// # Errors
    /// As [`Pack::load_from`].
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

    /// Loads every model of the pack; those on `hub` are downloaded first, unless `cancelled` says
    /// that nobody waits for them any more. `steps` hears what happens. What does not fit into the
    /// memory of a GPU is loaded on the processor, see [`Pack::device_note`].
    ///
    /// # Errors
    /// The first file that is missing, damaged or does not fit the others.
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
        let Loaded { what, device, note: device_note, was_too_large } = loaded;
        let Contents { models, judge, chats } = what;
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

    /// Downloads what the pack needs from `hub` and loads nothing. What lies in the cache and no
    /// longer matches its checksum is replaced. `update` asks for newer commits
    /// of the branches that are cached.
    ///
    /// # Errors
    /// As [`Pack::load_from`].
    pub fn download(
        source: &PackSource,
        hub: &Hub,
        update: bool,
        watch: &mut Watch<'_>,
    ) -> Result<(), PackError> {
        let (folder, manifest) = source.open()?;
        let orders: Vec<Order> = manifest.parts().iter().filter_map(Part::order).collect();
        hub.mend(&orders, watch)?;
        gather(&manifest, &folder, hub, update, watch).map(drop)
    }

    /// Whether a file that came from the hub is no longer what came. Reads all of them over, and
    /// makes no request; `cancelled` ends the reading.
    pub fn is_damaged(source: &PackSource, hub: &Hub, cancelled: &dyn Fn() -> bool) -> bool {
        let Ok((_, manifest)) = source.open() else { return false };
        let orders: Vec<Order> = manifest.parts().iter().filter_map(Part::order).collect();
        hub.is_damaged(&orders, cancelled)
    }

    /// The gold reward of a finished text; none for a pack without a judge.
    pub fn gold_reward(&self, prompt: &str, response: &str) -> Option<f32> {
        let judge = self.judge.as_ref()?;
        let judged = judge.gold_reward(&format!("{prompt}{response}"));
        judged.inspect_err(|e| tracing::warn!("the judge failed: {e}")).ok()
    }

    /// Checksum of how every role reads and is held, of the kind of device, and of the files of
    /// every role, one after another: packs of one name and other weights or prompts give other
    /// texts.
    ///
    /// # Errors
    /// A file that can no longer be read.
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

    /// The prompt as each role reads it, in tokens.
    ///
    /// # Errors
    /// An empty prompt; text the tokenizer refuses.
    pub fn prompts(&self, prompt: &str, reading: Reading) -> Result<Prompts, GuidanceError> {
        if prompt.trim().is_empty() {
            return Err(GuidanceError::EmptyPrompt);
        }
        let tokenizer = &self.models.tokenizer;
        let encode = |name: &str, role: &Role| -> Result<Vec<u32>, GuidanceError> {
            Ok(tokenizer.encode_prompt(&self.read(name, role, prompt, reading, tokenizer)?)?)
        };
        let (manifest, models) = (&self.manifest, &self.models);
        let guides = match (&manifest.untuned, &models.pair) {
            (Some(role), Some(_)) => encode("untuned", role)?,
            _ => Vec::new(),
        };
        let value = match (&manifest.value, &models.value) {
            (Some(role), Some(ValueGuide { tokenizer: Some(tokenizer), .. })) => {
                ValuePrompt::Text(self.read("value", role, prompt, reading, tokenizer)?)
            }
            (Some(role), Some(_)) => ValuePrompt::Tokens(encode("value", role)?),
            _ => ValuePrompt::Tokens(Vec::new()),
        };
        Ok(Prompts { base: encode("base", &manifest.base)?, guides, value })
    }

    /// The text that a role reads for a typed prompt, in a model with this tokenizer.
    fn read(
        &self,
        name: &str,
        role: &Role,
        prompt: &str,
        reading: Reading,
        tokenizer: &Tokenizer,
    ) -> Result<PromptText, GuidanceError> {
        let chat = self.chats.iter().find(|(role, _)| *role == name);
        let text = match (&role.prompt, chat) {
            (PromptStyle::Chat { system }, Some((_, template))) => {
                let controls = tokenizer.controls();
                template.prompt(system.as_deref(), prompt, controls, reading.time)?
            }
            // Loading has refused a chat without a template.
            _ => role.fill(prompt),
        };
        Ok(if reading.special_tokens { PromptText::control(text.text()) } else { text })
    }

    /// Whether a chat template in use asks for the date or the time.
    pub fn asks_time(&self) -> bool {
        self.chats.iter().any(|(_, template)| template.asks_time())
    }

    /// Where the settings start: as the pack says, as far as it has the models for it.
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

    /// The most memory that its weights take, in bytes: as if no role shared any, all of them f32.
    pub fn most_bytes(&self) -> u64 {
        self.sizes().iter().map(|(_, parameters)| 4 * *parameters as u64).sum()
    }

    /// Role names and parameter counts, in the order base, untuned, tuned, value.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut sizes = vec![("base", self.models.base.parameters())];
        if let Some(pair) = &self.models.pair {
            sizes.push(("untuned", pair.untuned.parameters()));
            sizes.push(("tuned", pair.tuned.parameters()));
        }
        sizes.extend(self.models.value.iter().map(|v| ("value", v.model.trunk().parameters())));
        sizes
    }

    /// Longest prompt and response together that every model can read, in tokens.
    pub fn context_tokens(&self) -> usize {
        let models = &self.models;
        let pair = models.pair.iter().flat_map(|p| [&p.untuned, &p.tuned]);
        let value = models.value.iter().map(|value| value.model.trunk());
        let all = std::iter::once(&models.base).chain(pair).chain(value);
        all.map(|lm| lm.config().context_tokens).min().unwrap_or(0)
    }
}

/// Adds a file to a checksum without holding it in memory.
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
