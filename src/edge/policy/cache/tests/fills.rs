//! E-8, E-12, E-13: what of a body is kept, who may break off, what goes first, what an invalidation does.
//!
//! Owns these tables. Never says how a case is played: `tests.rs` does.

use super::*;

use Do::{Answer, Ask, Dropped, FollowerLeft, Invalidate, LeaderLeft};

#[test]
fn a_body_is_kept_only_as_it_was_announced() {
    play([
        case(
            "T41 shorter than announced: not kept",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, Do::End(1, End::Short), ""),
                (0, Dropped, "1"),
                (0, get(), "fetch 2"),
                (0, Answer(2, ok("\"a\"").max_age(10)), "keep 2"),
                (0, end(2, 99), ""),
                (0, Dropped, "2"),
                (0, Do::Bytes, "0"),
            ],
        ),
        case(
            "T41 and what it was to replace stays",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (20, get(), "fetch 2 if \"a\""),
                (20, Answer(2, ok("\"b\"").max_age(10)), "keep 2"),
                (20, Do::End(2, End::Short), ""),
                (20, Dropped, "2"),
                (20, get(), "fetch 3 if \"a\""),
            ],
        ),
        case(
            "T42 without Content-Length: whatever came",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).sized(None)), "keep 1"),
                (0, end(1, 42), ""),
                (0, Do::Bytes, "42"),
                (0, range(42, 50), "hit 1 (0s)"),
            ],
        ),
        case(
            "E-8 no head at all: nothing kept, nothing to give up",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, Do::End(1, End::Abandoned), ""),
                (0, Dropped, ""),
                (0, get(), "fetch 2"),
            ],
        ),
    ]);
}

#[test]
fn a_leader_that_breaks_off_ends_the_fill_as_the_parameter_says() {
    let discard = |settings: &mut CacheSettings, _: &mut Rules| {
        settings.leader_abort = LeaderAbort::Discard;
    };
    let for_followers = |settings: &mut CacheSettings, _: &mut Rules| {
        settings.leader_abort = LeaderAbort::ContinueForFollowers;
    };
    let go_on = |settings: &mut CacheSettings, _: &mut Rules| {
        settings.leader_abort = LeaderAbort::Continue;
    };
    play([
        case(
            "T43 discard: it ends, followers ask again, nothing is kept",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, LeaderLeft(1), "ends"),
                (0, get(), "fetch 2"),
                (0, Do::End(1, End::Abandoned), ""),
                (0, Dropped, "1"),
            ],
        )
        .with(discard),
        case(
            "T43 a follower that leaves ends nothing",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, FollowerLeft(1), "goes on"),
            ],
        )
        .with(discard),
        case(
            "T44 for followers: it goes on until the last one left",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, get(), "follow 1"),
                (0, LeaderLeft(1), "goes on"),
                (0, FollowerLeft(1), "goes on"),
                (0, get(), "follow 1"),
                (0, FollowerLeft(1), "goes on"),
                (0, FollowerLeft(1), "ends"),
                (0, get(), "fetch 2"),
            ],
        )
        .with(for_followers),
        case(
            "T44 for followers: with none it ends at once",
            [(0, get(), "fetch 1"), (0, LeaderLeft(1), "ends")],
        )
        .with(for_followers),
        case(
            "T44 always: to its end, and kept",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, LeaderLeft(1), "goes on"),
                (0, end(1, 100), ""),
                (0, get(), "hit 1 (0s)"),
            ],
        )
        .with(go_on),
        case(
            "T44 always, but not for what is not kept",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").forbidden()), "pass"),
                (0, LeaderLeft(1), "ends"),
            ],
        )
        .with(go_on),
        case(
            "E-4 a fetch behind has no leader: those who wait for it do not end it",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).swr(5)), "keep 1"),
                (0, end(1, 100), ""),
                (12, get(), "stale 1 (12s) + fetch 2 if \"a\""),
                (16, get(), "follow 2"),
                (16, FollowerLeft(2), "goes on"),
            ],
        )
        .with(discard),
    ]);
}

