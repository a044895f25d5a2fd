//! The exact engine: discrete events, one device at a time.
//!
//! Owns a device's polls. Never counts in bulk what could have happened otherwise: where many requests share one
//! event, nothing between them can change.

use super::arrivals::Arrivals;
use super::chance::Dice;
use super::population::{Device, Population};

pub(super) mod direct;
pub(super) mod edge;

/// When a device comes again that came before its stage: by itself only if it polls once.
fn second_ask(device: &mut Device, arrivals: &Arrivals, dice: &mut Dice) -> Option<u64> {
    let is_first = !arrivals.polls_go_on() && device.poll == 1;
    is_first.then(|| {
        device.poll += 1;
        arrivals.second_ask(device.stage, dice)
    })
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
