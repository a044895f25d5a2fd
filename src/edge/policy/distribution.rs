//! What an operator configures: a distribution's behaviours by path pattern, its cache policies, its origin.
//!
//! Owns the shapes and CloudFront's documented defaults. Never parses a file (`edge/settings.rs` does).

use std::time::Duration;

use super::errors::ErrorTtls;
use super::freshness::Ttl;
use super::key::KeyParts;

/// One distribution.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Its id, as in the path of the invalidation API: `EDFDVBD6EXAMPLE`.
    pub id: String,
    /// Its domain, part of every cache key.
    pub domain: String,
    /// Tried in order; the first whose pattern matches decides.
    pub ordered: Vec<Behaviour>,
    /// Decides when none matches.
    pub default: Behaviour,
    /// The header of the origin's answers that lists cache tags; none, when tags are not used.
    pub cache_tag_header: Option<http::HeaderName>,
    /// Requests and bits per second.
    pub limits: super::limits::Limits,
}

impl Distribution {
    /// The behaviour for a path (without its query).
    #[must_use]
    pub fn behaviour(&self, path: &str) -> &Behaviour {
        self.ordered
            .iter()
            .find(|behaviour| behaviour.pattern.matches(path))
            .unwrap_or(&self.default)
    }
}

/// How requests under one path pattern are treated.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Which paths.
    pub pattern: PathPattern,
    /// TTLs and the parts of the key.
    pub cache: CachePolicy,
    /// Which methods are let through; the others get 403.
    pub methods: AllowedMethods,
    /// Whether OPTIONS is cached beside GET and HEAD.
    pub cache_options: bool,
    /// Compress at the edge (E-11).
    pub compress: bool,
    /// What goes to the origin although it is not in the key.
    pub forward: Forwarding,
    /// How long errors are kept (E-5).
    pub error_ttls: ErrorTtls,
    /// How the origin is talked to (E-10).
    pub origin: OriginLink,
}

impl Behaviour {
    /// Whether simultaneous requests may share one fill (E-6): not with caching disabled, not with cookies forwarded.
    #[must_use]
    pub fn collapses(&self) -> bool {
        !self.cache.is_disabled() && !self.forward.cookies && !self.cache.key.cookies.any()
    }
}

/// A cache policy.
#[derive(Clone, Debug)]
pub struct CachePolicy {
    /// Its name, for messages.
    pub name: String,
    /// Minimum, default and maximum TTL.
    pub ttl: Ttl,
    /// What is in the key, and therefore forwarded.
    pub key: KeyParts,
}

impl CachePolicy {
    /// `CachingDisabled`: every TTL is zero.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.ttl.max.is_zero()
    }
}

/// Which methods a behaviour lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllowedMethods {
    /// GET, HEAD.
    Read,
    /// GET, HEAD, OPTIONS.
    ReadAndOptions,
    /// All seven that CloudFront knows: GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE.
    All,
}

/// An origin request policy: what is forwarded beside the parts of the key.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    /// All headers of the viewer (but for those that CloudFront always sets or removes).
    pub all_headers: bool,
    /// These headers.
    pub headers: Vec<http::HeaderName>,
    /// Cookies. Disables collapsing (fact 26).
    pub cookies: bool,
    /// The whole query string.
    pub query: bool,
}

/// How the origin is talked to (facts 46 to 49).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginLink {
    /// `http://host[:port]`.
    pub url: String,
    /// 1 to 3, default 3.
    pub connection_attempts: u32,
    /// 1 to 10 s, default 10.
    pub connection_timeout: Duration,
    /// Until the first byte and between two packets; 1 to 120 s, default 30.
    pub read_timeout: Duration,
    /// How long an idle connection is kept; 1 to 120 s, default 5.
    pub keepalive_timeout: Duration,
    /// A cap on the whole answer across attempts; none by default.
    pub completion_timeout: Option<Duration>,
    /// Headers added to every request to the origin (secrets).
    pub custom_headers: Vec<(http::HeaderName, http::HeaderValue)>,
}

/// A path pattern: `*` stands for any characters, `?` for one; the leading `/` is optional; case matters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern(String);

impl PathPattern {
    /// The pattern as written.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path (without its query) falls under it.
    ///
    /// The path is compared as it stands in the request: percent-encoding is not decoded.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        wildcard(
            self.0.strip_prefix('/').unwrap_or(&self.0).as_bytes(),
            path.strip_prefix('/').unwrap_or(path).as_bytes(),
        )
    }
}

