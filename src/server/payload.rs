//! The body of an answer: frames that are known before the first byte is sent.
//!
//! Never copies and never reads a frame: frames of artifacts are addresses (see `store/mapping.rs`).

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf, Bytes};

/// What is left of a body. No frame in it is empty.
#[derive(Default)]
pub struct Payload {
    first: Bytes,
    rest: VecDeque<Bytes>,
    len: u64,
}

/// Never the bytes: printing a frame of an artifact would read its mapping.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Payload {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// One frame, or none when it is empty.
    #[must_use]
    pub fn one(frame: Bytes) -> Self {
        Self {
            len: frame.len() as u64,
            first: frame,
            rest: VecDeque::new(),
        }
    }

    /// Several frames.
    #[must_use]
    pub fn many(frames: impl IntoIterator<Item = Bytes>) -> Self {
        let mut rest: VecDeque<_> = frames
            .into_iter()
            .filter(|frame| !frame.is_empty())
            .collect();
        let len = rest.iter().map(|frame| frame.len() as u64).sum();
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

    /// The frames that are left, at most `max`.
    pub fn frames(&self, max: usize) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first)
            .chain(&self.rest)
            .filter(|frame| !frame.is_empty())
            .take(max)
    }

    /// Drops the first `written` bytes.
    ///
    /// # Panics
    /// When there are fewer, which would mean that the kernel took more than it was given.
    pub fn advance(&mut self, mut written: usize) {
        self.len -= written as u64;
        while written >= self.first.len() && !self.first.is_empty() {
            written -= self.first.len();
            self.first = self.rest.pop_front().unwrap_or_default();
        }
        self.first.advance(written);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_the_kernel_takes_what_is_left_is_the_rest(
            frames in proptest::collection::vec("[a-z]{0,5}", 0..6),
            steps in proptest::collection::vec(0_usize..7, 0..12),
        ) {
            let whole = frames.concat();
            let mut payload = Payload::many(frames.into_iter().map(Bytes::from));
            let mut at = 0;
            for step in steps {
                let step = step.min(whole.len() - at);
                payload.advance(step);
                at += step;
                let left: Vec<u8> = payload.frames(9).flat_map(|frame| frame.to_vec()).collect();
                prop_assert_eq!(left, &whole.as_bytes()[at..]);
                prop_assert_eq!(payload.len(), (whole.len() - at) as u64);
            }
        }
    }

    #[test]
    fn an_empty_frame_is_no_body() {
        assert_eq!(Payload::one(Bytes::new()).frames(1).count(), 0);
        assert_eq!(
            Payload::many([Bytes::new(), Bytes::new()])
                .frames(2)
                .count(),
            0
        );
    }
}
