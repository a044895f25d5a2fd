//! One artifact on its way into the directory store.
//!
//! Never names an object (`place.rs` does). Owns how writing and write-back overlap. An object that arrives in one chunk costs one trip to a blocking thread; a
//! large one is flushed behind the writer, so that the disk works while the next bytes are hashed and little is left
//! to wait for in `settle`. Never makes anything durable by itself: that is `settle`'s.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::staging::{Staging, Temporary};
use super::{DirectoryStore, place, run_blocking};
use crate::crash;
use crate::store::{Created, Key, StoreError, Upload};

/// Bytes between two flushes behind the writer: enough that a flush's fixed cost (a journal commit, a few
/// milliseconds) is small beside its data, little enough that the last one is short.
const FLUSH_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes that may be dirty before the writer waits for the disk. Above it a publish would push other programs' files
/// out of memory without becoming faster.
const DIRTY_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(super) struct DirectoryUpload {
    store: DirectoryStore,
    staging: Arc<Staging>,
    key: Key,
    size: u64,
    written: u64,
    body: Body,
    /// Bytes written since the last flush began.
    unflushed: u64,
    flush: Option<JoinHandle<io::Result<()>>>,
}

/// Where the bytes are.
enum Body {
    /// None or one chunk: written at the end, in one trip.
    Memory(Bytes),
    File(Temporary),
}

impl DirectoryUpload {
    pub(super) fn new(store: DirectoryStore, staging: Arc<Staging>, key: Key, size: u64) -> Self {
        Self {
            store,
            staging,
            key,
            size,
            written: 0,
            body: Body::Memory(Bytes::new()),
            unflushed: 0,
            flush: None,
        }
    }

    fn error(&self, source: io::Error) -> StoreError {
        let directory = &self.store.directory;
        directory.error("write", self.key.as_str(), source)
    }

    async fn append(&mut self, chunk: Bytes) -> io::Result<()> {
        let file = if let Body::File(temporary) = &self.body {
            Arc::clone(&temporary.file)
        } else {
            let (staging, size) = (Arc::clone(&self.staging), self.size);
            let temporary = run_blocking(move || {
                let temporary = Temporary::new(&staging)?;
                allocate(&temporary.file, size)?;
                Ok(temporary)
            })
            .await?;
            let file = Arc::clone(&temporary.file);
            self.body = Body::File(temporary);
            file
        };
        let (len, offset) = (chunk.len() as u64, self.written);
        run_blocking(move || file.write_all_at(&chunk, offset)).await?;
        self.written += len;
        self.unflushed += len;
        self.flush_behind().await
    }

    /// Starts a flush when enough is dirty and none is running; waits for the running one when too much is.
    async fn flush_behind(&mut self) -> io::Result<()> {
        if self.unflushed < FLUSH_BYTES {
            return Ok(());
        }
        if let Some(flush) = &mut self.flush {
            if !flush.is_finished() && self.unflushed < DIRTY_BYTES_MAX {
                return Ok(());
            }
            joined(flush.await)?;
            self.flush = None;
        }
        if let Body::File(temporary) = &self.body {
            let file = Arc::clone(&temporary.file);
            let sync = move || Ok(rustix::fs::fdatasync(file)?);
            self.flush = Some(tokio::task::spawn_blocking(sync));
            self.unflushed = 0;
        }
        Ok(())
    }

    async fn complete(&mut self) -> io::Result<Created> {
        if let Some(flush) = self.flush.take() {
            joined(flush.await)?;
        }
        if self.written != self.size {
            let why = format!("{} bytes were announced, {} came", self.size, self.written);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let body = std::mem::replace(&mut self.body, Body::Memory(Bytes::new()));
        let directory = Arc::clone(&self.store.directory);
        let (staging, key) = (Arc::clone(&self.staging), self.key.clone());
        run_blocking(move || {
            let temporary = match body {
                Body::File(temporary) => temporary,
                Body::Memory(bytes) => {
                    let temporary = Temporary::new(&staging)?;
                    write_all(&temporary.file, &bytes)?;
                    temporary
                }
            };
            crash::point("store.artifact-written");
            let created = place::place_new(&directory.root()?, temporary, &key)?;
            crash::point("store.artifact-placed");
            Ok(created)
        })
        .await
    }
}

fn joined(result: Result<io::Result<()>, tokio::task::JoinError>) -> io::Result<()> {
    result.map_err(|failed| io::Error::new(io::ErrorKind::Interrupted, failed))?
}

/// Takes the room at once: a disk that is too full says so before gigabytes were copied, and the file is in one piece.
fn allocate(file: &File, size: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::NOTSUP | Errno::NOSYS) => Ok(()), // the file grows as it is written, then
        result => Ok(result?),
    }
}

/// Writes all of a new file.
pub(super) fn write_all(file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, 0)
}

#[async_trait]
impl Upload for DirectoryUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if self.written == 0 && chunk.len() as u64 == self.size {
            self.written = self.size;
            self.body = Body::Memory(chunk);
            return Ok(());
        }
        if self.written + chunk.len() as u64 > self.size {
            let why = format!("more than the {} bytes that were announced", self.size);
            return Err(self.error(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        self.append(chunk)
            .await
            .map_err(|source| self.error(source))
    }

    async fn finish(mut self: Box<Self>) -> Result<Created, StoreError> {
        let result = self.complete().await;
        result.map_err(|source| self.error(source))
    }
}
