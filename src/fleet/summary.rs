//! The answer of one run in the words of the `--json` document.
//!
//! Owns what is derived from an [`Outcome`]: rates, ratios, the number of instances needed. Table, JSON and report show
//! these and never derive their own.

use serde::Serialize;

use super::cost::{Cost, Prices, cost};
use super::outcome::{EdgeOutcome, FleetOutcome, Front, OriginOutcome, Outcome, STEP_SECONDS};
use super::scenario::Scenario;
use super::units::{as_f64, round};

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
    /// Sent in the busiest minute.
    pub peak_gbps: f64,
    /// In the busiest minute.
    pub peak_requests_per_s: f64,
    /// For the demand of the busiest minute at the target utilisation.
    pub instances_needed: u64,
    /// What the busiest minute asked for: above `peak_gbps` when the group was too small.
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
    /// Share of requests that caused none at the origin.
    pub hit_ratio: f64,
    /// Share of bytes that the origin did not send for them.
    pub byte_hit_ratio: f64,
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
            edge: edge(&outcome.edge),
            fleet: fleet(&outcome.fleet),
            cost_usd: cost(scenario, front, outcome, prices),
        }
    }
}

fn origin(scenario: &Scenario, origin: &OriginOutcome) -> OriginSummary {
    let peak = |series: &[u64]| series.iter().max().copied().unwrap_or_default();
    OriginSummary {
        requests: origin.requests,
        bytes: origin.bytes,
        mean_gbps: as_f64(origin.bytes) * 8.0 / scenario.window.as_secs_f64() / 1e9,
        peak_gbps: step_gbps(peak(&origin.bytes_series)),
        peak_requests_per_s: as_f64(peak(&origin.requests_series)) / as_f64(STEP_SECONDS),
        instances_needed: peak(&instances_needed(scenario, origin)),
        peak_demand_gbps: step_gbps(peak(&origin.demand_series)),
        instances_peak: peak(&origin.instances_series),
        failed: origin.failed,
    }
}

/// Bytes of one step as Gb/s.
#[must_use]
pub fn step_gbps(bytes: u64) -> f64 {
    as_f64(bytes) * 8.0 / as_f64(STEP_SECONDS) / 1e9
}

/// For each step, how many instances its demand would have kept at the target utilisation: of their network, and of the
/// requests that they answer. Never less than the group's minimum.
#[must_use]
pub fn instances_needed(scenario: &Scenario, origin: &OriginOutcome) -> Vec<u64> {
    let settings = &scenario.origin;
    let target = settings.target_utilisation;
    let bps = settings.baseline_bps.min(settings.gateway_bps) * target;
    let requests = origin.requests_series.iter().chain(std::iter::repeat(&0));
    let steps = origin.demand_series.iter().zip(requests);
    steps
        .map(|(bytes, requests)| {
            let by_bytes = step_gbps(*bytes) * 1e9 / bps;
            let per_second = as_f64(*requests) / as_f64(STEP_SECONDS);
            let by_requests = per_second / (settings.requests_per_second * target);
            round(by_bytes.max(by_requests).ceil()).max(settings.instances_min)
        })
        .collect()
}

fn edge(edge: &EdgeOutcome) -> EdgeSummary {
    EdgeSummary {
        requests: edge.requests,
        bytes: edge.bytes,
        hit_ratio: ratio(edge.hits, edge.requests),
        byte_hit_ratio: ratio(edge.hit_bytes, edge.bytes),
        collapsed: edge.collapsed,
    }
}

/// Nothing of nothing is nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        as_f64(part) / as_f64(whole)
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
