//! From a file on this machine to an artifact in the store: one read, all digests.
//!
//! Owns how reading, hashing and writing overlap, and the proof that an input stood still. Memory is flat: a large file
//! goes through [`BUFFERS`] buffers, a small one through one. A remote store is told the digests first: a second read
//! costs seconds where sending costs minutes, and what is there already is not sent at all. Never decides what a digest
//! means for a release.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use rustix::fs::{Advice, Mode, OFlags};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::scan::{Input, Stamp};
use super::{Progress, PublishError, Silent, content_type, run_blocking};
use crate::model::{ByteRange, Digest, Digester, PIECE_BYTES};
use crate::store::{Blob, Content, Created, Digests, Facts, Key, Remote, Store, StoreError};

/// One buffer: large enough that a hand-over between threads (some 10 µs) is nothing beside hashing it (600 µs), small
/// enough that the second digest finds the bytes in the processor's cache.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Buffers under way between reader, digesters and writer: two for each of them, so that none waits for another's
/// single buffer.
const BUFFERS: usize = 8;

/// Up to here a file is read whole: it has one piece, whose digest is that of the whole.
pub(super) const SMALL_BYTES_MAX: u64 = PIECE_BYTES;

/// Pieces of a remote object under way at one time: together they hide the way there and back, and take 32 MiB.
const REMOTE_READS: usize = 8;

/// What is known of the object under an input's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leftover {
    /// There is none.
    None,
    /// There is one of the same size.
    SameSize,
}

/// What became of an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ingested {
    /// It is in the store: now, or since an earlier attempt.
    Stored,
    /// Its key is taken; nothing was changed, and what is there was not compared unless the store could tell.
    Taken,
}

/// Reads an input, puts it into the store under `key` and says what it was.
pub(super) async fn ingest(
    store: &dyn Store,
    key: &Key,
    input: &Input,
    leftover: Leftover,
    progress: &Arc<dyn Progress>,
) -> Result<(Digests, Ingested), PublishError> {
    if store.is_remote() {
        return ingest_remotely(store, key, input, leftover, progress).await;
    }
    let mut upload = store.create(key, &facts(input, None)).await?;
    if input.stamp.size <= SMALL_BYTES_MAX {
        let (bytes, digests) = read_small(input, progress).await?;
        upload.write(bytes).await?;
        return Ok((digests, upload.finish().await?.into()));
    }
    let (sender, mut chunks) = mpsc::channel(BUFFERS);
    let reading = tokio::spawn(read_large(
        input.clone(),
        Arc::clone(progress),
        Some(sender),
    ));
    while let Some(chunk) = chunks.recv().await {
        upload.write(chunk).await?; // an error drops `chunks`, which ends the reader
    }
    // Also when the reader failed, it is the reader who says so; nothing is finished then.
    let digests = joined(reading).await?;
    Ok((digests, upload.finish().await?.into()))
}

impl From<Created> for Ingested {
    fn from(created: Created) -> Self {
        match created {
            Created::New => Self::Stored,
            Created::Taken => Self::Taken,
        }
    }
}

pub(super) fn facts(input: &Input, digests: Option<Digests>) -> Facts {
    Facts {
        size: input.stamp.size,
        content_type: Some(content_type::of(&input.name)),
        digests,
    }
}

/// Hashes an input and then sends it, unless it is there. A large one is read twice, and nobody is told the progress of
/// the first time; the store refuses bytes that are others at the second.
async fn ingest_remotely(
    store: &dyn Store,
    key: &Key,
    input: &Input,
    leftover: Leftover,
    progress: &Arc<dyn Progress>,
) -> Result<(Digests, Ingested), PublishError> {
    let (bytes, digests) = if input.stamp.size <= SMALL_BYTES_MAX {
        let (bytes, digests) = read_small(input, progress).await?;
        (Some(bytes), digests)
    } else {
        let silent: Arc<dyn Progress> = Arc::new(Silent);
        (None, digest(input, &silent).await?)
    };
    let facts = facts(input, Some(digests.clone()));
    if leftover == Leftover::SameSize {
        if !store.holds(key, &facts).await? {
            // The store would say so, too, but only after all bytes have travelled.
            return Ok((digests, Ingested::Taken));
        }
        if bytes.is_none() {
            progress.advance(facts.size);
        }
        return Ok((digests, Ingested::Stored));
    }
    let mut upload = store.create(key, &facts).await?;
    if let Some(bytes) = bytes {
        upload.write(bytes).await?;
        return Ok((digests, upload.finish().await?.into()));
    }
    let refused = |error: StoreError| match error.source.kind() {
        io::ErrorKind::InvalidData => changed(input, "its bytes are others at the second reading"),
        _ => error.into(),
    };
    let (sender, mut chunks) = mpsc::channel(BUFFERS);
    let (again, told) = (input.clone(), Arc::clone(progress));
    let reading = tokio::spawn(run_blocking(move || {
        pump(&again, |chunk| {
            let len = chunk.len() as u64;
            let is_wanted = sender.blocking_send(chunk).is_ok();
            told.advance(len); // afterwards: the store takes chunks no faster than they are sent
            is_wanted
        })
    }));
    while let Some(chunk) = chunks.recv().await {
        upload.write(chunk).await.map_err(refused)?;
    }
    joined(reading).await?;
    let created = upload.finish().await.map_err(refused)?;
    Ok((digests, created.into()))
}

