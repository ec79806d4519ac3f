//! The columns of the window: what each is called, and what it shows of the run.

use super::preferences::Preferences;
use super::session::{ArmView, Run, Session};
use super::widgets::Mark;
use crate::guidance::settings::{Arm, Column, Settings, limits};
use crate::guidance::trace::{ArmTrace, Trace};
use crate::words;

/// One column.
pub struct Slot<'a> {
    /// Its place, from the left; gives its colour and shape.
    pub index: usize,
    /// What it is set to.
    pub column: &'a Column,
    /// What it decodes with: as reported, or as the next run would.
    pub applied: Settings,
    /// Its name, unlike any other's.
    pub title: String,
    /// What the run has given to it; none if the run had no such column.
    pub view: Option<&'a ArmView>,
}

/// The columns that a person chose, with what the run has given to each.
pub fn slots<'a>(session: &'a Session, preferences: &'a Preferences) -> Vec<Slot<'a>> {
    let columns = &preferences.columns;
    let views = match &session.run {
        Some(run) => views(run, columns, &preferences.settings),
        None => vec![None; columns.len()],
    };
    let mut slots: Vec<Slot<'a>> = Vec::new();
    for (index, (column, view)) in columns.iter().zip(views).enumerate() {
        let applied = match view {
            Some(view) => view.report.settings.clone(),
            None => column.applied(&preferences.settings),
        };
        slots.push(Slot { index, column, applied, title: String::new(), view });
    }
    let titles = words::titles(slots.iter().map(|s| (s.column.arm, &s.applied)));
    for (slot, title) in slots.iter_mut().zip(titles) {
        slot.title = title;
    }
    slots
}

/// What the run has given to each column: first to those it was asked for, in their order; then
/// to those that would be no different, such as one that was pinned where it stood.
fn views<'a>(run: &'a Run, columns: &[Column], chosen: &Settings) -> Vec<Option<&'a ArmView>> {
    let mut left: Vec<(&Column, &ArmView)> = run.request.columns.iter().zip(&run.arms).collect();
    let mut take = |fits: &dyn Fn(&Column, &ArmView) -> bool| {
        let at = left.iter().position(|(column, view)| fits(column, view))?;
        Some(left.remove(at).1)
    };
    let asked = columns.iter().map(|column| take(&|other, _| other == column));
    let mut views: Vec<_> = asked.collect();
    for (column, view) in columns.iter().zip(&mut views).filter(|(_, view)| view.is_none()) {
        let settings = if column.pinned.is_some() { &run.request.settings } else { chosen };
        let applied = column.applied(settings);
        *view = take(&|other, view| other.arm == column.arm && view.report.settings == applied);
    }
    views
}

/// The columns that make these reports again, as many as fit side by side.
pub fn columns_of(trace: &Trace) -> Vec<Column> {
    let arms = trace.arms.iter().take(*limits::COLUMNS.end());
    arms.map(|report| {
        let follows = report.name.apply(&trace.settings) == report.settings;
        if follows { report.name.into() } else { pinned(report, &trace.settings) }
    })
    .collect()
}

/// A column that makes this report again whatever the sliders say, in a run of the same seed and
/// length. `chosen` is what its own run had chosen.
pub fn pinned(report: &ArmTrace, chosen: &Settings) -> Column {
    let own = if report.name.apply(chosen) == report.settings {
        chosen.clone()
    } else if report.name == Arm::BestOfN {
        within_limits(&report.settings, chosen)
    } else {
        // An arm's own settings, applied again, are the same.
        report.settings.clone()
    };
    Column::pinned(report.name, own)
}

/// What to choose for best-of-N to decode with `applied`: its N rows may be more than one beam can
/// have successors, and its chunks longer than a chunk may be.
fn within_limits(applied: &Settings, chosen: &Settings) -> Settings {
    let rows = applied.beams * applied.successors;
    let beams = limits::BEAMS
        .clone()
        .find(|beams| rows.is_multiple_of(*beams) && limits::SUCCESSORS.contains(&(rows / beams)));
    let beams = beams.unwrap_or(1);
    let (successors, chunk_tokens) = (rows / beams, chosen.chunk_tokens);
    Settings { beams, successors, chunk_tokens, ..applied.clone() }
}

impl Slot<'_> {
    /// Its shape in plots and headings.
    pub fn mark(&self) -> Mark {
        Mark::of(self.index)
    }

    /// The settings that make it what it is, in one line.
    pub fn line(&self) -> String {
        let line = words::settings_line(self.column.arm, &self.applied);
        if self.column.pinned.is_some() { format!("pinned · {line}") } else { line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::protocol::Request;

    #[test]
    fn wide_best_of_n_comes_back_within_its_limits() {
        let chosen = Settings { beams: 4, successors: 16, max_tokens: 400, ..Settings::default() };
        let applied = Arm::BestOfN.apply(&chosen);
        let back = within_limits(&applied, &Settings::default());
        assert_eq!(back.validate(), Ok(()));
        assert_eq!(Arm::BestOfN.apply(&back), applied);
    }

    #[test]
    fn columns_find_their_views_again_when_one_is_added_or_taken_away() {
        let pinned = Column::pinned(Arm::Ivg, Settings { beta: -1.0, ..Settings::default() });
        let columns = vec![Arm::Base.into(), Arm::Ivg.into(), pinned.clone(), Arm::Ivg.into()];
        let request = Request {
            prompt: "a".into(),
            local_time: None,
            columns: columns.clone(),
            settings: Settings::default(),
        };
        let mut session = Session::default();
        session.begin(1, request);
        for (i, view) in session.run.iter_mut().flat_map(|r| &mut r.arms).enumerate() {
            view.report.text = i.to_string();
        }
        let shown = |columns: Vec<Column>| -> Vec<String> {
            let preferences = Preferences { columns, ..Preferences::default() };
            let slots = slots(&session, &preferences);
            slots.iter().map(|s| s.view.map_or("-".into(), |v| v.report.text.clone())).collect()
        };
        assert_eq!(shown(columns), ["0", "1", "2", "3"]);
        assert_eq!(shown(vec![Arm::Ivg.into(), pinned, Arm::Token.into()]), ["1", "2", "-"]);
        assert_eq!(shown(vec![Arm::Ivg.into(), Arm::Ivg.into()]), ["1", "3"]);
        // Pinned where it stands, a column is what it was; pinned elsewhere it is not.
        let here = Column::pinned(Arm::Ivg, Settings::default());
        assert_eq!(shown(vec![here.clone(), Arm::Base.into(), here]), ["1", "0", "3"]);
        let there = Column::pinned(Arm::Ivg, Settings { beta: 2.0, ..Settings::default() });
        assert_eq!(shown(vec![there]), ["-"]);
    }
}
