//! What the server counts, and how Prometheus reads it.
//!
//! Owns every metric's name and meaning. No label comes from a URL: a stranger cannot make a time series. On a
//! request's path it costs a few relaxed atomic additions, never a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::exchange::{Ending, Record};

/// Every status that the origin answers with. A new one must be added here, or its answers go uncounted.
const STATUSES: [u16; 16] = [
    200, 206, 302, 304, 400, 403, 404, 405, 408, 412, 414, 416, 431, 500, 503, 505,
];

const ENDINGS: [Ending; 6] = [
    Ending::Complete,
    Ending::ClientGone,
    Ending::Stalled,
    Ending::Damaged,
    Ending::StoreAway,
    Ending::Drained,
];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct EndingLabel {
    ending: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct NearLabel {
    near: &'static str,
}

/// What is counted about blocks of artifacts in a remote store; clones count together.
#[derive(Clone, Debug)]
pub struct BlockCounts {
    /// Blocks that were found in memory.
    pub memory_hits: Counter,
    /// Blocks that were found on the cache's disk, and were good.
    pub disk_hits: Counter,
    /// Requests to the store.
    pub fetches: Counter,
    /// Bytes that came of them.
    pub fetched_bytes: Counter,
    /// Blocks that were not what was published.
    pub damaged: Counter,
    in_flight: Gauge,
}

impl BlockCounts {
    fn new(r: &mut Registry) -> Self {
        let hits = Family::<NearLabel, Counter>::default();
        let help = "Blocks of remote artifacts that were found near: in memory, or on the disk of the cache";
        r.register("block_hits", help, hits.clone());
        let near = |near| hits.get_or_create_owned(&NearLabel { near });
        let damaged = "Blocks that were not what was published, from the store or from the disk of the cache; none was sent";
        Self {
            memory_hits: near("memory"),
            disk_hits: near("disk"),
            fetches: counter(
                r,
                "block_fetches",
                "Blocks that were asked of a remote store",
            ),
            fetched_bytes: counter(
                r,
                "block_fetched_bytes",
                "Bytes of blocks that a remote store gave",
            ),
            damaged: counter(r, "blocks_damaged", damaged),
            in_flight: gauge(
                r,
                "block_fetches_in_flight",
                "Blocks that are being asked of a remote store, or wait for it to recover",
            ),
        }
    }

    /// Counts a fetch as in flight until what it returns is dropped.
    #[must_use]
    pub fn fetch_begins(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }
}

/// A fetch that is in flight.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A ratio of two counters, computed when it is asked for.
type Ratio = Gauge<f64, AtomicU64>;

/// What only others know, at the moment of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Failed looks at the store.
    pub store_errors: u64,
    /// Releases in memory.
    pub releases_loaded: u64,
    /// Artifacts that are open.
    pub artifacts_open: u64,
    /// Access records that were dropped.
    pub log_dropped: u64,
    /// Whether `/readyz` says 200.
    pub is_ready: bool,
}

