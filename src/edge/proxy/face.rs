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
use http::header::{CONNECTION, CONTENT_TYPE, Entry, HOST};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
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
use super::log::{Answered, Asked, Record, RecordLog};
use super::stall::Stalling;
use crate::edge::policy::record::{CacheHitRate, Conservation, ResultType, XCache};
use crate::edge::policy::topology::Pop;
use crate::edge::settings::Listener;
use crate::model::Clock;

/// Names the POP that a viewer meets. A desk's own field: it never reaches an origin.
pub const POP_FIELD: HeaderName = HeaderName::from_static("x-edge-pop");

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// What hyper reads of a head: enough that CloudFront's limits (`admission.rs`) are met first, and a bound all the same.
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
    /// The distribution's domain, for the log.
    pub domain: Arc<str>,
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
        let rate = face.log.as_ref().map(RecordLog::hit_rate);
        let stats = face.engine.stats();
        say_counted(&stats, rate.unwrap_or_default());
        // A fill may outlive its viewers, and the books balance only when nothing is on its way.
        if face.engine.fills_in_flight() == 0
            && let Err(error) = stats.books.check()
        {
            tracing::warn!(%error, "the books of the edge do not balance");
        }
    }
}

/// The books of the whole run (E-15); [`Conservation`] says what each counts. `cache_hit_rate` is CloudFront's
/// `CacheHitRate` in percent, of what was logged; no log, no rate.
fn say_counted(stats: &engine::Stats, rate: CacheHitRate) {
    let Conservation {
        viewer_bytes,
        hit_bytes,
        fill_bytes,
        origin_requests,
        origin_unanswered,
        last_layer_misses,
        last_layer_refreshes,
    } = stats.books;
    tracing::info!(
        viewer_requests = stats.viewer_requests,
        viewer_bytes,
        hit_bytes,
        fill_bytes,
        origin_requests,
        origin_unanswered,
        last_layer_misses,
        last_layer_refreshes,
        origin_bytes = stats.origin_bytes,
        collapsed = stats.collapsed,
        shield_requests = stats.shield_requests,
        cache_hit_rate = rate.percent(),
        "answered {} requests of viewers with {origin_requests} to the origin",
        stats.viewer_requests
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
        let sent = self.face.engine.bodies().sent();
        let io = TokioIo::new(Stalling::new(socket, limits.write_stall_timeout, sent));
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
        let mut awaiting = Awaiting {
            connection: self,
            noted: self.face.log.as_ref().map(|log| Noted {
                started: Instant::now(),
                asked: Asked::of(&request),
                log: log.clone(),
            }),
            pop: None,
        };
        let pop = match self.choose(&mut request) {
            Ok(pop) => pop,
            Err(refusal) => return self.refuse(awaiting.noted.take(), refusal),
        };
        awaiting.pop = Some(pop);
        let viewer = Viewer {
            address: self.address,
            pop,
            connection: self.number,
            http_1_0: request.version() == Version::HTTP_10,
        };
        let exchange = self.face.engine.handle(viewer, request).await;
        match awaiting.noted.take() {
            Some(noted) => self.count(noted, exchange, pop),
            None => exchange
                .response
                .map(|body| Either::Right(Either::Left(body))),
        }
    }

    /// The POP of a request; takes the field that names it away.
    fn choose(&self, request: &mut Request<Incoming>) -> Result<usize, Refusal> {
        let headers = request.headers_mut();
        let named = match headers.entry(POP_FIELD) {
            Entry::Vacant(_) => None,
            Entry::Occupied(field) => Some(field.remove_entry_mult().1.collect::<Vec<_>>()),
        };
        if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
            return Err(Refusal::NoHost);
        }
        let pops = &self.face.engine.topology().pops;
        match named.as_deref() {
            None => Ok(self.pop),
            Some([value]) => find_pop(value, pops).ok_or(Refusal::UnknownPop),
            Some(_) => Err(Refusal::UnknownPop),
        }
    }

    /// Lets a body count itself.
    fn count(&self, noted: Noted, exchange: Exchange, pop: usize) -> Response<Body> {
        let Exchange { response, record } = exchange;
        let answered = Answered::of(&response, record.content_length);
        let is_bodiless = noted.asked.is_bodiless(response.status());
        let (started, log) = (noted.started, noted.log.clone());
        let pending = Pending {
            started,
            log,
            is_bodiless,
            record: Record {
                location: self.location(pop),
                result: record.result,
                decided: record.result,
                detailed: record.detailed,
                request_id: record.request_id,
                range: record.range,
                ..self.record(noted, answered)
            },
        };
        let clock = Arc::clone(&self.face.clock);
        response.map(|body| Either::Right(Either::Right(Counted::new(body, pending, clock))))
    }

    fn location(&self, pop: usize) -> Arc<str> {
        let pops = &self.face.engine.topology().pops;
        Arc::from(pops.get(pop).map_or("-", |pop| pop.name.as_str()))
    }

    /// The record of a request that is refused; what the engine knows of one goes over it.
    fn record(&self, noted: Noted, answered: Answered) -> Record {
        let passed = noted.started.elapsed();
        Record {
            ended: (self.face.clock)(),
            location: Arc::from("-"),
            domain: Arc::clone(&self.face.domain),
            address: self.address,
            asked: noted.asked,
            answered,
            sent: 0,
            result: ResultType::Error,
            decided: ResultType::Error,
            detailed: "InvalidRequest",
            request_id: "-".to_owned(),
            range: None,
            taken: passed,
            first_byte: passed,
        }
    }

    fn refuse(&self, noted: Option<Noted>, refusal: Refusal) -> Response<Body> {
        let response = refusal.response(&self.face.engine.topology().pops);
        if let Some(noted) = noted {
            let (sent, log) = (response.body().len() as u64, noted.log.clone());
            let answered = Answered::of(&response, Some(sent));
            log.put(Record {
                sent,
                ..self.record(noted, answered)
            });
        }
        response.map(|text| Either::Left(Full::new(text)))
    }
}

