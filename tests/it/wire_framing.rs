//! R2 to R5: where a request ends, and what happens to the connection that carried it.
//!
//! Every hostile body holds a whole request; whoever answers it has been tricked. Syntax is in `wire_head`, sizes
//! are in `wire_limits`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::harness::fixture::{self, BASE};
use crate::harness::origin::Origin;
use crate::harness::script::End::{Any, Closed, Open};
use crate::harness::script::{Exchange, row, run_all};
use crate::harness::wire::{Broken, Conn};

/// A request that must never be executed when it stands in a body.
const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

fn tiny(fields: &str) -> String {
    format!("GET {BASE}tiny HTTP/1.1\r\n{fields}\r\n")
}

/// A request with these framing fields whose body is, or holds, `SMUGGLED`.
fn attack(method: &str, version: &str, framing: &str, body: &str) -> String {
    format!("{method} {BASE}tiny HTTP/{version}\r\nHost: x\r\n{framing}\r\n{body}")
}

#[test]
fn no_shape_of_content_length_and_transfer_encoding_smuggles_a_request() {
    let len = SMUGGLED.len();
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    #[rustfmt::skip]
    let mut rows = vec![
        row(
            "R2 CL.TE",
            attack(
                "GET",
                "1.1",
                &format!(
                    "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
                    chunked.len()
                ),
                &chunked,
            ),
            "GET 400",
            Closed,
        ),
        row(
            "R2 TE.CL",
            attack(
                "POST",
                "1.1",
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                &chunked,
            ),
            "POST 400",
            Closed,
        ),
        row(
            "R2 TE in HTTP/1.0",
            attack(
                "GET",
                "1.0",
                "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
                &chunked,
            ),
            "GET 200|400",
            Closed,
        ),
    ];
    #[rustfmt::skip]
    let lengths = [
        ("R2 unequal lengths", format!("Content-Length: 0\r\nContent-Length: {len}\r\n")),
        ("R2 equal lengths twice", format!("Content-Length: {len}\r\nContent-Length: {len}\r\n")),
        ("R2 a list of lengths", format!("Content-Length: {len}, {len}\r\n")),
        ("R2 a list of unequal lengths", format!("Content-Length: 0, {len}\r\n")),
        ("R2 plus", format!("Content-Length: +{len}\r\n")),
        ("R2 minus", "Content-Length: -1\r\n".into()),
        ("R2 hexadecimal", "Content-Length: 0x10\r\n".into()),
        ("R2 a fraction", "Content-Length: 1.0\r\n".into()),
        ("R2 empty", "Content-Length:\r\n".into()),
        ("R2 two numbers", "Content-Length: 0 0\r\n".into()),
        ("R2 letters", "Content-Length: zero\r\n".into()),
        ("R2 2^64", "Content-Length: 18446744073709551616\r\n".into()),
        ("R2 2^64 + 35, which wraps", "Content-Length: 18446744073709551651\r\n".into()),
        ("R2 a very large length", "Content-Length: 99999999999999999999999999\r\n".into()),
        ("R2 arabic digits", "Content-Length: ٣\r\n".into()),
    ];
    rows.extend(lengths.map(|(name, framing)| {
        row(
            name,
            attack("GET", "1.1", &framing, SMUGGLED),
            "GET 200|400",
            Closed,
        )
    }));
    #[rustfmt::skip]
    let codings = [
        ("R2 identity", "Transfer-Encoding: identity\r\n"),
        ("R2 chunked twice", "Transfer-Encoding: chunked, chunked\r\n"),
        ("R2 two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        ("R2 xchunked", "Transfer-Encoding: xchunked\r\n"),
        ("R2 chunked is not last", "Transfer-Encoding: chunked, identity\r\n"),
        ("R2 gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n"),
        ("R2 a vertical tab", "Transfer-Encoding: \x0bchunked\r\n"),
        ("R2 quotes", "Transfer-Encoding: \"chunked\"\r\n"),
        ("R2 a parameter", "Transfer-Encoding: chunked;a=b\r\n"),
        ("R2 empty", "Transfer-Encoding:\r\n"),
        ("R2 a leading comma", "Transfer-Encoding: ,chunked\r\n"),
    ];
    rows.extend(codings.map(|(name, framing)| {
        row(
            name,
            attack("GET", "1.1", framing, &chunked),
            "GET 200|400|501",
            Closed,
        )
    }));
    run_all(Origin::shared().data, &rows);
}

#[test]
fn a_body_that_is_malformed_ends_the_connection_and_is_never_a_request() {
    #[rustfmt::skip]
    let chunks = [
        ("R2 a chunk size of letters", format!("zz\r\n{SMUGGLED}")),
        ("R2 an empty chunk size", format!("\r\n{SMUGGLED}")),
        ("R2 a negative chunk size", format!("-1\r\n{SMUGGLED}")),
        ("R2 a chunk size of 2^64", format!("10000000000000000\r\n{SMUGGLED}")),
        ("R2 a chunk size with 0x", format!("0x23\r\n{SMUGGLED}\r\n0\r\n\r\n")),
        ("R2 a chunk longer than its size", format!("1\r\nab\r\n{SMUGGLED}")),
        ("R2 a chunk that ends in LF", format!("1\r\na\n0\r\n\r\n{SMUGGLED}")),
        ("R2 a chunk size that ends in LF", format!("1\na\r\n0\r\n\r\n{SMUGGLED}")),
        ("R2 an extension with LF", format!("1;a\nb\r\na\r\n0\r\n\r\n{SMUGGLED}")),
        ("R2 a trailer without a colon", format!("0\r\nabc\r\n\r\n{SMUGGLED}")),
    ];
    let rows: Vec<Exchange> = chunks
        .into_iter()
        .flat_map(|(name, body)| {
            let send = |method| attack(method, "1.1", "Transfer-Encoding: chunked\r\n", &body);
            [
                row(name, send("GET"), "GET 200|400", Closed),
                row(name, send("POST"), "POST 400|405", Closed),
            ]
        })
        .collect();
    run_all(Origin::shared().data, &rows);
}

#[test]
fn a_body_is_drained_or_ends_the_connection_but_is_never_a_request() {
    let cl = format!("Content-Length: {}\r\n", SMUGGLED.len());
    let te = "Transfer-Encoding: chunked\r\n";
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let next = tiny("Host: x\r\n");
    let with_next = |method, framing: &str, body: &str| {
        format!("{}{next}", attack(method, "1.1", framing, body))
    };
    #[rustfmt::skip]
    let rows = [
        row("R3 GET, length", with_next("GET", &cl, SMUGGLED), "GET 200, GET 200?", Any),
        row("R3 HEAD, length", with_next("HEAD", &cl, SMUGGLED), "HEAD 200, GET 200?", Any),
        row("R3 POST, length", with_next("POST", &cl, SMUGGLED), "POST 405, GET 200?", Any),
        row("R3 GET, chunks", with_next("GET", te, &chunk), "GET 200, GET 200?", Any),
        row("R3 POST, chunks", with_next("POST", te, &chunk), "POST 405, GET 200?", Any),
        row(
            "R3 GET, length 0",
            with_next("GET", "Content-Length: 0\r\n", ""),
            "GET 200, GET 200",
            Open,
        ),
        row("R3 POST, no body", with_next("POST", "", ""), "POST 405, GET 200", Any),
        row(
            "R3 Expect on a refused method",
            attack("PUT", "1.1", &format!("Expect: 100-continue\r\n{cl}"), ""),
            "PUT 405",
            Any,
        ),
        row(
            "R3 Expect on GET",
            attack("GET", "1.1", "Expect: 100-continue\r\n", ""),
            "GET 200|417",
            Any,
        ),
        row(
            "R3 an unknown expectation",
            attack("GET", "1.1", "Expect: tea\r\n", ""),
            "GET 200|417",
            Any,
        ),
    ];
    run_all(Origin::shared().data, &rows);
}

#[test]
fn a_refused_method_with_expect_gets_its_final_status_and_no_100() {
    let origin = Origin::shared();
    for method in ["PUT", "POST", "PATCH", "DELETE"] {
        let mut conn = origin.connect();
        let fields = "Expect: 100-continue\r\nContent-Length: 1000000\r\n";
        let response = conn.request(method, &fixture::url("tiny"), fields);
        assert_eq!(response.status, 405, "{method}");
        assert!(response.interim.is_empty(), "{method} was told to go on");
    }
}

#[test]
fn a_refusal_is_readable_although_megabytes_are_being_sent() {
    let origin = Origin::shared();
    let body = vec![b'x'; 8 << 20];
    #[rustfmt::skip]
    let framings = [
        format!("Content-Length: {}\r\n", body.len()),
        "Content-Length: 1000000000000\r\n".to_owned(),
    ];
    for framing in framings {
        let mut conn = origin.connect();
        conn.send(attack("POST", "1.1", &framing, ""));
        // The origin may stop reading; what matters is that its answer survives (lingering close, RFC 9112 §9.6).
        let _ = conn.try_send(&body);
        let response = conn.response("POST");
        assert_eq!(response.status, 405, "{framing}");
        assert_eq!(response.need("allow"), "GET, HEAD");
        conn.assert_nothing_pending();
    }
    let mut conn = origin.connect();
    conn.send("NONSENSE\r\n\r\n");
    let _ = conn.try_send("x".repeat(4 << 20));
    assert_eq!(conn.response("GET").status, 400);
}

#[test]
fn a_refusal_is_not_followed_by_a_reset_while_a_body_still_arrives() {
    let origin = Origin::shared();
    let mut conn = origin.connect();
    conn.send(attack("POST", "1.1", "Content-Length: 65536\r\n", ""));
    assert_eq!(conn.response("POST").status, 405);
    // A reset here would destroy, on many systems, an answer that the client has not read yet (RFC 9112 §9.6).
    for _ in 0..16 {
        conn.send([b'x'; 4096]);
        std::thread::sleep(Duration::from_millis(5));
    }
    conn.half_close();
    match conn.try_response("GET") {
        Err(Broken::Closed { by_reset: false }) => {}
        Err(broken) => panic!("{broken}"),
        Ok(surplus) => panic!("{surplus:?}"),
    }
}

#[test]
fn fifty_pipelined_requests_are_answered_in_order() {
    #[rustfmt::skip]
    let kinds: [(&str, &str, &str, u16); 7] = [
        ("GET", "tiny", "", 200),
        ("HEAD", "piece", "", 200),
        ("GET", "page", "Range: bytes=10-19\r\n", 206),
        ("GET", "missing", "", 404),
        ("GET", "page", "Range: bytes=9999-\r\n", 416),
        ("GET", "tiny", "If-None-Match: *\r\n", 304),
        ("GET", "piece-less-one", "", 200),
    ];
    let requests: Vec<_> = kinds.iter().cycle().take(50).collect();
    let mut wire = String::new();
    for (method, name, fields, _) in &requests {
        write!(
            wire,
            "{method} {BASE}{name} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"
        )
        .unwrap();
    }
    let origin = Origin::shared();
    let mut conn = origin.connect();
    conn.send(wire);
    for (at, (method, name, fields, status)) in requests.iter().enumerate() {
        let response = conn.response(method);
        assert_eq!(
            response.status, *status,
            "answer {at} to {method} {name} {fields}"
        );
        if *status == 200 && *method == "GET" {
            assert!(
                response.body == fixture::body(name),
                "answer {at} is another's"
            );
        }
        if *status == 206 {
            assert_eq!(response.body, fixture::body(name)[10..20], "answer {at}");
        }
    }
    conn.assert_usable();
}

#[test]
fn an_error_ends_a_pipeline_after_the_answers_before_it() {
    let good = tiny("Host: x\r\n");
    #[rustfmt::skip]
    let rows = [
        row(
            "R4 a bad head",
            format!("{good}{good}{good}{}{good}", tiny("Host : x\r\n")),
            "GET 200, GET 200, GET 200, GET 400",
            Closed,
        ),
        row(
            "R4 a large answer before a bad head",
            format!("GET {BASE}big HTTP/1.1\r\nHost: x\r\n\r\n{}", tiny("")),
            "GET 200, GET 400",
            Closed,
        ),
        row(
            "R4 close in the middle",
            format!("{good}{}{good}", tiny("Host: x\r\nConnection: close\r\n")),
            "GET 200, GET 200",
            Closed,
        ),
    ];
    run_all(Origin::shared().data, &rows);
}

#[test]
fn the_connection_stays_or_ends_as_the_client_says() {
    let v11 = |connection: &str| tiny(&format!("Host: x\r\n{connection}"));
    let v10 = |connection: &str| format!("GET {BASE}tiny HTTP/1.0\r\nHost: x\r\n{connection}\r\n");
    let kept = v10("Connection: keep-alive\r\n");
    #[rustfmt::skip]
    let rows = [
        row("R4 1.1", v11(""), "GET 200", Open),
        row("R4 1.1 close", v11("Connection: close\r\n"), "GET 200", Closed),
        row("R4 1.1 CLOSE", v11("connection: CLOSE\r\n"), "GET 200", Closed),
        row("R4 1.1 a list", v11("Connection: te, Close\r\n"), "GET 200", Closed),
        row("R4 1.1 a list without spaces", v11("Connection: a,close,b\r\n"), "GET 200", Closed),
        row("R4 1.1 two fields", v11("Connection: te\r\nConnection: close\r\n"), "GET 200", Closed),
        row(
            "R4 1.1 keep-alive and close",
            v11("Connection: keep-alive, close\r\n"),
            "GET 200",
            Closed,
        ),
        row("R4 1.1 not quite close", v11("Connection: closed\r\n"), "GET 200", Open),
        row("R4 1.0", v10(""), "GET 200", Closed),
        row("R4 1.0 close", v10("Connection: close\r\n"), "GET 200", Closed),
        row("R4 1.0 keep-alive", kept.clone(), "GET 200", Open),
        row("R4 1.0 Keep-Alive in a list", v10("Connection: te, Keep-Alive\r\n"), "GET 200", Open),
        row("R4 1.0 three requests", kept.repeat(3), "GET 200, GET 200, GET 200", Open),
        row("R4 1.0 404", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET 404", Open),
    ];
    run_all(Origin::shared().data, &rows);
}

#[test]
fn an_answer_that_ends_the_connection_says_so() {
    let origin = Origin::shared();
    let mut conn = origin.connect();
    let response = conn.get(&fixture::url("tiny"), "Connection: close\r\n");
    assert!(response.says_close(), "{response:?}");
    let mut conn = origin.connect();
    conn.send(format!(
        "GET {BASE}tiny HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    ));
    let response = conn.response("GET");
    // RFC 9112 §C.2.2: a 1.0 client only believes in a kept connection that was confirmed.
    assert!(
        response
            .need("connection")
            .eq_ignore_ascii_case("keep-alive")
    );
}

#[test]
fn a_client_that_half_closes_gets_the_whole_answer() {
    let origin = Origin::shared();
    for name in ["tiny", "big"] {
        let mut conn = origin.connect();
        conn.send(format!("GET {BASE}{name} HTTP/1.1\r\nHost: x\r\n\r\n"));
        conn.half_close();
        let response = conn.response("GET");
        assert!(response.body == fixture::body(name), "{name}");
        conn.assert_closed(crate::harness::PATIENCE);
    }
    // The end of the requests may also come while the connection is full.
    let mut conn = Conn::open_narrow(origin.data, 8 * 1024);
    conn.send(format!("GET {BASE}big HTTP/1.1\r\nHost: x\r\n\r\n"));
    let head = conn.head();
    conn.half_close();
    let mut received = Vec::new();
    let len = head.need("content-length").parse().unwrap();
    let outcome = conn.drain_body(len, |bytes| received.extend_from_slice(bytes));
    assert_eq!(outcome, Ok(()));
    assert!(received == fixture::body("big"));
}

#[test]
fn a_head_that_arrives_byte_by_byte_is_one_request() {
    let origin = Origin::shared();
    let mut conn = origin.connect();
    for byte in tiny("Host: x\r\nRange: bytes=1-2\r\n").as_bytes() {
        conn.send([*byte]);
    }
    let response = conn.response("GET");
    assert_eq!((response.status, &*response.body), (206, &b"el"[..]));
    conn.assert_usable();
}
