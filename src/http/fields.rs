//! The field lines of a request: what frames it, what names its host, what the plan will want.
//!
//! Owns which fields the origin knows and what makes one of them a 400. Values that only the plan understands (dates,
//! tags, ranges) are carried on as they are. The tokenizer is `httparse`, whose few liberties are excluded before
//! (bare LF, in `head.rs`).

use std::mem;

use super::head::{HttpVersion, Line, Refusal, RequestHead};
use super::request_line::{RequestLine, is_host};

/// So many field lines are tokenized on the stack, one KiB of it: twice what browsers and `CloudFront` send. More
/// would be cleared for nothing at every request.
const FIELDS_ON_STACK: usize = 32;

/// What the field lines of one request said.
#[derive(Debug, Default)]
pub(super) struct Fields {
    has_host: bool,
    connection: Connection,
    content_length: Option<u64>,
    is_chunked: bool,
    range: Option<Box<[u8]>>,
    if_match: Option<Box<[u8]>>,
    if_none_match: Option<Box<[u8]>>,
    if_modified_since: Option<Box<[u8]>>,
    if_unmodified_since: Option<Box<[u8]>>,
    if_range: Option<Box<[u8]>>,
    edge_request_id: Option<Box<[u8]>>,
    secret: Secret,
}

/// What the `Connection` fields asked for.
#[derive(Debug, Default)]
struct Connection {
    asks_to_close: bool,
    asks_to_keep_alive: bool,
}

impl Connection {
    /// RFC 9112 §9.3: `close` counts first, then the version, then `keep-alive`.
    fn persists(&self, version: HttpVersion) -> bool {
        !self.asks_to_close && (version == HttpVersion::Http11 || self.asks_to_keep_alive)
    }
}

#[derive(Debug, Default)]
enum Secret {
    #[default]
    Absent,
    Once(Box<[u8]>),
    Repeated,
}

/// Reads `count` field lines and the empty line after them, which is all of `lines`.
pub(super) fn parse(
    lines: &[u8],
    count: usize,
    version: HttpVersion,
    secret_header: Option<&str>,
) -> Result<Fields, Refusal> {
    let mut fields = Fields::default();
    if count <= FIELDS_ON_STACK {
        let mut space = [httparse::EMPTY_HEADER; FIELDS_ON_STACK];
        fields.read(lines, &mut space[..count], secret_header)?;
    } else {
        fields.read(
            lines,
            &mut vec![httparse::EMPTY_HEADER; count],
            secret_header,
        )?;
    }
    fields.check_framing(version)?;
    if !fields.has_host && version == HttpVersion::Http11 {
        return Err(Refusal::BadRequest("an HTTP/1.1 request without Host"));
    }
    Ok(fields)
}

impl Fields {
    fn read<'a>(
        &mut self,
        lines: &'a [u8],
        space: &mut [httparse::Header<'a>],
        secret_header: Option<&str>,
    ) -> Result<(), Refusal> {
        use httparse::{Error, Status};
        match httparse::parse_headers(lines, space) {
            Ok(Status::Complete((len, parsed))) if len == lines.len() => parsed
                .iter()
                .try_for_each(|field| self.add(field, secret_header)),
            Err(Error::HeaderName) => Err(Refusal::BadRequest(
                "a field name is not a token followed by a colon",
            )),
            Err(Error::HeaderValue) => {
                Err(Refusal::BadRequest("a field value has a control character"))
            }
            // Not reachable: the caller found the end and counted the lines by the same rules.
            _ => Err(Refusal::BadRequest("the field lines cannot be read")),
        }
    }

