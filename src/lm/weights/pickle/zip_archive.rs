//! Finds the pickle and the storages in a PyTorch file, in both of its formats.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::machine;
use super::machine::{Node, Pickle, Problem};
use super::storage::Storage;

/// Maximum length of a pickle, in bytes.
const MAX_PICKLE: u64 = 1 << 26;

/// A pickle and the locations of the storages that it refers to.
pub(super) struct Archive {
    pub(crate) pickle: Pickle,
    /// By key: offset in the file and length, in bytes.
    pub(crate) storages: HashMap<String, (u64, u64)>,
}

/// Reads the format since PyTorch 1.6: a zip archive with `data.pkl` and one file per storage.
pub(super) fn read_zip(file: File) -> Result<Archive, Problem> {
    let unreadable = |error: ZipError| match error {
        ZipError::InvalidArchive(_) => {
            Problem::Damaged("its zip archive has no valid end".to_owned())
        }
        other => Problem::Damaged(other.to_string()),
    };
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
    let mut pickle = None;
    let mut found = HashMap::new();
    let mut big_endian = false;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(unreadable)?;
        let name = entry.name().map_err(unreadable)?.into_owned();
        if name.ends_with("/data.pkl") || name == "data.pkl" {
            let mut limited = BufReader::new(entry.take(MAX_PICKLE));
            pickle = Some(machine::read(&mut limited)?);
        } else if name.ends_with("/byteorder") {
            let mut order = String::new();
            let read = entry.by_ref().take(10).read_to_string(&mut order);
            big_endian = read.is_ok() && order.trim() == "big";
        } else if let Some((_, key)) = name.rsplit_once("data/") {
            if entry.compression() != CompressionMethod::Stored {
                let what = "a compressed PyTorch file".to_owned();
                return Err(Problem::Unsupported(what, "saved by torch.save"));
            }
            let location = entry.data_start().map(|start| (start, entry.size()));
            found.extend(location.map(|location| (key.to_owned(), location)));
        }
    }
    if big_endian {
        let what = "a big-endian PyTorch file".to_owned();
        return Err(Problem::Unsupported(what, "saved as safetensors"));
    }
    let pickle = pickle.ok_or_else(|| {
        Problem::Unsupported("a zip archive without data.pkl".into(), "saved by torch.save")
    })?;
    Ok(Archive { pickle, storages: found })
}

/// Reads the format before PyTorch 1.6: five pickles (a magic number, a version, the machine's
/// properties, the object, the keys of its storages in order), then the storages. Each storage is
/// preceded by its number of elements.
pub(super) fn read_bare(file: File) -> Result<Archive, Problem> {
    let failed = |error: std::io::Error| Problem::Damaged(error.to_string());
    let length = file.metadata().map_err(failed)?.len();
    let mut input = BufReader::new(file);
    let mut read = || machine::read(&mut (&mut input).take(MAX_PICKLE));
    // The first pickle is the magic number; other Python pickles do not begin with a number.
    if !matches!(read()?.root(), Node::Int(_)) {
        return Err(foreign());
    }
    for _ in 0..2 {
        read()?;
    }
    let (pickle, keys) = (read()?, read()?);
    let Node::List(keys_in_order) = keys.root() else {
        return Err(foreign());
    };
    let widths = element_bytes(&pickle);
    let mut storages = HashMap::new();
    for key in keys_in_order.iter().map(|id| keys.text(*id).unwrap_or_default()) {
        let mut count = [0; 8];
        input.read_exact(&mut count).map_err(failed)?;
        let start = input.stream_position().map_err(failed)?;
        let width = widths.get(key).copied().unwrap_or(1);
        let bytes = u64::from_le_bytes(count).checked_mul(width);
        let end = bytes.and_then(|bytes| start.checked_add(bytes)).filter(|end| *end <= length);
        let end = end.ok_or_else(|| format!("storage '{key}' extends past the end of the file"))?;
        storages.insert(key.to_owned(), (start, end - start));
        input.seek(SeekFrom::Start(end)).map_err(failed)?;
    }
    Ok(Archive { pickle, storages })
}

fn foreign() -> Problem {
    let what = "a Python pickle that torch.save did not write".to_owned();
    Problem::Unsupported(what, "saved as safetensors")
}

/// Returns the bytes per element of every storage, by key.
fn element_bytes(pickle: &Pickle) -> HashMap<&str, u64> {
    let of = |node: &Node| {
        let Node::Persistent(id) = node else { return None };
        let storage = Storage::parse(pickle, *id)?;
        Some((storage.key, storage.dtype.bytes() as u64))
    };
    pickle.nodes().iter().filter_map(of).collect()
}
