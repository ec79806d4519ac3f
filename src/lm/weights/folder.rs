//! Finds the weight files in a model's folder.

use std::path::{Path, PathBuf};

use crate::lm::error::{LmError, Result, invalid};
use crate::lm::json_file::read_json;

/// The weight files of one model.
pub(super) struct WeightFiles {
    /// The file that messages name: the single file or the index of the shards.
    pub(crate) reported: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    /// Whether the files are in PyTorch's format; otherwise they are safetensors.
    pub(crate) is_pickled: bool,
}

/// Unsupported weight files in a folder: end of the file name, description.
const UNSUPPORTED: [(&str, &str); 6] = [
    (".gguf", "a GGUF file"),
    (".h5", "TensorFlow weights"),
    (".msgpack", "Flax weights"),
    (".pth", "weights in the author's own format"),
    (".ckpt", "a training checkpoint"),
    (".onnx", "an ONNX model"),
];

/// Finds the weights in `dir`, under the first of `stems` (`model`, `adapter_model`) that exists.
///
/// # Errors
/// Returns an error if the folder holds no weights or an index cannot be read.
pub(super) fn find(dir: &Path, stems: &[&str]) -> Result<WeightFiles> {
    for stem in stems {
        // PyTorch files of a whole model have another stem.
        let bin = if *stem == "model" { "pytorch_model" } else { stem };
        let names = [format!("{stem}.safetensors"), format!("{bin}.bin")];
        for (name, is_pickled) in names.iter().zip([false, true]) {
            let (single, index) = (dir.join(name), dir.join(format!("{name}.index.json")));
            if single.exists() {
                let (reported, files) = (single.clone(), vec![single]);
                return Ok(WeightFiles { reported, files, is_pickled });
            }
            if index.exists() {
                let shards = shard_names(&index)?.into_iter().map(|shard| dir.join(shard));
                return Ok(WeightFiles { files: shards.collect(), reported: index, is_pickled });
            }
        }
    }
    Err(no_weights(dir, stems.first().copied().unwrap_or("model")))
}

/// Returns the error for a folder without supported weights. Names an unsupported file if present.
fn no_weights(dir: &Path, stem: &str) -> LmError {
    let expected = dir.join(format!("{stem}.safetensors"));
    let unsupported = std::fs::read_dir(dir).ok().and_then(|entries| {
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<(String, &str)> = names
            .filter_map(|name| {
                let (_, what) = UNSUPPORTED.into_iter().find(|(end, _)| name.ends_with(end))?;
                Some((name, what))
            })
            .collect();
        found.sort();
        found.into_iter().next()
    });
    match unsupported {
        Some((name, what)) => {
            let advice = match what {
                "a GGUF file" => "name that file itself in pack.toml",
                _ => "take the model's safetensors",
            };
            let problem = format!("is missing; the folder holds {name}, {what}: {advice}");
            invalid(&expected, problem)
        }
        None => LmError::absent(expected),
    }
}

/// Returns the file names of the shards in an index, sorted and without duplicates.
fn shard_names(index: &Path) -> Result<Vec<String>> {
    let json = read_json(index)?;
    let map =
        json.get("weight_map").and_then(|map| map.as_object()).ok_or_else(|| LmError::Field {
            file: index.to_path_buf(),
            field: "weight_map".into(),
            problem: "is missing; this is not an index of shards".into(),
        })?;
    let mut names: Vec<String> =
        map.values().filter_map(|name| name.as_str()).map(str::to_string).collect();
    names.sort();
    names.dedup();
    // An index is downloaded, so it is not trusted to name files outside its folder.
    match names.iter().find(|name| name.contains(['/', '\\'])) {
        Some(bad) => Err(invalid(index, format!("shard '{bad}' is outside the folder"))),
        None => Ok(names),
    }
}
