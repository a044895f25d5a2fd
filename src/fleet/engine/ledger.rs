//! What reaches the origin, and what it sends.
//!
//! Owns the origin's side of an outcome: the same for both engines and every front. Never decides what is answered.

use super::scaling::Group;
use super::series::{Flow, Tally};
use crate::fleet::outcome::OriginOutcome;

/// What was counted so far.
#[derive(Default, Debug)]
pub struct Ledger {
    /// Requests that reached the load balancer.
    pub requests: Tally,
    /// New connections.
    pub connections: Tally,
    /// Requests that were refused or failed.
    pub failed: u64,
    /// Bytes of answers that are over: exact, where the flow is a sum of fractions.
    pub sent_whole: u64,
    sent: Flow,
    sent_in_period: f64,
    instances: Vec<u64>,
    open: Vec<u64>,
}

impl Ledger {
    /// An answer that goes out at one moment.
    pub fn answer(&mut self, at: u64, bytes: u64) {
        self.sent_whole += bytes;
        self.sent.add(at, bytes as f64);
        self.sent_in_period += bytes as f64;
    }

    /// Bytes that go out evenly between two moments. Fewer than none take back what an earlier step counted too much.
    pub fn send(&mut self, from: u64, to: u64, bytes: f64) {
        if bytes.abs() > 0.0 {
            self.sent.spread(from, to, bytes);
            self.sent_in_period += bytes;
        }
    }

    /// What was sent since the last time that somebody asked.
    pub fn take_period(&mut self) -> f64 {
        std::mem::take(&mut self.sent_in_period)
    }

    /// A step of the series is over: so many instances serve, so many connections are open.
    pub fn close_step(&mut self, instances: u64, open: u64) {
        self.instances.push(instances);
        self.open.push(open);
    }

    /// All of a run that ended at `end`; every answer is over then, or some are not. Transfer out is charged for all of
    /// it, as it is without an edge.
    #[must_use]
    pub fn finish(
        self,
        end: u64,
        all_over: bool,
        group: Group,
        demand_series: Vec<u64>,
    ) -> OriginOutcome {
        let total = all_over.then_some(self.sent_whole);
        let bytes_series = self.sent.finish(end, total);
        let bytes = bytes_series.iter().sum();
        let requests_series = self.requests.finish(end);
        OriginOutcome {
            requests: requests_series.iter().sum(),
            bytes,
            failed: self.failed,
            requests_series,
            bytes_series,
            demand_series,
            instances_series: self.instances,
            connections_series: self.connections.finish(end),
            open_series: self.open,
            egress_bytes: bytes,
            scale_in: group.scale_in(end),
        }
    }
}
