//! The rules of the edge that need real bytes: the real executable between real sockets, an origin that records.
//!
//! Never repeats what the policy's own tests decide without a socket. Each test cites the rules of the edge that it
//! shows (E-1 to E-15, T1 to T63; see `edge/policy`). Read next: `edge_wire/link.rs` (what the origin receives),
//! `edge_wire/mix.rs` (conservation), `edge_wire/clients.rs` (other people's clients).

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::harness::edge::{Edge, Setup};
use crate::harness::upstream::{Gate, Seen, Step, Upstream, message, ok};
use crate::harness::viewer::{self, Answer, Viewer};
use crate::harness::{fixture, poll, proc};

/// Clients through the edge, unmodified.
mod clients;
/// E-10: what goes to the origin and what comes back.
mod link;
/// E-15: no byte and no request is lost between the books.
mod mix;

/// How many ask at once. More than the threads of any machine that runs this.
const CROWD: usize = 200;

/// A distribution that keeps what the origin says, for one behaviour, with these further lines in its cache policy.
pub fn distribution(policy: &str) -> String {
    format!(
        "[[origin]]\norigin_id = \"o\"\nurl = \"http://127.0.0.1:1\"\nconnection_attempts = 2\n\
         origin_read_timeout = 1\n\
         [cache_policy.p]\nmin_ttl = 0\ndefault_ttl = 0\nmax_ttl = 31536000\n{policy}\n\
         [default_cache_behavior]\ntarget_origin_id = \"o\"\ncache_policy = \"p\"\n\
         allowed_methods = [\"DELETE\", \"GET\", \"HEAD\", \"OPTIONS\", \"PATCH\", \"POST\", \"PUT\"]\n"
    )
}

/// An edge of that distribution.
#[track_caller]
pub fn edge(origin: &Upstream) -> Edge {
    Setup::new().config(&distribution("")).start(origin.address)
}

/// `CROWD` viewers ask for `target` at once. When the edge has read all their requests and `awaited` has come, `gate`
/// opens.
fn crowd(edge: &Edge, target: &str, gate: &Gate, awaited: impl FnOnce()) -> Vec<Answer> {
    let ready = Barrier::new(CROWD + 1);
    std::thread::scope(|scope| {
        let viewers: Vec<_> = (0..CROWD)
            .map(|_| {
                let mut viewer = Viewer::open(edge.address);
                let (ready, port) = (&ready, viewer.port());
                let asking = scope.spawn(move || {
                    ready.wait();
                    viewer.send("GET", target, "");
                    ready.wait();
                    viewer.answer("GET")
                });
                (port, asking)
            })
            .collect();
        ready.wait();
        ready.wait();
        let ports: Vec<u16> = viewers.iter().map(|(port, _)| *port).collect();
        poll(
            crate::harness::PATIENCE,
            "the edge reads every request",
            || proc::has_read_all(edge.address.port(), &ports).then_some(()),
        );
        awaited();
        gate.open();
        viewers
            .into_iter()
            .map(|(_, asking)| asking.join().unwrap())
            .collect()
    })
}

/// A gate, and the same one for the script.
fn gate() -> (Gate, Gate) {
    let gate = Gate::default();
    (gate.clone(), gate)
}

fn count(answers: &[Answer], x_cache: &str) -> usize {
    answers.iter().filter(|a| a.x_cache() == x_cache).count()
}

#[test]
fn a_crowd_for_one_cold_object_reaches_the_origin_once() {
    // T24, T29.
    let ((gate, held), body) = (gate(), fixture::bytes(1, 300_000));
    let sent = body.clone();
    let origin = Upstream::start(move |_| {
        vec![
            Step::Await(held.clone()),
            Step::Send(message("200 OK", "Cache-Control: max-age=60\r\n", &sent)),
        ]
    });
    let edge = edge(&origin);
    let answers = crowd(&edge, "/object", &gate, || ());
    assert!(
        answers
            .iter()
            .all(|a| a.head.status == 200 && a.body == body)
    );
    assert_eq!(origin.seen().len(), 1, "requests to the origin");
    assert_eq!(
        (count(&answers, "Miss"), count(&answers, "Hit")),
        (1, CROWD - 1)
    );
}

