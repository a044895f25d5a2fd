//! E-3 to E-6: hit, refresh, stale, stand-in, errors, collapsing.
//!
//! Owns these tables. Never says how a case is played: `tests.rs` does.

use std::time::Duration;

use super::*;

use Do::{Alone, Answer, Ask};

fn dated(mut answer: AnswerHead, date: &str) -> AnswerHead {
    answer.validators.last_modified = Some(date.as_bytes().into());
    answer
}

#[test]
fn a_stale_object_is_confirmed_by_its_own_validators_byte_for_byte() {
    play([
        case(
            "E-3 absent is a miss, then a hit until the lifetime ends, not at its end",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (9, get(), "hit 1 (9s)"),
                (10, get(), "fetch 2 if \"a\""),
            ],
        ),
        case(
            "T10 HEAD is answered from a cached GET",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (1, head(), "hit 1 (1s)"),
            ],
        ),
        case(
            "T10 HEAD goes on as HEAD and leaves nothing; beside a GET in flight it waits for that one",
            [
                (0, head(), "fetch 1 by HEAD"),
                (0, head(), "fetch 2 by HEAD"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "pass"),
                (0, end(1, 0), ""),
                (0, end(2, 0), ""),
                (1, get(), "fetch 3"),
                (1, head(), "follow 3"),
            ],
        ),
        case(
            "T11 If-None-Match, weak and strange tags included",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("W/\" odd ,\\\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (11, get(), "fetch 2 if W/\" odd ,\\\""),
            ],
        ),
        case(
            "T12 If-Modified-Since, beside the tag and alone, also when it is no date",
            [
                (0, get(), "fetch 1"),
                (
                    0,
                    Answer(1, dated(ok("\"a\"").max_age(1), "yesterday")),
                    "keep 1",
                ),
                (0, end(1, 100), ""),
                (2, get(), "fetch 2 if \"a\" since yesterday"),
                (2, Answer(2, dated(ok("").max_age(1), "today")), "keep 2"),
                (2, end(2, 100), ""),
                (4, get(), "fetch 3 since today"),
            ],
        ),
        case(
            "T13 304 moves no byte: the same object, a new lifetime; silent about it, the old one again",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (11, get(), "fetch 2 if \"a\""),
                (12, Answer(2, status(304).max_age(5)), "refreshed 1 (0s)"),
                (12, end(2, 0), ""),
                (16, get(), "hit 1 (4s)"),
                (17, get(), "fetch 3 if \"a\""),
                (17, Answer(3, status(304)), "refreshed 1 (0s)"),
                (17, end(3, 0), ""),
                (21, get(), "hit 1 (4s)"),
                (22, Do::Dropped, ""),
            ],
        ),
        case(
            "E-3 200 replaces, but only once it is all there",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (11, get(), "fetch 2 if \"a\""),
                (11, Answer(2, ok("\"b\"").max_age(10)), "keep 2"),
                (11, Do::Dropped, ""),
                (11, end(2, 100), ""),
                (11, Do::Dropped, "1"),
                (12, get(), "hit 2 (1s)"),
            ],
        ),
        case(
            "E-3 an object without validators is fetched without condition",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (11, get(), "fetch 2"),
                (11, Answer(2, status(304)), "pass"),
            ],
        ),
        case(
            "fact 16 what varies on everything is never asked for conditionally with MinTTL 0",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, varying()), "pass"),
                (0, end(1, 100), ""),
                (0, get(), "fetch 2"),
            ],
        ),
    ]);
}

fn varying() -> AnswerHead {
    let mut answer = ok("\"a\"").max_age(10);
    answer.said.varies_on_everything = true;
    answer
}

