//! The one who writes a blob: into memory, or to the file as it comes.
//!
//! Owns the way of a growing body to where it stays. Never makes a reader wait, and never keeps more than a window of what
//! is in the file. What the file does not take is handed to those who read now, at the pace of the slowest, and is gone
//! then. Read next: `reader.rs`, `disk.rs`.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{Blob, BlobEnd, Extent, lock};

/// Bytes written to the file at a time, and kept in memory behind the end of a fill for those who stream along: large
/// enough that the hop to a blocking thread does not count, small enough for hundreds of fills at once.
const WINDOW_BYTES: u64 = 1 << 20;
/// … when memory is short.
const WINDOW_BYTES_MIN: u64 = 64 << 10;
/// So many windows are in memory of a body that cannot be kept: that the write which failed had one or two of them must
/// not stop it at once.
const LOST_WINDOWS: u64 = 4;

/// The one who writes a blob.
pub(in crate::edge::proxy) struct Filling {
    blob: Arc<Blob>,
    is_on_disk: bool,
    /// The file does not take it.
    is_lost: bool,
    /// What is still to come, when that is known: the first extent has room for it.
    announced: Option<u64>,
    /// A write that goes on, and up to where.
    writing: Option<(JoinHandle<io::Result<()>>, u64)>,
}

impl Filling {
    /// Begins to fill `blob`, of which `announced` bytes are expected.
    pub(in crate::edge::proxy) fn new(blob: Arc<Blob>, announced: Option<u64>) -> Self {
        let bodies = &blob.bodies;
        let is_large = announced.is_some_and(|len| {
            len > bodies.memory_object_max || bodies.used().saturating_add(len) > bodies.memory_max
        });
        if bodies.used().saturating_add(announced.unwrap_or(0)) > bodies.memory_max {
            bodies.relieve();
        }
        Self {
            is_on_disk: is_large,
            is_lost: false,
            announced,
            writing: None,
            blob,
        }
    }

    /// Adds bytes. Waits for the file when it is behind; of what is lost, for the readers.
    pub(in crate::edge::proxy) async fn push(&mut self, frame: Bytes) -> io::Result<()> {
        if frame.is_empty() {
            return Ok(());
        }
        self.blob.append(frame);
        if self.is_lost {
            let bound = self.window() * LOST_WINDOWS;
            std::future::poll_fn(|cx| self.blob.poll_room(bound, cx)).await;
            return Ok(());
        }
        let bodies = &self.blob.bodies;
        if !self.is_on_disk {
            if bodies.is_full() {
                bodies.relieve();
            }
            let len = lock(&self.blob.state).len;
            self.is_on_disk = len > bodies.memory_object_max || bodies.is_full();
        }
        if self.is_on_disk {
            self.write_back(false).await?;
        }
        Ok(())
    }

    /// All came: from here on it is where it stays. Its readers are not yet told that it has ended.
    pub(in crate::edge::proxy) async fn finish(&mut self) -> io::Result<()> {
        if self.is_lost {
            return Ok(());
        }
        if self.is_on_disk {
            self.write_back(true).await?;
            self.settle(0).await?;
            self.blob.bodies.worked();
        } else {
            self.blob.compact();
        }
        Ok(())
    }

    /// Tells them.
    pub(in crate::edge::proxy) fn complete(self) {
        self.blob.end(BlobEnd::Complete);
    }

    /// After a write that failed: from here on the bytes are for the present readers only. Nobody may come to them any
    /// more.
    pub(in crate::edge::proxy) fn lose(&mut self, error: &io::Error) {
        self.blob.bodies.failed(error);
        self.is_lost = true;
        let woken = {
            let mut state = lock(&self.blob.state);
            state.is_lost = true;
            std::mem::take(&mut state.waiting)
        };
        woken.into_values().for_each(Waker::wake);
    }

    fn window(&self) -> u64 {
        if self.blob.bodies.is_full() {
            WINDOW_BYTES_MIN
        } else {
            WINDOW_BYTES
        }
    }

    async fn write_back(&mut self, is_last: bool) -> io::Result<()> {
        let is_tight = self.blob.bodies.is_full();
        let window = self.window();
        let (begun, len) = {
            let state = lock(&self.blob.state);
            (
                self.writing.as_ref().map_or(state.written, |(_, end)| *end),
                state.len,
            )
        };
        if len == begun || (len - begun < window && !is_last) {
            return Ok(());
        }
        self.settle(window).await?;
        let (frames, extent, at) = self.next_write()?;
        let written: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
        let end = begun + written;
        let write = tokio::task::spawn_blocking(move || extent.write(&frames, at));
        self.writing = Some((write, end));
        if is_tight || end < len {
            self.settle(if is_tight { 0 } else { window }).await?;
        }
        if end < len {
            return Box::pin(self.write_back(is_last)).await; // the extent was full: go on in the next one
        }
        Ok(())
    }

