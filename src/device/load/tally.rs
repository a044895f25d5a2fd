//! What all devices of a run count together, and the budget of requests that they share.
//!
//! Owns the counting. Never decides what a figure means for the run as a whole: `outcome.rs` says what they are,
//! `cli/loadtest.rs` what is too much.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;

use super::outcome::{Devices, Ended, FirstBytes, LoadOutcome, Snapshot, Spread};
use crate::device::{DeviceError, TransferError, Watcher};

/// Values of `X-Cache` that are counted apart; a cache that writes its own name into each has thousands.
const X_CACHE_VALUES_MAX: usize = 16;

/// One line of a table, whatever a cache writes.
const X_CACHE_CHARS_MAX: usize = 60;

/// How one device ended.
pub(super) enum End {
    /// With the published bytes, after so long.
    Verified(Duration),
    /// Without them.
    Failed(DeviceError),
    /// With others.
    Damaged(DeviceError),
    /// The bound on requests was reached.
    CutShort,
}

/// Counters of a run.
pub(super) struct Tally {
    requests_max: u64,
    /// Requests that were wanted: above `requests_max` when the budget is used up.
    wanted: AtomicU64,
    started: AtomicU64,
    ended: AtomicU64,
    verified: AtomicU64,
    failed: AtomicU64,
    connections: AtomicU64,
    bytes: AtomicU64,
    broken_off: AtomicU64,
    ranges_ignored: AtomicU64,
    rest: Mutex<Rest>,
}

/// What is counted once per request.
#[derive(Default)]
struct Rest {
    damaged: u64,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<String, u64>,
    x_cache: BTreeMap<String, u64>,
    /// Times in microseconds: four bytes each, so that a million requests cost 4 MB.
    channel: Vec<u32>,
    release: Vec<u32>,
    artifact: Vec<u32>,
    updates: Vec<u32>,
    first_failure: Option<DeviceError>,
    first_damage: Option<DeviceError>,
}

impl Tally {
    pub(super) fn new(requests_max: NonZeroU64) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            requests_max: requests_max.get(),
            wanted: zero(),
            started: zero(),
            ended: zero(),
            verified: zero(),
            failed: zero(),
            connections: zero(),
            bytes: zero(),
            broken_off: zero(),
            ranges_ignored: zero(),
            rest: Mutex::default(),
        }
    }

    /// Takes one request from the budget, if there is one left.
    pub(super) fn may_ask(&self) -> bool {
        self.wanted.fetch_add(1, Ordering::Relaxed) < self.requests_max
    }

    /// Whether a request was refused for want of budget.
    pub(super) fn is_over_budget(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > self.requests_max
    }

    pub(super) fn connected(&self) {
        add(&self.connections, 1);
    }

    pub(super) fn started(&self) {
        add(&self.started, 1);
    }

    /// Bytes of an artifact arrived.
    pub(super) fn received(&self, bytes: u64) {
        add(&self.bytes, bytes);
    }

    pub(super) fn broke_off(&self) {
        add(&self.broken_off, 1);
    }

    pub(super) fn range_ignored(&self) {
        add(&self.ranges_ignored, 1);
    }

    pub(super) fn ended(&self, end: End) {
        let mut rest = self.rest();
        match end {
            End::Verified(took) => {
                add(&self.verified, 1);
                rest.updates.push(micros(took));
            }
            End::Failed(error) => {
                add(&self.failed, 1);
                // Its requests were answered in good order; what they brought is of no use.
                if matches!(
                    error,
                    DeviceError::Document { .. }
                        | DeviceError::DocumentTooLong { .. }
                        | DeviceError::NoArtifact { .. }
                        | DeviceError::Ambiguous { .. }
                ) {
                    count(&mut rest.errors, "unusable document".to_owned());
                }
                rest.first_failure.get_or_insert(error);
            }
            End::Damaged(error) => {
                add(&self.failed, 1);
                rest.damaged += 1;
                rest.first_damage.get_or_insert(error);
            }
            End::CutShort => return,
        }
        add(&self.ended, 1);
    }

    pub(super) fn snapshot(&self, elapsed: Duration) -> Snapshot {
        let started = get(&self.started);
        Snapshot {
            elapsed,
            active: started.saturating_sub(get(&self.ended)),
            verified: get(&self.verified),
            failed: get(&self.failed),
            requests: self.requests(),
            bytes: get(&self.bytes),
        }
    }

    pub(super) fn outcome(&self, planned: u64, ended: Ended, elapsed: Duration) -> LoadOutcome {
        let mut rest = std::mem::take(&mut *self.rest());
        let started = get(&self.started);
        LoadOutcome {
            ended,
            elapsed,
            devices: Devices {
                planned,
                verified: get(&self.verified),
                failed: get(&self.failed) - rest.damaged,
                damaged: rest.damaged,
                cut_short: started - get(&self.ended),
                not_started: planned - started,
            },
            requests: self.requests(),
            statuses: rest.statuses,
            bytes: get(&self.bytes),
            connections: get(&self.connections),
            broken_off: get(&self.broken_off),
            ranges_ignored: get(&self.ranges_ignored),
            errors: rest.errors,
            x_cache: rest.x_cache,
            first_bytes: FirstBytes {
                channel: Spread::of(&mut rest.channel),
                release: Spread::of(&mut rest.release),
                artifact: Spread::of(&mut rest.artifact),
            },
            updates: Spread::of(&mut rest.updates),
            first_failure: rest.first_failure,
            first_damage: rest.first_damage,
        }
    }

    fn requests(&self) -> u64 {
        get(&self.wanted).min(self.requests_max)
    }

    /// A poisoned lock means a panic between two counts: the figures are still figures.
    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for Tally {
    fn start(&self, _size: u64, _have: u64) {}

    fn advance(&self, bytes: u64) {
        self.received(bytes);
    }

    fn request(&self, what: &str, _status: u16, bytes: u64, _took: Duration) {
        // An artifact's bytes were counted as they came.
        if what != "artifact" {
            self.received(bytes);
        }
    }

    fn answered(&self, what: &str, status: u16, headers: &HeaderMap, took: Duration) {
        let mut rest = self.rest();
        let times = match what {
            "channel" => &mut rest.channel,
            "release" => &mut rest.release,
            _ => &mut rest.artifact,
        };
        times.push(micros(took));
        *rest.statuses.entry(status).or_default() += 1;
        if !matches!(status, 200 | 206) {
            count(&mut rest.errors, format!("status {status}"));
        }
        if let Some(value) = headers.get("x-cache").and_then(|value| value.to_str().ok()) {
            let value: String = value.chars().take(X_CACHE_CHARS_MAX).collect();
            let is_new = !rest.x_cache.contains_key(&value);
            let key = if is_new && rest.x_cache.len() >= X_CACHE_VALUES_MAX {
                "(other)".to_owned()
            } else {
                value
            };
            count(&mut rest.x_cache, key);
        }
    }

    fn failed(&self, _what: &str, failure: &TransferError) {
        if !matches!(failure, TransferError::OverBudget) {
            count(&mut self.rest().errors, failure.kind());
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn count(counts: &mut BTreeMap<String, u64>, key: String) {
    *counts.entry(key).or_default() += 1;
}

/// Longer than an hour and eleven minutes is that long.
fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
