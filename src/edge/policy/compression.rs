//! E-11: what is compressed at the edge.
//!
//! Owns the conditions and what becomes of the `ETag`. Never compresses: the proxy does.

use http::{HeaderMap, HeaderValue};

/// An encoding the edge can apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
}

/// Which encoding to apply to an origin's answer, if any. `accepted` is the normalised field of `key.rs`.
#[must_use]
pub fn encoding(
    status: u16,
    headers: &HeaderMap,
    cacheable: bool,
    accepted: Option<&str>,
    http_1_0: bool,
) -> Option<Encoding> {
    todo!("{status} {headers:?} {cacheable} {accepted:?} {http_1_0}")
}

/// The tag of the compressed form: strong becomes weak, weak stays, what is no tag goes.
#[must_use]
pub fn etag(of_identity: &HeaderValue) -> Option<HeaderValue> {
    todo!("{of_identity:?}")
}
