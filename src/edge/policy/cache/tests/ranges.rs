//! E-7: which bytes are fetched, added and served.
//!
//! Owns these tables. Never says how a case is played: `tests.rs` does.

use super::*;

use Do::Answer;

#[test]
fn a_range_is_served_from_what_is_here_and_only_the_rest_is_fetched() {
    play([
        case(
            "T30 a range of a whole object is a hit",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (1, range(90, 199), "hit 1 (1s)"),
                (1, suffix(7), "hit 1 (1s)"),
                (1, range_from(50), "hit 1 (1s)"),
            ],
        ),
        case(
            "T31 200 to a range: the whole object is kept, later ranges are hits",
            [
                (0, range(10, 19), "fetch 1 10-19"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, range(50, 59), "follow 1"),
                (0, end(1, 100), ""),
                (1, range(50, 59), "hit 1 (1s)"),
            ],
        ),
        case(
            "T32 a 200 without Content-Length (chunked) to a range: the whole object too",
            [
                (0, range(10, 19), "fetch 1 10-19"),
                (0, Answer(1, ok("\"a\"").max_age(10).sized(None)), "keep 1"),
                (0, end(1, 70), ""),
                (1, range_from(60), "hit 1 (1s)"),
                (1, Do::Bytes, "70"),
            ],
        ),
        case(
            "T33 a part is a hit for what is in it; what is lacking is added to it",
            [
                (0, range(10, 19), "fetch 1 10-19"),
                (0, Answer(1, part("\"a\"", 10..20).max_age(10)), "keep 1"),
                (0, range(12, 14), "follow 1"),
                (0, end(1, 10), ""),
                (1, range(12, 14), "hit 1 (1s)"),
                (1, range(15, 24), "fetch 2 20-24 of 1"),
                (1, Answer(2, part("\"a\"", 20..25).max_age(10)), "keep 1"),
                (1, end(2, 5), ""),
                (2, range(10, 24), "hit 1 (1s)"),
                (2, Do::Bytes, "15"),
            ],
        ),
        case(
            "T33 of several runs that lack, one fetch brings the first; who asks again gets the next",
            [
                (0, range(10, 19), "fetch 1 10-19"),
                (0, Answer(1, part("\"a\"", 10..20).max_age(10)), "keep 1"),
                (0, end(1, 10), ""),
                (1, get(), "fetch 2 0-9 of 1"),
                (1, Answer(2, part("\"a\"", 0..10).max_age(10)), "keep 1"),
                (1, get(), "follow 2"),
                (1, end(2, 10), ""),
                (1, get(), "fetch 3 20-99 of 1"),
                (1, Answer(3, part("\"a\"", 20..100).max_age(10)), "keep 1"),
                (1, end(3, 80), ""),
                (2, get(), "hit 1 (1s)"),
            ],
        ),
        case(
            "T33 two parts of a new object at the same time end up in one",
            [
                (0, range(0, 9), "fetch 1 0-9"),
                (0, range(10, 19), "fetch 2 10-19"),
                (0, Answer(1, part("\"a\"", 0..10).max_age(10)), "keep 1"),
                (0, Answer(2, part("\"a\"", 10..20).max_age(10)), "keep 1"),
                (0, end(1, 10), ""),
                (0, end(2, 10), ""),
                (1, range(0, 19), "hit 1 (1s)"),
            ],
        ),
        case(
            "T34 enlarged to aligned blocks, and followed for all they bring",
            [
                (0, range(10, 19), "fetch 1 0-31"),
                (0, range(24, 31), "follow 1"),
                (0, range(24, 32), "fetch 2 0-63"),
                (0, Answer(1, part("\"a\"", 0..32).max_age(10)), "keep 1"),
                (0, end(1, 32), ""),
                (0, range(90, 99), "fetch 3 64-99 of 1"),
            ],
        )
        .with(|settings, _| settings.fill_range = FillRange::Aligned(32)),
        case(
            "T34 enlarged to the whole object",
            [
                (0, range(10, 19), "fetch 1"),
                (0, range(90, 99), "follow 1"),
                (0, suffix(3), "follow 1"),
            ],
        )
        .with(|settings, _| settings.fill_range = FillRange::Whole),
        case(
            "T35 unsatisfiable: with a known total there is nothing to fetch, without one the origin says 416, to one",
            [
                (0, range(100, 109), "fetch 1 100-109"),
                (0, range(100, 109), "follow 1"),
                (0, Answer(1, status(416)), "pass"),
                (0, end(1, 0), ""),
                (0, range(0, 9), "fetch 2 0-9"),
                (0, Answer(2, part("\"a\"", 0..10).max_age(10)), "keep 1"),
                (0, end(2, 10), ""),
                (1, range(100, 109), "hit 1 (1s)"),
                (1, suffix(0), "hit 1 (1s)"),
            ],
        ),
        case(
            "T37 a suffix of unknown place is asked for as such; then it has a place",
            [
                (0, suffix(10), "fetch 1 -10"),
                (0, suffix(5), "follow 1"),
                (0, suffix(11), "fetch 2 -11"),
                (0, Answer(1, part("\"a\"", 90..100).max_age(10)), "keep 1"),
                (0, end(1, 10), ""),
                (1, suffix(10), "hit 1 (1s)"),
                (1, range_from(95), "hit 1 (1s)"),
                (1, suffix(20), "fetch 3 80-89 of 1"),
                (1, head(), "hit 1 (1s)"),
            ],
        ),
        case(
            "T37 an open range is followed for every later one",
            [
                (0, range_from(40), "fetch 1 40-"),
                (0, range_from(60), "follow 1"),
                (0, range(50, 59), "follow 1"),
                (0, range_from(39), "fetch 2 39-"),
                (0, Answer(1, part("\"a\"", 40..100).max_age(10)), "keep 1"),
                (0, range_from(60), "follow 1"),
                (0, suffix(60), "follow 1"),
            ],
        ),
        case(
            "T38 a full GET after parts: the whole object again",
            [
                (0, range(0, 49), "fetch 1 0-49"),
                (0, Answer(1, part("\"a\"", 0..50).max_age(10)), "keep 1"),
                (0, end(1, 50), ""),
                (1, get(), "fetch 2"),
                (1, Answer(2, ok("\"a\"").max_age(10)), "keep 2"),
                (1, end(2, 100), ""),
                (1, Do::Dropped, "1"),
                (1, Do::Bytes, "100"),
            ],
        )
        .with(|settings, _| settings.full_after_parts = FullAfterParts::Whole),
        case(
            "T38 a full GET after parts: only what is missing",
            [
                (0, range(0, 49), "fetch 1 0-49"),
                (0, Answer(1, part("\"a\"", 0..50).max_age(10)), "keep 1"),
                (0, end(1, 50), ""),
                (1, get(), "fetch 2 50-99 of 1"),
                (1, Answer(2, part("\"a\"", 50..100).max_age(10)), "keep 1"),
                (1, end(2, 50), ""),
                (2, get(), "hit 1 (1s)"),
            ],
        ),
    ]);
}

