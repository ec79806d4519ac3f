//! The folder of an eval: `plan.json` says what it is, `texts.jsonl` holds a line a text, and
//! `summary.json` and `summary.csv` the table.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::{EvalError, Plan, Record, Summary};
use crate::text::open_file;

/// An eval's folder, open for more texts.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    texts: File,
}

/// A folder that is gone on with.
pub struct Resumed {
    /// The folder.
    pub store: Store,
    /// The plan, with the time at which the eval started.
    pub plan: Plan,
    /// The texts it holds.
    pub records: Vec<Record>,
    /// Lines that were damaged or doubled: dropped, their texts will be made again.
    pub dropped: usize,
}

impl Store {
    /// A new folder for `plan`, made if need be.
    ///
    /// # Errors
    /// [`EvalError::Exists`] or [`EvalError::Other`] if it holds an eval, [`EvalError::File`].
    pub fn create(folder: &Path, plan: &Plan) -> Result<Self, EvalError> {
        if plan_of(folder)?.is_some_and(|held| held == *plan) {
            return Err(EvalError::Exists { folder: folder.to_owned() });
        }
        Self::open(folder, plan, &[])
    }

    /// Goes on with what the folder holds; a folder without an eval begins one.
    ///
    /// # Errors
    /// [`EvalError::Other`] if it holds one of another plan, [`EvalError::File`].
    pub fn resume(folder: &Path, plan: &Plan) -> Result<Resumed, EvalError> {
        let file = folder.join("texts.jsonl");
        let held = plan_of(folder)?;
        let plan = plan.at_time_of(held.as_ref());
        let (records, dropped) = match held {
            Some(_) if file.exists() => read_texts(&file, &plan)?,
            _ => (Vec::new(), 0),
        };
        let store = Self::open(folder, &plan, &records)?;
        Ok(Resumed { store, plan, records, dropped })
    }

    /// Writes the plan and these texts, refusing a folder of another plan.
    fn open(folder: &Path, plan: &Plan, records: &[Record]) -> Result<Self, EvalError> {
        let difference = plan_of(folder)?.and_then(|held| plan.difference(&held));
        if let Some(difference) = difference {
            return Err(EvalError::Other { folder: folder.to_owned(), difference });
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

    /// Adds a text. A line cut off half-way is noticed by its checksum.
    ///
    /// # Errors
    /// [`EvalError::File`], with what was written before intact.
    pub fn append(&mut self, record: &Record) -> Result<(), EvalError> {
        let file = || self.folder.join("texts.jsonl");
        let line = record.to_line().map_err(|e| failed(&file(), e.into()))?;
        self.texts.write_all(line.as_bytes()).map_err(|source| failed(&file(), source))
    }

    /// Writes the table as `summary.json` and `summary.csv`.
    ///
    /// # Errors
    /// [`EvalError::File`].
    pub fn write_summary(&self, summary: &Summary) -> Result<(), EvalError> {
        write_json(&self.folder.join("summary.json"), summary)?;
        write_whole(&self.folder.join("summary.csv"), summary.to_csv().as_bytes())
    }
}

fn failed(file: &Path, source: std::io::Error) -> EvalError {
    EvalError::File { file: file.to_owned(), source }
}

/// The plan of the eval that `folder` holds, if it holds one.
fn plan_of(folder: &Path) -> Result<Option<Plan>, EvalError> {
    let file = folder.join("plan.json");
    let texts = folder.join("texts.jsonl");
    let damaged = |file: &Path, reason: &str| EvalError::Damaged {
        file: file.to_owned(),
        reason: format!("{reason}; name another folder with --out"),
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
    plan.map(Some).map_err(|e| damaged(&file, &format!("not a plan of this program ({e})")))
}

/// All of a file, if it is one.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The undamaged texts of `plan`, each once, and how many other lines there were.
fn read_texts(file: &Path, plan: &Plan) -> Result<(Vec<Record>, usize), EvalError> {
    let bytes = read(file).map_err(|source| failed(file, source))?;
    let (mut records, mut dropped, mut seen) = (Vec::new(), 0, HashSet::new());
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match Record::from_line(line).filter(|r| plan.contains(r) && seen.insert(r.key())) {
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

/// Writes beside the file first: whoever reads it sees the old content or the new, never half.
fn write_whole(file: &Path, content: &[u8]) -> Result<(), EvalError> {
    let part = file.with_extension("part");
    std::fs::write(&part, content)
        .and_then(|()| std::fs::rename(&part, file))
        .map_err(|source| failed(file, source))
}
