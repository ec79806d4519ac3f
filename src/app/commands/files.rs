//! Saves and opens files, and copies reports.

use std::path::PathBuf;

use eframe::egui::Context;

use crate::app::App;
use crate::app::dialogs::path_dialog::Purpose;
use crate::app::history::state::HistoryOutcome;
use crate::app::state::columns::column_views;
use crate::app::state::preferences::LowerTab;
use crate::guidance::trace::Trace;
use crate::records::record_writer::Command;
use crate::records::report::figure::Figure;
use crate::records::report::markdown::side_by_side_markdown;
use crate::worker::pack_service::MANIFEST;

impl App {
    /// Copies the run as Markdown.
    pub(super) fn copy_markdown(&mut self, ctx: &Context) {
        if let Some(trace) = self.trace() {
            ctx.copy_text(side_by_side_markdown(trace, self.runs_beside()));
            self.notice(ctx, "Copied as Markdown".into(), false);
        }
    }

    /// Uses the path that the user chose.
    pub(super) fn use_path(&mut self, ctx: &Context, purpose: Purpose, path: PathBuf) {
        let trace = self.trace().cloned().map(Box::new);
        let command = match (purpose, trace) {
            (Purpose::AddPack, _) => return self.add_pack(ctx, path),
            // The form's own dialog handles it.
            (Purpose::SavePack, _) => return,
            (Purpose::Open, _) => Command::Open { path },
            (Purpose::Screenshot, _) => {
                self.screenshots.request(ctx, path);
                return;
            }
            (Purpose::Figure(tab, size, format), trace) => {
                let Some(figure) = self.figure(tab, trace) else { return };
                Command::ExportFigure { path, figure, size, format }
            }
            (Purpose::SweepData, _) => {
                let Some(results) = self.lower.sweep.results() else { return };
                Command::ExportBytes { path, bytes: results.to_csv().into_bytes() }
            }
            (Purpose::Report, Some(trace)) => {
                let beside = self.runs_beside().to_vec();
                Command::ExportHtml { path, trace, beside }
            }
            (Purpose::Trace, Some(trace)) => Command::ExportJson { path, trace },
            (Purpose::Report | Purpose::Trace, None) => return,
        };
        let sent = self.history.send(command);
        self.report(sent);
    }

    /// Returns the plot of a tab as a figure, or `None` if there is none.
    fn figure(&mut self, tab: LowerTab, trace: Option<Box<Trace>>) -> Option<Figure> {
        match tab {
            LowerTab::Values => trace.map(Figure::Values),
            LowerTab::Tree => {
                let columns = column_views(&self.session, &self.preferences);
                let arm = self.lower.tree.arm(&self.session, &columns)?;
                trace.map(|trace| Figure::Tree { trace, arm })
            }
            LowerTab::Sweep => {
                let sweep = &self.lower.sweep;
                let results = Box::new(sweep.results()?.clone());
                Some(Figure::Sweep { results, axis: sweep.axis })
            }
        }
    }

    /// Handles events of the record writer, finished screenshots and dropped files.
    pub(in crate::app) fn receive_from_disk(&mut self, ctx: &Context) {
        let now = ctx.input(|i| i.time);
        self.session.notice = self.session.notice.take().filter(|n| n.until > now);
        for (path, png) in self.screenshots.taken() {
            let command = png.map(|bytes| Command::ExportBytes { path, bytes });
            let sent = command.and_then(|command| self.history.send(command));
            self.report(sent);
        }
        let dropped: Vec<_> = ctx.input(|i| i.raw.dropped_files.clone());
        let dropped: Vec<PathBuf> = dropped.iter().map(|file| file.path().to_owned()).collect();
        self.open_dropped(ctx, dropped);
        for outcome in self.history.receive() {
            match outcome {
                HistoryOutcome::Run(trace, mode, name) => self.recall(*trace, mode, name),
                HistoryOutcome::Notice { words, undo } => self.notice(ctx, words, undo),
                HistoryOutcome::Empty => self.show_pending_example(),
                HistoryOutcome::Error(message) => self.report(Err(message)),
            }
        }
    }

    /// Opens traces, adds packs, and brings everything else to the wizard, which reads it in the
    /// background. Checking the disk here would block the frame.
    fn open_dropped(&mut self, ctx: &Context, paths: Vec<PathBuf>) {
        let is_trace = |path: &PathBuf| path.extension().is_some_and(|e| e == "json");
        let (traces, others): (Vec<PathBuf>, Vec<PathBuf>) =
            paths.into_iter().partition(|path| is_trace(path));
        for path in traces {
            let sent = match self.history.closed_reason() {
                None => self.history.send(Command::Open { path }),
                Some(reason) => Err(reason.to_owned()),
            };
            self.report(sent);
        }
        let (packs, models): (Vec<PathBuf>, Vec<PathBuf>) =
            others.into_iter().partition(|path| path.ends_with(MANIFEST));
        for path in packs {
            self.add_pack(ctx, path);
        }
        if !models.is_empty() {
            self.drop_on_wizard(&models);
        }
    }
}
