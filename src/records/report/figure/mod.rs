//! Figures of a run or a sweep for papers and slides, as SVG or PNG files.
//!
//! Each figure stands alone: light background, title, axis labels with units, a legend, and only
//! presentation attributes, which every program that reads SVG understands. The PNG shows the same
//! drawing.

mod kind;
mod png_file;
mod sheet;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;
mod values;

pub use kind::{FigureError, FigureFormat, FigureSize};

use crate::guidance::trace::Trace;
use crate::lab::sweep::{SweepAxis, SweepResults};

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