    /// Takes one field line. The length decides first, so that a field we do not know costs one jump.
    fn add(
        &mut self,
        field: &httparse::Header<'_>,
        secret_header: Option<&str>,
    ) -> Result<(), Refusal> {
        let (name, value) = (field.name, field.value);
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is("host") => self.add_host(value)?,
            5 if is("range") => join(&mut self.range, value),
            8 if is("if-match") => join(&mut self.if_match, value),
            8 if is("if-range") => join(&mut self.if_range, value),
            10 if is("connection") => self.add_connection(value),
            11 if is("x-amz-cf-id") => join(&mut self.edge_request_id, value),
            13 if is("if-none-match") => join(&mut self.if_none_match, value),
            14 if is("content-length") => self.add_content_length(value)?,
            17 if is("if-modified-since") => join(&mut self.if_modified_since, value),
            17 if is("transfer-encoding") => self.add_transfer_encoding(value)?,
            19 if is("if-unmodified-since") => join(&mut self.if_unmodified_since, value),
            _ => {}
        }
        if secret_header.is_some_and(is) {
            self.secret = match mem::take(&mut self.secret) {
                Secret::Absent => Secret::Once(value.into()),
                Secret::Once(_) | Secret::Repeated => Secret::Repeated,
            };
        }
        Ok(())
    }

    /// RFC 9112 §3.2: one line, with a valid value.
    fn add_host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if mem::replace(&mut self.has_host, true) {
            return Err(Refusal::BadRequest("more than one Host"));
        }
        if !is_host(value) {
            return Err(Refusal::BadRequest(
                "Host is not a host with an optional port",
            ));
        }
        Ok(())
    }

    /// RFC 9110 §7.6.1: a list of case-insensitive options.
    fn add_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            self.connection.asks_to_close |= option.eq_ignore_ascii_case(b"close");
            self.connection.asks_to_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9110 §8.6 would let equal repetitions pass. No client of an origin sends them; who does, probes.
    fn add_content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.content_length.is_some() {
            return Err(Refusal::BadRequest("more than one Content-Length"));
        }
        self.content_length =
            Some(parse_length(value).ok_or(Refusal::BadRequest("Content-Length is not a number"))?);
        Ok(())
    }

    /// RFC 9112 §6.1: the one coding that everybody must know, applied once.
    fn add_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if mem::replace(&mut self.is_chunked, true) || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::BadRequest(
                "Transfer-Encoding is not exactly `chunked`",
            ));
        }
        Ok(())
    }

    /// RFC 9112 §6.1: both framings at once "ought to be handled as an error", and so must a transfer coding in 1.0.
    fn check_framing(&self, version: HttpVersion) -> Result<(), Refusal> {
        if self.is_chunked && self.content_length.is_some() {
            return Err(Refusal::BadRequest(
                "both Content-Length and Transfer-Encoding",
            ));
        }
        if self.is_chunked && version == HttpVersion::Http10 {
            return Err(Refusal::BadRequest("Transfer-Encoding in HTTP/1.0"));
        }
        Ok(())
    }

    /// The head, with `text` as its request line.
    pub(super) fn into_head(self, line: &RequestLine, text: &[u8]) -> RequestHead {
        RequestHead {
            method: line.method,
            version: line.version,
            line: Line {
                text: text.into(),
                target: line.target.clone(),
                path: line.path.clone(),
            },
            persistent: self.connection.persists(line.version),
            has_body: self.is_chunked || self.content_length.is_some_and(|len| len > 0),
            range: self.range,
            if_match: self.if_match,
            if_none_match: self.if_none_match,
            if_modified_since: self.if_modified_since,
            if_unmodified_since: self.if_unmodified_since,
            if_range: self.if_range,
            edge_request_id: self.edge_request_id,
            presented_secret: match self.secret {
                Secret::Once(value) => Some(value),
                Secret::Absent | Secret::Repeated => None,
            },
        }
    }
}

/// RFC 9110 §5.3: several lines of a field mean the same as one with their values in order, separated by commas.
fn join(field: &mut Option<Box<[u8]>>, value: &[u8]) {
    *field = Some(match field.take() {
        None => value.into(),
        Some(before) => [&before, b", ".as_slice(), value].concat().into(),
    });
}

