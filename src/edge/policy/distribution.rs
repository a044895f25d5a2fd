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
#[derive(Clone, Debug)]
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

    /// Whether a path (without its query) falls under it.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        todo!("{path}")
    }
}
