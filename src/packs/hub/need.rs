//! Which files of a repository a role needs.

use std::path::Path;

use crate::bounded_read::read_text;
use crate::lm::split_parts;

/// The weights in one file.
const WEIGHTS: &str = "model.safetensors";
/// The weights of older models in one file.
const PICKLED: &str = "pytorch_model.bin";
/// The weights of an adapter, and those of PEFT before 0.7.
const ADAPTER: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// The tokenizer in one file, and the two files of older models.
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_PARTS: [&str; 2] = ["vocab.json", "merges.txt"];
/// The indexes of sharded weights.
const INDEX: &str = "model.safetensors.index.json";
const PICKLED_INDEX: &str = "pytorch_model.bin.index.json";
/// Maximum size of an index. Real indexes have a few hundred kilobytes.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The kind of files that a role needs from a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A language or value model: configuration, tokenizer and weights.
    Model,
    /// A `.gguf` file, which contains the whole model. One part of a split file means all parts.
    Gguf(String),
    /// Only a value head, for the model of another role.
    Head,
    /// A PEFT LoRA adapter.
    Adapter,
    /// A gold judge: configuration and weights.
    Judge,
}

impl Need {
    /// Returns the required files. `has` tells whether a file exists. For sharded weights, returns
    /// the index instead of the shards, see [`shards`].
    ///
    /// # Errors
    /// Returns the name of the first missing file.
    pub(super) fn essential(&self, has: &dyn Fn(&str) -> bool) -> Result<Vec<String>, String> {
        let fixed: &[&str] = match self {
            Self::Model if !has(TOKENIZER) && TOKENIZER_PARTS.iter().all(|part| has(part)) => {
                &["config.json", TOKENIZER_PARTS[0], TOKENIZER_PARTS[1]]
            }
            Self::Model => &["config.json", TOKENIZER],
            Self::Gguf(_) | Self::Head => &[],
            Self::Adapter => &["adapter_config.json"],
            Self::Judge => &["config.json"],
        };
        if let Some(missing) = fixed.iter().find(|name| !has(name)) {
            return Err((*missing).to_owned());
        }
        let mut files: Vec<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
        let weights: &[&str] = match self {
            Self::Gguf(file) => {
                let parts = split_parts(Path::new(file));
                let parts = parts.iter().filter_map(|part| part.to_str()).map(str::to_owned);
                files.extend(parts);
                return match files.iter().find(|name| !has(name)) {
                    Some(missing) => Err(missing.clone()),
                    None => Ok(files),
                };
            }
            Self::Head => &[WEIGHTS, PICKLED],
            Self::Adapter => &ADAPTER,
            Self::Model | Self::Judge => &[WEIGHTS, INDEX, PICKLED, PICKLED_INDEX],
        };
        let found = weights.iter().copied().find(|name| has(name));
        files.push(found.ok_or(weights[0])?.to_owned());
        Ok(files)
    }

    /// Returns the files that are also downloaded if they exist.
    pub(super) fn optional(&self) -> &'static [&'static str] {
        match self {
            Self::Model => &[
                "tokenizer_config.json",
                "generation_config.json",
                "special_tokens_map.json",
                "chat_template.jinja",
                "chat_template.json",
            ],
            Self::Judge => &["tokenizer.json", "vocab.txt"],
            Self::Gguf(_) | Self::Head | Self::Adapter => &[],
        }
    }

    /// Returns the error message about a repository with the files `names` but without `missing`.
    pub(super) fn advice(&self, missing: &str, names: &[&str]) -> String {
        let ggufs: Vec<&str> = names.iter().copied().filter(|n| n.ends_with(".gguf")).collect();
        let has_suffix = |suffix: &str| names.iter().any(|name| name.ends_with(suffix));
        let advice = if !ggufs.is_empty() {
            format!("name one of its files with file: {}", ggufs.join(", "))
        } else if missing == TOKENIZER && has_suffix("tokenizer.model") {
            "it has only a SentencePiece model, which is not supported; choose a repository with \
             tokenizer.json, or a GGUF file"
                .to_owned()
        } else if missing == WEIGHTS
            && [".h5", ".msgpack", ".pth", ".onnx"].into_iter().any(has_suffix)
        {
            "the format of its weights is not supported; choose a repository with safetensors, or \
             a GGUF file"
                .to_owned()
        } else {
            "check the model's name and revision".to_owned()
        };
        format!("the repository has no {missing}; {advice}")
    }
}

/// Returns whether `file` is an index of sharded weights.
pub(super) fn is_index(file: &str) -> bool {
    [INDEX, PICKLED_INDEX].contains(&file)
}

/// Returns the names of the shards in an index, sorted and without duplicates.
///
/// # Errors
/// Returns the problem of the index.
pub(super) fn shards(index: &Path) -> Result<Vec<String>, String> {
    let text = read_text(index, MAX_INDEX_BYTES).map_err(|e| e.to_string())?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let map = json.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| "weight_map is missing".to_owned())?;
    let mut names: Vec<String> =
        map.values().filter_map(|name| name.as_str()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    // An index comes from the network, so it must not name files outside its folder.
    let is_weights = |name: &str| name.ends_with(".safetensors") || name.ends_with(".bin");
    let is_bad = |name: &&String| name.contains(['/', '\\']) || !is_weights(name);
    if let Some(bad) = names.iter().find(is_bad) {
        return Err(format!("'{bad}' in the index is not a file of weights beside it"));
    }
    if names.is_empty() { Err("weight_map names no file".to_owned()) } else { Ok(names) }
}
