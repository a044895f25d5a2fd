//! What a run costs, by component, from a dated price table.
//!
//! Owns the arithmetic of tiers and of load balancer capacity units, and the reading of `config/prices.toml`. Never counts
//! anything itself.

use serde::Serialize;

use super::outcome::{Front, Outcome};
use super::scenario::Scenario;

/// Prices, as of a date.
#[derive(Clone, Debug)]
pub struct Prices {
    /// The date of the table.
    pub as_of: String,
}

/// US dollars by component.
#[derive(Clone, Copy, PartialEq, Serialize, Default, Debug)]
pub struct Cost {
    /// EC2 instance hours.
    pub ec2_hours: f64,
    /// Load balancer hours and capacity units.
    pub alb: f64,
    /// EC2 transfer out to the internet.
    pub transfer_out: f64,
    /// CloudFront transfer out.
    pub cloudfront_transfer: f64,
    /// CloudFront requests.
    pub cloudfront_requests: f64,
    /// Origin Shield requests.
    pub origin_shield: f64,
    /// The sum.
    pub total: f64,
}

/// The bill of one run.
#[must_use]
pub fn cost(scenario: &Scenario, front: Front, outcome: &Outcome, prices: &Prices) -> Cost {
    todo!()
}