/// Reads an input once, only to say what it is.
pub(super) async fn digest(
    input: &Input,
    progress: &Arc<dyn Progress>,
) -> Result<Digests, PublishError> {
    if input.stamp.size <= SMALL_BYTES_MAX {
        return Ok(read_small(input, progress).await?.1);
    }
    joined(tokio::spawn(read_large(
        input.clone(),
        Arc::clone(progress),
        None,
    )))
    .await
}

/// Reads a stored object and says how many bytes it gave, up to its size when it was opened, and their digest.
pub(super) async fn digest_blob(
    blob: Blob,
    progress: Arc<dyn Progress>,
) -> io::Result<(u64, Digest)> {
    match blob.content {
        Content::File(file) => digest_file(file, blob.size, progress).await,
        Content::Remote(remote) => {
            let digested = digest_remote(remote, blob.size, progress).await;
            digested.map_err(|error| {
                io::Error::new(error.source.kind(), format!("{error}: {}", error.source))
            })
        }
    }
}

async fn digest_file(
    file: Arc<File>,
    size: u64,
    progress: Arc<dyn Progress>,
) -> io::Result<(u64, Digest)> {
    run_blocking(move || {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut digester = Digester::new();
        let mut read = 0;
        let mut file = (&*file).take(size);
        loop {
            let len = file.read(&mut buffer)?;
            if len == 0 {
                return Ok((read, digester.finish()));
            }
            digester.update(&buffer[..len]);
            read += len as u64;
            progress.advance(len as u64);
        }
    })
    .await
}

/// Reads ahead in pieces, which arrive in any order and are hashed in theirs.
async fn digest_remote(
    remote: Arc<dyn Remote>,
    size: u64,
    progress: Arc<dyn Progress>,
) -> Result<(u64, Digest), StoreError> {
    let mut digester = Digester::new();
    let mut reading = VecDeque::new();
    let (mut asked, mut read) = (0, 0);
    while read < size {
        while asked < size && reading.len() < REMOTE_READS {
            let range = ByteRange::new(asked, PIECE_BYTES.min(size - asked));
            let remote = Arc::clone(&remote);
            reading.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
                remote.read(range).await
            })));
            asked = range.end();
        }
        let Some(next) = reading.pop_front() else {
            break; // never: more was asked for than was read
        };
        let bytes = joined(next).await?;
        read += bytes.len() as u64;
        progress.advance(bytes.len() as u64);
        digester = run_blocking(move || {
            digester.update(&bytes);
            digester
        })
        .await;
    }
    Ok((read, digester.finish()))
}

async fn joined<T>(task: impl Future<Output = Result<T, tokio::task::JoinError>>) -> T {
    match task.await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()), // nobody aborts this task
    }
}

async fn read_small(
    input: &Input,
    progress: &Arc<dyn Progress>,
) -> Result<(Bytes, Digests), PublishError> {
    let (input, progress) = (input.clone(), Arc::clone(progress));
    run_blocking(move || {
        let file = open(&input)?;
        let mut bytes = vec![0; usize::try_from(input.stamp.size).unwrap_or_default()];
        let len = fill(&file, &mut bytes).map_err(|source| unreadable(&input, source))?;
        check_end(&input, &file, len as u64)?;
        progress.advance(input.stamp.size);
        let whole = Digest::of(&bytes);
        let pieces = if bytes.is_empty() {
            vec![]
        } else {
            vec![whole]
        };
        let pieces = pieces.into();
        Ok((bytes.into(), Digests { whole, pieces }))
    })
    .await
}

/// Reads on this thread while two others compute the digests and the owner of `chunks` writes.
async fn read_large(
    input: Input,
    progress: Arc<dyn Progress>,
    chunks: Option<mpsc::Sender<Bytes>>,
) -> Result<Digests, PublishError> {
    run_blocking(move || {
        std::thread::scope(|threads| {
            let (whole_sender, whole_chunks) = sync_channel(BUFFERS);
            let (piece_sender, piece_chunks) = sync_channel(BUFFERS);
            let whole = threads.spawn(move || digest_whole(&whole_chunks));
            let pieces = threads.spawn(move || digest_pieces(&piece_chunks));
            let read = pump(&input, |chunk| {
                progress.advance(chunk.len() as u64);
                // The digesters end only after their senders; the writer may have given up.
                let _ = whole_sender.send(chunk.clone());
                let _ = piece_sender.send(chunk.clone());
                chunks
                    .as_ref()
                    .is_none_or(|chunks| chunks.blocking_send(chunk).is_ok())
            });
            drop((whole_sender, piece_sender));
            let digests = Digests {
                whole: whole
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                pieces: pieces
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                    .into(),
            };
            read.map(|()| digests)
        })
    })
    .await
}

