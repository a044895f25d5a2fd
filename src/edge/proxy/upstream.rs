//! The origin: connections kept alive, attempts, time-outs, and the body that is on its way.
//!
//! Owns facts 43 and 46 to 49. Never decides what is asked (`origin.rs`) or what becomes of the answer. A
//! request that must not be sent twice goes out on a new connection only: an idle one may be closed at that moment.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, timeout_at};

use super::bodies::lock;
use super::stats::{Attempt, Counters};
use crate::edge::policy::admission::HEADER_BLOCK_MAX;
use crate::edge::policy::attempts::{Attempts, Failure, Next};
use crate::edge::policy::distribution::OriginLink;

/// What is read from the origin at a time: a frame of this size is handed through all layers, so that it must not be
/// small, and there is one such buffer for each connection that is busy.
const READ_BYTES_MAX: usize = 256 << 10;

/// The connections of one node to one origin.
#[derive(Debug)]
pub(super) struct Pool {
    authority: Authority,
    link: OriginLink,
    idle: Mutex<Vec<Idle>>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Outgoing>,
    since: Instant,
}

/// The body of a request to the origin.
pub(super) type Outgoing = http_body_util::Either<http_body_util::Empty<Bytes>, Incoming>;

/// A request to the origin.
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
}

impl Pool {
    pub(super) fn new(link: &OriginLink, counters: &Arc<Counters>) -> Option<Arc<Self>> {
        let uri: Uri = link.url.parse().ok()?;
        Some(Arc::new(Self {
            authority: uri.authority()?.clone(),
            link: link.clone(),
            idle: Mutex::default(),
            counters: Arc::clone(counters),
        }))
    }

