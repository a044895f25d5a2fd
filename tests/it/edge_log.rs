//! What the edge writes down of each request, and what it does when it cannot.
//!
//! Owns the log as a file. Never repeats what a result means: `edge/policy/record.rs` and the engine's tests have that.

use rustix::process::Signal;
use serde_json::Value;

use crate::cli_sandbox::{Sandbox, until};
use crate::edge_cli::{Edge, in_front_of};
use crate::harness::fixture::{self, CHANNEL};
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::upstream::{Gate, Step, Upstream, message};
use crate::harness::wire::Conn;
use crate::support::mount::Mount;

#[test]
fn the_log_has_a_line_per_request_and_its_bytes_are_those_that_viewers_got() {
    let origin = Setup::new()
        .store(&StoreDir::with_files(&[
            ("a", &fixture::bytes(1, 100_000)),
            ("b", b""),
        ]))
        .start();
    let edge = in_front_of(&origin, &["--shield", "off"]);
    let mut conn = Conn::open(edge.address);
    let tag = fixture::etag(&fixture::bytes(1, 100_000));
    let conditional = format!("If-None-Match: {tag}\r\n");
    let rows = [
        (
            "GET",
            "/artifacts/agent/1.0.0/a",
            "Range: bytes=10-19\r\n",
            206,
        ),
        ("GET", "/artifacts/agent/1.0.0/a", "", 200),
        (
            "GET",
            "/artifacts/agent/1.0.0/a?x=1",
            "User-Agent: t\r\n",
            200,
        ),
        ("HEAD", "/artifacts/agent/1.0.0/a", "", 200),
        ("GET", "/artifacts/agent/1.0.0/a", conditional.as_str(), 304),
        ("GET", "/artifacts/agent/1.0.0/b", "", 200),
        ("GET", "/artifacts/agent/1.0.0/none", "", 404),
        ("GET", "/artifacts/agent/1.0.0/a", "X-Edge-Pop: 99\r\n", 400),
    ];
    let mut received = 0;
    let mut ids = Vec::new();
    for (method, target, fields, status) in rows {
        let response = conn.request(method, target, fields);
        assert_eq!(response.status, status, "{method} {target}");
        received += response.body.len() as u64;
        ids.push(response.field("x-amz-cf-id").unwrap_or("-").to_owned());
    }
    let log = edge.log(rows.len());
    let number = |line: &Value, key: &str| {
        line[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key}: {line}"))
    };
    let sum: u64 = log.iter().map(|line| number(line, "sc-body-bytes")).sum();
    assert_eq!(sum, received);
    for (line, (id, (method, target, _fields, status))) in log.iter().zip(ids.iter().zip(rows)) {
        assert_eq!(line["cs-method"], method);
        assert_eq!(line["cs-uri-stem"], target.split('?').next().unwrap());
        assert_eq!(
            line["cs-uri-query"],
            target.split_once('?').map_or("-", |(_, query)| query)
        );
        assert_eq!(number(line, "sc-status"), u64::from(status));
        assert_eq!(line["x-edge-request-id"], id.as_str());
        assert_eq!(line["c-ip"], "127.0.0.1");
        assert_eq!(line["x-host-header"], "x");
        assert_eq!(line["cs(Host)"], "d111111abcdef8.cloudfront.net");
        assert!(
            number(line, "sc-bytes") > number(line, "sc-body-bytes"),
            "{line}"
        );
        assert!(number(line, "cs-bytes") > 20, "{line}");
        assert!(
            line["time-taken"].as_f64() >= line["time-to-first-byte"].as_f64(),
            "{line}"
        );
        assert_eq!(
            line["x-edge-result-type"] == "Error",
            status >= 400,
            "{line}"
        );
    }
    assert_eq!(
        (
            number(&log[0], "sc-range-start"),
            number(&log[0], "sc-range-end")
        ),
        (10, 19)
    );
    assert_eq!(log[1]["sc-range-start"], "-");
    assert_eq!(log[2]["cs(User-Agent)"], "t");
    assert_eq!(log[2]["x-edge-result-type"], "Hit");
    assert_eq!(number(&log[1], "sc-content-len"), 100_000);
    assert_eq!(log[7]["x-edge-location"], "-");
}

