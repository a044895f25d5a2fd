//! E-10: what goes to the origin and what comes back to the viewer, attempts and time-outs.
//!
//! Owns the header tables of facts 40 and 41 and the order of attempts. Never opens a connection.

use http::{HeaderMap, Method};

use super::distribution::Behaviour;

/// Who asks, and how the edge names itself.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// The viewer's address without port, for `X-Forwarded-For`.
    pub viewer: &'a str,
    /// The id of this request, for `X-Amz-Cf-Id`.
    pub request_id: &'a str,
    /// The POP's name, for `X-Amz-Cf-Pop`.
    pub pop: &'a str,
    /// The host in `Via`: `1.1 {host} (CloudFront)`.
    pub via_host: &'a str,
}

/// The header block of a request to the origin, made from the viewer's. The caller adds `Host`, `Range` and conditions.
#[must_use]
pub fn to_origin(
    method: &Method,
    viewer: &HeaderMap,
    behaviour: &Behaviour,
    hop: &Hop<'_>,
) -> HeaderMap {
    todo!("{method} {viewer:?} {behaviour:?} {hop:?}")
}

/// Changes an answer's header block for the viewer: removes what CloudFront removes, sets `Via`, `X-Cache`,
/// `X-Amz-Cf-Pop`, `X-Amz-Cf-Id`. `Age` is the caller's.
pub fn to_viewer(headers: &mut HeaderMap, x_cache: super::record::XCache, hop: &Hop<'_>) {
    todo!("{headers:?} {x_cache:?} {hop:?}")
}
