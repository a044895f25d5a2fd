//! One connection from accept to close: hyper, the deadlines, the drain.
//!
//! Owns when a connection ends. hyper's own timer is not used: it also runs on idle connections, and none of its
//! timers sees a client that stopped reading. Never looks into a request.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::rt::Write as _;
use hyper::server::conn::http1;
use hyper::service::Service;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::artifact::Artifact;
use super::exchange::{Ending, Exchange, Incoming, Phase, Record, Shared, State};
use super::payload::Payload;
use super::readers::Readers;
use super::transmit::WINDOW_BYTES;
use super::wire::{Rules, Wire};

/// Answers requests: one for the data listener, one for the admin listener.
pub trait Handler: 'static {
    /// Answers at once from what is in memory, or starts to.
    fn answer(self: Rc<Self>, incoming: Incoming, now: Instant) -> Answering;

    /// Told of every answer that ended.
    fn observe(&self, record: &Record);

    /// Told when a connection ended before its request had an answer.
    fn abandon(&self);
}

/// An answer, now or later.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the hot path; a box would be an allocation"
)]
pub enum Answering {
    /// From memory.
    Now(Answer),
    /// After a look at the store.
    Later(Pin<Box<dyn Future<Output = Answer>>>),
}

/// A decided answer.
#[derive(Debug)]
pub struct Answer {
    /// The head.
    pub response: Response<Empty<Bytes>>,
    /// The body.
    pub payload: Payload,
    /// What the frames are positions in.
    pub artifact: Option<Arc<Artifact>>,
    /// For the log; status, length and time are filled in here.
    pub record: Record,
}

/// What the connections of one listener on one thread share.
#[derive(Debug)]
pub struct Site<H> {
    /// Who answers.
    pub handler: Rc<H>,
    /// Limits, and what the head parser keeps.
    pub rules: Rc<Rules>,
    /// Who reads from disks.
    pub readers: Readers,
    /// Cancelled when the server stops accepting: finish what is under way.
    pub stop: CancellationToken,
    /// Cancelled when the grace is over: end.
    pub kill: CancellationToken,
}

/// hyper never holds more than one canonical head; this is the least it takes.
const HYPER_BUFFER_BYTES: usize = 8192;

/// No deadline: far enough not to be looked at, near enough for the timer wheel.
const NO_DEADLINE: std::time::Duration = std::time::Duration::from_secs(3600);

/// Who has the socket.
enum Stage<H: Handler> {
    /// hyper: between requests, while one is answered, and while a body goes out without waiting.
    Exchanging(Box<http1::Connection<Wire, Bridge<H>>>),
    /// Nobody but the adapter: a body waits for its client, perhaps for hours. hyper, with its buffers three quarters
    /// of what a connection takes, is taken apart meanwhile; it is at the end of a message and has nothing to lose.
    Sending(Wire),
    /// The adapter: the last answer is out.
    Closing(Wire),
    /// Nobody: the connection is over.
    Ended,
}

/// One connection.
struct Conversation<H: Handler> {
    stage: Stage<H>,
    bridge: Bridge<H>,
}

impl<H: Handler> Conversation<H> {
    fn new(wire: Wire, bridge: Bridge<H>) -> Self {
        Self {
            stage: Stage::Exchanging(exchanging(wire, &bridge)),
            bridge,
        }
    }

    /// Goes on as far as it goes without waiting; ready when the connection is over. Errors are the client's, and the
    /// record of the answer says how it ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Exchanging(mut connection) => {
                    if Pin::new(&mut *connection).poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    if !self.bridge.shared.borrow().is_in_body() {
                        self.stage = Stage::Exchanging(connection);
                        return Poll::Pending;
                    }
                    // The socket's readiness is already waited for, by this same task.
                    self.stage = Stage::Sending(connection.into_parts().io);
                    return Poll::Pending;
                }
                Stage::Sending(mut wire) => match Pin::new(&mut wire).poll_flush(cx) {
                    Poll::Pending => {
                        self.stage = Stage::Sending(wire);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(())) if wire.is_persistent() => {
                        Stage::Exchanging(exchanging(wire, &self.bridge))
                    }
                    Poll::Ready(Ok(())) => Stage::Closing(wire),
                },
                Stage::Closing(mut wire) => {
                    let closed = Pin::new(&mut wire).poll_shutdown(cx);
                    self.stage = Stage::Closing(wire);
                    return closed.map(|_end| ());
                }
                Stage::Ended => return Poll::Ready(()),
            }
        }
    }

    /// The answer that is under way is the last.
    fn finish_soon(&mut self) {
        // hyper would close at once where only part of a head came; `take_head` says `close` when the rest is there.
        let is_receiving = matches!(self.bridge.shared.borrow().phase, Phase::Receiving(_));
        if let (Stage::Exchanging(connection), false) = (&mut self.stage, is_receiving) {
            Pin::new(&mut **connection).graceful_shutdown();
        }
    }
}

fn exchanging<H: Handler>(
    wire: Wire,
    bridge: &Bridge<H>,
) -> Box<http1::Connection<Wire, Bridge<H>>> {
    let connection = http1::Builder::new()
        .half_close(true) // RFC 9112 §9.6: a client may shut its side after its request
        .max_buf_size(HYPER_BUFFER_BYTES)
        .serve_connection(wire, bridge.clone());
    Box::new(connection)
}

