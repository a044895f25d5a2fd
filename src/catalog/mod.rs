//! Releases and channels: their documents, their meaning, and the index of what the origin serves.
//!
//! Never moves an artifact's bytes. Read next: `release.rs` and `channel.rs` for the formats, `index.rs` for what
//! is in memory and when it is looked at again.

use serde::Serialize;
use serde::de::DeserializeOwned;

mod channel;
pub mod index;
mod release;
mod retirement;
mod turns;

pub use channel::{CHANNEL_BYTES_MAX, Channel, Pointer};
pub use release::{Artifact, Pieces, RELEASE_BYTES_MAX, Release};
pub use retirement::{RETIREMENT_BYTES_MAX, Retirement};
pub use turns::Turns;

/// A document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or not of this shape: half-written, damaged, or another program's.
    #[error("the document is not readable")]
    Unreadable(#[source] serde_json::Error),
    /// Written by a newer Headwater.
    #[error(
        "the document has schema {actual}; this program reads up to {supported}: use a newer headwater"
    )]
    TooNew {
        /// The document's.
        actual: u32,
        /// Ours.
        supported: u32,
    },
    /// Stored under another name than its own.
    #[error("the document says `{actual}`, its place says `{expected}`")]
    Mismatch {
        /// By its place.
        expected: String,
        /// By its text.
        actual: String,
    },
    /// Well-formed, but in contradiction to itself.
    #[error("{0}")]
    Invalid(String),
}

#[derive(serde::Deserialize)]
struct SchemaOnly {
    schema: u32,
}

/// Looks at the schema first: a newer document may have any shape.
fn parse_document<T: DeserializeOwned>(bytes: &[u8], supported: u32) -> Result<T, DocumentError> {
    let SchemaOnly { schema } = serde_json::from_slice(bytes).map_err(DocumentError::Unreadable)?;
    if schema > supported {
        return Err(DocumentError::TooNew {
            actual: schema,
            supported,
        });
    }
    serde_json::from_slice(bytes).map_err(DocumentError::Unreadable)
}

/// Pretty JSON: these documents are read by people with `curl`, and the edge may compress them.
fn print_document(document: &impl Serialize) -> Vec<u8> {
    // Writing to memory cannot fail, and neither can these types: no maps with keys that are not strings.
    let mut bytes = serde_json::to_vec_pretty(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