/// What a log line needs of a request before the engine gets it.
struct Noted {
    started: Instant,
    asked: Asked,
    log: RecordLog,
}

/// A request without an answer yet. Its viewer may leave, and then hyper drops whoever waits here: the line is written
/// all the same. With an answer, [`Counted`] sees to that.
struct Awaiting<'a> {
    connection: &'a Connection,
    /// `None`: there is no log, or somebody else writes the line.
    noted: Option<Noted>,
    pop: Option<usize>,
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        let Some(noted) = self.noted.take() else {
            return;
        };
        let log = noted.log.clone();
        let record = self.connection.record(noted, Answered::nothing());
        log.put(Record {
            location: self.pop.map_or_else(
                || Arc::clone(&record.location),
                |pop| self.connection.location(pop),
            ),
            detailed: "ClientCommError",
            ..record
        });
    }
}

/// A request that the engine never sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    /// RFC 9112 §3.2: HTTP/1.1 without `Host`.
    NoHost,
    /// The field names no POP, or is there twice.
    UnknownPop,
}

impl Refusal {
    fn response(self, pops: &[Pop]) -> Response<Bytes> {
        let text = match self {
            Self::NoHost => "A request of HTTP/1.1 needs a Host field.\n".to_owned(),
            Self::UnknownPop => {
                let last = pops.len().saturating_sub(1);
                let first = pops.first().map_or("", |pop| pop.name.as_str());
                format!(
                    "{POP_FIELD} has to be given once, with a POP's index, 0 to {last}, or its name, such as {first}.\n"
                )
            }
        };
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(X_CACHE, XCache::Error.to_value());
        if self == Self::NoHost {
            headers.insert(CONNECTION, HeaderValue::from_static("close")); // it may be the rest of something else
        }
        response
    }
}

/// A POP by its index or its name.
fn find_pop(value: &HeaderValue, pops: &[Pop]) -> Option<usize> {
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
    let mut hasher = std::hash::DefaultHasher::new(); // whose keys are fixed, and whose every bit is good
    address.ip().hash(&mut hasher);
    let hash = usize::try_from(hasher.finish() >> 32).unwrap_or(0);
    hash.checked_rem(pops).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::policy::topology::{Placement, Topology, TopologySettings};

    fn pops(count: usize) -> Vec<Pop> {
        let settings = TopologySettings {
            pops: count,
            nodes_per_pop: 1,
            nodes_per_regional: 1,
            placement: Placement::ByKey,
            shield: None,
        };
        Topology::new(settings).unwrap().pops
    }

    fn find(text: &str, pops: &[Pop]) -> Option<usize> {
        find_pop(&HeaderValue::from_str(text).unwrap(), pops)
    }

    #[test]
    fn a_pop_is_found_by_each_of_its_names_and_by_no_other() {
        let pops = pops(750);
        for (index, pop) in pops.iter().enumerate() {
            assert_eq!(find(&index.to_string(), &pops), Some(index));
            assert_eq!(find(&pop.name, &pops), Some(index), "{}", pop.name);
        }
        for wrong in ["750", "-1", "", "FRA", "1.0", "99999999999999999999"] {
            assert_eq!(find(wrong, &pops), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_spread_over_all_pops_and_ports_do_not_matter() {
        let mut seen = [0; 10];
        for host in 0..=255 {
            let address = SocketAddr::from(([192, 0, 2, host], 1000));
            let pop = pop_of(address, seen.len());
            assert_eq!(
                pop,
                pop_of(SocketAddr::from(([192, 0, 2, host], 2)), seen.len())
            );
            seen[pop] += 1;
        }
        assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
    }
}
