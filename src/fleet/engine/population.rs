//! The devices of the exact engine, one by one.
//!
//! Owns what each device is and where it stands. Never decides what happens to it: `exact/`.

use rand::Rng;

use super::arrivals::{Arrivals, NEVER};
use super::chance::{self, Alias, Purpose};
use super::lines;
use super::places::Places;
use crate::fleet::scenario::{Line, Scenario, Transfer};

/// Where a device stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has not learnt of the release, or gave up until its next poll.
    Waiting,
    /// It is on the way: asks, downloads, or pauses.
    Busy,
    /// It has the update, or will never ask again.
    Over,
}

impl Standing {
    /// Whether a poll counts. Those who have the update, or are about to, ask again for ever, release or not: they are
    /// counted until the end of the window.
    #[must_use]
    pub fn poll_counts(self, is_in_window: bool) -> bool {
        is_in_window || self == Self::Waiting
    }
}

/// One device. Half of a cache line and a little: a million of them stay cheap to walk.
#[derive(Clone, Debug)]
pub struct Device {
    /// From which its polls follow ([`Arrivals::poll_at`]).
    pub base: u64,
    /// Bytes that it still needs.
    pub remaining: u64,
    /// When it first learnt of the release.
    pub learned: u64,
    /// When its attempt that runs began.
    pub started: u64,
    /// The index of its next poll.
    pub poll: i32,
    /// Attempts so far.
    pub attempt: u32,
    /// Failures in a row.
    pub failures: u32,
    /// Which artifact it needs.
    pub artifact: u16,
    /// Its POP.
    pub pop: u16,
    /// Its region.
    pub region: u8,
    /// Its line class.
    pub class: u8,
    /// Its stage.
    pub stage: u8,
    /// Where it stands.
    pub standing: Standing,
}

/// `learned` of a device that has not.
pub const NOT_YET: u64 = u64::MAX;

/// The fleet.
#[derive(Debug)]
pub struct Population {
    /// Everyone.
    pub devices: Vec<Device>,
    /// Rates of the line classes, bit/s.
    pub rates: Vec<f64>,
    /// Devices that may have the release at all.
    pub may_have: u64,
    /// Of these, who are not over yet.
    pub left: u64,
    seed: u64,
    abort_probability: f64,
}

/// How one attempt goes, as far as the device decides.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Attempt {
    /// Bytes that it gets.
    pub bytes: u64,
    /// It is cut there; the pause before the resume in µs.
    pub cut: Option<u64>,
}

impl Population {
    /// Draws everyone.
    #[must_use]
    pub fn new(scenario: &Scenario, arrivals: &Arrivals, places: &Places, seed: u64) -> Self {
        let count = usize::try_from(scenario.devices).unwrap_or(usize::MAX);
        let mut dice = chance::stream(seed, Purpose::Arrivals);
        let bases = arrivals.bases(count, &mut dice);
        let shares: Vec<f64> = scenario.release.artifacts.iter().map(|a| a.share).collect();
        let artifacts = Alias::new(&shares);
        let mut dice = chance::stream(seed, Purpose::Fleet);
        let mut pop_dice = chance::stream(seed, Purpose::Pops);
        let mut may_have = 0;
        let devices = bases
            .into_iter()
            .map(|base| {
                let (region, pop) = places.draw(&mut dice, &mut pop_dice);
                let artifact = artifacts.sample(&mut dice);
                let stage = arrivals.stage(&mut dice);
                may_have += u64::from(arrivals.stage_opens(stage) != NEVER);
                Device {
                    base,
                    remaining: scenario.release.artifacts[artifact].bytes,
                    learned: NOT_YET,
                    started: 0,
                    poll: arrivals.first_poll(),
                    attempt: 0,
                    failures: 0,
                    artifact: artifact as u16,
                    pop,
                    region,
                    class: dice.random_range(0..Line::CLASSES) as u8,
                    stage,
                    standing: Standing::Waiting,
                }
            })
            .collect();
        Self {
            devices,
            rates: lines::class_rates(&scenario.devices_line),
            may_have,
            left: may_have,
            seed,
            abort_probability: scenario.transfer.abort_probability,
        }
    }

    /// How the attempt with this number goes for a device that still needs `remaining` bytes. Asked twice, it says the
    /// same: demand and what was sent are then drawn alike.
    #[must_use]
    pub fn attempt(&self, who: u32, number: u32, remaining: u64, transfer: &Transfer) -> Attempt {
        let whole = Attempt {
            bytes: remaining,
            cut: None,
        };
        if self.abort_probability <= 0.0 {
            return whole;
        }
        let mut dice = chance::attempt(self.seed, who, number);
        if dice.random::<f64>() >= self.abort_probability {
            return whole;
        }
        let share: f64 = dice.random();
        let mean = transfer.resume_after.as_micros() as f64;
        Attempt {
            bytes: (share * remaining as f64) as u64,
            cut: Some(chance::exponential(&mut dice, mean) as u64),
        }
    }

    /// How long a line needs for so many bytes, in µs.
    #[must_use]
    pub fn micros(&self, class: u8, bytes: u64) -> u64 {
        (bytes as f64 * 8e6 / self.rates[usize::from(class)]).ceil() as u64
    }
}
