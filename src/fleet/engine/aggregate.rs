//! The aggregated engine: counts of devices per place and time step, for any number of them.
//!
//! Owns how devices are shared out over kinds. Devices are exchangeable, so a count of them that is drawn from the right
//! distribution stands for the devices themselves; never does it average where the exact engine would draw. Its time is
//! that of the number of steps and kinds of devices, not of the devices; only where the release does not fit a POP's cache
//! every visit to a POP is played, because each may evict.

use super::chance::{self, Dice};
use crate::fleet::scenario::Line;

mod demand;
pub(super) mod direct;
mod downloads;
pub(super) mod edge;
mod grid;
mod journeys;
mod pauses;
mod visits;

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
