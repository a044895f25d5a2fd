//! The body for a viewer: from memory, from the file, along with a fill, or straight from the origin.
//!
//! Owns the order of the bytes and the counting of what went out. Never waits for another viewer, and holds no more than
//! a frame. Read next: `bodies.rs`.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::bodies::{BlobEnd, Found, Piece, Reader, lock};
use super::disk::Extent;
use super::engine::Engine;
use super::fill::{Fill, Interest};
use super::upstream::Live;

/// Read from the file at a time: the call and the frame do not count any more at this size, and a viewer that is slow
/// holds one or two of them.
const READ_BYTES: u64 = 64 << 10;
/// … when memory is short.
const READ_BYTES_MIN: u64 = 16 << 10;
/// Handed to the kernel at a time where that sends by itself. It takes no memory; but what is handed over counts as sent.
const SENT_BYTES: u64 = 256 << 10;

/// The body for a viewer. Fails when the fill that it is read along with breaks off: the viewer must see a short body.
pub struct Body {
    engine: Arc<Engine>,
    segment: Option<Segment>,
    rest: VecDeque<Segment>,
    /// Bytes still to come, when that is known.
    remaining: Option<u64>,
    is_hit: bool,
    reading: Reading,
    /// The last bytes, while the gate is closed.
    held: Option<Bytes>,
    gate: Option<Gate>,
    interests: Vec<Interest>,
    failed: Option<io::Error>,
}

/// A frame that is brought from the device.
type Reading = Option<JoinHandle<io::Result<Bytes>>>;

/// What becomes of frames.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The kernel sends them; nobody here reads them.
    Sent,
    Read,
}

enum Gate {
    Unknown(Arc<Fill>),
    Waiting(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// A part of a body.
pub(super) enum Segment {
    /// These bytes.
    Bytes(Bytes),
    /// The rest of a piece.
    Piece(Reader),
    /// From the origin's connection: after `skip` bytes.
    Live { live: Box<Live>, skip: u64 },
}

impl Segment {
    /// From here on the piece has a reader.
    pub(super) fn piece(piece: Piece) -> Self {
        Self::Piece(Reader::new(piece))
    }
}

/// The fill that a body is read along with broke off: the viewer must see a short body.
fn broken_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the fetch of the object broke off",
    )
}

impl Body {
    /// A body of these segments. `is_hit`: its bytes are in the cache already.
    pub(super) fn new(
        engine: &Arc<Engine>,
        segments: impl IntoIterator<Item = Segment>,
        remaining: Option<u64>,
        is_hit: bool,
    ) -> Self {
        let mut segments = segments.into_iter();
        Self {
            engine: Arc::clone(engine),
            segment: segments.next(),
            rest: segments.collect(),
            remaining,
            is_hit,
            reading: None,
            held: None,
            gate: None,
            interests: Vec::new(),
            failed: None,
        }
    }

    /// No bytes.
    pub(super) fn empty(engine: &Arc<Engine>) -> Self {
        Self::new(engine, [], Some(0), true)
    }

    /// Reads along with fills.
    pub(super) fn along(mut self, interests: Vec<Interest>, gate: Option<Arc<Fill>>) -> Self {
        self.interests = interests;
        self.gate = gate.map(Gate::Unknown);
        if self.remaining == Some(0) {
            self.satisfy(); // nobody polls it
        }
        self
    }

    fn satisfy(&mut self) {
        self.interests.drain(..).for_each(Interest::satisfied);
    }

