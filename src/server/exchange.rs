//! What a connection's two halves know together: the request that is being answered, how far the answer is, and
//! until when what must happen next.
//!
//! The socket adapter (`wire.rs`) and the handler run on one thread inside one task, so this is plain data behind a
//! `RefCell`, never borrowed across a call into hyper. Never touches a socket.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::artifact::Artifact;
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
    /// The artifact's file changed or is damaged.
    Damaged,
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
    /// The part that was asked for and granted; of several, none is named.
    pub range: Option<ByteRange>,
    /// Body bytes that the answer has.
    pub body_len: u64,
    /// Body bytes that were handed to the kernel.
    pub body_sent: u64,
    /// From the end of the request's head to the end of the answer.
    pub took: Duration,
    /// Why it ended.
    pub ending: Ending,
}

impl Record {
    /// Of an answer that has not begun.
    #[must_use]
    pub fn new(head: Option<RequestHead>, range: Option<ByteRange>) -> Self {
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
    /// Whose mapping the body's frames are slices of.
    pub artifact: Option<Arc<Artifact>>,
    started: Instant,
    head_left: Option<u64>,
    body_left: u64,
}

impl Exchange {
    /// An answer of which nothing was sent.
    #[must_use]
    pub fn new(record: Record, artifact: Option<Arc<Artifact>>, started: Instant) -> Self {
        let body_left = record.body_len;
        Self {
            record,
            artifact,
            started,
            head_left: None,
            body_left,
        }
    }

    /// Notes that the kernel took `written` bytes of a write whose first buffer has `first_len` bytes; says whether
    /// that was the last of the answer.
    pub fn advance(&mut self, first_len: usize, written: usize) -> bool {
        // hyper hands over an answer's whole head as the first buffer of its first write.
        let head_left = self.head_left.get_or_insert(first_len as u64);
        let of_head = (*head_left).min(written as u64);
        *head_left -= of_head;
        let of_body = (written as u64 - of_head).min(self.body_left);
        self.body_left -= of_body;
        self.record.body_sent += of_body;
        *head_left == 0 && self.body_left == 0
    }

    /// The finished record.
    #[must_use]
    pub fn finish(self, ending: Ending) -> Record {
        Record {
            took: self.started.elapsed(),
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

    fn exchange(body_len: u64) -> Exchange {
        let record = Record {
            status: 200,
            body_len,
            ..Record::new(None, None)
        };
        Exchange::new(record, None, Instant::now())
    }

    #[test]
    fn head_bytes_are_not_counted_as_body() {
        let mut exchange = exchange(10);
        assert!(!exchange.advance(100, 60));
        assert!(!exchange.advance(40, 45));
        assert_eq!(exchange.record.body_sent, 5);
        assert!(exchange.advance(5, 5));
        assert_eq!(exchange.record.body_sent, 10);
    }

    #[test]
    fn an_answer_without_a_body_is_complete_with_its_head() {
        assert!(!exchange(0).advance(100, 99));
        assert!(exchange(0).advance(100, 100));
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
