//! A client of HTTP/1.1 that believes nothing: it counts every byte and refuses what a lenient client would forgive.
//!
//! Never repairs, never retries, never follows. What follows an answer stays in the buffer, so that a surplus byte is
//! seen by whoever looks next. Read `Conn` first.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Deref;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// One connection.
pub struct Conn {
    stream: TcpStream,
    /// Received and not yet part of an answer.
    pending: Vec<u8>,
}

/// The head of one answer, syntax checked.
#[derive(Clone, Debug)]
pub struct Head {
    /// 0 or 1, of `HTTP/1.x`.
    pub minor: u8,
    pub status: u16,
    /// In the order received; names as sent.
    pub fields: Vec<(String, String)>,
}

/// One whole answer.
#[derive(Clone)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
    /// Statuses of the 1xx answers before it.
    pub interim: Vec<u16>,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub enum Broken {
    /// The connection ended, cleanly or by a reset, before the first byte of an answer.
    Closed { by_reset: bool },
    /// The connection ended inside an answer; `body` is what came of it.
    Cut { head: Option<Head>, body: Vec<u8> },
    /// Bytes that are not HTTP as RFC 9112 has it.
    Malformed(String),
    /// Nothing came for so long that the test gave up.
    Silent { received: Vec<u8> },
}

/// Fields that may appear once only: two of them make two readers disagree.
const SINGLE: [&str; 15] = [
    "accept-ranges",
    "age",
    "cache-control",
    "connection",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "location",
    "repr-digest",
    "server",
    "transfer-encoding",
    "x-content-type-options",
];

