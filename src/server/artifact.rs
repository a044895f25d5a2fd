//! An artifact that is open for sending, wherever its bytes are: in memory, in a file, or in blocks.
//!
//! Owns the promise that no byte is sent which was not hashed since the artifact was opened or its block came into
//! memory, and that a thread which serves never waits: what takes time is a [`Preparation`]. Never writes to a socket
//! (`transmit.rs`), never decides about HTTP. Read next: `artifact/mapped.rs` for files, `blocks.rs` for what is in a
//! bucket.

use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use lru::LruCache;
use tokio::task::JoinHandle;

use super::blocks::{Blocks, Source};
use super::damage::Damage;
use super::payload::Frame;
use super::readers::Readers;
use crate::catalog::{self, Turns};
use crate::http::{Description, Representation};
use crate::model::{ByteRange, Digest, Locator, PIECE_BYTES, ReleaseId};
use crate::store::{self, Key, Store, StoreError};

mod mapped;

pub use self::mapped::{Mapped, OpenFile};

/// Artifacts up to this size are held in memory, verified, instead of being mapped: below it a page fault and two
/// system calls to check the file cost more than the copy.
const INLINE_BYTES_MAX: u64 = 64 * 1024;

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
}

/// Where the bytes of an artifact are.
#[derive(Debug)]
pub enum Content {
    /// Here, and where they were read from, if that was a file of this machine.
    Inline(Bytes, Option<OpenFile>),
    /// In a file of this machine.
    Mapped(Arc<Mapped>),
    /// In the store's own place, and near it in blocks.
    Remote(Remote),
}

/// An artifact that is sent block by block.
#[derive(Clone, Debug)]
pub struct Remote {
    /// All blocks of the server.
    pub blocks: Arc<Blocks>,
    /// Which are this artifact's.
    pub source: Arc<Source>,
}

impl Artifact {
    /// Where it is stored.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Where its bytes are.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Whether its frames are positions, which only `transmit.rs` turns into bytes.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        !matches!(self.content, Content::Inline(..))
    }

    /// A part as a body frame: verified bytes, or a position that has to pass [`Gate`].
    ///
    /// # Panics
    /// When `range` is not inside the artifact, which the plan excludes.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "positions inside an inline artifact are small"
    )]
    pub fn frame(&self, range: ByteRange) -> Frame {
        match &self.content {
            Content::Inline(bytes, _) => {
                Frame::Bytes(bytes.slice(range.offset as usize..range.end() as usize))
            }
            Content::Mapped(_) | Content::Remote(_) => Frame::Stored(range),
        }
    }

    /// What stands between `position` and the socket, for up to `wanted` bytes, which is at least one. Never waits.
    #[must_use]
    pub fn gate(&self, position: u64, wanted: u64) -> Gate {
        match &self.content {
            Content::Inline(..) => Gate::Open(wanted),
            Content::Mapped(mapped) => mapped.gate(position, wanted),
            Content::Remote(remote) => {
                let index = piece_index(position);
                if remote.blocks.is_in_memory(&remote.source, index) {
                    Gate::Open(wanted.min(remote.source.range(index).end() - position))
                } else {
                    Gate::Prepare(index)
                }
            }
        }
    }

    /// Whether bytes that were just handed to the kernel may have been changed under it.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        match &self.content {
            Content::Inline(..) | Content::Remote(_) => true,
            Content::Mapped(mapped) => mapped.is_unchanged(),
        }
    }

    /// Whether it may be found again: still under its key and undamaged, as far as is known.
    fn is_current(&self) -> bool {
        match &self.content {
            Content::Inline(_, Some(file)) => file.is_current(),
            Content::Inline(_, None) | Content::Remote(_) => true,
            Content::Mapped(mapped) => mapped.is_current(),
        }
    }

    /// Whether what is open, still under its key or not, is what was published, as far as is known.
    fn is_intact(&self) -> bool {
        match &self.content {
            Content::Inline(_, Some(file)) => file.is_unchanged(),
            Content::Inline(_, None) | Content::Remote(_) => true,
            Content::Mapped(mapped) => mapped.is_intact(),
        }
    }

    /// Makes a piece sendable: verified, and in memory a moment ago. Goes on when nobody waits any more: a client that
    /// breaks off leaves a verified piece to the next one instead of half a verification.
    #[must_use]
    pub fn prepare(&self, index: usize, readers: &Readers) -> Preparation {
        match &self.content {
            Content::Inline(..) => Preparation::Piece(readers.runtime().spawn(async { Ok(()) })),
            Content::Mapped(mapped) => {
                let mapped = Arc::clone(mapped);
                let work = mapped.read_and_verify(self.key.clone(), index, readers.clone());
                Preparation::Piece(readers.runtime().spawn(work))
            }
            Content::Remote(remote) => {
                Preparation::Block(remote.blocks.load(&remote.source, index))
            }
        }
    }
}

