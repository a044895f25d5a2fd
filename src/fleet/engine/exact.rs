//! The exact engine: discrete events, one device at a time.
//!
//! Owns the choice of the front. Never counts in bulk what could have happened otherwise: where many requests share one
//! event, nothing between them can change.

use super::Progress;
use super::arrivals::Arrivals;
use super::population::Population;
use crate::fleet::outcome::{Front, Outcome};
use crate::fleet::scenario::Scenario;

mod direct;
mod edge;

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

/// Puts a device's next poll into the calendar.
fn next_poll(fleet: &mut Population, arrivals: &Arrivals, who: u32, mut plan: impl FnMut(u64)) {
    let device = &mut fleet.devices[who as usize];
    loop {
        let poll = device.poll;
        device.poll += 1;
        if let Some(at) = arrivals.poll_at(who, device.base, poll) {
            plan(at);
            return;
        }
        // Its jitter put it before the release; the next but one is always after.
        if poll >= 1 {
            return;
        }
    }
}
