//! When devices ask.
//!
//! Owns the discovery curve, stages, pushes and the day and night of each region, in two forms: the times of one device
//! (exact engine) and the shares of a fleet per step (aggregated engine; `rates.rs`). Never sends a request.

use std::f64::consts::TAU;

use rand::Rng;

use super::chance::{self, Dice};
use crate::edge::policy::topology::Region;
use crate::fleet::scenario::{Curve, Discovery};

/// "Check now" and pushes come within this.
pub const PUSH_MICROS: u64 = 15 * 60 * 1_000_000;

/// A device in this stage never gets the release: the last stage does not reach it.
pub const NEVER: u64 = u64::MAX;

/// The discovery of one scenario.
#[derive(Clone, Debug)]
pub struct Arrivals {
    pub(super) curve: Curve,
    pub(super) push_share: f64,
    pub(super) amplitude: f64,
    pub(super) regions: Vec<Region>,
    /// Stages: from when, and the share of the fleet that this stage adds.
    pub(super) stages: Vec<(u64, f64)>,
    seed: u64,
}

impl Arrivals {
    /// Of a scenario.
    #[must_use]
    pub fn new(discovery: &Discovery, regions: &[(Region, f64)], seed: u64) -> Self {
        let mut regions: Vec<Region> = regions.iter().map(|region| region.0).collect();
        if regions.is_empty() {
            regions.push(Region::NorthAmerica);
        }
        let mut reached = 0.0;
        let mut stages = Vec::new();
        for (from, share) in &discovery.stages {
            stages.push((from.as_micros() as u64, (share - reached).max(0.0)));
            reached = share.max(reached);
        }
        if stages.is_empty() {
            stages.push((0, 1.0));
        } else if reached < 1.0 {
            stages.push((NEVER, 1.0 - reached));
        }
        Self {
            curve: discovery.curve.clone(),
            push_share: discovery.push_share,
            amplitude: discovery.diurnal_amplitude,
            regions,
            stages,
            seed,
        }
    }

    /// The stage of one device, as an index.
    pub fn stage(&self, dice: &mut Dice) -> u8 {
        if self.stages.len() == 1 {
            return 0;
        }
        let mut rank: f64 = dice.random();
        for (index, stage) in self.stages.iter().enumerate() {
            if rank < stage.1 {
                return index as u8;
            }
            rank -= stage.1;
        }
        self.stages.len() as u8 - 1
    }

    /// How many of a fleet may have the release at all: some stage reaches them.
    pub fn may_have(&self, devices: u64, dice: &mut Dice) -> u64 {
        let never = self.stages.iter().filter(|stage| stage.0 == NEVER);
        let share: f64 = never.map(|stage| stage.1).sum();
        devices - chance::binomial(dice, devices, share)
    }

    /// From when a stage may have the release, or [`NEVER`].
    #[must_use]
    pub fn stage_opens(&self, stage: u8) -> u64 {
        self.stages[usize::from(stage)].0
    }

    /// Whether a device of a region is switched on at a moment: a share of its region's devices is. A ramp is what is seen
    /// to come, day and night included.
    pub fn is_online(&self, region: u8, at: u64, dice: &mut Dice) -> bool {
        self.amplitude <= 0.0
            || !self.polls_go_on()
            || dice.random::<f64>() < self.online(usize::from(region), at)
    }

    /// The share of a region's devices that is online. The release comes at noon UTC; most devices are on at 15:00 of
    /// their own clock.
    #[must_use]
    pub fn online(&self, region: usize, at: u64) -> f64 {
        if self.amplitude <= 0.0 {
            return 1.0;
        }
        let hours = 12.0 + at as f64 / 3.6e9 + hours_ahead_of_utc(self.regions[region]);
        let half = 0.5 * self.amplitude;
        (1.0 - half + half * (TAU * (hours - 9.0) / 24.0).sin()).clamp(0.0, 1.0)
    }

    /// One number per device from which its polls follow: ascending where that is possible, because devices that are
    /// neighbours in time are then neighbours in memory.
    pub fn bases(&self, devices: usize, dice: &mut Dice) -> Vec<u64> {
        match &self.curve {
            Curve::PhaseRandom { period, .. } => {
                sorted_uniform(devices, 0.0, period.as_micros() as f64, dice)
            }
            Curve::Cron { at, spread, .. } => sorted_uniform(
                devices,
                at.as_micros() as f64,
                spread.as_micros() as f64,
                dice,
            ),
            Curve::Ramp { .. } => {
                let mut bases: Vec<u64> = (0..devices).map(|_| self.ramp(dice)).collect();
                bases.sort_unstable();
                bases
            }
        }
    }

    /// The index of a device's first poll that may come after the release.
    #[must_use]
    pub fn first_poll(&self) -> i32 {
        // A poll that was due before the release may come after it by its jitter.
        match self.curve {
            Curve::PhaseRandom { .. } => -1,
            Curve::Cron { .. } | Curve::Ramp { .. } => 0,
        }
    }

    /// When a device's poll of this index is; none when it was before the release, or there is none.
    ///
    /// Jitter moves each poll about a phase that stays: a device does not drift.
    #[must_use]
    pub fn poll_at(&self, device: u32, base: u64, poll: i32) -> Option<u64> {
        let (period, jitter) = match &self.curve {
            Curve::PhaseRandom { period, jitter } => {
                (period.as_micros(), jitter.as_micros() as f64)
            }
            Curve::Cron { period, .. } => (period.as_micros(), 0.0),
            Curve::Ramp { .. } => return (poll == 0).then_some(base),
        };
        let nominal = i128::from(base) + i128::from(poll) * period.cast_signed();
        let fuzz = if jitter > 0.0 {
            let unit = chance::fixed_unit(self.seed, u64::from(device), poll as u64);
            ((2.0 * unit - 1.0) * jitter) as i128
        } else {
            0
        };
        u64::try_from(nominal + fuzz).ok()
    }