    /// The unwritten frames as far as one extent takes them, and where they go.
    fn next_write(&self) -> io::Result<(Vec<Bytes>, Arc<Extent>, u64)> {
        let mut state = lock(&self.blob.state);
        let begun = state.written;
        let room = state
            .extents
            .last()
            .map_or(0, |(start, extent)| start + extent.len() - begun);
        if room == 0 {
            let len = match self.announced {
                Some(announced) if announced > begun => announced - begun,
                // Not known: twice as much each time, so that there are few.
                _ => begun.max(WINDOW_BYTES).max(state.len - begun),
            };
            let extent = self.blob.bodies.disk.allocate(len)?;
            state.extents.push((begun, Arc::new(extent)));
        }
        let Some((start, extent)) = state.extents.last() else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        let room_end = start + extent.len();
        let frames = state
            .frames
            .iter()
            .filter(|(at, frame)| at + frame.len() as u64 > begun && *at < room_end)
            .map(|(at, frame)| {
                let from = begun.saturating_sub(*at);
                let to = (room_end - at).min(frame.len() as u64);
                #[expect(clippy::cast_possible_truncation, reason = "within a frame")]
                frame.slice(from as usize..to as usize)
            })
            .collect();
        Ok((frames, Arc::clone(extent), begun - start))
    }

    /// Waits for the write that goes on.
    async fn settle(&mut self, window: u64) -> io::Result<()> {
        if let Some((write, end)) = self.writing.take() {
            write.await.map_err(io::Error::other)??;
            self.blob.forget(end, window);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::task::{Context, Poll, Waker};

    use super::super::{Bodies, Found};
    use super::*;

    fn bodies(memory_object_max: u64, memory_max: u64) -> Arc<Bodies> {
        let folder = tempfile::tempdir().unwrap();
        Arc::new(Bodies::new(folder.path(), memory_object_max, memory_max).unwrap())
    }

    fn read(blob: &Blob) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match blob.poll_read(bytes.len() as u64, &mut cx) {
                Poll::Ready(Found::Memory(frame)) => bytes.extend_from_slice(&frame),
                Poll::Ready(Found::File(extent, at, len)) => {
                    let mut frame = vec![0; usize::try_from(len).unwrap()];
                    extent.read(&mut frame, at).unwrap();
                    bytes.extend_from_slice(&frame);
                }
                Poll::Ready(Found::End(BlobEnd::Complete)) => return bytes,
                other => panic!("{other:?} after {}", bytes.len()),
            }
        }
    }

    async fn fill(blob: &Arc<Blob>, announced: Option<u64>, frame: usize, bytes: &[u8]) {
        let mut filling = Filling::new(Arc::clone(blob), announced);
        for frame in bytes.chunks(frame) {
            filling.push(Bytes::copy_from_slice(frame)).await.unwrap();
        }
        filling.finish().await.unwrap();
        filling.complete();
    }

    #[tokio::test]
    async fn a_body_is_read_as_it_was_written_wherever_it_is() {
        let bytes: Vec<u8> = (0..=250).cycle().take(9_000_001).collect();
        for (memory_object_max, is_in_memory) in [(1 << 30, true), (100_000, false)] {
            for announced in [None, Some(bytes.len() as u64)] {
                for frame in [70_000, 5_000_000] {
                    let bodies = bodies(memory_object_max, 1 << 30);
                    let blob = Blob::new(&bodies, 0);
                    fill(&blob, announced, frame, &bytes).await;
                    assert!(
                        read(&blob) == bytes,
                        "{memory_object_max} {announced:?} {frame}"
                    );
                    let expected = if is_in_memory { bytes.len() as u64 } else { 0 };
                    assert_eq!(bodies.used(), expected);
                    drop(blob);
                    assert_eq!(bodies.used(), 0);
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_used_stays_in_memory_and_what_is_not_goes_to_the_file() {
        let bodies = bodies(1 << 20, 10_000);
        let mut blobs = Vec::new();
        for nth in 0..9_u8 {
            let blob = Blob::new(&bodies, 0);
            fill(&blob, Some(1000), 1000, &[nth; 1000]).await;
            blobs.push(blob);
        }
        assert_eq!(bodies.used(), 9000);
        // All have their second chance taken, but for the first.
        for blob in &blobs[1..] {
            blob.is_used.store(false, Ordering::Relaxed);
        }
        assert_eq!(read(&blobs[0]), [0; 1000]);
        let last = Blob::new(&bodies, 0);
        fill(&last, Some(2000), 1000, &[9; 2000]).await;
        while bodies.is_relieving.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        assert!(bodies.used() <= 10_000 - 10_000 / 8, "{}", bodies.used());
        assert!(lock(&blobs[0].state).extents.is_empty(), "it was used");
        for (blob, nth) in blobs.iter().zip(0..) {
            assert_eq!(read(blob), [nth; 1000]);
        }
    }

    #[tokio::test]
    async fn the_frames_of_a_complete_body_take_no_more_room_than_it_has_bytes() {
        let bodies = bodies(1 << 20, 1 << 20);
        let blob = Blob::new(&bodies, 0);
        fill(&blob, None, 10, &[7; 1000]).await;
        assert_eq!(lock(&blob.state).frames.len(), 1);
    }
}
