//! The field lines of a request: what frames it, what names its host, what the plan will want.
//!
//! Owns which fields the origin knows and what makes one of them a 400. Values that only the plan understands (dates,
//! tags, ranges) are carried on as they are. The tokenizer is `httparse`, whose few liberties are excluded before
//! (bare LF, in `head.rs`).

use std::mem;

use super::head::{HttpVersion, Line, Refusal, RequestHead};
use super::request_line::{RequestLine, is_host};

/// So many field lines are tokenized on the stack: three times what browsers and `CloudFront` send.
const FIELDS_ON_STACK: usize = 64;

/// What the field lines of one request said.
#[derive(Debug, Default)]
pub(super) struct Fields {
    has_host: bool,
    connection: Connection,
    content_length: Option<u64>,
    is_chunked: bool,
    expects_continue: bool,
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
            // The caller found the end and counted the lines by the same rules: not reachable, and refused all the same.
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
            6 if is("expect") => {
                self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
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
            expects_continue: self.expects_continue,
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
