//! The origin that is slow, wrong or away, and the stale answers that stand in for it.
//!
//! Owns E-4, E-5 and E-10 on the wire. Never looks at time-outs of real length: they are set to milliseconds.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use headwater::edge::policy::errors::ErrorTtls;
use http::StatusCode;

use super::rig::{Gate, Origin, Setup, head, honest, pattern, raw, reply, until};

const STALE: &str =
    "ETag: \"v1\"\r\nCache-Control: max-age=10, stale-while-revalidate=20, stale-if-error=100\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_object_is_served_at_once_while_one_fetch_goes_on_behind_it() {
    // T14, T15.
    let gate = Gate::default();
    let origin = Origin::start(|_, stream| reply(stream, "200 OK", STALE, b"old"));
    let edge = Setup::of(&origin).start().await;
    edge.get("/a").await;
    let held = gate.clone();
    origin.now(move |_, stream| {
        held.wait();
        reply(stream, "200 OK", &STALE.replace("v1", "v2"), b"newer")
    });
    edge.later(Duration::from_secs(11));
    for _ in 0..5 {
        let stale = edge.get("/a").await;
        assert_eq!(
            (stale.x_cache(), stale.body.as_slice()),
            ("Hit", &b"old"[..])
        );
        assert_eq!(stale.field("age"), Some("11"));
    }
    until("it is asked for", || origin.count() == 2).await;
    gate.open();
    // The region has the new one first; what the POP asks for behind its next answer is that.
    until("both are kept", || edge.engine.memory_bytes() == 8).await;
    edge.get("/a").await;
    until("the old one is gone", || edge.engine.memory_bytes() == 5).await;
    let new = edge.get("/a").await;
    assert_eq!((new.x_cache(), new.body.as_slice()), ("Hit", &b"newer"[..]));
    assert_eq!(
        (origin.count(), edge.stats().books.last_layer_refreshes),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_object_stands_in_for_an_origin_that_fails() {
    // T16: after the origin's time is over; T20: then it is left alone for a while.
    let origin = Origin::start(|_, stream| reply(stream, "200 OK", STALE, b"old"));
    let mut setup = Setup::of(&origin);
    setup.behaviour.origin.read_timeout = Duration::from_secs(1);
    let edge = setup.start().await;
    edge.get("/a").await;
    origin.now(|_, stream| {
        let _ = stream.read(&mut [0]);
        false
    });
    edge.later(Duration::from_secs(40));
    let started = Instant::now();
    let stale = edge.get("/a").await;
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (stale.status, stale.x_cache(), stale.body.as_slice()),
        (StatusCode::OK, "Hit", &b"old"[..]),
        "nothing was refreshed"
    );
    let count = origin.count();
    let again = edge.get("/a").await;
    assert_eq!((again.status, again.x_cache()), (StatusCode::OK, "Hit"));
    assert_eq!(
        origin.count(),
        count,
        "not asked again within the error-caching TTL"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stands_in_when_that_is_forbidden_or_too_old() {
    // T17, T18.
    let never = "Cache-Control: max-age=10, stale-if-error=0\r\nETag: \"v1\"\r\n";
    for (fields, later) in [(never, 11), (STALE, 111)] {
        let origin = Origin::start(move |_, stream| reply(stream, "200 OK", fields, b"old"));
        let edge = Setup::of(&origin).start().await;
        edge.get("/a").await;
        origin.now(|_, stream| reply(stream, "503 Service Unavailable", "", b"away"));
        edge.later(Duration::from_secs(later));
        let failed = edge.get("/a").await;
        assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE, "{fields}");
        assert_eq!(
            (failed.x_cache(), failed.body.as_slice()),
            ("Error", &b"away"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_kept_for_its_time_and_then_heals() {
    // T19, T23.
    let origin = Origin::start(|_, stream| reply(stream, "404 Not Found", "", b"none"));
    let edge = Setup::of(&origin).start().await;
    for _ in 0..3 {
        let missing = edge.get("/a").await;
        assert_eq!(
            (missing.status, missing.x_cache()),
            (StatusCode::NOT_FOUND, "Error")
        );
        assert_eq!(missing.body, b"none");
    }
    assert_eq!(origin.count(), 1);
    origin.now(honest(b"here".to_vec()));
    edge.later(Duration::from_secs(11));
    let healed = edge.get("/a").await;
    assert_eq!(
        (healed.status, healed.body.as_slice()),
        (StatusCode::OK, &b"here"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_says_nothing_is_asked_as_often_as_configured_and_then_504() {
    // T22, T50: reads are repeated, other methods are not.
    for (method, attempts) in [("GET", 3), ("HEAD", 3), ("POST", 1)] {
        let origin = Origin::start(|_, stream| {
            let _ = stream.read(&mut [0]);
            false
        });
        let mut setup = Setup::of(&origin);
        setup.behaviour.origin.read_timeout = Duration::from_secs(1);
        setup.behaviour.origin.connection_attempts = 3;
        let edge = setup.start().await;
        let failed = edge.ask(method, "/a", &[]).await;
        assert_eq!(
            (failed.status, failed.x_cache()),
            (StatusCode::GATEWAY_TIMEOUT, "Error")
        );
        assert_eq!(origin.count(), attempts, "{method}");
        let stats = edge.stats();
        let counted = (stats.books.origin_requests, stats.books.origin_unanswered);
        assert_eq!(counted, (attempts as u64, attempts as u64), "{method}");
        assert_eq!(
            stats.books.last_layer_misses, 0,
            "{method}: nothing answered it"
        );
        stats.books.check().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_the_second_attempt_is_one_miss_and_two_requests() {
    let nth = AtomicUsize::new(0);
    let origin = Origin::start(move |_, stream| {
        if nth.fetch_add(1, Ordering::Relaxed) == 0 {
            return false; // closes without a word
        }
        reply(stream, "200 OK", "Cache-Control: max-age=60\r\n", b"yes")
    });
    let mut setup = Setup::of(&origin);
    setup.behaviour.origin.connection_attempts = 2;
    let edge = setup.start().await;
    assert_eq!(edge.get("/a").await.body, b"yes");
    let stats = edge.stats();
    assert_eq!((stats.books.origin_requests, origin.count()), (2, 2));
    assert_eq!(
        (stats.books.origin_unanswered, stats.books.last_layer_misses),
        (1, 1)
    );
    stats.books.check().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_viewer_leaves_before_the_answer_is_unanswered() {
    let gate = Gate::default();
    let origin = Origin::start({
        let gate = gate.clone();
        move |_, stream| {
            gate.wait();
            reply(stream, "200 OK", "Cache-Control: max-age=60\r\n", b"late")
        }
    });
    let edge = Arc::new(Setup::of(&origin).start().await);
    let viewer = tokio::spawn({
        let edge = Arc::clone(&edge);
        async move { edge.get("/a").await.status }
    });
    until("the origin is asked", || origin.count() == 1).await;
    viewer.abort();
    until("it is given up", || edge.engine.fills_in_flight() == 0).await;
    gate.open();
    let stats = edge.stats();
    assert_eq!(
        (stats.books.origin_requests, stats.books.origin_unanswered),
        (1, 1)
    );
    assert_eq!(stats.books.last_layer_misses, 0);
    stats.books.check().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_stops_in_the_middle_breaks_the_body_off() {
    let origin = Origin::start(|_, stream| {
        head(stream, "200 OK", "Cache-Control: max-age=60\r\n", 10);
        raw(stream, "abc");
        let _ = stream.read(&mut [0]);
        false
    });
    let mut setup = Setup::of(&origin);
    setup.behaviour.origin.read_timeout = Duration::from_secs(1);
    let edge = setup.start().await;
    let short = edge.get("/a").await;
    assert_eq!(
        (short.status, short.body.as_slice()),
        (StatusCode::OK, &b"abc"[..])
    );
    assert!(short.is_short);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_not_there_is_a_502_that_is_kept() {
    let origin = Origin::start(honest(Vec::new()));
    let mut setup = Setup::of(&origin);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    setup.behaviour.origin.url = format!("http://{address}");
    setup.behaviour.error_ttls = ErrorTtls {
        by_status: [(502, Duration::from_secs(5))].into(),
    };
    let edge = setup.start().await;
    for _ in 0..2 {
        let failed = edge.get("/a").await;
        assert_eq!(
            (failed.status, failed.x_cache()),
            (StatusCode::BAD_GATEWAY, "Error")
        );
        assert!(
            String::from_utf8(failed.body)
                .unwrap()
                .contains("OriginConnectError")
        );
    }
    assert_eq!(
        edge.stats().books.origin_requests,
        0,
        "no request got that far"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_and_what_is_no_answer_are_502() {
    // T52.
    let too_large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(33_000));
    for (answer, why) in [
        (too_large.as_str(), "OriginHeaderTooBigError"),
        ("what is this\r\n\r\n", "OriginInvalidResponseError"),
        ("", "OriginReadError"),
        (
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nab",
            "OriginInvalidResponseError",
        ),
    ] {
        let sent = answer.to_owned();
        let origin = Origin::start(move |_, stream| {
            raw(stream, &sent);
            false
        });
        let edge = Setup::of(&origin).start().await;
        let failed = edge.get("/a").await;
        assert_eq!(failed.status, StatusCode::BAD_GATEWAY, "{why}");
        let page = String::from_utf8(failed.body).unwrap();
        assert!(page.contains(why), "{why}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_whose_length_is_not_its_range_is_refused() {
    let origin = Origin::start(|_, stream| {
        let fields = "Content-Range: bytes 0-9/100\r\nCache-Control: max-age=60\r\n";
        reply(stream, "206 Partial Content", fields, b"abc")
    });
    let edge = Setup::of(&origin).start().await;
    let failed = edge.get_range("/a", "bytes=0-9").await;
    assert_eq!(failed.status, StatusCode::BAD_GATEWAY);
    let page = String::from_utf8(failed.body).unwrap();
    assert!(page.contains("OriginContentRangeLengthError"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_used_again_and_what_it_carries_is_complete() {
    let body = pattern(1000);
    let connections = Arc::new(std::sync::Mutex::new(Vec::new()));
    let origin = Origin::start({
        let (honest, connections) = (honest(body), connections.clone());
        move |seen, stream| {
            connections
                .lock()
                .unwrap()
                .push(stream.peer_addr().unwrap());
            honest(seen, stream)
        }
    });
    let edge = Setup::of(&origin).start().await;
    for path in ["/a", "/b", "/c"] {
        assert_eq!(edge.get(path).await.body.len(), 1000);
    }
    let mut used = connections.lock().unwrap().clone();
    used.dedup();
    assert_eq!(used.len(), 1, "{used:?}");
    let seen = origin.seen();
    let host = origin.address.to_string();
    assert_eq!(seen[0].field("host"), Some(host.as_str()));
    assert_eq!(
        (seen[0].target.as_str(), seen[2].target.as_str()),
        ("/a", "/c")
    );
    assert_eq!(seen[0].field("user-agent"), Some("Amazon CloudFront"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_answers_are_passed_over() {
    let origin = Origin::start(|_, stream| {
        raw(stream, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        reply(stream, "200 OK", "", b"body")
    });
    let edge = Setup::of(&origin).start().await;
    assert_eq!(edge.get("/a").await.body, b"body");
}
