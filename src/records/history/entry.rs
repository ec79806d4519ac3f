//! Entries of the history: the summary of a run that the list shows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::guidance::labels::{setting_of, settings_line, titles_of};
use crate::guidance::settings::Arm;
use crate::guidance::trace::{ArmTrace, StopReason, Trace};
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
    /// The random seed; `None` in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// CRC-32 of what was run, see [`request_checksum`]; `None` in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_crc32: Option<u32>,
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
            seed: Some(trace.seed),
            request_crc32: request_checksum(trace),
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

    /// Returns the guidance strengths of the columns and the seed, such as "β 1 · λ ∞ · seed 7".
    /// Several values of one strength are separated by commas.
    pub(crate) fn strengths(&self) -> String {
        let mut parts = Vec::new();
        for name in ["β", "λ"] {
            let mut values: Vec<&str> = Vec::new();
            let lines = self.columns.iter().map(|column| column.settings_line.as_str());
            for value in lines.filter_map(|line| setting_of(line, name)) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            if !values.is_empty() {
                parts.push(format!("{name} {}", values.join(", ")));
            }
        }
        parts.extend(self.seed.map(|seed| format!("seed {seed}")));
        parts.join(" · ")
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

/// Returns a checksum that is equal for runs of the same prompt, pack, columns and settings with
/// the seed. A stopped run differs from a complete one, because its texts are shorter.
fn request_checksum(trace: &Trace) -> Option<u32> {
    let columns: Vec<_> = trace.arms.iter().map(|arm| (arm.name, &arm.settings)).collect();
    let is_stopped = trace.arms.iter().any(|arm| arm.stop_reason == StopReason::Stopped);
    let request = (&trace.prompt, &trace.pack, trace.seed, &trace.settings, columns, is_stopped);
    serde_json::to_vec(&request).ok().map(|bytes| crc32fast::hash(&bytes))
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

/// A run in the list, and the equal runs that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The newest of the runs.
    pub newest: Entry,
    /// The number of runs, at least 1.
    pub count: usize,
}

/// Groups equal runs: those of the same prompt, pack, columns and settings with the seed. `entries`
/// are sorted as in a listing. Pinned and renamed runs stay alone, and so do runs of older versions.
pub fn grouped<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for entry in entries {
        match groups.iter_mut().find(|group| is_repeated(&group.newest, entry)) {
            Some(group) => group.count += 1,
            None => groups.push(Group { newest: entry.clone(), count: 1 }),
        }
    }
    groups
}

fn is_repeated(a: &Entry, b: &Entry) -> bool {
    let is_plain = |entry: &Entry| !entry.pinned && entry.name.is_none();
    // The texts are compared too, because different requests may have the same checksum.
    a.request_crc32.is_some()
        && a.request_crc32 == b.request_crc32
        && (&a.prompt, &a.pack, a.seed) == (&b.prompt, &b.pack, b.seed)
        && is_plain(a)
        && is_plain(b)
}

