//! What one run of an engine counts.
//!
//! Owns the counters and time series that both engines fill and that cost, table, JSON and report read. Never computes a
//! price.

use crate::edge::policy::topology::Region;

/// The time step of every series, in seconds: CloudWatch's finest free metric, and what an Auto Scaling group sees.
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
