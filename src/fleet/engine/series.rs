//! Counts per time step.
//!
//! Owns the cutting of time into [`STEP_SECONDS`]. Never rounds anything away: a series of a flow sums up to its total.

use crate::fleet::outcome::STEP_SECONDS;

/// One step in microseconds.
pub const STEP_MICROS: u64 = STEP_SECONDS * 1_000_000;

/// Whole things per step.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    steps: Vec<u64>,
}

impl Tally {
    /// Counts `n` at one moment.
    pub fn add(&mut self, at: u64, n: u64) {
        let step = (at / STEP_MICROS) as usize;
        if step >= self.steps.len() {
            self.steps.resize(step + 1, 0);
        }
        self.steps[step] += n;
    }

    /// Counts `count` times `each` requests that follow a first one at equal distances: of `each + 1` parts of the time
    /// between two moments every part but the first begins with one.
    pub fn follow(&mut self, from: u64, to: u64, each: u64, count: u64) {
        if each == 0 || count == 0 {
            return;
        }
        if to <= from || from / STEP_MICROS == to / STEP_MICROS {
            self.add(from, each * count);
            return;
        }
        let mut counted = 0;
        let mut at = from;
        while at < to {
            let next = ((at / STEP_MICROS + 1) * STEP_MICROS).min(to);
            let parts = u128::from(each + 1) * u128::from(next - from) / u128::from(to - from);
            let until = (parts as u64).min(each);
            self.add(at, (until - counted) * count);
            counted = until;
            at = next;
        }
    }

    /// So far.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.steps.iter().sum()
    }

    /// The series of a run that ended at `end`.
    #[must_use]
    pub fn finish(mut self, end: u64) -> Vec<u64> {
        self.steps.resize(steps_until(end), 0);
        self.steps
    }
}

/// How many steps a run until `end` has, at least one.
#[must_use]
pub fn steps_until(end: u64) -> usize {
    end.div_ceil(STEP_MICROS).max(1) as usize
}

/// A flow per step, such as bytes at fractional rates.
#[derive(Clone, Default, Debug)]
pub struct Flow {
    steps: Vec<f64>,
}

impl Flow {
    /// Adds `amount` at one moment.
    pub fn add(&mut self, at: u64, amount: f64) {
        let step = (at / STEP_MICROS) as usize;
        if step >= self.steps.len() {
            self.steps.resize(step + 1, 0.0);
        }
        self.steps[step] += amount;
    }

    /// Adds `amount` evenly between two moments.
    pub fn spread(&mut self, from: u64, to: u64, amount: f64) {
        if to <= from || from / STEP_MICROS == (to - 1) / STEP_MICROS {
            self.add(from, amount);
            return;
        }
        let per_micro = amount / (to - from) as f64;
        let mut at = from;
        while at < to {
            let next = ((at / STEP_MICROS + 1) * STEP_MICROS).min(to);
            self.add(at, per_micro * (next - at) as f64);
            at = next;
        }
    }

    /// What flowed in the step that begins at `at`.
    #[must_use]
    pub fn in_step(&self, at: u64) -> f64 {
        self.steps
            .get((at / STEP_MICROS) as usize)
            .copied()
            .unwrap_or(0.0)
    }

    /// Whole numbers per step of a run that ended at `end`, whose running sum is never off by more than a half. Sums of
    /// many fractions drift; where the whole is known, the series is scaled to it.
    #[must_use]
    pub fn finish(mut self, end: u64, total: Option<u64>) -> Vec<u64> {
        self.steps.resize(steps_until(end), 0.0);
        let sum: f64 = self.steps.iter().sum();
        if let Some(total) = total
            && sum > 0.0
        {
            let scale = total as f64 / sum;
            for step in &mut self.steps {
                *step *= scale;
            }
        }
        let mut exact = 0.0;
        let mut told = 0_u64;
        self.steps
            .iter()
            .map(|amount| {
                exact += amount;
                let until = (exact.round() as u64).max(told);
                let step = until - told;
                told = until;
                step
            })
            .collect()
    }
}

/// Seconds until each share of `devices` was reached by the running sum of a series; linear within a step.
#[must_use]
pub fn percentiles(series: &[u64], devices: u64, shares: [f64; 3]) -> [Option<f64>; 3] {
    shares.map(|share| {
        let wanted = (devices as f64 * share).ceil().max(1.0);
        let mut before = 0.0;
        for (step, &count) in series.iter().enumerate() {
            let count = count as f64;
            if before + count >= wanted {
                let within = (wanted - before) / count;
                return Some((step as f64 + within) * STEP_SECONDS as f64);
            }
            before += count;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spread_sums_up_and_lies_where_it_belongs() {
        let mut tally = Tally::default();
        tally.follow(30_000_000, 150_000_000, 3, 10);
        assert_eq!(tally.clone().finish(180_000_000), [10, 20, 0]);
        assert_eq!(tally.sum(), 30);
        let mut flow = Flow::default();
        flow.spread(30_000_000, 150_000_000, 10.0);
        assert_eq!(flow.finish(180_000_000, Some(10)).iter().sum::<u64>(), 10);
    }

    #[test]
    fn percentiles_are_read_within_a_step_and_may_be_missing() {
        let found = percentiles(&[0, 50, 40], 100, [0.25, 0.5, 0.99]);
        assert_eq!(found, [Some(90.0), Some(120.0), None]);
    }
}