impl Conn {
    /// Connects.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the origin accepts");
        Self::of(stream)
    }

    /// Connects with a receive buffer of about `bytes`, so that the origin soon finds the connection full.
    #[track_caller]
    pub fn open_narrow(address: SocketAddr, bytes: usize) -> Self {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect(&address.into()).expect("the origin accepts");
        Self::of(socket.into())
    }

    /// Takes over a connected socket.
    pub fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Sends all of `bytes`.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the origin takes the request");
    }

    /// Sends as much of `bytes` as the other side takes.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a GET with `fields` (each line ending in CRLF) and reads the answer.
    #[track_caller]
    pub fn get(&mut self, target: &str, fields: &str) -> Response {
        self.request("GET", target, fields)
    }

    /// Sends a request without a body and reads the answer.
    #[track_caller]
    pub fn request(&mut self, method: &str, target: &str, fields: &str) -> Response {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"
        ));
        self.response(method)
    }

    /// Reads one whole answer to a request of `method`.
    #[track_caller]
    pub fn response(&mut self, method: &str) -> Response {
        match self.try_response(method) {
            Ok(response) => response,
            Err(broken) => panic!("no answer to {method}: {broken}"),
        }
    }

    /// Reads one whole answer, or says what came instead.
    pub fn try_response(&mut self, method: &str) -> Result<Response, Broken> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.try_head()?;
            if head.status >= 200 {
                break head;
            }
            interim.push(head.status);
        };
        let body = self.try_body(method, &head)?;
        Ok(Response {
            head,
            body,
            interim,
        })
    }

    /// Reads the head of an answer and leaves its body on the wire.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        match self.try_head() {
            Ok(head) => head,
            Err(broken) => panic!("no head of an answer: {broken}"),
        }
    }

    fn try_head(&mut self) -> Result<Head, Broken> {
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Some(at) = find(&self.pending, b"\r\n\r\n") {
                break at + 4;
            }
            if self.pending.len() > 64 * 1024 {
                return Err(Broken::Malformed("an endless head".into()));
            }
            match self.receive() {
                Ok(0) => return Err(self.ended(false)),
                Ok(_) => {}
                Err(e) if is_reset(&e) => return Err(self.ended(true)),
                Err(_) => return Err(self.silent()),
            }
            if Instant::now() > deadline {
                return Err(self.silent());
            }
        };
        let head: Vec<u8> = self.pending.drain(..end).collect();
        parse_head(&head).map_err(|why| {
            Broken::Malformed(format!("{why} in {:?}", String::from_utf8_lossy(&head)))
        })
    }

    fn try_body(&mut self, method: &str, head: &Head) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        let len = head.body_len(method);
        body.reserve(usize::try_from(len).unwrap().min(64 << 20));
        let outcome = self.drain_body(len, |bytes| body.extend_from_slice(bytes));
        match outcome {
            Ok(()) => Ok(body),
            Err(Drained::Ended) => Err(Broken::Cut {
                head: Some(head.clone()),
                body,
            }),
            Err(Drained::Silent) => Err(Broken::Silent { received: body }),
        }
    }

    /// Reads `len` bytes of a body and hands them to `take` as they come.
    pub fn drain_body(&mut self, len: u64, mut take: impl FnMut(&[u8])) -> Result<(), Drained> {
        let mut left = len;
        while left > 0 {
            if self.pending.is_empty() {
                match self.receive() {
                    Ok(0) => return Err(Drained::Ended),
                    Ok(_) => {}
                    Err(e) if is_reset(&e) => return Err(Drained::Ended),
                    Err(_) => return Err(Drained::Silent),
                }
            }
            let n = self
                .pending
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&self.pending[..n]);
            self.pending.drain(..n);
            left -= n as u64;
        }
        Ok(())
    }

    /// Says that no more requests will come; answers can still be read.
    #[track_caller]
    pub fn half_close(&mut self) {
        self.stream
            .shutdown(Shutdown::Write)
            .expect("a connected socket");
    }

    /// The same, where the other side may have ended the connection already.
    pub fn half_close_if_open(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection by a reset, as a crashed client does.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Insists that the origin says nothing more and ends the connection within `within`; tells how long it took.
    #[track_caller]
    pub fn assert_closed(&mut self, within: Duration) -> Duration {
        let start = Instant::now();
        self.stream.set_read_timeout(Some(within)).unwrap();
        let ended = loop {
            match self.receive() {
                Ok(0) => break true,
                Ok(_) => {}
                Err(e) if is_reset(&e) => break true,
                Err(_) => break false,
            }
            if start.elapsed() > within {
                break false;
            }
        };
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.assert_nothing_pending();
        assert!(ended, "the connection is still open after {within:?}");
        start.elapsed()
    }

    /// Insists that the connection serves another request and that nothing was sent before its answer.
    #[track_caller]
    pub fn assert_usable(&mut self) {
        self.assert_nothing_pending();
        let response = self.get("/healthz", "");
        assert_eq!(response.status, 200, "a second request: {response:?}");
        self.assert_nothing_pending();
    }

    /// Insists that no byte came beyond the answers read so far.
    #[track_caller]
    pub fn assert_nothing_pending(&self) {
        assert!(
            self.pending.is_empty(),
            "bytes that belong to no answer: {:?}",
            String::from_utf8_lossy(&self.pending[..self.pending.len().min(300)])
        );
    }

    /// True when the other side has ended the connection; waits no longer than `within` for that.
    pub fn is_closed_within(&mut self, within: Duration) -> bool {
        self.stream.set_read_timeout(Some(within)).unwrap();
        let outcome = self.receive();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match outcome {
            Ok(0) => true,
            Ok(_) => false,
            Err(e) => is_reset(&e),
        }
    }

    /// The socket, for what this reader does not do.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn receive(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(n) => {
                    self.pending.extend_from_slice(&chunk[..n]);
                    return Ok(n);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn ended(&mut self, by_reset: bool) -> Broken {
        if self.pending.is_empty() {
            return Broken::Closed { by_reset };
        }
        Broken::Cut {
            head: None,
            body: std::mem::take(&mut self.pending),
        }
    }

    fn silent(&mut self) -> Broken {
        Broken::Silent {
            received: std::mem::take(&mut self.pending),
        }
    }
}

/// Why a body did not come whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Drained {
    /// The connection ended.
    Ended,
    /// Nothing came for so long that the test gave up.
    Silent,
}

impl Head {
    /// The value of a field that appears at most once.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The value of a field that must be there.
    #[track_caller]
    pub fn need(&self, name: &str) -> &str {
        match self.field(name) {
            Some(value) => value,
            None => panic!("no `{name}` in {self:?}"),
        }
    }

