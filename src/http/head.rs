//! The request head: received bytes in, everything the origin wants to know of a request out.
//!
//! The only parser of requests in the program: what follows (hyper, routing, the plan) sees the outcome and never the
//! bytes, so that no two parsers can disagree about where a request ends (R2 in CONTRIBUTING.md). Strict by RFC 9112; what is
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
    /// The path: still percent-encoded, without the query, never empty. `*` and the authority of a CONNECT
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
/// linear in the head and without an allocation before it is complete. A head that trickles in byte by byte costs one
/// walk over its request line and one search for line ends a call, bounded by [`HeadLimits`]; to make that quadratic a
/// client must pay with a packet, and the server with a `read`, for every byte.
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::testing::{LIMITS, head_of, is_bad, read, refusal_of};
    use super::*;

    #[test]
    fn a_plain_request_is_read_whole() {
        let head = head_of(b"GET /a/b?c HTTP/1.1\r\nHost: h\r\nUser-Agent: x\r\n\r\n");
        assert_eq!(
            (head.method, head.version),
            (Method::Get, HttpVersion::Http11)
        );
        assert_eq!(head.method_name(), b"GET");
        assert_eq!(head.target(), b"/a/b?c");
        assert_eq!(head.path(), b"/a/b");
        assert!(head.persistent && !head.has_body);
        assert_eq!((head.range, head.presented_secret), (None, None));
    }

    #[test]
    fn what_follows_the_head_is_not_looked_at() {
        let first = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        for next in [
            b"GET /2 HTTP/1.1\r\n".as_slice(),
            b"\n",
            b"\r\r",
            b"\x16\x03\x01",
            b"body\n\n",
        ] {
            let input = [first.as_slice(), next].concat();
            assert!(
                matches!(read(&input), Inspection::Complete { head_len, .. } if head_len == first.len()),
                "{}",
                next.escape_ascii()
            );
        }
    }

    #[test]
    fn two_empty_lines_before_a_request_are_skipped_and_a_third_is_refused() {
        let request = b"GET / HTTP/1.0\r\n\r\n".as_slice();
        assert_eq!(head_of(&[b"\r\n", request].concat()).path(), b"/");
        let head = head_of(&[b"\r\n\r\n", request].concat());
        assert_eq!(
            (head.method_name(), head.target()),
            (b"GET".as_slice(), b"/".as_slice())
        );
        assert!(is_bad(&[b"\r\n\r\n\r\n", request].concat()));
        for start in [b"".as_slice(), b"\r", b"\r\n", b"\r\n\r", b"\r\n\r\n"] {
            assert_eq!(read(start), Inspection::Incomplete);
        }
        for start in [
            b"\n".as_slice(),
            b"\r\r",
            b" \r\n",
            b"\r\n\n",
            b"\r\n\r\n\r",
        ] {
            assert!(is_bad(start), "{}", start.escape_ascii());
        }
    }

    #[test]
    fn a_line_that_ends_in_a_bare_line_feed_or_carriage_return_is_refused() {
        for input in [
            b"GET / HTTP/1.1\nHost: h\r\n\r\n".as_slice(),
            b"GET / HTTP/1.1\r\nHost: h\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\n",
            b"GET / HTTP/1.1\r\n\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\r\n\r\n",
            b"GET / HTTP/1.1\rHost: h\r\n\r\n",
        ] {
            assert!(is_bad(input), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_bare_line_feed_is_refused_before_the_head_ends() {
        assert!(is_bad(b"GET / HTTP/1.1\r\nHost: h\n"));
    }

    #[test]
    fn what_cannot_become_a_request_is_refused_at_once() {
        for input in [
            b"\x16\x03\x01\x02".as_slice(), // a TLS ClientHello
            b"\0",
            b" GET",
            b"GET  ",
            b"GET\t",
            b"GET / HTTQ",
            b"GET / http/1.1",
            b"GET /\x80",
            b"G\xc3",
            b"GET / HTTP/1.1 ",
            b"GET /\r\n",
        ] {
            assert!(is_bad(input), "{}", input.escape_ascii());
        }
        assert_eq!(
            refusal_of(b"PRI * HTTP/2.0\r\n"),
            Refusal::UnsupportedVersion
        );
    }

    /// A request of exactly `len` bytes.
    fn request_of(len: usize) -> Vec<u8> {
        let frame = b"GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n".len();
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
            "x".repeat(len - frame)
        )
        .into_bytes()
    }

    #[test]
    fn a_head_of_the_greatest_size_is_read_and_one_byte_more_is_431() {
        let max = LIMITS.head_bytes_max;
        assert_eq!(head_of(&request_of(max)).path(), b"/");
        assert_eq!(refusal_of(&request_of(max + 1)), Refusal::HeadTooLarge);
        // Found as soon as the last byte within the limit is not the end.
        assert_eq!(
            read(&request_of(max + 1)[..max - 1]),
            Inspection::Incomplete
        );
        assert_eq!(
            refusal_of(&request_of(max + 1)[..max]),
            Refusal::HeadTooLarge
        );
        assert_eq!(refusal_of(&vec![b'A'; max]), Refusal::HeadTooLarge);
    }

    #[test]
    fn the_greatest_number_of_fields_is_read_and_one_more_is_431() {
        let request = |fields: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
                "A: b\r\n".repeat(fields - 1)
            )
            .into_bytes()
        };
        for fields in [1, 31, 32, 33, 127, 128] {
            assert_eq!(head_of(&request(fields)).path(), b"/", "{fields}");
        }
        assert_eq!(refusal_of(&request(129)), Refusal::HeadTooLarge);
        let unfinished = request(129);
        assert_eq!(
            refusal_of(&unfinished[..unfinished.len() - 2]),
            Refusal::HeadTooLarge
        );
    }

    #[test]
    fn a_target_of_the_greatest_size_is_read_and_one_byte_more_is_414() {
        let request = |len: usize| {
            format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(len - 1)).into_bytes()
        };
        let max = LIMITS.uri_bytes_max;
        assert_eq!(head_of(&request(max)).target().len(), max);
        assert_eq!(refusal_of(&request(max + 1)), Refusal::UriTooLong);
        assert_eq!(
            refusal_of(&request(max + 1)[..=4 + max]),
            Refusal::UriTooLong
        );
        assert_eq!(read(&request(max + 1)[..4 + max]), Inspection::Incomplete);
    }

    #[test]
    fn a_request_line_above_the_limit_of_the_head_is_414_when_its_target_is_what_is_long() {
        let small = HeadLimits {
            head_bytes_max: 100,
            ..LIMITS
        };
        let input = format!("GET /{}", "x".repeat(200));
        for len in [100, 101, input.len()] {
            assert_eq!(
                inspect(&input.as_bytes()[..len], &small, None),
                Inspection::Refused(Refusal::UriTooLong)
            );
        }
        assert_eq!(
            inspect(&input.as_bytes()[..99], &small, None),
            Inspection::Incomplete
        );
        // Both limits exceeded by one request: the line is what is read first.
        let both = format!(
            "GET /{} HTTP/1.1\r\n{}",
            "x".repeat(9000),
            "A: b\r\n".repeat(9000)
        );
        assert_eq!(refusal_of(both.as_bytes()), Refusal::UriTooLong);
    }

    #[test]
    fn what_the_requirements_name_as_the_least_is_within_the_limits_of_these_tests() {
        let uri = "x".repeat(7_999);
        let fields = "A: bcdefgh\r\n".repeat(87);
        let long = "y".repeat(7_000);
        let request =
            format!("GET /{uri} HTTP/1.1\r\nHost: h\r\n{fields}B: {long}\r\nC: {long}\r\n\r\n");
        assert!(request.len() >= 20 * 1024);
        assert_eq!(head_of(request.as_bytes()).target().len(), 8_000);
    }

    /// Requests that are nearly right: pieces that matter, in any order, with anything between.
    fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"GET",
            b"HEAD",
            b"POST",
            b"CONNECT",
            b"OPTIONS",
            b" ",
            b"\t",
            b"/",
            b"/a%20b?c",
            b"*",
            b"h:1",
            b"http://h",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"HTTP/2.0",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b"\0",
            b"\x80",
            b":",
            b",",
            b"Host: h\r\n",
            b"Host:",
            b"Connection: close\r\n",
            b"Range: bytes=0-\r\n",
            b"Content-Length: 3\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"If-Match: \"a\"\r\n",
            b"x",
            b"GET / HTTP/1.1\r\n",
            b"X-Origin-Secret: s\r\n",
        ];
        vec(
            prop_oneof![9 => select(pieces).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..3)],
            0..16,
        )
        .prop_map(|pieces| pieces.concat())
    }

    /// Good requests.
    fn request() -> impl Strategy<Value = Vec<u8>> {
        let name = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}";
        let value = "[!-~]([ -~\t]{0,30}[!-~])?";
        (
            select(vec!["GET", "HEAD", "POST", "get", "M-SEARCH"]),
            "(/[!-\"$->@-~]{0,20}){1,3}(\\?[!-\"$-~]{0,9})?",
            "1\\.[0-9]",
            vec((name, value), 0..8),
        )
            .prop_map(|(method, target, version, fields)| {
                let known = ["host", "content-length", "transfer-encoding"];
                let lines: Vec<_> = fields
                    .iter()
                    .filter(|(name, _)| !known.contains(&name.to_ascii_lowercase().as_str()))
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                let lines = lines.concat();
                format!("{method} {target} HTTP/{version}\r\nHost: a.example:80\r\n{lines}\r\n")
                    .into_bytes()
            })
    }

    /// Small limits, so that generated input reaches them.
    const TIGHT: HeadLimits = HeadLimits {
        head_bytes_max: 96,
        fields_max: 3,
        uri_bytes_max: 24,
    };

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = inspect(&bytes, &TIGHT, None);
        }

        #[test]
        fn a_good_request_is_read_as_it_was_written(input in request()) {
            let head = head_of(&input);
            let mut words = input.split(|byte| *byte == b' ' || *byte == b'\r');
            prop_assert_eq!(words.next().unwrap(), head.method_name());
            prop_assert_eq!(words.next().unwrap(), head.target());
            prop_assert!(head.target().starts_with(head.path()));
            prop_assert!(!head.path().contains(&b'?'));
        }

        #[test]
        fn an_answer_does_not_depend_on_how_the_bytes_arrived(
            input in prop_oneof![nearly_a_request(), request()],
            is_tight in any::<bool>(),
        ) {
            let limits = if is_tight { TIGHT } else { LIMITS };
            let whole = inspect(&input, &limits, None);
            for len in 0..input.len() {
                let part = inspect(&input[..len], &limits, None);
                prop_assert!(
                    part == Inspection::Incomplete || part == whole,
                    "{} bytes of {}: {part:?}, then {whole:?}", len, input.escape_ascii()
                );
            }
        }

        #[test]
        fn whatever_is_accepted_httparse_reads_the_same_way(
            input in prop_oneof![nearly_a_request(), request()],
        ) {
            if let Inspection::Complete { head_len, head } = read(&input) {
                let mut space = [httparse::EMPTY_HEADER; 128];
                let mut theirs = httparse::Request::new(&mut space);
                // It knows no later minor version than 1.
                let mut text = input.clone();
                let version = input.windows(7).position(|bytes| bytes == b"HTTP/1.").unwrap() + 7;
                if text[version] != b'0' {
                    text[version] = b'1';
                }
                let read = theirs.parse(&text).unwrap();
                prop_assert_eq!(read, httparse::Status::Complete(head_len));
                prop_assert_eq!(theirs.method.unwrap().as_bytes(), head.method_name());
                prop_assert_eq!(theirs.path.unwrap().as_bytes(), head.target());
                prop_assert_eq!(theirs.version == Some(1), head.version == HttpVersion::Http11);
                let range = theirs.headers.iter().find(|field| field.name.eq_ignore_ascii_case("range"));
                prop_assert_eq!(range.is_some(), head.range.is_some());
            }
        }
    }
}
