//! Publishing: from files on a release engineer's disk to a committed release, and everything after it.
//!
//! Owns the order of steps: artifacts, then the release document (the commit), then the channel. Writes only
//! through the store contract; never prints, never reads the clock (it is handed one).

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::catalog::{Channel, Release};
use crate::model::{ArtifactName, ChannelName, Clock, Platform, Product, ReleaseId};
use crate::store::Store;

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

/// `retired.json` (schema 1): why a release's bytes are gone.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Retirement {
    /// 1.
    pub schema: u32,
    /// Whole seconds.
    pub retired_at: Timestamp,
    /// In the operator's words.
    pub reason: String,
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
}

/// Why an operation was not done. Each variant belongs to one exit code (see `PublishError::kind`).
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Filled in by the owner of this module.
    #[error("placeholder")]
    Placeholder,
}

/// Whose fault an error is, and so which exit code it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The operation failed: I/O, a lost race that was retried too often. Exit code 1.
    Failed,
    /// The request makes no sense. Exit code 2.
    Usage,
    /// Doing it would break immutability or a channel. Exit code 3.
    Refused,
    /// No such product, version, channel. Exit code 4.
    NotFound,
    /// What is stored is not what was published. Exit code 5.
    Damaged,
}

impl PublishError {
    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Failed
    }
}

impl Publisher {
    /// A publisher to `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Scans, ingests and commits a release.
    pub async fn publish(
        &self,
        _request: PublishRequest,
        _progress: Arc<dyn Progress>,
    ) -> Result<Published, PublishError> {
        Err(PublishError::Placeholder)
    }

    /// Points `channel` at a committed release.
    pub async fn promote(
        &self,
        _id: &ReleaseId,
        _channel: &ChannelName,
        _reason: Option<String>,
    ) -> Result<Moved, PublishError> {
        Err(PublishError::Placeholder)
    }

    /// Points `channel` back at the release before.
    pub async fn rollback(
        &self,
        _product: &Product,
        _channel: &ChannelName,
        _reason: Option<String>,
    ) -> Result<Moved, PublishError> {
        Err(PublishError::Placeholder)
    }

    /// Takes a release's bytes away for good; its document stays.
    pub async fn retire(
        &self,
        _id: &ReleaseId,
        _reason: String,
    ) -> Result<Retirement, PublishError> {
        Err(PublishError::Placeholder)
    }

    /// Retires all but the newest `keep` releases of each product and removes litter; never what a channel names.
    pub async fn prune(&self, _keep: usize, _mode: Mode) -> Result<Pruned, PublishError> {
        Err(PublishError::Placeholder)
    }

    /// All releases, of one product or of all, oldest first within each product.
    pub async fn releases(&self, _product: Option<&Product>) -> Result<Vec<Listed>, PublishError> {
        Err(PublishError::Placeholder)
    }

    /// One release, with the bytes of its document.
    pub async fn show(&self, _id: &ReleaseId) -> Result<(Listed, Bytes), PublishError> {
        Err(PublishError::Placeholder)
    }

    /// All channels, of one product or of all.
    pub async fn channels(&self, _product: Option<&Product>) -> Result<Vec<Channel>, PublishError> {
        Err(PublishError::Placeholder)
    }

    /// Re-hashes what is stored against the release documents.
    pub async fn verify(
        &self,
        _product: Option<&Product>,
        _version: Option<&crate::model::Version>,
        _progress: Arc<dyn Progress>,
    ) -> Result<Verified, PublishError> {
        Err(PublishError::Placeholder)
    }
}
