//! The folder of an eval. `plan.json` holds the plan, `texts.jsonl` one response per line,
//! `summary.json` and `summary.csv` the table.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::{EvalError, Plan, Record, Summary};
use crate::bounded_read::open_file;

/// The folder of an eval, open for appending responses.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    texts: File,
}

/// An eval that is resumed.
pub struct Resumed {
    /// The folder of the eval.
    pub store: Store,
    /// The plan, with the start time of the eval.
    pub plan: Plan,
    /// The responses in the folder.
    pub records: Vec<Record>,
    /// Number of lines dropped because they were damaged or duplicated. Missing responses are
    /// generated again.
    pub dropped: usize,
}

impl Store {
    /// Starts an eval in `folder`. Creates the folder if it does not exist.
    ///
    /// # Errors
    /// [`EvalError::Exists`] or [`EvalError::OtherPlan`] if the folder holds an eval,
    /// [`EvalError::Damaged`] if its plan is missing or invalid, [`EvalError::File`] if reading or
    /// writing fails.
    pub fn create(folder: &Path, plan: &Plan) -> Result<Self, EvalError> {
        if read_plan(folder)?.is_some_and(|stored| stored == *plan) {
            return Err(EvalError::Exists { folder: folder.to_owned() });
        }
        Self::open(folder, plan, &[])
    }

    /// Continues the eval in `folder`, or starts one if the folder holds none.
    ///
    /// # Errors
    /// [`EvalError::OtherPlan`] if the folder holds an eval of another plan, [`EvalError::Damaged`] if
    /// its plan is missing or invalid, [`EvalError::File`] if reading or writing fails.
    pub fn resume(folder: &Path, plan: &Plan) -> Result<Resumed, EvalError> {
        let file = folder.join("texts.jsonl");
        let stored = read_plan(folder)?;
        let plan = plan.at_time_of(stored.as_ref());
        let (records, dropped) = match stored {
            Some(_) if file.exists() => read_texts(&file, &plan)?,
            _ => (Vec::new(), 0),
        };
        let store = Self::open(folder, &plan, &records)?;
        Ok(Resumed { store, plan, records, dropped })
    }

    /// Writes the plan and `records`. Fails if the folder holds an eval of another plan.
    fn open(folder: &Path, plan: &Plan, records: &[Record]) -> Result<Self, EvalError> {
        let difference = read_plan(folder)?.and_then(|stored| plan.difference(&stored));
        if let Some(difference) = difference {
            return Err(EvalError::OtherPlan { folder: folder.to_owned(), difference });
        }
        std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        let mut lines = String::new();
        for record in records {
            lines += &record.to_line().map_err(|e| failed(folder, e.into()))?;
        }
        let file = folder.join("texts.jsonl");
        write_whole(&file, lines.as_bytes())?;
        write_json(&folder.join("plan.json"), plan)?;
        let texts = OpenOptions::new().append(true).open(&file);
        let texts = texts.map_err(|source| failed(&file, source))?;
        Ok(Self { folder: folder.to_owned(), texts })
    }

    /// Appends a response. The checksum of the line detects a partial write.
    ///
    /// # Errors
    /// [`EvalError::File`] if writing fails. Earlier responses stay intact.
    pub fn append(&mut self, record: &Record) -> Result<(), EvalError> {
        let file = || self.folder.join("texts.jsonl");
        let line = record.to_line().map_err(|e| failed(&file(), e.into()))?;
        self.texts.write_all(line.as_bytes()).map_err(|source| failed(&file(), source))
    }

    /// Writes the table as `summary.json` and `summary.csv`.
    ///
    /// # Errors
    /// [`EvalError::File`] if writing fails.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), EvalError> {
        write_json(&self.folder.join("summary.json"), summary)?;
        write_whole(&self.folder.join("summary.csv"), summary.to_csv().as_bytes())
    }
}

fn failed(file: &Path, source: std::io::Error) -> EvalError {
    EvalError::File { file: file.to_owned(), source }
}

/// Returns the plan of the eval in `folder`, or `None` if the folder holds no eval.
fn read_plan(folder: &Path) -> Result<Option<Plan>, EvalError> {
    let file = folder.join("plan.json");
    let texts = folder.join("texts.jsonl");
    let damaged = |file: &Path, reason: &str| EvalError::Damaged {
        file: file.to_owned(),
        reason: format!("{reason}; choose another folder with --out"),
    };
    let text = match read(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && texts.exists() => {
            return Err(damaged(&texts, "its plan.json is missing"));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(&file, source)),
    };
    let plan = serde_json::from_slice(&text);
    plan.map(Some)
        .map_err(|e| damaged(&file, &format!("not a valid plan of this program version ({e})")))
}

/// Reads a whole file. Fails if the path is not a regular file.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the valid and distinct responses of `plan`, and the number of all other lines.
fn read_texts(file: &Path, plan: &Plan) -> Result<(Vec<Record>, usize), EvalError> {
    let bytes = read(file).map_err(|source| failed(file, source))?;
    let (mut records, mut dropped, mut keys) = (Vec::new(), 0, HashSet::new());
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match Record::from_line(line).filter(|r| plan.contains(r) && keys.insert(r.key())) {
            Some(record) => records.push(record),
            None => dropped += 1,
        }
    }
    Ok((records, dropped))
}

fn write_json(file: &Path, content: &impl serde::Serialize) -> Result<(), EvalError> {
    let json = serde_json::to_string_pretty(content).map_err(|e| failed(file, e.into()))?;
    write_whole(file, format!("{json}\n").as_bytes())
}

/// Writes to a temporary file and renames it, so that readers never see partial content.
fn write_whole(file: &Path, content: &[u8]) -> Result<(), EvalError> {
    let temporary = file.with_extension("part");
    std::fs::write(&temporary, content)
        .and_then(|()| std::fs::rename(&temporary, file))
        .map_err(|source| failed(file, source))
}
