//! E-13: invalidations: what a batch removes, when, and within which quotas.
//!
//! Owns paths, wildcards and tags, the idempotency of `CallerReference`, and the ledger of batches. Never touches a cache
//! (callers apply a due batch to each) and never draws the delay (callers hand it in).

use std::time::Duration;

use super::Moment;

/// One item of a batch.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Item {
    /// Exactly this path.
    Path(String),
    /// Every path that begins so: `*` was its last character.
    Prefix(String),
    /// Every object with this tag (lower case).
    Tag(String),
}

impl Item {
    /// Reads `/path`, `/prefix*` or `#tag`.
    pub fn parse(text: &str) -> Result<Self, InvalidationError> {
        todo!("{text}")
    }

    /// Whether an object with this path (with its query if that is in the key) and these tags is meant.
    #[must_use]
    pub fn matches(&self, path: &str, tags: &[Box<str>]) -> bool {
        todo!("{path} {tags:?}")
    }
}

/// Why a batch is refused. The API names each by a code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidationError {
    /// `InvalidArgument`.
    #[error("{0}")]
    InvalidArgument(String),
    /// `InvalidationBatchAlreadyExists`: the same reference with other content.
    #[error("the caller reference `{0}` was used for another batch")]
    AlreadyExists(String),
    /// `TooManyInvalidationsInProgress`.
    #[error("{0}")]
    TooManyInProgress(String),
    /// `BatchTooLarge`.
    #[error("{0}")]
    BatchTooLarge(String),
    /// `NoSuchInvalidation`.
    #[error("there is no invalidation `{0}`")]
    NoSuchInvalidation(String),
}

/// One accepted batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// `I…`, 14 characters.
    pub id: String,
    /// As given.
    pub caller_reference: String,
    /// As given, in the given order.
    pub paths: Vec<String>,
    /// When it was accepted.
    pub created: Moment,
    /// When it takes effect.
    pub effective: Moment,
    /// When its status becomes `Completed`.
    pub completed: Moment,
}

/// ⚙ How long one batch takes (fact 78: under 5 s and under 25 s for 95 of 100).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delay {
    /// Until it takes effect.
    pub effective: Duration,
    /// Until it is reported complete; not before it is effective.
    pub completed: Duration,
}

/// All batches of a distribution.
#[derive(Debug, Default)]
pub struct Ledger {
    batches: Vec<Batch>,
}

impl Ledger {
    /// Accepts a batch, or finds the one that this is a repeat of.
    pub fn create(
        &mut self,
        caller_reference: &str,
        paths: &[String],
        delay: Delay,
        now: Moment,
    ) -> Result<Batch, InvalidationError> {
        todo!("{caller_reference} {paths:?} {delay:?} {now:?}")
    }

    /// One batch.
    pub fn get(&self, id: &str) -> Result<&Batch, InvalidationError> {
        todo!("{id}")
    }

    /// All batches, the newest first.
    pub fn list(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter().rev()
    }

    /// The batches that took effect after `since` and not after `now`, with their parsed items.
    #[must_use]
    pub fn due(&self, since: Moment, now: Moment) -> Vec<Item> {
        todo!("{since:?} {now:?}")
    }
}
