//! The scale of a slider: linear or logarithmic.

/// A mapping between a value and a position on the slider, from 0 (left) to 1 (right).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// A linear scale.
    Linear {
        /// Left end.
        min: f64,
        /// Right end.
        max: f64,
        /// Values are multiples of this.
        step: f64,
        /// A dragged value closer to 0 than this becomes 0, so that "off" is easy to select.
        snap: f64,
    },
    /// A logarithmic scale from `min` to `max`, with optional end stops for 0 and infinity.
    Decades {
        /// Minimum value above 0.
        min: f64,
        /// Maximum finite value.
        max: f64,
        /// Whether the left end is 0.
        has_zero: bool,
        /// Whether the right end is infinity.
        has_infinity: bool,
        /// Whether values are whole numbers.
        is_integer: bool,
    },
}

/// The share of the slider that an end stop (0 or ∞) takes.
const STOP: f64 = 0.07;

impl Scale {
    /// Returns the position of `value`.
    pub fn position(self, value: f64) -> f64 {
        match self {
            Scale::Linear { min, max, .. } => ((value - min) / (max - min)).clamp(0.0, 1.0),
            Scale::Decades { min, max, .. } => {
                let (start, end) = self.finite_part();
                if value < min {
                    0.0
                } else if value > max {
                    1.0
                } else {
                    start + (value / min).ln() / (max / min).ln() * (end - start)
                }
            }
        }
    }

    /// Returns the first and last position of the values that are neither 0 nor infinity.
    fn finite_part(self) -> (f64, f64) {
        match self {
            Scale::Linear { .. } => (0.0, 1.0),
            Scale::Decades { has_zero, has_infinity, .. } => {
                (if has_zero { STOP } else { 0.0 }, if has_infinity { 1.0 - STOP } else { 1.0 })
            }
        }
    }

    /// Returns the value at a position, rounded to few digits.
    pub fn value(self, position: f64) -> f64 {
        match self {
            Scale::Linear { min, max, snap, .. } => {
                let value = min + position.clamp(0.0, 1.0) * (max - min);
                if value.abs() < snap { 0.0 } else { self.round(value) }
            }
            Scale::Decades { min, max, has_zero, has_infinity, .. } => {
                let (start, end) = self.finite_part();
                if has_zero && position < STOP / 2.0 {
                    0.0
                } else if has_infinity && position > 1.0 - STOP / 2.0 {
                    f64::INFINITY
                } else {
                    let share = ((position - start) / (end - start)).clamp(0.0, 1.0);
                    self.round(min * (max / min).powf(share)).clamp(min, max)
                }
            }
        }
    }

    /// Returns the value after `steps` key presses.
    pub fn stepped(self, value: f64, steps: f64) -> f64 {
        let Scale::Decades { min, max, is_integer, .. } = self else {
            let (min, max) = self.ends();
            let step = if let Scale::Linear { step, .. } = self { step } else { 1.0 };
            return self.round(value + steps * step).clamp(min, max);
        };
        let (bottom, top) = self.ends();
        let up = steps > 0.0;
        if value > max {
            return if up { top } else { max };
        }
        if value < min {
            return if up { min } else { bottom };
        }
        if (up && value >= max) || (!up && value <= min) {
            return if up { top } else { bottom };
        }
        let next = self.round(value * 10f64.powf(steps * 0.05));
        let is_stuck = is_integer && (next - value).abs() < 1.0;
        let next = if is_stuck { value + steps.signum() } else { next };
        next.clamp(min, max)
    }

    /// Rounds to the nearest value with few digits.
    fn round(self, value: f64) -> f64 {
        match self {
            Scale::Linear { step, .. } => {
                // Divides by the reciprocal, because 0.05 · 7 is not exactly 0.35.
                let per_unit = (1.0 / step).round();
                if step < 1.0 { (value * per_unit).round() / per_unit } else { value.round() }
            }
            Scale::Decades { is_integer: true, .. } if value < 100.0 => value.round(),
            Scale::Decades { .. } if value > 0.0 => {
                let digit = 10f64.powf(value.log10().floor() - 1.0);
                let per_unit = (1.0 / digit).round();
                if digit < 1.0 {
                    (value * per_unit).round() / per_unit
                } else {
                    (value / digit).round() * digit
                }
            }
            Scale::Decades { .. } => 0.0,
        }
    }

    /// Returns the minimum and maximum value.
    pub fn ends(self) -> (f64, f64) {
        match self {
            Scale::Linear { min, max, .. } => (min, max),
            Scale::Decades { min, max, has_zero, has_infinity, .. } => {
                (if has_zero { 0.0 } else { min }, if has_infinity { f64::INFINITY } else { max })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETA: Scale = Scale::Linear { min: -3.0, max: 3.0, step: 0.05, snap: 0.08 };
    const LAMBDA: Scale = Scale::Decades {
        min: 0.1,
        max: 100.0,
        has_zero: true,
        has_infinity: true,
        is_integer: false,
    };
    const TOP_K: Scale = Scale::Decades {
        min: 1.0,
        max: 1000.0,
        has_zero: true,
        has_infinity: false,
        is_integer: true,
    };
    const LENGTH: Scale = Scale::Decades {
        min: 1.0,
        max: 1000.0,
        has_zero: false,
        has_infinity: false,
        is_integer: true,
    };

    #[test]
    fn the_ends_of_lambda_are_zero_and_infinity() {
        assert_eq!(LAMBDA.value(0.0), 0.0);
        assert_eq!(LAMBDA.value(1.0), f64::INFINITY);
        assert_eq!(LAMBDA.position(0.0), 0.0);
        assert_eq!(LAMBDA.position(f64::INFINITY), 1.0);
        assert!(LAMBDA.value(0.5).is_finite());
    }

    #[test]
    fn value_and_position_are_inverse() {
        for scale in [BETA, LAMBDA, TOP_K, LENGTH] {
            for i in 0..=200 {
                let value = scale.value(f64::from(i) / 200.0);
                let again = scale.value(scale.position(value));
                assert_eq!(value, again, "{scale:?} at {i}");
            }
        }
    }

    #[test]
    fn values_near_zero_snap_to_zero() {
        assert_eq!(BETA.value(0.5 + 0.06 / 6.0), 0.0);
        assert_eq!(BETA.value(0.5 + 0.2 / 6.0), 0.2);
    }

    #[test]
    fn values_increase_from_left_to_right() {
        for scale in [BETA, LAMBDA, TOP_K, LENGTH] {
            let values = (0..=100).map(|i| scale.value(f64::from(i) / 100.0));
            assert!(values.collect::<Vec<_>>().is_sorted(), "{scale:?}");
        }
    }

    #[test]
    fn the_keyboard_reaches_both_ends() {
        for scale in [LAMBDA, TOP_K, LENGTH] {
            let mut value = scale.ends().0;
            for _ in 0..200 {
                let next = scale.stepped(value, 1.0);
                assert!(next > value || next == scale.ends().1, "stuck at {value}");
                value = next;
            }
            assert_eq!(value, scale.ends().1);
            for _ in 0..200 {
                value = scale.stepped(value, -1.0);
            }
            assert_eq!(value, scale.ends().0);
        }
        assert_eq!(BETA.stepped(0.3, 1.0), 0.35);
        assert_eq!(BETA.stepped(3.0, 1.0), 3.0);
    }
}