#[test]
fn parts_are_joined_only_when_they_are_of_the_same_bytes_for_sure() {
    let other_total = |mut answer: AnswerHead| {
        answer.total = Some(101);
        answer
    };
    let unknown_total = |mut answer: AnswerHead| {
        answer.total = None;
        answer
    };
    // Name, first part's tag, second part, whether they are joined.
    let rows = [
        (
            "T36 the same strong tag",
            "\"a\"",
            part("\"a\"", 50..100),
            true,
        ),
        ("T36 another tag", "\"a\"", part("\"b\"", 50..100), false),
        ("T36 a weak tag", "W/\"a\"", part("W/\"a\"", 50..100), false),
        ("T36 no tag", "", part("", 50..100), false),
        (
            "T36 another size",
            "\"a\"",
            other_total(part("\"a\"", 50..100)),
            false,
        ),
        (
            "T36 no size",
            "\"a\"",
            unknown_total(part("\"a\"", 50..100)),
            false,
        ),
    ];
    for (name, tag, second, is_joined) in rows {
        let (joined, bytes, lacking) = if is_joined {
            ("keep 1", "100", "hit 1 (0s)")
        } else {
            ("keep 2", "50", "fetch 3 0-9 of 2")
        };
        play([case(
            name,
            [
                (0, range(0, 49), "fetch 1 0-49"),
                (0, Answer(1, part(tag, 0..50).max_age(10)), "keep 1"),
                (0, end(1, 50), ""),
                (0, range(50, 99), "fetch 2 50-99 of 1"),
                (0, Answer(2, second.max_age(10)), joined),
                (0, Do::Dropped, if is_joined { "" } else { "1" }),
                (0, end(2, 50), ""),
                (0, Do::Bytes, bytes),
                (0, range(0, 9), lacking),
            ],
        )]);
    }
}

