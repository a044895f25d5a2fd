//! Who has the update, and when.
//!
//! Owns the devices' side of an outcome: the same for both engines and every front. Never decides that a device is done.

use super::series::{Tally, percentiles};
use crate::fleet::outcome::FleetOutcome;
use crate::fleet::scenario::Scenario;

/// What became of the devices so far.
#[derive(Debug)]
pub struct Updates {
    /// Devices that have it.
    pub updated: u64,
    /// Of these, who were late.
    pub late: u64,
    /// Attempts that were cut or failed.
    pub broken: u64,
    /// When the last device so far was done.
    pub last_done: u64,
    completions: Tally,
    late_after: u64,
    devices: u64,
}

impl Updates {
    /// None yet.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            updated: 0,
            late: 0,
            broken: 0,
            last_done: 0,
            completions: Tally::default(),
            late_after: scenario.transfer.late_after.as_micros() as u64,
            devices: scenario.devices,
        }
    }

    /// Some are done between two moments, who are counted at the first of them.
    pub fn done(&mut self, (at, until): (u64, u64), count: u64) {
        if count > 0 {
            self.updated += count;
            self.completions.add(at, count);
            self.last_done = self.last_done.max(until);
        }
    }

    /// The same, of devices that needed so long since they learnt of it.
    pub fn done_after(&mut self, span: (u64, u64), count: u64, took: u64) {
        self.done(span, count);
        if took > self.late_after {
            self.late += count;
        }
    }

    /// All of a run that ended at `end`, in which so many devices may have the update at all.
    #[must_use]
    pub fn finish(self, end: u64, may_have: u64) -> FleetOutcome {
        let completions_series = self.completions.finish(end);
        FleetOutcome {
            updated: self.updated,
            failed: may_have.saturating_sub(self.updated),
            late: self.late,
            broken_attempts: self.broken,
            percentiles_s: percentiles(&completions_series, self.devices, [0.5, 0.9, 0.99]),
            completions_series,
        }
    }
}
