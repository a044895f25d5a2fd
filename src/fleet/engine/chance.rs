//! Random numbers: which stream each draw comes from.
//!
//! Owns the seeding. One seed gives a sequential stream per purpose, and a short private stream per device and attempt, so
//! that what a device draws never depends on the order of events. Never reads entropy from the system.

use rand::Rng;
use rand_distr::{Binomial, Distribution, Exp1, Poisson, StandardNormal};
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
    if p > 0.5 {
        return n - binomial(dice, n, 1.0 - p);
    }
    let mean = n as f64 * p;
    let variance = mean * (1.0 - p);
    if mean < INVERTED_MEAN_MAX {
        binomial_by_inversion(dice, n, p)
    } else if variance >= NORMAL_VARIANCE_MIN {
        near_normal(dice, mean, variance, 1.0 - 2.0 * p).min(n)
    } else {
        Binomial::new(n, p).map_or(0, |law| law.sample(dice))
    }
}

/// Up to this mean a count is found by going through the counts from zero on, which needs about as many steps.
const INVERTED_MEAN_MAX: f64 = 10.0;

/// From this variance on a count is as good as normal once its skew is put right: within four standard deviations its
/// quantiles are off by 0.83 / 10 of a device at most (the next term of the expansion), which rounding hides.
const NORMAL_VARIANCE_MIN: f64 = 100.0;

fn binomial_by_inversion(dice: &mut Dice, n: u64, p: f64) -> u64 {
    let mut rank: f64 = dice.random();
    // Bernoulli's inequality: nobody has at least this chance. Most counts are of rare things, and are over here.
    if rank < 1.0 - n as f64 * p {
        return 0;
    }
    let odds = p / (1.0 - p);
    let mut chance = (n as f64 * (-p).ln_1p()).exp();
    for count in 0..n {
        if rank < chance {
            return count;
        }
        rank -= chance;
        chance *= odds * (n - count) as f64 / (count + 1) as f64;
        if chance <= 0.0 {
            return count;
        }
    }
    n
}

/// A whole number from a law that is nearly normal: Cornish and Fisher's expansion up to the skew, which is
/// `tilt / √variance`.
fn near_normal(dice: &mut Dice, mean: f64, variance: f64, tilt: f64) -> u64 {
    let z: f64 = StandardNormal.sample(dice);
    let count = mean + variance.sqrt() * z + tilt * (z * z - 1.0) / 6.0;
    count.round().max(0.0) as u64
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
    if mean >= NORMAL_VARIANCE_MIN {
        return near_normal(dice, mean, mean, 1.0);
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

    /// Mean, variance and third central moment of many draws.
    fn moments(mut draw: impl FnMut() -> u64) -> [f64; 3] {
        const DRAWS: u32 = 200_000;
        let draws: Vec<f64> = (0..DRAWS).map(|_| draw() as f64).collect();
        let average = |of: &dyn Fn(f64) -> f64| {
            draws.iter().map(|draw| of(*draw)).sum::<f64>() / f64::from(DRAWS)
        };
        let mean = average(&|draw| draw);
        [
            mean,
            average(&|draw| (draw - mean).powi(2)),
            average(&|draw| (draw - mean).powi(3)),
        ]
    }

    /// Every method on both sides of its limits: rare, many, almost certain.
    #[test]
    fn counts_have_the_mean_the_variance_and_the_skew_of_their_law() {
        let mut dice = stream(11, Purpose::Fleet);
        let check = |what: &str, seen: [f64; 3], wanted: [f64; 3]| {
            let sigma = wanted[1].sqrt();
            // Five standard deviations of the estimates of 200,000 draws, those of the normal law.
            let off = [0.0112 * sigma, 0.0159 * wanted[1], 0.0434 * sigma.powi(3)];
            for moment in 0..3 {
                let slack = off[moment] * if wanted[1] < 100.0 { 2.0 } else { 1.0 };
                assert!(
                    (seen[moment] - wanted[moment]).abs() < slack,
                    "{what}: {seen:?} {wanted:?}"
                );
            }
        };
        for (n, p) in [
            (5, 0.3),
            (40, 0.02),
            (1_000_000, 3e-6),
            (30, 0.3),
            (30, 0.7),
            (500, 0.1),
            (500, 0.3),
            (4_000, 0.93),
            (1_000_000_000, 1e-6),
        ] {
            let seen = moments(|| binomial(&mut dice, n, p));
            let mean = n as f64 * p;
            let variance = mean * (1.0 - p);
            let wanted = [mean, variance, variance * (1.0 - 2.0 * p)];
            check(&format!("{n} with {p}"), seen, wanted);
        }
        for mean in [0.4, 30.0, 99.0, 101.0] {
            let seen = moments(|| poisson(&mut dice, mean));
            check(&format!("about {mean}"), seen, [mean; 3]);
        }
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
