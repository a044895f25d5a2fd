//! R24: how an origin ends. Nobody who was promised bytes loses them, and nobody is waited for in vain.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::fixture::{self, BASE};
use crate::harness::origin::{Origin, Setup};
use crate::harness::wire::{Conn, Drained};
use crate::harness::{PATIENCE, poll};

/// "At once", on a busy machine.
const SOON: Duration = Duration::from_secs(15);

#[track_caller]
fn begun(origin: &Origin) -> Conn {
    let mut conn = Conn::open_narrow(origin.data, 8 * 1024);
    conn.send(format!("GET {BASE}big HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(conn.head().status, 200);
    conn
}

#[track_caller]
fn finish(conn: &mut Conn) {
    let big = fixture::body("big");
    let mut received = Vec::with_capacity(big.len());
    let outcome = conn.drain_body(big.len() as u64, |b| received.extend_from_slice(b));
    assert_eq!(outcome, Ok(()), "after {} bytes", received.len());
    assert!(received == big);
}

#[track_caller]
fn await_refusal(origin: &Origin) {
    poll(SOON, "new connections are refused", || {
        TcpStream::connect(origin.data).err()
    });
}

#[test]
fn without_work_an_origin_ends_at_once_with_success() {
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::INT] {
        let origin = Setup::new().start();
        assert_eq!(origin.get("/healthz", "").status, 200);
        origin.signal(signal);
        assert_eq!(origin.await_exit(SOON).code(), Some(0), "{signal:?}");
    }
}

#[test]
fn a_drain_closes_the_idle_finishes_the_running_and_refuses_the_new() {
    let origin = Setup::new().start();
    let mut idle = origin.connect();
    idle.assert_usable();
    let mut unused = origin.connect();
    let mut half_asked = origin.connect();
    half_asked.send("GET /healthz HT");
    let mut running: Vec<Conn> = (0..4).map(|_| begun(&origin)).collect();
    origin.terminate();
    idle.assert_closed(SOON);
    unused.assert_closed(SOON);
    await_refusal(&origin);
    let ready = origin.admin_get("/readyz");
    assert_eq!(ready.status, 503, "not ready while draining");
    assert_eq!(origin.admin_get("/healthz").status, 200, "but alive");
    assert_eq!(origin.try_exit(), None, "downloads are still running");
    for conn in &mut running {
        finish(conn);
    }
    let last_byte = Instant::now();
    for conn in &mut running {
        conn.assert_closed(SOON);
    }
    // Whoever had sent half a request may hold it up no longer than a head may take; this one gives up first.
    drop(half_asked);
    assert_eq!(origin.await_exit(SOON).code(), Some(0));
    assert!(last_byte.elapsed() < 2 * SOON);
}

#[test]
fn a_download_that_outlasts_the_grace_is_cut() {
    let origin = Setup::new()
        .config("[server]\ndrain_grace = \"1s\"\ndrain_delay = \"0s\"\n")
        .start();
    let mut stalled = begun(&origin);
    let asked = Instant::now();
    origin.terminate();
    let status = origin.await_exit(PATIENCE);
    let took = asked.elapsed();
    assert!(
        took >= Duration::from_millis(900),
        "ended after {took:?}: no grace"
    );
    assert!(took < Duration::from_secs(1) + SOON, "ended after {took:?}");
    assert_eq!(status.code(), Some(0));
    let len = fixture::body("big").len() as u64;
    assert_eq!(stalled.drain_body(len, |_| {}), Err(Drained::Ended));
}

#[test]
fn during_the_drain_delay_readiness_says_no_and_everything_is_still_served() {
    let origin = Setup::new()
        .config("[server]\ndrain_delay = \"2s\"\n")
        .start();
    let mut kept = origin.connect();
    kept.assert_usable();
    let asked = Instant::now();
    origin.terminate();
    poll(SOON, "/readyz says 503", || {
        (origin.admin_get("/readyz").status == 503).then_some(())
    });
    // A load balancer that has not looked yet still sends; it must not be refused.
    while asked.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(origin.get(&fixture::url("tiny"), "").body, b"hello");
        std::thread::sleep(Duration::from_millis(50));
    }
    await_refusal(&origin);
    assert!(
        asked.elapsed() >= Duration::from_millis(1_900),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(origin.await_exit(SOON).code(), Some(0));
}

#[test]
fn a_kept_connection_is_closed_after_the_answer_that_was_running() {
    let origin = Setup::new().start();
    let mut conn = Conn::open_narrow(origin.data, 8 * 1024);
    conn.send(format!("GET {BASE}big HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(conn.head().status, 200);
    origin.terminate();
    await_refusal(&origin);
    finish(&mut conn);
    // RFC 9112 §9.6: what comes after a connection's last answer is not served, and the client is told by the close.
    conn.assert_closed(SOON);
    assert_eq!(origin.await_exit(SOON).code(), Some(0));
}

#[test]
fn a_request_that_had_begun_to_arrive_is_answered() {
    let origin = Setup::new().start();
    let mut conn = origin.connect();
    conn.assert_usable();
    conn.send(format!("GET {BASE}tiny HT"));
    // The download keeps the drain going, and shows that the origin has read what came before it.
    let mut running = begun(&origin);
    origin.terminate();
    await_refusal(&origin);
    conn.send("TP/1.1\r\nHost: x\r\n\r\n");
    let response = conn.response("GET");
    assert_eq!((response.status, &response.body[..]), (200, &b"hello"[..]));
    assert_eq!(response.field("connection"), Some("close"));
    conn.assert_closed(SOON);
    finish(&mut running);
    assert_eq!(origin.await_exit(SOON).code(), Some(0));
}

#[test]
fn a_scraper_that_keeps_its_connection_does_not_hold_up_the_end() {
    let origin = Setup::new().start();
    let mut scraper = Conn::open(origin.admin);
    assert_eq!(scraper.get("/metrics", "").status, 200);
    origin.terminate();
    assert_eq!(origin.await_exit(SOON).code(), Some(0));
}
