//! How large models are, read from the headers of their files without loading them.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::hub::{INDEX, shards};
use super::source::Local;
use crate::lm::{GgufFile, Precision};

/// Longest header that is read, as the safetensors format allows.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The names that weights may have in a folder.
const WEIGHTS: [&str; 2] = ["model.safetensors", "adapter_model.safetensors"];

/// How large a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Number of weights, buffers that are stored with them included.
    pub parameters: u64,
    /// Bytes that the weights take in memory; caches and intermediate results come on top.
    pub held_bytes: u64,
    /// Bytes of the model's files.
    pub disk_bytes: u64,
}

/// Measures the model in `local`, held as `precision` says.
///
/// # Errors
/// A file that is missing, cut short or absurd: its path, what is wrong and what to do.
pub fn measure(local: &Local, precision: Option<Precision>) -> Result<Size, String> {
    let named = |path: &Path, problem: String| format!("{}: {problem}", path.display());
    let folder = match local {
        Local::Gguf(file) => {
            // Its errors name the file.
            let parameters = GgufFile::open(file).map_err(|e| e.to_string())?.parameters();
            let there = std::fs::metadata(file).map_err(|e| named(file, e.to_string()))?;
            let precision = precision.unwrap_or(Precision::Q8_0);
            let held_bytes = held_bytes(parameters, precision);
            return Ok(Size { parameters, held_bytes, disk_bytes: there.len() });
        }
        Local::Folder(folder) => folder,
    };
    let mut parameters = 0u64;
    for file in weight_files(folder)? {
        let count = safetensors_parameters(&file).map_err(|problem| named(&file, problem))?;
        parameters = parameters.saturating_add(count);
    }
    let precision = precision.unwrap_or(Precision::F32);
    let files = local.files().map_err(|e| named(folder, e.to_string()))?;
    let is_ours = |file: &&PathBuf| {
        let ours = ["safetensors", "json", "jinja", "gguf"];
        file.extension().is_some_and(|e| ours.iter().any(|known| e == *known))
    };
    let bytes = |file: &PathBuf| std::fs::metadata(file).map_or(0, |there| there.len());
    Ok(Size {
        parameters,
        held_bytes: held_bytes(parameters, precision),
        disk_bytes: files.iter().filter(is_ours).map(bytes).sum(),
    })
}

/// Bytes that `parameters` weights take.
pub(super) fn held_bytes(parameters: u64, precision: Precision) -> u64 {
    match precision {
        Precision::F32 => parameters.saturating_mul(4),
        // 32 bytes and a two-byte scale for 32 weights.
        Precision::Q8_0 => parameters.saturating_mul(34) / 32,
    }
}

/// The safetensors files of a folder.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let single = WEIGHTS.iter().map(|name| folder.join(name)).find(|file| file.is_file());
    if let Some(file) = single {
        return Ok(vec![file]);
    }
    let index = folder.join(INDEX);
    if !index.is_file() {
        return Err(format!(
            "{}: is missing; check that the folder is complete, or download it again",
            folder.join(WEIGHTS[0]).display()
        ));
    }
    let names = shards(&index).map_err(|problem| format!("{}: {problem}", index.display()))?;
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// A tensor as the header of a safetensors file describes it.
#[derive(Deserialize)]
struct Entry {
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The number of weights in a safetensors file, by its header alone. No number in it is believed
/// that the size of the file does not bear out.
fn safetensors_parameters(path: &Path) -> Result<u64, String> {
    let again = |problem: String| format!("{problem}; download it again");
    let mut file = File::open(path).map_err(|e| again(e.to_string()))?;
    let bytes = file.metadata().map_err(|e| e.to_string())?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| again(format!("has only {bytes} bytes")))?;
    let length = u64::from_le_bytes(length);
    if length > bytes - 8 || length > MAX_HEADER_BYTES {
        return Err(again(format!("has {bytes} bytes and promises a header of {length}")));
    }
    let mut header = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact(&mut header).map_err(|e| again(e.to_string()))?;
    let mut entries: HashMap<String, serde_json::Value> = serde_json::from_slice(&header)
        .map_err(|e| again(format!("its header is damaged ({e})")))?;
    let (mut parameters, mut end) = (0u64, 0u64);
    // Texts of any kind.
    entries.remove("__metadata__");
    for (name, entry) in entries {
        let Entry { shape, data_offsets: [start, stop] } = serde_json::from_value(entry)
            .map_err(|e| again(format!("tensor '{name}' is not described ({e})")))?;
        let count = shape.iter().try_fold(1u64, |count, side| count.checked_mul(*side));
        // Eight numbers a byte is more than any type packs.
        let room = stop.checked_sub(start).map(|room| room.saturating_mul(8));
        match (count, room) {
            (Some(count), Some(room)) if count <= room => {
                parameters = parameters.saturating_add(count)
            }
            _ => return Err(again(format!("tensor '{name}' does not fit its place"))),
        }
        end = end.max(stop);
    }
    let whole = end.saturating_add(8 + length);
    if whole != bytes {
        return Err(again(format!("has {bytes} bytes where its header speaks of {whole}")));
    }
    Ok(parameters)
}

/// Memory that is free for models, in bytes; none where the system does not say.
///
/// Linux alone says so in a file; elsewhere an answer would want a large dependency for one number.
pub fn free_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let free = available(&text)?;
    // In a container there may be less than the machine has.
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current");
    match (limit, used) {
        (Some(limit), Some(used)) => Some(free.min(limit.saturating_sub(used))),
        _ => Some(free),
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    }

    fn parameters(bytes: &[u8]) -> Result<u64, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, bytes).expect("written");
        safetensors_parameters(&path)
    }

    #[test]
    fn weights_are_counted_without_reading_them() {
        let header = r#"{"__metadata__":{"format":"pt"},
            "a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},
            "b":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}"#;
        assert_eq!(parameters(&file(header, 16)), Ok(7));
    }

    #[test]
    fn a_header_is_not_believed() {
        let says = |bytes: &[u8], word: &str| {
            let problem = parameters(bytes).expect_err("damaged");
            assert!(problem.contains(word) && problem.contains("download"), "{problem}");
        };
        says(b"1234", "only 4 bytes");
        says(&u64::MAX.to_le_bytes(), "promises a header");
        says(&file("{", 0), "damaged");
        says(&file("{\"a\":1}", 0), "not described");
        let one = r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
        says(&file(one, 15), "speaks of");
        says(&file(one, 17), "speaks of");
        let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}}"#;
        says(&file(huge, 16), "does not fit");
        let turned = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[16,0]}}"#;
        says(&file(turned, 16), "does not fit");
    }

    #[test]
    fn free_memory_is_read_from_what_linux_says() {
        let text = "MemTotal:       24689764 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available(text), Some(20_480_000_000));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
