//! A viewer of an edge: it accepts whatever framing HTTP/1.1 allows and tells whether the body came whole.
//!
//! Never forgives in the other direction: `wire` is the client that counts the origin's bytes, this one must take what
//! any origin behind an edge may send.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// One connection.
pub struct Viewer {
    reader: BufReader<TcpStream>,
}

/// The head of an answer; names of fields in lower case.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: u16,
    pub fields: Vec<(String, String)>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
    /// False when the connection ended before the body did.
    pub whole: bool,
}

impl Head {
    /// The value of a field; several lines of one name are joined.
    pub fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .fields
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

impl Answer {
    /// The first word of `X-Cache`.
    #[track_caller]
    pub fn x_cache(&self) -> String {
        let text = self.head.field("x-cache");
        let text = text.unwrap_or_else(|| panic!("no X-Cache in {:?}", self.head));
        let word = text.strip_suffix(" from cloudfront");
        word.unwrap_or_else(|| panic!("an X-Cache of `{text}`"))
            .to_owned()
    }
}

impl Viewer {
    /// Connects.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the edge accepts");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            reader: BufReader::new(stream),
        }
    }

    /// Sends a request with these fields, each line ending in CRLF.
    #[track_caller]
    pub fn send(&mut self, method: &str, target: &str, fields: &str) {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: edge.example\r\n{fields}\r\n");
        let stream = self.reader.get_mut();
        stream
            .write_all(request.as_bytes())
            .expect("the edge takes the request");
    }

    /// Sends bytes of a request's body.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        let stream = self.reader.get_mut();
        stream.write_all(bytes).expect("the edge takes the body");
    }

    /// Reads the head of the final answer.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        loop {
            let head = self.try_head().expect("a head");
            if head.status >= 200 {
                return head;
            }
        }
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, method: &str, target: &str, fields: &str) -> Answer {
        self.send(method, target, fields);
        self.answer(method)
    }

    /// Reads the answer to a request of `method`.
    #[track_caller]
    pub fn answer(&mut self, method: &str) -> Answer {
        let head = self.head();
        let (body, whole) = self.body(method, &head);
        Answer { head, body, whole }
    }

    /// Reads exactly `len` bytes of a body that has an announced length.
    #[track_caller]
    pub fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.reader
            .read_exact(&mut bytes)
            .expect("bytes of the body");
        bytes
    }

    /// Ends the connection by a reset, as a device does that loses power.
    pub fn abort(self) {
        let stream = self.reader.into_inner();
        let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
    }

    /// The port of this side.
    pub fn port(&self) -> u16 {
        self.reader.get_ref().local_addr().unwrap().port()
    }

    fn try_head(&mut self) -> Option<Head> {
        let start = self.line()?;
        let status = start.split(' ').nth(1)?.parse().ok()?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(Head { status, fields });
            }
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// RFC 9112 §6.3.
    fn body(&mut self, method: &str, head: &Head) -> (Vec<u8>, bool) {
        if method == "HEAD" || matches!(head.status, 204 | 304) {
            return (Vec::new(), true);
        }
        let mut body = Vec::new();
        if head.field("transfer-encoding").is_some() {
            let whole = self.chunks(&mut body).is_some();
            return (body, whole);
        }
        let Some(length) = head.field("content-length") else {
            let whole = self.reader.read_to_end(&mut body).is_ok();
            return (body, whole);
        };
        let length: u64 = length.parse().expect("a Content-Length");
        let read = self.reader.by_ref().take(length).read_to_end(&mut body);
        let whole = read.is_ok() && body.len() as u64 == length;
        (body, whole)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let size = u64::from_str_radix(self.line()?.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Some(());
            }
            let before = body.len();
            self.reader.by_ref().take(size).read_to_end(body).ok()?;
            ((body.len() - before) as u64 == size).then_some(())?;
            self.line()?;
        }
    }
}

/// One request on a connection of its own.
#[track_caller]
pub fn ask(address: SocketAddr, method: &str, target: &str, fields: &str) -> Answer {
    Viewer::open(address).ask(method, target, fields)
}
