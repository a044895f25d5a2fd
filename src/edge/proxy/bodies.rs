//! Where bytes are kept: in memory up to a budget, else in a file.
//!
//! Owns the bytes of every body, each exactly once: what a fetch brought is one [`Blob`], and the objects of all layers
//! refer to parts of it. Knows nothing of objects or caches. A blob grows while others read it; readers are never waited
//! for. What grows beyond the limit for memory, or beyond the budget, is written to the file as it comes, and only its
//! last bytes stay in memory for those who stream along. Read next: `bodies/filling.rs`, `disk.rs`,
//! `body.rs`.

mod filling;
mod reader;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;

pub(super) use self::filling::Filling;
pub(super) use self::reader::Reader;
use super::disk::{Disk, Extent};
use super::sent::SentFiles;
use crate::edge::policy::spans::Span;

/// A body in memory is stored in frames of at most so many bytes, so that it takes no more room than it has bytes.
const FRAME_BYTES: usize = 4 << 20;
/// How many bodies are looked at for one that was not used lately.
const CANDIDATES: usize = 32;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these mutexes guard is whole after every statement that can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All bodies.
#[derive(Debug)]
pub(super) struct Bodies {
    /// Larger ones go to the file.
    memory_object_max: u64,
    /// For all of them.
    memory_max: u64,
    used: AtomicU64,
    disk: Disk,
    /// Complete bodies in memory, roughly the oldest first: where to make room.
    resident: Mutex<VecDeque<Weak<Blob>>>,
    is_relieving: AtomicBool,
    /// The last write did not work, and that was said.
    is_failing: AtomicBool,
}

/// What one fetch brought: consecutive bytes of a representation.
#[derive(Debug)]
pub(super) struct Blob {
    bodies: Arc<Bodies>,
    /// The position of its first byte in the representation.
    start: u64,
    state: Mutex<State>,
    /// Read since it was last considered for the file.
    is_used: AtomicBool,
}

/// Each task once, by what makes two wakers the same: thousands may wait for the next frame, and to look for each among
/// all of them would cost more than the frame.
type Waiting = FxHashMap<(usize, usize), Waker>;

#[derive(Debug, Default)]
struct State {
    /// Ascending and without gaps; the last one ends at `len`. Each with its position in the blob.
    frames: VecDeque<(u64, Bytes)>,
    len: u64,
    /// The file's part: from 0 to `written`.
    extents: Vec<(u64, Arc<Extent>)>,
    written: u64,
    end: Option<BlobEnd>,
    waiting: Waiting,
    /// It cannot be kept: its bytes are here until those who read it now have them.
    is_lost: bool,
    /// Where the readers are (of a growing blob).
    readers: Vec<Arc<AtomicU64>>,
    was_read: bool,
    /// The one who writes, when it waits for the readers.
    writer: Option<Waker>,
    /// Of the budget.
    counted: u64,
}

/// How a blob ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BlobEnd {
    /// All came.
    Complete,
    /// The fetch broke off.
    Cut,
}

/// What is at a position of a blob.
#[derive(Debug)]
pub(super) enum Found {
    /// These bytes, and perhaps more after them.
    Memory(Bytes),
    /// So many bytes at this position of the extent.
    File(Arc<Extent>, u64, u64),
    /// The end.
    End(BlobEnd),
}

/// A part of a representation and where it is.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Which part. Its end is `u64::MAX` while it is not known.
    pub(super) span: Span,
    /// Where.
    pub(super) blob: Arc<Blob>,
}

impl Bodies {
    pub(super) fn new(folder: &Path, memory_object_max: u64, memory_max: u64) -> io::Result<Self> {
        Ok(Self {
            memory_object_max,
            memory_max,
            used: AtomicU64::new(0),
            disk: Disk::new(folder)?,
            resident: Mutex::default(),
            is_relieving: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
        })
    }

