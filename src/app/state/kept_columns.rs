//! Runs that keep the columns of the run shown which would write the same text again.

use super::session::{Origin, Run, Session};
use crate::guidance::settings::Column;
use crate::guidance::trace::{ArmTrace, StopReason, Trace};
use crate::worker::protocol::{Request, RunId};

impl Session {
    /// Begins a run, but keeps the columns of the run shown that would write the same text again.
    /// Returns the request for the other columns, or `None` if all columns are kept.
    pub(crate) fn begin_changed(&mut self, id: RunId, request: Request) -> Option<Request> {
        let kept = self.unchanged(&request);
        let last = self.run.as_ref().and_then(|run| run.trace.clone());
        self.begin(id, request.clone());
        let run = self.run.as_mut()?;
        for (view, report) in run.arms.iter_mut().zip(&kept) {
            if let Some(report) = report {
                view.finish(report.clone());
            }
        }
        run.column_of = (0..kept.len()).filter(|&i| kept[i].is_none()).collect();
        if let (Some(last), true) = (last, run.column_of.is_empty()) {
            let settings = request.settings;
            run.finish(Box::new(Trace {
                seed: settings.seed,
                settings,
                arms: Vec::new(),
                ..*last
            }));
            return None;
        }
        if run.column_of.is_empty() {
            run.column_of = (0..kept.len()).collect();
        }
        let columns = run.column_of.iter().map(|&i| request.columns[i].clone()).collect();
        Some(Request { columns, ..request })
    }

    /// Returns for each column of `request` the result of the run shown, if a new run would give
    /// the same.
    fn unchanged(&self, request: &Request) -> Vec<Option<ArmTrace>> {
        let same_inputs = |run: &&Run| {
            run.origin == Origin::Own
                && !self.has_new_pack
                && run.request.prompt == request.prompt
                && run.request.local_time == request.local_time
        };
        let run = self.run.as_ref().filter(same_inputs);
        let pack = self.pack.as_ref().map_or("", |pack| pack.name.as_str());
        let unchanged = |column: &Column| {
            let applied = column.applied(&request.settings);
            let view = run?.arms.iter().find(|view| {
                let is_same_input = view.prompt == request.prompt && view.pack == pack;
                let is_complete =
                    is_same_input && view.done && view.report.stop_reason != StopReason::Stopped;
                is_complete && view.report.name == column.arm && view.report.settings == applied
            })?;
            Some(view.report.clone())
        };
        request.columns.iter().map(unchanged).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::settings::{Arm, Settings};
    use crate::guidance::trace::TRACE_VERSION;
    use crate::worker::protocol::Event;

    fn request(columns: &[Column], settings: &Settings) -> Request {
        Request {
            prompt: "A film".into(),
            local_time: None,
            columns: columns.to_vec(),
            settings: settings.clone(),
        }
    }

    fn report(column: &Column, settings: &Settings, text: &str) -> ArmTrace {
        ArmTrace {
            name: column.arm,
            settings: column.applied(settings),
            text: text.into(),
            value: None,
            gold_reward: None,
            tokens: Vec::new(),
            chunks: Vec::new(),
            sampled_tokens: 0,
            forward_passes: 0,
            elapsed_ms: 1.0,
            stop_reason: StopReason::MaxTokens,
        }
    }

    /// Ends the run with this number as the worker does, with one text per requested column.
    fn done(session: &mut Session, run: RunId, request: &Request, texts: &[&str]) {
        let arms = request.columns.iter().zip(texts);
        let trace = Trace {
            version: TRACE_VERSION,
            program: "test".into(),
            pack: String::new(),
            aim: None,
            seed: request.settings.seed,
            prompt: request.prompt.clone(),
            local_time: None,
            settings: request.settings.clone(),
            arms: arms.map(|(column, text)| report(column, &request.settings, text)).collect(),
        };
        session.apply(Event::Done { run, trace: Box::new(trace) });
    }

    fn texts(session: &Session) -> Vec<String> {
        let trace = session.run.as_ref().and_then(|run| run.trace.as_ref()).expect("a trace");
        trace.arms.iter().map(|arm| arm.text.clone()).collect()
    }

    #[test]
    fn only_the_columns_that_a_change_affects_run_again() {
        let (mut session, settings) = (Session::default(), Settings::default());
        let columns: [Column; 2] = [Arm::Base.into(), Arm::Ivg.into()];
        let first = request(&columns, &settings);
        session.begin(1, first.clone());
        done(&mut session, 1, &first, &["base", "guided"]);
        let reversed = Settings { beta: -1.0, ..settings.clone() };
        let second = session.begin_changed(2, request(&columns, &reversed)).expect("a run");
        assert_eq!(second.columns, [Arm::Ivg.into()], "the base column is not affected");
        done(&mut session, 2, &second, &["sour"]);
        assert_eq!(texts(&session), ["base", "sour"]);
        let run = session.run.as_ref().expect("a run");
        assert_eq!(run.trace.as_ref().map(|trace| trace.settings.beta), Some(-1.0));
    }

    #[test]
    fn a_frozen_copy_takes_over_the_text_without_a_run() {
        let (mut session, settings) = (Session::default(), Settings::default());
        let first = request(&[Arm::Ivg.into()], &settings);
        session.begin(1, first.clone());
        done(&mut session, 1, &first, &["guided"]);
        let frozen = [Arm::Ivg.into(), Column::pinned(Arm::Ivg, settings.clone())];
        assert_eq!(session.begin_changed(2, request(&frozen, &settings)), None);
        assert_eq!(texts(&session), ["guided", "guided"]);
    }

    #[test]
    fn another_prompt_or_another_pack_keeps_nothing() {
        let (mut session, settings) = (Session::default(), Settings::default());
        let first = request(&[Arm::Base.into()], &settings);
        session.begin(1, first.clone());
        done(&mut session, 1, &first, &["base"]);
        let other = Request { prompt: "Another".into(), ..first.clone() };
        assert_eq!(session.begin_changed(2, other.clone()), Some(other.clone()));
        done(&mut session, 2, &other, &["other"]);
        session.has_new_pack = true;
        assert!(session.begin_changed(3, other).is_some());
    }
}
