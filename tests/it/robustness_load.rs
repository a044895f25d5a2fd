//! R21, R22: what many connections cost, and that every cost ends with them.
//!
//! Counts the origin's own memory (mappings of artifacts belong to the page cache) and descriptors from `/proc`. The
//! figures are bounds on growth, so they hold for a debug build as well.

use std::time::{Duration, Instant};

use crate::harness::fixture::{self, BASE};
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::wire::Conn;
use crate::harness::{PATIENCE, huge, poll, proc};

/// The most memory of its own over a second: what a stalled connection hoards, it hoards by then.
fn settled_memory(origin: &Origin) -> u64 {
    let start = Instant::now();
    let mut most = 0;
    while start.elapsed() < Duration::from_secs(1) {
        most = most.max(proc::anonymous_bytes(origin.pid()));
        std::thread::sleep(Duration::from_millis(50));
    }
    most
}

/// Starts a download and reads no byte of its body.
#[track_caller]
fn stalled(origin: &Origin, target: &str) -> Conn {
    let mut conn = Conn::open_narrow(origin.data, 4 * 1024);
    conn.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(conn.head().status, 200);
    conn
}

#[track_caller]
fn assert_descriptors_return_to(origin: &Origin, baseline: usize) {
    poll(PATIENCE, "descriptors return to the baseline", || {
        // The shared pool of threads and an open artifact may stay.
        (proc::descriptors(origin.pid()) <= baseline + 4).then_some(())
    });
}

#[track_caller]
fn assert_at_rest(origin: &Origin) {
    let before = proc::processor_time(origin.pid());
    std::thread::sleep(Duration::from_secs(1));
    let busy = proc::processor_time(origin.pid()).saturating_sub(before);
    assert!(
        busy < Duration::from_millis(300),
        "{busy:?} of processor time in an idle second"
    );
}

#[test]
fn stalled_downloads_cost_little_memory_and_starve_nobody() {
    assert!(
        proc::raise_descriptor_limit(2_048),
        "this test holds 600 connections"
    );
    let origin = Setup::new().store(&huge::store()).start();
    drop(stalled(&origin, huge::URL));
    let tiny = format!("{BASE}tiny");
    assert_eq!(origin.get(&tiny, "").status, 200);
    let baseline = proc::descriptors(origin.pid());
    let before = settled_memory(&origin);
    let mut held: Vec<Conn> = (0..100).map(|_| stalled(&origin, huge::URL)).collect();
    let grown = settled_memory(&origin).saturating_sub(before);
    assert!(grown < 16 << 20, "100 stalled downloads cost {grown} bytes");

    held.extend((0..500).map(|_| stalled(&origin, huge::URL)));
    for _ in 0..50 {
        let asked = Instant::now();
        assert_eq!(origin.get(&tiny, "").body, b"hello");
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
    }
    assert_at_rest(&origin);
    held.into_iter().for_each(Conn::reset);
    assert_descriptors_return_to(&origin, baseline);
}

#[test]
fn five_thousand_idle_connections_cost_little_and_leave_nothing() {
    const COUNT: usize = 5_000;
    assert!(
        proc::raise_descriptor_limit(2 * COUNT as u64),
        "this test holds 5,000 connections"
    );
    let origin = Setup::new().start();
    assert_eq!(origin.get("/healthz", "").status, 200);
    let baseline = proc::descriptors(origin.pid());
    let before = settled_memory(&origin);
    let mut held = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let mut conn = origin.connect();
        conn.assert_usable();
        held.push(conn);
    }
    let each = settled_memory(&origin).saturating_sub(before) / COUNT as u64;
    assert!(each <= 32 * 1024, "an idle connection costs {each} bytes");
    assert_at_rest(&origin);
    for conn in held.iter_mut().step_by(500) {
        conn.assert_usable();
    }
    drop(held);
    assert_descriptors_return_to(&origin, baseline);
}

