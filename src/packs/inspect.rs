//! Reads a model that the user names: its family, size and memory, and which bundled guides fit it.
//! Only headers and tokenizers are read, not the weights.

use std::fs;
use std::path::{Path, PathBuf};

use super::PackSource;
use super::manifest::MANIFEST;
pub use super::offers::ModelReport;
use super::offers::offers;
use super::size::{free_memory_bytes, measure};
use super::source::{Local, expanded, is_gguf, snapshot};
use crate::format::sentence;
use crate::lm::{
    Architecture, ChatTemplate, GgufFile, Lm, LmConfig, Tokenizer, not_a_model_reason,
};

/// Maximum entries of a folder that are looked at.
const MAX_ENTRIES: usize = 4096;

/// What a path contains.
#[derive(Debug, Clone, PartialEq)]
pub enum Inspection {
    /// A model that can be the base of a pack.
    Model(Box<ModelReport>),
    /// The folder of a pack.
    Pack(PathBuf),
}

impl Architecture {
    fn family(self) -> &'static str {
        match self {
            Self::Gpt2 => "GPT-2",
            Self::Llama => "Llama",
            Self::Mistral => "Mistral",
            Self::Mixtral => "Mixtral",
            Self::Qwen2 => "Qwen 2",
            Self::Qwen3 => "Qwen 3",
            Self::Gemma3 => "Gemma 3",
        }
    }
}

/// Reads the model at a path that the user typed or chose.
///
/// # Errors
/// Returns one sentence about the problem and what to do.
pub fn inspect(typed: &str) -> Result<Inspection, String> {
    let typed = typed.trim().trim_matches(['"', '\'']);
    let typed = typed.strip_prefix("file://").unwrap_or(typed);
    if typed.is_empty() {
        return Err("Type the path of a GGUF file or of a model folder.".to_owned());
    }
    let path = expanded(Path::new(typed)).map_err(|reason| sentence(&reason))?;
    if !path.is_absolute() {
        return Err("Type the full path; it begins with / or ~/.".to_owned());
    }
    let metadata = fs::metadata(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "This path does not exist.".to_owned(),
        _ => sentence(&format!("this path cannot be read: {e}")),
    })?;
    let local = if metadata.is_dir() { in_folder(path)? } else { in_file(path)? };
    match local {
        Place::Pack(folder) => Ok(Inspection::Pack(folder)),
        Place::Model(local) => report(&local).map(Box::new).map(Inspection::Model),
    }
}

enum Place {
    Pack(PathBuf),
    Model(Local),
}

fn in_folder(path: PathBuf) -> Result<Place, String> {
    let folder = snapshot(path).map_err(|reason| sentence(&format!("this folder {reason}")))?;
    if folder.join(MANIFEST).is_file() {
        return Ok(Place::Pack(folder));
    }
    if folder.join("config.json").is_file() {
        return Ok(Place::Model(Local::Folder(folder)));
    }
    if folder.join("adapter_config.json").is_file() {
        return Err(
            "This folder contains an adapter, not a whole model; choose the model, and add \
                    the adapter in Advanced."
                .to_owned(),
        );
    }
    let entries = fs::read_dir(&folder)
        .map_err(|e| sentence(&format!("this folder cannot be read: {e}")))?
        .take(MAX_ENTRIES)
        .flatten()
        .map(|entry| entry.path());
    let mut ggufs: Vec<PathBuf> = entries.filter(|path| is_gguf(path)).collect();
    ggufs.sort();
    let first = ggufs.first().cloned();
    // The parts of a split file count as one.
    let parts = first.as_deref().map(crate::lm::split_parts).unwrap_or_default();
    ggufs.retain(|path| !parts.contains(path));
    match (first, ggufs.len()) {
        (Some(file), 0) => Ok(Place::Model(Local::Gguf(file))),
        (Some(_), others) => {
            Err(format!("This folder contains {} GGUF files; choose one of them.", others + 1))
        }
        (None, _) => Err("This folder contains no model: it has neither a config.json nor a GGUF \
                          file. Choose another folder."
            .to_owned()),
    }
}

fn in_file(path: PathBuf) -> Result<Place, String> {
    let folder = PackSource::pack_folder(&path);
    if folder != path {
        return Ok(Place::Pack(folder.to_owned()));
    }
    if GgufFile::is_gguf(&path) {
        return Ok(Place::Model(Local::Gguf(path)));
    }
    // A file of a model folder stands for the folder.
    let is_part = path.extension().is_some_and(|e| e == "safetensors" || e == "json");
    if let Some(parent) = path.parent().filter(|p| is_part && p.join("config.json").is_file()) {
        return Ok(Place::Model(Local::Folder(parent.to_owned())));
    }
    Err(match not_a_model_reason(&path) {
        Some(reason) => sentence(&format!("this {reason}")),
        None => "This file is not a GGUF file; choose a GGUF file or a model folder.".to_owned(),
    })
}

fn report(local: &Local) -> Result<ModelReport, String> {
    let path = local.path();
    // The form shows the path above the message.
    let failed = |e: String| {
        let prefix = format!("{}: ", path.display());
        let reason = e.strip_prefix(&prefix).unwrap_or(&e);
        let is_predicate = reason.starts_with("is ") || reason.starts_with("has ");
        sentence(&if is_predicate { format!("this file {reason}") } else { reason.to_owned() })
    };
    let config = match local {
        Local::Gguf(file) => GgufFile::open(file).and_then(|gguf| gguf.config()),
        Local::Folder(folder) => LmConfig::load(folder),
    };
    let config = config.map_err(|e| failed(e.to_string()))?;
    let size = measure(local, None).map_err(failed)?;
    Lm::check(path, true).map_err(|e| failed(e.to_string()))?;
    let tokenizer = Tokenizer::load(path).map_err(|e| failed(e.to_string()))?;
    let template = ChatTemplate::load(path).ok().flatten();
    let has_chat_template = template.is_some_and(|t| t.check_renders(None).is_ok());
    let name = match local {
        Local::Gguf(_) => path.file_stem(),
        Local::Folder(_) => path.file_name(),
    };
    Ok(ModelReport {
        path: path.to_owned(),
        name: name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned()),
        family: config.architecture.family(),
        parameters: size.parameters,
        disk_bytes: size.disk_bytes,
        held_bytes: size.held_bytes,
        free_bytes: free_memory_bytes(),
        has_chat_template,
        offers: offers(path, &config, &tokenizer),
    })
}
