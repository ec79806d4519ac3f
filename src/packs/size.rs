//! How large models are, read from the headers of their files without loading them.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::source::Local;
use crate::lm::{GgufFile, Precision, Weights};
use crate::text::open_file;

/// The part of a file that is looked at for zeros, in bytes.
const TAIL: u64 = 1 << 19;

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
            let gguf = GgufFile::open(file).map_err(|e| e.to_string())?;
            let bytes = |file: &PathBuf| {
                let there = std::fs::metadata(file).map_err(|e| named(file, e.to_string()))?;
                Ok::<u64, String>(there.len())
            };
            let disk_bytes = gguf.parts().iter().map(bytes).sum::<Result<u64, String>>()?;
            let precision = precision.unwrap_or(Precision::Q8_0);
            let (parameters, held_bytes) = (gguf.parameters(), gguf.held_bytes(precision));
            return Ok(Size { parameters, held_bytes, disk_bytes });
        }
        Local::Folder(folder) => folder,
    };
    // Headers only: the errors name the file.
    let weights = Weights::load(folder, &Device::Cpu).map_err(|e| e.to_string())?;
    let parameters = weights.parameters();
    let precision = precision.unwrap_or(Precision::F32);
    let files = local.files().map_err(|e| named(folder, e.to_string()))?;
    let is_ours = |file: &&PathBuf| {
        let ours = ["safetensors", "json", "jinja", "gguf", "bin"];
        file.extension().is_some_and(|e| ours.iter().any(|known| e == *known))
    };
    let bytes = |file: &PathBuf| std::fs::metadata(file).map_or(0, |there| there.len());
    Ok(Size {
        parameters,
        held_bytes: weights.held_bytes(precision),
        disk_bytes: files.iter().filter(is_ours).map(bytes).sum(),
    })
}

/// The large files of a model whose last part holds only zeros, as some programs leave a download
/// that was cut off: they reserve a file's space first. Weights may be zeros, so this is a hint.
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

/// Bytes that `parameters` weights take, as far as their number says: rows may be padded.
pub(super) fn held_bytes(parameters: u64, precision: Precision) -> u64 {
    match precision {
        Precision::F32 => parameters.saturating_mul(4),
        // 32 bytes and a two-byte scale for 32 weights.
        Precision::Q8_0 => parameters.saturating_mul(34) / 32,
    }
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
    // What is cached of files makes room when it is needed.
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
    let of = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|bytes| bytes.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    of("inactive_file").saturating_add(of("active_file"))
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
    fn a_download_that_was_cut_off_is_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        let ones = |name: &str, whole: u64, zeros: u64| {
            let file = dir.path().join(name);
            std::fs::write(&file, vec![1; (whole - zeros) as usize]).expect("written");
            let grown = std::fs::OpenOptions::new().write(true).open(&file).expect("a file");
            grown.set_len(whole).expect("grown");
            file
        };
        ones("whole.safetensors", 4 * TAIL, 0);
        ones("padded.safetensors", 4 * TAIL, TAIL - 1);
        ones("small.bin", TAIL, TAIL);
        let cut = ones("cut.safetensors", 4 * TAIL, TAIL);
        let local = Local::Folder(dir.path().to_owned());
        assert_eq!(files_ending_in_zeros(&local), [cut]);
    }

    #[test]
    fn free_memory_is_read_from_what_linux_says() {
        let text = "MemTotal:       24689764 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available(text), Some(20_480_000_000));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        let stat = "anon 5\nfile 40\ninactive_file 30\nactive_file 10\nunevictable 0\n";
        assert_eq!((cached_bytes(stat), cached_bytes("anon 5\n")), (40, 0));
    }
}
