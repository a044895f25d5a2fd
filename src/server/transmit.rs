//! From an artifact to the socket: which bytes of a body may go now.
//!
//! Owns what stands between a position in an artifact and its bytes. In a file mapping two dangers: a page that is not
//! in memory would stall every connection of the thread, so that such a piece is read first, by a reader; and a file
//! that was cut would be padded with zeros up to the end of its last page, so that the file is looked at before each
//! write here and after it in `wire.rs`. In blocks one: memory. A connection holds a block only while it can write, and
//! asks for it again when the socket has room. Never touches a mapped byte, never waits.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::artifact::{Artifact, Content, Gate, Preparation, Remote, piece_index};
use super::blocks::Download;
use super::damage::Damage;
use super::payload::{Frame, Payload};
use super::readers::Readers;
use crate::model::{ByteRange, PIECE_BYTES};

/// How much of an artifact one write takes at the most: large enough that looking at the file costs little, small
/// enough that one connection does not keep its thread for long.
pub const WINDOW_BYTES: usize = 128 * 1024;

/// At most so many frames go into one write: eight parts of a multipart body with their preambles.
pub const FRAMES_MAX: usize = 16;

/// Decides for one connection what may be written now.
pub struct Transmitter {
    readers: Readers,
    /// The piece that the answer cannot go on without.
    preparing: Option<Preparation>,
    /// The piece of a file after it, on its way while this one is sent.
    ahead: Option<(usize, Preparation)>,
    /// The block that is being sent.
    held: Option<Held>,
    /// While blocks are sent.
    download: Option<Download>,
    /// The block whose successors were asked for: once, however often the socket is full meanwhile.
    read_ahead_of: Option<usize>,
}

/// A block, and what it is of.
struct Held {
    index: usize,
    /// Where in the artifact it begins.
    offset: u64,
    bytes: Bytes,
}

impl Held {
    fn has(&self, position: u64) -> bool {
        position
            .checked_sub(self.offset)
            .is_some_and(|at| at < self.bytes.len() as u64)
    }
}

/// How much of the frames that are left may be written now.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    granted: [usize; FRAMES_MAX],
    /// How many frames.
    frames: usize,
    /// Whether any is a part of the artifact.
    pub has_stored: bool,
}

impl Permit {
    /// Nothing but what is before the body.
    #[must_use]
    pub fn none() -> Self {
        Self {
            granted: [0; FRAMES_MAX],
            frames: 0,
            has_stored: false,
        }
    }
}

impl Transmitter {
    /// Idle.
    #[must_use]
    pub fn new(readers: Readers) -> Self {
        Self {
            readers,
            preparing: None,
            ahead: None,
            held: None,
            download: None,
            read_ahead_of: None,
        }
    }

    /// Forgets the answer that ended.
    pub fn reset(&mut self) {
        self.preparing = None;
        self.ahead = None;
        self.held = None;
        self.download = None;
        self.read_ahead_of = None;
    }

    /// The socket is full: whatever takes memory goes back to those who can use it. When the socket has room, the block
    /// is asked for again and then used, because the room does not shrink meanwhile; so a download always goes on.
    pub fn let_go(&mut self) {
        self.held = None;
        // A block that has come waits in here as well. Those who load it go on.
        self.preparing
            .take_if(|preparing| matches!(preparing, Preparation::Block(_)));
    }

    /// Grants the longest start of `payload` that may be written now, at most `budget` bytes. Pending when that is
    /// nothing.
    pub fn poll_permit(
        &mut self,
        cx: &mut Context<'_>,
        artifact: Option<&Arc<Artifact>>,
        payload: &Payload,
        budget: usize,
    ) -> Poll<Result<Permit, Damage>> {
        let mut permit = Permit::none();
        let mut left = budget;
        for frame in payload.frames().take(FRAMES_MAX) {
            if left == 0 {
                break;
            }
            let (available, granted) = match (frame, artifact) {
                (Frame::Bytes(bytes), _) => (bytes.len(), bytes.len().min(left)),
                (Frame::Stored(_), None) => return Poll::Ready(Err(Damage::Missing)), // never built
                (Frame::Stored(range), Some(artifact)) => {
                    let granted = match self.poll_stored(cx, artifact, *range, (left, &permit)) {
                        Poll::Ready(granted) => granted?,
                        Poll::Pending if permit.frames > 0 => break, // what comes before it can go
                        Poll::Pending => return Poll::Pending,
                    };
                    if granted == 0 {
                        break;
                    }
                    permit.has_stored = true;
                    (usize::try_from(range.len).unwrap_or(usize::MAX), granted)
                }
            };
            permit.granted[permit.frames] = granted;
            permit.frames += 1;
            left -= granted;
            if granted < available {
                break;
            }
        }
        Poll::Ready(Ok(permit))
    }

