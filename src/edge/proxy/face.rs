//! The listener of an edge: connections, which POP a viewer meets, the log line of each request, the drain.
//!
//! Owns what lies between a socket and the engine. Never decides anything about an object: `engine.rs` answers, and
//! paths under `/2020-05-31/` are the control plane's (`api.rs`).
//!
//! Two limits are hyper's own and keep its statuses: more than 100 header fields and a head above 128 KiB are 431, not
//! CloudFront's 413.

use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Viewer;
use super::api::Control;
use super::counted::{Counted, Pending};
use super::engine::{self, Engine, Exchange};
use super::log::{Record, RecordLog};
use super::stall::Stalling;
use crate::edge::policy::record::ResultType;
use crate::edge::settings::Listener;
use crate::model::Clock;

/// Names the POP that a viewer meets. A desk's own field: it never reaches an origin.
pub const POP_FIELD: HeaderName = HeaderName::from_static("x-edge-pop");

/// Request fields together (fact 42): names, values, and the four bytes between and behind them.
const HEAD_BYTES_MAX: usize = 32_768;

/// The request target (fact 42).
const URI_BYTES_MAX: usize = 8192;

/// What hyper reads of a head: enough that the two limits above are ours to answer, and a bound all the same.
const READ_BYTES_MAX: usize = 128 * 1024;

/// After a failed `accept`, most often for want of descriptors: long enough for a connection to end.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

type Body = Either<Full<Bytes>, Either<engine::Body, Counted<engine::Body>>>;

/// An edge that answers viewers.
pub struct Face {
    /// What answers them.
    pub engine: Arc<Engine>,
    /// What answers release engineers.
    pub control: Arc<Control>,
    /// How viewers connect.
    pub listener: Listener,
    /// Where requests are logged, if anywhere.
    pub log: Option<RecordLog>,
    /// What time it is.
    pub clock: Clock,
}

impl Face {
    /// Serves until `shutdown` is cancelled and the drain has ended.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let (tracker, kill) = (TaskTracker::new(), CancellationToken::new());
        let invalidations = tokio::spawn(Arc::clone(&self.control).apply());
        let grace = self.listener.drain_grace;
        let face = Arc::new(self);
        let places = Arc::new(Semaphore::new(face.listener.connections_max));
        let mut number = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((socket, address, place)) => {
                    number += 1;
                    let connection = Connection::new(Arc::clone(&face), address, number);
                    let serving = connection.serve(socket, shutdown.clone(), kill.clone(), place);
                    tracker.spawn(serving);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener); // from here on the kernel refuses connections
        tracker.close();
        if tokio::time::timeout(grace, tracker.wait()).await.is_err() {
            let connections = tracker.len();
            tracing::warn!(
                connections,
                "the drain is over; answers in flight are broken off"
            );
            kill.cancel();
            tracker.wait().await;
        }
        invalidations.abort();
        say_counted(&face.engine.stats());
    }
}

/// The books of the whole run (E-15): `viewer_bytes` are `hit_bytes` and `fill_bytes` together, `origin_requests` are the
/// last layer's misses and refreshes.
fn say_counted(stats: &engine::Stats) {
    let engine::Stats {
        viewer_requests,
        viewer_bytes,
        hit_bytes,
        fill_bytes,
        origin_requests,
        last_layer_misses,
        last_layer_refreshes,
        origin_bytes,
        collapsed,
        shield_requests,
    } = *stats;
    tracing::info!(
        viewer_requests,
        viewer_bytes,
        hit_bytes,
        fill_bytes,
        origin_requests,
        last_layer_misses,
        last_layer_refreshes,
        origin_bytes,
        collapsed,
        shield_requests,
        "answered {viewer_requests} requests of viewers with {origin_requests} to the origin"
    );
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let (socket, address) = listener.accept().await?;
    Ok((socket, address, place))
}

/// One viewer's connection.
struct Connection {
    face: Arc<Face>,
    address: SocketAddr,
    number: u64,
    /// Where its requests go that name no POP.
    pop: usize,
}

impl Connection {
    fn new(face: Arc<Face>, address: SocketAddr, number: u64) -> Self {
        let pops = face.engine.topology().pops.len();
        Self {
            pop: pop_of(address, pops),
            face,
            address,
            number,
        }
    }

