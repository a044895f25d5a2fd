//! An origin whose bucket is slow, wrong or away: never a wrong byte, never an endless wait, and no restart.

use std::time::{Duration, Instant};

use crate::harness::aws;
use crate::harness::fault::{Fault, FaultProxy, every, next};
use crate::harness::fixture::{self, CHANNEL, PIECE};
use crate::harness::origin::{Origin, Setup};
use crate::harness::s3::S3Server;
use crate::harness::wire::{Broken, Drained, Response};
use crate::harness::{PATIENCE, poll};
use crate::lifecycle_records::metrics;
use crate::s3_serve::{BIG_BYTES, PREFIX, big, bucket, config, publish, text, url};

/// A bucket behind a proxy, and an origin before it.
struct Rig {
    server: S3Server,
    proxy: FaultProxy,
    origin: Origin,
}

/// How long a request that needs the bucket may wait: the origin's 5 s, and what a busy machine adds.
const BOUND: Duration = Duration::from_secs(12);

/// Longer than a block is asked for, again and again.
const BREAK_BOUND: Duration = Duration::from_secs(40);

impl Rig {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        let server = bucket();
        let proxy = FaultProxy::before(server.address());
        let origin = Setup::new()
            .config(&(config("read_ahead_blocks = 0") + more))
            .bucket(&server.store_url(PREFIX), proxy.environment())
            .start();
        Self {
            server,
            proxy,
            origin,
        }
    }

    /// The first bytes of a block of `big`.
    fn block(&self, index: usize) -> Response {
        let fields = format!("Range: bytes={0}-{0}\r\n", index * PIECE);
        self.origin.get(&url("1.0.0", "big"), &fields)
    }

    fn metric(&self, name: &str) -> f64 {
        metrics(&self.origin)[name]
    }

    /// Loads what is needed to know of `big`, and none of it.
    fn warm_up(&self) {
        assert_eq!(self.origin.get(CHANNEL, "").status, 200);
        let head = self.origin.request("HEAD", &url("1.0.0", "big"), "");
        assert_eq!(head.status, 200);
    }

    #[track_caller]
    fn assert_recovers(&self, target: &str, body: &[u8]) {
        let answer = poll(PATIENCE, "the origin recovers", || {
            let answer = self.origin.get(target, "");
            (answer.status == 200).then_some(answer)
        });
        assert!(answer.body == body, "{target}");
        poll(PATIENCE, "/readyz recovers", || {
            (self.origin.admin_get("/readyz").status == 200).then_some(())
        });
    }
}

fn is_about(counted: f64, expected: f64) -> bool {
    (counted - expected).abs() < 0.5
}

#[test]
fn a_byte_that_is_flipped_on_its_way_is_fetched_again_and_nobody_notices() {
    let rig = Rig::new();
    rig.warm_up();
    let flips = next(1, Fault::Flip(4711))
        .operation("GetObject")
        .key("/big");
    rig.proxy.inject(flips);
    let whole = rig.origin.get(&url("1.0.0", "big"), "");
    assert!(whole.status == 200 && whole.body == big());
    assert_eq!(rig.proxy.faults(), 1);
    let damaged = rig.metric("headwater_blocks_damaged_total");
    assert!(is_about(damaged, 1.0), "{damaged}");
    let log = rig.origin.log().join("\n");
    let key = "artifacts/agent/1.0.0/big";
    assert!(
        log.contains(&format!(
            "damaged block of `{key}`: the 4194304 bytes from 0 on"
        )),
        "{log}"
    );
}

#[test]
fn a_block_that_stays_wrong_is_500_at_the_start_and_a_broken_connection_later() {
    let rig = Rig::new();
    rig.warm_up();
    rig.server
        .corrupt(&format!("{PREFIX}/artifacts/agent/1.0.0/big"), PIECE + 7);
    assert_eq!(rig.block(1).status, 500);
    assert_eq!(rig.block(0).status, 206);
    let mut conn = rig.origin.connect();
    conn.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
        url("1.0.0", "big")
    ));
    match conn.try_response("GET") {
        Err(Broken::Cut { body, .. }) => assert!(body == big()[..PIECE], "{}", body.len()),
        other => panic!("{other:?}"),
    }
    let damaged = rig.metric("headwater_blocks_damaged_total");
    assert!(is_about(damaged, 4.0), "{damaged}");
    let log = rig.origin.log().join("\n");
    assert!(log.contains("the 4194304 bytes from 4194304 on"), "{log}");
    rig.origin.assert_alive();
}

/// A bucket in trouble: what is known goes on, what is not is 503 soon, and readiness says so.
#[track_caller]
fn assert_serves_what_it_knows(rig: &Rig, target: &str, trouble: &str) {
    let unready = poll(PATIENCE, "/readyz notices", || {
        let response = rig.origin.admin_get("/readyz");
        (response.status == 503).then_some(response)
    });
    assert!(text(&unready).contains("the store"), "{unready:?}");
    let began = Instant::now();
    let refused = rig.origin.get(target, "Range: bytes=0-0\r\n");
    assert_eq!(refused.status, 503, "{trouble}: {refused:?}");
    assert_eq!(refused.need("retry-after"), "2", "{trouble}");
    assert_eq!(refused.need("cache-control"), "no-store", "{trouble}");
    assert!(began.elapsed() < BOUND, "{trouble}: {:?}", began.elapsed());
    for known in [
        CHANNEL.to_owned(),
        url("1.0.0", "release.json"),
        url("1.0.0", "big"),
    ] {
        let answer = rig.origin.request("HEAD", &known, "");
        assert_eq!(answer.status, 200, "{trouble}: {known}");
    }
    assert!(
        began.elapsed() < 4 * BOUND,
        "{trouble}: {:?}",
        began.elapsed()
    );
}

