//! The aggregated engine: counts of devices per place and time step, for any number of them.
//!
//! Owns the choice of the front. Devices are exchangeable, so a count of them that is drawn from the right distribution
//! stands for the devices themselves; never does it average where the exact engine would draw. Its time is that of the
//! number of steps and kinds of devices, not of the devices.

use super::Progress;
use super::chance::{self, Dice};
use crate::fleet::outcome::{Front, Outcome};
use crate::fleet::scenario::{Line, Scenario};

mod demand;
mod direct;
mod downloads;
mod edge;
mod grid;
mod journeys;
mod pauses;
mod visits;

pub(super) fn run(
    scenario: &Scenario,
    front: Front,
    seed: u64,
    progress: &dyn Progress,
) -> Outcome {
    match front {
        Front::None => direct::run(scenario, seed, progress),
        Front::Edge | Front::EdgeAndShield => edge::run(scenario, front, seed, progress),
    }
}

/// Shares out devices over artifacts and line classes: `counts[artifact * Line::CLASSES + class]`.
fn share_out(dice: &mut Dice, devices: u64, shares: &[f64], counts: &mut Vec<u64>) {
    let mut by_artifact = Vec::new();
    let mut by_class = Vec::new();
    chance::multinomial(dice, devices, shares, &mut by_artifact);
    counts.clear();
    for count in by_artifact {
        if count == 0 {
            counts.resize(counts.len() + Line::CLASSES, 0);
        } else {
            chance::multinomial(dice, count, &[1.0; Line::CLASSES], &mut by_class);
            counts.extend_from_slice(&by_class);
        }
    }
}
