//! The socket adapter under hyper: request heads in, answers out.
//!
//! Owns what hyper leaves open. Inward, every head is parsed once, by `http/head.rs`; hyper is given only its
//! canonical form, so that no second parser can read it differently. Outward, hyper encodes heads and nothing else:
//! each request is a HEAD to it, and the body goes from here to the socket behind the head, as far as `transmit.rs`
//! lets it. So no body byte is ever copied or touched by the program, and a connection that waits for a slow client
//! needs no hyper at all (`connection.rs`). Never builds an answer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::damage::Damage;
use super::exchange::{Ending, Exchange, Incoming, Phase, Record, Shared};
use super::readers::Readers;
use super::transmit::{FRAMES_MAX, Permit, Transmitter};
use crate::config::Limits;
use crate::http::{HeadLimits, HttpVersion, Inspection, Refusal, inspect};
use crate::telemetry::chain;

/// What all connections of one listener have in common.
#[derive(Debug)]
pub struct Rules {
    /// Time-outs.
    pub limits: Limits,
    /// The same for the head parser.
    pub head: HeadLimits,
    /// The header whose value the head parser keeps as the presented secret.
    pub secret_header: Option<String>,
    /// Set when the server was told to end: every answer from now on is the last of its connection.
    pub draining: Arc<AtomicBool>,
}

impl Rules {
    /// Whether the server was told to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Where finished records go.
pub type Sink = Rc<dyn Fn(&Record)>;

/// One accepted connection as hyper sees it.
pub struct Wire {
    stream: TcpStream,
    shared: Shared,
    rules: Rc<Rules>,
    sink: Sink,
    transmitter: Transmitter,
    /// Bytes received beyond the last head that was handed on; empty and without memory between plain requests.
    stash: Vec<u8>,
    reading: Reading,
    closing: Closing,
    /// The kernel took nothing the last time: nothing is prepared before it has room again.
    is_full: bool,
    /// Whether the connection goes on after the answer that is under way.
    is_persistent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    /// Heads are parsed and handed on.
    Heads,
    /// The last head was handed on: what follows is a body, or comes after a refusal. Never parsed.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Closing {
    No,
    /// Our side is shut; the client's last bytes are read and dropped.
    Lingering,
}

/// One buffer a thread: a connection that is idle or sending owns none.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// Answers up to this size, head included, are written from one buffer.
const SMALL_ANSWER_BYTES_MAX: usize = 16 * 1024;

/// At most so many buffers go into one write: the head, and frames of the body.
const WRITE_BUFFERS_MAX: usize = 1 + FRAMES_MAX;

impl Wire {
    /// Takes over a socket.
    pub fn new(
        stream: TcpStream,
        shared: Shared,
        rules: Rc<Rules>,
        sink: Sink,
        readers: Readers,
    ) -> Self {
        Self {
            stream,
            shared,
            rules,
            sink,
            transmitter: Transmitter::new(readers),
            stash: Vec::new(),
            reading: Reading::Heads,
            closing: Closing::No,
            is_full: false,
            is_persistent: true,
        }
    }

    /// Hands the first head of `bytes` on, if it is complete: its length, and what hyper reads instead of it.
    fn take_head(&mut self, bytes: &[u8]) -> Option<(usize, &'static [u8])> {
        let mut shared = self.shared.borrow_mut();
        let inspection = inspect(bytes, &self.rules.head, self.rules.secret_header.as_deref());
        let (len, incoming, is_last) = match inspection {
            Inspection::Incomplete if shared.is_head_late => {
                (bytes.len(), Incoming::Refused(Refusal::TimedOut), true)
            }
            Inspection::Incomplete => {
                if !matches!(shared.phase, Phase::Receiving(_)) {
                    let deadline = Instant::now() + self.rules.limits.head_read_timeout;
                    shared.phase = Phase::Receiving(deadline);
                }
                return None;
            }
            Inspection::Complete { head_len, head } => {
                // What follows a body could be anything, so that a request with one is the last of its connection.
                let is_last = head.has_body;
                (head_len, Incoming::Request(head), is_last)
            }
            Inspection::Refused(refusal) => (bytes.len(), Incoming::Refused(refusal), true),
        };
        if is_last {
            self.reading = Reading::Over;
        }
        let (canonical, is_persistent) =
            canonical_head(&incoming, is_last || self.rules.is_draining());
        self.is_persistent = is_persistent;
        shared.incoming = Some(incoming);
        shared.phase = Phase::Answering;
        Some((len, canonical))
    }

    /// Drops a head that was handed on; an empty stash gives its memory back.
    fn drop_from_stash(&mut self, len: usize) {
        self.stash.drain(..len);
        if self.stash.is_empty() {
            self.stash = Vec::new();
        }
    }

