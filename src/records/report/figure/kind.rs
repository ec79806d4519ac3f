//! The sizes and formats of figures, and the reasons why one cannot be drawn.

use thiserror::Error;

use crate::records::report::value_plot::NO_VALUES;

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
