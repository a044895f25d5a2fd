//! E-7: which bytes of an object are here, and which must be fetched.
//!
//! Owns sets of byte intervals and the enlargement of a miss. Never reads a `Range` field: `http/range.rs` and the proxy do.

use std::ops::Range;

/// Bytes `start..end` of a representation. An end of [`OPEN`] stands for "to the end, wherever that is".
pub type Span = Range<u64>;

/// The end of a span whose end is not known yet. No representation is that long.
pub const OPEN: u64 = u64::MAX;

/// A set of bytes, as disjoint spans in ascending order that do not touch.
///
/// Invariant: no span is empty. An object that was fetched whole is one span, so that the common question costs one
/// comparison.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// Adds a span.
    pub fn insert(&mut self, span: Span) {
        if span.is_empty() {
            return;
        }
        // All spans that overlap or touch the new one melt into it.
        let from = self.0.partition_point(|kept| kept.end < span.start);
        let to = self.0.partition_point(|kept| kept.start <= span.end);
        let touched = self.0.get(from..to).unwrap_or_default();
        let start = touched.first().map_or(span.start, |first| first.start);
        let end = touched.last().map_or(span.end, |last| last.end);
        let melted = start.min(span.start)..end.max(span.end);
        self.0.splice(from..to, [melted]);
    }

    /// Whether every byte of `span` is in the set.
    #[must_use]
    pub fn covers(&self, span: &Span) -> bool {
        span.is_empty() || self.reach(span.start) >= span.end
    }

    /// The parts of `span` that are not in the set, ascending.
    #[must_use]
    pub fn gaps(&self, span: &Span) -> Vec<Span> {
        let mut gaps = Vec::new();
        let mut from = span.start;
        while let Some(gap) = self.first_gap(&(from..span.end)) {
            from = gap.end;
            gaps.push(gap);
        }
        gaps
    }

    /// The first run of bytes of `span` that are not in the set.
    #[must_use]
    pub fn first_gap(&self, span: &Span) -> Option<Span> {
        let start = self.reach(span.start);
        if span.is_empty() || start >= span.end {
            return None;
        }
        let next = self.0.partition_point(|kept| kept.start <= start);
        let end = self
            .0
            .get(next)
            .map_or(span.end, |kept| kept.start.min(span.end));
        Some(start..end)
    }

    /// The end of the run of kept bytes that begins at `position`; `position` itself when that byte is not here.
    #[must_use]
    pub fn reach(&self, position: u64) -> u64 {
        let next = self.0.partition_point(|kept| kept.end <= position);
        match self.0.get(next) {
            Some(kept) if kept.start <= position => kept.end,
            _ => position,
        }
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|span| span.end - span.start).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The spans, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }
}

impl From<Span> for Spans {
    fn from(span: Span) -> Self {
        let mut spans = Self::default();
        spans.insert(span);
        spans
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

impl FillRange {
    /// Whether less than the whole object is ever asked for.
    #[must_use]
    pub fn is_partial(self) -> bool {
        self != Self::Whole
    }

    /// What to ask for when `missing` is missing of an object of `total` bytes, if that is known; `None`: the whole object.
    #[must_use]
    pub fn enlarge(self, missing: &Span, total: Option<u64>) -> Option<Span> {
        let enlarged = match self {
            Self::Whole => return None,
            Self::Exact => missing.clone(),
            Self::Aligned(unit) => {
                let unit = unit.max(1);
                let start = missing.start - missing.start % unit;
                // The last block of all cannot be expressed and is as good as open.
                let end = missing.end.checked_next_multiple_of(unit).unwrap_or(OPEN);
                start..end
            }
        };
        // Past the end there is nothing to ask for. An unsatisfiable range stays as it is: the origin says 416.
        let end = match total {
            Some(total) if enlarged.start < total => enlarged.end.min(total),
            _ => enlarged.end,
        };
        Some(enlarged.start..end)
    }
}

/// ⚙ What a full GET fetches when parts are here (T38).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FullAfterParts {
    /// The whole object again.
    Whole,
    /// Only what is missing.
    Gaps,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(of: &[Span]) -> Spans {
        let mut spans = Spans::default();
        for span in of {
            spans.insert(span.clone());
        }
        spans
    }

    #[test]
    fn spans_that_touch_are_one() {
        assert_eq!(spans(&[0..10, 20..30, 10..20]).0, [0..30]);
        assert_eq!(spans(&[20..30, 0..10]).0, [0..10, 20..30]);
        assert_eq!(spans(&[5..6, 0..100]).0, [0..100]);
        assert_eq!(spans(&[7..7]).0, []);
    }

    #[test]
    fn an_open_end_is_missing_up_to_the_end_of_all() {
        let kept = spans(&[0..10]);
        assert!(!kept.covers(&(0..OPEN)));
        assert_eq!(kept.gaps(&(4..OPEN)), [10..OPEN]);
        assert!(spans(&[0..OPEN]).covers(&(3..OPEN)));
    }

    #[test]
    fn a_miss_is_enlarged_as_the_parameter_says_and_never_past_a_known_end() {
        let mib = 1 << 20;
        let cases = [
            (FillRange::Exact, 5..9, None, Some(5..9)),
            (FillRange::Exact, 5..OPEN, Some(70), Some(5..70)),
            (FillRange::Aligned(8), 5..9, None, Some(0..16)),
            (FillRange::Aligned(8), 8..16, None, Some(8..16)),
            (FillRange::Aligned(8), 5..9, Some(12), Some(0..12)),
            (FillRange::Aligned(8), 9..OPEN, None, Some(8..OPEN)),
            (FillRange::Aligned(8), 99..100, Some(12), Some(96..104)),
            (FillRange::Aligned(0), 5..9, None, Some(5..9)),
            (
                FillRange::Aligned(mib),
                OPEN - 5..OPEN - 1,
                None,
                Some((OPEN - OPEN % mib)..OPEN),
            ),
            (FillRange::Whole, 5..9, Some(70), None),
        ];
        for (rule, missing, total, expected) in cases {
            assert_eq!(
                rule.enlarge(&missing, total),
                expected,
                "{rule:?} {missing:?} of {total:?}"
            );
        }
    }

    const SIZE: u64 = 64;

    fn span() -> impl Strategy<Value = Span> {
        (0..SIZE, 0..SIZE).prop_map(|(a, b)| a.min(b)..a.max(b))
    }

    proptest! {
        #[test]
        fn a_set_of_spans_is_a_set_of_bytes(
            inserted in prop::collection::vec(span(), 0..12),
            asked in span(),
        ) {
            let kept = spans(&inserted);
            let has = |byte: u64| inserted.iter().any(|span| span.contains(&byte));
            prop_assert_eq!(kept.len(), (0..SIZE).filter(|byte| has(*byte)).count() as u64);
            prop_assert_eq!(kept.is_empty(), kept.len() == 0);
            prop_assert_eq!(kept.covers(&asked), asked.clone().all(has));
            let missing: Vec<u64> = kept.gaps(&asked).into_iter().flatten().collect();
            let expected: Vec<u64> = asked.clone().filter(|byte| !has(*byte)).collect();
            prop_assert_eq!(missing, expected);
            prop_assert_eq!(kept.first_gap(&asked), kept.gaps(&asked).first().cloned());
            let spans: Vec<Span> = kept.iter().cloned().collect();
            prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert!(spans.iter().all(|span| !span.is_empty()));
        }
    }
}
