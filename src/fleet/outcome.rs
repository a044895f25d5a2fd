//! What one run of an engine counts.
//!
//! Owns the counters and time series that both engines fill and that cost, table, JSON and report read, and what a peak
//! and a mean are. Never computes a price.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts below 2^53 keep their value as floats; a rounded-up peak is a small positive number"
)]

use std::time::Duration;

use super::scenario::Scenario;
use crate::edge::policy::topology::Region;

/// The time step of every series, in seconds: the finest free metric of `CloudWatch`, and what an Auto Scaling group sees.
pub const STEP_SECONDS: u64 = 60;

/// Whether and how an edge is in front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// Devices ask the origin.
    None,
    /// POPs and regional edge caches.
    Edge,
    /// … and an Origin Shield.
    EdgeAndShield,
}

/// One run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// The origin.
    pub origin: OriginOutcome,
    /// The edge; all zero without one.
    pub edge: EdgeOutcome,
    /// The devices.
    pub fleet: FleetOutcome,
}

/// What reached the origin. Every series has one value per [`STEP_SECONDS`], from the release to the end of the run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OriginOutcome {
    /// Requests that reached the load balancer (refused ones too).
    pub requests: u64,
    /// Bytes of answers sent.
    pub bytes: u64,
    /// Requests that were refused or failed.
    pub failed: u64,
    /// Requests per step.
    pub requests_series: Vec<u64>,
    /// Bytes sent per step.
    pub bytes_series: Vec<u64>,
    /// Bytes per step that would have been sent by an origin without limits: the demand.
    pub demand_series: Vec<u64>,
    /// Instances in service, at the end of each step.
    pub instances_series: Vec<u64>,
    /// New connections per step (for the load balancer's capacity units).
    pub connections_series: Vec<u64>,
    /// Connections open at the end of each step.
    pub open_series: Vec<u64>,
    /// Bytes sent to devices by region without an edge (transfer out is charged); zero with one (fetches are free).
    pub egress_bytes: u64,
    /// What comes after the run, and is paid.
    pub scale_in: ScaleIn,
}

/// How an Auto Scaling group that has nothing to do any more comes back to its minimum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScaleIn {
    /// How long it takes.
    pub seconds: u64,
    /// Instances in service, added up over these seconds.
    pub instance_seconds: u64,
}

/// What the edge did.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EdgeOutcome {
    /// Requests of devices.
    pub requests: u64,
    /// Bytes to devices.
    pub bytes: u64,
    /// Requests served without any request to the origin on their behalf (collapsed ones are hits, as in the logs).
    pub hits: u64,
    /// Bytes that did not come from the origin for that request.
    pub hit_bytes: u64,
    /// Requests that waited for, or streamed along with, another one's fill, summed over the layers.
    pub collapsed: u64,
    /// Requests that took the extra hop to the shield (fact 57), by the region of the asking cache.
    pub shield_requests: Vec<(Region, u64)>,
    /// Requests and bytes to devices by region.
    pub by_region: Vec<(Region, u64, u64)>,
    /// Share of requests and of bytes that hit, against the POP cache's capacity in bytes: filled by a sweep.
    pub capacity_curve: Vec<(u64, f64, f64)>,
}

/// What became of the devices.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FleetOutcome {
    /// Devices that have the update.
    pub updated: u64,
    /// Devices that gave up, or were not done at the horizon.
    pub failed: u64,
    /// Devices that have it, but late.
    pub late: u64,
    /// Attempts that were cut or failed.
    pub broken_attempts: u64,
    /// Devices done, per step.
    pub completions_series: Vec<u64>,
    /// Seconds until 50, 90, 99 of 100 devices had it; none when they never did.
    pub percentiles_s: [Option<f64>; 3],
}

/// A peak of bits is the mean of the busiest five minutes: as long as an Auto Scaling group needs to see anything.
const PEAK_STEPS: usize = 5;

impl OriginOutcome {
    /// Gb/s of the busiest five minutes of what was sent.
    #[must_use]
    pub fn peak_gbps(&self) -> f64 {
        bits_per_second(busiest(&self.bytes_series, PEAK_STEPS), PEAK_STEPS) / 1e9
    }

    /// Gb/s of the busiest five minutes of what an origin without limits would have sent.
    #[must_use]
    pub fn peak_demand_gbps(&self) -> f64 {
        bits_per_second(busiest(&self.demand_series, PEAK_STEPS), PEAK_STEPS) / 1e9
    }

    /// Requests per second of the busiest minute.
    #[must_use]
    pub fn peak_requests_per_s(&self) -> f64 {
        busiest(&self.requests_series, 1) as f64 / STEP_SECONDS as f64
    }

    /// Gb/s over the window: everything that was sent, also later, as if it had been sent within the window.
    #[must_use]
    pub fn mean_gbps(&self, window: Duration) -> f64 {
        self.bytes as f64 * 8.0 / window.as_secs_f64().max(1.0) / 1e9
    }

    /// Instances that would have served the busiest five minutes of the demand at the target utilisation.
    #[must_use]
    pub fn instances_needed(&self, scenario: &Scenario) -> u64 {
        let origin = &scenario.origin;
        let usable = origin.target_utilisation * origin.baseline_bps.min(origin.gateway_bps);
        ((self.peak_demand_gbps() * 1e9 / usable).ceil() as u64).max(1)
    }
}

impl EdgeOutcome {
    /// The share of requests that needed none to the origin; none without requests.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.hits as f64 / self.requests as f64)
    }

    /// The same of bytes.
    #[must_use]
    pub fn byte_hit_ratio(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.hit_bytes as f64 / self.bytes as f64)
    }
}

fn busiest(series: &[u64], steps: usize) -> u64 {
    let steps = steps.min(series.len()).max(1);
    series
        .windows(steps)
        .map(|window| window.iter().sum())
        .max()
        .unwrap_or(0)
}

fn bits_per_second(bytes: u64, steps: usize) -> f64 {
    bytes as f64 * 8.0 / (steps as u64 * STEP_SECONDS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_of_the_busiest_minutes() {
        let origin = OriginOutcome {
            bytes: 7_500,
            bytes_series: vec![0, 0, 7_500, 0, 0, 0, 0],
            requests_series: vec![60, 600, 0],
            ..OriginOutcome::default()
        };
        assert!((origin.peak_gbps() * 1e9 - 200.0).abs() < 1e-6);
        assert!((origin.peak_requests_per_s() - 10.0).abs() < 1e-9);
        assert!((origin.mean_gbps(Duration::from_secs(60)) * 1e9 - 1_000.0).abs() < 1e-6);
    }
}
