//! The body of an answer: frames that are known before the first byte is sent.
//!
//! Never copies and never reads a frame: frames of artifacts are addresses (see `store/mapping.rs`). The exact
//! length is always known, so that hyper never falls back to chunked encoding.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of an answer.
#[derive(Debug, Default)]
pub struct Payload {
    first: Bytes,
    rest: VecDeque<Bytes>,
    len: u64,
}

impl Payload {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// One frame.
    #[must_use]
    pub fn one(frame: Bytes) -> Self {
        Self {
            len: frame.len() as u64,
            first: frame,
            rest: VecDeque::new(),
        }
    }

    /// Several frames, none of them empty.
    #[must_use]
    pub fn many(frames: VecDeque<Bytes>) -> Self {
        let len = frames.iter().map(|frame| frame.len() as u64).sum();
        Self {
            first: Bytes::new(),
            rest: frames,
            len,
        }
    }

    /// Bytes not handed over yet.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let me = self.get_mut();
        let frame = match std::mem::take(&mut me.first) {
            first if first.is_empty() => me.rest.pop_front(),
            first => Some(first),
        };
        if let Some(frame) = &frame {
            me.len -= frame.len() as u64;
        }
        Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.len == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len)
    }
}
