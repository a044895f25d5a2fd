//! E-5: which errors are kept, and for how long.
//!
//! Owns the two lists of fact 22 and the error-caching minimum TTLs. Never decides when a stale object stands in for an
//! error (`cache.rs`), only which errors one may stand in for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::freshness::{Directives, Lifetime, Storage, Ttl};

/// Error-caching minimum TTL by status; 10 s for those not named.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ErrorTtls {
    /// What `custom_error_response` blocks say.
    pub by_status: BTreeMap<u16, Duration>,
}

impl ErrorTtls {
    /// For one status.
    #[must_use]
    pub fn of(&self, status: u16) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(10);
        self.by_status.get(&status).copied().unwrap_or(DEFAULT)
    }
}

/// What to do with an answer whose status is 400 or above.
///
/// Kept for the greater of the error-caching minimum TTL and what the origin says (by `s-maxage` or `max-age`, clamped
/// by MaxTTL as any other lifetime). An error is never served stale.
#[must_use]
pub fn error_storage(status: u16, said: &Directives, ttl: &Ttl, errors: &ErrorTtls) -> Storage {
    let explicit = said.s_maxage.or(said.max_age);
    let is_kept = !ttl.max.is_zero()
        && match status {
            // Also with `no-store`: AWS calls these "always cached", so that a failing origin is left in peace.
            404 | 414 | 500..=504 => true,
            // A choice: AWS does not say what `no-store, max-age=0` means here; the prohibition counts.
            400 | 403 | 405 | 412 | 415 => explicit.is_some() && !said.forbids && !said.no_cache,
            _ => false,
        };
    let asked = explicit.unwrap_or_default().min(ttl.max);
    let fresh = errors.of(status).max(asked);
    if !is_kept || fresh.is_zero() {
        return Storage::Pass;
    }
    Storage::Keep(Lifetime {
        fresh,
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Some(Duration::ZERO),
        limit: fresh,
    })
}

/// Whether a stale object may stand in for an answer with this status (fact 21).
///
/// For 5xx only; an origin that did not answer at all is a 502 or 504 here (T22). A 4xx says something about the object
/// and replaces it.
#[must_use]
pub fn is_replaceable(status: u16) -> bool {
    (500..=599).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Ttl = Ttl {
        min: Duration::ZERO,
        default: Duration::from_secs(86_400),
        max: Duration::from_secs(31_536_000),
    };

    fn seconds(storage: Storage) -> Option<u64> {
        match storage {
            Storage::Keep(lifetime) => {
                assert_eq!(lifetime.stale_while_revalidate, Duration::ZERO);
                assert_eq!(lifetime.stale_if_error, Some(Duration::ZERO));
                assert_eq!(lifetime.limit, lifetime.fresh);
                Some(lifetime.fresh.as_secs())
            }
            Storage::Pass => None,
        }
    }

    fn max_age(seconds: u64) -> Directives {
        Directives {
            max_age: Some(Duration::from_secs(seconds)),
            ..Directives::default()
        }
    }

    #[test]
    fn e5_errors() {
        let silent = Directives::default();
        let errors = ErrorTtls::default();
        for status in [404, 414, 500, 501, 502, 503, 504] {
            let row = format!("T19 {status} is always kept");
            let kept = |said: &Directives| seconds(error_storage(status, said, &TTL, &errors));
            assert_eq!(kept(&silent), Some(10), "{row}");
            assert_eq!(kept(&max_age(60)), Some(60), "{row}, longer when asked");
            assert_eq!(kept(&max_age(1)), Some(10), "{row}, never shorter");
            let no_store = Directives {
                forbids: true,
                ..silent
            };
            assert_eq!(kept(&no_store), Some(10), "{row}, with no-store too");
        }
        for status in [400, 403, 405, 412, 415] {
            let row = format!("T19 {status} is kept when the origin gives it an age");
            let kept = |said: &Directives| seconds(error_storage(status, said, &TTL, &errors));
            assert_eq!(kept(&silent), None, "{row}");
            assert_eq!(kept(&max_age(60)), Some(60), "{row}");
            assert_eq!(kept(&max_age(1)), Some(10), "{row}, at least the minimum");
            let expires = Directives {
                expires: Some(Duration::from_secs(60)),
                ..silent
            };
            assert_eq!(kept(&expires), None, "{row}: `Expires` is none");
            let both = Directives {
                s_maxage: Some(Duration::from_secs(30)),
                ..max_age(90)
            };
            assert_eq!(kept(&both), Some(30), "{row}: `s-maxage` first");
            let no_store = Directives {
                forbids: true,
                ..max_age(60)
            };
            assert_eq!(kept(&no_store), None, "{row}, not with no-store");
        }
        for status in [
            401, 402, 406, 408, 409, 410, 416, 417, 429, 431, 451, 505, 511, 599,
        ] {
            let kept = error_storage(status, &max_age(60), &TTL, &errors);
            assert_eq!(seconds(kept), None, "T19 {status} is never kept");
        }
    }

    #[test]
    fn e5_error_ttls_are_by_status() {
        let errors = ErrorTtls {
            by_status: BTreeMap::from([
                (404, Duration::from_secs(1)),
                (503, Duration::ZERO),
                (410, Duration::from_secs(5)),
            ]),
        };
        for (row, status, said, expected) in [
            (
                "T19 a minimum of its own",
                404,
                Directives::default(),
                Some(1),
            ),
            (
                "T19 another status has the default",
                500,
                Directives::default(),
                Some(10),
            ),
            ("T19 zero keeps nothing", 503, Directives::default(), None),
            ("T19 zero, and the origin asks", 503, max_age(7), Some(7)),
            ("T19 a minimum makes no list", 410, max_age(7), None),
            (
                "T19 MaxTTL clamps",
                404,
                max_age(400_000_000),
                Some(31_536_000),
            ),
            (
                "T23 a 404 before publish is pinned for its minimum",
                404,
                max_age(1),
                Some(1),
            ),
        ] {
            assert_eq!(
                seconds(error_storage(status, &said, &TTL, &errors)),
                expected,
                "{row}"
            );
        }
        let disabled = Ttl {
            max: Duration::ZERO,
            default: Duration::ZERO,
            ..TTL
        };
        for status in [400, 404, 500] {
            let kept = error_storage(status, &max_age(60), &disabled, &errors);
            assert_eq!(kept, Storage::Pass, "T19 {status} under CachingDisabled");
        }
    }

    #[test]
    fn e5_stale_objects_stand_in_for_5xx_only() {
        for (row, status, expected) in [
            ("T20 an internal error", 500, true),
            ("T20 an overloaded origin", 503, true),
            ("T20 not only the cached ones", 599, true),
            ("T21 the object is gone", 404, false),
            ("T21 any 4xx", 400, false),
            ("T21 any 4xx", 499, false),
            ("T22 no connection", 502, true),
            ("T22 a time-out", 504, true),
            ("T23 an answer heals", 200, false),
        ] {
            assert_eq!(is_replaceable(status), expected, "{row}: {status}");
        }
    }
}
