//! The body of an answer: frames that are known before the first byte is sent.
//!
//! Never copies and never reads: a part of an artifact is a position until `transmit.rs` turns it into bytes.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::model::ByteRange;

/// A part of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A part of the answer's artifact.
    Stored(ByteRange),
}

impl Frame {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stored(range) => range.len,
        }
    }

    /// Drops the first `written` bytes, of which there are as many.
    fn advance(&mut self, written: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(written),
            Self::Stored(range) => {
                range.offset += written as u64;
                range.len -= written as u64;
            }
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// What is left of a body. No frame in it is empty.
#[derive(Default, Debug)]
pub struct Payload {
    first: Frame,
    rest: VecDeque<Frame>,
    len: u64,
}

impl Payload {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// One frame, or none when it is empty.
    #[must_use]
    pub fn one(frame: Frame) -> Self {
        Self {
            len: frame.len(),
            first: frame,
            rest: VecDeque::new(),
        }
    }

    /// Several frames.
    #[must_use]
    pub fn many(frames: impl IntoIterator<Item = Frame>) -> Self {
        let mut rest: VecDeque<_> = frames.into_iter().filter(|frame| frame.len() > 0).collect();
        let len = rest.iter().map(Frame::len).sum();
        Self {
            first: rest.pop_front().unwrap_or_default(),
            rest,
            len,
        }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The frames that are left.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        std::iter::once(&self.first)
            .chain(&self.rest)
            .filter(|frame| frame.len() > 0)
    }

    /// Drops the first `written` bytes.
    ///
    /// # Panics
    /// When there are fewer, which would mean that the kernel took more than it was given.
    pub fn advance(&mut self, mut written: usize) {
        self.len -= written as u64;
        while self.first.len() > 0 && written as u64 >= self.first.len() {
            // At most `written`, so that it fits.
            written -= usize::try_from(self.first.len()).unwrap_or(usize::MAX);
            self.first = self.rest.pop_front().unwrap_or_default();
        }
        self.first.advance(written);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STORED: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

    fn frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            "[A-Z]{0,5}".prop_map(|text| Frame::Bytes(text.into())),
            (0..20_u64, 0..6_u64)
                .prop_map(|(offset, len)| Frame::Stored(ByteRange::new(offset, len))),
        ]
    }

    #[expect(clippy::cast_possible_truncation, reason = "26 letters")]
    fn bytes_of(frame: &Frame) -> &[u8] {
        match frame {
            Frame::Bytes(bytes) => bytes,
            Frame::Stored(range) => &STORED[range.offset as usize..range.end() as usize],
        }
    }

    proptest! {
        #[test]
        fn whatever_the_kernel_takes_what_is_left_is_the_rest(
            frames in proptest::collection::vec(frame(), 0..6),
            steps in proptest::collection::vec(0_usize..7, 0..12),
        ) {
            let whole = frames.iter().flat_map(bytes_of).copied().collect::<Vec<u8>>();
            let mut payload = Payload::many(frames);
            let mut at = 0;
            for step in steps {
                let step = step.min(whole.len() - at);
                payload.advance(step);
                at += step;
                let left: Vec<u8> = payload.frames().flat_map(bytes_of).copied().collect();
                prop_assert_eq!(left, &whole[at..]);
                prop_assert_eq!(payload.len(), (whole.len() - at) as u64);
            }
        }
    }

    #[test]
    fn an_empty_frame_is_no_body() {
        let nothing = Frame::Stored(ByteRange::new(7, 0));
        assert_eq!(Payload::one(Frame::default()).frames().count(), 0);
        assert_eq!(Payload::one(nothing.clone()).frames().count(), 0);
        assert_eq!(
            Payload::many([Frame::default(), nothing]).frames().count(),
            0
        );
    }
}
