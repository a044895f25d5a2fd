//! E-1 and E-4: how long an answer may be served, and what may happen after.
//!
//! Owns the meaning of an origin's `Cache-Control`, `Expires`, `Age` and `Date`, and the table that clamps them by a cache
//! policy. Never decides what a cache does with the result (`cache.rs`), and reads no grammar itself (`directives.rs`).

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
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a directive that is there or not; they combine freely"
)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Directives {
    /// `s-maxage`.
    pub s_maxage: Option<Duration>,
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `Expires` minus `Date`; zero when it is in the past or no date.
    pub expires: Option<Duration>,
    /// `no-store` or `private`.
    pub forbids: bool,
    /// `no-cache`: may be kept, but is asked about before every use.
    pub no_cache: bool,
    /// `must-revalidate` or `proxy-revalidate`: never served stale.
    pub must_revalidate: bool,
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
    ///
    /// `Expires` needs a `Date` to be compared with: `link::from_origin` sets one where the origin did not. Without it
    /// the answer has expired.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        super::directives::read(headers)
    }
}

/// What the table of E-1 says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// Keep it. When [`Lifetime::is_shared`] is false, requests that waited for it go to the origin themselves (E-6).
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

/// What a kept object of some age may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Served without asking.
    Fresh,
    /// Served at once; one fetch goes on behind.
    StaleWhileRevalidate,
    /// Asked about first; served if the origin fails.
    StaleIfError,
    /// Asked about first; never served without a 304.
    Expired,
}

impl Lifetime {
    /// What an object of this age may be used for.
    ///
    /// The ends of E-4's intervals count as inside, the beginning of staleness does not: an object whose age is its
    /// freshness lifetime is stale (RFC 9111 §4.2: fresh is "lifetime > age").
    #[must_use]
    pub fn phase(&self, age: Duration) -> Phase {
        if age < self.fresh {
            return Phase::Fresh;
        }
        if age > self.limit {
            return Phase::Expired;
        }
        let staleness = age.saturating_sub(self.fresh);
        if !self.stale_while_revalidate.is_zero() && staleness <= self.stale_while_revalidate {
            return Phase::StaleWhileRevalidate;
        }
        match self.stale_if_error {
            // Fact 11: silence is consent.
            None => Phase::StaleIfError,
            Some(window) if !window.is_zero() && staleness <= window => Phase::StaleIfError,
            Some(_) => Phase::Expired,
        }
    }

    /// Whether the answer may be given to the requests that waited for it (E-6, fact 26): not when it was made for one
    /// (`max-age=0`, `s-maxage=0`, `no-cache` with MinTTL 0).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !self.fresh.is_zero() || !self.stale_while_revalidate.is_zero()
    }
}

/// The table of E-1, and the clamps of E-4.
///
/// Choices where AWS is silent. Silence with DefaultTTL and MinTTL 0 is not kept: nothing would ever be served of it.
/// `must-revalidate`, `proxy-revalidate` and `no-cache` forbid what is stale, also beside `stale-…`, and so does `s-maxage`
/// unless a `stale-if-error` stands beside it (RFC 9111 §4.2.4, §5.2.2.10). Where MinTTL overrides a prohibition it does so
/// for MinTTL and no longer.
#[must_use]
pub fn lifetime(said: &Directives, ttl: &Ttl) -> Storage {
    let is_overridden = !ttl.min.is_zero(); // fact 3
    let explicit = said.s_maxage.or(said.max_age).or(said.expires);
    let is_kept = is_overridden || !(said.forbids || said.varies_on_everything); // fact 16 for `Vary: *`
    let has_lifetime =
        is_overridden || explicit.is_some() || said.no_cache || !ttl.default.is_zero();
    if ttl.max.is_zero() || !is_kept || !has_lifetime {
        return Storage::Pass;
    }
    let limit = ttl.max.max(ttl.min);
    if said.forbids || said.no_cache {
        return Storage::Keep(Lifetime {
            fresh: ttl.min,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Some(Duration::ZERO),
            limit,
        });
    }
    let fresh = explicit.map_or(ttl.default, |asked| asked.min(ttl.max));
    let (revalidate, on_error) = if said.must_revalidate {
        (None, Some(Duration::ZERO))
    } else {
        let by_s_maxage = said.s_maxage.map(|_| Duration::ZERO);
        (
            said.stale_while_revalidate,
            said.stale_if_error.or(by_s_maxage),
        )
    };
    Storage::Keep(Lifetime {
        fresh: fresh.max(ttl.min),
        stale_while_revalidate: revalidate.unwrap_or_default().min(ttl.max),
        stale_if_error: on_error.map(|window| window.min(ttl.max)),
        limit,
    })
}

