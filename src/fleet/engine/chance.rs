//! Random numbers: which stream each draw comes from.
//!
//! Owns the seeding. One seed gives a sequential stream per purpose, and a short private stream per device and attempt, so
//! that what a device draws never depends on the order of events. Never reads entropy from the system.

use rand::Rng;
use rand_distr::{Binomial, Distribution, Exp1, Poisson};
use rand_pcg::Pcg64Mcg;

/// The generator of every draw: its stream is fixed by its authors, so the same seed gives the same run for years.
pub type Dice = Pcg64Mcg;

/// What a sequential stream is for. Two purposes never share one, so that one more draw here moves nothing there.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Who the devices are.
    Fleet = 1,
    /// When they ask.
    Arrivals = 2,
    /// What happens to them on the way.
    Transfers = 3,
    /// What reaches the caches.
    Edge = 4,
    /// Which POP a device is sent to: drawn only where there is an edge, so it must move nothing else.
    Pops = 5,
}

/// A sequential stream.
#[must_use]
pub fn stream(seed: u64, purpose: Purpose) -> Dice {
    of(seed, purpose as u64, 0)
}

/// The private stream of one attempt of one device.
#[must_use]
pub fn attempt(seed: u64, device: u32, attempt: u32) -> Dice {
    of(
        seed ^ 0x5851_f42d_4c95_7f2d,
        u64::from(device),
        u64::from(attempt),
    )
}

fn of(seed: u64, major: u64, minor: u64) -> Dice {
    let high = mix(seed ^ mix(major));
    let low = mix(high ^ minor.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Dice::new((u128::from(high) << 64) | u128::from(low))
}

/// `SplitMix64`'s finaliser: neighbouring numbers become unrelated ones. A multiplicative generator needs that of its
/// first state.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number between 0 and 1, fixed by its arguments.
#[must_use]
pub fn fixed_unit(seed: u64, major: u64, minor: u64) -> f64 {
    (mix(mix(seed ^ mix(major)) ^ minor) >> 11) as f64 / (1_u64 << 53) as f64
}

/// An exponential draw.
pub fn exponential(dice: &mut Dice, mean: f64) -> f64 {
    let unit: f64 = Exp1.sample(dice);
    unit * mean
}

/// How many of `n` succeed, each with chance `p`.
pub fn binomial(dice: &mut Dice, n: u64, p: f64) -> u64 {
    if n == 0 || p <= 0.0 {
        return 0;
    }
    if p >= 1.0 {
        return n;
    }
    if n < 8 {
        // Cheaper than the set-up of the general method.
        return (0..n).map(|_| u64::from(dice.random::<f64>() < p)).sum();
    }
    Binomial::new(n, p).map_or(0, |law| law.sample(dice))
}

/// Whether a draw among `all` falls on one of the last `some`.
pub fn is_one_of(dice: &mut Dice, some: u64, all: u64) -> bool {
    some >= all || dice.random_range(0..all) < some
}

/// A Poisson count.
pub fn poisson(dice: &mut Dice, mean: f64) -> u64 {
    if mean <= 0.0 {
        return 0;
    }
    Poisson::new(mean).map_or(0, |law| law.sample(dice) as u64)
}

/// Shares out `n` over `weights` (any positive sum), each independently.
pub fn multinomial(dice: &mut Dice, n: u64, weights: &[f64], into: &mut Vec<u64>) {
    into.clear();
    let mut left = n;
    let mut weight_left: f64 = weights.iter().sum();
    for weight in weights {
        let p = if weight_left > 0.0 {
            (weight / weight_left).clamp(0.0, 1.0)
        } else {
            0.0
        };
        let count = binomial(dice, left, p);
        into.push(count);
        left -= count;
        weight_left -= weight;
    }
    // Rounding of the weights must not lose anybody.
    if left > 0
        && let Some(last) = into
            .iter_mut()
            .rev()
            .zip(weights.iter().rev())
            .find(|pair| *pair.1 > 0.0)
    {
        *last.0 += left;
    }
}

/// A discrete distribution that is drawn from in constant time (Walker's alias method, in Vose's form).
#[derive(Clone, Debug)]
pub struct Alias {
    cells: Vec<(f64, u32)>,
}

impl Alias {
    /// Over the indices of `weights`.
    #[must_use]
    pub fn new(weights: &[f64]) -> Self {
        let n = weights.len();
        let sum: f64 = weights.iter().sum();
        let mut scaled: Vec<f64> = weights.iter().map(|w| w / sum * n as f64).collect();
        let mut cells: Vec<(f64, u32)> = (0..n).map(|i| (1.0, i as u32)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|&i| scaled[i] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            cells[poor] = (scaled[poor], rich as u32);
            scaled[rich] -= 1.0 - scaled[poor];
            if scaled[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { cells }
    }

    /// One draw.
    pub fn sample(&self, dice: &mut Dice) -> usize {
        let at = dice.random::<f64>() * self.cells.len() as f64;
        let cell = (at as usize).min(self.cells.len() - 1);
        let (keep, other) = self.cells[cell];
        if at - (cell as f64) < keep {
            cell
        } else {
            other as usize
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_draws_follow_the_weights() {
        let alias = Alias::new(&[1.0, 0.0, 3.0, 6.0]);
        let mut dice = stream(7, Purpose::Fleet);
        let mut counts = [0_u32; 4];
        for _ in 0..100_000 {
            counts[alias.sample(&mut dice)] += 1;
        }
        assert_eq!(counts[1], 0);
        for (count, expected) in counts.into_iter().zip([10_000.0, 0.0, 30_000.0, 60_000.0]) {
            assert!((f64::from(count) - expected).abs() < 800.0, "{counts:?}");
        }
    }

    #[test]
    fn multinomial_counts_sum_up_and_follow_the_weights() {
        let mut dice = stream(7, Purpose::Fleet);
        let mut counts = Vec::new();
        multinomial(&mut dice, 1_000_000, &[0.2, 0.3, 0.5, 0.0], &mut counts);
        assert_eq!(counts.iter().sum::<u64>(), 1_000_000);
        assert_eq!(counts[3], 0);
        assert!(counts[1].abs_diff(300_000) < 3_000, "{counts:?}");
    }

    #[test]
    fn neighbouring_devices_draw_unrelated_numbers() {
        let mean: f64 = (0..10_000)
            .map(|device| attempt(1, device, 0).random::<f64>())
            .sum::<f64>()
            / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert_ne!(
            attempt(1, 1, 0).random::<u64>(),
            attempt(1, 1, 1).random::<u64>()
        );
    }
}
