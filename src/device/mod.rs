//! The reference client: check → download → resume → verify → rename into place.
//!
//! Owns how a device behaves towards an edge. Never trusts a byte before its digest matched; never prints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{ArtifactName, ChannelName, Digest, Platform, Product, Version};

/// What to fetch and where to put it.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// The edge or origin: `http://host[:port]` or `https://…`, without a path.
    pub from: String,
    /// Whose update.
    pub product: Product,
    /// Which channel to follow.
    pub channel: ChannelName,
    /// Which artifact of the release.
    pub choice: Choice,
    /// The folder to put it in.
    pub output: PathBuf,
    /// How often a broken transfer is taken up again before giving up.
    pub retries_max: u32,
    /// How long a connect, or a wait for the next byte, may take.
    pub stall_timeout: Duration,
}

/// How the artifact is chosen.
#[derive(Clone, Debug)]
pub enum Choice {
    /// The only one there is.
    Only,
    /// By name.
    Named(ArtifactName),
    /// The one for a platform.
    For(Platform),
}

/// What a device ended with.
#[derive(Clone, Debug)]
pub struct Got {
    /// Which version is now in place.
    pub version: Version,
    /// Which artifact.
    pub artifact: ArtifactName,
    /// Its size in bytes.
    pub size: u64,
    /// Verified.
    pub sha256: Digest,
    /// Where it is.
    pub path: PathBuf,
    /// How it came there.
    pub state: GotState,
    /// Artifact bytes that crossed the network in this call.
    pub bytes_transferred: u64,
    /// Artifact bytes kept from an earlier, broken call.
    pub bytes_resumed: u64,
}

/// How an artifact came into place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GotState {
    /// It was there, with the right digest.
    Current,
    /// All of it was fetched now.
    Downloaded,
    /// An earlier download was finished.
    Resumed,
}

/// Told how far a download is, and each request made (the demo prints them).
pub trait Watcher: Send + Sync {
    /// The artifact has `size` bytes of which `have` are already here.
    fn start(&self, size: u64, have: u64);
    /// So many more bytes arrived.
    fn advance(&self, bytes: u64);
    /// A request was answered: what it was for, the status, the body bytes that arrived, how long it took.
    fn request(&self, what: &str, status: u16, bytes: u64, took: Duration);
}

/// Why a device has no update.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Filled in by the owner of this module.
    #[error("placeholder")]
    Placeholder,
}

impl DeviceError {
    /// The exit code: 1 failed, 2 usage, 4 not found, 5 damaged.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        1
    }
}

/// Checks the channel and, unless the artifact is already in place, downloads, resumes and verifies it.
pub async fn get(_request: GetRequest, _watcher: Arc<dyn Watcher>) -> Result<Got, DeviceError> {
    Err(DeviceError::Placeholder)
}