fn other(key: &'static str) -> Do {
    Ask(key, Want::Whole)
}

#[test]
fn the_least_recently_used_goes_first() {
    let room_for =
        |bytes: u64| move |settings: &mut CacheSettings, _: &mut Rules| settings.capacity = bytes;
    let big = |length: u64| ok("\"a\"").max_age(10).sized(Some(length));
    play([
        case(
            "E-12 a hit makes recent",
            [
                (0, other("/a"), "fetch 1"),
                (0, Answer(1, big(1_000)), "keep 1"),
                (0, end(1, 1_000), ""),
                (0, other("/b"), "fetch 2"),
                (0, Answer(2, big(1_000)), "keep 2"),
                (0, end(2, 1_000), ""),
                (1, other("/a"), "hit 1 (1s)"),
                (1, other("/c"), "fetch 3"),
                (1, Answer(3, big(500)), "keep 3"),
                (1, Dropped, ""),
                (1, end(3, 500), ""),
                (1, Dropped, "2"),
                (1, Do::Bytes, "1500"),
                (1, other("/a"), "hit 1 (1s)"),
            ],
        )
        .with(room_for(2_000)),
        case(
            "E-12 larger than the cache: delivered, also to those who wait, and not kept",
            [
                (0, other("/b"), "fetch 1"),
                (0, Answer(1, big(1_000)), "keep 1"),
                (0, end(1, 1_000), ""),
                (0, get(), "fetch 2"),
                (0, Answer(2, big(2_001)), "keep 2"),
                (0, get(), "follow 2"),
                (0, end(2, 2_001), ""),
                (0, Dropped, "2"),
                (0, other("/b"), "hit 1 (0s)"),
            ],
        )
        .with(room_for(2_000)),
        case(
            "E-12 errors and empty bodies take room too",
            [
                (0, other("/a"), "fetch 1"),
                (0, Answer(1, status(404)), "keep 1"),
                (0, end(1, 0), ""),
                (0, other("/b"), "fetch 2"),
                (0, Answer(2, big(0)), "keep 2"),
                (0, end(2, 0), ""),
                (0, other("/c"), "fetch 3"),
                (0, Answer(3, status(404)), "keep 3"),
                (0, end(3, 0), ""),
                (0, Dropped, "1"),
                (0, Do::Bytes, "0"),
            ],
        )
        .with(room_for(2 * OBJECT_COST_MIN)),
        case(
            "E-12 what a fill is about to confirm is not evicted",
            [
                (0, other("/a"), "fetch 1"),
                (0, Answer(1, big(1_000)), "keep 1"),
                (0, end(1, 1_000), ""),
                (20, other("/a"), "fetch 2 if \"a\""),
                (20, other("/b"), "fetch 3"),
                (20, Answer(3, big(1_500)), "keep 2"),
                (20, end(3, 1_500), ""),
                (20, Dropped, "2"),
                (20, Answer(2, status(304).max_age(10)), "refreshed 1 (0s)"),
            ],
        )
        .with(room_for(2_000)),
    ]);
}