#[cfg(test)]
mod tests {
    use http::header::{AGE, CACHE_CONTROL, HeaderName, HeaderValue};

    use super::*;

    const YEAR: u64 = 31_536_000;

    fn ttl(min: u64, default: u64, max: u64) -> Ttl {
        Ttl {
            min: Duration::from_secs(min),
            default: Duration::from_secs(default),
            max: Duration::from_secs(max),
        }
    }

    /// Header lines as they stand in an answer.
    fn said(lines: &str) -> Directives {
        let mut headers = HeaderMap::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        Directives::read(&headers)
    }

    fn fresh(lines: &str, ttl: &Ttl) -> Option<u64> {
        match lifetime(&said(lines), ttl) {
            Storage::Keep(lifetime) => Some(lifetime.fresh.as_secs()),
            Storage::Pass => None,
        }
    }

    const DATE: &str = "Date: Sun, 22 Nov 2026 10:00:00 GMT";
    const EXPIRES: &str = "Expires: Sun, 22 Nov 2026 10:01:00 GMT"; // a minute later

    #[test]
    fn e1_freshness() {
        let zero = ttl(0, 86_400, YEAR);
        let tight = ttl(0, 20, 30);
        let min = ttl(90, 100, 120);
        let both = format!("{DATE}\n{EXPIRES}\n");
        for (row, lines, expected) in [
            // row, header lines, [MinTTL 0, the same with a low MaxTTL, MinTTL 90 and MaxTTL 120]
            (
                "T1 s-maxage",
                "Cache-Control: s-maxage=60",
                [Some(60), Some(30), Some(90)],
            ),
            (
                "T1 s-maxage",
                "Cache-Control: s-maxage=100",
                [Some(100), Some(30), Some(100)],
            ),
            (
                "T1 s-maxage",
                "Cache-Control: s-maxage=600",
                [Some(600), Some(30), Some(120)],
            ),
            (
                "T1 max-age",
                "Cache-Control: max-age=60",
                [Some(60), Some(30), Some(90)],
            ),
            (
                "T1 max-age",
                "Cache-Control: max-age=100",
                [Some(100), Some(30), Some(100)],
            ),
            (
                "T1 max-age",
                "Cache-Control: max-age=600",
                [Some(600), Some(30), Some(120)],
            ),
            (
                "T1 max-age of nothing is asked about",
                "Cache-Control: max-age=0",
                [Some(0), Some(0), Some(90)],
            ),
            ("T1 Expires", &both, [Some(60), Some(30), Some(90)]),
            ("T1 none", "", [Some(86_400), Some(20), Some(100)]),
            (
                "T1 none that counts",
                "Cache-Control: public",
                [Some(86_400), Some(20), Some(100)],
            ),
            (
                "T1 no-store",
                "Cache-Control: no-store",
                [None, None, Some(90)],
            ),
            (
                "T1 private",
                "Cache-Control: private",
                [None, None, Some(90)],
            ),
            (
                "T1 no-cache is asked about",
                "Cache-Control: no-cache",
                [Some(0), Some(0), Some(90)],
            ),
            (
                "T1 no-store beats an age",
                "Cache-Control: max-age=600, no-store",
                [None, None, Some(90)],
            ),
            (
                "T1 no-cache beats an age",
                "Cache-Control: no-cache, max-age=600",
                [Some(0), Some(0), Some(90)],
            ),
            (
                "T2 max-age beats Expires",
                &format!("{both}Cache-Control: max-age=10"),
                [Some(10), Some(10), Some(90)],
            ),
            (
                "T2 also when it is 0",
                &format!("{both}Cache-Control: max-age=0"),
                [Some(0), Some(0), Some(90)],
            ),
            (
                "T3 s-maxage beats max-age",
                "Cache-Control: max-age=10, s-maxage=25",
                [Some(25), Some(25), Some(90)],
            ),
            (
                "T3 also when it is shorter, and on a line before",
                "Cache-Control: s-maxage=1\nCache-Control: max-age=25",
                [Some(1), Some(1), Some(90)],
            ),
            (
                "T5 immutable changes nothing",
                "Cache-Control: max-age=25, immutable",
                [Some(25), Some(25), Some(90)],
            ),
            (
                "T5 immutable is no age",
                "Cache-Control: immutable",
                [Some(86_400), Some(20), Some(100)],
            ),
            (
                "Vary: * is not served",
                "Cache-Control: max-age=60\nVary: *",
                [None, None, Some(90)],
            ),
        ] {
            let found = [&zero, &tight, &min].map(|ttl| fresh(lines, ttl));
            assert_eq!(found, expected, "{row}: {lines}");
        }
    }

