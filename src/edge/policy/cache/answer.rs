//! What a cache is told of an answer, and what it says to it.
//!
//! Owns the validators and how they compare, and which answers CloudFront refuses. Never changes a cache: `answering.rs`.

#[cfg(doc)]
use super::Cache;
use super::{ObjectId, Stored};
use crate::edge::policy::freshness::{Directives, Ttl};
use crate::edge::policy::spans::Span;

/// The largest body of one answer that CloudFront takes while caching (fact 34): 50 GB, read as the powers of two in
/// which AWS bills. A larger full GET is an error; ranges of such an object are fine (T39).
pub const ANSWER_BYTES_MAX: u64 = 50 << 30;

/// `ETag` and `Last-Modified`, byte for byte as the origin sent them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<Box<[u8]>>,
    /// `Last-Modified`.
    pub last_modified: Option<Box<[u8]>>,
}

impl Validators {
    /// Whether there is none: a stale object cannot be confirmed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// Whether two answers are parts of the same bytes for sure (RFC 9110 §15.3.7.3): both have the same strong `ETag`.
    #[must_use]
    pub fn is_same_strong(&self, other: &Self) -> bool {
        self.is_strong() && self.etag == other.etag
    }

    /// Whether who has `known` is answered 304: by tag if there is one, else by date (RFC 9110 §13.1.2).
    #[must_use]
    pub fn confirms(&self, known: &Self) -> bool {
        match (&self.etag, &known.etag) {
            (Some(here), Some(known)) => is_same_weak(here, known),
            (None, Some(_)) => false,
            (_, None) => self.last_modified.is_some() && self.last_modified == known.last_modified,
        }
    }

    /// Takes over what a 304 says of itself; what it leaves out stays.
    pub(super) fn update(&mut self, confirmed: &Self) {
        // RFC 9111 §4.3.4: a strong tag that is not ours is of other bytes, which it must not name from now on.
        let is_other = confirmed.is_strong() && self.is_strong() && !self.is_same_strong(confirmed);
        if let Some(etag) = confirmed.etag.as_ref().filter(|_| !is_other) {
            self.etag = Some(etag.clone());
        }
        if let Some(date) = &confirmed.last_modified {
            self.last_modified = Some(date.clone());
        }
    }

    fn is_strong(&self) -> bool {
        self.etag.as_ref().is_some_and(|etag| !is_weak(etag))
    }

    /// Whether the value of an `If-Range` still names this representation; if not, the whole object is the answer (T40).
    ///
    /// RFC 9110 §13.1.5: a weak tag never matches, a date only the very same one.
    #[must_use]
    pub fn satisfies_if_range(&self, value: &[u8]) -> bool {
        let value = value.trim_ascii();
        if is_weak(value) {
            return false;
        }
        let held = if value.starts_with(b"\"") {
            &self.etag
        } else {
            &self.last_modified
        };
        held.as_deref() == Some(value)
    }
}

const WEAK: &[u8] = b"W/";

/// Whether a tag says that it names equivalent bytes only.
#[must_use]
pub fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(WEAK)
}

/// Whether two tags are the same by the weak comparison (RFC 9110 §8.8.3.2), which a cached answer is confirmed by.
#[must_use]
pub fn is_same_weak(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag| <[u8]>::strip_prefix(tag, WEAK).unwrap_or(tag);
    opaque(one) == opaque(other)
}

/// The head of an answer from behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerHead {
    /// Its status. An origin that did not answer is a 502 or 504 with no directives (T22).
    pub status: u16,
    /// What it says about caching.
    pub said: Directives,
    /// `ETag`, `Last-Modified`.
    pub validators: Validators,
    /// The bytes that the body will have, when it says so (`Content-Length`).
    pub length: Option<u64>,
    /// For 206: which bytes these are.
    pub span: Option<Span>,
    /// For 206: of how many.
    pub total: Option<u64>,
    /// Cache tags, lower case (fact 79).
    pub tags: Vec<Box<str>>,
}

impl AnswerHead {
    /// What makes an answer one that CloudFront refuses to deliver; the user closes the connection and answers 502.
    ///
    /// To be asked before [`Cache::answered`], which is then told the 502.
    #[must_use]
    pub fn fault(&self, ttl: &Ttl) -> Option<AnswerFault> {
        let of_part = (self.status == 206)
            .then(|| {
                self.span
                    .as_ref()
                    .map(|span| span.end.saturating_sub(span.start))
            })
            .flatten();
        let is_cached = !ttl.max.is_zero();
        match (of_part, self.length) {
            (Some(part), Some(length)) if part != length => Some(AnswerFault::RangeLength),
            (part, length) if is_cached && part.max(length) > Some(ANSWER_BYTES_MAX) => {
                Some(AnswerFault::TooLarge)
            }
            _ => None,
        }
    }
}

/// Why CloudFront does not deliver an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerFault {
    /// More than [`ANSWER_BYTES_MAX`] with caching on (T39).
    TooLarge,
    /// `Content-Length` is not the length of `Content-Range`: `OriginContentRangeLengthError` (fact 35).
    RangeLength,
}

/// What becomes of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// Deliver it and keep it as this object: after [`Cache::finished`] it can be hit.
    Keep(ObjectId, Followers),
    /// 304: what was kept is fresh again; serve that.
    Refreshed(Stored, Followers),
    /// The origin failed; serve what was kept to the leader and the followers (E-4, E-5).
    StandIn(Stored),
    /// Deliver it to the leader alone. Followers fetch for themselves ([`Cache::alone`]).
    Pass,
}

impl Reaction {
    /// What those who follow the fill get.
    #[must_use]
    pub fn followers(self) -> Followers {
        match self {
            Self::Keep(_, followers) | Self::Refreshed(_, followers) => followers,
            Self::StandIn(_) => Followers::Share,
            Self::Pass => Followers::Release,
        }
    }
}

/// What those who waited for an answer get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Followers {
    /// The same as the leader.
    Share,
    /// They fetch for themselves ([`Cache::alone`]): with MinTTL 0 an answer that may not be served again without
    /// asking is not shared either (fact 26).
    Release,
}
