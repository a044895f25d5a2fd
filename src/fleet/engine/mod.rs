//! Two engines behind one interface: exact discrete events per device, and an aggregated one that counts.
//!
//! Owns the choice. Never prints progress: it tells a [`Progress`].
//!
//! | file | owns |
//! |---|---|
//! | `exact/` | devices one by one: events in the order of time |
//! | `aggregate/` | counts of devices per place and time step |
//! | `population.rs`, `calendar.rs` | the exact engine's devices and events |
//! | `arrivals.rs`, `rates.rs` | when devices ask: one by one, and as shares per step |
//! | `places.rs`, `lines.rs` | where devices are, how fast their lines are: the same for both |
//! | `sharing.rs`, `scaling.rs` | the saturated origin, the Auto Scaling group: the same for both |
//! | `network.rs`, `origin.rs` | caches, fills between them and the origin behind them: the same for both |
//! | `capacity.rs` | one POP's requests, replayed against caches of other sizes |
//! | `ledger.rs`, `updates.rs` | what is counted of the origin and of the devices: the same for both |
//! | `chance.rs`, `series.rs` | random numbers, counts per step |

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are µs of some days and counts are below 2^53, so a float holds them; rates are positive"
)]

use super::outcome::{Front, Outcome};
use super::scenario::Scenario;

pub mod aggregate;
pub mod arrivals;
pub mod calendar;
pub mod capacity;
pub mod chance;
pub mod exact;
pub mod ledger;
pub mod lines;
pub mod network;
pub mod origin;
pub mod places;
pub mod population;
pub mod rates;
pub mod scaling;
pub mod series;
pub mod sharing;
pub mod updates;

/// Told how far a run is.
pub trait Progress: Sync {
    /// The share that is done, 0 to 1.
    fn at(&self, share: f64);
}

/// Nobody looks.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn at(&self, _share: f64) {}
}

/// Which engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// Discrete events, one device at a time: up to a few million devices.
    Exact,
    /// Devices are exchangeable: counts per place and time. Any number.
    Aggregate,
}

impl Engine {
    /// The exact one while it is quick.
    #[must_use]
    pub fn for_devices(devices: u64) -> Self {
        if devices <= 2_000_000 {
            Self::Exact
        } else {
            Self::Aggregate
        }
    }
}

/// Runs one scenario behind one front. The same seed gives the same outcome, bit for bit.
#[must_use]
pub fn run(
    engine: Engine,
    scenario: &Scenario,
    front: Front,
    seed: u64,
    progress: &dyn Progress,
) -> Outcome {
    match (engine, front) {
        (Engine::Exact, Front::None) => exact::direct::run(scenario, seed, progress),
        (Engine::Exact, _) => exact::edge::run(scenario, front, seed, progress),
        (Engine::Aggregate, Front::None) => aggregate::direct::run(scenario, seed, progress),
        (Engine::Aggregate, _) => aggregate::edge::run(scenario, front, seed, progress),
    }
}
