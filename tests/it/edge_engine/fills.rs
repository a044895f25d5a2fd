//! Hits, misses, refreshes, collapsing, and those who break off.
//!
//! Owns E-3, E-6 and E-8 on the wire. Never asks which layer answered: `topology.rs` does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use headwater::edge::policy::cache::LeaderAbort;
use http::StatusCode;
use http_body_util::BodyExt as _;

use super::rig::{Gate, MIB, Origin, Setup, head, honest, pattern, raw, reply, until, whole};

const FRESH: &str = "ETag: \"v1\"\r\nCache-Control: max-age=60\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_request_is_a_hit_with_an_age_and_the_same_bytes() {
    for len in [0, 1, 1000, 3 * MIB] {
        let body = pattern(len);
        let origin = Origin::start(honest(body.clone()));
        let edge = Setup::of(&origin).start().await;
        let first = edge.get("/a").await;
        edge.later(Duration::from_secs(7));
        let second = edge.get("/a").await;
        assert_eq!(first.status, StatusCode::OK);
        assert_eq!(
            (first.x_cache(), first.field("age")),
            ("Miss", None),
            "{len}"
        );
        assert_eq!(
            (second.x_cache(), second.field("age")),
            ("Hit", Some("7")),
            "{len}"
        );
        assert!(first.body == body && second.body == body, "{len}");
        assert_eq!(second.field("etag"), Some("\"v1\""));
        assert_eq!(origin.count(), 1);
        let stats = edge.stats();
        let len = len as u64;
        assert_eq!((stats.books.hit_bytes, stats.books.fill_bytes), (len, len));
        assert_eq!(
            (stats.books.viewer_bytes, stats.origin_bytes),
            (2 * len, len)
        );
        assert_eq!(
            (stats.books.origin_requests, stats.books.last_layer_misses),
            (1, 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_object_is_confirmed_without_a_byte_of_body() {
    let body = pattern(5000);
    let origin = Origin::start(honest(body.clone()));
    let edge = Setup::of(&origin).start().await;
    edge.get("/a").await;
    edge.later(Duration::from_secs(61));
    let refreshed = edge.get("/a").await;
    assert_eq!(
        (refreshed.x_cache(), refreshed.field("age")),
        ("RefreshHit", Some("0"))
    );
    assert!(refreshed.body == body);
    assert_eq!(origin.seen()[1].field("if-none-match"), Some("\"v1\""));
    let hit = edge.get("/a").await;
    assert_eq!(hit.x_cache(), "Hit");
    let stats = edge.stats();
    assert_eq!(
        (
            stats.books.last_layer_misses,
            stats.books.last_layer_refreshes
        ),
        (1, 1)
    );
    assert_eq!((stats.books.origin_requests, stats.origin_bytes), (2, 5000));
    assert_eq!(
        (stats.books.hit_bytes, stats.books.fill_bytes),
        (10_000, 5000)
    );
}

/// A origin that holds the second half of its body back until the gate opens.
fn held_back(body: Vec<u8>, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |_, stream| {
        let (now, later) = body.split_at(body.len() / 2);
        if !(head(stream, "200 OK", FRESH, body.len())
            && std::io::Write::write_all(stream, now).is_ok())
        {
            return false;
        }
        gate.wait();
        std::io::Write::write_all(stream, later).is_ok()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_simultaneous_requests_are_one_at_the_origin() {
    let (body, gate) = (pattern(200_000), Gate::default());
    let origin = held_back(body.clone(), &gate);
    let edge = Arc::new(Setup::of(&origin).start().await);
    let viewers: Vec<_> = (0..100)
        .map(|_| {
            let edge = Arc::clone(&edge);
            tokio::spawn(async move { edge.get("/a").await })
        })
        .collect();
    until("all are there", || edge.stats().collapsed == 99).await;
    gate.open();
    let mut misses = 0;
    for viewer in viewers {
        let answer = viewer.await.unwrap();
        assert!(answer.body == body && !answer.is_short);
        misses += usize::from(answer.x_cache() == "Miss");
    }
    assert_eq!((misses, origin.count()), (1, 1));
    assert_eq!(edge.stats().books.fill_bytes, 100 * 200_000);
    assert_eq!(edge.get("/a").await.x_cache(), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_may_break_off_without_breaking_its_followers() {
    for abort in [
        LeaderAbort::Discard,
        LeaderAbort::ContinueForFollowers,
        LeaderAbort::Continue,
    ] {
        let (body, gate) = (pattern(200_000), Gate::default());
        let origin = held_back(body.clone(), &gate);
        let mut setup = Setup::of(&origin);
        setup.cache.leader_abort = abort;
        let edge = Arc::new(setup.start().await);
        let leader = edge.open("GET", "/a", &[]).await;
        let mut followers = Vec::new();
        for _ in 0..10 {
            followers.push(edge.open("GET", "/a", &[]).await);
        }
        drop(leader);
        if abort == LeaderAbort::Discard {
            until("the POP disowns it", || edge.engine.fills_in_flight() == 1).await;
        }
        gate.open();
        for follower in followers {
            let answer = whole(follower).await;
            assert!(answer.body == body && !answer.is_short, "{abort:?}");
        }
        assert_eq!(origin.count(), 1, "{abort:?}");
        let next = edge.get("/a").await;
        let is_kept = abort != LeaderAbort::Discard;
        assert_eq!(next.x_cache() == "Hit", is_kept, "{abort:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_nobody_wants_ends_and_keeps_nothing() {
    let (body, gate) = (pattern(200_000), Gate::default());
    let origin = held_back(body.clone(), &gate);
    let edge = Setup::of(&origin).start().await;
    drop(edge.open("GET", "/a", &[]).await);
    until("it is given up", || edge.engine.fills_in_flight() == 0).await;
    assert_eq!(edge.engine.memory_bytes(), 0);
    gate.open();
    assert_eq!(edge.get("/a").await.x_cache(), "Miss");
    assert_eq!(origin.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_bytes_reach_the_viewers_while_the_origin_holds_the_rest() {
    let (body, gate) = (pattern(100_000), Gate::default());
    let origin = held_back(body.clone(), &gate);
    let edge = Setup::of(&origin).start().await;
    for who in ["leader", "follower"] {
        let mut viewer = edge.open("GET", "/a", &[]).await;
        let mut came = Vec::new();
        while came.len() < body.len() / 2 {
            let frame = viewer.body_mut().frame().await.unwrap().unwrap();
            came.extend_from_slice(frame.data_ref().unwrap());
        }
        assert!(came == body[..body.len() / 2], "{who}");
        if who == "follower" {
            gate.open();
            assert_eq!(whole(viewer).await.body.len(), body.len() / 2);
            return;
        }
        // The leader stays attached until the follower is done.
        tokio::spawn(whole(viewer));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_may_be_made_to_wait_for_all_of_it() {
    let (body, gate) = (pattern(100_000), Gate::default());
    let origin = held_back(body.clone(), &gate);
    let mut setup = Setup::of(&origin);
    setup.stream_along = false;
    let edge = Arc::new(setup.start().await);
    let leader = edge.open("GET", "/a", &[]).await;
    let follower = tokio::spawn({
        let edge = Arc::clone(&edge);
        async move { edge.get("/a").await }
    });
    until("it follows", || edge.stats().collapsed == 1).await;
    assert!(
        !follower.is_finished(),
        "no head before the end of the fill"
    );
    gate.open();
    assert!(whole(leader).await.body == body);
    let follower = follower.await.unwrap();
    assert_eq!(follower.x_cache(), "Hit");
    assert!(follower.body == body);
    assert_eq!((origin.count(), edge.stats().books.hit_bytes), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_does_not_read_holds_nobody_up() {
    // More than the sockets between the edge and the viewer take.
    let body = pattern(32 * MIB);
    let origin = Origin::start(honest(body.clone()));
    let edge = Setup::of(&origin).start().await;
    let asleep = edge.open("GET", "/a", &[]).await;
    assert!(edge.get("/a").await.body == body);
    assert_eq!(edge.get("/a").await.x_cache(), "Hit");
    assert!(whole(asleep).await.body == body);
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_body_is_delivered_short_and_not_kept() {
    // T41: with a length; T42: broken chunks.
    let lengthy = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=60\r\n\r\nabcde";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n5\r\nabcde\r\n";
    for answer in [lengthy, chunked] {
        let origin = Origin::start(move |_, stream| {
            raw(stream, answer);
            false
        });
        let edge = Setup::of(&origin).start().await;
        for nth in 1..=2 {
            let short = edge.get("/a").await;
            assert_eq!(
                (short.body.as_slice(), short.is_short),
                (&b"abcde"[..], true)
            );
            assert_eq!((short.x_cache(), origin.count()), ("Miss", nth));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_a_length_is_kept_as_it_came() {
    let by_close = "HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: max-age=60\r\n\r\nabcde";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    for answer in [by_close, chunked] {
        let origin = Origin::start(move |_, stream| {
            raw(stream, answer);
            false
        });
        let edge = Setup::of(&origin).start().await;
        let miss = edge.get("/a").await;
        assert_eq!(
            (miss.body.as_slice(), miss.is_short),
            (&b"abcde"[..], false)
        );
        assert_eq!(miss.field("content-length"), None);
        let hit = edge.get_range("/a", "bytes=1-2").await;
        assert_eq!(
            (hit.status, hit.x_cache()),
            (StatusCode::PARTIAL_CONTENT, "Hit")
        );
        assert_eq!(hit.body, b"bc");
        assert_eq!(hit.field("content-range"), Some("bytes 1-2/5"));
        assert_eq!(origin.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_kept_is_asked_for_by_each_viewer() {
    // T26: the first answer releases those who wait for it.
    let gate = Gate::default();
    let served = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start({
        let (gate, served) = (gate.clone(), Arc::clone(&served));
        move |_, stream| {
            gate.wait();
            let nth = served.fetch_add(1, Ordering::SeqCst).to_string();
            reply(
                stream,
                "200 OK",
                "Cache-Control: no-store\r\n",
                nth.as_bytes(),
            )
        }
    });
    let edge = Arc::new(Setup::of(&origin).start().await);
    let viewers: Vec<_> = (0..10)
        .map(|_| {
            let edge = Arc::clone(&edge);
            tokio::spawn(async move { edge.get("/a").await })
        })
        .collect();
    until("nine wait", || edge.stats().collapsed >= 9).await;
    gate.open();
    let mut bodies = Vec::new();
    for viewer in viewers {
        let answer = viewer.await.unwrap();
        assert_eq!(answer.x_cache(), "Miss");
        bodies.push(answer.body);
    }
    bodies.sort();
    bodies.dedup();
    assert_eq!((bodies.len(), origin.count()), (10, 10));
    assert_eq!(edge.stats().books.origin_requests, 10);
}