    /// Asks until there is an answer or the attempts are used up.
    pub(super) async fn ask(
        self: &Arc<Self>,
        question: Question,
        body: Option<Incoming>,
    ) -> Result<Response<Live>, Failure> {
        let started = Instant::now();
        let mut attempts = Attempts::new(&self.link, &question.method);
        let deadline = attempts
            .time_left(Duration::ZERO)
            .map(|left| started + left);
        let mut body = body;
        loop {
            let failure = match self.attempt(&question, &mut body, deadline).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            match attempts.failed(failure, started.elapsed()) {
                Next::Again => {}
                Next::GiveUp(failure) => return Err(failure),
            }
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        question: &Question,
        body: &mut Option<Incoming>,
        deadline: Option<Instant>,
    ) -> Result<Response<Live>, Failure> {
        if body.is_none()
            && question.method.is_safe()
            && let Some(sender) = self.checkout().await
        {
            match self.send(sender, question, None, deadline).await {
                // The origin may have closed it while we were about to use it: that is not its failure, so not an
                // attempt. Once: what ends a new connection too is the question.
                Err((_, true)) => {}
                result => return result.map_err(|(failure, _)| failure),
            }
        }
        let sender = self.connect(deadline).await?;
        self.send(sender, question, body.take(), deadline)
            .await
            .map_err(|(failure, _)| failure)
    }

    /// The connection that was used last and still works.
    async fn checkout(&self) -> Option<http1::SendRequest<Outgoing>> {
        loop {
            let mut idle = lock(&self.idle).pop()?;
            if idle.since.elapsed() >= self.link.keepalive_timeout || idle.sender.is_closed() {
                continue;
            }
            if idle.sender.ready().await.is_ok() {
                return Some(idle.sender);
            }
        }
    }

    async fn connect(
        &self,
        deadline: Option<Instant>,
    ) -> Result<http1::SendRequest<Outgoing>, Failure> {
        let until = earlier(Instant::now() + self.link.connection_timeout, deadline);
        let host = self.authority.host().trim_matches(['[', ']']);
        let port = self.authority.port_u16().unwrap_or(80);
        let connecting = async {
            let addresses = tokio::net::lookup_host((host, port))
                .await
                .map_err(|_error| Failure::Name)?;
            let mut failure = Failure::Name;
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(_error) => failure = Failure::Connect,
                }
            }
            Err(failure)
        };
        let stream = timeout_at(until, connecting)
            .await
            .map_err(|_elapsed| Failure::ConnectTimeout)??;
        let _ = stream.set_nodelay(true); // a request is one write, with or without it
        let (sender, connection) = http1::Builder::new()
            .max_header_size(HEADER_BLOCK_MAX)
            .max_buf_size(READ_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_error| Failure::Lost)?;
        tokio::spawn(async move {
            // How it ended is told to whoever waits for an answer on it.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Sends and waits for the head of the answer. The flag of an error: nothing came and the connection was old.
    async fn send(
        self: &Arc<Self>,
        mut sender: http1::SendRequest<Outgoing>,
        question: &Question,
        body: Option<Incoming>,
        deadline: Option<Instant>,
    ) -> Result<Response<Live>, (Failure, bool)> {
        let is_read = body.is_none();
        let request = self.request(question, body);
        let until = earlier(Instant::now() + self.link.read_timeout, deadline);
        let attempt = Attempt::new(&self.counters);
        let response = match timeout_at(until, sender.try_send_request(request)).await {
            Err(_elapsed) => return Err((Failure::ReadTimeout, false)),
            Ok(Err(error)) => {
                if error.message().is_some() {
                    attempt.never_left();
                }
                let error = error.into_error();
                let is_gone = error.is_canceled() || error.is_incomplete_message();
                let failure = if error.is_parse_too_large() {
                    Failure::HeadTooLarge
                } else if error.is_parse() {
                    Failure::Invalid
                } else {
                    Failure::Lost
                };
                return Err((failure, is_gone && is_read));
            }
            Ok(Ok(response)) => {
                attempt.answered();
                response
            }
        };
        Ok(response.map(|body| {
            let mut live = Live {
                body,
                lease: Some((sender, Arc::clone(self))),
                timer: Box::pin(tokio::time::sleep_until(until)),
                is_timed: false,
                read_timeout: self.link.read_timeout,
                deadline,
            };
            live.give_back_if_done();
            live
        }))
    }

    fn request(&self, question: &Question, body: Option<Incoming>) -> Request<Outgoing> {
        let body = body.map_or_else(
            || Outgoing::Left(http_body_util::Empty::new()),
            Outgoing::Right,
        );
        let mut request = Request::new(body);
        *request.method_mut() = question.method.clone();
        // A part of a URI that was one: it is one.
        *request.uri_mut() = question.path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.clone_from(&question.headers);
        if let Ok(host) = HeaderValue::from_str(self.authority.as_str())
            && !headers.contains_key(header::HOST)
        {
            headers.insert(header::HOST, host);
        }
        request
    }

    fn give_back(self: &Arc<Self>, sender: http1::SendRequest<Outgoing>) {
        if sender.is_closed() {
            return;
        }
        let mut idle = lock(&self.idle);
        idle.push(Idle {
            sender,
            since: Instant::now(),
        });
        if idle.len() == 1 {
            let pool = Arc::downgrade(self);
            let keepalive_timeout = self.link.keepalive_timeout;
            tokio::spawn(async move {
                // Nobody may ask for a long time: an idle connection is closed when its time is over, not later.
                loop {
                    tokio::time::sleep(keepalive_timeout).await;
                    let Some(pool) = pool.upgrade() else { return };
                    let mut idle = lock(&pool.idle);
                    idle.retain(|idle| idle.since.elapsed() < keepalive_timeout);
                    if idle.is_empty() {
                        return;
                    }
                }
            });
        }
    }
}

fn earlier(one: Instant, other: Option<Instant>) -> Instant {
    other.map_or(one, |other| one.min(other))
}

/// A body that is coming from the origin. Dropping it closes the connection.
pub(super) struct Live {
    body: Incoming,
    lease: Option<(http1::SendRequest<Outgoing>, Arc<Pool>)>,
    timer: Pin<Box<Sleep>>,
    is_timed: bool,
    read_timeout: Duration,
    deadline: Option<Instant>,
}

impl Live {
    /// The next bytes; `None` at the end. An error is a body that broke off, or a silence that was too long.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.is_timed = false;
                    // Trailers are dropped (fact 41).
                    if let Ok(bytes) = frame.into_data() {
                        if let Some((_, pool)) = &self.lease {
                            let count = bytes.len() as u64;
                            pool.counters
                                .origin_bytes
                                .fetch_add(count, Ordering::Relaxed);
                        }
                        self.give_back_if_done();
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
                Poll::Ready(None) => {
                    self.give_back();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    if !self.is_timed {
                        let until = earlier(Instant::now() + self.read_timeout, self.deadline);
                        self.timer.as_mut().reset(until);
                        self.is_timed = true;
                    }
                    std::task::ready!(self.timer.as_mut().poll(cx));
                    self.lease = None;
                    return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
                }
            }
        }
    }

    /// As a future.
    pub(super) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }

    fn give_back_if_done(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some((sender, pool)) = self.lease.take() {
            pool.give_back(sender);
        }
    }
}
