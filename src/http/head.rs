//! The request head: received bytes in, everything the origin wants to know of a request out.
//!
//! The only parser of requests in the program: what follows (hyper, routing, the plan) sees the outcome and never the
//! bytes, so that no two parsers can disagree about where a request ends (HTTP.md R2). Strict by RFC 9112; what is
//! merely odd (`|` in a path) is left to routing. Never does I/O, knows no time-outs. Read next: `request_line.rs`,
//! `fields.rs`.

use std::ops::Range;

use super::{fields, request_line};

/// What is done to the object. RFC 9110 §9.1: method names are case-sensitive, `get` is [`Method::Other`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// Any other; its name is [`RequestHead::method_name`].
    Other,
}

/// The version that the request is interpreted as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpVersion {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1, and any later 1.x (RFC 9110 §2.5: the highest minor version that we know).
    Http11,
}

/// A well-formed request head. Absent fields cost no allocation; a request without conditions costs one in all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// What is done.
    pub method: Method,
    /// How the answer may be framed.
    pub version: HttpVersion,
    pub(super) line: Line,
    /// RFC 9112 §9.3: whether the client wants to keep the connection.
    pub persistent: bool,
    /// Whether bytes of a body follow: a positive `Content-Length`, or `Transfer-Encoding: chunked`.
    pub has_body: bool,
    /// `Expect: 100-continue`: the client waits before it sends its body.
    pub expects_continue: bool,
    /// `Range`. This field and those below: several lines joined with `, ` (RFC 9110 §5.3), not interpreted yet.
    pub range: Option<Box<[u8]>>,
    /// `If-Match`
    pub if_match: Option<Box<[u8]>>,
    /// `If-None-Match`
    pub if_none_match: Option<Box<[u8]>>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<Box<[u8]>>,
    /// `If-Unmodified-Since`
    pub if_unmodified_since: Option<Box<[u8]>>,
    /// `If-Range`
    pub if_range: Option<Box<[u8]>>,
    /// `X-Amz-Cf-Id`: what `CloudFront` calls this request. May hold tabs and bytes above 0x7F: escape it in logs.
    pub edge_request_id: Option<Box<[u8]>>,
    /// The value of the configured secret header. `None` too when it came more than once: which one would count?
    pub presented_secret: Option<Box<[u8]>>,
}

/// The request line in one allocation, and where its parts are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// Without the line end. Invariant: visible ASCII and exactly two spaces, around `target`.
    pub(super) text: Box<[u8]>,
    pub(super) target: Range<usize>,
    /// Inside `target`; empty when an absolute-form has no path.
    pub(super) path: Range<usize>,
}

impl RequestHead {
    /// The path: still percent-encoded, without query and fragment, never empty. `*` and the authority of a CONNECT
    /// are their own path, which routes to nothing.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        match &self.line.text[self.line.path.clone()] {
            b"" => b"/", // RFC 9110 §4.2.3: an empty path component is the same as "/".
            path => path,
        }
    }

    /// The whole request target as it was sent: visible ASCII. For the access log.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.line.text[self.line.target.clone()]
    }

    /// The method's name as it was sent: a token. For the access log.
    #[must_use]
    pub fn method_name(&self) -> &[u8] {
        &self.line.text[..self.line.target.start - 1]
    }
}

/// What a client may send before its request is refused unread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// Request line and fields with all line ends; above: [`Refusal::HeadTooLarge`].
    pub head_bytes_max: usize,
    /// Field lines; above: [`Refusal::HeadTooLarge`].
    pub fields_max: usize,
    /// The request target; above: [`Refusal::UriTooLong`].
    pub uri_bytes_max: usize,
}

/// Why a request is answered with an error and its connection closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// 400. The reason is for the log, never for the client.
    BadRequest(&'static str),
    /// 414
    UriTooLong,
    /// 431
    HeadTooLarge,
    /// 505: well-formed, but not HTTP/1.
    UnsupportedVersion,
    /// 408. Never found here: the server keeps the time.
    TimedOut,
}