/// The counters of one server; all threads share one.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    by_status: [Counter; STATUSES.len()],
    by_ending: [Counter; ENDINGS.len()],
    body_bytes: Counter,
    partial_ratio: Ratio,
    not_modified_ratio: Ratio,
    /// Requests whose answer has not ended.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections_open: Gauge,
    /// Connections answered with 503 and closed because of `limits.connections_max`.
    pub connections_refused: Counter,
    /// Failed accepts.
    pub accept_errors: Counter,
    /// Blocks of remote artifacts.
    pub blocks: BlockCounts,
    store_errors: Counter,
    log_dropped: Counter,
    releases_loaded: Gauge,
    artifacts_open: Gauge,
    ready: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers everything, so that each series exists from the start.
    #[must_use]
    pub fn new() -> Self {
        let mut r = Registry::with_prefix("headwater");
        let requests = Family::<StatusLabel, Counter>::default();
        let answers = Family::<EndingLabel, Counter>::default();
        r.register(
            "requests",
            "Answers that ended, by status",
            requests.clone(),
        );
        r.register(
            "answers",
            "Answers that ended, by how they ended",
            answers.clone(),
        );
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The running program", build);
        let body = counter(
            &mut r,
            "response_body_bytes",
            "Body bytes handed to the kernel",
        );
        let refused = "Connections answered with 503 and closed because of limits.connections_max";
        let dropped = "Access records dropped because their reader was too slow";
        Self {
            by_status: STATUSES.map(|status| requests.get_or_create_owned(&StatusLabel { status })),
            by_ending: ENDINGS
                .map(|e| answers.get_or_create_owned(&EndingLabel { ending: e.as_str() })),
            body_bytes: body,
            partial_ratio: ratio(
                &mut r,
                "partial_content_ratio",
                "Share of answers with status 206",
            ),
            not_modified_ratio: ratio(
                &mut r,
                "not_modified_ratio",
                "Share of answers with status 304",
            ),
            in_flight: gauge(
                &mut r,
                "requests_in_flight",
                "Requests whose answer has not ended",
            ),
            connections_open: gauge(&mut r, "connections_open", "Open connections"),
            connections_refused: counter(&mut r, "connections_refused", refused),
            accept_errors: counter(
                &mut r,
                "accept_errors",
                "Failed accepts, as without free descriptors",
            ),
            blocks: BlockCounts::new(&mut r),
            store_errors: counter(&mut r, "store_errors", "Failed looks at the store"),
            log_dropped: counter(&mut r, "access_log_dropped", dropped),
            releases_loaded: gauge(&mut r, "releases_loaded", "Releases in memory"),
            artifacts_open: gauge(&mut r, "artifacts_open", "Artifacts that are open"),
            ready: gauge(&mut r, "ready", "1 while /readyz answers 200"),
            registry: r,
        }
    }

    /// Counts an answer that ended.
    pub fn observe(&self, record: &Record) {
        if let Some(at) = STATUSES.iter().position(|status| *status == record.status) {
            self.by_status[at].inc();
        }
        if let Some(at) = ENDINGS.iter().position(|ending| *ending == record.ending) {
            self.by_ending[at].inc();
        }
        self.body_bytes.inc_by(record.body_sent);
    }

    /// Everything as text, in the `OpenMetrics` form that Prometheus asks for.
    #[must_use]
    pub fn scrape(&self, snapshot: Snapshot) -> String {
        set_counter(&self.store_errors, snapshot.store_errors);
        set_counter(&self.log_dropped, snapshot.log_dropped);
        self.releases_loaded
            .set(i64::try_from(snapshot.releases_loaded).unwrap_or(i64::MAX));
        self.artifacts_open
            .set(i64::try_from(snapshot.artifacts_open).unwrap_or(i64::MAX));
        self.ready.set(i64::from(snapshot.is_ready));
        let all: u64 = self.by_status.iter().map(Counter::get).sum();
        self.partial_ratio.set(self.share(206, all));
        self.not_modified_ratio.set(self.share(304, all));
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => String::new(), // writing to memory does not fail
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
    fn share(&self, status: u16, all: u64) -> f64 {
        let at = STATUSES.iter().position(|known| *known == status);
        let of_status = at.map_or(0, |at| self.by_status[at].get());
        if all == 0 {
            0.0
        } else {
            of_status as f64 / all as f64
        }
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn ratio(registry: &mut Registry, name: &str, help: &str) -> Ratio {
    let ratio = Ratio::default();
    registry.register(name, help, ratio.clone());
    ratio
}

fn set_counter(counter: &Counter, value: u64) {
    counter.inner().store(value, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_by_status_ending_and_bytes() {
        let metrics = Metrics::new();
        for status in [206, 206, 304, 200] {
            metrics.observe(&Record {
                status,
                body_sent: 5,
                ..Record::new(None, None)
            });
        }
        let text = metrics.scrape(Snapshot {
            store_errors: 7,
            is_ready: true,
            ..Snapshot::default()
        });
        for line in [
            "headwater_requests_total{status=\"206\"} 2",
            "headwater_answers_total{ending=\"client-gone\"} 4",
            "headwater_response_body_bytes_total 20",
            "headwater_partial_content_ratio 0.5",
            "headwater_not_modified_ratio 0.25",
            "headwater_store_errors_total 7",
            "headwater_ready 1",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no `{line}` in\n{text}"
            );
        }
    }

    #[test]
    fn every_status_that_an_answer_can_have_is_counted() {
        use crate::http::{Problem, problem};
        let problems = [
            Problem::BadRequest,
            Problem::Forbidden,
            Problem::NotFound,
            Problem::MethodNotAllowed,
            Problem::RequestTimeout,
            Problem::PreconditionFailed,
            Problem::UriTooLong,
            Problem::RangeNotSatisfiable { len: 0 },
            Problem::HeadTooLarge,
            Problem::Internal,
            Problem::Unavailable { retry_after: None },
            Problem::VersionNotSupported,
        ];
        for status in problems.map(|p| problem(p).status.as_u16()) {
            assert!(STATUSES.contains(&status), "{status}");
        }
    }
}
