//! An artifact that is open for sending: its mapping, which of its pieces were verified, what is in memory.
//!
//! Owns the promise that no byte is sent which was not hashed since the file was opened, and that a thread which
//! serves never waits for a disk: both kinds of work are done by [`Readers`]. Never writes to a socket
//! (`transmit.rs`), never decides about HTTP.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use lru::LruCache;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::sync::{OnceCell, Semaphore};

use crate::catalog::{self, Turns};
use crate::http::{Description, Representation, RepresentationError};
use crate::model::{ByteRange, Digest, Digester, Locator, PIECE_BYTES, ReleaseId};
use crate::store::{self, Key, Mapping, Store, StoreError};

/// Artifacts up to this size are held in memory, verified, instead of being mapped: below it a page fault and two
/// system calls to check the file cost more than the copy.
const INLINE_BYTES_MAX: u64 = 64 * 1024;

/// How much a reader asks the disk for at once, and how long it keeps a processor: hashing this much takes less than a
/// tenth of a millisecond. Also its only buffer.
const READ_BYTES: usize = 128 * 1024;

/// Why bytes that were promised cannot be sent. The connection breaks, or the answer is 500.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The release document lists the artifact, the store does not have it.
    #[error("the file is missing")]
    Missing,
    /// The file has another size than the release document says.
    #[error("the file has {actual} bytes, its release says {expected}")]
    Size {
        /// By the release document.
        expected: u64,
        /// By the file.
        actual: u64,
    },
    /// Bytes that are not the published ones.
    #[error("the {size} bytes from {offset} on are not the published ones", size = .0.len, offset = .0.offset)]
    Altered(ByteRange),
    /// The file was written to or cut while it was being sent.
    #[error("the file changed while it was being sent")]
    Changed,
    /// The disk or the file system failed.
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    /// The store could not open it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The release document gives it header values that no header can carry.
    #[error("its release document cannot be served")]
    Undescribable(#[source] RepresentationError),
}

/// What stands between a position and the socket.
#[derive(Debug, PartialEq, Eq)]
pub enum Gate {
    /// So many bytes are verified and in memory.
    Open(u64),
    /// The piece must be read first, away from the threads that serve.
    Prepare(usize),
    /// The file is no longer what was opened.
    Changed,
}

/// One file of a release, open.
#[derive(Debug)]
pub struct Artifact {
    key: Key,
    /// The precomputed headers.
    pub representation: Representation,
    content: Content,
    opened: Stamp,
    file: Arc<File>,
    is_damaged: AtomicBool,
}

#[derive(Debug)]
enum Content {
    Inline(Bytes),
    Mapped {
        mapping: Mapping,
        pieces: Box<[Piece]>,
    },
}

#[derive(Debug)]
struct Piece {
    expected: Digest,
    /// Set once the piece was hashed: whether it is what was published.
    is_good: OnceCell<bool>,
}

/// What of a file changes when somebody writes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<(Self, u64)> {
        let metadata = file.metadata()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok((
            Self {
                size: metadata.len(),
                modified,
            },
            metadata.nlink(),
        ))
    }
}

impl Artifact {
    /// Whether the file is still the one under its key, unwritten, and undamaged as far as is known.
    #[must_use]
    fn is_current(&self) -> bool {
        self.is_intact() && Stamp::of(&self.file).is_ok_and(|(_, links)| links > 0)
    }

    /// Whether the open file, under its key or not, is unwritten and undamaged as far as is known.
    fn is_intact(&self) -> bool {
        !self.is_damaged.load(Ordering::Relaxed) && self.is_unchanged()
    }