fn folded(text: &str) -> String {
    text.to_lowercase().replace('−', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::settings::{Column, Settings};
    use crate::guidance::trace::TRACE_VERSION;

    fn run(prompt: &str, settings: &Settings, columns: &[Column]) -> Trace {
        let report = |column: &Column| ArmTrace {
            name: column.arm,
            settings: column.applied(settings),
            text: " fine".into(),
            value: None,
            gold_reward: None,
            tokens: Vec::new(),
            chunks: Vec::new(),
            sampled_tokens: 0,
            forward_passes: 0,
            elapsed_ms: 0.0,
            stop_reason: StopReason::MaxTokens,
        };
        Trace {
            version: TRACE_VERSION,
            program: "test".into(),
            pack: "imdb".into(),
            aim: None,
            seed: settings.seed,
            prompt: prompt.into(),
            local_time: None,
            settings: settings.clone(),
            arms: columns.iter().map(report).collect(),
        }
    }

    fn entry(trace: &Trace, unix_ms: u64) -> Entry {
        Entry::of(trace, EntryId::new(unix_ms, 0), unix_ms)
    }

    /// Returns the times and counts of the groups.
    fn counts(entries: &[Entry]) -> Vec<(u64, usize)> {
        grouped(entries).iter().map(|group| (group.newest.unix_ms, group.count)).collect()
    }

    #[test]
    fn equal_runs_are_one_group_and_the_newest_stands_for_it() {
        let (s, columns) = (Settings::default(), [Arm::Base.into(), Arm::Ivg.into()]);
        let film = run("The film", &s, &columns);
        let book = run("The book", &s, &columns);
        let entries =
            [entry(&film, 5), entry(&book, 4), entry(&film, 3), entry(&book, 2), entry(&film, 1)];
        assert_eq!(counts(&entries), [(5, 3), (4, 2)]);
    }

    #[test]
    fn runs_that_differ_in_any_choice_are_not_grouped() {
        let (s, columns) = (Settings::default(), [Arm::Base.into(), Arm::Ivg.into()]);
        let film = run("The film", &s, &columns);
        let pinned = Column::pinned(Arm::Ivg, Settings { top_p: 0.9, ..s.clone() });
        let mut other_pack = film.clone();
        other_pack.pack = "smol2".into();
        let mut stopped = film.clone();
        stopped.arms[1].stop_reason = StopReason::Stopped;
        let others = [
            run("The film ", &s, &columns),
            run("The film", &Settings { seed: 2, ..s.clone() }, &columns),
            run("The film", &Settings { temperature: 0.5, ..s.clone() }, &columns),
            run("The film", &s, &columns[..1]),
            run("The film", &s, &[Arm::Base.into(), pinned]),
            other_pack,
            stopped,
        ];
        for (i, other) in others.iter().enumerate() {
            assert_eq!(counts(&[entry(other, 2), entry(&film, 1)]), [(2, 1), (1, 1)], "run {i}");
        }
    }

    #[test]
    fn pinned_renamed_and_old_runs_stay_alone() {
        let film = run("The film", &Settings::default(), &[Arm::Base.into()]);
        let mut entries: Vec<Entry> = (1..=5).rev().map(|time| entry(&film, time)).collect();
        entries[0].pinned = true;
        entries[1].rename("mine");
        entries[4].request_crc32 = None;
        assert_eq!(counts(&entries), [(5, 1), (4, 1), (3, 2), (1, 1)]);
    }

    #[test]
    fn the_strengths_are_those_of_the_columns() {
        let s = Settings { seed: 7, ..Settings::default() };
        let strengths = |columns: &[Column]| entry(&run("The film", &s, columns), 1).strengths();
        assert_eq!(strengths(&[Arm::Base.into(), Arm::Ivg.into()]), "β 1 · λ ∞ · seed 7");
        assert_eq!(strengths(&[Arm::Base.into(), Arm::BestOfN.into()]), "seed 7");
        assert_eq!(strengths(&[Arm::Token.into()]), "β 1 · seed 7");
        let pinned = Column::pinned(Arm::Ivg, Settings { beta: -0.5, lambda: 2.0, ..s.clone() });
        assert_eq!(strengths(&[Arm::Ivg.into(), pinned]), "β 1, −0.5 · λ ∞, 2 · seed 7");
    }

    #[test]
    fn an_entry_of_an_older_version_has_no_seed() {
        let film = run("The film", &Settings::default(), &[Arm::Ivg.into()]);
        let mut json = serde_json::to_value(entry(&film, 1)).expect("JSON");
        let fields = json.as_object_mut().expect("an object");
        assert!(fields.remove("seed").is_some() && fields.remove("request_crc32").is_some());
        let old: Entry = serde_json::from_value(json).expect("an entry");
        assert_eq!(old.strengths(), "β 1 · λ ∞");
    }
}
