//! An engine between a scripted origin and viewers on real sockets, with a clock that tests move.
//!
//! The origin answers each request by a closure on the raw socket, and keeps what it saw. The listener in front of the
//! engine is as small as it can be: what the real one adds is tested elsewhere.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use headwater::edge::policy::cache::{CacheSettings, LeaderAbort};
use headwater::edge::policy::distribution::{
    AllowedMethods, Behaviour, CachePolicy, Distribution, Forwarding, OriginLink, PathPattern,
};
use headwater::edge::policy::errors::ErrorTtls;
use headwater::edge::policy::freshness::Ttl;
use headwater::edge::policy::key::KeyParts;
use headwater::edge::policy::limits::Limits;
use headwater::edge::policy::spans::{FillRange, FullAfterParts};
use headwater::edge::policy::topology::{Placement, TopologySettings};
use headwater::edge::proxy::Viewer;
use headwater::edge::proxy::engine::{Engine, Parameters, Stats};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::PATIENCE;

pub const MIB: usize = 1 << 20;

/// One request as the origin saw it, its field names in lower case.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
}

impl Seen {
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Answers one request on its socket; `false` closes the connection.
pub type Script = dyn Fn(&Seen, &mut std::net::TcpStream) -> bool + Send + Sync;

pub struct Origin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Mutex<Arc<Script>>>,
}

impl Origin {
    pub fn start(
        script: impl Fn(&Seen, &mut std::net::TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let script: Arc<Script> = Arc::new(script);
        let origin = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            script: Arc::new(Mutex::new(script)),
        };
        let (seen, script) = (Arc::clone(&origin.seen), Arc::clone(&origin.script));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                std::thread::spawn(move || serve(stream, &seen, &script));
            }
        });
        origin
    }

    /// From the next request on.
    pub fn now(
        &self,
        script: impl Fn(&Seen, &mut std::net::TcpStream) -> bool + Send + Sync + 'static,
    ) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn serve(
    mut stream: std::net::TcpStream,
    seen: &Mutex<Vec<Seen>>,
    script: &Mutex<Arc<Script>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let request = read_request(&mut reader)?;
        let script = Arc::clone(&script.lock().unwrap());
        seen.lock().unwrap().push(request.clone());
        if !script(&request, &mut stream) {
            return None;
        }
    }
}

fn read_request(reader: &mut BufReader<std::net::TcpStream>) -> Option<Seen> {
    let mut lines = reader.by_ref().lines();
    let first = lines.next()?.ok()?;
    let (method, rest) = first.split_once(' ')?;
    let (target, _version) = rest.split_once(' ')?;
    let mut seen = Seen {
        method: method.to_owned(),
        target: target.to_owned(),
        fields: Vec::new(),
    };
    loop {
        let line = lines.next()?.ok()?;
        match line.split_once(": ") {
            Some((name, value)) => seen
                .fields
                .push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length = seen
        .field("content-length")
        .map_or(0, |value| value.parse().unwrap());
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
    Some(seen)
}

/// Writes a head and a body with its length.
pub fn reply(stream: &mut std::net::TcpStream, status: &str, fields: &str, body: &[u8]) -> bool {
    head(stream, status, fields, body.len()) && stream.write_all(body).is_ok()
}

/// Writes a head that announces `length` bytes.
pub fn head(stream: &mut std::net::TcpStream, status: &str, fields: &str, length: usize) -> bool {
    raw(
        stream,
        &format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n"),
    )
}

pub fn raw(stream: &mut std::net::TcpStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).is_ok()
}

/// A good origin: ranges, validators, `max-age`.
pub fn honest(body: Vec<u8>) -> impl Fn(&Seen, &mut std::net::TcpStream) -> bool {
    move |seen, stream| {
        let fields = "ETag: \"v1\"\r\nCache-Control: max-age=60\r\nContent-Type: a/b\r\n";
        if seen.field("if-none-match") == Some("\"v1\"") {
            return raw(
                stream,
                &format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n"),
            );
        }
        let total = body.len();
        let Some((first, last)) = range_of(seen, total) else {
            return reply(stream, "200 OK", fields, &body);
        };
        if first >= total {
            let fields = format!("Content-Range: bytes */{total}\r\n");
            return reply(stream, "416 Range Not Satisfiable", &fields, b"");
        }
        let fields = format!("{fields}Content-Range: bytes {first}-{last}/{total}\r\n");
        reply(stream, "206 Partial Content", &fields, &body[first..=last])
    }
}

/// The positions of a single range, cut to the object.
pub fn range_of(seen: &Seen, total: usize) -> Option<(usize, usize)> {
    let (first, last) = seen
        .field("range")?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    if first.is_empty() {
        let len: usize = last.parse().unwrap();
        return Some((total.saturating_sub(len), total - 1));
    }
    let last = if last.is_empty() {
        total - 1
    } else {
        last.parse::<usize>().unwrap().min(total - 1)
    };
    Some((first.parse().unwrap(), last))
}

/// A gate that the test opens while the origin waits at it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn wait(&self) {
        let is_open = self.0.0.lock().unwrap();
        let waited = self
            .0
            .1
            .wait_timeout_while(is_open, PATIENCE, |is_open| !*is_open);
        assert!(*waited.unwrap().0, "the gate was never opened");
    }
}