    /// Bytes in memory now.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.used() > self.memory_max
    }

    /// The files that the kernel sends by itself.
    pub(super) fn sent(&self) -> &Arc<SentFiles> {
        self.disk.sent()
    }

    /// A buffer that counts while it lives.
    pub(super) fn buffer(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        struct Counted(Vec<u8>, Arc<Bodies>);
        impl AsRef<[u8]> for Counted {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl Drop for Counted {
            fn drop(&mut self) {
                self.1
                    .used
                    .fetch_sub(self.0.len() as u64, Ordering::Relaxed);
            }
        }
        self.used.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Bytes::from_owner(Counted(bytes, Arc::clone(self)))
    }

    /// Moves bodies that were not used lately to the file until there is some room. Does its work behind the caller.
    fn relieve(self: &Arc<Self>) {
        if self.is_relieving.swap(true, Ordering::AcqRel) {
            return;
        }
        let bodies = Arc::clone(self);
        drop(tokio::task::spawn_blocking(move || {
            // Some room at once, so that not every fill comes here.
            let goal = bodies.memory_max - bodies.memory_max / 8;
            while bodies.used() > goal {
                let Some(victim) = bodies.victim() else { break };
                if let Err(error) = victim.spill() {
                    lock(&bodies.resident).push_back(Arc::downgrade(&victim));
                    bodies.failed(&error);
                    break;
                }
                bodies.worked();
            }
            bodies.is_relieving.store(false, Ordering::Release);
        }));
    }

    /// A write did not work. Said once, until one works again: a full disk fails with every body.
    fn failed(&self, error: &io::Error) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "cannot write bodies to the disk: they are delivered, but not kept"
            );
        }
    }

    fn worked(&self) {
        self.is_failing.store(false, Ordering::Relaxed);
    }

    /// A second chance for each that was used (the clock algorithm), a bounded number of times.
    fn victim(&self) -> Option<Arc<Blob>> {
        let mut resident = lock(&self.resident);
        let mut last = None;
        for _ in 0..CANDIDATES {
            let Some(candidate) = resident.pop_front() else {
                break;
            };
            let Some(blob) = candidate.upgrade() else {
                continue;
            };
            if !blob.is_used.swap(false, Ordering::Relaxed) {
                return Some(blob);
            }
            if let Some(passed_over) = last.replace(blob) {
                resident.push_back(Arc::downgrade(&passed_over));
            }
        }
        last
    }
}

impl Blob {
    /// A blob that grows.
    pub(super) fn new(bodies: &Arc<Bodies>, start: u64) -> Arc<Self> {
        Arc::new(Self {
            bodies: Arc::clone(bodies),
            start,
            state: Mutex::default(),
            is_used: AtomicBool::new(true),
        })
    }

    /// A complete blob of these bytes.
    pub(super) fn of(bodies: &Arc<Bodies>, bytes: Bytes) -> Arc<Self> {
        let blob = Self::new(bodies, 0);
        if !bytes.is_empty() {
            blob.append(bytes);
        }
        blob.end(BlobEnd::Complete);
        blob
    }

