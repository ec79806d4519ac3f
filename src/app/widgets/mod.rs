//! Widgets that egui does not provide. Each has an accessible name, for screen readers and tests.

mod axis;
mod buttons;
mod legend;
mod marker;
mod progress_bar;
mod scale;
mod setting;
mod slider;

pub use axis::{grid_marks, tick_label};
pub use buttons::{
    Icon, LEGEND_MARK, chip, choice, icon_button, legend_entry, menu, pill, primary_button,
    secondary_button, segmented, switch,
};
pub use legend::{LEGEND_KEY_WIDTH, legend_key};
pub use marker::{Mark, marker};
pub use progress_bar::progress_bar;
pub use scale::Scale;
pub use setting::{Edit, Setting, within};
pub use slider::Slider;
