//! R19, R20: how long a silent or slow client may hold a connection, and that a slow but living one is left alone.
//!
//! The time-outs are configured short; what is measured is which clock runs when. Upper bounds are generous, because
//! a busy machine may be late; lower bounds are not, because a connection must never be ended early.

use std::time::{Duration, Instant};

use crate::harness::cli;
use crate::harness::fixture::{self, BASE};
use crate::harness::origin::{Origin, Setup};
use crate::harness::wire::{Broken, Conn, Drained};
use crate::harness::{huge, poll, proc};

/// How late an ending may be.
const LATE: Duration = Duration::from_secs(6);

/// Waits while `nudge` is called every 50 ms, until the origin ends the connection; tells when that was.
#[track_caller]
fn until_closed(conn: &mut Conn, mut nudge: impl FnMut(&mut Conn)) -> Duration {
    let start = Instant::now();
    while !conn.is_closed_within(Duration::from_millis(50)) {
        nudge(conn);
        assert!(start.elapsed() < Duration::from_secs(15), "never closed");
    }
    start.elapsed()
}

/// What a connection may have received when its time was up: nothing, or a whole 408 that says close.
#[track_caller]
fn assert_silence_or_408(conn: &mut Conn) {
    match conn.try_response("GET") {
        Ok(response) => {
            assert_eq!(response.status, 408);
            assert!(response.says_close());
            conn.assert_nothing_pending();
        }
        Err(Broken::Closed { .. }) => {}
        Err(broken) => panic!("{broken}"),
    }
}

#[track_caller]
fn assert_between(took: Duration, from: Duration, what: &str) {
    assert!(
        took >= from.mul_f64(0.9),
        "{what}: ended after {took:?}, before {from:?}"
    );
    assert!(
        took <= from + LATE,
        "{what}: ended after {took:?}, long after {from:?}"
    );
}

fn origin_with_short_head_time() -> Origin {
    Setup::new()
        .config("[limits]\nhead_read_timeout = \"1s\"\nidle_timeout = \"6s\"\n")
        .start()
}

#[test]
fn a_head_that_trickles_is_cut_off_at_its_deadline() {
    let origin = origin_with_short_head_time();
    let deadline = Duration::from_secs(1);
    let starts = [
        ("in the method", "G", "E"),
        ("in the target", "GET /", "x"),
        ("in a field", "GET / HTTP/1.1\r\nHost: x\r\nX: ", "y"),
        (
            "field by field",
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "X: y\r\n",
        ),
    ];
    std::thread::scope(|scope| {
        for (what, start, more) in starts {
            let origin = &origin;
            scope.spawn(move || {
                let mut conn = origin.connect();
                conn.send(start);
                let took = until_closed(&mut conn, |conn| drop(conn.try_send(more)));
                assert_between(took, deadline, what);
            });
        }
        scope.spawn(|| {
            let mut conn = origin.connect();
            conn.send("GET / HT");
            let took = until_closed(&mut conn, |_| {});
            assert_between(took, deadline, "a head that stops");
            assert_silence_or_408(&mut conn);
        });
        scope.spawn(|| {
            let mut conn = origin.connect();
            conn.assert_usable();
            conn.send("GET / HT");
            let took = until_closed(&mut conn, |_| {});
            assert_between(took, deadline, "the second head of a connection");
            assert_silence_or_408(&mut conn);
        });
        scope.spawn(|| {
            let mut conn = origin.connect();
            let took = until_closed(&mut conn, |_| {});
            assert_between(took, deadline, "a connection that never says anything");
        });
    });
    origin.assert_alive();
}

#[test]
fn an_idle_connection_outlives_the_head_deadline_and_ends_at_its_own() {
    let origin = origin_with_short_head_time();
    let mut conn = origin.connect();
    // Twice, so that the clock is seen to start again with each answer.
    for _ in 0..2 {
        conn.assert_usable();
        let quiet = Instant::now();
        while quiet.elapsed() < Duration::from_millis(2_500) {
            assert!(
                !conn.is_closed_within(Duration::from_millis(100)),
                "{:?}",
                quiet.elapsed()
            );
        }
    }
    conn.assert_usable();
    let took = until_closed(&mut conn, |_| {});
    assert_between(took, Duration::from_secs(6), "idle");
    conn.assert_nothing_pending();
}

