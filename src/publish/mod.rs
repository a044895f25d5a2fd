//! Publishing: from files on a release engineer's disk to a committed release, and everything after it.
//!
//! Owns the order of steps: artifacts, then the release document (the commit), then the channel. Writes only
//! through the store contract; never prints, never reads the clock (it is handed one).
//!
//! Read next: `commit.rs` for a publish from end to end, `promote.rs` for channels, `retention.rs` for the end of a
//! release's life.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::catalog::{Channel, Release};
use crate::model::{
    ArtifactName, ChannelName, Clock, Digest, Platform, Product, ReleaseId, Version,
};
use crate::store::Store;

mod commit;
mod content_type;
mod error;
mod ingest;
mod inventory;
mod promote;
mod records;
mod retention;
mod scan;
mod verify;

pub use crate::catalog::Retirement;
pub use error::{ErrorKind, PublishError};

/// Everything a release engineer may do to a store.
#[derive(Clone)]
pub struct Publisher {
    store: Arc<dyn Store>,
    clock: Clock,
}

/// What to publish.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The release to create.
    pub id: ReleaseId,
    /// Files, named by their base name, and directories, whose files are named by their path below them.
    pub paths: Vec<PathBuf>,
    /// Which artifact runs on what.
    pub platforms: Vec<(ArtifactName, Platform)>,
    /// Free text for people.
    pub notes: Option<String>,
    /// Whether to write.
    pub mode: Mode,
}

/// Whether an operation writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Do it.
    Commit,
    /// Only find out what would be done.
    DryRun,
}

/// A publish that succeeded.
#[derive(Clone, Debug)]
pub struct Published {
    /// Whether this call created the release.
    pub state: PublishState,
    /// The committed release (in a dry run: the one that would be).
    pub release: Release,
}

/// Whether a publish created its release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublishState {
    /// This call committed it.
    Published,
    /// It was there already, with the same bytes.
    Unchanged,
}

/// A promote or rollback that succeeded.
#[derive(Clone, Debug)]
pub struct Moved {
    /// False when the channel already pointed there.
    pub changed: bool,
    /// The channel as it is now.
    pub channel: Channel,
}

/// Told how far an ingest is; a command line draws it, a test counts it.
pub trait Progress: Send + Sync {
    /// The input has been scanned: so many files, so many bytes.
    fn total(&self, files: u64, bytes: u64);
    /// So many more bytes were read.
    fn advance(&self, bytes: u64);
}

/// Nobody looks.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn total(&self, _files: u64, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
}

/// One stored release in a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its document.
    pub release: Release,
    /// Set when its bytes were taken away.
    pub retired: Option<Retirement>,
    /// The channels that name it now.
    pub channels: Vec<ChannelName>,
}

/// What a listing found. Damage in one document is no reason to keep silent about all others.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// What can be read, in order.
    pub found: Vec<T>,
    /// The documents that cannot be read; empty when all is well.
    pub damage: Vec<Damage>,
}

/// What the store says that its URLs answer with.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Every channel whose document can be read.
    pub channels: Vec<StatedChannel>,
    /// Every release whose documents can be read.
    pub releases: Vec<StatedRelease>,
    /// The documents that cannot be read; empty when all is well.
    pub damage: Vec<Damage>,
}

/// A document by its very bytes: unknown fields of a newer program's are part of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stated {
    /// How many they are.
    pub size: u64,
    /// Of them.
    pub sha256: Digest,
}

/// A channel and its document.
#[derive(Clone, Debug)]
pub struct StatedChannel {
    /// What it means.
    pub channel: Channel,
    /// What is served.
    pub document: Stated,
}

/// A release and its document.
#[derive(Clone, Debug)]
pub struct StatedRelease {
    /// What it means.
    pub release: Release,
    /// What is served, unless it is retired.
    pub document: Stated,
    /// Its URLs have answered with nothing since.
    pub is_retired: bool,
}

/// One thing that is wrong in the store.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Damage {
    /// The store key of the file.
    pub key: String,
    /// What is wrong with it, with expected and actual values.
    pub what: String,
}