#[test]
fn an_invalidation_drops_what_is_here_and_spoils_what_is_coming() {
    play([
        case(
            "T58 by key: the object, at once",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (1, Invalidate("/b"), "0"),
                (1, Invalidate(KEY), "1"),
                (1, Dropped, "1"),
                (1, Do::Bytes, "0"),
                (1, get(), "fetch 2"),
            ],
        ),
        case(
            "T60 by tag, an error too",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, status(404).tagged("release:1")), "keep 1"),
                (0, end(1, 0), ""),
                (1, Invalidate("release:2"), "0"),
                (1, Invalidate("release:1"), "1"),
                (1, get(), "fetch 2"),
            ],
        ),
        case(
            "T58 a fill in flight is delivered and not kept; who comes later fetches anew",
            [
                (0, get(), "fetch 1"),
                (0, get(), "follow 1"),
                (0, Invalidate(KEY), "0"),
                (0, get(), "fetch 2"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (0, Dropped, "1"),
                (0, Answer(2, ok("\"b\"").max_age(10)), "keep 2"),
                (0, end(2, 100), ""),
                (0, get(), "hit 2 (0s)"),
            ],
        ),
        case(
            "T60 a fill in flight by the tag of its answer",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10).tagged("x")), "keep 1"),
                (0, Invalidate("x"), "0"),
                (0, get(), "fetch 2"),
                (0, end(1, 100), ""),
                (0, Dropped, "1"),
            ],
        ),
        case(
            "T58 an object under confirmation is confirmed for those who wait, and goes when they are served",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (20, get(), "fetch 2 if \"a\""),
                (20, Invalidate(KEY), "1"),
                (20, Dropped, ""),
                (20, Answer(2, status(304).max_age(10)), "refreshed 1 (20s)"),
                (20, end(2, 0), ""),
                (20, Dropped, "1"),
                (20, get(), "fetch 3"),
            ],
        ),
        case(
            "T58 … and stands in for nothing",
            [
                (0, get(), "fetch 1"),
                (0, Answer(1, ok("\"a\"").max_age(10)), "keep 1"),
                (0, end(1, 100), ""),
                (20, get(), "fetch 2 if \"a\""),
                (20, Invalidate(KEY), "1"),
                (20, Answer(2, status(503)), "keep 2"),
            ],
        ),
        case(
            "T58 a part in flight is not added to what comes after",
            [
                (0, range(0, 9), "fetch 1 0-9"),
                (0, Answer(1, part("\"a\"", 0..10).max_age(10)), "keep 1"),
                (0, Invalidate(KEY), "1"),
                (0, range(0, 9), "fetch 2 0-9"),
                (0, end(1, 10), ""),
                (0, Dropped, "1"),
                (0, Answer(2, part("\"a\"", 0..10).max_age(10)), "keep 2"),
                (0, end(2, 10), ""),
                (0, range(0, 9), "hit 2 (0s)"),
            ],
        ),
        case(
            "T58 a part asked for before is kept apart",
            [
                (0, range(0, 9), "fetch 1 0-9"),
                (0, Invalidate(KEY), "0"),
                (0, Answer(1, part("\"a\"", 0..10).max_age(10)), "keep 1"),
                (0, end(1, 10), ""),
                (0, Dropped, "1"),
                (0, range(0, 9), "fetch 2 0-9"),
            ],
        ),
    ]);
}

#[test]
fn what_is_known_can_be_looked_at_without_use() {
    let mut cache: Cache<&str> = Cache::new(settings());
    let rules = rules();
    let Verdict::Fetch(fetch) = cache.ask(&KEY, Want::Suffix(5), &rules, moment(0)) else {
        panic!("an empty cache fetches");
    };
    let _ = cache.ask(&KEY, Want::Suffix(5), &rules, moment(0));
    let asked = cache.fill(fetch.fill).unwrap();
    assert_eq!(
        (asked.span, asked.followers, asked.is_open),
        (None, 1, true)
    );
    let answer = part("\"a\"", 95..100).max_age(10).tagged("t");
    let _ = cache.answered(fetch.fill, &answer, &rules, moment(0));
    assert_eq!(cache.fill(fetch.fill).unwrap().span, Some(95..100));
    cache.finished(fetch.fill, End::Complete(5), moment(0));
    assert_eq!((cache.fill(fetch.fill), cache.fills()), (None, 0));

    let seen = cache.peek(&KEY, moment(11)).unwrap();
    assert_eq!(seen.stored.total, Some(100));
    assert_eq!(seen.stored.age, Duration::from_secs(11));
    assert!(!seen.is_fresh && seen.spans.covers(&(95..100)) && !seen.spans.covers(&(94..100)));
    assert_eq!(seen.validators, &answer.validators);
    assert_eq!(seen.tags, ["t".into()]);
    let all: Vec<&str> = cache.iter(moment(11)).map(|(key, _)| *key).collect();
    assert_eq!(all, [KEY]);
    assert_eq!(cache.peek(&"/b", moment(0)), None);
}
