//! E-1 and E-4: how long an answer may be served, and what may happen after.
//!
//! Owns the reading of an origin's `Cache-Control`, `Expires`, `Age` and `Date`, and the table that clamps them by a cache
//! policy. Never decides what a cache does with the result: `cache.rs`.

use std::time::Duration;

use http::HeaderMap;

/// The three times of a cache policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ttl {
    /// MinTTL.
    pub min: Duration,
    /// DefaultTTL: for answers that say nothing.
    pub default: Duration,
    /// MaxTTL.
    pub max: Duration,
}

/// What an answer says about its own caching.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Directives {
    /// `s-maxage`.
    pub s_maxage: Option<Duration>,
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `Expires` minus `Date`; zero when it is in the past or no date.
    pub expires: Option<Duration>,
    /// `no-cache`, `no-store` or `private`.
    pub forbids: bool,
    /// `stale-while-revalidate`.
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error`.
    pub stale_if_error: Option<Duration>,
    /// How old the answer was when it arrived: `Age`, from a cache nearer to the origin.
    pub age: Duration,
    /// `Vary: *`.
    pub varies_on_everything: bool,
}

impl Directives {
    /// Reads them off an answer's headers.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        todo!("{headers:?}")
    }
}

/// What the table of E-1 says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// Keep it.
    Keep(Lifetime),
    /// Deliver it and forget it; requests that waited for it go to the origin themselves (E-6).
    Pass,
}

/// How long an answer is good for, counted from the moment it was made (so that its `Age` counts).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetime {
    /// Served without asking.
    pub fresh: Duration,
    /// After `fresh`: served at once while one fetch goes on behind (already clamped by MaxTTL).
    pub stale_while_revalidate: Duration,
    /// After `fresh`: served when the origin fails. `None`: the origin said nothing, and fact 11 applies; zero: never.
    pub stale_if_error: Option<Duration>,
    /// No copy older than this is served, whatever happens.
    pub limit: Duration,
}

/// The table of E-1.
#[must_use]
pub fn lifetime(said: &Directives, ttl: &Ttl) -> Storage {
    todo!("{said:?} {ttl:?}")
}
