//! The answer of one run in the words of the `--json` document.
//!
//! Owns which figures of an [`Outcome`] are told, and their names. Table, JSON and report show these and never derive
//! their own.

use serde::Serialize;

use super::cost::{Cost, Prices, cost};
use super::outcome::{EdgeOutcome, FleetOutcome, Front, OriginOutcome, Outcome};
use super::scenario::Scenario;
use super::units::as_f64;

/// One run, summed up.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Summary {
    /// What the origin had to do.
    pub origin: OriginSummary,
    /// What the edge did; all zero without one.
    pub edge: EdgeSummary,
    /// What became of the devices.
    pub fleet: FleetSummary,
    /// The bill, by component.
    pub cost_usd: Cost,
}

/// What the origin had to do.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct OriginSummary {
    /// Requests, refused ones too.
    pub requests: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Over the scenario's window.
    pub mean_gbps: f64,
    /// Sent in the busiest five minutes.
    pub peak_gbps: f64,
    /// In the busiest minute.
    pub peak_requests_per_s: f64,
    /// For the demand of the busiest five minutes at the target utilisation.
    pub instances_needed: u64,
    /// What the busiest five minutes asked for: above `peak_gbps` when the group was too small.
    pub peak_demand_gbps: f64,
    /// The most instances that the group had.
    pub instances_peak: u64,
    /// Requests refused or failed.
    pub failed: u64,
}

/// What the edge did.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct EdgeSummary {
    /// Requests of devices.
    pub requests: u64,
    /// Bytes to devices.
    pub bytes: u64,
    /// Share of requests that were answered without waiting for the origin. What an edge asks in the background is in
    /// `offload_requests` alone.
    pub hit_ratio: f64,
    /// The same of bytes.
    pub byte_hit_ratio: f64,
    /// One minus the origin's requests per request of a device; zero without an edge.
    pub offload_requests: f64,
    /// One minus the origin's bytes per byte to a device; zero without an edge.
    pub offload_bytes: f64,
    /// Bits per second to devices, over the scenario's window.
    pub mean_gbps: f64,
    /// Requests that waited for another one's fill.
    pub collapsed: u64,
}

/// What became of the devices.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct FleetSummary {
    /// Devices that have the update.
    pub updated: u64,
    /// Devices that gave up or were not done at the horizon.
    pub failed: u64,
    /// Seconds until half of the fleet had it.
    pub t50_s: Option<f64>,
    /// … nine of ten.
    pub t90_s: Option<f64>,
    /// … ninety-nine of a hundred.
    pub t99_s: Option<f64>,
    /// Devices that have it, but late.
    pub late: u64,
    /// Attempts that broke off.
    pub broken_attempts: u64,
}

impl Summary {
    /// Sums up a run of `scenario` behind `front`.
    #[must_use]
    pub fn of(scenario: &Scenario, front: Front, outcome: &Outcome, prices: &Prices) -> Self {
        Self {
            origin: origin(scenario, &outcome.origin),
            edge: edge(scenario, &outcome.edge, &outcome.origin),
            fleet: fleet(&outcome.fleet),
            cost_usd: cost(scenario, front, outcome, prices),
        }
    }
}

fn origin(scenario: &Scenario, origin: &OriginOutcome) -> OriginSummary {
    OriginSummary {
        requests: origin.requests,
        bytes: origin.bytes,
        mean_gbps: origin.mean_gbps(scenario.window),
        peak_gbps: origin.peak_gbps(),
        peak_requests_per_s: origin.peak_requests_per_s(),
        instances_needed: origin.instances_needed(scenario),
        peak_demand_gbps: origin.peak_demand_gbps(),
        instances_peak: origin
            .instances_series
            .iter()
            .max()
            .copied()
            .unwrap_or_default(),
        failed: origin.failed,
    }
}

fn edge(scenario: &Scenario, edge: &EdgeOutcome, origin: &OriginOutcome) -> EdgeSummary {
    let offload = |behind: u64, before: u64| {
        if before == 0 {
            return 0.0;
        }
        (1.0 - as_f64(behind) / as_f64(before)).max(0.0)
    };
    EdgeSummary {
        offload_requests: offload(origin.requests, edge.requests),
        offload_bytes: offload(origin.bytes, edge.bytes),
        mean_gbps: as_f64(edge.bytes) * 8.0 / scenario.window.as_secs_f64().max(1.0) / 1e9,
        requests: edge.requests,
        bytes: edge.bytes,
        hit_ratio: edge.hit_ratio().unwrap_or_default(),
        byte_hit_ratio: edge.byte_hit_ratio().unwrap_or_default(),
        collapsed: edge.collapsed,
    }
}

fn fleet(fleet: &FleetOutcome) -> FleetSummary {
    let [t50_s, t90_s, t99_s] = fleet.percentiles_s;
    FleetSummary {
        updated: fleet.updated,
        failed: fleet.failed,
        t50_s,
        t90_s,
        t99_s,
        late: fleet.late,
        broken_attempts: fleet.broken_attempts,
    }
}