/// Bytes that are different everywhere.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// What a test changes of the edge.
pub struct Setup {
    pub behaviour: Behaviour,
    pub topology: TopologySettings,
    pub cache: CacheSettings,
    pub memory_object_max: u64,
    pub memory_max: u64,
    pub disk: Option<std::path::PathBuf>,
    pub stream_along: bool,
    pub limits: Limits,
}

impl Setup {
    pub fn of(origin: &Origin) -> Self {
        Self {
            behaviour: Behaviour {
                pattern: PathPattern::new("*"),
                cache: CachePolicy {
                    name: "test".into(),
                    ttl: Ttl {
                        min: Duration::ZERO,
                        default: Duration::ZERO,
                        max: Duration::from_secs(31_536_000),
                    },
                    key: KeyParts::default(),
                },
                methods: AllowedMethods::All,
                cache_options: false,
                compress: false,
                forward: Forwarding::default(),
                error_ttls: ErrorTtls::default(),
                origin: OriginLink {
                    url: format!("http://{}", origin.address),
                    connection_attempts: 1,
                    connection_timeout: Duration::from_secs(5),
                    read_timeout: Duration::from_secs(20),
                    keepalive_timeout: Duration::from_secs(5),
                    completion_timeout: None,
                    custom_headers: Vec::new(),
                },
            },
            topology: TopologySettings {
                pops: 1,
                nodes_per_pop: 1,
                nodes_per_regional: 1,
                placement: Placement::ByKey,
                shield: None,
            },
            cache: CacheSettings {
                capacity: 1 << 40,
                fill_range: FillRange::Exact,
                full_after_parts: FullAfterParts::Gaps,
                leader_abort: LeaderAbort::ContinueForFollowers,
            },
            memory_object_max: 64 << 20,
            memory_max: 256 << 20,
            disk: None,
            stream_along: true,
            limits: Limits::default(),
        }
    }

    pub async fn start(self) -> Edge {
        let clock = Arc::new(AtomicI64::new(1_800_000_000_000_000));
        let hand = Arc::clone(&clock);
        let distribution = Distribution {
            id: "EDFDVBD6EXAMPLE".into(),
            domain: "d111111abcdef8.cloudfront.net".into(),
            ordered: Vec::new(),
            default: self.behaviour,
            cache_tag_header: Some(http::HeaderName::from_static("cache-tag")),
            limits: self.limits,
        };
        let engine = Engine::new(Parameters {
            distribution: Arc::new(distribution),
            topology: self.topology,
            pop_cache: self.cache,
            regional_cache: self.cache,
            memory_object_max: self.memory_object_max,
            memory_max: self.memory_max,
            disk: self.disk,
            stream_along: self.stream_along,
            clock: Arc::new(move || {
                Timestamp::from_microsecond(hand.load(Ordering::Relaxed)).unwrap()
            }),
        });
        let engine = engine.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edge = Edge {
            address: listener.local_addr().unwrap(),
            engine: Arc::clone(&engine),
            clock,
        };
        tokio::spawn(listen(listener, engine));
        edge
    }
}

async fn listen(listener: TcpListener, engine: Arc<Engine>) {
    let connections = AtomicU64::new(0);
    while let Ok((stream, address)) = listener.accept().await {
        let connection = connections.fetch_add(1, Ordering::Relaxed);
        let engine = Arc::clone(&engine);
        let service = service_fn(move |request: Request<Incoming>| {
            let engine = Arc::clone(&engine);
            async move {
                let pop = request.headers().get("x-edge-pop");
                let viewer = Viewer {
                    address,
                    pop: pop.map_or(0, |pop| pop.to_str().unwrap().parse().unwrap()),
                    connection,
                    http_1_0: request.version() == http::Version::HTTP_10,
                };
                let exchange = engine.handle(viewer, request).await;
                Ok::<_, Infallible>(exchange.response)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(async move {
            // A viewer that goes away in the middle is what some tests are about.
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

pub struct Edge {
    pub address: SocketAddr,
    pub engine: Arc<Engine>,
    clock: Arc<AtomicI64>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The body ended before its end.
    pub is_short: bool,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn x_cache(&self) -> &str {
        let value = self.field("x-cache").unwrap();
        value.strip_suffix(" from cloudfront").unwrap()
    }
}

impl Edge {
    /// Moves the clock.
    pub fn later(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap();
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.clock.fetch_add(micros, Ordering::Relaxed);
    }

    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Sends a request and returns the head of its answer with the body to come. Dropping it breaks it off.
    pub async fn open(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> http::Response<Incoming> {
        self.send(method, path, fields, b"").await
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &'static [u8],
    ) -> http::Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", "viewer.example");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from_static(body))).unwrap();
        let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        answer.expect("an answer in time").unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    pub async fn get_range(&self, path: &str, range: &str) -> Answer {
        self.ask("GET", path, &[("range", range)]).await
    }

    pub async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        whole(self.open(method, path, fields).await).await
    }
}

/// Reads an answer to its end.
pub async fn whole(response: http::Response<Incoming>) -> Answer {
    let (head, mut body) = response.into_parts();
    let mut answer = Answer {
        status: head.status,
        headers: head.headers,
        body: Vec::new(),
        is_short: false,
    };
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
        match frame.expect("a body in time") {
            Some(Ok(frame)) => answer.body.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(_)) => answer.is_short = true,
            None => return answer,
        }
    }
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
