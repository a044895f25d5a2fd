//! E-10: what the origin really receives, what the viewer really gets, and how long the edge keeps trying.
//!
//! Never believes the edge about a header: the recording origin has the bytes.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{distribution, edge};
use crate::harness::edge::Setup;
use crate::harness::upstream::{Seen, Step, Upstream, message, ok};
use crate::harness::viewer::{self, Viewer};

/// An origin whose every answer is a small object that may be kept.
fn plain() -> Upstream {
    Upstream::start(|_| ok("Cache-Control: max-age=60\r\n", b"body"))
}

/// What a viewer's browser and the proxies on its way put into a request.
const CHATTER: &str = "Accept: text/html\r\nAccept-Charset: utf-8\r\nAccept-Language: de\r\n\
    Accept-Encoding: gzip, br\r\nReferer: http://example.org/\r\nCookie: session=1\r\nTE: trailers\r\n\
    Trailer: Expires\r\nUpgrade: h2c\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\nX-Edge-Location: here\r\n\
    X-Edge-Pop: 0\r\nUser-Agent: device/1\r\nAuthorization: Basic eA==\r\nCache-Control: no-cache\r\n";

#[test]
fn the_origin_is_asked_in_the_edges_name() {
    // T48, fact 40.
    let origin = plain();
    let edge = edge(&origin);
    let answer = viewer::ask(edge.address, "GET", "/object?q=1", CHATTER);
    assert_eq!(answer.head.status, 200);
    let seen = origin.seen().remove(0);
    assert_eq!(
        (seen.method.as_str(), seen.version.as_str()),
        ("GET", "HTTP/1.1")
    );
    assert_eq!(
        seen.target, "/object",
        "the query is not in the key, so it is not forwarded"
    );
    assert_eq!(
        seen.field("user-agent").as_deref(),
        Some("Amazon CloudFront")
    );
    assert_eq!(seen.field("host"), Some(origin.address.to_string()));
    let on_behalf_of = seen.field("x-forwarded-for").unwrap();
    let on_behalf_of: Vec<_> = on_behalf_of.split(',').map(str::trim).collect();
    assert_eq!(on_behalf_of, ["192.0.2.7", "127.0.0.1"]);
    assert!(
        seen.field("x-amz-cf-id").is_some_and(|id| id.len() >= 20),
        "{seen:?}"
    );
    assert!(
        seen.field("via")
            .is_some_and(|via| via.ends_with("(CloudFront)")),
        "{seen:?}"
    );
    assert_eq!(
        seen.field("connection")
            .map(|c| c.to_ascii_lowercase())
            .as_deref(),
        Some("keep-alive")
    );
}

#[test]
fn what_is_the_viewers_own_business_does_not_reach_the_origin() {
    // T49, fact 40.
    let origin = plain();
    let edge = edge(&origin);
    viewer::ask(edge.address, "GET", "/object", CHATTER);
    let seen = origin.seen().remove(0);
    let removed = [
        "accept",
        "accept-charset",
        "accept-language",
        "referer",
        "cookie",
        "expect",
        "te",
        "trailer",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
        "x-forwarded-proto",
        "x-real-ip",
        "x-edge-location",
        "x-edge-pop",
        "authorization",
    ];
    let kept: Vec<_> = removed
        .iter()
        .filter(|name| seen.field(name).is_some())
        .collect();
    assert!(kept.is_empty(), "forwarded: {kept:?} in {seen:?}");
}

