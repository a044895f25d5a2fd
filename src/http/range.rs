//! `Range` and `Content-Range`: the only file in which positions are "first" and "last".
//!
//! Owns RFC 9110 §14.1.2 and §14.2 and the policy on several ranges. Never decides whether `Range` applies at all: that
//! is `plan.rs` (GET only, `If-Range`).

use std::cmp::Ordering;

use crate::model::ByteRange;

/// What a `Range` field selects of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// All of it, as if there were no `Range` (200): another unit, bad syntax, too many ranges, or more bytes than the
    /// object has.
    Whole,
    /// One part (206). May well be the whole object: a client that asks for a range is answered with a range.
    One(ByteRange),
    /// Several parts in the order of the request (206 multipart). Invariant: at least two, none empty, together not
    /// more bytes than the object.
    Several(Vec<ByteRange>),
    /// None of the ranges is in the object (416).
    Unsatisfiable,
}

/// Resolves the value of `Range` against an object of `len` bytes.
///
/// RFC 9110 §14.2 lets a server ignore a `Range` that it does not like. Ignored are: a unit other than `bytes`
/// ("MUST"); anything outside the grammar, since half a request understood would be a wrong answer; more than
/// `ranges_max` ranges; and a set whose parts sum up to more than the object, which only overlaps can do ("attempts at
/// denial of service", §14.2, §17.15). Sets that overlap less are answered as asked: coalescing (§15.3.7.2 MAY) would
/// surprise a client that takes parts by their order. Framing does not count in that sum: it is about 200 bytes a
/// part and so bounded by `ranges_max`, and counting it would refuse a delta updater its thousand little ranges just
/// because the file is small.
#[must_use]
pub fn select(value: &[u8], len: u64, ranges_max: usize) -> Selection {
    let Some((unit, set)) = value.split_at_checked(b"bytes=".len()) else {
        return Selection::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Selection::Whole; // RFC 9110 §14.1: unit names are case-insensitive; no space around `=`.
    }
    let mut ranges = Vec::new();
    let (mut specs, mut total) = (0, 0_u64);
    // RFC 9110 §5.6.1.2: empty list elements are to be ignored, but they do not make a list of nothing valid.
    for spec in set
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|spec| !spec.is_empty())
    {
        specs += 1;
        if specs > ranges_max {
            return Selection::Whole;
        }
        match Spec::parse(spec).map(|spec| spec.resolve(len)) {
            // A suffix of an empty object is satisfiable (§14.1.2) but no Content-Range can say "no bytes".
            None | Some(Some(ByteRange { len: 0, .. })) => return Selection::Whole,
            Some(None) => {}
            Some(Some(range)) => {
                total = total.saturating_add(range.len);
                if total > len {
                    return Selection::Whole;
                }
                ranges.push(range);
            }
        }
    }
    match ranges[..] {
        [] if specs == 0 => Selection::Whole,
        [] => Selection::Unsatisfiable,
        [range] => Selection::One(range),
        _ => Selection::Several(ranges),
    }
}

/// `Content-Range` of a part (RFC 9110 §14.4).
pub(super) fn content_range(range: ByteRange, len: u64) -> String {
    // A part is never empty, so that it has a last byte.
    format!("bytes {}-{}/{len}", range.offset, range.end() - 1)
}

/// `Content-Range` of a 416 (RFC 9110 §15.5.17).
pub(super) fn content_range_unsatisfied(len: u64) -> String {
    format!("bytes */{len}")
}

/// One range as the client wrote it. Numbers beyond `u64` are `u64::MAX`: they are valid, and beyond any object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spec {
    From { first: u64 },
    Between { first: u64, last: u64 },
    Suffix { len: u64 },
}

impl Spec {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (&text[..dash], &text[dash + 1..]);
        match (first, last) {
            (b"", len) => Some(Self::Suffix {
                len: parse_position(len)?,
            }),
            (first, b"") => Some(Self::From {
                first: parse_position(first)?,
            }),
            (first, last) => {
                let spec = Self::Between {
                    first: parse_position(first)?,
                    last: parse_position(last)?,
                };
                // RFC 9110 §14.1.1: such a range is invalid, and with it the whole field.
                (compare_positions(first, last) != Ordering::Greater).then_some(spec)
            }
        }
    }

    /// `None` is unsatisfiable.
    fn resolve(self, len: u64) -> Option<ByteRange> {
        match self {
            Self::From { first } => (first < len).then(|| ByteRange::new(first, len - first)),
            Self::Between { first, last } => {
                (first < len).then(|| ByteRange::new(first, last.min(len - 1) - first + 1))
            }
            Self::Suffix { len: 0 } => None,
            Self::Suffix { len: suffix } => {
                let suffix = suffix.min(len);
                Some(ByteRange::new(len - suffix, suffix))
            }
        }
    }
}

fn parse_position(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        digits.iter().fold(0_u64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
}

/// Compares numbers of any size: two that saturate are still one greater than the other.
fn compare_positions(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| {
        digits
            .iter()
            .position(|digit| *digit != b'0')
            .unwrap_or(digits.len())
    };
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