    /// Ends the exchange that is under way, if any.
    fn end(&mut self, ending: Ending, now: Instant) {
        let exchange = self.shared.borrow_mut().exchange.take();
        if let Some(exchange) = exchange {
            if let (Ending::Damaged, Some(artifact)) = (ending, &exchange.artifact) {
                let key = artifact.key();
                tracing::error!(%key, sent = exchange.record.body_sent, "broke off a download of a damaged artifact");
            }
            (self.sink)(&exchange.finish(ending, now));
        }
    }

    /// Whether the connection goes on after the answer that is under way.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.is_persistent && !self.rules.is_draining()
    }

    /// Sends what may be sent now of `head` and the body behind it; ready with how much of `head` that was.
    fn poll_send(&mut self, cx: &mut Context<'_>, head: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_full {
            ready!(self.stream.poll_write_ready(cx))?;
            self.is_full = false;
        }
        let state = self.shared.borrow();
        if state.budget == 0 {
            cx.waker().wake_by_ref(); // the other connections of this thread first
            return Poll::Pending;
        }
        let exchange = state.exchange.as_ref();
        let artifact = exchange.and_then(|exchange| exchange.artifact.as_ref());
        let permit = match poll_permit(&mut self.transmitter, cx, exchange, head, state.budget) {
            Poll::Ready(Ok(permit)) => permit,
            Poll::Ready(Err(damage)) => {
                drop(state);
                return Poll::Ready(Err(self.break_off(damage)));
            }
            Poll::Pending => {
                drop(state);
                // The client waits for us: its deadline starts anew when the socket is full again.
                self.shared.borrow_mut().phase = Phase::Answering;
                return Poll::Pending;
            }
        };
        let mut parts = [IoSlice::new(&[]); WRITE_BUFFERS_MAX];
        parts[0] = IoSlice::new(head);
        let frames = exchange.map_or(0, |exchange| {
            let payload = &exchange.payload;
            self.transmitter
                .parts(artifact, payload, &permit, &mut parts[1..])
        });
        let parts = &parts[usize::from(head.is_empty())..=frames];
        let stream = Pin::new(&mut self.stream);
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let outcome = if artifact.is_none() && len <= SMALL_ANSWER_BYTES_MAX {
            poll_write_joined(stream, cx, parts)
        } else {
            stream.poll_write_vectored(cx, parts)
        };
        // A byte beyond the end of a file that was cut is EFAULT for the kernel, where the program itself would get
        // SIGBUS; up to the end of the file's last page it is a zero.
        let is_damaged = outcome.is_ready()
            && permit.has_stored
            && artifact.is_some_and(|artifact| !artifact.is_unchanged());
        drop(state);
        self.note(outcome, is_damaged, head.len())
    }

    /// Why the connection ends: what was promised cannot be sent.
    fn break_off(&mut self, damage: Damage) -> io::Error {
        let mut state = self.shared.borrow_mut();
        let exchange = state.exchange.as_ref();
        if !damage.is_trouble() {
            state.broken = Some(Ending::Damaged);
        } else if let Some(artifact) = exchange.and_then(|exchange| exchange.artifact.as_ref()) {
            let (key, error) = (artifact.key(), chain(&damage));
            tracing::warn!(error, %key, "broke off a download: the store gives no more of `{key}`");
            state.broken = Some(Ending::StoreAway);
        }
        io::Error::other(damage)
    }

    /// Puts what became of a write into the state of the connection.
    fn note(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        is_damaged: bool,
        head_len: usize,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.shared.borrow_mut();
        match outcome {
            Poll::Pending => {
                self.is_full = true;
                self.transmitter.let_go();
                if !matches!(state.phase, Phase::Sending(_)) {
                    let deadline = Instant::now() + self.rules.limits.write_stall_timeout;
                    state.phase = Phase::Sending(deadline);
                }
                Poll::Pending
            }
            Poll::Ready(Ok(written)) if !is_damaged => {
                state.budget = state.budget.saturating_sub(written);
                // Progress: the next time the socket is full, the stall deadline starts anew.
                state.phase = Phase::Answering;
                let Some(exchange) = state.exchange.as_mut() else {
                    return Poll::Ready(Ok(written));
                };
                let of_head = exchange.advance(head_len, written);
                if exchange.is_complete() {
                    let now = Instant::now();
                    state.phase = Phase::Waiting(now + self.rules.limits.idle_timeout);
                    drop(state);
                    self.transmitter.reset();
                    self.end(Ending::Complete, now);
                }
                Poll::Ready(Ok(of_head))
            }
            Poll::Ready(Ok(_)) => {
                state.broken = Some(Ending::Damaged);
                Poll::Ready(Err(io::Error::other(
                    "the file changed while it was being sent",
                )))
            }
            Poll::Ready(Err(error)) => {
                if is_damaged || error.raw_os_error() == Some(Errno::FAULT.raw_os_error()) {
                    state.broken = Some(Ending::Damaged);
                }
                Poll::Ready(Err(error))
            }
        }
    }
}