    /// A part as a body frame: verified bytes, or addresses of a mapping that only [`Gate`] lets through.
    ///
    /// # Panics
    /// When `range` is not inside the artifact, which the plan excludes.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "positions inside an inline artifact are small"
    )]
    pub fn frame(&self, range: ByteRange) -> Bytes {
        match &self.content {
            Content::Inline(bytes) => bytes.slice(range.offset as usize..range.end() as usize),
            Content::Mapped { mapping, .. } => mapping.slice(range),
        }
    }

    /// Where it is stored.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether its frames are addresses of a mapping.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        matches!(self.content, Content::Mapped { .. })
    }

    /// The position of an address inside this artifact's mapping.
    #[must_use]
    pub fn position_of(&self, address: *const u8) -> Option<u64> {
        match &self.content {
            Content::Inline(_) => None,
            Content::Mapped { mapping, .. } => mapping.position_of(address),
        }
    }

    /// What stands between `position` and the socket, for up to `wanted` bytes, which is at least one. Never waits for
    /// the disk.
    #[must_use]
    pub fn gate(&self, position: u64, wanted: u64) -> Gate {
        let Content::Mapped { pieces, .. } = &self.content else {
            return Gate::Open(wanted);
        };
        let index = piece_index(position);
        if let Some(piece) = pieces.get(index) {
            match piece.is_good.get() {
                Some(true) => {}
                Some(false) => return Gate::Changed,
                None => return Gate::Prepare(index),
            }
        }
        let end = (position + wanted).min(piece_range(index, self.opened.size).end());
        // Both ends: a piece that was read in order leaves memory from its start.
        let is_resident = self.is_resident(end - 1).and_then(|is_last| {
            Ok(is_last && (end - 1 == position || self.is_resident(position)?))
        });
        match is_resident {
            Ok(true) if self.is_unchanged() => Gate::Open(end - position),
            Ok(false) => Gate::Prepare(index),
            Ok(true) | Err(Changed) => Gate::Changed,
        }
    }

    /// Whether the piece after this one should be read ahead.
    #[must_use]
    pub fn wants_read_ahead(&self, index: usize) -> bool {
        let Content::Mapped { pieces, .. } = &self.content else {
            return false;
        };
        let range = piece_range(index, self.opened.size);
        let is_unverified = pieces
            .get(index)
            .is_some_and(|piece| piece.is_good.get().is_none());
        range.len > 0 && (is_unverified || !self.is_resident(range.end() - 1).unwrap_or(true))
    }

    /// Whether the file still has everything that was just handed to the kernel, unwritten since it was opened.
    ///
    /// A cut file's last page reads as zeros up to its end, so that looking only before a write is not enough.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        Stamp::of(&self.file).is_ok_and(|(stamp, _)| stamp == self.opened)
    }

    /// Asks the page cache for one byte, without waiting: is it there, and does the file still reach that far?
    fn is_resident(&self, position: u64) -> Result<bool, Changed> {
        let mut byte = [0];
        let mut buffers = [IoSliceMut::new(&mut byte)];
        match rustix::io::preadv2(&self.file, &mut buffers, position, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(Changed),
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            // A file system that cannot tell (some network ones): only the size is checked.
            Err(_) if self.is_unchanged() => Ok(true),
            Err(_) => Err(Changed),
        }
    }

    /// Reads the piece into memory and, the first time, verifies it. Blocks: call it on a reader's thread.
    fn read_piece(&self, index: usize, expected: Option<&Digest>) -> Result<bool, Damage> {
        let range = piece_range(index, self.opened.size);
        let mut digester = Digester::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut position = range.offset;
        while position < range.end() {
            let wanted = usize::try_from(range.end() - position)
                .unwrap_or(usize::MAX)
                .min(READ_BYTES);
            match self.file.read_at(&mut buffer[..wanted], position) {
                Ok(0) => return Err(Damage::Changed),
                Ok(read) => {
                    if expected.is_some() {
                        digester.update(&buffer[..read]);
                    }
                    position += read as u64;
                    // A serving thread that became runnable meanwhile goes first: a niceness alone is looked at only
                    // when the time slice ends, milliseconds later.
                    std::thread::yield_now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Damage::Unreadable(error)),
            }
        }
        Ok(expected.is_none_or(|expected| digester.finish() == *expected))
    }

    /// Makes a piece sendable: verified, and in memory a moment ago. Goes on when nobody waits any more: a client that
    /// breaks off leaves a verified piece to the next one instead of half a verification.
    #[must_use]
    pub fn prepare(self: &Arc<Self>, index: usize, readers: &Readers) -> Preparation {
        let work = Arc::clone(self).read_and_verify(index, readers.clone());
        Preparation(readers.runtime.spawn(work))
    }

    async fn read_and_verify(
        self: Arc<Self>,
        index: usize,
        readers: Readers,
    ) -> Result<(), Damage> {
        let Content::Mapped { pieces, .. } = &self.content else {
            return Ok(());
        };
        let Some(piece) = pieces.get(index) else {
            return Ok(());
        };
        let was_known = piece.is_good.get().is_some();
        let (me, expected) = (Arc::clone(&self), piece.expected);
        let hash = || readers.run(move || me.read_piece(index, Some(&expected)));
        if !*piece.is_good.get_or_try_init(hash).await? {
            let damage = Damage::Altered(piece_range(index, self.opened.size));
            if !self.is_damaged.swap(true, Ordering::Relaxed) {
                tracing::error!(key = %self.key, "damaged artifact `{}`: {damage}", self.key);
            }
            return Err(damage);
        }
        if was_known {
            // Verified before, but no longer in memory.
            let me = Arc::clone(&self);
            readers.run(move || me.read_piece(index, None)).await?;
        }
        Ok(())
    }
}