    #[test]
    fn e1_a_request_has_no_say() {
        // T4: what the viewer says is no argument of `lifetime` nor of `Phase`; the fields of a request that would force a
        // refetch mean nothing in an answer either.
        let plain = said("Cache-Control: max-age=60");
        assert_eq!(
            said("Cache-Control: max-age=60\nPragma: no-cache"),
            plain,
            "T4 Pragma"
        );
        let request_only = "Cache-Control: max-age=60, max-stale=5, min-fresh=5, only-if-cached";
        assert_eq!(said(request_only), plain, "T4 directives of requests");
    }

    #[test]
    fn e1_without_a_default_silence_is_not_kept() {
        let none = ttl(0, 0, YEAR);
        for (row, lines, expected) in [
            ("T1 silence", "", None),
            ("T1 a validator is no freshness", "ETag: \"a\"", None),
            ("T1 public is no freshness", "Cache-Control: public", None),
            (
                "T1 a stale window is no freshness",
                "Cache-Control: stale-if-error=60",
                None,
            ),
            ("T1 an age is", "Cache-Control: max-age=1", Some(1)),
            ("T1 an expiry without Date has passed", EXPIRES, Some(0)),
            (
                "T1 no-cache is kept to be asked about",
                "Cache-Control: no-cache",
                Some(0),
            ),
        ] {
            assert_eq!(fresh(lines, &none), expected, "{row}");
        }
        let disabled = ttl(0, 0, 0);
        for lines in [
            "",
            "Cache-Control: max-age=60",
            "Cache-Control: s-maxage=60",
        ] {
            assert_eq!(fresh(lines, &disabled), None, "T1 CachingDisabled: {lines}");
        }
        // CachingOptimized: MinTTL 1.
        let optimized = ttl(1, 86_400, YEAR);
        assert_eq!(
            fresh("Cache-Control: no-store", &optimized),
            Some(1),
            "T1 MinTTL overrides"
        );
        assert_eq!(fresh("", &optimized), Some(86_400), "T1 D");
    }

