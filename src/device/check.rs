//! What is current: from a channel to its release, and to the one artifact that the device wants.
//!
//! Owns the chain of trust: the channel names the digest of the release document, that one the digests of the
//! artifacts. Never touches an artifact's bytes.

use bytes::Bytes;
use http::StatusCode;

use super::client::what;
use super::error::{DamagedRange, DeviceError};
use super::retry::Retry;
use super::{Ask, Choice, Client};
use crate::catalog::{
    Artifact, CHANNEL_BYTES_MAX, Channel, DocumentError, Pointer, RELEASE_BYTES_MAX, Release,
};
use crate::model::{ByteRange, ChannelName, Digest, Locator, Product, ReleaseId};

impl Client {
    /// Reads a channel: what is current.
    pub async fn check(
        &self,
        product: &Product,
        channel: &ChannelName,
    ) -> Result<Channel, DeviceError> {
        let locator = Locator::Channel(product.clone(), channel.clone());
        let (bytes, _) = self.document(&locator, CHANNEL_BYTES_MAX).await?;
        let document = Channel::from_json(product, channel, &bytes);
        document.map_err(|source| self.unusable(&locator, source))
    }

    /// Reads the release that a channel points at, the very bytes of it.
    pub async fn release_document(
        &self,
        product: &Product,
        pointer: &Pointer,
    ) -> Result<Release, DeviceError> {
        let id = ReleaseId {
            product: product.clone(),
            version: pointer.version.clone(),
        };
        let locator = Locator::ReleaseDocument(id.clone());
        if Locator::from_url_path(pointer.url.as_bytes()).as_ref() != Some(&locator) {
            let mismatch = DocumentError::Mismatch {
                expected: locator.to_url_path(),
                actual: pointer.url.clone(),
            };
            return Err(self.unusable(&locator, mismatch));
        }
        let (bytes, trace) = self.document(&locator, RELEASE_BYTES_MAX).await?;
        let actual = Digest::of(&bytes);
        if actual != pointer.sha256 {
            return Err(DeviceError::Damaged(Box::new(DamagedRange {
                url: self.url(&locator),
                range: ByteRange::whole(bytes.len() as u64),
                expected: pointer.sha256,
                actual,
                trace,
            })));
        }
        let document = Release::from_json(&id, &bytes);
        document.map_err(|source| self.unusable(&locator, source))
    }

    async fn document(
        &self,
        locator: &Locator,
        bytes_max: u64,
    ) -> Result<(Bytes, super::Trace), DeviceError> {
        let mut retry = Retry::new(self.patience.retries_max);
        loop {
            let failure = match self.fetch(locator, Ask::Whole).await {
                Ok(answer) if answer.status() == StatusCode::OK => {
                    let trace = answer.trace();
                    match answer.document(bytes_max).await {
                        Ok(Some(bytes)) => return Ok((bytes, trace)),
                        Ok(None) => {
                            return Err(DeviceError::DocumentTooLong {
                                url: self.url(locator),
                                bytes_max,
                            });
                        }
                        Err(failure) => failure,
                    }
                }
                Ok(answer) if is_temporary(answer.status()) => answer.unavailable(),
                Ok(answer) => return Err(self.refused(locator, &answer)),
                Err(failure) => failure,
            };
            retry.again(&self.url(locator), failure).await?;
        }
    }

    fn unusable(&self, locator: &Locator, source: DocumentError) -> DeviceError {
        DeviceError::Document {
            url: self.url(locator),
            source,
        }
    }

    /// The error of an answer that another try would not change.
    pub(super) fn refused(&self, locator: &Locator, answer: &super::Answer) -> DeviceError {
        let url = self.url(locator);
        match answer.status() {
            status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => DeviceError::NotFound {
                what: what(locator),
                url,
                status,
            },
            status => DeviceError::Status {
                url,
                status,
                trace: answer.trace(),
            },
        }
    }
}

/// Whether an edge or an origin says so of a state that passes.
pub(super) fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

/// The one artifact of `release` that the device wants.
pub(super) fn choose<'a>(
    release: &'a Release,
    choice: &Choice,
) -> Result<&'a Artifact, DeviceError> {
    let (wanted, fitting): (_, Vec<&Artifact>) = match choice {
        Choice::Only => ("any device".to_owned(), release.artifacts.iter().collect()),
        Choice::Named(name) => (
            format!("the name `{name}`"),
            release.artifact(name).into_iter().collect(),
        ),
        Choice::For(platform) => (
            format!("the platform `{platform}`"),
            release
                .artifacts
                .iter()
                .filter(|artifact| artifact.platform.as_ref() == Some(platform))
                .collect(),
        ),
    };
    let names = |artifacts: &mut dyn Iterator<Item = &Artifact>| {
        artifacts
            .map(|artifact| artifact.name.to_string())
            .collect()
    };
    match fitting.as_slice() {
        [artifact] => Ok(artifact),
        [] => Err(DeviceError::NoArtifact {
            release: release.id(),
            wanted,
            names: names(&mut release.artifacts.iter()),
        }),
        several => Err(DeviceError::Ambiguous {
            release: release.id(),
            wanted,
            names: names(&mut several.iter().copied()),
        }),
    }
}