#[test]
fn a_viewer_that_breaks_off_is_an_error_in_the_log_and_nowhere_else() {
    let origin = Origin::shared();
    let edge = in_front_of(&origin, &[]);
    let big = fixture::url("big");
    assert_eq!(edge.get(&big, "").body.len(), fixture::body("big").len());
    let mut conn = Conn::open_narrow(edge.address, 8 * 1024);
    conn.send(format!("GET {big} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(conn.head().status, 200);
    conn.reset();
    let log = edge.log(2);
    assert_eq!(log[0]["x-edge-result-type"], "Miss");
    assert_eq!(log[1]["x-edge-result-type"], "Error", "{}", log[1]);
    assert_eq!(log[1]["x-edge-response-result-type"], "Hit");
    assert_eq!(log[1]["x-edge-detailed-result-type"], "ClientCommError");
    assert!(log[1]["sc-body-bytes"].as_u64() < Some(fixture::body("big").len() as u64));
    assert!(edge.get(&big, "").body == fixture::body("big"));
}

#[test]
fn a_viewer_that_leaves_before_the_answer_has_its_line_too() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Upstream::start(move |_| {
        vec![
            Step::Await(held.clone()),
            Step::Send(message("200 OK", "Cache-Control: max-age=60\r\n", b"late")),
        ]
    });
    let edge = Edge::start(origin.address, "", &["--shield", "off"]);
    let mut conn = Conn::open(edge.address);
    conn.send("GET /artifacts/a?x=1 HTTP/1.1\r\nHost: x\r\nX-Edge-Pop: 1\r\n\r\n");
    until("the origin is asked", || {
        (!origin.seen().is_empty()).then_some(())
    });
    drop(conn);
    let log = edge.log(1);
    let line = &log[0];
    assert_eq!(line["cs-uri-stem"], "/artifacts/a");
    assert_eq!(line["sc-status"], 0, "{line}");
    assert_eq!(line["sc-bytes"], 0, "{line}");
    assert_eq!(line["sc-body-bytes"], 0, "{line}");
    assert_eq!(line["x-edge-result-type"], "Error");
    assert_eq!(line["x-edge-detailed-result-type"], "ClientCommError");
    assert_ne!(line["x-edge-location"], "-");
    gate.open();
    assert_eq!(edge.get("/artifacts/a?x=1", "").status, 200);
    assert_eq!(edge.log(2)[1]["sc-status"], 200, "one line per request");
}

#[test]
fn a_log_that_cannot_be_written_is_told_once_counts_what_is_lost_and_stops_nothing() {
    let origin = Origin::shared();
    let mut edge = in_front_of(&origin, &["--json-log", "/dev/full"]);
    for _ in 0..4 {
        assert_eq!(edge.get(CHANNEL, "").status, 200);
    }
    edge.signal(Signal::TERM);
    assert_eq!(edge.end().code(), Some(0));
    let said = edge.said();
    let count = |text: &str| said.matches(text).count();
    assert_eq!(count("cannot write the log of requests"), 1, "{said}");
    assert_eq!(
        count("4 lines of the log of requests were lost"),
        1,
        "{said}"
    );
}

#[test]
fn a_log_goes_on_when_a_full_disk_has_room_again() {
    let origin = Origin::shared();
    let disk = Mount::tmpfs("64k");
    let (log, filler) = (disk.path().join("log"), disk.path().join("filler"));
    let mut edge = in_front_of(&origin, &["--json-log", log.to_str().unwrap()]);
    let mut conn = Conn::open(edge.address);
    // Into one page of the log, and everything else away from it.
    assert_eq!(conn.get(CHANNEL, "").status, 200);
    until("the first line is there", || {
        (!std::fs::read(&log).unwrap().is_empty()).then_some(())
    });
    assert!(std::fs::write(&filler, vec![0; 128 * 1024]).is_err());
    let mut requests = 1;
    until("the disk is full", || {
        assert_eq!(conn.get(CHANNEL, "").status, 200);
        requests += 1;
        edge.said()
            .contains("cannot write the log of requests")
            .then_some(())
    });
    std::fs::remove_file(&filler).unwrap();
    until("the log is written again", || {
        edge.said().contains("is written again").then_some(())
    });
    edge.signal(Signal::TERM);
    assert_eq!(edge.end().code(), Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    for line in text.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert_eq!(text.lines().count(), requests, "nothing was lost");
}

#[test]
fn a_torn_line_of_an_earlier_run_is_ended_first() {
    let origin = Origin::shared();
    let sandbox = Sandbox::new();
    sandbox.write("requests.jsonl", "{\"torn\":");
    let log = sandbox.path().join("requests.jsonl");
    let mut edge = in_front_of(&origin, &["--json-log", log.to_str().unwrap()]);
    edge.get(CHANNEL, "");
    edge.signal(Signal::TERM);
    assert_eq!(edge.end().code(), Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "{\"torn\":"), "{text}");
    serde_json::from_str::<Value>(lines[1]).unwrap();
}

#[test]
fn e15_the_last_line_of_a_run_has_the_hit_rate() {
    let origin = Origin::shared();
    let mut edge = in_front_of(&origin, &["--shield", "off"]);
    for _ in 0..4 {
        assert_eq!(edge.get(CHANNEL, "").status, 200);
    }
    edge.log(4);
    edge.signal(Signal::TERM);
    assert_eq!(edge.end().code(), Some(0));
    let said = edge.said();
    assert!(said.contains("cache_hit_rate=75"), "{said}");
}

#[test]
fn a_log_grows_over_runs() {
    let origin = Origin::shared();
    let sandbox = Sandbox::new();
    let log = sandbox.path().join("requests.jsonl");
    for run in 1..=2 {
        let mut edge = in_front_of(&origin, &["--json-log", log.to_str().unwrap()]);
        edge.get(CHANNEL, "");
        edge.signal(Signal::TERM);
        assert_eq!(edge.end().code(), Some(0));
        // The process has ended, so that everything is written.
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(text.lines().count(), run, "{text}");
    }
}
