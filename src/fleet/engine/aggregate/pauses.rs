//! Devices that pause after a cut.
//!
//! Owns who pauses and when they come back. Pauses are exponential, so it does not matter how long somebody paused
//! already: those on the same line who need about as much are one pool, from which each step takes a binomial share.
//! Never loses a byte: a pool carries the sum of what its devices still need.

use super::super::chance::{self, Dice};
use super::downloads::Cohort;
use crate::fleet::scenario::{Line, Scenario};

/// Devices that need about as much, to this share of an artifact, are one pool.
const PARTS: usize = 4;
/// A pool is looked at so many times per mean pause.
const LOOKS_PER_MEAN: u64 = 16;

/// All pools.
#[derive(Debug)]
pub struct Pauses {
    pools: Vec<Pool>,
    sizes: Vec<u64>,
    /// Each pool is looked at in every so-manieth step.
    turns: usize,
    /// The chance to come back between two looks.
    back: f64,
}

#[derive(Clone, Copy, Default, Debug)]
struct Pool {
    count: u64,
    needed: u64,
    /// When one of them learnt of the release, in steps; each as likely as any other.
    learned: u32,
}

impl Pauses {
    /// Nobody pauses yet.
    #[must_use]
    pub fn new(scenario: &Scenario, step: u64) -> Self {
        let sizes: Vec<u64> = scenario.release.artifacts.iter().map(|a| a.bytes).collect();
        let mean = (scenario.transfer.resume_after.as_micros() as u64).max(1);
        let turns = (mean / LOOKS_PER_MEAN / step).max(1);
        Self {
            pools: vec![Pool::default(); sizes.len() * Line::CLASSES * PARTS],
            sizes,
            turns: turns as usize,
            back: 1.0 - (-((turns * step) as f64) / mean as f64).exp(),
        }
    }

    /// Some begin to pause.
    pub fn add(&mut self, cohort: Cohort, dice: &mut Dice) {
        let size = self.sizes[usize::from(cohort.artifact)].max(1);
        let each = cohort.needed / cohort.count;
        let part = (each * PARTS as u64 / size).min(PARTS as u64 - 1) as usize;
        let kind = usize::from(cohort.artifact) * Line::CLASSES + usize::from(cohort.class);
        let pool = &mut self.pools[kind * PARTS + part];
        pool.count += cohort.count;
        pool.needed += cohort.needed;
        if chance::is_one_of(dice, cohort.count, pool.count) {
            pool.learned = cohort.learned;
        }
    }

    /// Who comes back in a step.
    pub fn take(&mut self, now: usize, dice: &mut Dice) -> Vec<Cohort> {
        let mut taken = Vec::new();
        for at in (now % self.turns..self.pools.len()).step_by(self.turns) {
            let pool = &mut self.pools[at];
            let count = chance::binomial(dice, pool.count, self.back);
            if count == 0 {
                continue;
            }
            let needed =
                (u128::from(pool.needed) * u128::from(count) / u128::from(pool.count)) as u64;
            pool.count -= count;
            pool.needed -= needed;
            let kind = at / PARTS;
            taken.push(Cohort {
                count,
                class: (kind % Line::CLASSES) as u16,
                artifact: (kind / Line::CLASSES) as u16,
                needed,
                learned: pool.learned,
            });
        }
        taken
    }
}
