//! What the edge counts.
//!
//! Owns the counters. Never says what a request's outcome is, nor what must add up: `edge/policy/record.rs`. What goes to
//! the origin is counted twice and independently, where it leaves (`upstream.rs`) and where its answer is used
//! (`origin.rs`), so that a request that one of them forgets is an imbalance.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::edge::policy::record::Conservation;

/// What the edge counted since it started.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Requests of viewers.
    pub viewer_requests: u64,
    /// What must balance once nothing is on its way.
    pub books: Conservation,
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
    origin_requests: AtomicU64,
    origin_unanswered: AtomicU64,
    misses: AtomicU64,
    refreshes: AtomicU64,
    pub(super) origin_bytes: AtomicU64,
    pub(super) collapsed: AtomicU64,
    pub(super) shield_requests: AtomicU64,
}

impl Counters {
    /// The last layer got an answer of the origin.
    pub(super) fn answered(&self, is_refresh: bool) {
        let counter = if is_refresh {
            &self.refreshes
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            viewer_requests: read(&self.viewer_requests),
            books: Conservation {
                viewer_bytes: read(&self.viewer_bytes),
                hit_bytes: read(&self.hit_bytes),
                fill_bytes: read(&self.fill_bytes),
                origin_requests: read(&self.origin_requests),
                origin_unanswered: read(&self.origin_unanswered),
                last_layer_misses: read(&self.misses),
                last_layer_refreshes: read(&self.refreshes),
            },
            origin_bytes: read(&self.origin_bytes),
            collapsed: read(&self.collapsed),
            shield_requests: read(&self.shield_requests),
        }
    }
}

/// A request that is handed to a connection to the origin. Counted when it ends, and an answer has to say so: a request
/// is also dropped in the middle, with the fetch that nobody wants any more.
pub(super) struct Attempt<'a> {
    counters: &'a Counters,
    ended: Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Unanswered,
    Answered,
    NeverLeft,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(counters: &'a Counters) -> Self {
        Self {
            counters,
            ended: Ended::Unanswered,
        }
    }

    /// The head of an answer came.
    pub(super) fn answered(mut self) {
        self.ended = Ended::Answered;
    }

    /// The connection had ended before it took the request.
    pub(super) fn never_left(mut self) {
        self.ended = Ended::NeverLeft;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.ended == Ended::NeverLeft {
            return;
        }
        let counters = self.counters;
        counters.origin_requests.fetch_add(1, Ordering::Relaxed);
        if self.ended == Ended::Unanswered {
            counters.origin_unanswered.fetch_add(1, Ordering::Relaxed);
        }
    }
}
