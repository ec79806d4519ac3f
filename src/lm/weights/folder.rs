//! Which files in a model's folder hold its weights.

use std::path::{Path, PathBuf};

use super::{invalid, read_json};
use crate::lm::error::{LmError, Result};

/// The files of one model.
pub(super) struct Found {
    /// The file to name in messages: the only one, or the index of the shards.
    pub named: PathBuf,
    pub files: Vec<PathBuf>,
    /// Whether they are PyTorch's own files rather than safetensors.
    pub is_pickled: bool,
}

/// Weights that are not read, by the end of their names, and what writes them.
const OTHERS: [(&str, &str); 6] = [
    (".gguf", "a GGUF file"),
    (".h5", "TensorFlow weights"),
    (".msgpack", "Flax weights"),
    (".pth", "weights in their author's own form"),
    (".ckpt", "a checkpoint of a training"),
    (".onnx", "an ONNX model"),
];

/// Finds the weights in `dir` under the first of `stems` (`model`, `adapter_model`) that is there.
///
/// # Errors
/// A folder without weights; an index that cannot be read.
pub(super) fn find(dir: &Path, stems: &[&str]) -> Result<Found> {
    for stem in stems {
        // PyTorch's own file of a whole model has another name.
        let bin = if *stem == "model" { "pytorch_model" } else { stem };
        let names = [format!("{stem}.safetensors"), format!("{bin}.bin")];
        for (name, is_pickled) in names.iter().zip([false, true]) {
            let (single, index) = (dir.join(name), dir.join(format!("{name}.index.json")));
            if single.exists() {
                return Ok(Found { named: single.clone(), files: vec![single], is_pickled });
            }
            if index.exists() {
                let shards = shard_names(&index)?.into_iter().map(|shard| dir.join(shard));
                return Ok(Found { files: shards.collect(), named: index, is_pickled });
            }
        }
    }
    Err(nothing(dir, stems.first().copied().unwrap_or("model")))
}

/// The error of a folder without weights that are read.
fn nothing(dir: &Path, stem: &str) -> LmError {
    let expected = dir.join(format!("{stem}.safetensors"));
    let other = std::fs::read_dir(dir).ok().and_then(|entries| {
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<(String, &str)> = names
            .filter_map(|name| {
                let (_, what) = OTHERS.into_iter().find(|(end, _)| name.ends_with(end))?;
                Some((name, what))
            })
            .collect();
        found.sort();
        found.into_iter().next()
    });
    match other {
        Some((name, what)) => {
            let advice = match what {
                "a GGUF file" => "name that file itself in pack.toml",
                _ => "take the model's safetensors",
            };
            let problem = format!("is not there; the folder holds {name}, {what}: {advice}");
            invalid(&expected, problem)
        }
        None => LmError::absent(expected),
    }
}

/// File names of the shards that an index lists, each once, in order.
fn shard_names(index: &Path) -> Result<Vec<String>> {
    let json = read_json(index)?;
    let map =
        json.get("weight_map").and_then(|map| map.as_object()).ok_or_else(|| LmError::Field {
            file: index.to_path_buf(),
            field: "weight_map".into(),
            problem: "is missing; this is no index of shards".into(),
        })?;
    let mut names: Vec<String> =
        map.values().filter_map(|name| name.as_str()).map(str::to_string).collect();
    names.sort();
    names.dedup();
    // An index comes from the network: it may not name files outside its folder.
    match names.iter().find(|name| name.contains(['/', '\\'])) {
        Some(bad) => Err(invalid(index, format!("shard '{bad}' lies outside the folder"))),
        None => Ok(names),
    }
}
