//! E-7: which bytes of an object are here, and which must be fetched.
//!
//! Owns sets of byte intervals and the enlargement of a miss. Never reads a `Range` field: `http/range.rs` and the proxy do.

use std::ops::Range;

/// Bytes `start..end` of a representation.
pub type Span = Range<u64>;

/// A set of bytes, as disjoint spans in ascending order that do not touch.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// Adds a span.
    pub fn insert(&mut self, span: Span) {
        todo!("{span:?}")
    }

    /// Whether every byte of `span` is in the set.
    #[must_use]
    pub fn covers(&self, span: &Span) -> bool {
        todo!("{span:?}")
    }

    /// The parts of `span` that are not in the set, ascending.
    #[must_use]
    pub fn gaps(&self, span: &Span) -> Vec<Span> {
        todo!("{span:?}")
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// ⚙ How far a miss of a range is enlarged (fact 36: unpublished).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FillRange {
    /// Exactly what is missing.
    Exact,
    /// To multiples of so many bytes, at least 1.
    Aligned(u64),
    /// The whole object.
    Whole,
}

/// ⚙ What a full GET fetches when parts are here (T38).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FullAfterParts {
    /// The whole object again.
    Whole,
    /// Only what is missing.
    Gaps,
}