/// A piece on its way into memory.
#[derive(Debug)]
pub enum Preparation {
    /// Of a file.
    Piece(JoinHandle<Result<(), Damage>>),
    /// Of a remote artifact.
    Block(JoinHandle<Result<Bytes, Damage>>),
}

impl Future for Preparation {
    /// The bytes of a block; a file's stay where they are.
    type Output = Result<Option<Bytes>, Damage>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let joined = match self.get_mut() {
            Self::Piece(task) => {
                ready!(Pin::new(task).poll(cx)).map(|outcome| outcome.map(|()| None))
            }
            Self::Block(task) => ready!(Pin::new(task).poll(cx)).map(|outcome| outcome.map(Some)),
        };
        Poll::Ready(joined.unwrap_or_else(|gone| Err(Damage::Unreadable(io::Error::other(gone)))))
    }
}

/// The piece in which `position` is.
#[must_use]
pub fn piece_index(position: u64) -> usize {
    usize::try_from(position / PIECE_BYTES).unwrap_or(usize::MAX)
}

/// Where a piece of an artifact of `size` bytes is.
#[must_use]
pub fn piece_range(index: usize, size: u64) -> ByteRange {
    let offset = (index as u64).saturating_mul(PIECE_BYTES).min(size);
    ByteRange::new(offset, PIECE_BYTES.min(size - offset))
}

/// The artifacts that are open, at most so many; the least recently asked for is closed first.
#[derive(Debug)]
pub struct OpenArtifacts {
    store: Arc<dyn Store>,
    /// `Some`: the store is on another machine.
    blocks: Option<Arc<Blocks>>,
    readers: Readers,
    open: Mutex<LruCache<Key, Arc<Artifact>>>,
    opening: Turns,
}

impl OpenArtifacts {
    /// None open yet.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        blocks: Option<Arc<Blocks>>,
        readers: Readers,
        open_max: usize,
    ) -> Self {
        let open_max = NonZeroUsize::new(open_max).unwrap_or(NonZeroUsize::MIN);
        Self {
            store,
            blocks,
            readers,
            open: Mutex::new(LruCache::new(open_max)),
            opening: Turns::new(),
        }
    }

    /// What is kept near of a store on another machine.
    #[must_use]
    pub fn blocks(&self) -> Option<&Blocks> {
        self.blocks.as_deref()
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
        let content = match &self.blocks {
            Some(blocks) => self.open_remote(&key, artifact, blocks).await?,
            None => self.open_file(&key, artifact).await?,
        };
        Ok(Artifact {
            key,
            representation,
            content,
        })
    }

    /// Asks nothing of the store for a large artifact: the blocks that are near may be all that is wanted.
    async fn open_remote(
        &self,
        key: &Key,
        artifact: &catalog::Artifact,
        blocks: &Arc<Blocks>,
    ) -> Result<Content, Damage> {
        let store = Arc::clone(&self.store);
        let source = Arc::new(Source::new(store, key.clone(), artifact));
        if artifact.size == 0 {
            return Ok(Content::Inline(Bytes::new(), None));
        }
        if artifact.size <= INLINE_BYTES_MAX {
            let whole = Preparation::Block(blocks.load(&source, 0)).await?;
            return Ok(Content::Inline(whole.unwrap_or_default(), None));
        }
        let blocks = Arc::clone(blocks);
        Ok(Content::Remote(Remote { blocks, source }))
    }

    async fn open_file(&self, key: &Key, artifact: &catalog::Artifact) -> Result<Content, Damage> {
        let blob = self.store.open(key).await?.ok_or(Damage::Missing)?;
        let store::Content::File(file) = blob.content else {
            let unsupported = io::ErrorKind::Unsupported.into();
            return Err(StoreError::new("map", key, unsupported).into());
        };
        let file = OpenFile::new(file).map_err(Damage::Unreadable)?;
        if file.size() != artifact.size {
            return Err(Damage::Size {
                expected: artifact.size,
                actual: file.size(),
            });
        }
        if artifact.size <= INLINE_BYTES_MAX {
            let expected = artifact.sha256;
            return self.readers.run(move || read_inline(file, &expected)).await;
        }
        let mapped = Mapped::new(file, &artifact.pieces.sha256);
        Ok(Content::Mapped(Arc::new(
            mapped.map_err(Damage::Unreadable)?,
        )))
    }
}

/// Reads and verifies a small artifact whole.
fn read_inline(file: OpenFile, expected: &Digest) -> Result<Content, Damage> {
    let bytes = file.read()?;
    if Digest::of(&bytes) != *expected {
        return Err(Damage::Altered(ByteRange::whole(file.size())));
    }
    Ok(Content::Inline(bytes.into(), Some(file)))
}
