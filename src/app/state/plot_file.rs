//! The files that the plots of the lower panel are saved as.

use std::path::PathBuf;

use super::preferences::{LowerTab, Preferences};
use crate::records::report::figure::{FigureFormat, FigureSize};

/// A file made from the plot of the lower panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlotFile {
    /// The plot of this tab as a figure.
    Figure(LowerTab, FigureSize, FigureFormat),
    /// The responses of the sweep as a table.
    SweepData,
}

impl PlotFile {
    /// Returns the tab that shows the plot.
    pub(crate) fn tab(self) -> LowerTab {
        match self {
            PlotFile::Figure(tab, ..) => tab,
            PlotFile::SweepData => LowerTab::Sweep,
        }
    }

    /// Returns the file extension, which begins with the name of the plot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            PlotFile::Figure(tab, _, format) => match (tab, format) {
                (LowerTab::Values, FigureFormat::Svg) => "values.svg",
                (LowerTab::Values, FigureFormat::Png) => "values.png",
                (LowerTab::Tree, FigureFormat::Svg) => "tree.svg",
                (LowerTab::Tree, FigureFormat::Png) => "tree.png",
                (LowerTab::Sweep, FigureFormat::Svg) => "sweep.svg",
                (LowerTab::Sweep, FigureFormat::Png) => "sweep.png",
            },
            PlotFile::SweepData => "sweep.csv",
        }
    }
}

/// Returns the folder in which the files are saved.
pub(crate) fn figure_folder(preferences: &Preferences) -> PathBuf {
    preferences.figure_folder.clone().unwrap_or_else(documents_folder)
}

/// Returns the documents folder if it exists, the home folder otherwise, or an empty path without a
/// home folder.
pub(crate) fn documents_folder() -> PathBuf {
    let home = std::env::home_dir().unwrap_or_default();
    let documents = home.join("Documents");
    if documents.is_dir() { documents } else { home }
}