#[test]
fn whatever_is_wrong_with_the_bucket_is_503_in_time_and_over_without_a_restart() {
    let faults = [
        Fault::Error(500, "InternalError"),
        Fault::Error(503, "SlowDown"),
        Fault::Error(404, "NoSuchBucket"),
        Fault::Error(403, "ExpiredToken"),
        Fault::Reset,
        Fault::Hang,
    ];
    let rig = Rig::new();
    // One for each trouble, all different: equal ones would share their blocks.
    let parts: Vec<(String, Vec<u8>)> = (0..=faults.len())
        .map(|number| {
            (
                format!("part-{number}"),
                fixture::bytes(20 + number as u64, PIECE / 4),
            )
        })
        .collect();
    let files: Vec<_> = parts
        .iter()
        .map(|(name, body)| (name.as_str(), &**body))
        .collect();
    publish(&rig.server, "2.0.0", &files);
    rig.warm_up();
    let targets: Vec<String> = parts.iter().map(|(name, _)| url("2.0.0", name)).collect();
    poll(PATIENCE, "the second release", || {
        let is_there = |target: &String| rig.origin.request("HEAD", target, "").status == 200;
        targets.iter().all(is_there).then_some(())
    });
    for ((fault, target), (_, body)) in faults.into_iter().zip(&targets).zip(&parts) {
        rig.proxy.inject(every(fault));
        assert_serves_what_it_knows(&rig, target, &format!("{fault:?}"));
        rig.proxy.heal();
        rig.proxy.reset_open();
        rig.assert_recovers(target, body);
    }
    rig.proxy.refuse();
    assert_serves_what_it_knows(&rig, targets.last().unwrap(), "refused");
    rig.proxy.heal();
    rig.assert_recovers(targets.last().unwrap(), &parts.last().unwrap().1);
}

#[test]
fn a_body_goes_on_over_short_trouble() {
    let rig = Rig::new();
    rig.warm_up();
    for fault in [
        Fault::Error(503, "SlowDown"),
        Fault::Cut(100_000),
        Fault::Reset,
        Fault::Slow(Duration::from_millis(10)),
    ] {
        rig.proxy
            .inject(next(1, fault).operation("GetObject").key("/big").after(1));
    }
    let whole = rig.origin.get(&url("1.0.0", "big"), "");
    assert!(whole.status == 200 && whole.body == big());
    assert!(rig.proxy.faults() >= 3, "{}", rig.proxy.faults());
    let damaged = rig.metric("headwater_blocks_damaged_total");
    assert!(is_about(damaged, 0.0), "{damaged}");
}

#[test]
fn a_body_breaks_off_in_bounded_time_when_the_bucket_stays_away_and_never_with_wrong_bytes() {
    let rig = Rig::new();
    rig.warm_up();
    assert_eq!(rig.block(0).status, 206);
    rig.proxy.refuse();
    let mut conn = rig.origin.connect();
    let began = Instant::now();
    conn.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
        url("1.0.0", "big")
    ));
    let head = conn.head();
    assert_eq!(head.status, 200);
    assert_eq!(head.need("content-length"), BIG_BYTES.to_string());
    conn.stream().set_read_timeout(Some(BREAK_BOUND)).unwrap();
    let mut body = Vec::new();
    let ended = conn.drain_body(BIG_BYTES as u64, |bytes| body.extend_from_slice(bytes));
    assert_eq!(ended, Err(Drained::Ended));
    assert!(body == big()[..PIECE], "{}", body.len());
    assert!(began.elapsed() < BREAK_BOUND, "{:?}", began.elapsed());
    poll(PATIENCE, "the answer is counted", || {
        let broken = rig.metric("headwater_answers_total{ending=\"store-away\"}");
        is_about(broken, 1.0).then_some(())
    });
    rig.proxy.heal();
    rig.assert_recovers(&url("1.0.0", "big"), &big());
}

#[test]
fn what_is_known_is_served_no_longer_than_configured() {
    let rig = Rig::with("[limits]\nstore_stale_max = \"1s\"\n");
    rig.warm_up();
    rig.proxy.refuse();
    let targets = [CHANNEL.to_owned(), url("1.0.0", "release.json")];
    for target in &targets {
        let stale = poll(PATIENCE, "503", || {
            let answer = rig.origin.get(target, "");
            (answer.status == 503).then_some(answer)
        });
        assert_eq!(stale.need("retry-after"), "2");
    }
    rig.proxy.heal();
    for target in &targets {
        poll(PATIENCE, "200", || {
            (rig.origin.get(target, "").status == 200).then_some(())
        });
    }
}

#[test]
fn expired_credentials_are_trouble_and_new_ones_end_it() {
    let rig = Rig::new();
    rig.warm_up();
    rig.server.expire_credentials();
    let big_url = url("1.0.0", "big");
    assert_serves_what_it_knows(&rig, &big_url, "expired credentials");
    rig.server.renew_credentials();
    rig.assert_recovers(&big_url, &big());
    let said = rig.origin.log().join("\n");
    assert!(!said.contains(aws::SECRET), "a secret in the log");
}
