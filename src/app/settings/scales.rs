//! Scales of the sliders, and how their numbers are read.

use std::ops::RangeInclusive;

use crate::app::widgets::Scale;
use crate::guidance::settings::limits;

/// Minimum λ above 0 on the slider. Values differ by a few units, so with a smaller λ the selection
/// is almost random.
const MIN_LAMBDA: f64 = 0.1;

pub(super) fn beta_scale() -> Scale {
    let (low, high) = limits_of(&limits::BETA);
    Scale::Linear { min: low, max: high, step: 0.05, snap: 0.08 }
}

pub(super) fn lambda_scale() -> Scale {
    let (_, high) = limits_of(&limits::LAMBDA);
    Scale::Decades {
        min: MIN_LAMBDA,
        max: high,
        has_zero: true,
        has_infinity: true,
        is_integer: false,
    }
}

/// Rounds to the decimal that the user entered: 0.7, not 0.699999988.
pub(super) fn rounded(value: f32) -> f64 {
    if value.is_finite() { (f64::from(value) * 1e5).round() / 1e5 } else { f64::from(value) }
}

pub(super) fn limits_of(range: &RangeInclusive<f32>) -> (f64, f64) {
    (rounded(*range.start()), rounded(*range.end()))
}

/// Parses a number. Accepts a minus sign (U+2212) and a decimal comma.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    text.trim().replace('−', "-").replace(',', ".").parse().ok()
}
