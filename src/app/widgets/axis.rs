//! Ticks of plot axes, and their labels.

use egui_plot::{GridInput, GridMark};

use crate::records::report::value_plot;

/// Returns about `count` ticks at multiples of 1, 2 or 5 times a power of ten.
pub(crate) fn grid_marks(input: GridInput, count: f64) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    marks_at(input, value_plot::tick_step(high - low, count))
}

/// Returns the ticks at multiples of `step_size`.
pub(crate) fn marks_at(input: GridInput, step_size: f64) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    let ticks = value_plot::ticks(low, high, step_size);
    ticks.map(|value| GridMark { value, step_size }).collect()
}

/// Returns the label of a tick, with as many decimals as the step needs.
pub(crate) fn tick_label(mark: GridMark) -> String {
    value_plot::tick_label(mark.value, mark.step_size)
}
