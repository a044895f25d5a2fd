//! What an answer of an edge is worth where a channel redirects to an artifact.
//!
//! Owns every rule by which a redirect is found right, late or wrong. Pure; never asks and never follows one. Read
//! next: `verdict.rs` for everything that has a body.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};

use super::lifetime::{Allowed, age};
use super::verdict::{Fault, Fields, Stale, Verdict, cache_control_fault, surplus};
use crate::model::{ArtifactName, Digest, Lifetime, Locator, ReleaseId, Version};

/// Where a channel leads by one name.
#[derive(Clone, PartialEq, Debug)]
pub struct Redirect {
    /// The release that the channel names.
    pub release: ReleaseId,
    /// The name.
    pub name: ArtifactName,
    /// Whether that release has it; else only the one before had.
    pub presence: Presence,
    /// The releases of the product, of whichever the channel named once too.
    pub releases: Arc<BTreeMap<Version, Digest>>,
}

/// Whether a release has an artifact of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It has: there is a redirect.
    Here,
    /// It has not: there is nothing any more.
    Gone,
}

impl Redirect {
    /// Judges the head of an answer; a redirect has nothing else.
    pub(super) fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        match (status, self.presence, age(headers)) {
            (StatusCode::FOUND, ..) => self.judge_location(headers),
            (StatusCode::NOT_FOUND, Presence::Gone, _) => Verdict::Good,
            // An origin knows at once; what has an age is a cache's, of before the channel had that name.
            (StatusCode::NOT_FOUND, Presence::Here, Some(age)) => {
                Verdict::Stale(Stale::Missing { age })
            }
            (status, ..) => Verdict::of(vec![self.other_status(status)]),
        }
    }

    fn other_status(&self, actual: StatusCode) -> Fault {
        Fault::Status {
            expected: match self.presence {
                Presence::Here => "302",
                Presence::Gone => "404, because the channel has no such artifact,",
            },
            actual: actual.as_u16(),
        }
    }

    fn judge_location(&self, headers: &HeaderMap) -> Verdict {
        let Self { release, name, .. } = self;
        let fields = Fields(headers);
        let location = headers.get(LOCATION).map(http::HeaderValue::as_bytes);
        let expected = Locator::Artifact(release.clone(), name.clone()).to_url_path();
        let mut faults: Vec<_> = cache_control_fault(Lifetime::Pointer, fields)
            .into_iter()
            .chain(surplus(Lifetime::Pointer, fields))
            .collect();
        if self.presence == Presence::Here && location == Some(expected.as_bytes()) {
            return Verdict::of(faults);
        }
        let named = match location.and_then(Locator::from_url_path) {
            Some(Locator::Artifact(id, it)) if id.product == release.product && it == *name => {
                Some(id.version).filter(|it| *it != release.version)
            }
            _ => None,
        };
        let Some(version) = named else {
            faults.extend(match self.presence {
                Presence::Here => fields.must_be("Location", &LOCATION, &expected),
                Presence::Gone => Some(self.other_status(StatusCode::FOUND)),
            });
            return Verdict::of(faults);
        };
        if !faults.is_empty() {
            return Verdict::Wrong(faults);
        }
        if !self.releases.contains_key(&version) {
            return Verdict::newer("release", version, &release.version);
        }
        Verdict::late(Stale::Redirect {
            version: version.to_string(),
            stored: release.version.to_string(),
            age: age(headers).unwrap_or(0),
            allowed: Allowed::by(headers),
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::model::Product;

    const POINTER: &str = "public, max-age=30, stale-while-revalidate=30, stale-if-error=600";

    fn redirect(presence: Presence) -> Redirect {
        let version = |text: &str| Version::parse(text).unwrap();
        let known = ["1", "2"].map(|text| (version(text), Digest::of(text.as_bytes())));
        Redirect {
            release: ReleaseId {
                product: Product::parse("agent").unwrap(),
                version: version("2"),
            },
            name: ArtifactName::parse("a b").unwrap(),
            presence,
            releases: Arc::new(BTreeMap::from(known)),
        }
    }

    /// Judges a status with these fields; one without a value is not there.
    fn judge(presence: Presence, status: u16, lines: &[(&'static str, &str)]) -> Verdict {
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        redirect(presence).judge(StatusCode::from_u16(status).unwrap(), &headers)
    }

    fn led_to(presence: Presence, location: &str, age: &str) -> Verdict {
        let lines = [
            ("location", location),
            ("cache-control", POINTER),
            ("age", age),
        ];
        judge(presence, 302, &lines)
    }

    #[test]
    fn a_redirect_leads_to_the_current_release_late_to_an_older_one_and_never_elsewhere() {
        for (location, age, verdict, says) in [
            ("/artifacts/agent/2/a%20b", "", "good", "as published"),
            ("/artifacts/agent/2/a%20b", "999", "good", "as published"),
            ("/artifacts/agent/1/a%20b", "", "stale", "60 s more"),
            ("/artifacts/agent/1/a%20b", "630", "stale", "until 630 s"),
            ("/artifacts/agent/1/a%20b", "631", "wrong", "at most 630 s"),
            ("/artifacts/agent/3/a%20b", "", "newer", "release 3 where"),
            ("/artifacts/agent/1/c", "", "wrong", "Location"),
            ("/artifacts/agent/2/c", "", "wrong", "Location"),
            ("/artifacts/tool/1/a%20b", "", "wrong", "Location"),
            ("/channels/agent/stable/a%20b", "", "wrong", "Location"),
            ("https://evil.example/a", "", "wrong", "Location"),
            ("", "", "wrong", "no Location"),
        ] {
            let found = led_to(Presence::Here, location, age);
            let text = found.to_string();
            assert_eq!(found.as_str(), verdict, "{location} {age}: {text}");
            assert!(text.contains(says), "{location} {age}: {text}");
        }
    }

    #[test]
    fn a_name_that_only_the_release_before_had_is_gone_or_an_old_copy() {
        let gone = |status, lines: &[_]| judge(Presence::Gone, status, lines).as_str();
        assert_eq!(gone(404, &[]), "good");
        assert_eq!(gone(404, &[("age", "5")]), "good");
        assert_eq!(gone(200, &[]), "wrong");
        let old = led_to(Presence::Gone, "/artifacts/agent/1/a%20b", "5");
        assert_eq!(old.as_str(), "stale", "{old}");
        let never = led_to(Presence::Gone, "/artifacts/agent/2/a%20b", "5");
        assert_eq!(never.as_str(), "wrong", "{never}");
    }

    #[test]
    fn nothing_where_a_redirect_should_be_is_a_caches_old_answer_or_wrong() {
        let here = |status, lines: &[_]| judge(Presence::Here, status, lines).as_str();
        assert_eq!(here(404, &[("age", "1")]), "stale");
        for status in [200, 301, 307, 404, 403] {
            assert_eq!(here(status, &[]), "wrong", "{status}");
        }
    }

    #[test]
    fn a_redirect_that_caches_would_keep_for_ever_or_for_one_device_is_wrong() {
        let right = ("location", "/artifacts/agent/2/a%20b");
        for line in [
            ("cache-control", "public, max-age=31536000, immutable"),
            ("cache-control", "no-store"),
            ("cache-control", ""),
            ("set-cookie", "session=1"),
        ] {
            let mut lines = vec![right, line];
            if line.0 != "cache-control" {
                lines.push(("cache-control", POINTER));
            }
            let found = judge(Presence::Here, 302, &lines);
            assert_eq!(found.as_str(), "wrong", "{line:?}");
        }
    }
}
