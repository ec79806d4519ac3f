//! The columns of the window: their titles, and the arm of the run that each shows.

use super::preferences::Preferences;
use super::session::{ArmView, Run, Session};
use crate::app::widgets::Mark;
use crate::format::{excerpt, one_line};
use crate::guidance::labels;
use crate::guidance::settings::{Column, Settings};

/// One column of the window.
pub(crate) struct ColumnView<'a> {
    /// Position from the left, starting at 0. Determines the colour and the mark.
    pub(crate) index: usize,
    /// The arm, and the settings if they are pinned.
    pub(crate) spec: &'a Column,
    /// The settings it decodes with: those reported by the run, or those of the next run.
    pub(crate) applied: Settings,
    /// The title. It is unique among the columns.
    pub(crate) title: String,
    /// The arm of the run, or `None` if the run has no such column.
    pub(crate) view: Option<&'a ArmView>,
    /// The pack and the prompt of its run, where they differ from those of the run shown.
    origin: String,
}

/// Returns the columns that the user chose, each with its arm of the run shown.
pub(crate) fn column_views<'a>(
    session: &'a Session,
    preferences: &'a Preferences,
) -> Vec<ColumnView<'a>> {
    let columns = &preferences.columns;
    let arm_views = match &session.run {
        Some(run) => match_arms(run, columns, &preferences.settings),
        None => vec![None; columns.len()],
    };
    let mut views: Vec<ColumnView<'a>> = Vec::new();
    for (index, (column, view)) in columns.iter().zip(arm_views).enumerate() {
        let applied = match view {
            Some(view) => view.report.settings.clone(),
            None => column.applied(&preferences.settings),
        };
        let own = session.run.as_ref().and_then(|run| run.arms.first());
        let origin = view.zip(own).map(|(view, own)| origin(view, own)).unwrap_or_default();
        let title = String::new();
        views.push(ColumnView { index, spec: column, applied, title, view, origin });
    }
    let titles = labels::titles(views.iter().map(|view| (view.spec.arm, &view.applied)));
    for (view, title) in views.iter_mut().zip(titles) {
        view.title = title;
    }
    views
}

/// Matches columns to arms of the run. Columns that the run was requested with come first, in
/// order. The others get an arm with the same settings, such as a column that was pinned after the
/// run.
fn match_arms<'a>(run: &'a Run, columns: &[Column], chosen: &Settings) -> Vec<Option<&'a ArmView>> {
    let mut unmatched: Vec<(&Column, &ArmView)> =
        run.request.columns.iter().zip(&run.arms).collect();
    let mut take = |fits: &dyn Fn(&Column, &ArmView) -> bool| {
        let at = unmatched.iter().position(|(column, view)| fits(column, view))?;
        Some(unmatched.remove(at).1)
    };
    let requested = columns.iter().map(|column| take(&|other, _| other == column));
    let mut views: Vec<_> = requested.collect();
    for (column, view) in columns.iter().zip(&mut views).filter(|(_, view)| view.is_none()) {
        let settings = if column.pinned.is_some() { &run.request.settings } else { chosen };
        let applied = column.applied(settings);
        *view = take(&|other, view| other.arm == column.arm && view.report.settings == applied);
    }
    views
}

/// Describes the run of an added arm. `own` is an arm of the run shown.
fn origin(view: &ArmView, own: &ArmView) -> String {
    let mut words = String::new();
    if view.pack != own.pack {
        words += &format!("{} · ", one_line(&view.pack));
    }
    if view.prompt != own.prompt {
        words += &format!("“{}” · ", excerpt(&one_line(&view.prompt), 40));
    }
    words
}

impl ColumnView<'_> {
    /// Returns its mark in plots and headings.
    pub(crate) fn mark(&self) -> Mark {
        Mark::of(self.index)
    }

    /// Returns its settings as one line, after the pack and the prompt if it belongs to another run.
    pub(crate) fn line(&self) -> String {
        let line = labels::settings_line(self.spec.arm, &self.applied);
        let pinned = if self.spec.pinned.is_some() { "pinned · " } else { "" };
        format!("{}{pinned}{line}", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::settings::Arm;
    use crate::worker::protocol::Request;

    #[test]
    fn columns_keep_their_arms_when_columns_are_added_or_removed() {
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
            let views = column_views(&session, &preferences);
            views.iter().map(|c| c.view.map_or("-".into(), |v| v.report.text.clone())).collect()
        };
        assert_eq!(shown(columns), ["0", "1", "2", "3"]);
        assert_eq!(shown(vec![Arm::Ivg.into(), pinned, Arm::Token.into()]), ["1", "2", "-"]);
        assert_eq!(shown(vec![Arm::Ivg.into(), Arm::Ivg.into()]), ["1", "3"]);
        // Pinned at the settings of the run, a column keeps its arm; at other settings it does not.
        let here = Column::pinned(Arm::Ivg, Settings::default());
        assert_eq!(shown(vec![here.clone(), Arm::Base.into(), here]), ["1", "0", "3"]);
        let there = Column::pinned(Arm::Ivg, Settings { beta: 2.0, ..Settings::default() });
        assert_eq!(shown(vec![there]), ["-"]);
    }
}
