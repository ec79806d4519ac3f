//! Widgets that egui does not provide. Each has an accessible name, for screen readers and tests.

mod axis;
mod buttons;
mod legend;
mod marker;
mod progress_bar;
mod scale;
mod setting;
mod slider;
mod tooltip;

pub(crate) use axis::{grid_marks, marks_at, tick_label};
pub(crate) use buttons::{
    Icon, LEGEND_MARK, chip, icon_button, legend_entry, pill, primary_button, secondary_button,
    segmented,
};
pub use buttons::{choice, menu, switch};
pub(crate) use legend::{LEGEND_KEY_WIDTH, legend_key};
pub use marker::Mark;
pub(crate) use marker::marker;
pub(crate) use progress_bar::progress_bar;
pub use scale::Scale;
pub use setting::Edit;
pub(crate) use setting::Setting;
pub use setting::within;
pub use slider::Slider;
pub(crate) use tooltip::{
    Explain, allow_tooltips, explain_on_stage, install_tooltips, opened_by_click,
};
