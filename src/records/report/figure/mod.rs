//! Figures of a run or a sweep for papers and slides, as SVG or PNG files.
//!
//! Each figure stands alone: light background, title, axis labels with units, a legend, and only
//! presentation attributes, which every program that reads SVG understands. The PNG shows the same
//! drawing.

mod png_file;
mod sheet;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;
mod values;

use thiserror::Error;

use super::value_plot::NO_VALUES;
use crate::guidance::trace::Trace;
use crate::lab::sweep::{SweepAxis, SweepResults};

/// What a figure is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureSize {
    /// One column of a paper: 90 mm wide, 300 dpi as PNG.
    Paper,
    /// A slide of 1920 × 1080 pixels.
    Slide,
}

/// The format of a figure's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureFormat {
    /// Scalable vector graphics.
    Svg,
    /// A picture of pixels.
    Png,
}

/// A figure and its data.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// The value of every chunk of a run.
    Values(Box<Trace>),
    /// The search tree of one column of a run.
    Tree {
        /// The run.
        trace: Box<Trace>,
        /// Index of the column.
        arm: usize,
    },
    /// One curve of a sweep.
    Sweep {
        /// The results so far.
        results: Box<SweepResults>,
        /// The swept setting of the curve.
        axis: SweepAxis,
    },
}

/// The reason why a figure cannot be drawn.
#[derive(Debug, Error)]
pub enum FigureError {
    /// The run has no values.
    #[error("{}", NO_VALUES.trim_end_matches('.'))]
    NoValues,
    /// The column has no chunk.
    #[error("this column has no search tree; choose a column that searches")]
    NoTree,
    /// The curve has no point.
    #[error("this sweep has no point yet; let it finish the first response")]
    NoPoints,
    /// The renderer failed.
    #[error("the figure cannot be rendered as PNG: {0}; save it as SVG")]
    Png(String),
}

impl Figure {
    /// Draws the figure as SVG.
    ///
    /// # Errors
    /// Fails if there is nothing to draw.
    pub fn svg(&self, size: FigureSize) -> Result<String, FigureError> {
        match self {
            Figure::Values(trace) => values::draw(trace, size),
            Figure::Tree { trace, arm } => tree::draw(trace, *arm, size),
            Figure::Sweep { results, axis } => sweep::draw(results, *axis, size),
        }
    }

    /// Returns the content of the figure's file.
    ///
    /// # Errors
    /// Fails if there is nothing to draw, or if the PNG cannot be rendered.
    pub fn file(&self, size: FigureSize, format: FigureFormat) -> Result<Vec<u8>, FigureError> {
        let svg = self.svg(size)?;
        match format {
            FigureFormat::Svg => Ok(svg.into_bytes()),
            FigureFormat::Png => png_file::png(&svg, size).map_err(FigureError::Png),
        }
    }
}