    /// The bytes that `permit` granted, into `parts`; says how many parts they are.
    pub fn parts<'a>(
        &'a self,
        artifact: Option<&'a Arc<Artifact>>,
        payload: &'a Payload,
        permit: &Permit,
        parts: &mut [IoSlice<'a>],
    ) -> usize {
        let granted = permit.granted[..permit.frames].iter();
        let granted = payload.frames().zip(granted).zip(parts);
        let mut count = 0;
        for ((frame, len), part) in granted {
            let bytes = match frame {
                Frame::Bytes(bytes) => &bytes[..*len],
                Frame::Stored(range) => {
                    let range = ByteRange::new(range.offset, *len as u64);
                    match artifact.map(|artifact| artifact.content()) {
                        Some(Content::Mapped(mapped)) => mapped.part(range),
                        Some(Content::Remote(_)) => self.held_part(range),
                        Some(Content::Inline(..)) | None => &[], // never built
                    }
                }
            };
            *part = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// How much of a part of the artifact may go now, after what `permit` has granted.
    fn poll_stored(
        &mut self,
        cx: &mut Context<'_>,
        artifact: &Arc<Artifact>,
        range: ByteRange,
        (left, permit): (usize, &Permit),
    ) -> Poll<Result<usize, Damage>> {
        let wanted = range.len.min(left.min(WINDOW_BYTES) as u64);
        let granted = if let Content::Remote(remote) = artifact.content() {
            if permit.has_stored {
                // One block at a time; what is in another one goes with the next write.
                Ok(self.held_len(range.offset, wanted))
            } else {
                ready!(self.poll_block(cx, remote, range))
                    .map(|()| self.held_len(range.offset, wanted))
            }
        } else {
            ready!(self.poll_gate(cx, artifact, range, wanted))
        };
        Poll::Ready(granted.map(|len| usize::try_from(len).unwrap_or(usize::MAX)))
    }

    /// How many of the `wanted` bytes from `position` on are in the block that is held.
    fn held_len(&self, position: u64, wanted: u64) -> u64 {
        let held = self.held.as_ref().filter(|held| held.has(position));
        held.map_or(0, |held| {
            wanted.min(held.offset + held.bytes.len() as u64 - position)
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "positions inside a block are small"
    )]
    fn held_part(&self, range: ByteRange) -> &[u8] {
        let Some(held) = &self.held else {
            return &[]; // never granted
        };
        let from = (range.offset - held.offset) as usize;
        &held.bytes[from..from + range.len as usize]
    }

    /// Ready when the block with the first byte of `range` is held.
    fn poll_block(
        &mut self,
        cx: &mut Context<'_>,
        Remote { blocks, source }: &Remote,
        range: ByteRange,
    ) -> Poll<Result<(), Damage>> {
        let index = piece_index(range.offset);
        if self.held.as_ref().is_some_and(|held| held.index == index) {
            return Poll::Ready(Ok(()));
        }
        self.held = None;
        let bytes = match (&mut self.preparing, blocks.get(source, index)) {
            (None, Some(bytes)) => bytes,
            (preparing, _) => {
                let preparation =
                    preparing.get_or_insert_with(|| Preparation::Block(blocks.load(source, index)));
                let prepared = ready!(Pin::new(preparation).poll(cx));
                self.preparing = None;
                prepared?.unwrap_or_default()
            }
        };
        let offset = source.range(index).offset;
        self.held = Some(Held {
            index,
            offset,
            bytes,
        });
        self.download.get_or_insert_with(|| blocks.join());
        if self.read_ahead_of.replace(index) != Some(index) {
            let last = piece_index(range.end() - 1);
            blocks.read_ahead(source, index + 1..=last);
        }
        Poll::Ready(Ok(()))
    }

    /// How many of the `wanted` bytes at the start of `range` are in memory and verified.
    fn poll_gate(
        &mut self,
        cx: &mut Context<'_>,
        artifact: &Arc<Artifact>,
        range: ByteRange,
        wanted: u64,
    ) -> Poll<Result<u64, Damage>> {
        loop {
            if let Some(preparing) = &mut self.preparing {
                let prepared = ready!(Pin::new(preparing).poll(cx));
                self.preparing = None;
                prepared?;
            }
            match artifact.gate(range.offset, wanted) {
                Gate::Open(len) => {
                    self.read_ahead(artifact, range);
                    return Poll::Ready(Ok(len));
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

    /// Starts on the next piece of a file when the first window of this one goes out.
    fn read_ahead(&mut self, artifact: &Arc<Artifact>, range: ByteRange) {
        let Content::Mapped(mapped) = artifact.content() else {
            return;
        };
        if range.offset % PIECE_BYTES >= WINDOW_BYTES as u64 {
            return;
        }
        let index = piece_index(range.offset) + 1;
        let is_wanted = range.end() > index as u64 * PIECE_BYTES && mapped.wants_read_ahead(index);
        if is_wanted && self.ahead.as_ref().is_none_or(|(ahead, _)| *ahead != index) {
            self.ahead = Some((index, artifact.prepare(index, &self.readers)));
        }
    }
}
