//! Somebody who reads a piece of a blob.
//!
//! Owns where a reader is, for the one who writes: bytes that cannot be kept are there only until all present readers
//! have them. Never reads a file. Read next: `filling.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use super::{Blob, BlobEnd, Found, Piece, lock};

/// Somebody who reads a piece. It is there as long as this lives.
pub(in crate::edge::proxy) struct Reader {
    piece: Piece,
    /// Not known to the blob when that is complete already.
    place: Option<Arc<AtomicU64>>,
}

impl Reader {
    pub(in crate::edge::proxy) fn new(piece: Piece) -> Self {
        let place = {
            let mut state = lock(&piece.blob.state);
            (state.end != Some(BlobEnd::Complete)).then(|| {
                let place = Arc::new(AtomicU64::new(piece.span.start - piece.blob.start));
                if state.readers.len() == state.readers.capacity() {
                    // Before it grows: those that are gone.
                    state.readers.retain(|reader| Arc::strong_count(reader) > 1);
                }
                state.readers.push(Arc::clone(&place));
                state.was_read = true;
                place
            })
        };
        Self { piece, place }
    }

    /// How many bytes are still to come; `None` while the end is not known.
    pub(in crate::edge::proxy) fn rest(&self) -> Option<u64> {
        let span = &self.piece.span;
        (span.end != u64::MAX).then(|| span.end.saturating_sub(span.start))
    }

    /// What comes next.
    pub(in crate::edge::proxy) fn poll(&self, cx: &mut Context<'_>) -> Poll<Found> {
        let at = self.piece.span.start - self.piece.blob.start;
        if let Some(place) = &self.place {
            place.store(at, Ordering::Release);
        }
        self.piece.blob.poll_read(at, cx)
    }

    /// So many bytes were got.
    pub(in crate::edge::proxy) fn advance(&mut self, count: usize) {
        self.piece.span.start += count as u64;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            drop(place);
            let writer = lock(&self.piece.blob.state).writer.take();
            writer.into_iter().for_each(Waker::wake);
        }
    }
}

impl Blob {
    /// Of a blob that cannot be kept: pending while `bound` bytes are in memory that a present reader does not have yet.
    /// Nobody who reads yet is somebody who is about to.
    pub(super) fn poll_room(&self, bound: u64, cx: &Context<'_>) -> Poll<()> {
        let mut gone = Vec::new();
        let mut state = lock(&self.state);
        if state.in_memory() < bound {
            return Poll::Ready(());
        }
        state.readers.retain(|reader| Arc::strong_count(reader) > 1);
        let places = state.readers.iter();
        let slowest = places.map(|place| place.load(Ordering::Acquire)).min();
        let slowest = slowest.unwrap_or(if state.was_read { state.len } else { 0 });
        if slowest >= state.written {
            gone = std::mem::take(&mut state.extents); // their room is for others
        }
        let mut forgotten = 0;
        while let Some((at, frame)) = state.frames.front() {
            let len = frame.len() as u64;
            if at + len > slowest {
                break;
            }
            forgotten += len;
            state.frames.pop_front();
        }
        self.uncount(&mut state, forgotten);
        let has_room = state.in_memory() < bound;
        if !has_room {
            state.writer = Some(cx.waker().clone());
        }
        drop(state);
        drop(gone);
        if has_room {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