    /// Its position in the representation.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// What is at `at` (counted from its own start). Pending while nothing is there yet.
    pub(super) fn poll_read(&self, at: u64, cx: &mut Context<'_>) -> Poll<Found> {
        let mut state = lock(&self.state);
        let found = state.find(at);
        if found.is_none() {
            state.wait(cx);
        }
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        self.is_used.store(true, Ordering::Relaxed);
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits until the bytes before `at` have come, or it has ended; says how many came and how it ended, if it did.
    pub(super) async fn grown_to(&self, at: u64) -> (u64, Option<BlobEnd>) {
        std::future::poll_fn(|cx| {
            let mut state = lock(&self.state);
            if state.len >= at || state.end.is_some() {
                return Poll::Ready((state.len, state.end));
            }
            state.wait(cx);
            Poll::Pending
        })
        .await
    }

    /// Registers for the moment when it is clear that the blob cannot be kept.
    pub(super) fn poll_lost(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.is_lost {
            return Poll::Ready(());
        }
        if state.end.is_none() {
            state.wait(cx);
        }
        Poll::Pending
    }

    fn append(&self, bytes: Bytes) {
        let added = bytes.len() as u64;
        let woken = {
            let mut state = lock(&self.state);
            let at = state.len;
            state.frames.push_back((at, bytes));
            state.len += added;
            state.counted += added;
            std::mem::take(&mut state.waiting)
        };
        self.bodies.used.fetch_add(added, Ordering::Relaxed);
        woken.into_values().for_each(Waker::wake);
    }

    fn end(self: &Arc<Self>, end: BlobEnd) {
        let woken = {
            let mut state = lock(&self.state);
            state.end = Some(end);
            state.readers = Vec::new();
            if !state.is_lost && state.extents.is_empty() && state.len > 0 {
                let mut resident = lock(&self.bodies.resident);
                if resident.len() == resident.capacity() {
                    resident.retain(|blob| blob.strong_count() > 0); // before it grows: those that are gone
                }
                resident.push_back(Arc::downgrade(self));
            }
            std::mem::take(&mut state.waiting)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Copies what came in small frames into few large ones: a frame from a connection may hold on to much more memory
    /// than it has bytes.
    fn compact(&self) {
        let frames = {
            let state = lock(&self.state);
            if !state.extents.is_empty() {
                return;
            }
            state.frames.clone()
        };
        let mut rest: usize = frames.iter().map(|(_, frame)| frame.len()).sum();
        let mut compacted = VecDeque::new();
        let mut buffer = BytesMut::with_capacity(rest.min(FRAME_BYTES));
        let mut at = 0;
        for (_, mut frame) in frames {
            while !frame.is_empty() {
                let part = frame.split_to(frame.len().min(FRAME_BYTES - buffer.len()));
                buffer.extend_from_slice(&part);
                rest -= part.len();
                if buffer.len() == FRAME_BYTES || rest == 0 {
                    let next = BytesMut::with_capacity(rest.min(FRAME_BYTES));
                    let full = std::mem::replace(&mut buffer, next).freeze();
                    let len = full.len() as u64;
                    compacted.push_back((at, full));
                    at += len;
                }
            }
        }
        lock(&self.state).frames = compacted;
    }

    /// Moves it to the file. Blocks.
    fn spill(&self) -> io::Result<()> {
        let frames: Vec<Bytes> = {
            let state = lock(&self.state);
            state
                .frames
                .iter()
                .map(|(_, frame)| frame.clone())
                .collect()
        };
        let len = frames.iter().map(|frame| frame.len() as u64).sum();
        let extent = self.bodies.disk.allocate(len)?;
        extent.write(&frames, 0)?;
        let mut state = lock(&self.state);
        state.extents.push((0, Arc::new(extent)));
        state.written = len;
        state.frames.clear();
        self.uncount(&mut state, len);
        Ok(())
    }

    /// After `written` bytes are in the file: forgets those of them that are `window` or more behind the end.
    fn forget(&self, written: u64, window: u64) {
        let mut state = lock(&self.state);
        state.written = written;
        let mut forgotten = 0;
        while let Some((at, frame)) = state.frames.front() {
            let (end, len) = (at + frame.len() as u64, frame.len() as u64);
            if end > written || end + window > state.len {
                break;
            }
            forgotten += len;
            state.frames.pop_front();
        }
        self.uncount(&mut state, forgotten);
    }

    fn uncount(&self, state: &mut State, bytes: u64) {
        state.counted -= bytes;
        self.bodies.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        let counted = lock(&self.state).counted;
        self.bodies.used.fetch_sub(counted, Ordering::Relaxed);
    }
}

impl State {
    fn find(&self, at: u64) -> Option<Found> {
        if at >= self.len {
            return self.end.map(Found::End);
        }
        let after = self.frames.partition_point(|(start, _)| *start <= at);
        if let Some((start, frame)) = after
            .checked_sub(1)
            .and_then(|index| self.frames.get(index))
            && let Ok(within) = usize::try_from(at - start)
            && within < frame.len()
        {
            return Some(Found::Memory(frame.slice(within..)));
        }
        let in_file = self.find_in_file(at);
        // Whoever comes too late for what is not kept.
        in_file.or_else(|| self.is_lost.then_some(Found::End(BlobEnd::Cut)))
    }

    fn find_in_file(&self, at: u64) -> Option<Found> {
        let after = self.extents.partition_point(|(start, _)| *start <= at);
        let (start, extent) = self.extents.get(after.checked_sub(1)?)?;
        let end = (start + extent.len()).min(self.written);
        let len = end.checked_sub(at).filter(|len| *len > 0)?;
        Some(Found::File(Arc::clone(extent), at - start, len))
    }

    fn in_memory(&self) -> u64 {
        self.frames.front().map_or(0, |(at, _)| self.len - at)
    }

    fn wait(&mut self, cx: &Context<'_>) {
        let waker = cx.waker();
        let key = (
            waker.data().addr(),
            std::ptr::from_ref(waker.vtable()).addr(),
        );
        self.waiting.entry(key).or_insert_with(|| waker.clone());
    }
}

/// Ends a blob in the middle.
pub(super) fn cut(blob: &Arc<Blob>) {
    blob.end(BlobEnd::Cut);
}