/// A piece on its way into memory.
#[derive(Debug)]
pub struct Preparation(tokio::task::JoinHandle<Result<(), Damage>>);

impl Future for Preparation {
    type Output = Result<(), Damage>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(outcome.unwrap_or_else(|gone| Err(Damage::Unreadable(io::Error::other(gone)))))
    }
}

/// The file is no longer what was opened.
struct Changed;

fn piece_index(position: u64) -> usize {
    usize::try_from(position / PIECE_BYTES).unwrap_or(usize::MAX)
}

fn piece_range(index: usize, size: u64) -> ByteRange {
    let offset = (index as u64).saturating_mul(PIECE_BYTES).min(size);
    ByteRange::new(offset, PIECE_BYTES.min(size - offset))
}

/// Threads that read and hash for those that serve, without getting into their way: few at a time, at a low priority,
/// and a tenth of a millisecond at a stretch. A flood of cold downloads then slows itself down and not the hot ones.
#[derive(Clone, Debug)]
pub struct Readers {
    runtime: tokio::runtime::Handle,
    permits: Arc<Semaphore>,
}

/// How much nicer than the serving threads. Beside a serving thread that never rests two readers keep a sixth of
/// its processor, so that cold downloads go on; whatever hot requests leave over is theirs anyway.
const READER_NICENESS: i32 = 10;

/// Readers at work for each processor: one may wait for a disk while another hashes. More would only queue for the
/// processor, where they outweigh the serving thread together.
const READERS_PER_PROCESSOR: usize = 2;

impl Readers {
    /// A runtime for at most `threads_max` readers; keep it alive as long as the handle is used.
    pub fn start(threads_max: usize) -> io::Result<(tokio::runtime::Runtime, Self)> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = (processors * READERS_PER_PROCESSOR).clamp(1, threads_max.max(1));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(threads)
            .thread_name("headwater-read")
            .on_thread_start(|| {
                // On Linux this is the calling thread's own value; refused, all threads are equal, which is only slower.
                let _ = rustix::process::setpriority_process(None, READER_NICENESS);
            })
            .build()?;
        let readers = Self {
            runtime: runtime.handle().clone(),
            permits: Arc::new(Semaphore::new(threads)),
        };
        Ok((runtime, readers))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Damage> + Send + 'static,
    ) -> Result<T, Damage> {
        let _permit = self.permits.acquire().await;
        match self.runtime.spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(gone) => Err(Damage::Unreadable(io::Error::other(gone))),
        }
    }
}

