//! E-15: what is logged of a request, hit rates, and the conservation of bytes and requests.
//!
//! Owns the vocabulary of CloudFront's logs (fact 52). Never writes a line: the proxy does.

use serde::Serialize;

/// `x-edge-result-type`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Debug)]
pub enum ResultType {
    /// Served from the POP's cache.
    Hit,
    /// The origin said 304.
    RefreshHit,
    /// Served from the Origin Shield's cache.
    OriginShieldHit,
    /// Fetched.
    Miss,
    /// Above a quota.
    LimitExceeded,
    /// The edge has no room.
    CapacityExceeded,
    /// An error, or the viewer went away.
    Error,
    /// HTTP to HTTPS.
    Redirect,
}

/// The `X-Cache` field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XCache {
    /// `Hit from cloudfront`.
    Hit,
    /// `Miss from cloudfront`.
    Miss,
    /// `RefreshHit from cloudfront`.
    RefreshHit,
    /// `OriginShieldHit from cloudfront`.
    OriginShieldHit,
    /// `Error from cloudfront`.
    Error,
    /// `LimitExceeded from cloudfront`.
    LimitExceeded,
}
