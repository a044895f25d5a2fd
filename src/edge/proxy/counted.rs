//! A body that counts itself: its record is written when it ends, however it ends.
//!
//! Owns the difference between an answer that was sent and one that broke off. Never changes a byte.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::log::{Record, RecordLog};
use crate::edge::policy::record::ResultType;
use crate::model::Clock;

/// What a [`Counted`] body adds to its record, and whom it gives it to.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) log: RecordLog,
    pub(super) started: Instant,
    /// No body follows the head: HEAD, 204, 304.
    pub(super) is_bodiless: bool,
}

/// A body and the record of its request.
pub(super) struct Counted<B: Body<Data = Bytes> + Unpin> {
    body: B,
    pending: Option<Pending>,
    clock: Clock,
    ended: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Counted<B> {
    pub(super) fn new(body: B, pending: Pending, clock: Clock) -> Self {
        Self {
            body,
            pending: Some(pending),
            clock,
            ended: false,
        }
    }

    /// Whether a connection that stops asking here has all of it: one need not ask for the end of a body whose length
    /// it knows.
    fn is_complete(&self) -> bool {
        let has_all = self.pending.as_ref().is_some_and(|pending| {
            pending.is_bodiless
                || pending.record.answered.content_length() == Some(pending.record.sent)
        });
        self.ended || has_all || self.body.is_end_stream()
    }

    fn finish(&mut self, broken: Option<&'static str>) {
        let Some(mut pending) = self.pending.take() else {
            return;
        };
        if let Some(why) = broken {
            pending.record.result = ResultType::Error;
            pending.record.detailed = why;
        }
        pending.record.ended = (self.clock)();
        pending.record.taken = pending.started.elapsed();
        pending.log.put(pending.record);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(pending), Some(data)) = (self.pending.as_mut(), frame.data_ref()) {
                    pending.record.sent += data.len() as u64;
                }
            }
            Some(Err(_)) => self.finish(Some("OriginCommError")),
            None => self.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Drop for Counted<B> {
    fn drop(&mut self) {
        let broken = (!self.is_complete()).then_some("ClientCommError");
        self.finish(broken);
    }
}
