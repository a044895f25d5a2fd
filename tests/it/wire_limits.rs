//! R6: how large a request may be, at each limit and one past it.
//!
//! The head is counted from the first byte of the request line to the last of the empty line.

use std::fmt::Write as _;

use crate::harness::fixture::BASE;
use crate::harness::origin::{Origin, Setup};
use crate::harness::proc;
use crate::harness::script::End::{Closed, Open};
use crate::harness::script::{row, run_all};

const HEAD_BYTES_MAX: usize = 32 * 1024;
const HEAD_FIELDS_MAX: usize = 100;
const URI_BYTES_MAX: usize = 8 * 1024;

fn limited() -> Origin {
    Setup::new()
        .config(&format!(
            "[limits]\nhead_bytes_max = {HEAD_BYTES_MAX}\nhead_fields_max = {HEAD_FIELDS_MAX}\n\
             uri_bytes_max = {URI_BYTES_MAX}\n"
        ))
        .start()
}

/// A request with `count` fields, `Host` included.
fn with_fields(count: usize) -> String {
    let mut head = format!("GET {BASE}tiny HTTP/1.1\r\nHost: x\r\n");
    for n in 1..count {
        write!(head, "X-{n}: {n}\r\n").unwrap();
    }
    head + "\r\n"
}

/// A request whose head has `len` bytes, in fields of at most 7,000.
fn with_head_bytes(len: usize) -> String {
    let mut head = format!("GET {BASE}tiny HTTP/1.1\r\nHost: x\r\n");
    loop {
        let left = len - head.len() - "\r\n".len();
        if left == 0 {
            return head + "\r\n";
        }
        // The last field takes all that is left; none may be too short to be one.
        let line = if left > 7_100 { 7_000 } else { left };
        let value = "v".repeat(line - "X-Long: \r\n".len());
        write!(head, "X-Long: {value}\r\n").unwrap();
    }
}

/// A request whose target has `len` bytes, the surplus in the query.
fn with_target_bytes(len: usize) -> String {
    let path = format!("{BASE}tiny?");
    let query = "q".repeat(len - path.len());
    format!("GET {path}{query} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn by_default_a_request_may_be_as_large_as_real_ones_are() {
    let long = format!("Cookie: {}\r\n", "c".repeat(7 * 1024));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "p".repeat(7_999));
    #[rustfmt::skip]
    let rows = [
        row("R6 20 KiB of head", with_head_bytes(20 * 1024), "GET 200", Open),
        row("R6 90 fields", with_fields(90), "GET 200", Open),
        row(
            "R6 a field of 7 KiB",
            format!("GET {BASE}tiny HTTP/1.1\r\nHost: x\r\n{long}\r\n"),
            "GET 200",
            Open,
        ),
        row("R6 a query of 8,000 bytes", with_target_bytes(8_000), "GET 200", Open),
        row("R6 a path of 8,000 bytes", long_path, "GET 404", Open),
    ];
    run_all(Origin::shared().data, &rows);
}

#[test]
fn a_head_at_the_limit_is_served_and_one_past_it_is_refused() {
    #[rustfmt::skip]
    let rows = [
        row("R6 bytes at the limit", with_head_bytes(HEAD_BYTES_MAX), "GET 200", Open),
        row("R6 bytes past it", with_head_bytes(HEAD_BYTES_MAX + 1), "GET 431", Closed),
        row("R6 bytes far past it", with_head_bytes(4 * HEAD_BYTES_MAX), "GET 431", Closed),
        row("R6 fields at the limit", with_fields(HEAD_FIELDS_MAX), "GET 200", Open),
        row("R6 fields past it", with_fields(HEAD_FIELDS_MAX + 1), "GET 431", Closed),
        row("R6 fields far past it", with_fields(1_500), "GET 431", Closed),
        row("R6 target at the limit", with_target_bytes(URI_BYTES_MAX), "GET 200", Open),
        row("R6 target past it", with_target_bytes(URI_BYTES_MAX + 1), "GET 414", Closed),
        row("R6 target far past it", with_target_bytes(100_000), "GET 414", Closed),
        row(
            "R6 the limits hold for the second request too",
            with_fields(3) + &with_head_bytes(HEAD_BYTES_MAX + 1),
            "GET 200, GET 431",
            Closed,
        ),
        row(
            "R6 pipelined heads are counted one by one",
            with_head_bytes(HEAD_BYTES_MAX).repeat(3),
            "GET 200, GET 200, GET 200",
            Open,
        ),
    ];
    run_all(limited().data, &rows);
}

#[test]
fn a_head_without_end_is_refused_before_it_costs_memory() {
    let origin = limited();
    origin.assert_alive();
    let before = proc::anonymous_bytes(origin.pid());
    #[rustfmt::skip]
    let endless = [
        ("GET /", "p", 414),
        ("GET / HTTP/1.1\r\nX: ", "v", 431),
        ("GET / HTTP/1.1\r\nHost: x\r\n", "X: v\r\n", 431),
    ];
    let mut held = Vec::new();
    for (start, more, status) in endless.iter().cycle().take(9) {
        let mut conn = origin.connect();
        conn.send(start);
        let _ = conn.try_send(more.repeat((8 << 20) / more.len()));
        assert_eq!(conn.response("GET").status, *status, "{start}");
        held.push(conn);
    }
    let grown = proc::anonymous_bytes(origin.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "72 MiB of heads cost {grown} bytes");
    origin.assert_alive();
}
