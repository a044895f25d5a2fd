//! Devices that pause after a cut, or are refused when they come back from it.
//!
//! Owns who pauses and when they come back, and the pools of those who stand still. Pauses are exponential, so it does not matter how long somebody paused
//! already: those on the same line who need about as much are one pool, from which each step takes a binomial share.
//! Never loses a byte: a pool carries the sum of what its devices still need.

use super::super::chance::{self, Dice};
use super::downloads::Cohort;
use crate::fleet::scenario::{Line, Scenario};

/// Devices that need about as much, to this share of an artifact, are one pool.
const PARTS: usize = 2;
/// A pool is looked at so many times per mean pause: that leaves a mean within 1 %, because who begins to pause does so
/// half a look before the first one.
const LOOKS_PER_MEAN: u64 = 4;

/// Devices that stand still with some of their bytes: those who are alike are one pool.
#[derive(Debug)]
pub struct Pools {
    kinds: Vec<Pool>,
    sizes: Vec<u64>,
    count: u64,
}

#[derive(Clone, Copy, Default, Debug)]
struct Pool {
    count: u64,
    needed: u64,
    /// When one of them learnt of the release, in steps; each as likely as any other.
    learned: u32,
}

impl Pools {
    /// All empty.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let sizes: Vec<u64> = scenario.release.artifacts.iter().map(|a| a.bytes).collect();
        Self {
            kinds: vec![Pool::default(); sizes.len() * Line::CLASSES * PARTS],
            sizes,
            count: 0,
        }
    }

    /// Some come.
    pub fn add(&mut self, cohort: Cohort, dice: &mut Dice) {
        let size = self.sizes[usize::from(cohort.artifact)].max(1);
        let each = cohort.needed / cohort.count;
        let part = (each * PARTS as u64 / size).min(PARTS as u64 - 1) as usize;
        let kind = usize::from(cohort.artifact) * Line::CLASSES + usize::from(cohort.class);
        let pool = &mut self.kinds[kind * PARTS + part];
        self.count += cohort.count;
        pool.count += cohort.count;
        pool.needed += cohort.needed;
        if chance::is_one_of(dice, cohort.count, pool.count) {
            pool.learned = cohort.learned;
        }
    }

    /// So many of all go, anyone as likely as any other.
    pub fn draw(&mut self, count: u64, dice: &mut Dice) -> Vec<Cohort> {
        let mut drawn = Vec::new();
        let mut all = self.count;
        let mut wanted = count.min(all);
        for at in 0..self.kinds.len() {
            if wanted == 0 {
                break;
            }
            let here = self.kinds[at].count;
            if here == 0 {
                continue;
            }
            let share = here as f64 / all as f64;
            all -= here;
            // No more than are here, and no fewer than the others lack.
            let some = chance::binomial(dice, wanted, share);
            let some = some.clamp(wanted.saturating_sub(all), here.min(wanted));
            wanted -= some;
            drawn.extend(self.part(at, some));
        }
        drawn
    }

    /// Some of one pool go.
    fn part(&mut self, at: usize, count: u64) -> Option<Cohort> {
        if count == 0 {
            return None;
        }
        let pool = &mut self.kinds[at];
        let needed = (u128::from(pool.needed) * u128::from(count) / u128::from(pool.count)) as u64;
        pool.count -= count;
        pool.needed -= needed;
        self.count -= count;
        let kind = at / PARTS;
        Some(Cohort {
            count,
            class: (kind % Line::CLASSES) as u16,
            artifact: (kind / Line::CLASSES) as u16,
            needed,
            learned: pool.learned,
        })
    }
}

/// All who pause.
#[derive(Debug)]
pub struct Pauses {
    pools: Pools,
    /// Each pool is looked at in every so-manieth step.
    turns: usize,
    /// The chance to come back between two looks.
    back: f64,
}

impl Pauses {
    /// Nobody pauses yet.
    #[must_use]
    pub fn new(scenario: &Scenario, step: u64) -> Self {
        let mean = (scenario.transfer.resume_after.as_micros() as u64).max(1);
        let turns = (mean / LOOKS_PER_MEAN / step).max(1);
        Self {
            pools: Pools::new(scenario),
            turns: turns as usize,
            back: 1.0 - (-((turns * step) as f64) / mean as f64).exp(),
        }
    }

    /// Some begin to pause.
    pub fn add(&mut self, cohort: Cohort, dice: &mut Dice) {
        self.pools.add(cohort, dice);
    }

    /// Who comes back in a step.
    pub fn take(&mut self, now: usize, dice: &mut Dice) -> Vec<Cohort> {
        if self.pools.count == 0 {
            return Vec::new();
        }
        (now % self.turns..self.pools.kinds.len())
            .step_by(self.turns)
            .filter_map(|at| {
                let count = chance::binomial(dice, self.pools.kinds[at].count, self.back);
                self.pools.part(at, count)
            })
            .collect()
    }
}