/// Reads all of the input in pooled buffers, until `forward` says that nobody wants more.
fn pump(input: &Input, mut forward: impl FnMut(Bytes) -> bool) -> Result<(), PublishError> {
    let file = open(input)?;
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential); // advice only
    let pool = Pool::new();
    let mut left = input.stamp.size;
    while left > 0 {
        let mut buffer = pool.take();
        let want = usize::try_from(left)
            .unwrap_or(BUFFER_BYTES)
            .min(BUFFER_BYTES);
        let len = fill(&file, &mut buffer[..want]).map_err(|source| unreadable(input, source))?;
        left -= len as u64;
        if len < want {
            return check_end(input, &file, input.stamp.size - left);
        }
        if !forward(pool.lend(buffer, len)) {
            return Ok(());
        }
    }
    check_end(input, &file, input.stamp.size)
}

fn digest_whole(chunks: &Receiver<Bytes>) -> Digest {
    let mut digester = Digester::new();
    for chunk in chunks {
        digester.update(&chunk);
    }
    digester.finish()
}

fn digest_pieces(chunks: &Receiver<Bytes>) -> Vec<Digest> {
    let mut digests = Vec::new();
    let mut digester = Digester::new();
    let mut in_piece = 0;
    for chunk in chunks {
        // A piece is a whole number of buffers, and only the last buffer is not full.
        digester.update(&chunk);
        in_piece += chunk.len() as u64;
        if in_piece == PIECE_BYTES {
            digests.push(std::mem::take(&mut digester).finish());
            in_piece = 0;
        }
    }
    if in_piece > 0 {
        digests.push(digester.finish());
    }
    digests
}

const _: () = assert!(PIECE_BYTES.is_multiple_of(BUFFER_BYTES as u64));

/// Opens an input and makes sure that it is the file that was scanned.
fn open(input: &Input) -> Result<File, PublishError> {
    // `NONBLOCK`: it may be a FIFO by now. It is a regular file again once the stamp fits.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(&input.path, flags, Mode::empty())
        .map_err(|errno| unreadable(input, errno.into()))?;
    let file = File::from(file);
    compare(
        input,
        &file
            .metadata()
            .map_err(|source| unreadable(input, source))?,
    )?;
    Ok(file)
}

/// Makes sure that the file ended where it should and was not touched since it was scanned.
fn check_end(input: &Input, file: &File, read: u64) -> Result<(), PublishError> {
    compare(
        input,
        &file
            .metadata()
            .map_err(|source| unreadable(input, source))?,
    )?;
    let mut beyond = [0];
    let more = fill(file, &mut beyond).map_err(|source| unreadable(input, source))?;
    if read != input.stamp.size || more > 0 {
        return Err(changed(input, "it ended elsewhere than its size says"));
    }
    let named = std::fs::symlink_metadata(&input.path);
    compare(input, &named.map_err(|source| unreadable(input, source))?)
}

fn compare(input: &Input, now: &std::fs::Metadata) -> Result<(), PublishError> {
    match input.stamp.difference(&Stamp::of(now)) {
        Some(what) => Err(changed(input, what)),
        None => Ok(()),
    }
}

fn changed(input: &Input, what: &'static str) -> PublishError {
    PublishError::InputChanged {
        path: input.path.clone(),
        what,
    }
}

fn unreadable(input: &Input, source: io::Error) -> PublishError {
    PublishError::Input {
        path: input.path.clone(),
        source,
    }
}

/// Reads until the buffer is full or the file ends; says how much that was.
fn fill(mut file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// A fixed set of buffers that come back when the last reader of their bytes is done.
struct Pool {
    home: SyncSender<Vec<u8>>,
    free: Receiver<Vec<u8>>,
}

/// A buffer on its way.
struct Lent {
    buffer: Vec<u8>,
    len: usize,
    home: SyncSender<Vec<u8>>,
}

impl Pool {
    fn new() -> Self {
        let (home, free) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            let _ = home.try_send(vec![0; BUFFER_BYTES]); // there is room for all of them
        }
        Self { home, free }
    }

    /// Waits for a free buffer.
    fn take(&self) -> Vec<u8> {
        // `self.home` lives, so that this cannot fail; a fresh buffer would be right all the same.
        self.free.recv().unwrap_or_else(|_| vec![0; BUFFER_BYTES])
    }

    fn lend(&self, buffer: Vec<u8>, len: usize) -> Bytes {
        let home = self.home.clone();
        Bytes::from_owner(Lent { buffer, len, home })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let _ = self.home.try_send(std::mem::take(&mut self.buffer)); // a pool that is gone needs none
    }
}
