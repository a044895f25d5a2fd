//! The edge in front of the origin, as far as a publisher must tell it something.
//!
//! Owns what a change makes stale at an edge, as a pure function, and how CloudFront is told. Never moves a channel
//! (`publish/` does), never decides whether an edge is told (`cli/` does).
//!
//! Read next: `purge.rs` for what is purged after what, `telling.rs` for how long it is tried, `cloudfront.rs` for the
//! one adapter.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

mod cloudfront;
mod error;
pub mod purge;
pub mod reference;
pub mod telling;

pub use cloudfront::CloudFront;
pub use error::{CdnError, EdgeError};
pub use purge::{By, Change, Item, PurgeSet, Redirects};
pub use reference::Reference;
pub use telling::{Patience, Until, Watcher, tell};

/// What an edge is asked to forget: never empty, and always the same for the same reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Which copies.
    pub set: PurgeSet,
    /// The name of this request: a repeat under the same name is no second one.
    pub reference: Reference,
}

/// A request to forget that an edge has accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalidation {
    /// The edge's own name for it.
    pub id: String,
    /// How far it is.
    pub status: Status,
    /// When the edge accepted it first.
    pub created_at: Option<Timestamp>,
}

/// How far an invalidation is, in CloudFront's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Accepted; some caches may not know yet.
    InProgress,
    /// Every cache has forgotten.
    Completed,
}

impl Status {
    /// As CloudFront spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The control plane of an edge. Each call is one attempt: `telling.rs` decides about the next.
#[async_trait]
pub trait Edge: fmt::Debug + Send + Sync {
    /// Asks to forget. A reference that was used for the same batch before finds that one again.
    async fn create(&self, batch: &Batch) -> Result<Invalidation, EdgeError>;

    /// How far an invalidation is.
    async fn get(&self, id: &str) -> Result<Invalidation, EdgeError>;

    /// Looks for a reference among the latest invalidations.
    async fn find(&self, reference: &Reference) -> Result<Option<Invalidation>, EdgeError>;
}