    async fn serve(
        self,
        socket: TcpStream,
        stop: CancellationToken,
        kill: CancellationToken,
        place: OwnedSemaphorePermit,
    ) {
        let _ = socket.set_nodelay(true); // an answer's last packet must not wait for an acknowledgement
        let limits = &self.face.listener;
        let io = TokioIo::new(Stalling::new(socket, limits.write_stall_timeout));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head_read_timeout)
            .max_buf_size(READ_BYTES_MAX);
        let this = Arc::new(self);
        let service = service_fn(move |request| {
            let this = Arc::clone(&this);
            async move { Ok::<_, std::convert::Infallible>(this.answer(request).await) }
        });
        let mut connection = pin!(http.serve_connection(io, service));
        tokio::select! {
            _ended = connection.as_mut() => {}
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ended = connection.as_mut() => {}
                    () = kill.cancelled() => {}
                }
            }
        }
        drop(place);
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        if Control::owns(request.uri().path()) {
            return self.face.control.answer(request).await.map(Either::Left);
        }
        let asked = Asked::of(&request, self.face.log.is_some());
        let pop = match self.choose(&mut request) {
            Ok(pop) => pop,
            Err(refusal) => return self.refuse(asked, refusal),
        };
        let viewer = Viewer {
            address: self.address,
            pop,
            connection: self.number,
            http_1_0: request.version() == Version::HTTP_10,
        };
        let exchange = self.face.engine.handle(viewer, request).await;
        match (asked, &self.face.log) {
            (Some(asked), Some(log)) => self.count(asked, exchange, pop, log),
            _ => exchange
                .response
                .map(|body| Either::Right(Either::Left(body))),
        }
    }

    /// The POP of a request that is within the limits; takes the field that names it away.
    fn choose(&self, request: &mut Request<Incoming>) -> Result<usize, Refusal> {
        check_size(request.uri(), request.headers())?;
        if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
            return Err(Refusal::NO_HOST); // RFC 9112 §3.2
        }
        match request.headers_mut().entry(POP_FIELD) {
            http::header::Entry::Vacant(_) => Ok(self.pop),
            http::header::Entry::Occupied(named) => {
                let (_name, mut values) = named.remove_entry_mult();
                let pops = &self.face.engine.topology().pops;
                match (values.next(), values.next()) {
                    (Some(value), None) => find_pop(&value, pops),
                    _ => None,
                }
                .ok_or_else(|| Refusal::unknown_pop(pops))
            }
        }
    }

    /// Lets a body count itself.
    fn count(
        &self,
        asked: Asked,
        exchange: Exchange,
        pop: usize,
        log: &RecordLog,
    ) -> Response<Body> {
        let Exchange { response, record } = exchange;
        let name = |pop: &crate::edge::policy::topology::Pop| Arc::from(pop.name.as_str());
        let pops = &self.face.engine.topology().pops;
        let status = response.status();
        let is_bodiless = asked.method == Method::HEAD
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        let pending = Pending {
            started: asked.started,
            log: log.clone(),
            is_bodiless,
            record: Record {
                location: pops.get(pop).map_or_else(|| Arc::from("-"), name),
                result: record.result,
                decided: record.result,
                detailed: record.detailed,
                request_id: record.request_id,
                content_length: record.content_length,
                range: record.range,
                ..self.record(asked, &response)
            },
        };
        let clock = Arc::clone(&self.face.clock);
        response.map(|body| Either::Right(Either::Right(Counted::new(body, pending, clock))))
    }

    /// A record with everything that the engine does not know.
    fn record<B>(&self, asked: Asked, response: &Response<B>) -> Record {
        let passed = asked.started.elapsed();
        Record {
            ended: (self.face.clock)(),
            location: Arc::from("-"),
            sent: 0,
            address: self.address.ip(),
            port: self.address.port(),
            method: asked.method,
            uri: asked.uri,
            host: asked.host,
            version: asked.version,
            status: response.status().as_u16(),
            result: ResultType::Error,
            decided: ResultType::Error,
            detailed: "ClientError",
            request_id: "-".to_owned(),
            content_type: response.headers().get(CONTENT_TYPE).cloned(),
            content_length: None,
            range: None,
            taken: passed,
            first_byte: passed,
        }
    }

    fn refuse(&self, asked: Option<Asked>, refusal: Refusal) -> Response<Body> {
        let sent = refusal.text.len() as u64;
        let response = refusal.into_response();
        if let (Some(asked), Some(log)) = (asked, &self.face.log) {
            log.put(Record {
                sent,
                content_length: Some(sent),
                ..self.record(asked, &response)
            });
        }
        response.map(|text| Either::Left(Full::new(text)))
    }
}

/// What a log line says of a request; the engine gets the request itself.
struct Asked {
    started: Instant,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    version: Version,
}

impl Asked {
    fn of(request: &Request<Incoming>, is_logged: bool) -> Option<Self> {
        is_logged.then(|| Self {
            started: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: request.headers().get(HOST).cloned(),
            version: request.version(),
        })
    }
}

/// A request that the engine never sees.
#[derive(PartialEq, Eq, Debug)]
struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    const NO_HOST: Self = Self {
        status: StatusCode::BAD_REQUEST,
        text: String::new(),
    };

    fn too_large(what: &str, max: usize) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            text: format!("The {what} is longer than {max} bytes.\n"),
        }
    }

    fn unknown_pop(pops: &[crate::edge::policy::topology::Pop]) -> Self {
        let first = pops.first().map_or("", |pop| pop.name.as_str());
        let last = pops.len().saturating_sub(1);
        Self {
            status: StatusCode::BAD_REQUEST,
            text: format!(
                "{POP_FIELD} has to be given once: the index of a POP, 0 to {last}, or its name such as {first}.\n"
            ),
        }
    }

    /// The connection ends with it: what a client that far off the rules sends next is anybody's guess.
    fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert("x-cache", HeaderValue::from_static("Error from cloudfront"));
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn check_size(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let target = uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > URI_BYTES_MAX {
        return Err(Refusal::too_large("request target", URI_BYTES_MAX));
    }
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    if headers.iter().map(field).sum::<usize>() > HEAD_BYTES_MAX {
        return Err(Refusal::too_large("request head", HEAD_BYTES_MAX));
    }
    Ok(())
}

/// A POP by its index or its name.
fn find_pop(value: &HeaderValue, pops: &[crate::edge::policy::topology::Pop]) -> Option<usize> {
    let text = value.to_str().ok()?.trim();
    match text.parse::<usize>() {
        Ok(index) => (index < pops.len()).then_some(index),
        Err(_not_a_number) => pops
            .iter()
            .position(|pop| pop.name.eq_ignore_ascii_case(text)),
    }
}

/// The POP that a viewer's address leads to, the same in every run. It is the address alone, as with DNS: all clients on
/// one machine meet one POP.
fn pop_of(address: SocketAddr, pops: usize) -> usize {
    let mut hasher = rustc_hash::FxHasher::default();
    address.ip().hash(&mut hasher);
    let hash = usize::try_from(hasher.finish() >> 32).unwrap_or(0);
    hash.checked_rem(pops).unwrap_or(0)
}
