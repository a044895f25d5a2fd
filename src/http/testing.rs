//! What the tests of this folder share: limits, heads made from text, one described object.
//!
//! Only for tests. Everything here panics on input that its name rules out.

use jiff::Timestamp;

use super::{Description, HeadLimits, Inspection, Refusal, Representation, RequestHead, inspect};
use crate::model::{Digest, Lifetime};

pub(super) const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 32 * 1024,
    fields_max: 128,
    uri_bytes_max: 8192,
};

pub(super) fn read(bytes: &[u8]) -> Inspection {
    inspect(bytes, &LIMITS, Some("x-origin-secret"))
}

/// The head of a request that must be a good one and nothing more than a head.
pub(super) fn head_of(bytes: &[u8]) -> RequestHead {
    match read(bytes) {
        Inspection::Complete { head_len, head } if head_len == bytes.len() => head,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

/// The head of a request with these lines between `Host` and the end.
pub(super) fn head_with(method: &str, lines: &[u8]) -> RequestHead {
    let start = format!("{method} /a HTTP/1.1\r\nHost: h\r\n");
    head_of(&[start.as_bytes(), lines, b"\r\n"].concat())
}

pub(super) fn refusal_of(bytes: &[u8]) -> Refusal {
    match read(bytes) {
        Inspection::Refused(refusal) => refusal,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

pub(super) fn is_bad(bytes: &[u8]) -> bool {
    matches!(read(bytes), Inspection::Refused(Refusal::BadRequest(_)))
}

pub(super) const LAST_MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

pub(super) fn description(len: u64) -> Description<'static> {
    Description {
        len,
        sha256: Digest::of(b"abc"),
        last_modified: Timestamp::from_second(784_111_777).unwrap(),
        content_type: "application/zstd",
        cache_control: "public, max-age=31536000, immutable",
        cache_tag: Some(("Cache-Tag", "product:agent,release:agent/1.0")),
        lifetime: Lifetime::Immutable,
    }
}

pub(super) fn object(len: u64) -> Representation {
    Representation::new(&description(len)).unwrap()
}
