//! From an artifact's file to the socket: which bytes of a write may go now.
//!
//! Owns the two dangers of sending from a file mapping. A page that is not in memory would stall every connection of
//! the thread: such a piece is read first, by a reader. And a file that was cut would be padded with zeros up to the
//! end of its last page: the file is looked at before each write here and after it in `wire.rs`. Never touches a
//! mapped byte, never waits.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::artifact::{Artifact, Damage, Gate, Preparation, Readers};
use crate::model::PIECE_BYTES;

/// How much of a mapping one write takes at the most: large enough that looking at the file costs little, small
/// enough that one connection does not keep its thread for long.
pub const WINDOW_BYTES: usize = 128 * 1024;

/// Decides for one connection what may be written now.
pub struct Transmitter {
    readers: Readers,
    /// The piece that the answer cannot go on without.
    preparing: Option<Preparation>,
    /// The piece after it, on its way while this one is sent.
    ahead: Option<(usize, Preparation)>,
}

/// What [`Transmitter::poll_select`] selected.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    /// How many buffers.
    pub parts: usize,
    /// Whether any is part of a mapping.
    pub has_mapped: bool,
}

impl Transmitter {
    /// Idle.
    #[must_use]
    pub fn new(readers: Readers) -> Self {
        Self {
            readers,
            preparing: None,
            ahead: None,
        }
    }

    /// Forgets the answer that ended.
    pub fn reset(&mut self) {
        self.preparing = None;
        self.ahead = None;
    }

    /// Selects the longest start of `buffers` that may be written now, at most `budget` bytes of it, into `parts`.
    pub fn poll_select<'a>(
        &mut self,
        cx: &mut Context<'_>,
        artifact: Option<&Arc<Artifact>>,
        (buffers, budget): (&'a [IoSlice<'_>], usize),
        parts: &mut [IoSlice<'a>],
    ) -> Poll<Result<Permit, Damage>> {
        let mut permit = Permit {
            parts: 0,
            has_mapped: false,
        };
        let mut left = budget;
        for buffer in buffers.iter().filter(|buffer| !buffer.is_empty()) {
            if left == 0 || permit.parts == parts.len() {
                break;
            }
            let wanted = buffer.len().min(left);
            let mapped = artifact.and_then(|a| a.position_of(buffer.as_ptr()).map(|at| (a, at)));
            let granted = match mapped {
                None => wanted,
                Some((artifact, position)) => {
                    let granted =
                        match self.poll_gate(cx, artifact, position, (wanted, buffer.len())) {
                            Poll::Ready(granted) => granted?,
                            Poll::Pending if permit.parts > 0 => break, // what comes before it can go
                            Poll::Pending => return Poll::Pending,
                        };
                    permit.has_mapped = true;
                    granted
                }
            };
            parts[permit.parts] = IoSlice::new(&buffer[..granted]);
            permit.parts += 1;
            left -= granted;
            if granted < buffer.len() {
                break;
            }
        }
        Poll::Ready(Ok(permit))
    }

    fn poll_gate(
        &mut self,
        cx: &mut Context<'_>,
        artifact: &Arc<Artifact>,
        position: u64,
        (wanted, available): (usize, usize),
    ) -> Poll<Result<usize, Damage>> {
        loop {
            if let Some(preparing) = &mut self.preparing {
                let prepared = ready!(Pin::new(preparing).poll(cx));
                self.preparing = None;
                prepared?;
            }
            match artifact.gate(position, wanted.min(WINDOW_BYTES) as u64) {
                Gate::Open(len) => {
                    self.read_ahead(artifact, position, available as u64);
                    return Poll::Ready(Ok(usize::try_from(len).unwrap_or(usize::MAX)));
                }
                Gate::Changed => return Poll::Ready(Err(Damage::Changed)),
                Gate::Prepare(index) => {
                    self.preparing = Some(match self.ahead.take() {
                        Some((ahead, preparation)) if ahead == index => preparation,
                        _ => artifact.prepare(index, &self.readers),
                    });
                }
            }
        }
    }

    /// Starts on the next piece when the first window of this one goes out.
    fn read_ahead(&mut self, artifact: &Arc<Artifact>, position: u64, available: u64) {
        if position % PIECE_BYTES >= WINDOW_BYTES as u64 {
            return;
        }
        let next = position / PIECE_BYTES + 1;
        let Ok(index) = usize::try_from(next) else {
            return;
        };
        let is_wanted =
            position + available > next * PIECE_BYTES && artifact.wants_read_ahead(index);
        if is_wanted && self.ahead.as_ref().is_none_or(|(ahead, _)| *ahead != index) {
            self.ahead = Some((index, artifact.prepare(index, &self.readers)));
        }
    }
}