#[test]
fn a_stale_object_is_served_within_its_windows_and_never_beyond() {
    play([
        case(
            "T14, T15 stale while revalidating: at once, with exactly one fetch behind",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).swr(20)), "keep 1"),
                (0, end(1, 100), ""),
                (10, get(), "stale 1 (10s) + fetch 2 if \"a\""),
                (11, get(), "stale 1 (11s)"),
                (12, range(5, 9), "stale 1 (12s)"),
                (13, Answer(2, status(304).max_age(10).swr(20)), "refreshed 1 (0s)"),
                (13, end(2, 0), ""),
                (14, get(), "hit 1 (1s)"),
                (43, get(), "stale 1 (30s) + fetch 3 if \"a\""),
                (44, get(), "follow 3"),
            ],
        ),
        case(
            "T15 also where requests do not collapse",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).swr(20)), "keep 1"),
                (0, end(1, 100), ""),
                (10, get(), "stale 1 (10s) + fetch 2 if \"a\""),
                (10, get(), "stale 1 (10s)"),
            ],
        )
        .with(|_, rules| rules.collapse = false),
        case(
            "T15 a failed fetch behind is not repeated before the error time is over",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).swr(60)), "keep 1"),
                (0, end(1, 100), ""),
                (20, get(), "stale 1 (20s) + fetch 2 if \"a\""),
                (21, Answer(2, status(500)), "stand-in 1 (21s)"),
                (21, end(2, 0), ""),
                (30, get(), "stale 1 (30s)"),
                (31, get(), "stale 1 (31s) + fetch 3 if \"a\""),
            ],
        ),
        case(
            "T16 stale if error: only after the attempt failed, to the last second",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).sie(100)), "keep 1"),
                (0, end(1, 100), ""),
                (20, get(), "fetch 2 if \"a\""),
                (50, Answer(2, status(504)), "stand-in 1 (50s)"),
                (50, end(2, 0), ""),
                (110, get(), "fetch 3 if \"a\""),
                (110, Answer(3, status(503)), "stand-in 1 (110s)"),
                (110, end(3, 0), ""),
                (111, get(), "fetch 4 if \"a\""),
                (111, Answer(4, status(503)), "keep 2"),
            ],
        ),
        case(
            "T17 stale-if-error=0 means the error",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).sie(0)), "keep 1"),
                (0, end(1, 100), ""),
                (11, get(), "fetch 2 if \"a\""),
                (11, Answer(2, status(503)), "keep 2"),
                (11, end(2, 0), ""),
                (12, get(), "hit 2 503 (1s)"),
                (21, get(), "fetch 3 if \"a\""),
                (21, Answer(3, status(304).max_age(10)), "refreshed 1 (0s)"),
                (21, end(3, 0), ""),
                (22, get(), "hit 1 (1s)"),
            ],
        ),
        case(
            "T18 beyond MaxTTL the error, however long stale-if-error and stale-while-revalidate are",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).swr(999).sie(999)), "keep 1"),
                (0, end(1, 100), ""),
                (60, get(), "stale 1 (60s) + fetch 2 if \"a\""),
                (61, get(), "follow 2"),
                (61, Answer(2, status(503)), "keep 2"),
            ],
        )
        .with(|_, rules| rules.ttl.max = Duration::from_secs(60)),
        case(
            "fact 11 an origin that says nothing about it lets the expired copy stand in, up to the limit",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (86_400, get(), "fetch 2 if \"a\""),
                (86_400, Answer(2, status(502)), "stand-in 1 (86400s)"),
                (86_400, end(2, 0), ""),
                (86_401, get(), "fetch 3 if \"a\""),
                (86_401, Answer(3, status(502)), "keep 2"),
            ],
        ),
        case(
            "E-4 an age on arrival counts",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, aged(ok("\"a\"").max_age(10), 7)), "keep 1"),
                (0, end(1, 100), ""),
                (2, get(), "hit 1 (9s)"),
                (3, get(), "fetch 2 if \"a\""),
            ],
        ),
    ]);
}

fn aged(mut answer: AnswerHead, seconds: u64) -> AnswerHead {
    answer.said.age = Duration::from_secs(seconds);
    answer
}

#[test]
fn errors_are_kept_beside_what_is_good() {
    play([
        case(
            "T20 stale and 5xx: the stale object, and the next attempt after the error time",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (20, get(), "fetch 2 if \"a\""),
                (20, Answer(2, status(500)), "stand-in 1 (20s)"),
                (20, end(2, 0), ""),
                (29, get(), "stale 1 (29s)"),
                (30, get(), "fetch 3 if \"a\""),
            ],
        ),
        case(
            "T20 the error time is the one of the status",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (20, get(), "fetch 2 if \"a\""),
                (20, Answer(2, status(503)), "stand-in 1 (20s)"),
                (20, end(2, 0), ""),
                (21, get(), "stale 1 (21s)"),
                (22, get(), "fetch 3 if \"a\""),
            ],
        )
        .with(|_, rules| {
            rules.errors.by_status.insert(503, Duration::from_secs(2));
        }),
        case(
            "T21 stale and 404: the 404, and never the object again",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (20, get(), "fetch 2 if \"a\""),
                (20, Answer(2, status(404)), "keep 2"),
                (20, end(2, 0), ""),
                (20, Do::Dropped, "1"),
                (21, get(), "hit 2 404 (1s)"),
                (31, get(), "fetch 3"),
                (31, Answer(3, status(503)), "keep 3"),
            ],
        ),
        case(
            "T21 a 4xx that is not kept denies the object too, but a 304 would confirm it",
            [
                (0, get(), "fetch 1"),
                (
                    0,
                    Answer(1, ok("\"a\"").max_age(10).swr(99).sie(99)),
                    "keep 1",
                ),
                (0, end(1, 100), ""),
                (20, get(), "stale 1 (20s) + fetch 2 if \"a\""),
                (20, Answer(2, status(410)), "pass"),
                (20, end(2, 0), ""),
                (21, get(), "fetch 3 if \"a\""),
                (21, Answer(3, status(500)), "keep 2"),
            ],
        ),
        case(
            "T22 an origin that does not answer is a 504 with nothing said: kept for the error time",
            [
                (0, get(), "fetch 1"),
                (30, Answer(1, status(504)), "keep 1"),
                (30, end(1, 0), ""),
                (39, get(), "hit 1 504 (9s)"),
                (40, get(), "fetch 2"),
            ],
        ),
        case(
            "T23 a 404 before the publish is pinned for 10 s, then heals",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, status(404)), "keep 1"),
                (0, end(1, 0), ""),
                (1, range(0, 9), "hit 1 404 (1s)"),
                (9, get(), "hit 1 404 (9s)"),
                (10, get(), "fetch 2"),
                (10, Answer(2, ok("\"a\"").max_age(100)), "keep 2"),
                (10, end(2, 100), ""),
                (10, Do::Dropped, "1"),
                (11, get(), "hit 2 (1s)"),
            ],
        ),
        case(
            "E-5 an error for one part does not hide the fresh parts beside it",
            [
                (0, range(0, 49), "fetch 1 0-49"),
                (0, Answer(1, part("\"a\"", 0..50).max_age(99)), "keep 1"),
                (0, end(1, 50), ""),
                (1, range(50, 99), "fetch 2 50-99 of 1"),
                (1, Answer(2, status(503)), "keep 2"),
                (1, end(2, 0), ""),
                (2, range(0, 9), "hit 1 (2s)"),
                (2, range(40, 60), "hit 2 503 (1s)"),
                (11, range(40, 60), "fetch 3 50-60 of 1"),
            ],
        ),
        case(
            "E-5 a kept error does not hide a stale part that may stand in for it, and no other",
            [
                (0, range(0, 49), "fetch 1 0-49"),
                (
                    0,
                    Answer(1, part("\"a\"", 0..50).max_age(9).sie(11)),
                    "keep 1",
                ),
                (0, end(1, 50), ""),
                (15, get(), "fetch 2 50-99 of 1"),
                (15, Answer(2, status(503)), "keep 2"),
                (15, end(2, 0), ""),
                (20, range(0, 9), "stale 1 (20s)"),
                (20, range(45, 55), "hit 2 503 (5s)"),
                (21, range(0, 9), "hit 2 503 (6s)"),
            ],
        ),
    ]);
}

