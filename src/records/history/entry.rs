//! Entries of the history: the summary of a run that the list shows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::guidance::labels::{settings_line, titles_of};
use crate::guidance::settings::Arm;
use crate::guidance::trace::{ArmTrace, Trace};
use crate::records::escape::one_line;

/// Maximum length of a name.
const NAME_CHARS: usize = 120;
/// Maximum length of the prompt in an entry. The run itself has the whole prompt.
const PROMPT_CHARS: usize = 2000;
/// Maximum length of a column's text in an entry.
const EXCERPT_CHARS: usize = 200;
/// Maximum length of a title taken from the prompt.
const TITLE_CHARS: usize = 60;
/// The latest time that fits the 13 digits of an id, in the year 2286.
const MAX_UNIX_MS: u64 = 9_999_999_999_999;

/// Identifies a run in the history: its time in milliseconds and a checksum of its content. Ids
/// sort by time. The same run at the same time always has the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryId(String);

impl EntryId {
    pub(super) fn new(unix_ms: u64, checksum: u32) -> Self {
        Self(format!("{:013}-{checksum:08x}", unix_ms.min(MAX_UNIX_MS)))
    }
}

impl TryFrom<String> for EntryId {
    type Error = String;

    /// Rejects text that is not an id, because ids become file names.
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
    /// Identifies the run and names its file.
    pub id: EntryId,
    /// When it was added, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The name given by the user.
    pub name: Option<String>,
    /// Whether the run is kept until the user deletes it.
    pub pinned: bool,
    /// The start of the prompt.
    pub prompt: String,
    /// Name of the model pack.
    pub pack: String,
    /// The columns, in order.
    pub columns: Vec<ColumnSummary>,
}

/// One column of a run in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// The arm that the column decoded with.
    pub arm: Arm,
    /// The title of the column.
    pub title: String,
    /// The settings it decoded with, as text.
    pub settings_line: String,
    /// The start of its text, on one line.
    pub excerpt: String,
    /// Gold reward; `None` without a judge.
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

    /// Returns the name of the run, or the start of its prompt.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| one_line(&self.prompt, TITLE_CHARS))
    }

    fn searchable_text(&self) -> String {
        let mut text = format!("{}\n{}\n", self.name.as_deref().unwrap_or_default(), self.prompt);
        for column in &self.columns {
            for part in [&column.title, &column.settings_line, &column.excerpt] {
                text.push_str(part);
                text.push('\n');
            }
        }
        folded(&text)
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

/// Returns the entries that contain every word of `query` in the name, the prompt, or a column's
/// title, settings or excerpt. Ignores case, and treats the minus sign (U+2212) as a hyphen.
pub fn search<'a>(entries: &'a [Entry], query: &str) -> Vec<&'a Entry> {
    let query = folded(query);
    let words: Vec<&str> = query.split_whitespace().collect();
    let matches = |entry: &&Entry| {
        let text = entry.searchable_text();
        words.iter().all(|word| text.contains(word))
    };
    entries.iter().filter(matches).collect()
}

fn folded(text: &str) -> String {
    text.to_lowercase().replace('−', "-")
}
