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

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ReleaseId {
        ReleaseId {
            product: Product::parse("agent").unwrap(),
            version: Version::parse("1").unwrap(),
        }
    }

    fn document(pieces: &str) -> String {
        let digest = Digest::of(b"abc");
        format!(
            r#"{{"schema":1,"product":"agent","version":"1","published_at":"2026-11-22T10:00:00Z","notes":null,
                "new":"field","artifacts":[{{"name":"a","size":3,"sha256":"{digest}",
                "content_type":"application/octet-stream"{pieces}}}]}}"#
        )
    }

    fn pieces(size: u64, count: usize) -> String {
        let digests = vec![format!("\"{}\"", Digest::of(b"abc")); count].join(",");
        format!(r#","pieces":{{"size":{size},"sha256":[{digests}]}}"#)
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let release = Release::from_json(&id(), document(&pieces(PIECE_BYTES, 1)).as_bytes());
        assert_eq!(release.unwrap().artifacts[0].size, 3);
    }

    #[test]
    fn an_artifact_without_the_digests_of_all_its_pieces_is_refused() {
        for pieces in [
            String::new(),
            pieces(PIECE_BYTES, 0),
            pieces(PIECE_BYTES, 2),
            pieces(1, 3),
        ] {
            assert!(
                Release::from_json(&id(), document(&pieces).as_bytes()).is_err(),
                "{pieces}"
            );
        }
    }

    #[test]
    fn a_newer_schema_is_refused_as_such_whatever_else_it_says() {
        let error = Release::from_json(&id(), br#"{"schema":2,"products":[]}"#).unwrap_err();
        assert!(
            matches!(
                error,
                DocumentError::TooNew {
                    actual: 2,
                    supported: 1
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_document_under_another_name_is_refused() {
        let other = ReleaseId {
            version: Version::parse("2").unwrap(),
            ..id()
        };
        let error = Release::from_json(&other, document(&pieces(PIECE_BYTES, 1)).as_bytes());
        assert!(matches!(error, Err(DocumentError::Mismatch { .. })));
    }
}
