//! R1, R2, R25: which heads are requests at all.
//!
//! Whatever is refused here is refused with the connection: nobody knows where the next request would begin.

use crate::harness::fixture::{self, BASE, Random};
use crate::harness::origin::Origin;
use crate::harness::script::End::{Any, Closed, Open};
use crate::harness::script::{row, run_all};
use crate::harness::wire::Broken;

fn tiny(fields: &str) -> String {
    format!("GET {BASE}tiny HTTP/1.1\r\n{fields}\r\n")
}

#[test]
fn a_request_needs_exactly_one_valid_host() {
    let absolute = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
    #[rustfmt::skip]
    let rows = [
        row("R1 no Host", tiny(""), "GET 400", Closed),
        row("R1 two equal Hosts", tiny("Host: a\r\nHost: a\r\n"), "GET 400", Closed),
        row("R1 two Hosts", tiny("Host: a\r\nhOST: b\r\n"), "GET 400", Closed),
        row("R1 a space in Host", tiny("Host: a b\r\n"), "GET 400", Closed),
        row("R1 a list as Host", tiny("Host: a, b\r\n"), "GET 200|400", Any),
        row("R1 a path in Host", tiny("Host: a/b\r\n"), "GET 400", Closed),
        row("R1 a query in Host", tiny("Host: a?b\r\n"), "GET 400", Closed),
        row("R1 a user in Host", tiny("Host: u@a\r\n"), "GET 400", Closed),
        row("R1 a port of letters", tiny("Host: a:b\r\n"), "GET 400", Closed),
        row("R1 two ports", tiny("Host: a:1:2\r\n"), "GET 400", Closed),
        row("R1 an open bracket", tiny("Host: [::1\r\n"), "GET 400", Closed),
        row("R1 a bare IPv6 address", tiny("Host: ::1\r\n"), "GET 400", Closed),
        row("R1 a tag in Host", tiny("Host: <x>\r\n"), "GET 400", Closed),
        row("R1 a backslash in Host", tiny("Host: a\\b\r\n"), "GET 400", Closed),
        row("R1 CDN name", tiny("Host: d111.cloudfront.net\r\n"), "GET 200", Open),
        row("R1 load balancer", tiny("Host: 10.0.0.1:8080\r\n"), "GET 200", Open),
        row("R1 IPv6", tiny("Host: [2001:db8::1]:80\r\n"), "GET 200", Open),
        row("R1 IPv6 without port", tiny("Host: [::1]\r\n"), "GET 200", Open),
        row("R1 an underscore", tiny("Host: my_pod.local\r\n"), "GET 200", Open),
        row("R1 capitals", tiny("Host: EXAMPLE.Com:80\r\n"), "GET 200", Open),
        row("R1 no space after colon", tiny("Host:x\r\n"), "GET 200", Open),
        row("R1 tabs around the value", tiny("Host:\t x \t\r\n"), "GET 200", Open),
        row("R1 1.0 needs no Host", format!("GET {BASE}tiny HTTP/1.0\r\n\r\n"), "GET 200", Closed),
        row(
            "R1 1.0 with two Hosts",
            format!("GET {BASE}tiny HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
            "GET 400",
            Closed,
        ),
        row(
            "R1 absolute-form",
            absolute(&format!("http://other.example{BASE}tiny"), "Host: x\r\n"),
            "GET 200",
            Open,
        ),
        row(
            "R1 absolute-form, scheme in capitals, a port",
            absolute(
                &format!("HTTP://other.example:8080{BASE}tiny"),
                "Host: x\r\n",
            ),
            "GET 200",
            Open,
        ),
        row(
            "R1 absolute-form, no path",
            absolute("http://other.example", "Host: x\r\n"),
            "GET 404",
            Open,
        ),
        row(
            "R1 absolute-form, a query and no path",
            absolute("http://other.example?x", "Host: x\r\n"),
            "GET 404",
            Open,
        ),
        row(
            "R1 absolute-form still needs Host",
            absolute(&format!("http://other.example{BASE}tiny"), ""),
            "GET 400",
            Closed,
        ),
        row(
            "R1 absolute-form without an authority",
            absolute("http:///healthz", "Host: x\r\n"),
            "GET 400|404",
            Any,
        ),
    ];
    run_all(Origin::shared().data, &rows);
}

#[test]
fn a_head_is_parsed_strictly() {
    let get = |line: &str| format!("{line}\r\nHost: x\r\n\r\n");
    let field = |line: &str| tiny(&format!("Host: x\r\n{line}\r\n"));
    #[rustfmt::skip]
    let rows = [
        row("R2 obs-fold", field("A: b\r\n c"), "GET 400", Closed),
        row("R2 obs-fold by a tab", field("A: b\r\n\tc"), "GET 400", Closed),
        row(
            "R2 a first field line that is folded",
            tiny(" A: b\r\nHost: x\r\n"),
            "GET 400",
            Closed,
        ),
        row("R2 space before colon", field("A : b"), "GET 400", Closed),
        row("R2 space before the colon of Host", tiny("Host : x\r\n"), "GET 400", Closed),
        row("R2 no colon", field("abc"), "GET 400", Closed),
        row("R2 an empty field name", field(": b"), "GET 400", Closed),
        row("R2 a field name with a slash", field("a/b: c"), "GET 400", Closed),
        row("R2 a field name beyond ASCII", field("é: c"), "GET 400", Closed),
        row("R2 NUL in a value", field("A: b\0c"), "GET 400", Closed),
        row("R2 NUL in a name", field("A\0: b"), "GET 400", Closed),
        row("R2 a lone CR in a value", field("A: b\rc"), "GET 400", Closed),
        row("R2 DEL in a value", field("A: b\x7fc"), "GET 400", Closed),
        row("R2 an escape in a value", field("A: b\x1b[c"), "GET 400", Closed),
        row("R2 bytes beyond ASCII in a value", field("A: é"), "GET 200", Open),
        row("R2 an empty value", field("A:"), "GET 200", Open),
        row("R2 bare LF after a field", tiny("Host: x\nA: b\r\n"), "GET 400", Closed),
        row(
            "R2 bare LF after the request line",
            format!("GET {BASE}tiny HTTP/1.1\nHost: x\r\n\r\n"),
            "GET 400",
            Closed,
        ),
        row(
            "R2 bare LF everywhere",
            format!("GET {BASE}tiny HTTP/1.1\nHost: x\n\n"),
            "GET 400",
            Closed,
        ),
        row(
            "R2 bare LF hides a request",
            tiny("Host: x\r\nA: b\n\nGET /healthz HTTP/1.1\r\nHost: x\r\n"),
            "GET 400",
            Closed,
        ),
        row(
            "R2 two spaces after the method",
            get(&format!("GET  {BASE}tiny HTTP/1.1")),
            "GET 400",
            Closed,
        ),
        row(
            "R2 two spaces before the version",
            get(&format!("GET {BASE}tiny  HTTP/1.1")),
            "GET 400",
            Closed,
        ),
        row(
            "R2 a tab in the request line",
            get(&format!("GET\t{BASE}tiny HTTP/1.1")),
            "GET 400",
            Closed,
        ),
        row(
            "R2 a space after the version",
            get(&format!("GET {BASE}tiny HTTP/1.1 ")),
            "GET 400",
            Closed,
        ),
        row(
            "R2 a space in the target",
            get(&format!("GET {BASE}with space.bin HTTP/1.1")),
            "GET 400",
            Closed,
        ),
        row(
            "R2 a fragment in the target",
            get(&format!("GET {BASE}tiny#x HTTP/1.1")),
            "GET 400|404",
            Any,
        ),
        row("R2 NUL in the target", get(&format!("GET {BASE}ti\0ny HTTP/1.1")), "GET 400", Closed),
        row("R2 no target", get("GET HTTP/1.1"), "GET 400", Closed),
        row("R2 a target without a slash", get("GET tiny HTTP/1.1"), "GET 400", Closed),
        row("R2 an asterisk for GET", get("GET * HTTP/1.1"), "GET 400|404", Any),
        row("R2 no version", format!("GET {BASE}tiny\r\n\r\n"), "GET 400", Closed),
        row("R2 HTTP/0.9", format!("GET {BASE}tiny HTTP/0.9\r\n\r\n"), "GET 400|505", Closed),
        row("R2 HTTP/2.0", get(&format!("GET {BASE}tiny HTTP/2.0")), "GET 400|505", Closed),
        row(
            "R2 HTTP/1.2 is 1.1 or refused",
            get(&format!("GET {BASE}tiny HTTP/1.2")),
            "GET 200|400|505",
            Any,
        ),
        row(
            "R2 http/1.1 in small letters",
            get(&format!("GET {BASE}tiny http/1.1")),
            "GET 400|505",
            Closed,
        ),
        row("R2 HTTP/1.10", get(&format!("GET {BASE}tiny HTTP/1.10")), "GET 400|505", Closed),
        row("R2 no method", get(&format!(" {BASE}tiny HTTP/1.1")), "GET 400", Closed),
        row(
            "R2 a method that is no token",
            get(&format!("G(T {BASE}tiny HTTP/1.1")),
            "GET 400",
            Closed,
        ),
        row("R2 one empty line first", format!("\r\n{}", tiny("Host: x\r\n")), "GET 200", Open),
        row(
            "R2 an empty line between two requests",
            format!("{0}\r\n{0}", tiny("Host: x\r\n")),
            "GET 200, GET 200",
            Open,
        ),
        row(
            "R25 HTTP/2 preface",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET 400|405|501|505?",
            Closed,
        ),
        row(
            "R25 TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            "GET 400?",
            Closed,
        ),
        row(
            "R25 noise",
            [fixture::bytes(77, 4000), b"\r\n\r\n".to_vec()].concat(),
            "GET 400?",
            Closed,
        ),
        row("R25 NULs", vec![0; 2000], "GET 400?", Closed),
        row("R25 SSH", "SSH-2.0-OpenSSH_9.2\r\n", "GET 400?", Any),
    ];
    let origin = Origin::shared();
    run_all(origin.data, &rows);
    origin.assert_alive();
}

#[test]
fn a_request_with_random_damage_is_never_a_server_error() {
    let origin = Origin::shared();
    let mut random = Random::new(25);
    let fields =
        "Host: x\r\nRange: bytes=0-1,3-\r\nIf-None-Match: \"a\", W/\"b\"\r\nContent-Length: 3\r\n";
    let valid = tiny(fields) + "abc" + &tiny("Host: x\r\n");
    let interesting = b"\0\r\n \t:;,\"%/\\-*=0\x7f\xff";
    for round in 0..400 {
        let mut bytes = valid.clone().into_bytes();
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            let pick = random.below(interesting.len() as u64);
            let byte = interesting[usize::try_from(pick).unwrap()];
            match random.below(4) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let mut conn = origin.connect();
        let _ = conn.try_send(&bytes);
        conn.half_close_if_open();
        let mut answers = 0;
        loop {
            match conn.try_response("GET") {
                Ok(response) => {
                    let is_fine = matches!(response.status, 200..=499 | 501 | 505);
                    assert!(
                        is_fine,
                        "round {round}: {response:?} to {}",
                        bytes.escape_ascii()
                    );
                }
                Err(Broken::Closed { .. }) => break,
                Err(broken) => panic!("round {round}: {broken} to {}", bytes.escape_ascii()),
            }
            answers += 1;
            // Damage may make a request of the body's bytes, but not more than these.
            assert!(answers <= 3, "round {round}: {}", bytes.escape_ascii());
        }
    }
    origin.assert_alive();
}
