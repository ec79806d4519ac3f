//! Joins runs that are shown side by side into one report.

use std::borrow::Cow;

use crate::format::excerpt;
use crate::guidance::aim::Aim;
use crate::guidance::trace::Trace;
use crate::records::escape::one_line;

/// The run of a column.
pub(super) struct ColumnRun<'a> {
    /// The prompt that the response continues.
    pub(super) prompt: &'a str,
    /// What the guides of its pack steer towards.
    pub(super) aim: Option<&'a Aim>,
    /// Its pack, seed and prompt, where they differ from those of the first run.
    pub(super) note: Option<String>,
}

/// Returns the first run with the arms of all runs.
pub(super) fn joined_arms<'a>(first: &'a Trace, beside: &[Trace]) -> Cow<'a, Trace> {
    if beside.is_empty() {
        return Cow::Borrowed(first);
    }
    let mut all = first.clone();
    all.arms.extend(beside.iter().flat_map(|run| run.arms.iter().cloned()));
    Cow::Owned(all)
}

/// Returns the run of every arm of [`joined_arms`].
pub(super) fn column_runs<'a>(first: &'a Trace, beside: &'a [Trace]) -> Vec<ColumnRun<'a>> {
    let runs = std::iter::once(first).chain(beside);
    runs.flat_map(|run| {
        let note = note(run, first);
        let aim = run.aim.as_ref();
        run.arms.iter().map(move |_| ColumnRun { prompt: &run.prompt, aim, note: note.clone() })
    })
    .collect()
}

fn note(run: &Trace, first: &Trace) -> Option<String> {
    let mut parts = Vec::new();
    if run.pack != first.pack {
        parts.push(format!("pack {}", one_line(&run.pack, 80)));
    }
    if run.seed != first.seed {
        parts.push(format!("seed {}", run.seed));
    }
    if run.prompt != first.prompt {
        parts.push(format!("prompt “{}”", excerpt(&run.prompt, 60)));
    }
    (!parts.is_empty()).then(|| format!("Another run: {}", parts.join(" · ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::settings::Settings;
    use crate::guidance::trace::TRACE_VERSION;

    #[test]
    fn a_note_names_only_the_differences() {
        let run = |pack: &str, seed, prompt: &str| Trace {
            version: TRACE_VERSION,
            program: "test".into(),
            pack: pack.into(),
            aim: None,
            seed,
            prompt: prompt.into(),
            local_time: None,
            settings: Settings::default(),
            arms: Vec::new(),
        };
        let first = run("imdb", 1, "The film");
        assert_eq!(note(&first, &first), None);
        let other = note(&run("smol2", 1, "The film"), &first);
        assert_eq!(other.as_deref(), Some("Another run: pack smol2"));
        let other = note(&run("imdb", 2, "The\nbook"), &first);
        assert_eq!(other.as_deref(), Some("Another run: seed 2 · prompt “The book”"));
    }
}
