//! How old a copy is, and how old it may get.
//!
//! Owns the reading of `Age` and `Cache-Control` for a report. Pure, and never decides what follows from it:
//! that is in `verdict.rs`.

use std::fmt;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

use super::verdict::shown;

/// The directives of a `Cache-Control`.
pub(super) struct Directives(Vec<(String, Option<String>)>);

impl Directives {
    /// Quoted values with commas in them are no directive of ours, and of no consequence here.
    pub(super) fn parse(text: &str) -> Self {
        let directive = |part: &str| {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value.trim().trim_matches('"').to_owned())),
                None => (part, None),
            };
            (name.trim().to_ascii_lowercase(), value)
        };
        Self(text.split(',').map(directive).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(it, _)| it == name)
    }

    pub(super) fn seconds(&self, name: &str) -> Option<u64> {
        let (_, value) = self.0.iter().find(|(it, _)| it == name)?;
        value.as_deref()?.parse().ok()
    }

    pub(super) fn forbids_storing(&self) -> bool {
        ["no-store", "no-cache", "private"]
            .iter()
            .any(|it| self.has(it))
    }
}

/// What an answer says of its own age, in seconds.
pub(super) fn age(headers: &HeaderMap) -> Option<u64> {
    headers.get(AGE)?.to_str().ok()?.trim().parse().ok()
}

/// How old a shared cache may let a copy get, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Allowed {
    /// Without asking anybody: `s-maxage`, else `max-age`.
    pub fresh: u64,
    /// On top of that, while it asks (RFC 5861 §3).
    pub while_revalidating: u64,
    /// On top of `fresh`, while the origin fails (RFC 5861 §4).
    pub if_error: u64,
}

impl Allowed {
    /// By the answer's own `Cache-Control`.
    pub(super) fn by(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(CACHE_CONTROL).iter();
        let directives = Directives::parse(&lines.map(shown).collect::<Vec<_>>().join(","));
        let seconds = |name| directives.seconds(name);
        Self {
            fresh: seconds("s-maxage").or(seconds("max-age")).unwrap_or(0),
            while_revalidating: seconds("stale-while-revalidate").unwrap_or(0),
            if_error: seconds("stale-if-error").unwrap_or(0),
        }
    }

    /// With an origin that answers.
    #[must_use]
    pub fn usually(self) -> u64 {
        self.fresh.saturating_add(self.while_revalidating)
    }

    /// Under any circumstances.
    #[must_use]
    pub fn at_all(self) -> u64 {
        self.fresh
            .saturating_add(self.while_revalidating.max(self.if_error))
    }

    pub(super) fn describe(self, f: &mut fmt::Formatter<'_>, age: u64) -> fmt::Result {
        let Self { fresh, .. } = self;
        let (usually, at_all) = (self.usually(), self.at_all());
        write!(f, "{age} s old, ")?;
        if age > at_all {
            write!(f, "allowed are at most {at_all} s")
        } else if age > usually {
            write!(
                f,
                "beyond the usual {usually} s: the edge seems not to reach the origin, and may go on until {at_all} s"
            )
        } else {
            let left = usually - age;
            write!(
                f,
                "may stay for {left} s more (fresh for {fresh} s, then {} s while the edge asks)",
                self.while_revalidating
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(cache_control: &'static str) -> Allowed {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, http::HeaderValue::from_static(cache_control));
        Allowed::by(&headers)
    }

    #[test]
    fn a_shared_cache_goes_by_its_own_age_before_the_common_one() {
        for (cache_control, usually, at_all) in [
            (
                "public, max-age=30, stale-while-revalidate=30, stale-if-error=86400",
                60,
                86_430,
            ),
            ("max-age=30, s-maxage=5", 5, 5),
            (
                "max-age=30, stale-while-revalidate=90, stale-if-error=60",
                120,
                120,
            ),
            ("MAX-AGE=\"7\"", 7, 7),
            ("max-age=soon", 0, 0),
            ("", 0, 0),
        ] {
            let allowed = by(cache_control);
            assert_eq!(
                (allowed.usually(), allowed.at_all()),
                (usually, at_all),
                "{cache_control}"
            );
        }
    }

    #[test]
    fn an_age_that_is_no_number_is_none() {
        for (text, seconds) in [("12", Some(12)), ("-1", None), ("1.5", None), ("", None)] {
            let mut headers = HeaderMap::new();
            headers.insert(AGE, http::HeaderValue::from_static(text));
            assert_eq!(age(&headers), seconds, "{text}");
        }
    }
}