#[test]
fn a_stale_part_is_confirmed_or_replaced() {
    play([
        case(
            "E-7 what is here is confirmed by a conditional request for it",
            [
                (0, range(0, 49), "fetch 1 0-49"),
                (0, Answer(1, part("\"a\"", 0..50).max_age(10)), "keep 1"),
                (0, end(1, 50), ""),
                (20, range(0, 9), "fetch 2 if \"a\" 0-9"),
                (20, range(10, 19), "follow 2"),
                (20, head(), "follow 2"),
                (20, range(50, 59), "fetch 3 50-59 of 1"),
                (20, Answer(2, status(304).max_age(10)), "refreshed 1 (0s)"),
                (20, end(2, 0), ""),
                (21, range(0, 49), "hit 1 (1s)"),
            ],
        ),
        case(
            "T10 HEAD of stale parts confirms them by the first of them",
            [
                (0, range(20, 49), "fetch 1 20-49"),
                (0, Answer(1, part("\"a\"", 20..50).max_age(10)), "keep 1"),
                (0, end(1, 30), ""),
                (20, head(), "fetch 2 if \"a\" 20-49"),
                (20, range(20, 29), "follow 2"),
            ],
        ),
        case(
            "E-7 a lacking part of the same object makes the old ones fresh, of another drops them",
            [
                (0, range(0, 49), "fetch 1 0-49"),
                (0, Answer(1, part("\"a\"", 0..50).max_age(10)), "keep 1"),
                (0, end(1, 50), ""),
                (20, range(50, 59), "fetch 2 50-59 of 1"),
                (20, Answer(2, part("\"a\"", 50..60).max_age(10)), "keep 1"),
                (20, end(2, 10), ""),
                (25, range(0, 59), "hit 1 (5s)"),
                (40, range(0, 9), "fetch 3 if \"a\" 0-9"),
                (40, Answer(3, part("\"b\"", 0..10).max_age(10)), "keep 2"),
                (40, Do::Dropped, ""),
                (40, end(3, 10), ""),
                (40, Do::Dropped, "1"),
                (41, range(0, 9), "hit 2 (1s)"),
            ],
        ),
        case(
            "E-7 a stale whole object is asked for as a whole, so that it stays whole",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (20, range(0, 9), "fetch 2 if \"a\""),
            ],
        ),
        case(
            "E-7 a part that broke off leaves what was there",
            [
                (0, range(0, 9), "fetch 1 0-9"),
                (0, Answer(1, part("\"a\"", 0..10).max_age(10)), "keep 1"),
                (0, Do::End(1, End::Short), ""),
                (0, Do::Dropped, "1"),
                (0, range(0, 9), "fetch 2 0-9"),
                (0, Answer(2, part("\"a\"", 0..10).max_age(10)), "keep 2"),
                (0, end(2, 10), ""),
                (0, range(10, 19), "fetch 3 10-19 of 2"),
                (0, Answer(3, part("\"a\"", 10..20).max_age(10)), "keep 2"),
                (0, end(3, 9), ""),
                (0, Do::Bytes, "10"),
                (1, range(0, 9), "hit 2 (1s)"),
            ],
        ),
    ]);
}

#[test]
fn an_answer_that_is_too_large_or_contradicts_itself_is_refused() {
    let gib = 1 << 30;
    let huge = |mut answer: AnswerHead, length: u64| {
        answer.length = Some(length);
        answer
    };
    let huge_part = |start: u64, end: u64| AnswerHead {
        total: Some(900 * gib),
        ..part("\"a\"", start..end)
    };
    let rows = [
        ("T39 50 GB", huge(ok(""), 50 * gib), None),
        (
            "T39 more than 50 GB",
            huge(ok(""), 50 * gib + 1),
            Some(AnswerFault::TooLarge),
        ),
        ("T39 50 GB of 900", huge_part(800 * gib, 850 * gib), None),
        (
            "T39 51 GB of 900",
            huge_part(0, 51 * gib),
            Some(AnswerFault::TooLarge),
        ),
        (
            "fact 35 another length than that of the range",
            huge(part("", 0..10), 11),
            Some(AnswerFault::RangeLength),
        ),
        ("fact 35 no length", part("", 0..10).sized(None), None),
    ];
    let ttl = rules().ttl;
    for (name, answer, expected) in rows {
        assert_eq!(answer.fault(&ttl), expected, "{name}");
    }
    let disabled = Ttl {
        max: Duration::ZERO,
        ..ttl
    };
    let large = huge(ok(""), 51 * gib);
    assert_eq!(large.fault(&disabled), None, "T39 with caching off");
}

#[test]
fn an_if_range_holds_for_the_same_strong_tag_or_date_only() {
    let held = |etag: &str| Validators {
        etag: Some(etag.as_bytes().into()),
        last_modified: Some(b"Sun, 22 Nov 2026 10:00:00 GMT"[..].into()),
    };
    let rows = [
        ("T40 the tag", "\"a\"", "\"a\"", true),
        ("T40 another tag", "\"a\"", "\"b\"", false),
        ("T40 a weak tag", "W/\"a\"", "W/\"a\"", false),
        ("T40 a weak tag of the same name", "\"a\"", "W/\"a\"", false),
        (
            "T40 the date",
            "\"a\"",
            "Sun, 22 Nov 2026 10:00:00 GMT",
            true,
        ),
        (
            "T40 a later date",
            "\"a\"",
            "Sun, 22 Nov 2026 10:00:01 GMT",
            false,
        ),
    ];
    for (name, etag, value, expected) in rows {
        let satisfies = held(etag).satisfies_if_range(value.as_bytes());
        assert_eq!(satisfies, expected, "{name}");
    }
    assert!(!Validators::default().satisfies_if_range(b"\"a\""));
    assert!(!Validators::default().satisfies_if_range(b"Sun, 22 Nov 2026 10:00:00 GMT"));
}
