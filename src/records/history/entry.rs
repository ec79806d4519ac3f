//! What the history knows of a run without reading all of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::guidance::settings::Arm;
use crate::guidance::trace::{ArmTrace, Trace};
use crate::records::escape::one_line;
use crate::words::{settings_line, titles_of};

/// Characters of a name that are kept.
const NAME_CHARS: usize = 120;
/// Characters of a prompt that are kept in an entry; the run has all of it.
const PROMPT_CHARS: usize = 2000;
/// Characters of a column's text that are kept in an entry.
const EXCERPT_CHARS: usize = 200;
/// Characters of a prompt that stand for a name.
const TITLE_CHARS: usize = 60;
/// The last moment that an id can write, in the year 2286.
const MOST_MS: u64 = 9_999_999_999_999;

/// The name of a run in the history: sorts by time, and is the same for the same run at the same
/// moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryId(String);

impl EntryId {
    pub(super) fn new(unix_ms: u64, checksum: u32) -> Self {
        Self(format!("{:013}-{checksum:08x}", unix_ms.min(MOST_MS)))
    }
}

impl TryFrom<String> for EntryId {
    type Error = String;

    /// Refuses whatever is no id: ids become names of files.
    fn try_from(text: String) -> Result<Self, String> {
        let is_id = text.len() == 22
            && text.bytes().enumerate().all(|(i, b)| match i {
                0..13 => b.is_ascii_digit(),
                13 => b == b'-',
                _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
            });
        if is_id { Ok(Self(text)) } else { Err("not an id of the history".to_owned()) }
    }
}

impl From<EntryId> for String {
    fn from(id: EntryId) -> Self {
        id.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A run in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// When it was kept, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The name a person gave it.
    pub name: Option<String>,
    /// Whether it stays until a person deletes it.
    pub pinned: bool,
    /// The beginning of the prompt.
    pub prompt: String,
    /// Name of the model pack.
    pub pack: String,
    /// The columns, in order.
    pub columns: Vec<ColumnSummary>,
}

/// One column of a run in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// The arm.
    pub arm: Arm,
    /// What it is called.
    pub title: String,
    /// What it decoded with.
    pub settings_line: String,
    /// The beginning of its text, on one line.
    pub excerpt: String,
    /// Gold reward; none without a judge.
    pub gold_reward: Option<f32>,
}

impl Entry {
    pub(super) fn of(trace: &Trace, id: EntryId, unix_ms: u64) -> Self {
        let titles = titles_of(&trace.arms);
        let columns = trace.arms.iter().zip(titles).map(|(arm, title)| summary(arm, title));
        Self {
            id,
            unix_ms,
            name: None,
            pinned: false,
            prompt: one_line(&trace.prompt, PROMPT_CHARS),
            pack: one_line(&trace.pack, NAME_CHARS),
            columns: columns.collect(),
        }
    }

    pub(super) fn rename(&mut self, name: &str) {
        let name = one_line(name, NAME_CHARS);
        self.name = (!name.is_empty()).then_some(name);
    }

    /// Its name, or the beginning of its prompt.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| one_line(&self.prompt, TITLE_CHARS))
    }

    /// Everything that a search looks at.
    fn words(&self) -> String {
        let mut words = format!("{}\n{}\n", self.name.as_deref().unwrap_or_default(), self.prompt);
        for column in &self.columns {
            for part in [&column.title, &column.settings_line, &column.excerpt] {
                words.push_str(part);
                words.push('\n');
            }
        }
        folded(&words)
    }
}

fn summary(arm: &ArmTrace, title: String) -> ColumnSummary {
    ColumnSummary {
        arm: arm.name,
        title,
        settings_line: settings_line(arm.name, &arm.settings),
        excerpt: one_line(&arm.text, EXCERPT_CHARS),
        gold_reward: arm.gold_reward,
    }
}

/// The entries in which every word of `text` occurs: in name, prompt, or a column's title,
/// settings or beginning. Upper and lower case are one, and so are minus and hyphen.
pub fn search<'a>(entries: &'a [Entry], text: &str) -> Vec<&'a Entry> {
    let text = folded(text);
    let wanted: Vec<&str> = text.split_whitespace().collect();
    let fits = |entry: &&Entry| {
        let words = entry.words();
        wanted.iter().all(|word| words.contains(word))
    };
    entries.iter().filter(fits).collect()
}

fn folded(text: &str) -> String {
    text.to_lowercase().replace('−', "-")
}
