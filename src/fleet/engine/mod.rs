//! Two engines behind one interface: exact discrete events per device, and an aggregated one that counts.
//!
//! Owns the choice. Never prints progress: it tells a [`Progress`].

use super::outcome::{Front, Outcome};
use super::scenario::Scenario;

pub mod aggregate;
pub mod exact;

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
    match engine {
        Engine::Exact => exact::run(scenario, front, seed, progress),
        Engine::Aggregate => aggregate::run(scenario, front, seed, progress),
    }
}