#[test]
fn simultaneous_requests_share_one_fetch_where_they_may() {
    play([
        case(
            "T24, T29 the first leads (Miss), the others follow it (Hit)",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (1, get(), "follow 1"),
                (1, range(3, 9), "follow 1"),
                (2, end(1, 100), ""),
                (2, get(), "hit 1 (2s)"),
            ],
        ),
        case(
            "T25 on an expired object one conditional fetch, also for other parts of it",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (11, get(), "fetch 2 if \"a\""),
                (11, get(), "follow 2"),
                (11, range(5, 9), "follow 2"),
                (11, head(), "follow 2"),
                (12, Answer(2, status(304).max_age(10)), "refreshed 1 (0s)"),
                (12, end(2, 0), ""),
            ],
        ),
        case(
            "T26 no-store with MinTTL 0: who waited fetches alone, in turn",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, Answer(1, ok("\"a\"").forbidden()), "pass"),
                (0, Alone(Want::Whole), "fetch 2"),
                (0, get(), "fetch 3"),
                (0, end(1, 100), ""),
            ],
        ),
        case(
            "T26 max-age=0 with MinTTL 0: kept to be confirmed, but not shared",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, Answer(1, ok("\"a\"").max_age(0)), "keep 1, alone"),
                (0, end(1, 100), ""),
                (0, Alone(Want::Whole), "fetch 2 if \"a\""),
                (
                    0,
                    Answer(2, status(304).max_age(0)),
                    "refreshed 1 (0s), alone",
                ),
                (0, end(2, 0), ""),
            ],
        ),
        case(
            "T26 with MinTTL above 0 the same answer is shared and kept",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, Answer(1, ok("\"a\"").forbidden()), "keep 1"),
                (0, end(1, 100), ""),
                (0, get(), "hit 1 (0s)"),
                (1, get(), "fetch 2 if \"a\""),
            ],
        )
        .with(|_, rules| rules.ttl.min = Duration::from_secs(1)),
        case(
            "T27 cookies forwarded: every request fetches, but a fresh object is still a hit",
            [
                (0, get(), "fetch 1"),
                (0, get(), "fetch 2"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, Answer(2, ok("\"a\"").max_age(10)), "keep 2"),
                (0, end(1, 100), ""),
                (0, get(), "hit 1 (0s)"),
                (0, end(2, 100), ""),
                (0, Do::Dropped, "1"),
                (1, get(), "hit 2 (1s)"),
            ],
        )
        .with(|_, rules| rules.collapse = false),
        case(
            "T28 another key is another fetch",
            [
                (0, get(), "fetch 1"),
                (0, Ask("/b", Want::Whole), "fetch 2"),
                (0, get(), "follow 1"),
            ],
        ),
        case(
            "E-6 a fetch alone is nobody's to follow",
            [
                (0, Alone(Want::Whole), "fetch 1"),
                (0, get(), "fetch 2"),
                (0, get(), "follow 2"),
            ],
        ),
        case(
            "E-6 an error is shared with those who waited",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, Answer(1, status(503)), "keep 1"),
                (0, get(), "follow 1"),
            ],
        ),
    ]);
}
