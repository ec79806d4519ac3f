//! How the values of a setting are spread along its rail.

/// A mapping between a value and a place on the rail, 0 (left) to 1 (right).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Evenly spread.
    Linear {
        /// Left end.
        min: f64,
        /// Right end.
        max: f64,
        /// Values are multiples of this.
        step: f64,
        /// Values closer to 0 than this become 0 when dragged, so that "off" is easy to hit.
        magnet: f64,
    },
    /// Every factor of ten as long as the next, between `least` and `max`. With `zero` the left
    /// end is 0 besides, with `endless` the right end is infinity.
    Decades {
        /// The smallest value that is not 0.
        least: f64,
        /// The largest finite value.
        max: f64,
        /// Whether the left end is 0.
        zero: bool,
        /// Whether the right end is infinity.
        endless: bool,
        /// Whether values are whole numbers.
        whole: bool,
    },
}

/// The share of the rail that an end stop (0, ∞) takes.
const STOP: f64 = 0.07;

impl Scale {
    /// Where `value` is on the rail.
    pub fn position(self, value: f64) -> f64 {
        match self {
            Scale::Linear { min, max, .. } => ((value - min) / (max - min)).clamp(0.0, 1.0),
            Scale::Decades { least, max, .. } => {
                let (start, end) = self.finite_part();
                if value < least {
                    0.0
                } else if value > max {
                    1.0
                } else {
                    start + (value / least).ln() / (max / least).ln() * (end - start)
                }
            }
        }
    }

    /// Where the values that are neither 0 nor infinity lie on the rail.
    fn finite_part(self) -> (f64, f64) {
        match self {
            Scale::Linear { .. } => (0.0, 1.0),
            Scale::Decades { zero, endless, .. } => {
                (if zero { STOP } else { 0.0 }, if endless { 1.0 - STOP } else { 1.0 })
            }
        }
    }

    /// The value at a place on the rail, rounded to what a person would write.
    pub fn value(self, position: f64) -> f64 {
        match self {
            Scale::Linear { min, max, magnet, .. } => {
                let value = min + position.clamp(0.0, 1.0) * (max - min);
                if value.abs() < magnet { 0.0 } else { self.round(value) }
            }
            Scale::Decades { least, max, zero, endless, .. } => {
                let (start, end) = self.finite_part();
                if zero && position < STOP / 2.0 {
                    0.0
                } else if endless && position > 1.0 - STOP / 2.0 {
                    f64::INFINITY
                } else {
                    let along = ((position - start) / (end - start)).clamp(0.0, 1.0);
                    self.round(least * (max / least).powf(along)).clamp(least, max)
                }
            }
        }
    }

    /// The value `steps` key presses further.
    pub fn stepped(self, value: f64, steps: f64) -> f64 {
        let Scale::Decades { least, max, whole, .. } = self else {
            let (min, max) = self.ends();
            let step = if let Scale::Linear { step, .. } = self { step } else { 1.0 };
            return self.round(value + steps * step).clamp(min, max);
        };
        let (bottom, top) = self.ends();
        let up = steps > 0.0;
        if value > max {
            return if up { top } else { max };
        }
        if value < least {
            return if up { least } else { bottom };
        }
        if (up && value >= max) || (!up && value <= least) {
            return if up { top } else { bottom };
        }
        let next = self.round(value * 10f64.powf(steps * 0.05));
        let stuck = whole && (next - value).abs() < 1.0;
        let next = if stuck { value + steps.signum() } else { next };
        next.clamp(least, max)
    }

    /// The nearest value that can be written with few digits.
    fn round(self, value: f64) -> f64 {
        match self {
            Scale::Linear { step, .. } => {
                // Through the reciprocal where that is exact: 0.05 · 7 is not 0.35.
                let per_unit = (1.0 / step).round();
                if step < 1.0 { (value * per_unit).round() / per_unit } else { value.round() }
            }
            Scale::Decades { whole: true, .. } if value < 100.0 => value.round(),
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

    /// Both ends, for screen readers.
    pub fn ends(self) -> (f64, f64) {
        match self {
            Scale::Linear { min, max, .. } => (min, max),
            Scale::Decades { least, max, zero, endless, .. } => {
                (if zero { 0.0 } else { least }, if endless { f64::INFINITY } else { max })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETA: Scale = Scale::Linear { min: -3.0, max: 3.0, step: 0.05, magnet: 0.08 };
    const LAMBDA: Scale =
        Scale::Decades { least: 0.1, max: 100.0, zero: true, endless: true, whole: false };
    const TOP_K: Scale =
        Scale::Decades { least: 1.0, max: 1000.0, zero: true, endless: false, whole: true };
    const LENGTH: Scale =
        Scale::Decades { least: 1.0, max: 1000.0, zero: false, endless: false, whole: true };

    #[test]
    fn the_ends_of_lambda_are_zero_and_infinity() {
        assert_eq!(LAMBDA.value(0.0), 0.0);
        assert_eq!(LAMBDA.value(1.0), f64::INFINITY);
        assert_eq!(LAMBDA.position(0.0), 0.0);
        assert_eq!(LAMBDA.position(f64::INFINITY), 1.0);
        assert!(LAMBDA.value(0.5).is_finite());
    }

    #[test]
    fn a_value_keeps_its_place() {
        for scale in [BETA, LAMBDA, TOP_K, LENGTH] {
            for i in 0..=200 {
                let value = scale.value(f64::from(i) / 200.0);
                let again = scale.value(scale.position(value));
                assert_eq!(value, again, "{scale:?} at {i}");
            }
        }
    }

    #[test]
    fn zero_attracts() {
        assert_eq!(BETA.value(0.5 + 0.06 / 6.0), 0.0);
        assert_eq!(BETA.value(0.5 + 0.2 / 6.0), 0.2);
    }

    #[test]
    fn values_grow_along_the_rail() {
        for scale in [BETA, LAMBDA, TOP_K, LENGTH] {
            let values = (0..=100).map(|i| scale.value(f64::from(i) / 100.0));
            assert!(values.collect::<Vec<_>>().is_sorted(), "{scale:?}");
        }
    }

    #[test]
    fn the_keyboard_reaches_every_stop() {
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
