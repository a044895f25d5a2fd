//! What a connection's two halves know together: the request that is being answered, how far the answer is, and
//! until when what must happen next.
//!
//! The socket adapter (`wire.rs`) and the handler run on one thread inside one task, so this is plain data behind a
//! `RefCell`, never borrowed across a call into hyper or the handler. Never touches a socket.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::artifact::Artifact;
use super::payload::Payload;
use crate::http::{Refusal, RequestHead};
use crate::model::ByteRange;

/// What the head parser made of what a client sent.
#[derive(Debug)]
pub enum Incoming {
    /// A request to answer.
    Request(RequestHead),
    /// Something that is refused before it is a request.
    Refused(Refusal),
}

/// Why an answer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Every byte was handed to the kernel.
    Complete,
    /// The client closed or reset the connection.
    ClientGone,
    /// The client took no byte for `limits.write_stall_timeout`.
    Stalled,
    /// The artifact changed or is damaged.
    Damaged,
    /// The store gave no more of it.
    StoreAway,
    /// `server.drain_grace` was over.
    Drained,
}

impl Ending {
    /// As it stands in the access log and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client-gone",
            Self::Stalled => "stalled",
            Self::Damaged => "damaged",
            Self::StoreAway => "store-away",
            Self::Drained => "drained",
        }
    }
}

/// One request and its answer, for the access log and the metrics; written when the answer ended.
#[derive(Debug)]
pub struct Record {
    /// The request; `None` when what came was refused before it was one.
    pub head: Option<RequestHead>,
    /// The answer's status.
    pub status: u16,
    /// What was granted of the object, when it was not the whole.
    pub range: Option<Granted>,
    /// Body bytes that the answer has.
    pub body_len: u64,
    /// Body bytes that were handed to the kernel.
    pub body_sent: u64,
    /// From the end of the request's head to the end of the answer.
    pub took: Duration,
    /// Why it ended.
    pub ending: Ending,
}

/// The part of an object that a request was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Granted {
    /// One range.
    One(ByteRange),
    /// So many ranges, in a multipart body.
    Several(usize),
}

/// `5-104`, first and last position as on the wire, or `3 ranges`.
impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(range) => write!(f, "{}-{}", range.offset, range.end().saturating_sub(1)),
            Self::Several(count) => write!(f, "{count} ranges"),
        }
    }
}

impl Record {
    /// Of an answer that has not begun.
    #[must_use]
    pub fn new(head: Option<RequestHead>, range: Option<Granted>) -> Self {
        let (took, ending) = (Duration::ZERO, Ending::ClientGone);
        Self {
            head,
            status: 0,
            range,
            body_len: 0,
            body_sent: 0,
            took,
            ending,
        }
    }
}

/// An answer on its way.
#[derive(Debug)]
pub struct Exchange {
    /// What will be logged.
    pub record: Record,
    /// What the body's frames are positions in.
    pub artifact: Option<Arc<Artifact>>,
    /// What is left of the body.
    pub payload: Payload,
    is_head_sent: bool,
    started: Instant,
}

impl Exchange {
    /// An answer of which nothing was sent.
    #[must_use]
    pub fn new(
        mut record: Record,
        artifact: Option<Arc<Artifact>>,
        payload: Payload,
        started: Instant,
    ) -> Self {
        record.body_len = payload.len();
        Self {
            record,
            artifact,
            payload,
            is_head_sent: false,
            started,
        }
    }

    /// Notes that the kernel took `written` bytes of the `head_len` that were left of the head and of the body behind
    /// them; says how many of the head's they were.
    pub fn advance(&mut self, head_len: usize, written: usize) -> usize {
        let of_head = written.min(head_len);
        self.is_head_sent |= of_head == head_len;
        self.payload.advance(written - of_head);
        self.record.body_sent += (written - of_head) as u64;
        of_head
    }

    /// Whether the head is out and the body is not.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.is_head_sent && self.payload.len() > 0
    }

    /// Whether nothing is left to send.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_head_sent && self.payload.len() == 0
    }

    /// The finished record.
    #[must_use]
    pub fn finish(self, ending: Ending, now: Instant) -> Record {
        Record {
            took: now.saturating_duration_since(self.started),
            ending,
            ..self.record
        }
    }
}

/// What must happen next on a connection, and until when.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    /// The first byte of a request must arrive.
    Waiting(Instant),
    /// The rest of a request's head must arrive.
    Receiving(Instant),
    /// The origin is at work: no deadline for the client.
    Answering,
    /// The client must take a byte of the answer.
    Sending(Instant),
    /// The client must close, after the answer to a request whose body was not read.
    Lingering(Instant),
}

impl Phase {
    /// Until when.
    #[must_use]
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Waiting(at) | Self::Receiving(at) | Self::Sending(at) | Self::Lingering(at) => {
                Some(at)
            }
            Self::Answering => None,
        }
    }
}

/// The state of one connection.
#[derive(Debug)]
pub struct State {
    /// Put there by the socket adapter, taken by the handler.
    pub incoming: Option<Incoming>,
    /// Put there by the handler, advanced and taken by the socket adapter.
    pub exchange: Option<Exchange>,
    /// What must happen next.
    pub phase: Phase,
    /// Bytes that may still be written before the other connections of this thread get their turn.
    pub budget: usize,
    /// Why a write failed, where the socket adapter knows better than the error.
    pub broken: Option<Ending>,
    /// Set when the head's deadline passed; the adapter then refuses what came so far.
    pub is_head_late: bool,
}

/// Shared by the two halves of one connection.
pub type Shared = Rc<RefCell<State>>;

impl State {
    /// Whether an answer's head is out and its body is not: hyper has nothing more to do for it.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_in_body)
    }

    /// A connection that was just accepted and must say something until `deadline`.
    #[must_use]
    pub fn accepted(deadline: Instant) -> Shared {
        Rc::new(RefCell::new(Self {
            incoming: None,
            exchange: None,
            phase: Phase::Waiting(deadline),
            budget: 0,
            broken: None,
            is_head_late: false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::payload::Frame;

    fn exchange(body: &'static [u8]) -> Exchange {
        let payload = Payload::one(Frame::Bytes(bytes::Bytes::from_static(body)));
        Exchange::new(Record::new(None, None), None, payload, Instant::now())
    }

    #[test]
    fn head_bytes_are_not_counted_as_body() {
        let mut exchange = exchange(b"0123456789");
        assert_eq!(exchange.advance(100, 60), 60);
        assert!(!exchange.is_in_body());
        assert_eq!(exchange.advance(40, 45), 40);
        assert!(exchange.is_in_body());
        assert_eq!(exchange.record.body_sent, 5);
        assert_eq!(exchange.advance(0, 5), 0);
        assert!(exchange.is_complete());
        assert_eq!(exchange.record.body_sent, 10);
    }

    #[test]
    fn an_answer_without_a_body_is_complete_with_its_head() {
        let mut exchange = exchange(b"");
        exchange.advance(100, 99);
        assert!(!exchange.is_complete());
        exchange.advance(1, 1);
        assert!(exchange.is_complete());
    }

    #[test]
    fn only_phases_that_wait_for_the_client_have_a_deadline() {
        let at = Instant::now();
        let waiting = [
            Phase::Waiting(at),
            Phase::Receiving(at),
            Phase::Sending(at),
            Phase::Lingering(at),
        ];
        assert!(waiting.iter().all(|phase| phase.deadline() == Some(at)));
        assert_eq!(Phase::Answering.deadline(), None);
    }
}