#[test]
fn a_large_answer_may_take_longer_than_any_other_deadline() {
    let origin = Setup::new()
        .config("[limits]\nhead_read_timeout = \"1s\"\nidle_timeout = \"1s\"\n")
        .start();
    let mut conn = Conn::open_narrow(origin.data, 16 * 1024);
    conn.send(format!("GET {BASE}big HTTP/1.1\r\nHost: x\r\n\r\n"));
    let head = conn.head();
    std::thread::sleep(Duration::from_millis(2_500));
    let mut received = Vec::new();
    let len = head.need("content-length").parse().unwrap();
    assert_eq!(
        conn.drain_body(len, |bytes| received.extend_from_slice(bytes)),
        Ok(())
    );
    assert!(received == fixture::body("big"));
}

#[test]
fn idle_connections_outlive_a_load_balancers_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("origin.toml");
    std::fs::write(&file, "").unwrap();
    let shown = cli::run(["config".as_ref(), "show".as_ref(), file.as_os_str()])
        .ok()
        .stdout;
    let line = shown
        .lines()
        .find(|line| line.contains("idle_timeout"))
        .expect("`config show` shows every key");
    let digits: String = line
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    // A load balancer closes after 60 s; whoever closes first must be the balancer, or it answers 502.
    assert!(digits.parse::<u64>().unwrap() >= 65, "{line}");
}

#[test]
fn a_reader_that_stalls_is_cut_off_and_a_slow_one_is_not() {
    let origin = Setup::new()
        .config("[limits]\nwrite_stall_timeout = \"2s\"\n")
        .store(&huge::store())
        .start();
    std::thread::scope(|scope| {
        scope.spawn(|| stalls(&origin));
        scope.spawn(|| is_slow(&origin));
    });
    origin.assert_alive();
}

fn stalls(origin: &Origin) {
    let mut conn = Conn::open_narrow(origin.data, 8 * 1024);
    conn.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", huge::URL));
    let head = conn.head();
    let start = Instant::now();
    // The other side of this connection, seen from the kernel: it is gone when the origin has given up.
    let port = conn.stream().local_addr().unwrap().port();
    poll(
        Duration::from_secs(15),
        "the stalled connection ends",
        || (!proc::is_established(origin.data.port(), port)).then_some(()),
    );
    assert_between(start.elapsed(), Duration::from_secs(2), "a stalled reader");
    let len = head.need("content-length").parse().unwrap();
    assert_eq!(conn.drain_body(len, |_| {}), Err(Drained::Ended));
}

/// 64 KiB/s against the default of 60 s, in fast motion: about 2 MB/s against 2 s.
fn is_slow(origin: &Origin) {
    let len = 12 << 20;
    let mut conn = Conn::open_narrow(origin.data, 16 * 1024);
    let range = format!("Range: bytes=0-{}\r\n", len - 1);
    conn.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n{range}\r\n",
        huge::URL
    ));
    assert_eq!(conn.head().status, 206);
    let start = Instant::now();
    let mut taken = 0;
    while taken < len {
        let step = (48 * 1024).min(len - taken);
        let outcome = conn.drain_body(step, |bytes| assert!(bytes.iter().all(|b| *b == 0)));
        assert_eq!(
            outcome,
            Ok(()),
            "after {taken} bytes and {:?}",
            start.elapsed()
        );
        taken += step;
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(
        start.elapsed() > Duration::from_secs(4),
        "not slow enough to prove anything"
    );
    conn.assert_usable();
}

#[test]
fn an_upload_that_stalls_is_closed() {
    let origin = origin_with_short_head_time();
    for method in ["GET", "POST"] {
        let mut conn = origin.connect();
        let fields = "Content-Length: 1000000\r\n";
        conn.send(format!(
            "{method} {BASE}tiny HTTP/1.1\r\nHost: x\r\n{fields}\r\n0123456789"
        ));
        let response = conn.response(method);
        assert_eq!(response.status, if method == "GET" { 200 } else { 405 });
        conn.assert_closed(Duration::from_secs(15));
    }
}
