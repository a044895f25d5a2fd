//! What the edge counts.
//!
//! Owns the counters and what they must add up to. Never says what a request's outcome is.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the edge counted since it started. Conservation: `viewer_bytes = hit_bytes + fill_bytes`,
/// `origin_requests = misses + refreshes of the last layer`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Requests of viewers.
    pub viewer_requests: u64,
    /// Body bytes to viewers.
    pub viewer_bytes: u64,
    /// … that were in the POP's cache when asked for, or made by the edge.
    pub hit_bytes: u64,
    /// … that a fill brought.
    pub fill_bytes: u64,
    /// Requests to the origin.
    pub origin_requests: u64,
    /// … because the last layer did not have the object.
    pub last_layer_misses: u64,
    /// … because it was stale there.
    pub last_layer_refreshes: u64,
    /// Body bytes from the origin.
    pub origin_bytes: u64,
    /// Requests that waited for or streamed along with another one's fill, over all layers.
    pub collapsed: u64,
    /// Requests that took the extra hop to the shield.
    pub shield_requests: u64,
}

/// The counters that run.
#[derive(Default, Debug)]
pub(super) struct Counters {
    pub(super) viewer_requests: AtomicU64,
    pub(super) viewer_bytes: AtomicU64,
    pub(super) hit_bytes: AtomicU64,
    pub(super) fill_bytes: AtomicU64,
    misses: AtomicU64,
    refreshes: AtomicU64,
    pub(super) origin_bytes: AtomicU64,
    pub(super) collapsed: AtomicU64,
    pub(super) shield_requests: AtomicU64,
}

impl Counters {
    /// A request went to the origin.
    pub(super) fn asked_origin(&self, is_refresh: bool) {
        let counter = if is_refresh {
            &self.refreshes
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (hit_bytes, fill_bytes) = (read(&self.hit_bytes), read(&self.fill_bytes));
        let (misses, refreshes) = (read(&self.misses), read(&self.refreshes));
        Stats {
            viewer_requests: read(&self.viewer_requests),
            viewer_bytes: read(&self.viewer_bytes),
            hit_bytes,
            fill_bytes,
            origin_requests: misses + refreshes,
            last_layer_misses: misses,
            last_layer_refreshes: refreshes,
            origin_bytes: read(&self.origin_bytes),
            collapsed: read(&self.collapsed),
            shield_requests: read(&self.shield_requests),
        }
    }
}
