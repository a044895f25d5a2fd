//! The socket adapter under hyper: request heads in, answers out.
//!
//! Owns what hyper leaves open. Inward, every head is parsed once, by `http/head.rs`; hyper is given only its
//! canonical form, so that no second parser can read it differently. Outward, it writes what `transmit.rs` lets
//! through, yields after its share, notes progress for the stall deadline, and closes only after the client had the
//! chance to read the answer. Never builds an answer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::artifact::Readers;
use super::exchange::{Ending, Incoming, Phase, Record, Shared};
use super::transmit::{Permit, Transmitter};
use crate::config::Limits;
use crate::http::{HeadLimits, HttpVersion, Inspection, Method, Refusal, RequestHead, inspect};

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
    fn is_draining(&self) -> bool {
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

/// At most so many buffers go into one write; hyper queues at most 16 and the head.
const WRITE_BUFFERS_MAX: usize = 20;

impl Wire {
    /// Takes over a socket.
    pub fn new(
        stream: TcpStream,
        shared: Shared,
        rules: Rc<Rules>,
        sink: Sink,
        readers: Readers,
    ) -> Self {
        let transmitter = Transmitter::new(readers);
        let (reading, closing) = (Reading::Heads, Closing::No);
        Self {
            stream,
            shared,
            rules,
            sink,
            transmitter,
            stash: Vec::new(),
            reading,
            closing,
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
        let canonical = canonical_head(&incoming, is_last || self.rules.is_draining());
        shared.incoming = Some(incoming);
        shared.phase = Phase::Answering;
        Some((len, canonical))
    }

    /// Ends the exchange that is under way, if any.
    fn end(&mut self, ending: Ending) {
        let exchange = self.shared.borrow_mut().exchange.take();
        if let Some(exchange) = exchange {
            (self.sink)(&exchange.finish(ending));
        }
    }

    fn note_written(&mut self, first_len: usize, written: usize) {
        let mut shared = self.shared.borrow_mut();
        shared.budget = shared.budget.saturating_sub(written);
        let is_complete = shared
            .exchange
            .as_mut()
            .is_some_and(|e| e.advance(first_len, written));
        if is_complete {
            shared.phase = Phase::Waiting(Instant::now() + self.rules.limits.idle_timeout);
            drop(shared);
            self.transmitter.reset();
            self.end(Ending::Complete);
        } else {
            // Progress: the next time the socket is full, the stall deadline starts anew.
            shared.phase = Phase::Answering;
        }
    }
}

/// What hyper reads instead of the head that was parsed here: all that it still has to know.
fn canonical_head(incoming: &Incoming, is_last: bool) -> &'static [u8] {
    let Incoming::Request(RequestHead {
        method,
        version,
        persistent,
        ..
    }) = incoming
    else {
        return b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
    };
    let is_head = matches!(method, Method::Head);
    match (is_head, version, *persistent && !is_last) {
        (false, HttpVersion::Http11, true) => b"GET / HTTP/1.1\r\n\r\n",
        (false, HttpVersion::Http11, false) => b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        (false, HttpVersion::Http10, true) => b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        (false, HttpVersion::Http10, false) => b"GET / HTTP/1.0\r\n\r\n",
        (true, HttpVersion::Http11, true) => b"HEAD / HTTP/1.1\r\n\r\n",
        (true, HttpVersion::Http11, false) => b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n",
        (true, HttpVersion::Http10, true) => b"HEAD / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        (true, HttpVersion::Http10, false) => b"HEAD / HTTP/1.0\r\n\r\n",
    }
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
                me.stash.drain(..len);
                if me.stash.is_empty() {
                    me.stash = Vec::new();
                }
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
                        me.stash.drain(..len);
                        into.put_slice(canonical);
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        })
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buffer)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let (budget, artifact) = {
            let shared = me.shared.borrow();
            (
                shared.budget,
                shared.exchange.as_ref().and_then(|e| e.artifact.clone()),
            )
        };
        if budget == 0 {
            cx.waker().wake_by_ref(); // the other connections of this thread first
            return Poll::Pending;
        }
        let mut parts = [IoSlice::new(&[]); WRITE_BUFFERS_MAX];
        let permit = match ready!(me.transmitter.poll_select(
            cx,
            artifact.as_ref(),
            buffers,
            budget,
            &mut parts
        )) {
            Ok(permit) => permit,
            Err(damage) => {
                me.shared.borrow_mut().broken = Some(Ending::Damaged);
                return Poll::Ready(Err(io::Error::other(damage)));
            }
        };
        let Permit {
            parts: count,
            has_mapped,
        } = permit;
        let Poll::Ready(outcome) =
            Pin::new(&mut me.stream).poll_write_vectored(cx, &parts[..count])
        else {
            let mut shared = me.shared.borrow_mut();
            if !matches!(shared.phase, Phase::Sending(_)) {
                shared.phase = Phase::Sending(Instant::now() + me.rules.limits.write_stall_timeout);
            }
            return Poll::Pending;
        };
        // A byte beyond the end of a file that was cut is EFAULT here, where the program itself would get SIGBUS.
        let is_damaged = has_mapped && artifact.is_some_and(|artifact| !artifact.is_unchanged());
        match outcome {
            Ok(written) if !is_damaged => {
                me.note_written(buffers.first().map_or(0, |first| first.len()), written);
                Poll::Ready(Ok(written))
            }
            Ok(_) => {
                me.shared.borrow_mut().broken = Some(Ending::Damaged);
                Poll::Ready(Err(io::Error::other(
                    "the file changed while it was being sent",
                )))
            }
            Err(error) => {
                if is_damaged
                    || error.raw_os_error() == Some(rustix::io::Errno::FAULT.raw_os_error())
                {
                    me.shared.borrow_mut().broken = Some(Ending::Damaged);
                }
                Poll::Ready(Err(error))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true // else hyper would copy frames to the heap, touching mapped bytes
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
        self.end(ending);
    }
}
