//! Why bytes that were promised cannot be sent.
//!
//! Owns the difference between a store that is in trouble, which passes, and an artifact that is not what was
//! published, which does not. Never decides about a status: `origin.rs` does.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::http::RepresentationError;
use crate::model::ByteRange;
use crate::store::StoreError;

/// Why bytes that were promised cannot be sent. The connection breaks, or the answer is 500 or 503.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The release document lists the artifact, the store does not have it.
    #[error("the file is missing")]
    Missing,
    /// The file has another size than the release document says.
    #[error("the file has {actual} bytes, its release says {expected}")]
    Size {
        /// By the release document.
        expected: u64,
        /// By the file.
        actual: u64,
    },
    /// Bytes that are not the published ones.
    #[error("the {size} bytes from {offset} on are not the published ones", size = .0.len, offset = .0.offset)]
    Altered(ByteRange),
    /// The file was written to or cut while it was being sent.
    #[error("the file changed while it was being sent")]
    Changed,
    /// The disk or the file system failed.
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    /// The store could not open or read it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not give it in time.
    #[error("the store did not give it within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The release document gives it header values that no header can carry.
    #[error("its release document cannot be served")]
    Undescribable(#[source] RepresentationError),
    /// One of these, for everybody who waited for the same block.
    #[error(transparent)]
    Shared(Arc<Damage>),
}

impl Damage {
    /// Whether the store is in trouble and the artifact may be whole.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Store(_) | Self::TimedOut(_) => true,
            Self::Shared(damage) => damage.is_trouble(),
            Self::Missing
            | Self::Size { .. }
            | Self::Altered(_)
            | Self::Changed
            | Self::Unreadable(_)
            | Self::Undescribable(_) => false,
        }
    }
}