    /// True when the answer says that it is the connection's last.
    pub fn says_close(&self) -> bool {
        self.field("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The bytes that follow this head on the wire (RFC 9112 §6.3).
    fn body_len(&self, method: &str) -> u64 {
        if method == "HEAD" || matches!(self.status, 204 | 304) {
            return 0;
        }
        self.need("content-length").parse().unwrap()
    }
}

impl Deref for Response {
    type Target = Head;
    fn deref(&self) -> &Head {
        &self.head
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} and {} bytes", self.head, self.body.len())?;
        if self.body.len() <= 300 {
            write!(f, ": {:?}", String::from_utf8_lossy(&self.body))?;
        }
        Ok(())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { by_reset } => write!(f, "closed (by a reset: {by_reset})"),
            Self::Cut { head, body } => write!(f, "cut after {} bytes of {head:?}", body.len()),
            Self::Malformed(why) => write!(f, "malformed: {why}"),
            Self::Silent { received } => write!(
                f,
                "silence after {} bytes: {:?}",
                received.len(),
                String::from_utf8_lossy(&received[..received.len().min(300)])
            ),
        }
    }
}

/// One request on a connection of its own.
#[track_caller]
pub fn get(address: SocketAddr, target: &str, fields: &str) -> Response {
    Conn::open(address).get(target, fields)
}

/// One request of any method on a connection of its own.
#[track_caller]
pub fn request(address: SocketAddr, method: &str, target: &str, fields: &str) -> Response {
    Conn::open(address).request(method, target, fields)
}

/// Where `needle` begins in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

fn parse_head(bytes: &[u8]) -> Result<Head, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 ({e})"))?;
    let mut lines = text
        .strip_suffix("\r\n\r\n")
        .ok_or("no empty line")?
        .split("\r\n");
    let status_line = lines.next().ok_or("no status line")?;
    let (minor, status) = parse_status_line(status_line)?;
    let mut fields = Vec::new();
    for line in lines {
        fields.push(parse_field(line)?);
    }
    let head = Head {
        minor,
        status,
        fields,
    };
    check_fields(&head)?;
    Ok(head)
}

fn parse_status_line(line: &str) -> Result<(u8, u16), String> {
    let versions = [("HTTP/1.1 ", 1), ("HTTP/1.0 ", 0)];
    let (minor, rest) = versions
        .iter()
        .find_map(|(prefix, minor)| Some((*minor, line.strip_prefix(prefix)?)))
        .ok_or("a status line that does not begin with `HTTP/1.1 `")?;
    let (code, reason) = rest.split_once(' ').ok_or("no space after the status")?;
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) || code < "100" {
        return Err(format!("a status of `{code}`"));
    }
    if !reason.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err("a control character in the reason".into());
    }
    Ok((minor, code.parse().unwrap()))
}

fn parse_field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("a field name of {name:?}"));
    }
    let value = value.trim_matches([' ', '\t']);
    if !value.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
        return Err(format!("a field value of {value:?}"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// What this origin promises of every answer, whatever was asked (R8, R9, R10).
fn check_fields(head: &Head) -> Result<(), String> {
    for name in SINGLE {
        let count = head
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .count();
        if count > 1 {
            return Err(format!("`{name}` {count} times"));
        }
    }
    for name in [
        "transfer-encoding",
        "set-cookie",
        "vary",
        "content-encoding",
    ] {
        if head.field(name).is_some() {
            return Err(format!("a `{name}` field"));
        }
    }
    if head.status < 200 {
        return Ok(());
    }
    match head.field("content-length") {
        None if matches!(head.status, 204 | 304) => {}
        None => return Err("no Content-Length".into()),
        Some(len) => {
            let exact = len.parse::<u64>().is_ok_and(|n| n.to_string() == len);
            if !exact {
                return Err(format!("a Content-Length of `{len}`"));
            }
        }
    }
    let date = head.field("date").ok_or("no Date")?;
    check_date(date)
}

/// RFC 9110 §5.6.7: what is sent is an IMF-fixdate.
pub fn check_date(text: &str) -> Result<(), String> {
    let time = httpdate::parse_http_date(text).map_err(|e| format!("a date of `{text}` ({e})"))?;
    if httpdate::fmt_http_date(time) == text {
        Ok(())
    } else {
        Err(format!("`{text}` is not an IMF-fixdate"))
    }
}
