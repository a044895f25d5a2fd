//! The store contract: what publishing, the catalog and the origin need of the place where bytes live.
//!
//! Owns the verbs and what each promises. Never knows a release or a channel: keys are opaque. The directory
//! store is in `disk.rs`, the one in a bucket in `s3.rs`, and one suite of tests (`tests/it/store_contract.rs`) holds every store to this contract.

use std::fmt::Debug;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{ByteRange, Digest, Locator, PIECE_BYTES, Product, ReleaseId};

pub mod disk;
mod mapping;
pub mod s3;

pub use mapping::Mapping;

/// How often a waiting publisher asks again. Far below what a person notices, far above what asking costs (20 µs).
const RESERVE_INTERVAL: Duration = Duration::from_millis(20);

/// Where one object lives: the decoded URL path without its leading slash. Only a [`Locator`] makes one, so that a
/// key always obeys the naming rules.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key(String);

impl Key {
    /// The key of a stored object; `None` for URLs behind which nothing is stored.
    #[must_use]
    pub fn of(locator: &Locator) -> Option<Self> {
        locator.to_store_key().map(Self)
    }

    /// Reads a key from a listing; `None` for what obeys no naming rule and so is no object of this store.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(&Locator::from_store_key(text)?)
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is reserved to write this object: the folder of its release, see [`scope_of`], or the folder it is in.
    #[must_use]
    pub fn scope(&self) -> &str {
        let ends = self.0.match_indices('/').map(|(at, _)| at);
        let end = ends.take(3).last().unwrap_or_default();
        &self.0[..end]
    }
}

/// What is reserved to publish, promote or retire a release.
#[must_use]
pub fn scope_of(release: &ReleaseId) -> String {
    format!("artifacts/{}/{}", release.product, release.version)
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The decoded key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A small object read whole, with the tag that [`Store::swap`] wants back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// The bytes.
    pub bytes: Bytes,
    /// Names exactly these bytes; equal bytes may have equal tags.
    pub tag: Tag,
}

/// Names one state of a mutable object: its digest in a directory, its `ETag` in S3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag(pub String);

/// What became of a [`Store::put_new`] or a finished [`Upload`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Created {
    /// The object is durable under its key.
    New,
    /// The key is taken; nothing was changed, whatever the bytes there are.
    Taken,
}

/// What became of a [`Store::swap`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Swapped {
    /// The object now has the new bytes, durably.
    Done,
    /// Somebody else was faster; nothing was changed.
    Lost,
}

/// An object that is being read. It stays the object that was opened, even when the key is removed or replaced.
#[derive(Clone, Debug)]
pub struct Blob {
    /// How its bytes are reached.
    pub content: Content,
    /// Its size when it was opened.
    pub size: u64,
}

/// How the bytes of an open object are reached.
#[derive(Clone, Debug)]
pub enum Content {
    /// By a file of this machine.
    File(Arc<File>),
    /// By asking another machine.
    Remote(Arc<dyn Remote>),
}

/// An open object on another machine.
#[async_trait]
pub trait Remote: Send + Sync + Debug {
    /// Reads exactly `range`, which is inside the object and small enough for memory. An object that was replaced or
    /// removed since it was opened is an error, never other bytes.
    async fn read(&self, range: ByteRange) -> Result<Bytes, StoreError>;
}

/// What is known of an object before it is written. A remote store wants all of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, for a store that answers requests itself.
    pub content_type: Option<String>,
    /// Its digests.
    pub digests: Option<Digests>,
}

impl Facts {
    /// Nothing but the size.
    #[must_use]
    pub fn of_size(size: u64) -> Self {
        Self {
            size,
            content_type: None,
            digests: None,
        }
    }
}

/// The digests of an object's bytes. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digests {
    /// Of all of them.
    pub whole: Digest,
    /// Of each [`PIECE_BYTES`].
    pub pieces: Arc<[Digest]>,
}

impl Digests {
    /// Whether `bytes` are what begins at the piece `first`. Hashes them.
    #[must_use]
    pub fn has(&self, first: usize, bytes: &[u8]) -> bool {
        let piece_bytes = usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX);
        let pieces = self.pieces.get(first..).unwrap_or_default();
        let chunks = bytes.chunks(piece_bytes);
        chunks.len() <= pieces.len()
            && chunks
                .zip(pieces)
                .all(|(chunk, piece)| Digest::of(chunk) == *piece)
    }
}

/// An immutable object on its way into the store. Dropping it before [`Upload::finish`] leaves nothing visible.
#[async_trait]
pub trait Upload: Send {
    /// Appends `chunk`.
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError>;

    /// Makes the object visible, unless its key is taken. It is durable once [`Store::settle`] has returned.
    async fn finish(self: Box<Self>) -> Result<Created, StoreError>;
}