#[test]
fn a_crowd_for_one_expired_object_is_one_conditional_request() {
    // T25, T11, T13: the tag goes back byte for byte, and no body comes.
    const TAG: &str = "\"a, \\b\"";
    let (gate, held) = gate();
    let origin = Upstream::start(move |seen: &Seen| {
        if seen.field("if-none-match").is_none() {
            return ok(
                &format!("Cache-Control: max-age=1\r\nETag: {TAG}\r\n"),
                b"body",
            );
        }
        let fresh = format!(
            "HTTP/1.1 304 Not Modified\r\nETag: {TAG}\r\nCache-Control: max-age=60\r\n\r\n"
        );
        vec![Step::Await(held.clone()), Step::Send(fresh.into_bytes())]
    });
    let edge = edge(&origin);
    let first = viewer::ask(edge.address, "GET", "/object", "");
    assert_eq!(first.x_cache(), "Miss");
    outlive(Duration::from_secs(1));
    let answers = crowd(&edge, "/object", &gate, || ());
    assert!(
        answers
            .iter()
            .all(|a| a.head.status == 200 && a.body == b"body")
    );
    let seen = origin.seen();
    assert_eq!(seen.len(), 2, "requests to the origin: {seen:#?}");
    assert_eq!(seen[1].field("if-none-match").as_deref(), Some(TAG));
    assert_eq!(count(&answers, "RefreshHit"), 1, "the one that asked");
}

#[test]
fn a_crowd_for_what_must_not_be_kept_reaches_the_origin_one_by_one() {
    // T26: the followers are let go after the first answer.
    let (gate, held) = gate();
    let origin = Upstream::start(move |_| {
        vec![
            Step::Await(held.clone()),
            Step::Send(message("200 OK", "Cache-Control: no-store\r\n", b"private")),
        ]
    });
    let edge = edge(&origin);
    let answers = crowd(&edge, "/object", &gate, || ());
    assert!(
        answers
            .iter()
            .all(|a| a.head.status == 200 && a.body == b"private")
    );
    assert_eq!(origin.seen().len(), CROWD);
    assert_eq!(count(&answers, "Miss"), CROWD);
}

#[test]
fn a_crowd_whose_cookies_are_forwarded_is_never_collapsed() {
    // T27: nobody waits for anybody, so the origin sees them all before it answers one.
    let (gate, held) = gate();
    let origin = Upstream::start(move |_| {
        vec![
            Step::Await(held.clone()),
            Step::Send(message("200 OK", "Cache-Control: max-age=60\r\n", b"body")),
        ]
    });
    let policy = "cookies_config = { cookie_behavior = \"all\" }";
    let edge = Setup::new()
        .config(&distribution(policy))
        .start(origin.address);
    let answers = crowd(&edge, "/object", &gate, || drop(origin.await_seen(CROWD)));
    assert!(answers.iter().all(|a| a.head.status == 200));
    assert_eq!(origin.seen().len(), CROWD);
}

#[test]
fn more_than_fifty_gigabytes_come_only_in_parts() {
    // T39, fact 34.
    const TOTAL: u64 = 60_000_000_000;
    let origin = Upstream::start(|seen: &Seen| match seen.field("range") {
        None => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {TOTAL}\r\n\r\n"
            );
            vec![Step::Send(head.into_bytes()), Step::Hang]
        }
        Some(range) => {
            let (first, last) = range
                .strip_prefix("bytes=")
                .unwrap()
                .split_once('-')
                .unwrap();
            let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
            let fields = format!(
                "Cache-Control: max-age=60\r\nContent-Range: bytes {first}-{last}/{TOTAL}\r\n"
            );
            let body = vec![7; usize::try_from(last - first + 1).unwrap()];
            vec![Step::Send(message("206 Partial Content", &fields, &body))]
        }
    });
    let edge = edge(&origin);
    let part = viewer::ask(
        edge.address,
        "GET",
        "/image",
        "Range: bytes=55000000000-55000000099\r\n",
    );
    assert_eq!((part.head.status, part.body.len()), (206, 100));
    assert_eq!(
        part.head.field("content-range").unwrap(),
        "bytes 55000000000-55000000099/60000000000"
    );
    // Last, for this error is kept like any 502.
    let whole = viewer::ask(edge.address, "GET", "/image", "");
    assert_eq!(
        (whole.head.status, whole.x_cache().as_str()),
        (502, "Error")
    );
}

/// Asks until the edge says Hit, for an object that becomes one as soon as its body has been put away.
#[track_caller]
fn await_hit(address: SocketAddr, target: &str) -> Answer {
    poll(crate::harness::PATIENCE, "a hit", || {
        let answer = viewer::ask(address, "GET", target, "");
        (answer.x_cache() == "Hit").then_some(answer)
    })
}

/// Sends an answer's beginning and breaks the connection.
fn broken(head: &str, body: &[u8]) -> Vec<Step> {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{head}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes), Step::Close]
}

#[test]
fn a_body_cut_before_its_announced_length_is_passed_on_and_not_kept() {
    // T41, fact 44. The viewer learns of it: fewer bytes than announced came.
    let origin = Upstream::start(|_| broken("Content-Length: 1000\r\n", &[1; 600]));
    let edge = edge(&origin);
    for turn in 1..=2 {
        let answer = viewer::ask(edge.address, "GET", "/short", "");
        assert_eq!((answer.head.status, answer.body.len()), (200, 600));
        assert!(!answer.whole);
        assert_eq!(origin.seen().len(), turn, "requests to the origin");
    }
}

