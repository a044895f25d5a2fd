//! The figures of a load test, as a table for people and as a document for programs.
//!
//! Owns names, units and rounding. Never judges them: `loadtest.rs` does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::cli::output::{Column, Report, printable, size, table};
use crate::device::load::{Devices, Ended, LoadOutcome, LoadPlan, Spread};
use crate::model::ArtifactName;

/// What a load test found out.
#[derive(Serialize)]
pub(super) struct Figures<'a> {
    url: String,
    artifact: Option<&'a ArtifactName>,
    seed: u64,
    ended: &'static str,
    elapsed_s: f64,
    devices: Fleet,
    requests: u64,
    requests_per_s: f64,
    statuses: &'a BTreeMap<u16, u64>,
    bytes: u64,
    bytes_per_s: f64,
    connections: u64,
    broken_off: u64,
    ranges_ignored: u64,
    errors: &'a BTreeMap<String, u64>,
    error_rate: f64,
    x_cache: &'a BTreeMap<String, u64>,
    first_byte_ms: FirstByte,
    update_ms: Millis,
}

#[derive(Serialize)]
struct Fleet {
    planned: u64,
    verified: u64,
    failed: u64,
    damaged: u64,
    cut_short: u64,
    not_started: u64,
}

#[derive(Serialize)]
struct FirstByte {
    channel: Millis,
    release: Millis,
    artifact: Millis,
}

/// Times in milliseconds.
#[derive(Serialize)]
struct Millis {
    count: u64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl<'a> Figures<'a> {
    pub(super) fn new(plan: &'a LoadPlan, outcome: &'a LoadOutcome) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        Self {
            url: plan.target.url(),
            artifact: plan.artifact.as_ref(),
            seed: plan.seed,
            ended: match outcome.ended {
                Ended::AllDone => "all_done",
                Ended::RequestsBound => "max_requests",
                Ended::TimeBound => "max_time",
                Ended::Interrupted => "interrupted",
            },
            elapsed_s: round(seconds),
            devices: outcome.devices.into(),
            requests: outcome.requests,
            requests_per_s: rate(outcome.requests, seconds),
            statuses: &outcome.statuses,
            bytes: outcome.bytes,
            bytes_per_s: rate(outcome.bytes, seconds),
            connections: outcome.connections,
            broken_off: outcome.broken_off,
            ranges_ignored: outcome.ranges_ignored,
            errors: &outcome.errors,
            error_rate: outcome.error_rate(),
            x_cache: &outcome.x_cache,
            first_byte_ms: FirstByte {
                channel: outcome.first_bytes.channel.into(),
                release: outcome.first_bytes.release.into(),
                artifact: outcome.first_bytes.artifact.into(),
            },
            update_ms: outcome.updates.into(),
        }
    }

    fn summary(&self) -> String {
        let Fleet {
            planned,
            verified,
            failed,
            damaged,
            cut_short,
            not_started,
        } = self.devices;
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12}{value}");
        };
        line(
            "devices",
            format!(
                "{planned}: {verified} verified, {failed} failed, {damaged} with wrong bytes, {cut_short} cut short, \
                 {not_started} not started"
            ),
        );
        line(
            "ended",
            format!("{} after {:.2} s", self.why(), self.elapsed_s),
        );
        line(
            "requests",
            format!(
                "{}, {:.0} per second; status {}",
                self.requests,
                self.requests_per_s,
                counts(self.statuses)
            ),
        );
        line(
            "bytes",
            format!(
                "{}, {} per second",
                size(self.bytes),
                size(whole(self.bytes_per_s))
            ),
        );
        line("connections", self.connections.to_string());
        if self.broken_off > 0 {
            line("broken off", format!("{}, and resumed", self.broken_off));
        }
        if self.ranges_ignored > 0 {
            line(
                "ranges",
                format!("{} ignored by the server", self.ranges_ignored),
            );
        }
        line(
            "errors",
            format!("{} ({:.2} %)", counts(self.errors), self.error_rate * 100.0),
        );
        line("X-Cache", counts(self.x_cache));
        text
    }

    fn why(&self) -> &'static str {
        match self.ended {
            "all_done" => "all done",
            "max_requests" => "by --max-requests",
            "max_time" => "by --max-time",
            _ => "interrupted",
        }
    }
}

impl Report for Figures<'_> {
    fn to_text(&self) -> String {
        let header = [
            ("milliseconds", Column::Left),
            ("count", Column::Right),
            ("p50", Column::Right),
            ("p90", Column::Right),
            ("p99", Column::Right),
            ("max", Column::Right),
        ];
        let FirstByte {
            channel,
            release,
            artifact,
        } = &self.first_byte_ms;
        let rows = [
            ("channel, first byte", channel),
            ("release, first byte", release),
            ("artifact, first byte", artifact),
            ("whole update", &self.update_ms),
        ];
        let row = |(name, times): (&str, &Millis)| {
            let mut cells = vec![name.to_owned(), times.count.to_string()];
            let shown = |ms| match times.count {
                0 => "–".to_owned(),
                _ => format!("{ms:.2}"),
            };
            cells.extend([times.p50, times.p90, times.p99, times.max].map(shown));
            cells
        };
        format!("{}\n{}", self.summary(), table(&header, rows.map(row)))
    }
}

impl From<Devices> for Fleet {
    fn from(devices: Devices) -> Self {
        let Devices {
            planned,
            verified,
            failed,
            damaged,
            cut_short,
            not_started,
        } = devices;
        Self {
            planned,
            verified,
            failed,
            damaged,
            cut_short,
            not_started,
        }
    }
}

impl From<Spread> for Millis {
    fn from(spread: Spread) -> Self {
        let millis = |time: Duration| round(time.as_secs_f64() * 1000.0);
        Self {
            count: spread.count,
            p50: millis(spread.p50),
            p90: millis(spread.p90),
            p99: millis(spread.p99),
            max: millis(spread.max),
        }
    }
}

/// `Hit 3, Miss 1`; what a server wrote must not steer a terminal.
fn counts<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let each = |(key, count): (&K, &u64)| format!("{} {count}", printable(&key.to_string()));
    counts.iter().map(each).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        round(count as f64 / seconds)
    } else {
        0.0
    }
}

/// Microseconds are what was measured.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate that is shown with three digits"
)]
fn whole(value: f64) -> u64 {
    value as u64
}
