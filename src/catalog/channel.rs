//! The channel document: a named, movable pointer to a release.
//!
//! Owns its format (schema 1) and how it moves: `revision` only grows. Never does I/O: `publish/promote.rs` swaps
//! it in the store.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{DocumentError, Release};
use crate::model::{ChannelName, Digest, Locator, Product, Version};

/// The largest channel document that is read, in bytes; a written one has a few hundred.
pub const CHANNEL_BYTES_MAX: u64 = 64 * 1024;

/// A named, movable pointer to a release.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Channel {
    schema: u32,
    /// Whose channel.
    pub product: Product,
    /// Its name.
    pub channel: ChannelName,
    /// Grows by one at every move.
    pub revision: u64,
    /// When it moved last; whole seconds.
    pub updated_at: Timestamp,
    /// Where it points.
    pub release: Pointer,
    /// Where it pointed before: the target of a rollback.
    pub previous: Option<Pointer>,
    /// Why it moved, in the operator's words.
    pub reason: Option<String>,
}

/// A release by name, place and bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pointer {
    /// Which version.
    pub version: Version,
    /// The URL path of its release document.
    pub url: String,
    /// The digest of the release document.
    pub sha256: Digest,
}

impl Pointer {
    /// Points at a release, by the very bytes of its document.
    #[must_use]
    pub fn to(release: &Release, document: &[u8]) -> Self {
        Self {
            version: release.version.clone(),
            url: Locator::ReleaseDocument(release.id()).to_url_path(),
            sha256: Digest::of(document),
        }
    }
}

impl Channel {
    /// The channel document's schema that this program reads and writes.
    pub const SCHEMA: u32 = 1;

    /// A channel that points at its first release.
    #[must_use]
    pub fn first(
        product: Product,
        channel: ChannelName,
        release: Pointer,
        at: Timestamp,
        why: Option<String>,
    ) -> Self {
        Self {
            schema: Self::SCHEMA,
            product,
            channel,
            revision: 1,
            updated_at: whole_seconds(at),
            release,
            previous: None,
            reason: why,
        }
    }

    /// The channel after it moved to `release`. `updated_at` grows with every move, by a second at least, whatever the
    /// clock says: it is the `Last-Modified` by which a device without `ETag` asks whether something changed.
    #[must_use]
    pub fn moved(&self, release: Pointer, at: Timestamp, why: Option<String>) -> Self {
        let second = SignedDuration::from_secs(1);
        let next_second = self
            .updated_at
            .checked_add(second)
            .unwrap_or(self.updated_at);
        Self {
            revision: self.revision + 1,
            updated_at: whole_seconds(at.max(next_second)),
            previous: Some(self.release.clone()),
            release,
            reason: why,
            ..self.clone()
        }
    }

    /// Reads a channel document and checks that it is the one of this product and name.
    pub fn from_json(
        product: &Product,
        channel: &ChannelName,
        bytes: &[u8],
    ) -> Result<Self, DocumentError> {
        let document: Self = super::parse_document(bytes, Self::SCHEMA)?;
        if document.product != *product || document.channel != *channel {
            return Err(DocumentError::Mismatch {
                expected: format!("{product} {channel}"),
                actual: format!("{} {}", document.product, document.channel),
            });
        }
        Ok(document)
    }

    /// The document's bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::print_document(self)
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
