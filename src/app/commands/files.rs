//! Saves and opens files, and copies reports.

use std::path::PathBuf;

use eframe::egui::Context;

use crate::app::App;
use crate::app::dialogs::path_dialog::Purpose;
use crate::app::history::state::HistoryOutcome;
use crate::app::layout::figure_menu::figure_disabled_reason;
use crate::app::state::columns::column_views;
use crate::app::state::plot_file::{PlotFile, figure_folder};
use crate::app::state::preferences::LowerTab;
use crate::guidance::trace::Trace;
use crate::records::record_writer::{Command, suggested_name, suggested_name_for};
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
            (Purpose::FigureFolder, _) => {
                self.preferences.figure_folder = Some(path);
                return;
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

    /// Saves a plot in the folder for figures.
    ///
    /// # Errors
    /// Returns the reason why nothing was saved, as a sentence.
    pub(super) fn save_plot(&mut self, file: PlotFile) -> Result<(), String> {
        let tab = file.tab();
        let reason = figure_disabled_reason(tab, &self.session, &self.lower.sweep);
        if let Some(reason) = reason {
            return Err(format!("{reason} Nothing was saved."));
        }
        if let Some(reason) = self.history.closed_reason() {
            return Err(reason.to_owned());
        }
        let (results, trace) = (self.lower.sweep.results(), self.trace());
        let (name, csv) = match (tab, results, trace) {
            (LowerTab::Sweep, Some(results), _) => {
                let plan = &results.plan;
                let name = suggested_name_for(&plan.prompt, plan.settings.seed, file.extension());
                (name, results.to_csv())
            }
            (_, _, Some(trace)) => (suggested_name(trace, file.extension()), String::new()),
            _ => return Ok(()),
        };
        let trace = trace.cloned().map(Box::new);
        let path = figure_folder(&self.preferences).join(name);
        let command = match file {
            PlotFile::SweepData => Command::ExportTable { path, csv },
            PlotFile::Figure(_, size, format) => {
                let Some(figure) = self.figure(tab, trace) else { return Ok(()) };
                Command::ExportFigure { path, figure, size, format }
            }
        };
        self.history.send(command)
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
