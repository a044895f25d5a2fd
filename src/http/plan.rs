//! The plan: a request head and the facts of an object in, what to send out.
//!
//! Owns the decision, all of it: methods, preconditions, ranges, and the frame of a multipart answer. Never does
//! I/O, so that it is tested without a socket. The header fields of each plan are in `reply.rs`; the bytes move in `server/`.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{self, HeaderValue};

use super::head::{Method, RequestHead};
use super::representation::{Representation, ascii};
use super::{conditional, range};
use crate::model::ByteRange;

/// What to send of an object that exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plan {
    /// 200, all bytes.
    Whole,
    /// 206, one part. Never empty.
    Part(ByteRange),
    /// 206, several parts.
    Parts(Multipart),
    /// 304
    NotModified,
    /// 412
    PreconditionFailed,
    /// 416
    Unsatisfiable,
}

/// A `multipart/byteranges` body (RFC 9110 §14.6): for each part its preamble and its bytes, then the epilogue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Multipart {
    /// In the order of the request.
    pub parts: Vec<Part>,
    /// The last boundary, with its line ends.
    pub epilogue: Bytes,
    /// All of it, in bytes.
    pub len: u64,
    /// With the boundary, which is its last parameter.
    pub content_type: HeaderValue,
}

/// One part of a [`Multipart`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// From the line end before the boundary to the empty line after the part's fields.
    pub preamble: Bytes,
    /// Its bytes of the object.
    pub range: ByteRange,
}

/// Decides what a GET or HEAD of an existing object is answered with. `ranges_max` is the limit on ranges in one
/// request.
#[must_use]
pub fn plan(head: &RequestHead, object: &Representation, ranges_max: usize) -> Plan {
    let validators = object.validators();
    match conditional::evaluate(head, validators) {
        conditional::Verdict::NotModified => return Plan::NotModified,
        conditional::Verdict::PreconditionFailed => return Plan::PreconditionFailed,
        conditional::Verdict::Proceed => {}
    }
    match &head.range {
        // RFC 9110 §14.2: `Range` is defined for GET only. A mismatch of `If-Range` makes even an unsatisfiable range
        // a 200 (§13.2.2, step 5).
        Some(value)
            if head.method == Method::Get && conditional::is_range_applicable(head, validators) =>
        {
            match range::select(value, object.len(), ranges_max) {
                range::Selection::Whole => Plan::Whole,
                range::Selection::One(range) => Plan::Part(range),
                range::Selection::Several(ranges) => Plan::Parts(Multipart::new(&ranges, object)),
                range::Selection::Unsatisfiable => Plan::Unsatisfiable,
            }
        }
        _ => Plan::Whole,
    }
}

/// About the length of a preamble, for one allocation: two line ends, boundary, two fields with three numbers.
const PREAMBLE_LEN: usize = 192;