#[test]
fn a_chunked_body_without_its_end_is_passed_on_and_not_kept() {
    // T41, fact 44.
    let origin = Upstream::start(|_| broken("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"));
    let edge = edge(&origin);
    for turn in 1..=2 {
        let answer = viewer::ask(edge.address, "GET", "/short", "");
        assert_eq!(
            (answer.head.status, answer.body.as_slice()),
            (200, b"hello".as_slice())
        );
        assert!(!answer.whole, "turn {turn}");
        assert_eq!(origin.seen().len(), turn, "requests to the origin");
    }
}

#[test]
fn a_body_without_a_length_is_kept_as_far_as_it_came() {
    // T42, fact 44: nobody can tell that it is short.
    let origin = Upstream::start(|_| broken("Connection: close\r\n", b"half a file"));
    let edge = edge(&origin);
    let first = viewer::ask(edge.address, "GET", "/endless", "");
    assert_eq!(
        (first.x_cache().as_str(), first.body.as_slice()),
        ("Miss", b"half a file".as_slice())
    );
    assert!(first.whole);
    let second = await_hit(edge.address, "/endless");
    assert_eq!(second.body, b"half a file");
    assert_eq!(origin.seen().len(), 1);
}

/// An origin that sends the first half of an object, waits for the gate, and sends the second.
fn halting(body: &[u8], gate: &Gate) -> Upstream {
    let (gate, body) = (gate.clone(), body.to_vec());
    Upstream::start(move |_| {
        let bytes = message("200 OK", "Cache-Control: max-age=60\r\n", &body);
        let (first, second) = bytes.split_at(bytes.len() - body.len() / 2);
        let (first, second) = (first.to_vec(), second.to_vec());
        vec![
            Step::Send(first),
            Step::Await(gate.clone()),
            Step::Send(second),
        ]
    })
}

#[test]
fn a_viewer_that_breaks_off_alone_leaves_nothing_in_the_cache() {
    // T43, fact 45.
    let (gate, body) = (Gate::default(), fixture::bytes(3, 200_000));
    let origin = halting(&body, &gate);
    let mut edge = edge(&origin);
    let mut leader = Viewer::open(edge.address);
    leader.send("GET", "/object", "");
    assert_eq!(leader.head().status, 200);
    leader.read(1000);
    leader.abort();
    // Its log line is written when the edge knows that it has gone.
    let line = edge.await_log(1).remove(0);
    assert_eq!(line["x-edge-result-type"], "Error", "{line}");
    gate.open();
    let second = viewer::ask(edge.address, "GET", "/object", "");
    assert_eq!(second.x_cache(), "Miss");
    assert!(second.body == body && second.whole);
    assert_eq!(origin.seen().len(), 2);
    edge.process().assert_running();
}

#[test]
fn a_follower_gets_the_whole_object_although_the_leader_breaks_off() {
    // T44: ⚙ continue-for-followers, stream_along.
    let (gate, body) = (Gate::default(), fixture::bytes(4, 200_000));
    let origin = halting(&body, &gate);
    let edge = edge(&origin);
    let mut leader = Viewer::open(edge.address);
    leader.send("GET", "/object", "");
    leader.head();
    leader.read(1000);
    let mut follower = Viewer::open(edge.address);
    follower.send("GET", "/object", "");
    // The head reaches the follower before the fill is over: it streams along.
    let head = follower.head();
    assert_eq!(head.status, 200);
    let mut got = follower.read(50_000);
    leader.abort();
    edge.await_log(1);
    gate.open();
    got.extend(follower.read(body.len() - 50_000));
    assert!(got == body);
    assert_eq!(origin.seen().len(), 1, "one fill for both");
    assert!(await_hit(edge.address, "/object").body == body);
}

#[test]
fn the_first_byte_reaches_the_viewer_before_the_origin_has_sent_the_last() {
    // Fact 30.
    let (gate, body) = (Gate::default(), fixture::bytes(5, 2_000_000));
    let origin = halting(&body, &gate);
    let edge = edge(&origin);
    let mut viewer = Viewer::open(edge.address);
    viewer.send("GET", "/object", "");
    assert_eq!(viewer.head().status, 200);
    let mut got = viewer.read(1_000_000);
    gate.open();
    got.extend(viewer.read(1_000_000));
    assert!(got == body);
}

/// Lets a lifetime pass: the edge's clock is the real one, and nothing tells when an object has expired.
fn outlive(lifetime: Duration) {
    let until = Instant::now() + lifetime + Duration::from_millis(100);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::sleep(left);
    }
}
