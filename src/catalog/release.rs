//! The release document: what a release consists of. Written once, the commit of a publish.
//!
//! Owns its format (schema 1), reading and writing. Never does I/O: `publish/commit.rs` stores one and
//! `catalog/index.rs` loads one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DocumentError;
use crate::model::{ArtifactName, Digest, PIECE_BYTES, Platform, Product, ReleaseId, Version};

/// The largest release document that is read, in bytes: 64 MiB hold a tree of about 200,000 files.
pub const RELEASE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One version of one product.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Release {
    schema: u32,
    /// What is updated.
    pub product: Product,
    /// Which version of it.
    pub version: Version,
    /// When the publish committed; whole seconds, so that it is also the `Last-Modified` of every artifact.
    pub published_at: Timestamp,
    /// Free text for people.
    pub notes: Option<String>,
    /// Sorted by name, each name once.
    pub artifacts: Vec<Artifact>,
}

/// One file of a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name, which may contain `/`.
    pub name: ArtifactName,
    /// In bytes.
    pub size: u64,
    /// Of the whole.
    pub sha256: Digest,
    /// The media type of the URL.
    pub content_type: String,
    /// What it runs on, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Digests of its parts, so that any part can be verified alone.
    pub pieces: Pieces,
}

/// The digests of an artifact's equal parts; the last part may be shorter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pieces {
    /// Bytes in each part but the last.
    pub size: u64,
    /// In order.
    pub sha256: Vec<Digest>,
}

impl Release {
    /// The release document's schema that this program reads and writes.
    pub const SCHEMA: u32 = 1;

    /// A release of these artifacts.
    #[must_use]
    pub fn new(
        id: ReleaseId,
        published_at: Timestamp,
        notes: Option<String>,
        mut artifacts: Vec<Artifact>,
    ) -> Self {
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        let published_at = Timestamp::from_second(published_at.as_second()).unwrap_or(published_at);
        Self {
            schema: Self::SCHEMA,
            product: id.product,
            version: id.version,
            published_at,
            notes,
            artifacts,
        }
    }

    /// Reads a release document and checks that it is the one of `id` and keeps its own promises.
    pub fn from_json(id: &ReleaseId, bytes: &[u8]) -> Result<Self, DocumentError> {
        let release: Self = super::parse_document(bytes, Self::SCHEMA)?;
        if release.product != id.product || release.version != id.version {
            return Err(DocumentError::Mismatch {
                expected: id.to_string(),
                actual: release.id().to_string(),
            });
        }
        if !release.artifacts.is_sorted_by(|a, b| a.name < b.name) {
            return Err(DocumentError::Invalid(
                "`artifacts` is not sorted by name, each name once".into(),
            ));
        }
        for artifact in &release.artifacts {
            let pieces = &artifact.pieces;
            if pieces.size != PIECE_BYTES
                || pieces.sha256.len() as u64 != artifact.size.div_ceil(PIECE_BYTES)
            {
                return Err(DocumentError::Invalid(format!(
                    "`pieces` of `{}` do not fit its size",
                    artifact.name
                )));
            }
        }
        Ok(release)
    }

    /// The document's bytes. Equal releases have equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::print_document(self)
    }

    /// The release by name.
    #[must_use]
    pub fn id(&self) -> ReleaseId {
        ReleaseId {
            product: self.product.clone(),
            version: self.version.clone(),
        }
    }

    /// The artifact of that name.
    #[must_use]
    pub fn artifact(&self, name: &ArtifactName) -> Option<&Artifact> {
        self.artifacts
            .binary_search_by(|a| a.name.cmp(name))
            .ok()
            .map(|at| &self.artifacts[at])
    }
}
