//! What a load test ends with, as plain figures.
//!
//! Owns their meaning. Never prints or judges them: `cli/loadtest.rs` does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::DeviceError;

/// What a load test ended with.
#[derive(Debug)]
pub struct LoadOutcome {
    /// Why it ended.
    pub ended: Ended,
    /// How long it took.
    pub elapsed: Duration,
    /// What became of the devices.
    pub devices: Devices,
    /// Requests that were sent, or for which a connection was tried.
    pub requests: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Body bytes that arrived.
    pub bytes: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Downloads that a device broke off and resumed.
    pub broken_off: u64,
    /// Requests for a part that were answered with the whole, or with another part.
    pub ranges_ignored: u64,
    /// Failed requests by kind; what was answered with an unexpected status is `status NNN`.
    pub errors: BTreeMap<String, u64>,
    /// Values of `X-Cache`, where there were any.
    pub x_cache: BTreeMap<String, u64>,
    /// From asking, with the connect where there was one, to the head of the answer.
    pub first_bytes: FirstBytes,
    /// Whole updates of devices that verified theirs, pauses after a break-off included.
    pub updates: Spread,
    /// Of the first device that failed.
    pub first_failure: Option<DeviceError>,
    /// Of the first device that was given bytes which are not the published ones.
    pub first_damage: Option<DeviceError>,
}

impl LoadOutcome {
    /// The share of requests that failed, or of ended devices that did, whichever is larger; from 0 to 1.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        let devices = &self.devices;
        let ended = devices.verified + devices.failed + devices.damaged;
        let requests = share(self.errors.values().sum(), self.requests);
        requests.max(share(devices.failed, ended))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn share(part: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 / of as f64
    }
}

/// Why a load test ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Every device did.
    AllDone,
    /// No more requests were allowed.
    RequestsBound,
    /// No more time was.
    TimeBound,
    /// Somebody asked for it.
    Interrupted,
}

/// What became of the devices; the five after the first add up to it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Devices {
    /// As many as there should have been.
    pub planned: u64,
    /// Downloaded it all, and its digest is the published one.
    pub verified: u64,
    /// Gave up.
    pub failed: u64,
    /// Was given bytes that are not the published ones.
    pub damaged: u64,
    /// Was under way when a bound was reached.
    pub cut_short: u64,
    /// Never had its turn.
    pub not_started: u64,
}

/// How long answers took to begin, by what was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FirstBytes {
    /// Channel documents.
    pub channel: Spread,
    /// Release documents.
    pub release: Spread,
    /// Artifacts and parts of them.
    pub artifact: Spread,
}

/// How times are spread.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Spread {
    /// How many there are.
    pub count: u64,
    /// Half of them are at most this long.
    pub p50: Duration,
    /// Nine of ten.
    pub p90: Duration,
    /// Ninety-nine of a hundred.
    pub p99: Duration,
    /// All.
    pub max: Duration,
}

impl Spread {
    /// Of times in any order, in microseconds.
    pub(super) fn of(micros: &mut [u32]) -> Self {
        micros.sort_unstable();
        // Nearest rank: a time that was really measured.
        let at = |percent: usize| {
            let rank = (micros.len() * percent).div_ceil(100).max(1);
            let micros = micros.get(rank - 1).copied().unwrap_or_default();
            Duration::from_micros(micros.into())
        };
        Self {
            count: micros.len() as u64,
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: at(100),
        }
    }
}

/// How a run stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Snapshot {
    /// Since the start.
    pub elapsed: Duration,
    /// Devices that are under way.
    pub active: u64,
    /// Devices that verified their artifact.
    pub verified: u64,
    /// Devices that failed or were given wrong bytes.
    pub failed: u64,
    /// Requests so far.
    pub requests: u64,
    /// Body bytes so far.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let spread = |micros: &[u32]| {
            let it = Spread::of(&mut micros.to_vec());
            [it.p50, it.p90, it.p99, it.max].map(|time| time.as_micros())
        };
        assert_eq!(spread(&[]), [0; 4]);
        assert_eq!(spread(&[7]), [7; 4]);
        assert_eq!(spread(&[2, 1]), [1, 2, 2, 2]);
        let hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(spread(&hundred), [50, 90, 99, 100]);
        let thousand: Vec<u32> = (1..=1000).collect();
        assert_eq!(spread(&thousand), [500, 900, 990, 1000]);
    }
}