    /// Whether devices ask again and again.
    #[must_use]
    pub fn polls_go_on(&self) -> bool {
        !matches!(self.curve, Curve::Ramp { .. })
    }

    /// A ramp's second wave: a device that asked before its stage asks again after that stage opens, as late after it as
    /// it would be after a release.
    pub fn second_ask(&self, stage: u8, dice: &mut Dice) -> u64 {
        self.stage_opens(stage).saturating_add(self.ramp(dice))
    }

    /// When a device is pushed, if it is.
    pub fn push(&self, dice: &mut Dice) -> Option<u64> {
        (self.push_share > 0.0 && dice.random::<f64>() < self.push_share)
            .then(|| dice.random_range(0..PUSH_MICROS))
    }

    fn ramp(&self, dice: &mut Dice) -> u64 {
        let Curve::Ramp {
            ramp,
            sustained,
            decay,
        } = &self.curve
        else {
            return 0;
        };
        let (ramp, sustained, decay) = (
            ramp.as_micros() as f64,
            sustained.as_micros() as f64,
            decay.as_micros() as f64,
        );
        let at = dice.random::<f64>() * (0.5 * ramp + sustained + decay);
        if at < 0.5 * ramp {
            (2.0 * ramp * at).sqrt() as u64
        } else if at < 0.5 * ramp + sustained {
            (at + 0.5 * ramp) as u64
        } else {
            (ramp + sustained + chance::exponential(dice, decay)) as u64
        }
    }
}

/// Where most devices of a price region are.
fn hours_ahead_of_utc(region: Region) -> f64 {
    match region {
        Region::NorthAmerica => -6.0,
        Region::SouthAmerica => -3.0,
        Region::Europe => 1.0,
        Region::AfricaMiddleEast => 3.0,
        Region::India => 5.5,
        Region::AsiaPacific => 8.0,
        Region::Japan => 9.0,
        Region::Oceania => 10.0,
    }
}

/// Uniform draws in ascending order, without a sort: running sums of exponentials, scaled to the width.
fn sorted_uniform(count: usize, from: f64, width: f64, dice: &mut Dice) -> Vec<u64> {
    let mut sum = 0.0;
    let mut sums: Vec<f64> = (0..count)
        .map(|_| {
            sum += chance::exponential(dice, 1.0);
            sum
        })
        .collect();
    sum += chance::exponential(dice, 1.0);
    sums.iter_mut()
        .map(|at| (from + *at / sum * width) as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::engine::chance::{Purpose, stream};
    use std::time::Duration;

    fn discovery(curve: Curve) -> Discovery {
        Discovery {
            curve,
            push_share: 0.0,
            diurnal_amplitude: 0.0,
            stages: Vec::new(),
        }
    }

    #[test]
    fn polls_keep_their_period_and_none_is_before_the_release() {
        let curve = Curve::PhaseRandom {
            period: Duration::from_secs(2_700),
            jitter: Duration::from_secs(300),
        };
        let arrivals = Arrivals::new(&discovery(curve), &[], 1);
        let mut dice = stream(1, Purpose::Arrivals);
        let bases = arrivals.bases(50_000, &mut dice);
        assert!(bases.is_sorted());
        let mut minutes = [0_u32; 90];
        for (device, base) in bases.iter().enumerate() {
            for poll in arrivals.first_poll()..4 {
                if let Some(at) = arrivals.poll_at(device as u32, *base, poll)
                    && let Some(count) = minutes.get_mut((at / 60_000_000) as usize)
                {
                    *count += 1;
                }
            }
        }
        // A plateau from the first minute on: 50,000 / 45 min, and 5 σ of it.
        for count in minutes {
            assert!((944..=1_278).contains(&count), "{minutes:?}");
        }
    }

    #[test]
    fn stages_take_their_shares_and_the_rest_never_comes() {
        let mut discovery = discovery(Curve::Cron {
            at: Duration::ZERO,
            spread: Duration::ZERO,
            period: Duration::from_secs(3_600),
        });
        discovery.stages = vec![
            (Duration::ZERO, 0.01),
            (Duration::from_secs(60), 0.05),
            (Duration::from_secs(120), 0.5),
        ];
        let arrivals = Arrivals::new(&discovery, &[], 1);
        let mut dice = stream(1, Purpose::Fleet);
        let mut counts = [0_u32; 4];
        for _ in 0..100_000 {
            counts[usize::from(arrivals.stage(&mut dice))] += 1;
        }
        assert_eq!(arrivals.stage_opens(1), 60_000_000);
        assert_eq!(arrivals.stage_opens(3), NEVER);
        for (count, expected) in counts.into_iter().zip([1_000, 4_000, 45_000, 50_000]) {
            assert!(count.abs_diff(expected) < 800, "{counts:?}");
        }
    }

    #[test]
    fn fewer_devices_are_on_at_night() {
        let mut discovery = discovery(Curve::Cron {
            at: Duration::ZERO,
            spread: Duration::ZERO,
            period: Duration::from_secs(3_600),
        });
        discovery.diurnal_amplitude = 0.8;
        let arrivals = Arrivals::new(&discovery, &[(Region::Europe, 1.0)], 1);
        // 15:00 in Europe is two hours after a noon in UTC.
        assert!((arrivals.online(0, 2 * 3_600_000_000) - 1.0).abs() < 1e-9);
        assert!((arrivals.online(0, 14 * 3_600_000_000) - 0.2).abs() < 1e-9);
    }
}