/// RFC 9110 §8.6: digits only; neither sign, list nor overflow.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{head_of, head_with, is_bad};

    /// Whether a GET with these lines after `Host` is a 400.
    fn is_refused(lines: &[u8]) -> bool {
        is_bad(&[b"GET / HTTP/1.1\r\nHost: h\r\n", lines, b"\r\n"].concat())
    }

    #[test]
    fn http_1_1_needs_exactly_one_valid_host() {
        assert!(is_bad(b"GET / HTTP/1.1\r\n\r\n"));
        assert!(is_bad(b"GET / HTTP/1.2\r\n\r\n"));
        for lines in [
            "Host: h\r\nHost: h",
            "Host: h\r\nhOST: i",
            "Host:",
            "Host: ",
            "Host: a b",
            "Host: u@h",
            "Host: h/",
        ] {
            assert!(
                is_bad(format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes()),
                "{lines}"
            );
        }
        for line in ["Host: h", "HOST:h", "host: \t [::1]:80 \t"] {
            head_of(format!("GET / HTTP/1.1\r\n{line}\r\n\r\n").as_bytes());
        }
    }

    #[test]
    fn http_1_0_may_leave_host_out_but_not_repeat_or_garble_it() {
        head_of(b"GET / HTTP/1.0\r\n\r\n");
        head_of(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n");
        assert!(is_bad(b"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n"));
        assert!(is_bad(b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n"));
        assert!(is_bad(b"GET / HTTP/1.0\r\nHost:\r\n\r\n"));
    }

    #[test]
    fn a_name_is_a_token_right_before_its_colon() {
        for byte in 0..=u8::MAX {
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            // Short, and long enough for each vector width of the tokenizer.
            for before in [0, 1, 15, 16, 31, 32, 40] {
                let line = [&vec![b'a'; before][..], &[byte], b"a: b\r\n"].concat();
                // A colon ends the name sooner; the rest is then a value.
                let is_good = is_token || (byte == b':' && before > 0);
                assert_eq!(is_refused(&line), !is_good, "{byte:#x} after {before}");
            }
        }
        for line in [
            b"A : b\r\n".as_slice(),
            b"A\t: b\r\n",
            b": b\r\n",
            b" A: b\r\n",
            b"A\r\n",
            b"A b\r\n",
        ] {
            assert!(is_refused(line), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_value_has_no_control_character_but_the_tab() {
        for byte in (0..=u8::MAX).filter(|byte| *byte != b'\n') {
            for before in [0, 1, 15, 16, 31, 32, 40] {
                let line = [b"A: ".as_slice(), &vec![b'a'; before], &[byte], b"a\r\n"].concat();
                let is_control = byte.is_ascii_control() && byte != b'\t';
                assert_eq!(is_refused(&line), is_control, "{byte:#x} after {before}");
            }
        }
    }

    #[test]
    fn folded_lines_are_refused() {
        for lines in [
            b"A: b\r\n c\r\n".as_slice(),
            b"A: b\r\n\tc\r\n",
            b"A:\r\n b\r\n",
            b"A: b\r\n \r\n",
        ] {
            assert!(is_refused(lines), "{}", lines.escape_ascii());
        }
        assert!(is_bad(b"GET / HTTP/1.1\r\n Host: h\r\n\r\n"));
        assert!(is_bad(b"GET / HTTP/1.1\r\n \r\nHost: h\r\n\r\n"));
    }

    #[test]
    fn a_content_length_is_one_number_that_fits() {
        for (value, has_body) in [
            ("0", false),
            ("000", false),
            ("1", true),
            ("007", true),
            (" 5\t", true),
            ("18446744073709551615", true),
        ] {
            let head = head_with("POST", format!("Content-Length: {value}\r\n").as_bytes());
            assert_eq!(head.has_body, has_body, "{value}");
        }
        for value in [
            "",
            "+5",
            "-5",
            "5, 5",
            "5,5",
            "5 5",
            "0x5",
            "5a",
            "5.0",
            "18446744073709551616",
            "99999999999999999999",
            "\u{661}",
            "chunked",
            ",5",
            "5,",
        ] {
            assert!(
                is_refused(format!("Content-Length: {value}\r\n").as_bytes()),
                "{value}"
            );
        }
        assert!(is_refused(b"Content-Length: 5\r\nContent-Length: 5\r\n"));
        assert!(is_refused(b"Content-Length: 0\r\ncontent-length: 5\r\n"));
    }

    #[test]
    fn a_transfer_encoding_is_chunked_once_and_alone() {
        for value in ["chunked", "Chunked", "CHUNKED", " chunked\t"] {
            assert!(
                head_with("POST", format!("Transfer-Encoding:{value}\r\n").as_bytes()).has_body,
                "{value}"
            );
        }
        for value in [
            "",
            "identity",
            "gzip",
            "gzip, chunked",
            "chunked, identity",
            "chunked, chunked",
            "chunked,",
            ",chunked",
            "chunked;q=1",
            "\"chunked\"",
            "xchunked",
            "chunked x",
            "\u{b}chunked",
            "chunke\u{212a}",
        ] {
            assert!(
                is_refused(format!("Transfer-Encoding: {value}\r\n").as_bytes()),
                "{value:?}"
            );
        }
        assert!(is_refused(
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
        ));
        assert!(is_refused(
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"
        ));
    }

    #[test]
    fn two_framings_at_once_and_a_coding_in_1_0_are_refused() {
        assert!(is_refused(
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        ));
        assert!(is_refused(
            b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"
        ));
        assert!(is_bad(
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        assert!(is_refused(
            b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n"
        ));
    }

    #[test]
    fn a_connection_persists_by_version_unless_a_field_says_otherwise() {
        for (version, lines, persistent) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "connection: CLOSE\r\n", false),
            ("1.1", "Connection: keep-alive, Close\r\n", false),
            ("1.1", "Connection: close,TE\r\n", false),
            ("1.1", "Connection: te ,\t close ,\r\n", false),
            ("1.1", "Connection: te\r\nConnection: close\r\n", false),
            ("1.1", "Connection: keep-alive\r\n", true),
            ("1.1", "Connection: closed, not-close, close-not\r\n", true),
            ("1.1", "Connection: \r\n", true),
            ("1.1", "Proxy-Connection: close\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: keep-alive\r\n", true),
            ("1.0", "Connection: TE, Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
            (
                "1.0",
                "Connection: close\r\nConnection: keep-alive\r\n",
                false,
            ),
            ("1.7", "", true),
        ] {
            let request = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
            assert_eq!(
                head_of(request.as_bytes()).persistent,
                persistent,
                "{request}"
            );
        }
    }

    #[test]
    fn several_lines_of_a_field_are_joined_in_order() {
        let head = head_with(
            "GET",
            b"If-Match: \"a\"\r\nX: y\r\nif-match:\"b\" , \"c\"\r\nIF-MATCH: \"d\"\r\n",
        );
        assert_eq!(
            head.if_match.as_deref(),
            Some(b"\"a\", \"b\" , \"c\", \"d\"".as_slice())
        );
    }

    #[test]
    fn each_field_that_the_plan_wants_arrives_raw_and_trimmed() {
        let head = head_with(
            "GET",
            b"RANGE: \t bytes=0-1 \t\r\nIf-None-Match: W/\"\xff,\"\r\nIf-Modified-Since: then\r\n\
              If-Unmodified-Since: now\r\nIf-Range: \"x\"\r\nIf-Match: *\r\nX-Amz-Cf-Id: abc==\r\n",
        );
        let text = |value: &Option<Box<[u8]>>| value.as_deref().map(<[u8]>::to_vec);
        assert_eq!(text(&head.range), Some(b"bytes=0-1".to_vec()));
        assert_eq!(text(&head.if_none_match), Some(b"W/\"\xff,\"".to_vec()));
        assert_eq!(text(&head.if_modified_since), Some(b"then".to_vec()));
        assert_eq!(text(&head.if_unmodified_since), Some(b"now".to_vec()));
        assert_eq!(text(&head.if_range), Some(b"\"x\"".to_vec()));
        assert_eq!(text(&head.if_match), Some(b"*".to_vec()));
        assert_eq!(text(&head.edge_request_id), Some(b"abc==".to_vec()));
    }

    #[test]
    fn an_empty_field_is_present() {
        assert_eq!(
            head_with("GET", b"If-Match:\r\n").if_match.as_deref(),
            Some(b"".as_slice())
        );
    }

    #[test]
    fn a_secret_counts_only_when_it_comes_once_under_the_configured_name() {
        let secret = |lines: &[u8]| head_with("GET", lines).presented_secret;
        assert_eq!(
            secret(b"X-Origin-Secret: s3\r\n").as_deref(),
            Some(b"s3".as_slice())
        );
        assert_eq!(
            secret(b"X-Origin-Secret: s3\r\nx-origin-secret: s3\r\n"),
            None
        );
        assert_eq!(
            secret(b"X-Origin-Secret: a\r\nX-Origin-Secret: b\r\nX-Origin-Secret: a\r\n"),
            None
        );
        assert_eq!(secret(b"X-Origin-Secrets: s3\r\n"), None);
        assert_eq!(
            secret(b"X-Origin-Secret:\r\n").as_deref(),
            Some(b"".as_slice())
        );
    }
}