/// What received bytes turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inspection {
    /// The start of a head that may become a good one.
    Incomplete,
    /// A head; whatever follows it in the input is a body or the next request.
    Complete {
        /// Bytes of the input that belong to the head, empty lines before it included.
        head_len: usize,
        /// The head.
        head: RequestHead,
    },
    /// No continuation can make this a request that we answer.
    Refused(Refusal),
}

/// Reads the head at the start of `bytes`, which is everything received since the last request.
///
/// The answer depends only on the bytes: one that is not [`Inspection::Incomplete`] stays the same whatever arrives
/// later, since the head is checked from left to right and the first offence decides. Every call starts anew, in time
/// linear in the head. For a head that trickles in byte by byte this repeats only the scan of the request line and
/// the search for line ends: at 32 KiB a few microseconds a call, about what the `read` that brought the byte costs.
#[must_use]
pub fn inspect(bytes: &[u8], limits: &HeadLimits, secret_header: Option<&str>) -> Inspection {
    match try_inspect(bytes, limits, secret_header) {
        Ok(None) => Inspection::Incomplete,
        Ok(Some((head_len, head))) => Inspection::Complete { head_len, head },
        Err(refusal) => Inspection::Refused(refusal),
    }
}

/// `Ok(None)` is incomplete.
fn try_inspect(
    bytes: &[u8],
    limits: &HeadLimits,
    secret_header: Option<&str>,
) -> Result<Option<(usize, RequestHead)>, Refusal> {
    // Nothing beyond the limit is looked at, so that a refusal cannot depend on how much arrived at once.
    let view = &bytes[..bytes.len().min(limits.head_bytes_max)];
    let is_full = view.len() == limits.head_bytes_max;
    let start = skip_empty_lines(view);
    if start < EMPTY_LINES_LEN && view[start..] == *b"\r" {
        return if is_full {
            Err(Refusal::HeadTooLarge)
        } else {
            Ok(None)
        };
    }
    let Some(line) = request_line::parse(&view[start..], limits.uri_bytes_max, is_full)? else {
        return if is_full {
            Err(Refusal::HeadTooLarge)
        } else {
            Ok(None)
        };
    };
    let lines_start = start + line.len;
    let Some((lines_len, count)) = find_end(&view[lines_start..], limits.fields_max)? else {
        return if is_full {
            Err(Refusal::HeadTooLarge)
        } else {
            Ok(None)
        };
    };
    let head_len = lines_start + lines_len;
    let fields = fields::parse(
        &view[lines_start..head_len],
        count,
        line.version,
        secret_header,
    )?;
    Ok(Some((
        head_len,
        fields.into_head(&line, &view[start..lines_start - 2]),
    )))
}

/// RFC 9112 §2.2: at least one empty line before the request line should be ignored; old clients send one after a
/// body. Two are; more is not a client of ours.
const EMPTY_LINES_LEN: usize = 4;

fn skip_empty_lines(view: &[u8]) -> usize {
    let mut start = 0;
    while start < EMPTY_LINES_LEN && view[start..].starts_with(b"\r\n") {
        start += 2;
    }
    start
}

/// The length of the field lines with the empty line that ends them, and their number; `None` when the end is not
/// there yet. RFC 9112 §2.2 lets a recipient take a bare LF for a line end; where two parsers differ in that, requests
/// are smuggled, so it is refused here.
fn find_end(lines: &[u8], fields_max: usize) -> Result<Option<(usize, usize)>, Refusal> {
    let (mut line_start, mut count) = (0, 0);
    for line_feed in memchr::memchr_iter(b'\n', lines) {
        if line_feed == line_start || lines[line_feed - 1] != b'\r' {
            return Err(Refusal::BadRequest("a line ends in a bare LF"));
        }
        if line_feed == line_start + 1 {
            return Ok(Some((line_feed + 1, count)));
        }
        count += 1;
        if count > fields_max {
            return Err(Refusal::HeadTooLarge);
        }
        line_start = line_feed + 1;
    }
    Ok(None)
}
