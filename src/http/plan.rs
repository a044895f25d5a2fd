//! The plan: a request head and the facts of an object in, what to send out.
//!
//! Owns the decision, all of it: methods, preconditions, ranges, and the frame of a multipart answer. Pure, so that it
//! is tested without a socket. The header fields of each plan are in `reply.rs`; the bytes move in `server/`.

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