/// Serves one connection until it ends.
pub async fn serve<H: Handler>(stream: TcpStream, site: Rc<Site<H>>) {
    // A new connection that says nothing is held to the deadline of a head: it has no reason to wait.
    let deadline = Instant::now() + site.rules.limits.head_read_timeout;
    let shared = State::accepted(deadline);
    let mut conversation = {
        let handler = Rc::clone(&site.handler);
        let sink = Rc::new({
            let handler = Rc::clone(&handler);
            move |record: &Record| handler.observe(record)
        });
        let rules = Rc::clone(&site.rules);
        let wire = Wire::new(
            stream,
            Rc::clone(&shared),
            rules,
            sink,
            site.readers.clone(),
        );
        Conversation::new(
            wire,
            Bridge {
                handler,
                shared: Rc::clone(&shared),
            },
        )
    };
    let timer = pin!(sleep_until(deadline));
    let mut alarm = Alarm {
        timer,
        is_set: false,
    };
    let mut signal = pin!(site.stop.cancelled());
    let (mut is_signal_set, mut is_stopping) = (false, false);
    poll_fn(|cx| {
        loop {
            shared.borrow_mut().budget = WINDOW_BYTES;
            if conversation.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // After the poll, so that a request which has arrived is answered and not cut off. Once registered, the
            // signal wakes the task; asking it again takes a lock and is left out until a drain has begun.
            if !is_signal_set || site.rules.is_draining() {
                is_signal_set = true;
                if !is_stopping && signal.as_mut().poll(cx).is_ready() {
                    is_stopping = true;
                    if matches!(shared.borrow().phase, Phase::Waiting(_)) {
                        return Poll::Ready(()); // idle, or never used
                    }
                    conversation.finish_soon();
                    signal.set(site.kill.cancelled());
                }
                if is_stopping && signal.as_mut().poll(cx).is_ready() {
                    shared.borrow_mut().broken = Some(Ending::Drained);
                    return Poll::Ready(());
                }
            }
            let deadline = shared.borrow().phase.deadline();
            ready!(alarm.poll(cx, deadline));
            let mut state = shared.borrow_mut();
            match state.phase {
                // Part of a head came: it gets an answer. hyper asks for more input and finds a refusal.
                Phase::Receiving(_) if !state.is_head_late => state.is_head_late = true,
                Phase::Sending(_) => {
                    state.broken = Some(Ending::Stalled);
                    return Poll::Ready(());
                }
                _ => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// The one timer of a connection. It is moved only when it would ring too late, or has rung too early, so that a
/// request in time costs no timer operation.
struct Alarm<'a> {
    timer: Pin<&'a mut Sleep>,
    /// Whether the timer will wake the task.
    is_set: bool,
}

impl Alarm<'_> {
    /// Ready when `deadline` has passed.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        loop {
            if let Some(deadline) = deadline
                && deadline < self.timer.deadline()
            {
                self.timer.as_mut().reset(deadline);
                self.is_set = false;
            }
            if self.is_set && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            self.is_set = true;
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(());
            }
            self.timer
                .as_mut()
                .reset(deadline.unwrap_or(now + NO_DEADLINE));
            self.is_set = false;
        }
    }
}

/// Between hyper, which sees canonical heads, and the handler, which sees the real ones.
struct Bridge<H> {
    handler: Rc<H>,
    shared: Shared,
}

impl<H> Clone for Bridge<H> {
    fn clone(&self) -> Self {
        Self {
            handler: Rc::clone(&self.handler),
            shared: Rc::clone(&self.shared),
        }
    }
}

impl<H: Handler> Service<Request<hyper::body::Incoming>> for Bridge<H> {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Pending<H>;

    fn call(&self, _canonical: Request<hyper::body::Incoming>) -> Pending<H> {
        let started = Instant::now();
        let incoming = self.shared.borrow_mut().incoming.take();
        // Nothing is there only if hyper made a request of its own, which it never does.
        let incoming = incoming.unwrap_or(Incoming::Refused(crate::http::Refusal::BadRequest(
            "no head",
        )));
        let answering = Some(Rc::clone(&self.handler).answer(incoming, started));
        Pending {
            answering,
            started,
            shared: Rc::clone(&self.shared),
            handler: Rc::clone(&self.handler),
        }
    }
}

/// An answer that hyper waits for.
struct Pending<H: Handler> {
    answering: Option<Answering>,
    started: Instant,
    shared: Shared,
    handler: Rc<H>,
}

impl<H: Handler> Drop for Pending<H> {
    fn drop(&mut self) {
        if self.answering.is_some() {
            self.handler.abandon();
        }
    }
}

impl<H: Handler> Future for Pending<H> {
    type Output = Result<Response<Empty<Bytes>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.get_mut();
        let answer = match me.answering.take() {
            Some(Answering::Now(answer)) => answer,
            Some(Answering::Later(mut future)) => match future.as_mut().poll(cx) {
                Poll::Ready(answer) => answer,
                Poll::Pending => {
                    me.answering = Some(Answering::Later(future));
                    return Poll::Pending;
                }
            },
            None => return Poll::Pending, // polled after it was ready
        };
        let Answer {
            response,
            payload,
            artifact,
            mut record,
        } = answer;
        record.status = response.status().as_u16();
        me.shared.borrow_mut().exchange =
            Some(Exchange::new(record, artifact, payload, me.started));
        Poll::Ready(Ok(response))
    }
}
