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

use http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::Service;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::artifact::{Artifact, Readers};
use super::exchange::{Ending, Exchange, Incoming, Phase, Record, Shared, State};
use super::payload::Payload;
use super::transmit::WINDOW_BYTES;
use super::wire::{Rules, Wire};

/// Answers requests: one for the data listener, one for the admin listener.
pub trait Handler: 'static {
    /// Answers at once from what is in memory, or starts to.
    fn answer(self: Rc<Self>, incoming: Incoming) -> Answering;

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
    /// Head and frames.
    pub response: Response<Payload>,
    /// Whose mapping the frames are slices of.
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

/// Serves one connection until it ends.
pub async fn serve<H: Handler>(stream: TcpStream, site: Rc<Site<H>>) {
    // A new connection that says nothing is held to the deadline of a head: it has no reason to wait.
    let shared = State::accepted(Instant::now() + site.rules.limits.head_read_timeout);
    let sink = {
        let handler = Rc::clone(&site.handler);
        Rc::new(move |record: &Record| handler.observe(record))
    };
    let wire = Wire::new(
        stream,
        Rc::clone(&shared),
        Rc::clone(&site.rules),
        sink,
        site.readers.clone(),
    );
    let bridge = Bridge {
        handler: Rc::clone(&site.handler),
        shared: Rc::clone(&shared),
    };
    let connection = http1::Builder::new()
        .half_close(true) // RFC 9112 §9.6: a client may shut its side after its request
        .writev(true)
        .max_buf_size(HYPER_BUFFER_BYTES)
        .serve_connection(wire, bridge);
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(
        Instant::now() + site.rules.limits.head_read_timeout
    ));
    let mut stopped = pin!(site.stop.cancelled());
    let mut killed = pin!(site.kill.cancelled());
    let mut is_stopping = false;
    poll_fn(|cx| {
        loop {
            shared.borrow_mut().budget = WINDOW_BYTES;
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(()); // errors are the client's; the record says how the answer ended
            }
            // After the poll, so that a request which has arrived is answered and not cut off.
            if !is_stopping && stopped.as_mut().poll(cx).is_ready() {
                is_stopping = true;
                if matches!(shared.borrow().phase, Phase::Waiting(_)) {
                    return Poll::Ready(()); // idle, or never used
                }
                connection.as_mut().graceful_shutdown();
            }
            if is_stopping && killed.as_mut().poll(cx).is_ready() {
                shared.borrow_mut().broken = Some(Ending::Drained);
                return Poll::Ready(());
            }
            ready!(poll_deadline(timer.as_mut(), cx, &shared));
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

/// Ready when the phase's deadline has passed. The timer is moved only when it fires too early or would fire too
/// late, so that a request in time costs no timer operation.
fn poll_deadline(mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>, shared: &Shared) -> Poll<()> {
    let deadline = shared.borrow().phase.deadline();
    loop {
        let due = deadline.unwrap_or_else(|| timer.deadline());
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        let now = Instant::now();
        match deadline {
            Some(deadline) if deadline <= now => return Poll::Ready(()),
            Some(deadline) => timer.as_mut().reset(deadline),
            None => timer.as_mut().reset(now + NO_DEADLINE),
        }
    }
}

/// Between hyper, which sees canonical heads, and the handler, which sees the real ones.
struct Bridge<H> {
    handler: Rc<H>,
    shared: Shared,
}

impl<H: Handler> Service<Request<hyper::body::Incoming>> for Bridge<H> {
    type Response = Response<Payload>;
    type Error = Infallible;
    type Future = Pending<H>;

    fn call(&self, _canonical: Request<hyper::body::Incoming>) -> Pending<H> {
        let started = Instant::now();
        let incoming = self.shared.borrow_mut().incoming.take();
        // Nothing is there only if hyper made a request of its own, which it never does.
        let incoming = incoming.unwrap_or(Incoming::Refused(crate::http::Refusal::BadRequest(
            "no head",
        )));
        let answering = Some(Rc::clone(&self.handler).answer(incoming));
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
    type Output = Result<Response<Payload>, Infallible>;

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
            artifact,
            mut record,
        } = answer;
        record.status = response.status().as_u16();
        record.body_len = response.body().len();
        me.shared.borrow_mut().exchange = Some(Exchange::new(record, artifact, me.started));
        Poll::Ready(Ok(response))
    }
}
