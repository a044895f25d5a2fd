//! CloudFront's documented caching behaviour as pure functions and one state machine.
//!
//! Owns every rule E-1 to E-15 of the edge model; what AWS does not publish is a parameter. Never does I/O, never reads
//! a clock (callers say what [`Moment`] it is), never holds a byte of a body. Read in the order of a request:
//!
//! | rule | file | owns |
//! |---|---|---|
//! | | `distribution.rs` | what an operator configures: behaviours by path pattern, cache policies, the origin |
//! | E-2 | `key.rs` | which requests share one cached object |
//! | E-1, E-4 | `freshness.rs` | how long an answer may be served, and what may happen after |
//! | | `directives.rs` | … the grammar of the fields that say so |
//! | E-5 | `errors.rs` | which errors are kept, and for how long |
//! | E-3, E-6, E-8, E-12 | `cache.rs` | one cache: hit, refresh, fill, collapse, evict |
//! | E-7 | `spans.rs` | which bytes of an object are here, which must be fetched |
//! | E-9 | `topology.rs` | POP → regional edge cache → Origin Shield → origin |
//! | E-10 | `link.rs`, `link/answer.rs` | headers to the origin, and back to the viewer |
//! | | `attempts.rs` | … what is tried again, and what a viewer gets when the origin does not answer |
//! | | `admission.rs` | which requests are refused at once |
//! | E-11 | `compression.rs` | what is compressed at the edge |
//! | E-13 | `invalidation.rs` | paths, wildcards, tags, quotas, idempotency |
//! | E-14 | `limits.rs` | requests and bits per second of a distribution |
//! | E-15 | `record.rs` | log fields, hit rates, the conservation of bytes and requests |

use std::time::Duration;

pub mod admission;
pub mod attempts;
pub mod cache;
pub mod compression;
mod directives;
pub mod distribution;
pub mod errors;
pub mod freshness;
pub mod invalidation;
pub mod key;
pub mod limits;
pub mod link;
pub mod record;
pub mod spans;
#[cfg(test)]
mod testing;
pub mod topology;

/// A point in time: microseconds since the run began.
///
/// Simulated and real time look alike to the rules, and the arithmetic is exact, so that a run can be repeated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `later` after this one; stops at the end of time.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        let micros = u64::try_from(later.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// How long ago `earlier` was; zero when it is still to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
