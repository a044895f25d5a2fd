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
    let (mut specs, mut total) = (0, Some(0_u64));
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
                // Checked, not saturating: at `u64::MAX` a sum that stuck there would pass for the whole object.
                total = total.and_then(|total: u64| total.checked_add(range.len));
                if total.is_none_or(|total| total > len) {
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LEN: u64 = 1000;

    fn of_thousand(text: &str) -> Selection {
        select(text.as_bytes(), LEN, 1024)
    }

    fn one(offset: u64, len: u64) -> Selection {
        Selection::One(ByteRange::new(offset, len))
    }

    fn several(ranges: &[(u64, u64)]) -> Selection {
        Selection::Several(
            ranges
                .iter()
                .map(|(offset, len)| ByteRange::new(*offset, *len))
                .collect(),
        )
    }

    #[test]
    fn every_form_of_a_single_range_is_exact() {
        for (text, expected) in [
            ("bytes=0-0", one(0, 1)),
            ("bytes=0-499", one(0, 500)),
            ("bytes=500-999", one(500, 500)),
            ("bytes=999-999", one(999, 1)),
            ("bytes=0-", one(0, 1000)),
            ("bytes=999-", one(999, 1)),
            ("bytes=-1", one(999, 1)),
            ("bytes=-1000", one(0, 1000)),
            ("bytes=007-0009", one(7, 3)),
            ("BYTES=0-0", one(0, 1)),
            ("Bytes=-5", one(995, 5)),
        ] {
            assert_eq!(of_thousand(text), expected, "{text}");
        }
    }

    #[test]
    fn what_goes_beyond_the_object_is_clamped() {
        for (text, expected) in [
            ("bytes=0-1000", one(0, 1000)),
            ("bytes=990-99999", one(990, 10)),
            ("bytes=-1001", one(0, 1000)),
            ("bytes=0-18446744073709551615", one(0, 1000)),
            ("bytes=0-18446744073709551616", one(0, 1000)),
            ("bytes=5-99999999999999999999999999", one(5, 995)),
            ("bytes=-99999999999999999999999999", one(0, 1000)),
        ] {
            assert_eq!(of_thousand(text), expected, "{text}");
        }
    }

    #[test]
    fn what_begins_beyond_the_object_is_unsatisfiable() {
        for text in [
            "bytes=1000-",
            "bytes=1000-1000",
            "bytes=1000-2000",
            "bytes=18446744073709551615-",
            "bytes=18446744073709551616-",
            "bytes=99999999999999999999-99999999999999999999",
            "bytes=-0",
            "bytes=-000",
            "bytes=1000-,2000-,-0",
        ] {
            assert_eq!(of_thousand(text), Selection::Unsatisfiable, "{text}");
        }
    }

    #[test]
    fn another_unit_and_bad_syntax_are_ignored() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes= , ,",
            "bytes=-",
            "bytes=--1",
            "bytes=1",
            "bytes=a-b",
            "bytes=0-a",
            "bytes=0x1-2",
            "bytes=+1-2",
            "bytes=-+2",
            "bytes=1-2-3",
            "bytes=1 - 2",
            "bytes=1- 2",
            "bytes =0-1",
            "bytes:0-1",
            "bytes 0-1",
            " bytes=0-1",
            "byte=0-1",
            "bytess=0-1",
            "items=0-1",
            "none",
            "bytes=0-1;2-3",
            "bytes=0-1 2-3",
            "bytes=0-1,bytes=2-3",
            "bytes=0-1, x",
            "bytes=1.0-2",
            "bytes=0-1,\u{661}-2",
            "bytes=*",
        ] {
            assert_eq!(of_thousand(text), Selection::Whole, "{text}");
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_spoils_the_whole_field() {
        for text in [
            "bytes=1-0",
            "bytes=999-998",
            "bytes=0-1,5-4",
            "bytes=5-4,0-1",
            "bytes=2000-1999",
            "bytes=99999999999999999999-0",
            "bytes=99999999999999999999-99999999999999999998",
            "bytes=0099999999999999999999-99999999999999999998",
        ] {
            assert_eq!(of_thousand(text), Selection::Whole, "{text}");
        }
        let equal = "bytes=0099999999999999999999-99999999999999999999";
        assert_eq!(of_thousand(equal), Selection::Unsatisfiable);
    }

    #[test]
    fn spaces_and_tabs_around_commas_and_empty_elements_are_legal() {
        for text in [
            "bytes=0-1,5-6",
            "bytes=0-1 ,\t5-6",
            "bytes= 0-1, 5-6 ",
            "bytes=,0-1,, ,5-6,\t,",
        ] {
            assert_eq!(of_thousand(text), several(&[(0, 2), (5, 2)]), "{text}");
        }
    }

    #[test]
    fn several_ranges_keep_the_order_of_the_request() {
        assert_eq!(
            of_thousand("bytes=500-509,0-9,-10"),
            several(&[(500, 10), (0, 10), (990, 10)])
        );
        assert_eq!(
            of_thousand("bytes=0-9,10-19"),
            several(&[(0, 10), (10, 10)])
        );
        assert_eq!(
            of_thousand("bytes=0-499,500-"),
            several(&[(0, 500), (500, 500)])
        );
    }

    #[test]
    fn unsatisfiable_ranges_among_others_are_left_out() {
        assert_eq!(
            of_thousand("bytes=0-1,2000-,5-6"),
            several(&[(0, 2), (5, 2)])
        );
        assert_eq!(of_thousand("bytes=2000-,7-8,-0"), one(7, 2));
    }

    #[test]
    fn overlaps_are_answered_as_asked_up_to_the_size_of_the_object() {
        assert_eq!(
            of_thousand("bytes=0-99,50-149"),
            several(&[(0, 100), (50, 100)])
        );
        assert_eq!(
            of_thousand("bytes=0-499,0-499"),
            several(&[(0, 500), (0, 500)])
        );
        assert_eq!(of_thousand("bytes=0-499,0-500"), Selection::Whole);
        assert_eq!(of_thousand("bytes=0-,0-"), Selection::Whole);
        assert_eq!(
            of_thousand(&format!("bytes=0-{}", ",0-".repeat(1000))),
            Selection::Whole
        );
        let huge = select(b"bytes=0-,0-,0-", u64::MAX, 10);
        assert_eq!(huge, Selection::Whole);
    }

    #[test]
    fn as_many_ranges_as_the_limit_are_answered_and_one_more_is_the_whole() {
        let text = |count: u64| {
            let specs: Vec<_> = (0..count)
                .map(|at| format!("{}-{}", at * 3, at * 3))
                .collect();
            format!("bytes={}", specs.join(", ,"))
        };
        let Selection::Several(ranges) = select(text(1000).as_bytes(), 1 << 20, 1000) else {
            panic!("a thousand ranges were refused");
        };
        assert_eq!(ranges.len(), 1000);
        assert_eq!(
            select(text(1001).as_bytes(), 1 << 20, 1000),
            Selection::Whole
        );
        // Those that are out of the object count as well.
        assert_eq!(select(b"bytes=0-1,9000-,9001-", LEN, 2), Selection::Whole);
    }

    #[test]
    fn an_empty_object_has_no_first_byte_and_its_suffix_is_the_whole() {
        for text in ["bytes=0-", "bytes=0-0", "bytes=1-", "bytes=-0"] {
            assert_eq!(
                select(text.as_bytes(), 0, 10),
                Selection::Unsatisfiable,
                "{text}"
            );
        }
        for text in ["bytes=-1", "bytes=-500", "bytes=0-,-1", "bytes=-1,0-"] {
            assert_eq!(select(text.as_bytes(), 0, 10), Selection::Whole, "{text}");
        }
    }

    #[test]
    fn positions_beyond_four_gib_are_exact() {
        let len = 10_u64 << 30;
        assert_eq!(
            select(b"bytes=4294967295-4294967296", len, 1),
            one(4_294_967_295, 2)
        );
        assert_eq!(select(b"bytes=-1", len, 1), one(len - 1, 1));
        assert_eq!(select(b"bytes=0-", u64::MAX, 1), one(0, u64::MAX));
        assert_eq!(select(b"bytes=-1", u64::MAX, 1), one(u64::MAX - 1, 1));
    }

    #[test]
    fn content_range_prints_first_and_last() {
        assert_eq!(content_range(ByteRange::new(0, 1), 10), "bytes 0-0/10");
        assert_eq!(
            content_range(ByteRange::new(u64::MAX - 1, 1), u64::MAX),
            format!("bytes {0}-{0}/{1}", u64::MAX - 1, u64::MAX)
        );
        assert_eq!(content_range_unsatisfied(0), "bytes */0");
    }

    /// What RFC 9110 §14.1.2 says of one `first-last`, in 128 bits, where nothing overflows.
    fn expected(first: u128, last: Option<u128>, len: u64) -> Option<ByteRange> {
        let end = last.map_or(u128::from(len), |last| (last + 1).min(u128::from(len)));
        (first < u128::from(len)).then(|| {
            ByteRange::new(
                u64::try_from(first).unwrap(),
                u64::try_from(end - first).unwrap(),
            )
        })
    }

    fn check(selection: &Selection, len: u64, ranges_max: usize) -> Result<(), TestCaseError> {
        let ranges = match selection {
            Selection::Whole | Selection::Unsatisfiable => return Ok(()),
            Selection::One(range) => vec![*range],
            Selection::Several(ranges) => {
                prop_assert!(ranges.len() > 1);
                ranges.clone()
            }
        };
        prop_assert!(ranges.len() <= ranges_max);
        let mut total = 0_u128;
        for range in ranges {
            prop_assert!(range.len > 0);
            prop_assert!(u128::from(range.offset) + u128::from(range.len) <= u128::from(len));
            total += u128::from(range.len);
        }
        prop_assert!(total <= u128::from(len));
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_against_any_length_are_inside_it_or_refused(
            text in vec(any::<u8>(), 0..60), len: u64, ranges_max in 0_usize..5,
        ) {
            check(&select(&text, len, ranges_max), len, ranges_max)?;
            check(&select(&[b"bytes=", &text[..]].concat(), len, ranges_max), len, ranges_max)?;
        }

        #[test]
        fn any_ranges_against_any_length_are_inside_it_or_refused(
            text in "[bB]ytes=([0-9]{0,3}|[0-9]{18,21})(-|,|[0-9]-[0-9]{0,21}[ \t]?,?){0,12}",
            len in prop_oneof![0_u64..40, any::<u64>()],
        ) {
            check(&select(text.as_bytes(), len, 4), len, 4)?;
        }

        #[test]
        fn a_single_range_agrees_with_arithmetic_that_cannot_overflow(
            first in prop_oneof![0_u128..40, any::<u64>().prop_map(u128::from), 0..1_u128 << 70],
            more in prop::option::of(prop_oneof![0_u128..40, 0..1_u128 << 70]),
            len in prop_oneof![0_u64..40, any::<u64>()],
        ) {
            let last = more.map(|more| first + more);
            let text = format!("bytes={first}-{}", last.map(|last| last.to_string()).unwrap_or_default());
            let expected = expected(first, last, len).map_or(Selection::Unsatisfiable, Selection::One);
            prop_assert_eq!(select(text.as_bytes(), len, 1), expected);
        }

        #[test]
        fn a_suffix_agrees_with_arithmetic_that_cannot_overflow(
            suffix in prop_oneof![0_u128..40, 0..1_u128 << 70],
            len in prop_oneof![0_u64..40, any::<u64>()],
        ) {
            let expected = if suffix == 0 {
                Selection::Unsatisfiable
            } else if len == 0 {
                Selection::Whole
            } else {
                let suffix = u64::try_from(suffix.min(u128::from(len))).unwrap();
                one(len - suffix, suffix)
            };
            prop_assert_eq!(select(format!("bytes=-{suffix}").as_bytes(), len, 1), expected);
        }
    }
}
