//! Devices' lines as equally likely classes.
//!
//! Owns the one distribution of line rates that both engines share. Never draws: a class is as likely as any other.

use crate::fleet::scenario::Line;

/// The rate of each class, bit/s, ascending: the quantiles at the middle of [`Line::CLASSES`] equal shares of a mixture
/// of a capped lognormal and a slow tail that is uniform from zero.
#[must_use]
pub fn class_rates(line: &Line) -> Vec<f64> {
    (0..Line::CLASSES)
        .map(|class| {
            let share = (class as f64 + 0.5) / Line::CLASSES as f64;
            quantile(line, share).max(1.0)
        })
        .collect()
}

fn quantile(line: &Line, share: f64) -> f64 {
    let (mut low, mut high) = (0.0, line.cap_bps.max(line.slow_bps));
    if below(line, high * (1.0 - 1e-12)) < share {
        // The cap holds everything above it.
        return line.cap_bps;
    }
    // Halving 80 times leaves less than a bit per century of a terabit line.
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if below(line, middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The share of lines slower than `bps`.
fn below(line: &Line, bps: f64) -> f64 {
    let slow = if line.slow_bps > 0.0 {
        (bps / line.slow_bps).min(1.0)
    } else {
        1.0
    };
    let normal = if bps >= line.cap_bps {
        1.0
    } else if bps <= 0.0 {
        0.0
    } else if line.sigma > 0.0 {
        normal_below((bps / line.median_bps).ln() / line.sigma)
    } else if bps < line.median_bps {
        0.0
    } else {
        1.0
    };
    line.slow_share * slow + (1.0 - line.slow_share) * normal
}

/// The standard normal distribution function; Abramowitz and Stegun 7.1.26, good to 1.5 · 10⁻⁷.
fn normal_below(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ]
    .iter()
    .fold(0.0, |sum, term| (sum + term) * t);
    let tail = 0.5 * series * (-x * x).exp();
    if z < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            median_bps: 60e6,
            sigma: 1.0,
            cap_bps: 1e9,
            slow_share: 0.05,
            slow_bps: 2e6,
        }
    }

    #[test]
    fn the_slow_share_is_slow_and_the_cap_holds() {
        let rates = class_rates(&line());
        assert_eq!(rates.len(), Line::CLASSES);
        assert!(rates.is_sorted());
        // Two of forty classes are the slow five percent.
        assert!(rates[1] < 2e6 && rates[2] > 2e6, "{rates:?}");
        assert!((rates[0] - 0.5e6).abs() < 0.05e6, "{rates:?}");
        assert!(rates[39] <= 1e9);
        let capped = class_rates(&Line {
            cap_bps: 70e6,
            ..line()
        });
        assert!((capped[39] - 70e6).abs() < 1.0);
    }

    #[test]
    fn without_a_slow_tail_the_middle_is_the_median() {
        let rates = class_rates(&Line {
            slow_share: 0.0,
            ..line()
        });
        let middle = (rates[19] * rates[20]).sqrt();
        assert!((middle / 60e6 - 1.0).abs() < 1e-4, "{middle}");
    }

    #[test]
    fn equal_lines_are_one_rate() {
        let rates = class_rates(&Line {
            sigma: 0.0,
            slow_share: 0.0,
            ..line()
        });
        assert!(
            rates.iter().all(|rate| (rate / 60e6 - 1.0).abs() < 1e-9),
            "{rates:?}"
        );
    }
}
