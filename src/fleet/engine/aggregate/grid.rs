//! Time steps of the aggregated engine, and who asks in each.
//!
//! Owns the length of a step and the draws of learners and asks. Never knows what becomes of them.

use super::super::arrivals::Arrivals;
use super::super::chance::{self, Dice};
use super::super::rates::{self, Rates};
use crate::fleet::scenario::{Line, Scenario};

/// Steps divide a minute, so that none lies in two steps of a series.
const STEP_SECONDS: [u64; 12] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60];
/// About how many counts may be drawn in all: what one core does in a second or two.
const DRAWS_MAX: u64 = 4_000_000;
/// No step is shorter than needed for this many of them.
const STEPS_MAX: u64 = 20_000;

/// The steps of a run.
#[derive(Debug)]
pub struct Grid {
    /// One step in µs.
    pub step: u64,
    /// How many.
    pub steps: usize,
    /// Devices and rates of each region; regions of equal rates are one.
    regions: Vec<Region>,
}

#[derive(Debug)]
struct Region {
    devices: u64,
    rates: Rates,
    /// Devices that have not learnt yet, and their chance to do so in the steps that are left or never.
    waiting: u64,
    chance_left: f64,
}

/// Who asks in one step.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// Requests for the channel document.
    pub asks: u64,
    /// Devices that learn of the release by theirs.
    pub learners: u64,
}

impl Grid {
    /// For a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, arrivals: &Arrivals, shares: &[f64], dice: &mut Dice) -> Self {
        let horizon_s = scenario.horizon.as_secs().max(60);
        let kinds = (Line::CLASSES * scenario.release.artifacts.len().max(1)) as u64;
        let steps_max = (DRAWS_MAX / kinds).min(STEPS_MAX);
        let seconds = STEP_SECONDS
            .into_iter()
            .find(|step| horizon_s / step <= steps_max);
        let step = seconds.unwrap_or(60) * 1_000_000;
        let steps = (scenario.horizon.as_micros() as u64).div_ceil(step).max(1) as usize;
        // Without day and night all regions are alike.
        let all = [1.0];
        let shares = if arrivals.amplitude > 0.0 {
            shares
        } else {
            &all
        };
        let mut devices = Vec::new();
        chance::multinomial(dice, scenario.devices, shares, &mut devices);
        let regions = devices
            .into_iter()
            .enumerate()
            .map(|(region, devices)| Region {
                devices,
                rates: rates::rates(arrivals, region, (step, steps), scenario.window),
                waiting: devices,
                chance_left: 1.0,
            })
            .collect();
        Self {
            step,
            steps,
            regions,
        }
    }

    /// Draws who asks in a step; each step once, in order.
    pub fn draw(&mut self, step: usize, dice: &mut Dice) -> Asking {
        let mut asking = Asking {
            asks: 0,
            learners: 0,
        };
        for region in &mut self.regions {
            let learn = region.rates.learn[step];
            if learn > 0.0 && region.waiting > 0 {
                let chance = (learn / region.chance_left).clamp(0.0, 1.0);
                let learners = chance::binomial(dice, region.waiting, chance);
                region.waiting -= learners;
                asking.learners += learners;
            }
            region.chance_left = (region.chance_left - learn).max(0.0);
            // A learner's ask is one of the asks; only the others are drawn for themselves.
            let others = region.rates.asks[step] - learn;
            asking.asks += chance::poisson(dice, others.max(0.0) * region.devices as f64);
        }
        asking.asks += asking.learners;
        asking
    }

    /// Asks per µs, of one device, in each step; by region as an index into the scenario's.
    #[must_use]
    pub fn asks(&self, region: usize) -> &[f64] {
        &self.region(region).rates.asks
    }

    /// The chance to learn, of one device, in each step.
    #[must_use]
    pub fn learn(&self, region: usize) -> &[f64] {
        &self.region(region).rates.learn
    }

    fn region(&self, region: usize) -> &Region {
        &self.regions[region.min(self.regions.len() - 1)]
    }
}