/// Whether `pattern` matches all of `text`.
///
/// When a character fails, only the last `*` takes one more: an earlier one could not reach further than the last one
/// does. So the work is at most `pattern × text`, whatever a stranger asks for.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut last_star = None;
    while let Some(byte) = text.get(at_text) {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                at_pattern += 1;
                last_star = Some((at_pattern, at_text));
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => {
                let Some((after_star, taken)) = last_star else {
                    return false;
                };
                last_star = Some((after_star, taken + 1));
                at_pattern = after_star;
                at_text = taken + 1;
            }
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing;
    use super::*;

    #[test]
    fn a_path_pattern_matches_what_the_developer_guide_says_it_matches() {
        for (pattern, path, expected) in [
            ("*", "/", true),
            ("*", "/a/b", true),
            ("/*", "/a/b", true),
            ("/artifacts/*", "/artifacts/agent/1/x", true),
            ("artifacts/*", "/artifacts/agent/1/x", true),
            ("/artifacts/*", "/artifacts/", true),
            ("/artifacts/*", "/artifacts", false),
            ("/artifacts/*", "/Artifacts/x", false),
            ("/artifacts/*", "/x/artifacts/y", false),
            ("*.jpg", "/images/a.jpg", true),
            ("*.jpg", "/images/a.JPG", false),
            ("*.jpg", "/images/a.jpg.txt", false),
            ("/images/*.jpg", "/images/deep/a.jpg", true),
            ("a*.htm?", "/about.html", true),
            ("a*.htm?", "/about.htm", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/a/c", true),
            ("/a?c", "/ac", false),
            ("/a?c", "/abbc", false),
            (
                "/channels/*/stable.json",
                "/channels/agent/stable.json",
                true,
            ),
            ("/channels/*/stable.json", "/channels/stable.json", false),
            ("/a%2Fb", "/a/b", false),
            ("", "/", true),
            ("", "/a", false),
            ("//a", "/a", false),
            ("**a**", "/bab", true),
        ] {
            let found = PathPattern::new(pattern).matches(path);
            assert_eq!(found, expected, "`{pattern}` against `{path}`");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_does_not_cost_exponential_time() {
        let pattern = PathPattern::new(&format!("{}b", "*a".repeat(100)));
        // A backtracking matcher would try 1,000 over 100 ways before it gave up.
        assert!(!pattern.matches(&format!("/{}", "a".repeat(1000))));
    }

    #[test]
    fn the_first_behaviour_whose_pattern_matches_decides() {
        let behaviour = |pattern: &str| Behaviour {
            pattern: PathPattern::new(pattern),
            ..testing::behaviour()
        };
        let distribution = Distribution {
            id: "EDFDVBD6EXAMPLE".into(),
            domain: "d111111abcdef8.cloudfront.net".into(),
            ordered: vec![behaviour("/a/b/*"), behaviour("/a/*"), behaviour("/a/b/c")],
            default: behaviour("*"),
            cache_tag_header: None,
            limits: super::super::limits::Limits::default(),
        };
        for (path, expected) in [
            ("/a/b/c", "/a/b/*"),
            ("/a/c", "/a/*"),
            ("/b", "*"),
            ("/", "*"),
        ] {
            assert_eq!(
                distribution.behaviour(path).pattern.as_str(),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn requests_share_a_fill_unless_caching_is_disabled_or_cookies_are_forwarded() {
        use super::super::key::Selection;
        let plain = testing::behaviour();
        assert!(plain.collapses());
        let mut disabled = plain.clone();
        disabled.cache.ttl = Ttl {
            min: Duration::ZERO,
            default: Duration::ZERO,
            max: Duration::ZERO,
        };
        assert!(!disabled.collapses());
        let mut forwarding = plain.clone();
        forwarding.forward.cookies = true;
        assert!(!forwarding.collapses());
        let mut keyed = plain;
        keyed.cache.key.cookies = Selection::Only(vec!["session".into()]);
        assert!(!keyed.collapses());
    }

    /// The definition: a star takes nothing, or one character and then again.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                naive(rest, text) || matches!(text, [_, after @ ..] if naive(pattern, after))
            }
            ([b'?', rest @ ..], [_, after @ ..]) => naive(rest, after),
            ([wanted, rest @ ..], [byte, after @ ..]) => wanted == byte && naive(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_exactly_what_the_definition_says(
            pattern in "[ab*?]{0,8}", text in "[ab]{0,12}",
        ) {
            prop_assert_eq!(
                PathPattern::new(&pattern).matches(&format!("/{text}")),
                naive(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
