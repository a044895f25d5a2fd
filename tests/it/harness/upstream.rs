//! An origin on raw sockets that records every request and answers by a script: what an edge really asks for.
//! And an address where there is none.
//!
//! Never decides when an answer may go on: a test holds it with a [`Gate`] until what it waits for has happened.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{PATIENCE, poll};

/// One request as it came; names of fields in lower case.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub version: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// One thing that the origin does in answer to a request. After the last it reads the next request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits until a test opens the gate.
    Await(Gate),
    /// Closes the connection.
    Close,
    /// Says nothing more until the other side goes.
    Hang,
}

/// Closed until a test opens it, then open for ever.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

/// A running origin. It dies with the test process; its port is its own.
pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

type Script = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

impl Seen {
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

impl Gate {
    /// Lets everything through that waits here or will.
    pub fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let is_open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A test that failed never opens its gate; this thread must not wait for ever.
        let _ = self
            .0
            .1
            .wait_timeout_while(is_open, 3 * PATIENCE, |open| !*open);
    }
}

/// A 200 with these fields (each line ending in CRLF) and a body of announced length.
pub fn ok(fields: &str, body: &[u8]) -> Vec<Step> {
    vec![Step::Send(message("200 OK", fields, body))]
}

/// An answer with a date, these fields, and a body of announced length.
pub fn message(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nDate: {date}\r\n{fields}Content-Length: {len}\r\n\r\n")
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Upstream {
    /// Starts an origin that answers every request with what `script` says.
    pub fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&accepting);
                shared.connections.fetch_add(1, Ordering::Relaxed);
                // An edge that goes away in the middle is what some tests are about: no outcome is looked at.
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.shared.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests, once there are `count` of them.
    #[track_caller]
    pub fn await_seen(&self, count: usize) -> Vec<Seen> {
        poll(PATIENCE, "requests to the origin", || {
            let seen = self.seen();
            (seen.len() >= count).then_some(seen)
        })
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .ok()?;
        let mut writer = stream.try_clone().ok()?;
        let mut reader = BufReader::new(stream);
        loop {
            let seen = read_request(&mut reader)?;
            let steps = (self.script)(&seen);
            self.seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(seen);
            for step in steps {
                match step {
                    Step::Send(bytes) => {
                        writer.write_all(&bytes).ok()?;
                    }
                    Step::Await(gate) => gate.pass(),
                    Step::Close => {
                        return writer.shutdown(std::net::Shutdown::Both).ok();
                    }
                    Step::Hang => {
                        let _ = std::io::copy(&mut reader, &mut std::io::sink());
                        return None;
                    }
                }
            }
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    let read_line = |reader: &mut BufReader<TcpStream>, line: &mut String| {
        line.clear();
        let n = reader.read_line(line).ok()?;
        (n > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    };
    let start = read_line(reader, &mut line)?;
    let mut words = start.split(' ').map(str::to_owned);
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let mut fields = Vec::new();
    loop {
        let text = read_line(reader, &mut line)?;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':')?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen {
        method,
        target,
        version,
        fields,
        body: Vec::new(),
    };
    let length = seen
        .field("content-length")
        .map_or(0, |len| len.parse().unwrap());
    seen.body = vec![0; length];
    reader.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// An address where nobody listens: connects are refused, and nobody else can have the port meanwhile.
pub struct Nobody(Socket);

impl Nobody {
    pub fn bind() -> Self {
        let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        deaf.bind(&any.into()).unwrap();
        Self(deaf)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }
}
