//! The reference client: check → download → resume → verify → rename into place.
//!
//! Owns how a device behaves towards an edge. Never trusts a byte before its digest matched; never prints. [`get`] is
//! the whole of it; [`Client`] has its steps, for whoever wants to take them alone; [`load`] is a fleet that takes them
//! and keeps nothing; [`through`] looks at an edge with a device's eyes. Read next: `check.rs` for the chain of trust,
//! `download.rs` for what each answer means, `part.rs` for what is on disk meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::model::{ArtifactName, ChannelName, Digest, Platform, Product, Version};

mod check;
mod client;
mod download;
mod error;
pub mod load;
mod part;
mod retry;
pub mod through;
mod transport;

pub use client::{Answer, Ask, Client, Patience};
pub use download::Delivered;
pub use error::{DamagedRange, DeviceError, Trace, TransferError};

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
    /// The artifact has `size` bytes of which `have` are already here. Called again, with less, when bytes that were
    /// counted had to be dropped.
    fn start(&self, size: u64, have: u64);
    /// So many more bytes arrived.
    fn advance(&self, bytes: u64);
    /// A request was answered: what it was for ("channel", "release", "artifact"), the status, the body bytes that
    /// arrived, how long it took until the body ended or was broken off.
    fn request(&self, what: &str, status: u16, bytes: u64, took: Duration);
    /// The head of an answer arrived: what it was for, its status and fields, how long it took, with the connect.
    fn answered(&self, _what: &str, _status: u16, _headers: &HeaderMap, _took: Duration) {}
    /// There was no answer, or it broke off.
    fn failed(&self, _what: &str, _failure: &TransferError) {}
}

/// Nobody looks.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn start(&self, _size: u64, _have: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn request(&self, _what: &str, _status: u16, _bytes: u64, _took: Duration) {}
}

/// Checks the channel and, unless the artifact is already in place, downloads, resumes and verifies it.
pub async fn get(request: GetRequest, watcher: Arc<dyn Watcher>) -> Result<Got, DeviceError> {
    let patience = Patience {
        stall_timeout: request.stall_timeout,
        retries_max: request.retries_max,
    };
    let client = Client::new(&request.from, patience, watcher)?;
    let channel = client.check(&request.product, &request.channel).await?;
    let release = client
        .release_document(&request.product, &channel.release)
        .await?;
    let artifact = check::choose(&release, &request.choice)?;
    let delivered = client
        .download(&release.id(), artifact, &request.output)
        .await?;
    Ok(Got {
        version: release.version.clone(),
        artifact: artifact.name.clone(),
        size: artifact.size,
        sha256: artifact.sha256,
        path: delivered.path,
        state: delivered.state,
        bytes_transferred: delivered.bytes_transferred,
        bytes_resumed: delivered.bytes_resumed,
    })
}