#[test]
fn resets_in_mid_transfer_leak_nothing() {
    let origin = Setup::new().start();
    let big = fixture::url("big");
    for _ in 0..100 {
        stalled(&origin, &big).reset();
    }
    let baseline = proc::descriptors(origin.pid());
    let before = settled_memory(&origin);
    for _ in 0..1_400 {
        stalled(&origin, &big).reset();
    }
    assert_descriptors_return_to(&origin, baseline);
    let grown = settled_memory(&origin).saturating_sub(before);
    assert!(grown < 4 << 20, "1,400 resets cost {grown} bytes");
    assert_at_rest(&origin);
    origin.assert_alive();
}

#[test]
fn running_out_of_descriptors_is_survived_without_a_busy_loop() {
    let origin = Setup::new().start();
    assert_eq!(origin.get(&fixture::url("tiny"), "").status, 200);
    let kept = {
        let mut conn = origin.connect();
        conn.assert_usable();
        conn
    };
    let limit = proc::descriptors(origin.pid()) + 12;
    origin.limit_descriptors(limit as u64);
    // The kernel completes these handshakes; the origin cannot accept them all.
    let held: Vec<Conn> = (0..60).map(|_| origin.connect()).collect();
    poll(PATIENCE, "the limit is reached", || {
        (proc::descriptors(origin.pid()) >= limit - 2).then_some(())
    });
    assert_at_rest(&origin);
    let mut kept = kept;
    kept.assert_usable();
    drop(held);
    for _ in 0..20 {
        let mut conn = origin.connect();
        conn.assert_usable();
    }
    assert_eq!(origin.get(&fixture::url("tiny"), "").body, b"hello");
    origin.assert_alive();
}

#[test]
fn at_the_limit_of_connections_all_are_served_and_one_more_has_to_wait() {
    let origin = Setup::new()
        .config("[limits]\nconnections_max = 8\n")
        .start();
    let mut held: Vec<Conn> = (0..8).map(|_| origin.connect()).collect();
    for conn in &mut held {
        conn.assert_usable();
    }
    // One past it: refused, or left waiting; never served beside the others.
    let mut surplus = origin.connect();
    let _ = surplus.try_send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    surplus
        .stream()
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    if let Ok(response) = surplus.try_response("GET") {
        assert_eq!(response.status, 503, "{response:?}");
    }
    for conn in &mut held {
        conn.assert_usable();
    }
    // The probes of a load balancer and of an operator come in beside a full house.
    assert_eq!(origin.admin_get("/healthz").status, 200);
    drop(surplus);
    held.pop();
    poll(PATIENCE, "a place that was given up is taken", || {
        let mut conn = origin.connect();
        conn.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        conn.try_response("GET").ok().filter(|r| r.status == 200)
    });
}

#[test]
fn more_artifacts_than_may_be_open_are_served_in_turn() {
    let names: Vec<String> = (0..40).map(|n| format!("artifact-{n}")).collect();
    let bodies: Vec<Vec<u8>> = (0..40).map(|n| fixture::bytes(n, 100_000)).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .zip(&bodies)
        .map(|(name, body)| (name.as_str(), body.as_slice()))
        .collect();
    let store = StoreDir::with_files(&files);
    let origin = Setup::new()
        .config("[limits]\nopen_artifacts_max = 16\n")
        .store(&store)
        .start();
    assert_eq!(origin.get("/healthz", "").status, 200);
    let baseline = proc::descriptors(origin.pid());
    let mut conn = origin.connect();
    for round in 0..3 {
        for (name, body) in &files {
            let response = conn.get(&fixture::url(name), "");
            assert!(response.body == *body, "{name} in round {round}");
        }
        // Each open artifact may have one descriptor; this connection has one, too.
        let open = proc::descriptors(origin.pid()) - baseline;
        assert!(open <= 16 + 1 + 4, "{open} more descriptors than at rest");
    }
}
