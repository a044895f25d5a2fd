//! HTTP messages as a proxy sees them: a head, and how far its body reaches. Keeps every byte as it came.
//!
//! Never judges a message; what it cannot read ends the connection.

use std::io::{self, BufRead};

/// Bytes that are passed on at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// The head of a request or an answer.
pub struct Head {
    /// As it came, with the empty line.
    pub bytes: Vec<u8>,
    start: [String; 3],
    fields: Vec<(String, String)>,
}

/// How far a body reaches (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    Length(u64),
    Chunked,
    ToTheEnd,
}

/// Reads a head; `None` when the connection ends before its first byte.
pub fn read_head(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let bytes = read_lines(from)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().splitn(3, ' ');
    let start = [(); 3].map(|()| words.next().unwrap_or_default().to_owned());
    let fields = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Some(Head {
        bytes,
        start,
        fields,
    }))
}

/// Reads the head of the answer after any 1xx.
pub fn read_answer(from: &mut impl BufRead) -> io::Result<Head> {
    loop {
        let head = read_head(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if head.status() >= 200 {
            return Ok(head);
        }
    }
}

impl Head {
    /// Of a request.
    pub fn method(&self) -> &str {
        &self.start[0]
    }

    /// Of a request.
    pub fn target(&self) -> &str {
        &self.start[1]
    }

    /// Of an answer; 0 when it has none.
    pub fn status(&self) -> u16 {
        self.start[1].parse().unwrap_or(0)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The names of its fields that S3 compares a body with.
    pub fn digests(&self) -> Vec<String> {
        let names = self.fields.iter().map(|(name, _)| name.as_str());
        let is_digest = |name: &&str| {
            *name == "content-md5"
                || ["sha256", "sha1", "crc32", "crc32c", "crc64nvme"]
                    .iter()
                    .any(|algorithm| name.strip_prefix("x-amz-checksum-") == Some(*algorithm))
        };
        names.filter(is_digest).map(str::to_owned).collect()
    }

    pub fn expects_continue(&self) -> bool {
        self.field("expect").is_some()
    }

    /// Whether its sender goes on with this connection (RFC 9112 §9.3).
    pub fn keeps_open(&self) -> bool {
        let is_old = self.start.iter().any(|word| word == "HTTP/1.0");
        let says = |word| {
            self.field("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        !says("close") && (!is_old || says("keep-alive"))
    }

    fn framing(&self) -> Option<Framing> {
        if self.field("transfer-encoding").is_some() {
            return Some(Framing::Chunked);
        }
        let length = self.field("content-length")?.parse().ok()?;
        Some(Framing::Length(length))
    }

    pub fn framing_of_request(&self) -> Framing {
        self.framing().unwrap_or(Framing::Length(0))
    }

    pub fn framing_of_answer(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status(), 204 | 304) {
            return Framing::Length(0);
        }
        self.framing().unwrap_or(Framing::ToTheEnd)
    }
}

impl Framing {
    /// Passes a body on as it comes, with what frames it.
    pub fn copy(
        self,
        from: &mut impl BufRead,
        mut pass: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Self::Length(length) => copy_exactly(from, length, &mut pass),
            Self::Chunked => loop {
                let mut line = Vec::new();
                from.read_until(b'\n', &mut line)?;
                pass(&line)?;
                let text = String::from_utf8_lossy(&line);
                let digits = text.trim_end().split(';').next().unwrap_or_default();
                let length = u64::from_str_radix(digits, 16);
                let length = length.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
                if length > 0 {
                    copy_exactly(from, length + 2, &mut pass)?;
                    continue;
                }
                return pass(&read_lines(from)?);
            },
            Self::ToTheEnd => {
                let mut block = vec![0; BLOCK_BYTES];
                loop {
                    match from.read(&mut block)? {
                        0 => return Ok(()),
                        n => pass(&block[..n])?,
                    }
                }
            }
        }
    }
}

/// The lines up to and with an empty one; nothing where the connection has ended.
fn read_lines(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        match from.read_until(b'\n', &mut bytes)? {
            0 if bytes.is_empty() => return Ok(bytes),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if matches!(&bytes[before..], b"\r\n" | b"\n") => return Ok(bytes),
            _ => {}
        }
    }
}

fn copy_exactly(
    from: &mut impl BufRead,
    length: u64,
    pass: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut left = length;
    while left > 0 {
        let most = usize::try_from(left)
            .unwrap_or(BLOCK_BYTES)
            .min(BLOCK_BYTES);
        match from.read(&mut block[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                pass(&block[..n])?;
                left -= n as u64;
            }
        }
    }
    Ok(())
}

/// An answer as S3 gives it when something is wrong.
pub fn error(status: u16, code: &str, method: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>a fault of the test: {code}</Message><RequestId>0123456789ABCDEF</RequestId></Error>"
    );
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let head = format!(
        "HTTP/1.1 {status} {code}\r\nDate: {date}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // RFC 9110 §9.3.2: the same head, and no body.
    let body = if method == "HEAD" { "" } else { &body };
    [head, body.to_owned()].concat().into_bytes()
}