#[test]
fn the_viewer_is_told_what_the_edge_did() {
    // Fact 41.
    let origin = Upstream::start(|_| {
        ok(
            "Cache-Control: max-age=60\r\nTrailer: X\r\nUpgrade: h2c\r\n",
            b"body",
        )
    });
    let edge = edge(&origin);
    let miss = viewer::ask(edge.address, "GET", "/object", "");
    let hit = viewer::ask(edge.address, "GET", "/object", "");
    assert_eq!(
        (miss.x_cache(), hit.x_cache()),
        ("Miss".into(), "Hit".into())
    );
    assert_eq!(miss.head.field("age"), None, "fresh from the origin");
    assert!(
        hit.head
            .field("age")
            .is_some_and(|age| age.parse::<u64>().is_ok()),
        "{hit:?}"
    );
    for answer in [&miss, &hit] {
        let head = &answer.head;
        let via = head.field("via").unwrap();
        assert!(
            via.starts_with("1.1 ") && via.ends_with(" (CloudFront)"),
            "{via}"
        );
        assert!(
            head.field("x-amz-cf-pop")
                .is_some_and(|pop| !pop.is_empty()),
            "{head:?}"
        );
        assert_eq!(head.field("trailer"), None);
        assert_eq!(head.field("upgrade"), None);
    }
    assert_ne!(
        miss.head.field("x-amz-cf-id"),
        hit.head.field("x-amz-cf-id"),
        "one id for each request"
    );
}

#[test]
fn connections_to_the_origin_are_used_again() {
    // Fact 48.
    let origin = plain();
    let edge = edge(&origin);
    for n in 0..20 {
        viewer::ask(edge.address, "GET", &format!("/object/{n}"), "");
    }
    assert_eq!(origin.seen().len(), 20);
    assert!(
        origin.connections() <= 2,
        "{} connections",
        origin.connections()
    );
}

