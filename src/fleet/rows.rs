//! The lines of the comparison, as people read them.
//!
//! Owns names and formats of what a [`Summary`] says, for the terminal and the report alike. Never computes a figure.

use std::time::Duration;

use super::outcome::Front;
use super::summary::Summary;
use super::units::{print_count, print_duration, print_number, print_size, round};

/// A front, as a sentence calls it.
#[must_use]
pub fn front_name(front: Front) -> &'static str {
    match front {
        Front::None => "without edge",
        Front::Edge => "with edge",
        Front::EdgeAndShield => "with edge and shield",
    }
}

/// A line of the comparison: its name, and what it shows of a run.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its cell.
    pub cell: fn(&Summary) -> String,
}

const fn row(name: &'static str, cell: fn(&Summary) -> String) -> Row {
    Row { name, cell }
}

/// Every line but the costs.
pub const ROWS: [Row; 20] = [
    row("origin requests", |run| print_count(run.origin.requests)),
    row("origin bytes", |run| print_size(run.origin.bytes)),
    row("origin mean Gb/s", |run| print_number(run.origin.mean_gbps)),
    row("origin peak Gb/s", |run| print_number(run.origin.peak_gbps)),
    row("origin peak demand Gb/s", |run| {
        print_number(run.origin.peak_demand_gbps)
    }),
    row("origin peak requests/s", |run| {
        print_number(run.origin.peak_requests_per_s)
    }),
    row("origin requests failed", |run| {
        print_count(run.origin.failed)
    }),
    row("instances needed", |run| {
        print_count(run.origin.instances_needed)
    }),
    row("instances at most", |run| {
        print_count(run.origin.instances_peak)
    }),
    row("edge requests", |run| print_count(run.edge.requests)),
    row("edge bytes", |run| print_size(run.edge.bytes)),
    row("edge hit ratio", |run| print_ratio(run, run.edge.hit_ratio)),
    row("edge byte hit ratio", |run| {
        print_ratio(run, run.edge.byte_hit_ratio)
    }),
    row("edge collapsed", |run| print_count(run.edge.collapsed)),
    row("devices updated", |run| print_count(run.fleet.updated)),
    row("devices failed", |run| print_count(run.fleet.failed)),
    row("devices late", |run| print_count(run.fleet.late)),
    row("50 % updated after", |run| print_time(run.fleet.t50_s)),
    row("90 % updated after", |run| print_time(run.fleet.t90_s)),
    row("99 % updated after", |run| print_time(run.fleet.t99_s)),
];

/// Ratios of an edge differ in their last digits. Without an edge there is none.
fn print_ratio(run: &Summary, ratio: f64) -> String {
    if run.edge.requests == 0 {
        return "-".to_owned();
    }
    format!("{:.4} %", ratio * 100.0)
}

fn print_time(seconds: Option<f64>) -> String {
    let print = |seconds| print_duration(Duration::from_secs(round(seconds)));
    seconds.map_or_else(|| "never".to_owned(), print)
}

/// Dollars, with cents where they matter.
#[must_use]
pub fn print_usd(usd: f64) -> String {
    if usd.abs() >= 100.0 {
        let sign = if usd < 0.0 { "-" } else { "" };
        return format!("{sign}${}", print_count(round(usd.abs())));
    }
    format!("${usd:.2}")
}
