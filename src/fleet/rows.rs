//! The lines of the comparison, as people read them.
//!
//! Owns names and formats of what a [`Summary`] says, for the terminal and the report alike. Never computes a figure.

use std::time::Duration;

use super::outcome::Front;
use super::summary::Summary;
use super::units::{print_count, print_duration, print_number, print_rate, print_size, round};

/// A front, as a sentence calls it.
#[must_use]
pub fn front_name(front: Front) -> &'static str {
    match front {
        Front::None => "without edge",
        Front::Edge => "with edge",
        Front::EdgeAndShield => "with edge and shield",
    }
}

/// A line of the comparison: what it is about, its name, and what it shows of a run.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `origin`, `edge`, `devices`.
    pub group: &'static str,
    /// Its name in the group.
    pub name: &'static str,
    /// Its cell.
    pub cell: fn(&Summary) -> String,
}

const fn origin(name: &'static str, cell: fn(&Summary) -> String) -> Row {
    let group = "origin";
    Row { group, name, cell }
}

const fn edge(name: &'static str, cell: fn(&Summary) -> String) -> Row {
    let group = "edge";
    Row { group, name, cell }
}

const fn devices(name: &'static str, cell: fn(&Summary) -> String) -> Row {
    let group = "devices";
    Row { group, name, cell }
}

/// Every line but the costs, group by group.
pub const ROWS: [Row; 23] = [
    origin("requests", |run| print_count(run.origin.requests)),
    origin("requests failed", |run| print_count(run.origin.failed)),
    origin("requests/s, busiest minute", |run| {
        print_number(run.origin.peak_requests_per_s)
    }),
    origin("bytes", |run| print_size(run.origin.bytes)),
    origin("bytes over the window", |run| {
        print_rate(run.origin.mean_gbps * 1e9)
    }),
    origin("rate, busiest 5 minutes", |run| {
        print_rate(run.origin.peak_gbps * 1e9)
    }),
    origin("demand, busiest 5 minutes", |run| {
        print_rate(run.origin.peak_demand_gbps * 1e9)
    }),
    origin("instances for that demand", |run| {
        print_count(run.origin.instances_needed)
    }),
    origin("instances at most", |run| {
        print_count(run.origin.instances_peak)
    }),
    edge("requests", |run| print_count(run.edge.requests)),
    edge("bytes", |run| print_size(run.edge.bytes)),
    edge("bytes over the window", |run| {
        print_rate(run.edge.mean_gbps * 1e9)
    }),
    edge("offload of requests", |run| {
        print_ratio(run, run.edge.offload_requests)
    }),
    edge("offload of bytes", |run| {
        print_ratio(run, run.edge.offload_bytes)
    }),
    edge("hit ratio", |run| print_ratio(run, run.edge.hit_ratio)),
    edge("byte hit ratio", |run| {
        print_ratio(run, run.edge.byte_hit_ratio)
    }),
    edge("collapsed", |run| print_count(run.edge.collapsed)),
    devices("updated", |run| print_count(run.fleet.updated)),
    devices("failed", |run| print_count(run.fleet.failed)),
    devices("late", |run| print_count(run.fleet.late)),
    devices("50 % after", |run| print_time(run.fleet.t50_s)),
    devices("90 % after", |run| print_time(run.fleet.t90_s)),
    devices("99 % after", |run| print_time(run.fleet.t99_s)),
];

/// Ratios of an edge differ in their last digits, and none is ever rounded up to all. Without an edge there is none.
fn print_ratio(run: &Summary, ratio: f64) -> String {
    if run.edge.requests == 0 {
        return "-".to_owned();
    }
    format!("{:.4} %", (ratio * 1e6).floor() / 1e4)
}

/// A time after the release, to the minute once it is above an hour.
#[must_use]
pub fn print_time(seconds: Option<f64>) -> String {
    let print = |seconds| {
        let whole = round(seconds);
        let shown = if whole < 3600 {
            whole
        } else {
            (whole + 30) / 60 * 60
        };
        print_duration(Duration::from_secs(shown))
    };
    seconds.map_or_else(|| "never".to_owned(), print)
}

/// Dollars, with cents where they matter.
#[must_use]
pub fn print_usd(usd: f64) -> String {
    if usd >= 100.0 {
        return format!("${}", print_count(round(usd)));
    }
    format!("${usd:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_to_the_minute_once_it_is_long() {
        assert_eq!(print_time(Some(59.6)), "1m");
        assert_eq!(print_time(Some(754.0)), "12m 34s");
        assert_eq!(print_time(Some(3.0 * 3600.0 + 31.0)), "3h 1m");
        assert_eq!(print_time(None), "never");
    }

    #[test]
    fn cents_are_told_where_they_matter() {
        assert_eq!(print_usd(0.0), "$0.00");
        assert_eq!(print_usd(99.994), "$99.99");
        assert_eq!(print_usd(29_491.2), "$29,491");
    }
}