/// Keeps other publishers out of one scope until it is dropped. Dies with its process.
#[async_trait]
pub trait Reservation: Send + Sync {
    /// Whether it still does, and will for some seconds. One in another machine's hands can be lost when that machine
    /// cannot be reached for long.
    async fn confirm(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// A place where bytes live.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// How messages name this store: a directory's path or a bucket's URL.
    fn describe(&self) -> String;

    /// Whether bytes travel to another machine. Then they are worth being hashed first and sent only when they are not
    /// there ([`Store::holds`]), and a failed publish keeps what it has sent for the next one.
    fn is_remote(&self) -> bool {
        false
    }

    /// The size of an object, `None` when there is none.
    async fn stat(&self, key: &Key) -> Result<Option<u64>, StoreError>;

    /// Opens an object for reading, `None` when there is none. Refuses anything but a regular file that is not a link.
    async fn open(&self, key: &Key) -> Result<Option<Blob>, StoreError>;

    /// Reads a small object whole, `None` when there is none. One above `size_max` bytes is an error.
    async fn read(&self, key: &Key, size_max: u64) -> Result<Option<Document>, StoreError>;

    /// Whether the object is there with exactly these bytes, as far as the store can say without reading it. A store
    /// that does not know says no.
    async fn holds(&self, _key: &Key, _facts: &Facts) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Starts an immutable object. Nothing is visible before [`Upload::finish`], which refuses another count of bytes
    /// than announced; a remote store may refuse other bytes too, as invalid data.
    async fn create(&self, key: &Key, facts: &Facts) -> Result<Box<dyn Upload>, StoreError>;

    /// Makes finished uploads durable: all of them together, because thousands of waits for the disk are thousands
    /// of times slower than one. A store whose uploads are durable when they finish has nothing to do here.
    async fn settle(&self, keys: &[Key]) -> Result<(), StoreError>;

    /// Creates a small immutable object durably, or reports that its key is taken. Never replaces.
    async fn put_new(&self, key: &Key, bytes: Bytes) -> Result<Created, StoreError>;

    /// Replaces the object tagged `expected` (`None`: no object yet) by `bytes`, durably and all at once.
    async fn swap(
        &self,
        key: &Key,
        expected: Option<&Tag>,
        bytes: Bytes,
    ) -> Result<Swapped, StoreError>;

    /// Every object whose key starts with `prefix`, which ends in `/`, sorted by key. Empty where there is none.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// The names of the folders directly below `prefix`, which ends in `/`, sorted.
    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Removes objects durably, in the order given; one that is not there is no error.
    async fn remove(&self, keys: &[Key]) -> Result<(), StoreError>;

    /// Keeps other publishers out of `scope` until the reservation is dropped; `None` when one holds it.
    async fn try_reserve(&self, scope: &str) -> Result<Option<Box<dyn Reservation>>, StoreError>;

    /// Keeps other publishers out of `scope` until the reservation is dropped; waits for one who holds it. Asks again
    /// and again instead of blocking a thread, so that dropping the future ends the wait.
    async fn reserve(&self, scope: &str) -> Result<Box<dyn Reservation>, StoreError> {
        let mut is_waiting = false;
        loop {
            if let Some(reservation) = self.try_reserve(scope).await? {
                return Ok(reservation);
            }
            if !is_waiting {
                tracing::info!(scope, "waiting for another command that holds {scope}");
                is_waiting = true;
            }
            tokio::time::sleep(self.reserve_interval()).await;
        }
    }

    /// How often [`Store::reserve`] asks again.
    fn reserve_interval(&self) -> Duration {
        RESERVE_INTERVAL
    }

    /// Whether the store can be read at all: the question behind `/readyz`.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Removes what dead publishers left behind (never anything visible, never a live publisher's), and says how much.
    async fn sweep(&self, mode: Sweep) -> Result<Vec<Entry>, StoreError>;

    /// The same for what is certainly of one product, asking for nothing of another one: a publisher's permissions may
    /// end there. A store that cannot tell whose a left-over is leaves all of them to [`Store::sweep`].
    async fn sweep_product(
        &self,
        _product: &Product,
        _mode: Sweep,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }
}

/// Whether [`Store::sweep`] removes or only looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sweep {
    /// List what would go.
    DryRun,
    /// Remove it.
    Remove,
}

/// What went wrong in a store: which step on which object, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{subject}`")]
pub struct StoreError {
    /// What was tried: "open", "create", "list", …
    pub action: &'static str,
    /// On what: a path, or a key with its store.
    pub subject: String,
    /// Why it failed.
    pub source: std::io::Error,
}

impl StoreError {
    /// Names the step and the object of an I/O error.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a subject is a temporary `path.display()` or a borrowed key; both read well without `&`"
    )]
    pub fn new(action: &'static str, subject: impl ToString, source: std::io::Error) -> Self {
        Self {
            action,
            subject: subject.to_string(),
            source,
        }
    }
}

/// The tag of bytes in a store that has no tags of its own.
#[must_use]
pub fn tag_of(bytes: &[u8]) -> Tag {
    Tag(Digest::of(bytes).to_hex())
}