    #[test]
    fn e4_stale() {
        use Phase::{Expired, Fresh, StaleIfError, StaleWhileRevalidate};
        let year = ttl(0, 86_400, YEAR);
        let short = ttl(0, 10, 50);
        for (row, ttl, value, steps) in [
            (
                "T14 stale is served at once within the window",
                &year,
                "max-age=30, stale-while-revalidate=30, stale-if-error=60",
                &[
                    (0, Fresh),
                    (29, Fresh),
                    (30, StaleWhileRevalidate),
                    (60, StaleWhileRevalidate),
                    (61, StaleIfError),
                    (90, StaleIfError),
                    (91, Expired),
                ][..],
            ),
            (
                "T15 a window of nothing opens no fetch behind",
                &year,
                "max-age=30, stale-while-revalidate=0",
                &[(30, StaleIfError)],
            ),
            (
                "T16 stale-if-error alone: the origin is tried first",
                &year,
                "max-age=30, stale-if-error=60",
                &[
                    (29, Fresh),
                    (30, StaleIfError),
                    (90, StaleIfError),
                    (91, Expired),
                ],
            ),
            (
                "T17 stale-if-error=0",
                &year,
                "max-age=30, stale-if-error=0",
                &[(29, Fresh), (30, Expired)],
            ),
            (
                "T17 fact 11: nothing said, served up to MaxTTL",
                &year,
                "max-age=30",
                &[
                    (30, StaleIfError),
                    (YEAR, StaleIfError),
                    (YEAR + 1, Expired),
                ],
            ),
            (
                "T18 nothing is served beyond MaxTTL",
                &short,
                "max-age=30, stale-while-revalidate=100, stale-if-error=100",
                &[
                    (30, StaleWhileRevalidate),
                    (50, StaleWhileRevalidate),
                    (51, Expired),
                ],
            ),
            (
                "T18 fact 11 ends there too",
                &short,
                "max-age=30",
                &[(50, StaleIfError), (51, Expired)],
            ),
            (
                "T18 a lifetime clamped by MaxTTL leaves nothing for after",
                &short,
                "max-age=600, stale-if-error=600",
                &[(49, Fresh), (50, StaleIfError), (51, Expired)],
            ),
            (
                "T17 must-revalidate forbids",
                &year,
                "max-age=30, must-revalidate, stale-while-revalidate=60, stale-if-error=60",
                &[(29, Fresh), (30, Expired)],
            ),
            (
                "T17 proxy-revalidate forbids",
                &year,
                "max-age=30, proxy-revalidate",
                &[(30, Expired)],
            ),
            (
                "T17 s-maxage forbids",
                &year,
                "s-maxage=30",
                &[(29, Fresh), (30, Expired)],
            ),
            (
                "T16 s-maxage beside stale-if-error allows what that says",
                &year,
                "s-maxage=30, stale-if-error=10",
                &[(30, StaleIfError), (40, StaleIfError), (41, Expired)],
            ),
            (
                "T17 no-cache forbids",
                &year,
                "no-cache, stale-if-error=60",
                &[(0, Expired)],
            ),
            (
                "T14 a window after a lifetime of nothing",
                &year,
                "max-age=0, stale-while-revalidate=5",
                &[
                    (0, StaleWhileRevalidate),
                    (5, StaleWhileRevalidate),
                    (6, StaleIfError),
                ],
            ),
        ] {
            let Storage::Keep(lifetime) = lifetime(&said(&format!("Cache-Control: {value}")), ttl)
            else {
                panic!("{row}: not kept");
            };
            for (age, expected) in steps {
                let found = lifetime.phase(Duration::from_secs(*age));
                assert_eq!(found, *expected, "{row}: `{value}` at {age} s");
            }
        }
    }

    #[test]
    fn e4_a_prohibition_that_min_ttl_overrides_comes_back_after_it() {
        let ttl = ttl(60, 60, 600);
        for value in [
            "no-store",
            "private",
            "no-cache",
            "no-store, stale-if-error=60",
        ] {
            let Storage::Keep(lifetime) = lifetime(&said(&format!("Cache-Control: {value}")), &ttl)
            else {
                panic!("`{value}`: not kept");
            };
            assert_eq!(
                lifetime.phase(Duration::from_secs(59)),
                Phase::Fresh,
                "{value}"
            );
            assert_eq!(
                lifetime.phase(Duration::from_secs(60)),
                Phase::Expired,
                "{value}"
            );
        }
    }

    #[test]
    fn e6_only_an_answer_that_may_be_reused_is_shared() {
        let ttl = ttl(0, 60, 600);
        for (value, expected) in [
            ("max-age=1", true),
            ("max-age=0, stale-while-revalidate=1", true),
            ("max-age=0", false),
            ("s-maxage=0, max-age=9", false),
            ("no-cache", false),
        ] {
            let Storage::Keep(lifetime) = lifetime(&said(&format!("Cache-Control: {value}")), &ttl)
            else {
                panic!("`{value}`: not kept");
            };
            assert_eq!(lifetime.is_shared(), expected, "{value}");
        }
    }

    #[test]
    fn the_age_of_an_answer_is_reported_beside_its_lifetime() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=10"));
        headers.insert(AGE, HeaderValue::from_static("15"));
        let said = Directives::read(&headers);
        let Storage::Keep(lifetime) = lifetime(&said, &ttl(0, 0, 600)) else {
            panic!("not kept");
        };
        assert_eq!(
            lifetime.phase(said.age),
            Phase::StaleIfError,
            "it came already stale"
        );
    }
}