impl Multipart {
    /// Frames parts of `object`:
    ///
    /// ```text
    /// CRLF --boundary CRLF Content-Type: … CRLF Content-Range: bytes … CRLF CRLF <bytes>      for each part
    /// CRLF --boundary-- CRLF
    /// ```
    ///
    /// The CRLF before the first boundary is not needed (RFC 2046 §5.1.1 allows a preamble, here an empty one) but
    /// zsync 0.6 looks for it, and without it asks for the same ranges for ever.
    fn new(ranges: &[ByteRange], object: &Representation) -> Self {
        let boundary = object.boundary();
        let content_type = object
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("application/octet-stream"); // not reached: a Representation has one, and it is ASCII
        let mut text = String::with_capacity(ranges.len() * PREAMBLE_LEN);
        let mut ends = Vec::with_capacity(ranges.len());
        for range in ranges {
            let content_range = range::content_range(*range, object.len());
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range}\r\n\r\n"
            );
            ends.push(text.len());
        }
        let preambles = Bytes::from(text);
        let epilogue = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let body_len: u64 = ranges.iter().map(|range| range.len).sum();
        let mut start = 0;
        let parts = ranges
            .iter()
            .zip(ends)
            .map(|(range, end)| {
                let preamble = preambles.slice(start..end);
                start = end;
                Part {
                    preamble,
                    range: *range,
                }
            })
            .collect();
        Self {
            parts,
            len: body_len + preambles.len() as u64 + epilogue.len() as u64,
            epilogue,
            content_type: ascii(format!("multipart/byteranges; boundary={boundary}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Description;
    use super::super::testing::head_with;
    use super::super::testing::{LAST_MODIFIED, description, object};
    use super::*;
    use crate::model::Lifetime;

    const RANGES_MAX: usize = 1024;

    fn plan_of(method: &str, lines: &str, len: u64) -> Plan {
        plan(
            &head_with(method, lines.as_bytes()),
            &object(len),
            RANGES_MAX,
        )
    }

    /// The bytes that a server would send for a multipart plan over an object that counts up.
    fn body(multipart: &Multipart) -> Vec<u8> {
        let mut body = Vec::new();
        for part in &multipart.parts {
            body.extend_from_slice(&part.preamble);
            body.extend(
                (part.range.offset..part.range.end())
                    .map(|at| b'a' + u8::try_from(at % 26).unwrap()),
            );
        }
        body.extend_from_slice(&multipart.epilogue);
        body
    }

    fn parts_of(lines: &str, len: u64) -> Multipart {
        match plan_of("GET", lines, len) {
            Plan::Parts(multipart) => multipart,
            other => panic!("{lines}: {other:?}"),
        }
    }

    #[test]
    fn a_request_without_conditions_gets_the_whole() {
        assert_eq!(plan_of("GET", "", 10), Plan::Whole);
        assert_eq!(plan_of("HEAD", "", 10), Plan::Whole);
        assert_eq!(plan_of("GET", "", 0), Plan::Whole);
    }

    #[test]
    fn a_range_counts_on_get_alone() {
        for lines in [
            "Range: bytes=0-1\r\n",
            "Range: bytes=99-\r\n",
            "Range: bytes=0-1,3-4\r\n",
        ] {
            assert_eq!(plan_of("HEAD", lines, 10), Plan::Whole);
            assert_ne!(plan_of("GET", lines, 10), Plan::Whole);
        }
    }

    #[test]
    fn a_range_that_covers_everything_is_still_a_part() {
        assert_eq!(
            plan_of("GET", "Range: bytes=0-\r\n", 10),
            Plan::Part(ByteRange::whole(10))
        );
    }

    #[test]
    fn a_range_on_two_lines_is_no_range() {
        assert_eq!(
            plan_of("GET", "Range: bytes=0-1\r\nRange: bytes=3-4\r\n", 10),
            Plan::Whole
        );
    }

    #[test]
    fn a_mismatch_of_if_range_gives_the_whole_even_for_an_unsatisfiable_range() {
        assert_eq!(
            plan_of("GET", "Range: bytes=99-\r\nIf-Range: \"other\"\r\n", 10),
            Plan::Whole
        );
        assert_eq!(
            plan_of("GET", "Range: bytes=99-\r\n", 10),
            Plan::Unsatisfiable
        );
    }

    #[test]
    fn a_date_in_if_range_counts_for_an_immutable_object_and_not_for_a_pointer() {
        let lines = format!("Range: bytes=0-1\r\nIf-Range: {LAST_MODIFIED}\r\n");
        let head = head_with("GET", lines.as_bytes());
        for (lifetime, expected) in [
            (Lifetime::Immutable, Plan::Part(ByteRange::new(0, 2))),
            (Lifetime::Pointer, Plan::Whole),
            (Lifetime::NoStore, Plan::Whole),
        ] {
            let object = Representation::new(&Description {
                lifetime,
                ..description(10)
            })
            .unwrap();
            assert_eq!(plan(&head, &object, RANGES_MAX), expected, "{lifetime:?}");
        }
    }

    #[test]
    fn a_multipart_body_is_framed_byte_for_byte() {
        let multipart = parts_of("Range: bytes=5-6, 0-0\r\n", 1000);
        let boundary = "ba7816bf8f01cfea414140de5dae2223";
        let expected = format!(
            "\r\n--{boundary}\r\nContent-Type: application/zstd\r\nContent-Range: bytes 5-6/1000\r\n\r\nfg\
             \r\n--{boundary}\r\nContent-Type: application/zstd\r\nContent-Range: bytes 0-0/1000\r\n\r\na\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(body(&multipart)).unwrap(), expected);
        assert_eq!(multipart.len, expected.len() as u64);
        assert_eq!(
            multipart.content_type,
            format!("multipart/byteranges; boundary={boundary}")
        );
    }

    #[test]
    fn a_thousand_ranges_are_a_thousand_parts() {
        let specs: Vec<_> = (0..1000)
            .map(|at| format!("{}-{}", at * 100, at * 100 + 9))
            .collect();
        let multipart = parts_of(&format!("Range: bytes={}\r\n", specs.join(",")), 1 << 20);
        assert_eq!(multipart.parts.len(), 1000);
        assert_eq!(body(&multipart).len() as u64, multipart.len);
        // The figure on which `range::select` rests.
        assert!(multipart.len - 10_000 <= 1000 * 200);
    }

    /// One value of a conditional field, and whether what it asks for holds; `None` where it is no condition.
    type Case = (Option<&'static str>, Option<bool>);

    const OURS: &str = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
    const WEAK: &str = "W/\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
    const LIST: &str =
        "\"a,b\" ,, \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
    const EARLIER: &str = "Sunday, 06-Nov-94 08:49:36 GMT";
    const LATER: &str = "Sun Nov  6 08:49:38 1994";

    const IF_MATCH: [Case; 7] = [
        (None, None),
        (Some(OURS), Some(true)),
        (Some(LIST), Some(true)),
        (Some("*"), Some(true)),
        (Some(WEAK), Some(false)),
        (Some("\"x\""), Some(false)),
        (Some("x"), Some(false)),
    ];
    const IF_UNMODIFIED_SINCE: [Case; 5] = [
        (None, None),
        (Some(EARLIER), Some(false)),
        (Some(LAST_MODIFIED), Some(true)),
        (Some(LATER), Some(true)),
        (Some("soon"), None),
    ];
    const IF_NONE_MATCH: [Case; 7] = [
        (None, None),
        (Some(OURS), Some(false)),
        (Some(LIST), Some(false)),
        (Some("*"), Some(false)),
        (Some(WEAK), Some(false)),
        (Some("\"x\""), Some(true)),
        (Some("x"), Some(true)),
    ];
    const IF_MODIFIED_SINCE: [Case; 5] = [
        (None, None),
        (Some(EARLIER), Some(true)),
        (Some(LAST_MODIFIED), Some(false)),
        (Some(LATER), Some(false)),
        (Some("soon"), None),
    ];
    const IF_RANGE: [Case; 8] = [
        (None, None),
        (Some(OURS), Some(true)),
        (Some(LAST_MODIFIED), Some(true)),
        (Some(WEAK), Some(false)),
        (Some("\"x\""), Some(false)),
        (Some(EARLIER), Some(false)),
        (Some(LATER), Some(false)),
        (Some("soon"), Some(false)),
    ];
    const RANGE: [Option<&str>; 3] = [None, Some("bytes=1-2"), Some("bytes=99-")];

    /// RFC 9110 §13.2.2, as short as it can be written: what holds, in the order of the five fields.
    fn oracle(
        method: Method,
        range: Option<&str>,
        holds: [Option<bool>; 5],
        has_tags: bool,
    ) -> Plan {
        let [
            if_match,
            if_unmodified_since,
            if_none_match,
            if_modified_since,
            if_range,
        ] = holds;
        if !if_match.or(if_unmodified_since).unwrap_or(true) {
            return Plan::PreconditionFailed;
        }
        if !if_none_match.unwrap_or(true) || (!has_tags && !if_modified_since.unwrap_or(true)) {
            return Plan::NotModified;
        }
        match (method, range, if_range.unwrap_or(true)) {
            (Method::Get, Some("bytes=1-2"), true) => Plan::Part(ByteRange::new(1, 2)),
            (Method::Get, Some("bytes=99-"), true) => Plan::Unsatisfiable,
            _ => Plan::Whole,
        }
    }

    #[test]
    fn all_combinations_of_five_conditions_agree_with_a_short_oracle() {
        let object = object(10);
        let mut head = head_with("GET", b"");
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().into());
        let mut count = 0;
        for method in [Method::Get, Method::Head] {
            head.method = method;
            for (if_match, a) in IF_MATCH {
                head.if_match = bytes(if_match);
                for (if_unmodified_since, b) in IF_UNMODIFIED_SINCE {
                    head.if_unmodified_since = bytes(if_unmodified_since);
                    for (if_none_match, c) in IF_NONE_MATCH {
                        head.if_none_match = bytes(if_none_match);
                        for (if_modified_since, d) in IF_MODIFIED_SINCE {
                            head.if_modified_since = bytes(if_modified_since);
                            for ((if_range, e), range) in IF_RANGE
                                .into_iter()
                                .flat_map(|case| RANGE.map(|range| (case, range)))
                            {
                                head.if_range = bytes(if_range);
                                head.range = bytes(range);
                                let expected =
                                    oracle(method, range, [a, b, c, d, e], if_none_match.is_some());
                                assert_eq!(plan(&head, &object, RANGES_MAX), expected, "{head:?}");
                                count += 1;
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(count, 2 * 7 * 5 * 7 * 5 * 8 * 3);
    }

    proptest! {
        #[test]
        fn a_multipart_body_is_as_long_as_it_says_and_its_parts_are_inside_the_object(
            specs in prop::collection::vec((0_u64..300, 0_u64..9), 2..20),
            len in 1_u64..400,
        ) {
            let specs: Vec<_> = specs.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
            let line = format!("Range: bytes={}\r\n", specs.join(","));
            if let Plan::Parts(multipart) = plan_of("GET", &line, len) {
                let body = body(&multipart);
                prop_assert_eq!(body.len() as u64, multipart.len);
                prop_assert!(body.starts_with(b"\r\n--"));
                for part in &multipart.parts {
                    prop_assert!(part.range.end() <= len);
                    prop_assert!(part.preamble.ends_with(b"\r\n\r\n"));
                }
            }
        }
    }
}