/// The artifacts that are open, at most so many; the least recently asked for is closed first.
#[derive(Debug)]
pub struct OpenArtifacts {
    store: Arc<dyn Store>,
    readers: Readers,
    open: Mutex<LruCache<Key, Arc<Artifact>>>,
    opening: Turns,
}

impl OpenArtifacts {
    /// None open yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, readers: Readers, open_max: usize) -> Self {
        let open_max = NonZeroUsize::new(open_max).unwrap_or(NonZeroUsize::MIN);
        Self {
            store,
            readers,
            open: Mutex::new(LruCache::new(open_max)),
            opening: Turns::new(),
        }
    }

    /// Those who read for the serving threads.
    #[must_use]
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Opens an artifact of a release, or finds it open and unchanged.
    pub async fn open(
        &self,
        release: &ReleaseId,
        artifact: &catalog::Artifact,
        description: &Description<'_>,
    ) -> Result<Arc<Artifact>, Damage> {
        let locator = Locator::Artifact(release.clone(), artifact.name.clone());
        let key = Key::of(&locator).ok_or(Damage::Missing)?;
        // One opens; whoever comes meanwhile finds it open, so that a flash crowd shares one descriptor, one mapping
        // and one verification.
        let _opening = self.opening.take(&key).await;
        let open = self.entries().get(&key).cloned();
        if let Some(open) = open.as_ref().filter(|open| open.is_current()) {
            return Ok(Arc::clone(open));
        }
        let representation = Representation::new(description).map_err(Damage::Undescribable)?;
        let opened = match self.open_new(key.clone(), artifact, representation).await {
            Ok(opened) => Arc::new(opened),
            // Only its name is gone: what is open is still what was published.
            Err(error) => return open.filter(|open| open.is_intact()).ok_or(error),
        };
        let evicted = self.entries().push(key, Arc::clone(&opened));
        drop(evicted); // not under the lock: unmapping gigabytes takes a while
        Ok(opened)
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<Key, Arc<Artifact>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open_new(
        &self,
        key: Key,
        artifact: &catalog::Artifact,
        representation: Representation,
    ) -> Result<Artifact, Damage> {
        let blob = self.store.open(&key).await?.ok_or(Damage::Missing)?;
        let store::Content::File(file) = blob.content else {
            todo!()
        };
        let (opened, _links) = Stamp::of(&file).map_err(Damage::Unreadable)?;
        if opened.size != artifact.size {
            return Err(Damage::Size {
                expected: artifact.size,
                actual: opened.size,
            });
        }
        let content = if artifact.size <= INLINE_BYTES_MAX {
            let (file, size, expected) = (Arc::clone(&file), artifact.size, artifact.sha256);
            self.readers
                .run(move || read_inline(&file, size, &expected))
                .await?
        } else {
            let mapping = Mapping::new(&file, artifact.size);
            let pieces = artifact.pieces.sha256.iter().map(|expected| Piece {
                expected: *expected,
                is_good: OnceCell::new(),
            });
            Content::Mapped {
                mapping: mapping.map_err(Damage::Unreadable)?,
                pieces: pieces.collect(),
            }
        };
        let is_damaged = AtomicBool::new(false);
        Ok(Artifact {
            key,
            representation,
            content,
            opened,
            file,
            is_damaged,
        })
    }
}

/// Reads and verifies a small artifact whole.
fn read_inline(file: &File, size: u64, expected: &Digest) -> Result<Content, Damage> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Damage::Changed,
            _ => Damage::Unreadable(error),
        })?;
    if Digest::of(&bytes) != *expected {
        return Err(Damage::Altered(ByteRange::whole(size)));
    }
    Ok(Content::Inline(bytes.into()))
}