/// What a verification looked at and found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Releases whose documents were read.
    pub releases: u64,
    /// Artifacts that were re-hashed.
    pub artifacts: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Empty when all is well.
    pub damage: Vec<Damage>,
}

/// What a prune retired (or would) and what litter it removed (or would).
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// Releases whose bytes were taken away.
    pub retired: Vec<ReleaseId>,
    /// Left-overs of publishes that never committed: key and size.
    pub litter: Vec<(String, u64)>,
    /// All bytes freed.
    pub bytes: u64,
    /// The documents that cannot be read, sorted by key. Their releases were left alone, and so were all releases of a
    /// product with such a channel: nobody knows which of them it names.
    pub damage: Vec<Damage>,
}

impl Publisher {
    /// A publisher to `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Scans, ingests and commits a release. A version that is committed already is compared instead: with the same
    /// bytes (notes and platforms do not count) it is [`PublishState::Unchanged`], with others it is refused; one whose
    /// stored artifacts are not there in full size is damaged.
    pub async fn publish(
        &self,
        request: PublishRequest,
        progress: Arc<dyn Progress>,
    ) -> Result<Published, PublishError> {
        commit::publish(self, request, progress).await
    }

    /// Points `channel` at a committed release.
    pub async fn promote(
        &self,
        id: &ReleaseId,
        channel: &ChannelName,
        reason: Option<String>,
    ) -> Result<Moved, PublishError> {
        promote::promote(self, id, channel, reason).await
    }

    /// Points `channel` back at the release before.
    pub async fn rollback(
        &self,
        product: &Product,
        channel: &ChannelName,
        reason: Option<String>,
    ) -> Result<Moved, PublishError> {
        promote::rollback(self, product, channel, reason).await
    }

    /// Takes a release's bytes away for good; its document stays, and so has to be readable. Repeated, it
    /// finishes what a crash left.
    pub async fn retire(&self, id: &ReleaseId, reason: String) -> Result<Retirement, PublishError> {
        retention::retire(self, id, reason).await
    }

    /// Retires all but the newest `keep` releases of each product and removes litter; never what a channel names,
    /// and never a release whose documents cannot be read.
    pub async fn prune(&self, keep: usize, mode: Mode) -> Result<Pruned, PublishError> {
        retention::prune(self, None, keep, mode).await
    }

    /// The same for one product, looking at nothing of another one.
    pub async fn prune_product(
        &self,
        product: &Product,
        keep: usize,
        mode: Mode,
    ) -> Result<Pruned, PublishError> {
        retention::prune(self, Some(product), keep, mode).await
    }

    /// All releases, of one product or of all, oldest first within each product.
    pub async fn releases(
        &self,
        product: Option<&Product>,
    ) -> Result<Listing<Listed>, PublishError> {
        records::releases(&*self.store, product).await
    }

    /// One release, with the bytes of its document.
    pub async fn show(&self, id: &ReleaseId) -> Result<(Listed, Bytes), PublishError> {
        records::show(&*self.store, id).await
    }

    /// One channel.
    pub async fn channel(
        &self,
        product: &Product,
        name: &ChannelName,
    ) -> Result<Channel, PublishError> {
        let (channel, _tag) = promote::current(&*self.store, product, name).await?;
        Ok(channel)
    }

    /// All channels, of one product or of all, sorted by product and name.
    pub async fn channels(
        &self,
        product: Option<&Product>,
    ) -> Result<Listing<Channel>, PublishError> {
        records::channels(&*self.store, product).await
    }

    /// What its URLs answer with, of one product or of all.
    pub async fn inventory(&self, product: Option<&Product>) -> Result<Inventory, PublishError> {
        inventory::inventory(&*self.store, product).await
    }

    /// Re-hashes what is stored against the release documents. Damage is found and reported, not an error: the rest is
    /// looked at all the same. Only a document with a newer schema is an error, here as everywhere.
    pub async fn verify(
        &self,
        product: Option<&Product>,
        version: Option<&Version>,
        progress: Arc<dyn Progress>,
    ) -> Result<Verified, PublishError> {
        verify::verify(&self.store, product, version, progress).await
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Runs blocking work on the runtime's threads for that.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Nobody aborts it, and a runtime that ends does not poll who waits for it: it panicked.
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
