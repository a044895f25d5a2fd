//! E-1 and E-4: how long an answer may be served, and what may happen after.
//!
//! Owns the meaning of an origin's `Cache-Control`, `Expires`, `Age` and `Date`, and the table that clamps them by a
//! cache policy. Never decides what a cache does with the result (`cache.rs`), and reads no grammar itself
//! (`directives.rs`).

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
/// `must-revalidate`, `proxy-revalidate` and `no-cache` forbid what is stale, also beside `stale-…`, and so does
/// `s-maxage` unless a `stale-if-error` stands beside it (RFC 9111 §4.2.4, §5.2.2.10). Where MinTTL overrides a
/// prohibition it does so for MinTTL and no longer.
#[must_use]
pub fn lifetime(said: &Directives, ttl: &Ttl) -> Storage {
    let is_overridden = !ttl.min.is_zero(); // fact 3
    let explicit = said.s_maxage.or(said.max_age).or(said.expires);
    // Fact 16: what varies on everything is never served.
    let is_kept = is_overridden || !(said.forbids || said.varies_on_everything);
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
    use std::time::SystemTime;

    use http::HeaderMap;

    use super::super::testing::{headers, rows};
    use super::*;

    const YEAR: u64 = 31_536_000;

    fn ttl(min: u64, default: u64, max: u64) -> Ttl {
        Ttl {
            min: Duration::from_secs(min),
            default: Duration::from_secs(default),
            max: Duration::from_secs(max),
        }
    }

    /// Header lines, between ` + `. `CC` is `Cache-Control`; `Expires: in 60` is a minute after `Date`.
    fn said(lines: &str) -> Directives {
        let mut read = HeaderMap::new();
        for line in lines.split(" + ").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            let name = if name == "CC" { "cache-control" } else { name };
            if let Some(seconds) = value.strip_prefix("in ") {
                let date = |seconds| {
                    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
                };
                let later = date(YEAR + seconds.parse::<u64>().unwrap());
                read.extend(headers(&[("date", &date(YEAR)), (name, &later)]));
            } else {
                for (name, value) in headers(&[(name, value)]) {
                    read.append(name.unwrap(), value);
                }
            }
        }
        Directives::read(&read)
    }

    fn kept(lines: &str, ttl: &Ttl) -> Option<Lifetime> {
        match lifetime(&said(lines), ttl) {
            Storage::Keep(lifetime) => Some(lifetime),
            Storage::Pass => None,
        }
    }

    /// Seconds of freshness, or `pass`.
    fn fresh(lines: &str, ttl: &Ttl) -> String {
        kept(lines, ttl).map_or("pass".to_owned(), |lifetime| {
            lifetime.fresh.as_secs().to_string()
        })
    }

    /// Freshness under MinTTL 0 and a MaxTTL of a year | of 30 s | under MinTTL 90 and MaxTTL 120.
    const E1: &str = "
        T1 s-maxage                  | CC: s-maxage=60                          | 60    | 30   | 90
        T1 s-maxage                  | CC: s-maxage=100                         | 100   | 30   | 100
        T1 s-maxage                  | CC: s-maxage=600                         | 600   | 30   | 120
        T1 s-maxage of nothing       | CC: s-maxage=0                           | 0     | 0    | 90
        T1 max-age                   | CC: max-age=60                           | 60    | 30   | 90
        T1 max-age                   | CC: max-age=100                          | 100   | 30   | 100
        T1 max-age                   | CC: max-age=600                          | 600   | 30   | 120
        T1 max-age of nothing        | CC: max-age=0                            | 0     | 0    | 90
        T1 Expires                   | Expires: in 60                           | 60    | 30   | 90
        T1 Expires                   | Expires: in 100                          | 100   | 30   | 100
        T1 Expires                   | Expires: in 600                          | 600   | 30   | 120
        T1 Expires in the past       | Expires: in 0                            | 0     | 0    | 90
        T1 none of them              |                                          | 86400 | 20   | 100
        T1 none of them              | CC: public                               | 86400 | 20   | 100
        T1 no-store                  | CC: no-store                             | pass  | pass | 90
        T1 private                   | CC: private                              | pass  | pass | 90
        T1 no-cache                  | CC: no-cache                             | 0     | 0    | 90
        T1 no-store beats an age     | CC: max-age=600, no-store                | pass  | pass | 90
        T1 private beats an age      | CC: s-maxage=600 + CC: private           | pass  | pass | 90
        T1 no-cache beats an age     | CC: no-cache, max-age=600                | 0     | 0    | 90
        T2 max-age beats Expires     | Expires: in 60 + CC: max-age=10          | 10    | 10   | 90
        T2 … also when it is 0       | Expires: in 60 + CC: max-age=0           | 0     | 0    | 90
        T2 … and an invalid one      | Expires: 0 + CC: max-age=10              | 10    | 10   | 90
        T3 s-maxage beats max-age    | CC: max-age=10, s-maxage=25              | 25    | 25   | 90
        T3 … also when it is shorter | CC: s-maxage=1 + CC: max-age=25          | 1     | 1    | 90
        T3 … and Expires             | Expires: in 60 + CC: s-maxage=25         | 25    | 25   | 90
        T4 Pragma is no answer       | Pragma: no-cache + CC: max-age=25        | 25    | 25   | 90
        T4 nor what a viewer may say | CC: max-age=25, max-stale=5, min-fresh=5 | 25    | 25   | 90
        T5 immutable changes nothing | CC: max-age=25, immutable                | 25    | 25   | 90
        T5 … and is no age           | CC: immutable                            | 86400 | 20   | 100
        fact 16                      | CC: max-age=60 + Vary: *                 | pass  | pass | 90
        fact 16                      | CC: max-age=60 + Vary: Accept-Encoding   | 60    | 30   | 90
    ";

    #[test]
    fn e1_freshness() {
        let ttls = [ttl(0, 86_400, YEAR), ttl(0, 20, 30), ttl(90, 100, 120)];
        for [row, lines, expected @ ..] in rows::<5>(E1) {
            let found = ttls.map(|ttl| fresh(lines, &ttl));
            assert_eq!(found, expected, "{row}: {lines}");
        }
    }

    /// Freshness with DefaultTTL 0 and MaxTTL a year | under `CachingDisabled` | under `CachingOptimized`.
    const E1_WITHOUT_DEFAULT: &str = "
        T1 silence               |                       | pass | pass | 86400
        T1 a validator is no age | ETag: \"a\"           | pass | pass | 86400
        T1 nor is public         | CC: public            | pass | pass | 86400
        T1 nor is a stale window | CC: stale-if-error=60 | pass | pass | 86400
        T1 an age is             | CC: max-age=5         | 5    | pass | 5
        T1 an age of nothing is  | CC: max-age=0         | 0    | pass | 1
        T1 an expiry is          | Expires: in 5         | 5    | pass | 5
        T1 an invalid expiry is  | Expires: 0            | 0    | pass | 1
        T1 asked about           | CC: no-cache          | 0    | pass | 1
        T1 MinTTL overrides      | CC: no-store          | pass | pass | 1
    ";

    #[test]
    fn e1_without_a_default_silence_is_not_kept() {
        let ttls = [ttl(0, 0, YEAR), ttl(0, 0, 0), ttl(1, 86_400, YEAR)];
        for [row, lines, expected @ ..] in rows::<5>(E1_WITHOUT_DEFAULT) {
            let found = ttls.map(|ttl| fresh(lines, &ttl));
            assert_eq!(found, expected, "{row}: {lines}");
        }
    }

    /// MaxTTL in seconds, `Cache-Control` (`swr`, `sie` for the stale windows), and what an object of some age is for.
    const E4: &str = "
        T14 served at once   | year | max-age=30, swr=30       | 29 fresh, 30 behind, 60 behind
        T14 … and then not   | year | max-age=30, swr=30       | 61 error
        T14 both windows     | year | max-age=5, swr=5, sie=9  | 10 behind, 11 error, 15 never
        T14 never fresh      | year | max-age=0, swr=5         | 0 behind, 5 behind, 6 error
        T15 a window of 0    | year | max-age=30, swr=0        | 30 error
        T16 tried first      | year | max-age=30, sie=60       | 29 fresh, 30 error, 90 error, 91 never
        T16 beside s-maxage  | year | s-maxage=30, sie=10      | 30 error, 40 error, 41 never
        T16 fact 11: silence | year | max-age=30               | 31536000 error, 31536001 never
        T17 turned off       | year | max-age=30, sie=0        | 29 fresh, 30 never
        T17 an invalid one   | year | max-age=30, sie=x        | 29 fresh, 30 never
        T17 must-revalidate  | year | max-age=30, must         | 29 fresh, 30 never
        T17 proxy-revalidate | year | max-age=30, proxy        | 29 fresh, 30 never
        T17 … beside swr     | year | max-age=30, must, swr=9  | 30 never
        T17 … beside sie     | year | max-age=30, proxy, sie=9 | 30 never
        T17 s-maxage         | year | s-maxage=30              | 29 fresh, 30 never
        T17 s-maxage and swr | year | s-maxage=30, swr=5       | 35 behind, 36 never
        T17 no-cache         | year | no-cache, sie=60         | 0 never
        T18 the end of swr   | 50   | max-age=30, swr=100      | 30 behind, 50 behind, 51 never
        T18 the end of sie   | 50   | max-age=30, sie=100      | 30 error, 50 error, 51 never
        T18 … of fact 11     | 50   | max-age=30               | 30 error, 50 error, 51 never
        T18 … of freshness   | 50   | max-age=600, sie=600     | 49 fresh, 50 error, 51 never
    ";

    #[test]
    fn e4_stale() {
        for [row, max, value, steps] in rows::<4>(E4) {
            let max = if max == "year" {
                YEAR
            } else {
                max.parse().unwrap()
            };
            let ttl = ttl(0, 10, max);
            let value = value
                .replace("swr", "stale-while-revalidate")
                .replace("sie", "stale-if-error")
                .replace("must", "must-revalidate")
                .replace("proxy", "proxy-revalidate");
            let lifetime = kept(&format!("CC: {value}"), &ttl).unwrap();
            for (age, expected) in steps.split(", ").map(|step| step.split_once(' ').unwrap()) {
                let found = match lifetime.phase(Duration::from_secs(age.parse().unwrap())) {
                    Phase::Fresh => "fresh",
                    Phase::StaleWhileRevalidate => "behind",
                    Phase::StaleIfError => "error",
                    Phase::Expired => "never",
                };
                assert_eq!(found, expected, "{row}: `{value}` at {age} s");
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
            let lifetime = kept(&format!("CC: {value}"), &ttl).unwrap();
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
            let lifetime = kept(&format!("CC: {value}"), &ttl).unwrap();
            assert_eq!(lifetime.is_shared(), expected, "{value}");
        }
    }

    #[test]
    fn an_answer_that_came_older_than_its_lifetime_came_stale() {
        let lines = "CC: max-age=10 + Age: 15";
        let lifetime = kept(lines, &ttl(0, 0, 600)).unwrap();
        assert_eq!(lifetime.phase(said(lines).age), Phase::StaleIfError);
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let forever = "max-age=99999999999999999999, stale-while-revalidate=99999999999999999999";
        let ttl = ttl(0, 0, u64::MAX);
        let lifetime = kept(&format!("CC: {forever}"), &ttl).unwrap();
        assert_eq!(lifetime.phase(lifetime.fresh), Phase::StaleWhileRevalidate);
        assert_eq!(lifetime.phase(Duration::MAX), Phase::Expired);
    }
}