#[test]
fn a_silent_origin_is_asked_as_often_as_configured_and_then_it_is_a_504() {
    // T50, T22, fact 47: `distribution` has two attempts of one second.
    let origin = Upstream::start(|_| vec![Step::Hang]);
    let edge = edge(&origin);
    let begun = Instant::now();
    let answer = viewer::ask(edge.address, "GET", "/object", "");
    assert_eq!(
        (answer.head.status, answer.x_cache().as_str()),
        (504, "Error")
    );
    assert_eq!(origin.seen().len(), 2);
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    // It is an error of list A: kept for its ten seconds (E-5).
    assert_eq!(
        viewer::ask(edge.address, "GET", "/object", "").head.status,
        504
    );
    assert_eq!(origin.seen().len(), 2);
    // What changes something is never asked for twice.
    let posted = viewer::ask(edge.address, "POST", "/object", "Content-Length: 0\r\n");
    assert_eq!(posted.head.status, 504);
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn an_origin_that_refuses_connections_is_a_502() {
    // T51.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let edge = Setup::new().config(&distribution("")).start(closed);
    let answer = viewer::ask(edge.address, "GET", "/object", "");
    assert_eq!(
        (answer.head.status, answer.x_cache().as_str()),
        (502, "Error")
    );
}

#[test]
fn an_origin_that_stops_inside_a_body_ends_the_answer_there() {
    // Fact 47: the time between two packets is limited too, and then there is nothing to try again.
    let origin = Upstream::start(|_| {
        let head =
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1000\r\n\r\n12345";
        vec![Step::Send(head.as_bytes().to_vec()), Step::Hang]
    });
    let edge = edge(&origin);
    let answer = viewer::ask(edge.address, "GET", "/object", "");
    assert_eq!(
        (answer.head.status, answer.body.as_slice()),
        (200, b"12345".as_slice())
    );
    assert!(!answer.whole);
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_request_beyond_the_quotas_is_a_413_and_never_reaches_the_origin() {
    // T52, fact 42: 32,768 bytes of header, 8,192 of URL.
    let origin = plain();
    let edge = edge(&origin);
    let field = format!("X-Long: {}\r\n", "x".repeat(33_000));
    assert_eq!(
        viewer::ask(edge.address, "GET", "/object", &field)
            .head
            .status,
        413
    );
    let target = format!("/{}", "x".repeat(8_300));
    assert_eq!(
        viewer::ask(edge.address, "GET", &target, "").head.status,
        413
    );
    assert_eq!(origin.seen().len(), 0);
    let field = format!("X-Long: {}\r\n", "x".repeat(30_000));
    assert_eq!(
        viewer::ask(edge.address, "GET", "/object", &field)
            .head
            .status,
        200
    );
    let target = format!("/{}", "x".repeat(8_000));
    assert_eq!(
        viewer::ask(edge.address, "GET", &target, "").head.status,
        200
    );
}

#[test]
fn an_answer_with_an_oversized_header_is_an_error_of_the_origin() {
    // T53, fact 42.
    let origin = Upstream::start(|_| {
        let long = format!(
            "X-Long: {}\r\nCache-Control: max-age=60\r\n",
            "x".repeat(33_000)
        );
        ok(&long, b"body")
    });
    let edge = edge(&origin);
    let answer = viewer::ask(edge.address, "GET", "/object", "");
    assert_eq!(
        (answer.head.status, answer.x_cache().as_str()),
        (502, "Error")
    );
    let line = edge.await_log(1).remove(0);
    assert_eq!(
        line["x-edge-detailed-result-type"], "OriginHeaderTooBigError",
        "{line}"
    );
}

#[test]
fn a_part_that_is_not_as_long_as_it_says_is_an_error_of_the_origin() {
    // Fact 35.
    let origin = Upstream::start(|_| {
        let fields = "Cache-Control: max-age=60\r\nContent-Range: bytes 0-9/100\r\n";
        vec![Step::Send(message("206 Partial Content", fields, b"12345"))]
    });
    let edge = edge(&origin);
    let answer = viewer::ask(edge.address, "GET", "/object", "Range: bytes=0-9\r\n");
    assert_eq!(
        (answer.head.status, answer.x_cache().as_str()),
        (502, "Error")
    );
    let line = edge.await_log(1).remove(0);
    assert_eq!(
        line["x-edge-detailed-result-type"], "OriginContentRangeLengthError",
        "{line}"
    );
}

#[test]
fn a_get_with_a_body_is_refused() {
    // Fact 24.
    let origin = plain();
    let edge = edge(&origin);
    let mut viewer = Viewer::open(edge.address);
    viewer.send("GET", "/object", "Content-Length: 5\r\n");
    assert_eq!(viewer.answer("GET").head.status, 403);
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn a_method_that_the_behaviour_does_not_allow_is_refused() {
    let origin = plain();
    let config = distribution("").replace("\"DELETE\", ", "");
    let config = config.replace(", \"OPTIONS\", \"PATCH\", \"POST\", \"PUT\"", "");
    let edge = Setup::new().config(&config).start(origin.address);
    let fields = "Content-Length: 0\r\n";
    assert_eq!(
        viewer::ask(edge.address, "POST", "/object", fields)
            .head
            .status,
        403
    );
    assert_eq!(
        viewer::ask(edge.address, "GET", "/object", "").head.status,
        200
    );
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_body_of_a_put_reaches_the_origin_and_its_answer_is_never_kept() {
    // Fact 37.
    let origin = Upstream::start(|seen: &Seen| ok("Cache-Control: max-age=60\r\n", &seen.body));
    let edge = edge(&origin);
    for turn in 1..=2_u8 {
        let mut viewer = Viewer::open(edge.address);
        viewer.send("PUT", "/object", "Content-Length: 5\r\n");
        viewer.write(&[turn; 5]);
        let answer = viewer.answer("PUT");
        assert_eq!(
            (answer.head.status, answer.body.as_slice()),
            (200, [turn; 5].as_slice())
        );
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_redirect_is_kept_and_not_followed() {
    // Fact 43.
    let origin = Upstream::start(|_| {
        let fields = "Cache-Control: max-age=60\r\nLocation: /elsewhere\r\n";
        vec![Step::Send(message("302 Found", fields, b""))]
    });
    let edge = edge(&origin);
    let first = viewer::ask(edge.address, "GET", "/channel", "");
    let second = viewer::ask(edge.address, "GET", "/channel", "");
    assert_eq!(
        (first.x_cache(), second.x_cache()),
        ("Miss".into(), "Hit".into())
    );
    for answer in [first, second] {
        assert_eq!(answer.head.status, 302);
        assert_eq!(answer.head.field("location").as_deref(), Some("/elsewhere"));
    }
    assert_eq!(origin.seen().len(), 1);
}