    /// Pending until the cache knows that all is here.
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.gate {
                None => return Poll::Ready(()),
                Some(Gate::Unknown(fill)) if fill.is_over() => self.gate = None,
                Some(Gate::Unknown(fill)) => {
                    let fill = Arc::clone(fill);
                    self.gate = Some(Gate::Waiting(Box::pin(async move { fill.over().await })));
                }
                Some(Gate::Waiting(over)) => {
                    ready!(over.as_mut().poll(cx));
                    self.gate = None;
                }
            }
        }
    }

    /// The next bytes of the segments.
    fn poll_segments(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        loop {
            let bytes = match &mut self.segment {
                None => match self.rest.pop_front() {
                    Some(segment) => {
                        self.segment = Some(segment);
                        continue;
                    }
                    None => return Poll::Ready(None),
                },
                Some(Segment::Bytes(bytes)) => Some(std::mem::take(bytes)),
                Some(Segment::Live { live, skip }) => match ready!(live.poll_frame(cx)) {
                    Some(Ok(mut bytes)) => {
                        let skipped = bytes
                            .len()
                            .min(usize::try_from(*skip).unwrap_or(usize::MAX));
                        *skip -= skipped as u64;
                        bytes.advance(skipped);
                        if bytes.is_empty() {
                            continue;
                        }
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => None,
                },
                Some(Segment::Piece(reader)) => {
                    match ready!(poll_piece(
                        (&self.engine, Use::Sent),
                        reader,
                        &mut self.reading,
                        cx
                    )) {
                        Ok(Some(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                        Ok(None) => None,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
            };
            self.segment = None;
            if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }

    /// Fails at the next call: hyper throws away what it has not written when a body fails, and the viewer is to have all
    /// that came (fact 44).
    fn fail<T>(&mut self, error: io::Error, cx: &Context<'_>) -> Poll<T> {
        self.failed = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn count(&mut self, bytes: &mut Bytes) {
        if let Some(remaining) = &mut self.remaining {
            // A passed body may be longer than the part that is wanted of it.
            bytes.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
            *remaining -= bytes.len() as u64;
        }
    }

    fn sent(&self, bytes: &Bytes) {
        let counters = &self.engine.counters;
        let counter = if self.is_hit {
            &counters.hit_bytes
        } else {
            &counters.fill_bytes
        };
        let len = bytes.len() as u64;
        counter.fetch_add(len, Ordering::Relaxed);
        counters.viewer_bytes.fetch_add(len, Ordering::Relaxed);
        lock(&self.engine.meter).sent(len, self.engine.now());
    }
}

/// The next bytes of a piece, which is shortened by them; `None` at its end.
fn poll_piece(
    (engine, purpose): (&Engine, Use),
    reader: &mut Reader,
    reading: &mut Reading,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, io::Error>> {
    if let Some(read) = reading {
        let bytes = ready!(Pin::new(read).poll(cx)).map_err(io::Error::other)??;
        *reading = None;
        reader.advance(bytes.len());
        return Poll::Ready(Ok(Some(bytes)));
    }
    let rest = reader.rest();
    let wanted = rest.unwrap_or(u64::MAX);
    if wanted == 0 {
        return Poll::Ready(Ok(None));
    }
    match ready!(reader.poll(cx)) {
        Found::Memory(mut bytes) => {
            bytes.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
            reader.advance(bytes.len());
            Poll::Ready(Ok(Some(bytes)))
        }
        Found::File(extent, at, len) => {
            let len = len.min(wanted);
            let sent = match purpose {
                Use::Sent => extent.part(at, len.min(SENT_BYTES)),
                Use::Read => None,
            };
            let now = match sent {
                Some(part) => sent_frame(extent, part, at, reading),
                None => read_frame(engine, extent, (at, len), reading),
            };
            match now {
                Some(bytes) => {
                    reader.advance(bytes.len());
                    Poll::Ready(Ok(Some(bytes)))
                }
                None => poll_piece((engine, purpose), reader, reading, cx),
            }
        }
        Found::End(BlobEnd::Complete) if rest.is_none() => Poll::Ready(Ok(None)),
        Found::End(_) => Poll::Ready(Err(broken_off())),
    }
}

/// The next bytes of a piece, for who is no viewer.
pub(super) async fn next_of(engine: &Engine, reader: &mut Reader) -> io::Result<Option<Bytes>> {
    let mut reading = None;
    std::future::poll_fn(|cx| poll_piece((engine, Use::Read), reader, &mut reading, cx)).await
}

/// A part of a file for the kernel to send. When it is not in memory it is brought there first: `sendfile` would wait
/// for the device, and every connection of the thread with it.
fn sent_frame(extent: Arc<Extent>, part: Bytes, at: u64, reading: &mut Reading) -> Option<Bytes> {
    let len = part.len() as u64;
    if extent.is_in_memory(at, len) {
        return Some(part);
    }
    *reading = Some(tokio::task::spawn_blocking(move || {
        extent.load(at, len)?;
        Ok(part)
    }));
    None
}

/// A copy of a part of a file.
fn read_frame(
    engine: &Engine,
    extent: Arc<Extent>,
    (at, len): (u64, u64),
    reading: &mut Reading,
) -> Option<Bytes> {
    let bodies = engine.bodies();
    let most = if bodies.is_full() {
        READ_BYTES_MIN
    } else {
        READ_BYTES
    };
    let mut buffer = vec![0; usize::try_from(len.min(most)).unwrap_or(0)];
    if let Some(read) = extent.read_now(&mut buffer, at) {
        buffer.truncate(read);
        return Some(bodies.buffer(buffer));
    }
    let bodies = Arc::clone(bodies);
    *reading = Some(tokio::task::spawn_blocking(move || {
        extent.read(&mut buffer, at)?;
        Ok(bodies.buffer(buffer))
    }));
    None
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if this.held.is_none() {
            if this.remaining == Some(0) {
                return Poll::Ready(None);
            }
            match ready!(this.poll_segments(cx)) {
                Some(Ok(mut bytes)) => {
                    this.count(&mut bytes);
                    this.held = Some(bytes);
                }
                Some(Err(error)) => return this.fail(error, cx),
                None if this.remaining.is_some() => return this.fail(broken_off(), cx),
                None => {
                    ready!(this.poll_gate(cx));
                    return Poll::Ready(None);
                }
            }
        }
        if this.remaining == Some(0) {
            ready!(this.poll_gate(cx));
            this.satisfy();
        }
        let bytes = this.held.take().unwrap_or_default();
        this.sent(&bytes);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == Some(0) && self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.remaining.map_or_else(SizeHint::new, |remaining| {
            SizeHint::with_exact(remaining + held)
        })
    }
}
