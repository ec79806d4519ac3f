//! Model sizes, read from the file headers without loading the models.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::source::Local;
use crate::bounded_read::open_file;
use crate::lm::{GgufFile, Precision, Weights};

/// Number of bytes at the end of a file that are checked for zeros.
const TAIL: u64 = 1 << 19;

/// The size of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Number of weights, including stored buffers.
    pub parameters: u64,
    /// Bytes of the weights in memory, without caches and intermediate results.
    pub held_bytes: u64,
    /// Bytes of the model's files.
    pub(crate) disk_bytes: u64,
}

/// Measures the model in `local`. `precision` overrides the default: f32 for a folder, Q8_0 for a
/// GGUF file.
///
/// # Errors
/// Fails if a file is missing, cut short or invalid. The message names its path and says what to
/// do.
pub fn measure(local: &Local, precision: Option<Precision>) -> Result<Size, String> {
    let with_path = |path: &Path, problem: String| format!("{}: {problem}", path.display());
    let folder = match local {
        Local::Gguf(file) => {
            // The errors name the file.
            let gguf = GgufFile::open(file).map_err(|e| e.to_string())?;
            let bytes = |file: &PathBuf| {
                let metadata =
                    std::fs::metadata(file).map_err(|e| with_path(file, e.to_string()))?;
                Ok::<u64, String>(metadata.len())
            };
            let disk_bytes = gguf.parts().iter().map(bytes).sum::<Result<u64, String>>()?;
            let precision = precision.unwrap_or(Precision::Q8_0);
            let (parameters, held_bytes) = (gguf.parameters(), gguf.held_bytes(precision));
            return Ok(Size { parameters, held_bytes, disk_bytes });
        }
        Local::Folder(folder) => folder,
    };
    // Reads only the headers. The errors name the file.
    let weights = Weights::load(folder, &Device::Cpu).map_err(|e| e.to_string())?;
    let parameters = weights.parameters();
    let precision = precision.unwrap_or(Precision::F32);
    let files = local.files().map_err(|e| with_path(folder, e.to_string()))?;
    let is_model_file = |file: &&PathBuf| {
        let extensions = ["safetensors", "json", "jinja", "gguf", "bin"];
        file.extension().is_some_and(|e| extensions.iter().any(|known| e == *known))
    };
    let bytes = |file: &PathBuf| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    Ok(Size {
        parameters,
        held_bytes: weights.held_bytes(precision),
        disk_bytes: files.iter().filter(is_model_file).map(bytes).sum(),
    })
}

/// Returns the large files of a model that end in zeros. Some download programs reserve the space
/// of a file first, so an interrupted download ends in zeros. Weights may also be zero, so this is
/// only a hint.
pub(super) fn files_ending_in_zeros(local: &Local) -> Vec<PathBuf> {
    let ends_in_zeros = |path: &PathBuf| -> std::io::Result<bool> {
        let mut file = open_file(path)?;
        let length = file.metadata()?.len();
        if length < 2 * TAIL {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(length - TAIL))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(tail.iter().all(|byte| *byte == 0))
    };
    let mut files = local.files().unwrap_or_default();
    files.retain(|file| ends_in_zeros(file).unwrap_or(false));
    files
}

/// Returns the bytes of `parameters` weights in memory. Ignores the padding of rows.
pub(super) fn held_bytes(parameters: u64, precision: Precision) -> u64 {
    match precision {
        Precision::F32 => parameters.saturating_mul(4),
        // 32 weights take 32 bytes and a two-byte scale.
        Precision::Q8_0 => parameters.saturating_mul(34) / 32,
    }
}

/// Returns the memory that is free for models, in bytes, or `None` on systems other than Linux.
///
/// Linux reports it in a file. Other systems would need a large dependency for this one number.
pub fn free_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let free = available(&text)?;
    // The limit of a container may be lower than the free memory of the machine.
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current");
    // The system frees cached files when the memory is needed.
    let cached = std::fs::read_to_string("/sys/fs/cgroup/memory.stat");
    let cached = cached.map_or(0, |stat| cached_bytes(&stat));
    match (limit, used) {
        (Some(limit), Some(used)) => {
            Some(free.min(limit.saturating_sub(used.saturating_sub(cached))))
        }
        _ => Some(free),
    }
}

fn cached_bytes(stat: &str) -> u64 {
    let field = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|bytes| bytes.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    field("inactive_file").saturating_add(field("active_file"))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_large_files_that_end_in_zeros() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, length: u64, zeros: u64| {
            let path = dir.path().join(name);
            std::fs::write(&path, vec![1; (length - zeros) as usize]).expect("written");
            let file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file");
            file.set_len(length).expect("grown");
            path
        };
        write("whole.safetensors", 4 * TAIL, 0);
        write("padded.safetensors", 4 * TAIL, TAIL - 1);
        write("small.bin", TAIL, TAIL);
        let cut = write("cut.safetensors", 4 * TAIL, TAIL);
        let local = Local::Folder(dir.path().to_owned());
        assert_eq!(files_ending_in_zeros(&local), [cut]);
    }

    #[test]
    fn parses_meminfo_and_memory_stat() {
        let text = "MemTotal:       24689764 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available(text), Some(20_480_000_000));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        let stat = "anon 5\nfile 40\ninactive_file 30\nactive_file 10\nunevictable 0\n";
        assert_eq!((cached_bytes(stat), cached_bytes("anon 5\n")), (40, 0));
    }
}
