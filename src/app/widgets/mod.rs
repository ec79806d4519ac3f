//! Controls that egui does not bring along, each named for screen readers and tests.

mod buttons;
mod marker;
mod rail;
mod scale;
mod setting;

pub use buttons::{
    Icon, LEGEND_MARK, chip, choice, icon_button, legend_entry, menu, pill, primary_button,
    secondary_button, segmented, switch,
};
pub use marker::{Mark, marker};
pub use rail::Rail;
pub use scale::Scale;
pub use setting::{Edit, Setting, within};
