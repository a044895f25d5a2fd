//! E-3, E-4: one kept object: until when it may be served, and which bytes of it are here.
//!
//! Owns the arithmetic of ages and windows. Never reads an answer's headers (`freshness.rs`) and never knows who asks.

use std::time::Duration;

use super::{ObjectId, Stored, Validators, Want};
use crate::edge::policy::Moment;
use crate::edge::policy::freshness::{Directives, Lifetime};
use crate::edge::policy::spans::{OPEN, Span, Spans};

/// A kept object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) id: ObjectId,
    pub(super) status: u16,
    pub(super) said: Directives,
    pub(super) validators: Validators,
    pub(super) tags: Vec<Box<str>>,
    /// The size of the whole representation.
    pub(super) total: Option<u64>,
    spans: Spans,
    /// Every byte is here. Errors and redirects are always whole.
    is_whole: bool,
    windows: Windows,
    /// The origin said that there is no such thing: kept for nothing but to be confirmed.
    pub(super) is_denied: bool,
    /// After the origin failed: no attempt before this (E-5).
    pub(super) retry_at: Moment,
    /// Fills in flight that serve from it or add to it; it is not evicted meanwhile.
    pub(super) pins: u32,
}

/// From when to when an object may be served, as moments: a question costs one comparison.
#[derive(Clone, Copy, Debug)]
struct Windows {
    arrived: Moment,
    age_on_arrival: Duration,
    /// Exclusive: a lifetime of zero is over at once.
    fresh_until: Moment,
    /// Inclusive, like the two that follow (E-4: `(ttl, ttl + swr]`). `None`: not at all.
    stale_until: Option<Moment>,
    stand_in_until: Option<Moment>,
    limit: Option<Moment>,
}

impl Windows {
    fn new(lifetime: &Lifetime, age: Duration, now: Moment) -> Self {
        let until = |life: Duration| (life >= age).then(|| now.after(life.saturating_sub(age)));
        let after_fresh = |window: Duration| {
            let life = lifetime.fresh.saturating_add(window).min(lifetime.limit);
            (!window.is_zero()).then(|| until(life)).flatten()
        };
        let limit = until(lifetime.limit);
        let fresh = lifetime.fresh.min(lifetime.limit);
        Self {
            arrived: now,
            age_on_arrival: age,
            fresh_until: now.after(fresh.saturating_sub(age)),
            stale_until: after_fresh(lifetime.stale_while_revalidate),
            // Facts 11 and 21: an origin that said nothing about it lets an expired copy stand in up to the limit.
            stand_in_until: lifetime.stale_if_error.map_or(limit, after_fresh),
            limit,
        }
    }
}

/// The facts of an answer that an object is made from.
pub(super) struct Arrival<'a> {
    pub(super) status: u16,
    pub(super) said: &'a Directives,
    pub(super) validators: &'a Validators,
    pub(super) tags: &'a [Box<str>],
    pub(super) total: Option<u64>,
    pub(super) lifetime: &'a Lifetime,
}

impl Object {
    /// An object of which no byte is here yet.
    pub(super) fn new(id: ObjectId, arrival: &Arrival<'_>, now: Moment) -> Self {
        Self {
            id,
            status: arrival.status,
            said: *arrival.said,
            validators: arrival.validators.clone(),
            tags: arrival.tags.to_vec(),
            total: arrival.total,
            spans: Spans::default(),
            is_whole: false,
            windows: Windows::new(arrival.lifetime, arrival.said.age, now),
            is_denied: false,
            retry_at: Moment::default(),
            pins: 0,
        }
    }

    /// All `len` bytes came.
    pub(super) fn complete(&mut self, len: u64) {
        self.total = Some(len);
        self.spans = Spans::from(0..len);
        self.is_whole = true;
    }

    /// Some bytes came.
    pub(super) fn add(&mut self, span: Span) {
        self.spans.insert(span);
        self.is_whole = self
            .total
            .is_some_and(|total| self.spans.covers(&(0..total)));
    }

    /// The origin confirmed it: a new lifetime begins.
    pub(super) fn refresh(&mut self, said: &Directives, lifetime: &Lifetime, now: Moment) {
        self.said = *said;
        self.windows = Windows::new(lifetime, said.age, now);
        self.retry_at = Moment::default();
        self.is_denied = false;
    }

    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        now < self.windows.fresh_until
    }

    /// Whether it is served at once although it is stale (E-4).
    pub(super) fn is_served_stale(&self, now: Moment) -> bool {
        !self.is_denied && self.windows.stale_until.is_some_and(|until| now <= until)
    }

    /// Whether it is served when the origin fails (E-4, E-5).
    pub(super) fn may_stand_in(&self, now: Moment) -> bool {
        let until = self.windows.stand_in_until;
        !self.is_denied && until.is_some_and(|until| now <= until)
    }

    /// Whether nothing will ever make it servable again.
    pub(super) fn is_useless(&self, now: Moment) -> bool {
        let is_over = !self.is_fresh(now) && self.windows.limit.is_none_or(|until| now > until);
        is_over && self.validators.is_empty()
    }

    pub(super) fn age(&self, now: Moment) -> Duration {
        self.windows.age_on_arrival + now.since(self.windows.arrived)
    }

    pub(super) fn stored(&self, now: Moment) -> Stored {
        Stored {
            object: self.id,
            status: self.status,
            age: self.age(now),
            total: self.total,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(super) fn spans(&self) -> &Spans {
        &self.spans
    }

    pub(super) fn bytes(&self) -> u64 {
        self.spans.len()
    }

    /// Whether all that a request wants is here.
    pub(super) fn covers(&self, want: Want) -> bool {
        self.is_whole || span_of(want, self.total).is_some_and(|wanted| self.spans.covers(&wanted))
    }

    /// The first run of bytes that a request wants and that are not here; `None` also when that cannot be told.
    pub(super) fn first_gap(&self, want: Want) -> Option<Span> {
        span_of(want, self.total).and_then(|wanted| self.spans.first_gap(&wanted))
    }
}

/// The bytes that a request wants of an object of `total` bytes. Empty when it wants none: a HEAD, and a range beyond
/// the end, which the user answers with 416 from the total alone. `None`: not to be told before the total is known.
pub(super) fn span_of(want: Want, total: Option<u64>) -> Option<Span> {
    let end = total.unwrap_or(OPEN);
    match want {
        Want::Whole => Some(0..end),
        Want::Range { first, last } => {
            let last_end = last.map_or(OPEN, |last| last.saturating_add(1));
            let start = first.min(end);
            Some(start..last_end.min(end).max(start))
        }
        Want::Suffix(len) => total.map(|total| total.saturating_sub(len)..total),
        Want::Head => total.map(|_total| 0..0),
    }
}