/// What may be written behind `head`. Pending only when there is no head either: it goes out while a body is prepared.
fn poll_permit(
    transmitter: &mut Transmitter,
    cx: &mut Context<'_>,
    exchange: Option<&Exchange>,
    head: &[u8],
    budget: usize,
) -> Poll<Result<Permit, Damage>> {
    let budget = budget.saturating_sub(head.len());
    let Some(exchange) = exchange else {
        return Poll::Ready(Ok(Permit::none()));
    };
    let artifact = exchange.artifact.as_ref();
    let permit = transmitter.poll_permit(cx, artifact, &exchange.payload, budget);
    match permit {
        Poll::Pending if !head.is_empty() => Poll::Ready(Ok(Permit::none())),
        permit => permit,
    }
}

/// Writes a small answer from one buffer: copying a few kilobytes costs less than having the kernel walk a vector.
fn poll_write_joined(
    stream: Pin<&mut TcpStream>,
    cx: &mut Context<'_>,
    buffers: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut at = 0;
        for buffer in buffers {
            scratch[at..at + buffer.len()].copy_from_slice(buffer);
            at += buffer.len();
        }
        stream.poll_write(cx, &scratch[..at])
    })
}

/// What hyper reads instead of the head that was parsed here, and whether the connection goes on afterwards. To hyper
/// every request is a HEAD, so that it sends the head of the answer, with its Content-Length, and never a body.
fn canonical_head(incoming: &Incoming, is_last: bool) -> (&'static [u8], bool) {
    let (version, is_persistent) = match incoming {
        Incoming::Request(head) => (head.version, head.persistent && !is_last),
        Incoming::Refused(_) => (HttpVersion::Http11, false),
    };
    let head: &[u8] = match (version, is_persistent) {
        (HttpVersion::Http11, true) => b"HEAD / HTTP/1.1\r\n\r\n",
        (HttpVersion::Http11, false) => b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n",
        (HttpVersion::Http10, true) => b"HEAD / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        (HttpVersion::Http10, false) => b"HEAD / HTTP/1.0\r\n\r\n",
    };
    (head, is_persistent)
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if me.reading == Reading::Over {
            return Poll::Pending; // hyper closes after the answer that is under way
        }
        if !me.stash.is_empty() {
            let stash = std::mem::take(&mut me.stash);
            let head = me.take_head(&stash);
            me.stash = stash;
            if let Some((len, canonical)) = head {
                me.drop_from_stash(len);
                into.put_slice(canonical);
                return Poll::Ready(Ok(()));
            }
        }
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut me.stream).poll_read(cx, &mut buffer))?;
                let received = buffer.filled();
                if received.is_empty() {
                    return Poll::Ready(Ok(())); // end of input; a head that is not whole gets no answer
                }
                if me.stash.is_empty() {
                    if let Some((len, canonical)) = me.take_head(received) {
                        me.stash.extend_from_slice(&received[len..]);
                        into.put_slice(canonical);
                        return Poll::Ready(Ok(()));
                    }
                    me.stash.extend_from_slice(received);
                } else {
                    let mut stash = std::mem::take(&mut me.stash);
                    stash.extend_from_slice(received);
                    let head = me.take_head(&stash);
                    me.stash = stash;
                    if let Some((len, canonical)) = head {
                        me.drop_from_stash(len);
                        into.put_slice(canonical);
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        })
    }
}

impl Write for Wire {
    /// hyper writes the head of an answer; the start of the body goes with it.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        head: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, head)
    }

    /// Sends the rest of the body.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        while me.shared.borrow().is_in_body() {
            ready!(me.poll_send(cx, &[]))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Shuts our side, then reads on: closing a socket with unread input resets it, and a reset can take the answer
    /// back before the client has read it (RFC 9112 §9.6).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if me.closing == Closing::No {
            ready!(Pin::new(&mut me.stream).poll_shutdown(cx))?;
            me.closing = Closing::Lingering;
            let linger = match me.reading {
                Reading::Over => LINGER_FOR_SENDER,
                Reading::Heads => LINGER_FOR_READER,
            };
            me.shared.borrow_mut().phase = Phase::Lingering(Instant::now() + linger);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut me.stream).poll_read(cx, &mut buffer))?;
                if buffer.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
        })
    }
}

/// How long a client may go on sending a body, or what was refused, after the answer: long enough for one that uploads
/// a few megabytes to notice, short enough that a hundred of them cost nothing.
const LINGER_FOR_SENDER: Duration = Duration::from_secs(5);

/// How long a client that was only reading has to close its side: the answer and our end are under way to it, and only
/// a request that crosses them on the way could still arrive. A drain waits this long at most.
const LINGER_FOR_READER: Duration = Duration::from_secs(1);

/// The connection is gone, whatever the reason: what was under way ends here.
impl Drop for Wire {
    fn drop(&mut self) {
        let ending = self
            .shared
            .borrow_mut()
            .broken
            .take()
            .unwrap_or(Ending::ClientGone);
        if self.shared.borrow().exchange.is_some() {
            // The answer is incomplete: a reset tells the client so at once, and frees what the kernel still holds.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        self.end(ending, Instant::now());
    }
}
