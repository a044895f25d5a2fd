//! The load test: every byte verified, every request counted, both bounds kept, each failure with an exit code of its
//! own.
//!
//! Against a real origin where the figures of both sides have to agree, against the scripted edge of `device/edge.rs`
//! where something has to go wrong.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli_sandbox::send;
use crate::device::edge::{Edge, Step, content};
use crate::harness::cli::{self, Ran};
use crate::harness::fixture;
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::{PATIENCE, poll};
use crate::lifecycle_records::metrics;

/// One piece and a bit.
const SIZE: usize = fixture::PIECE + 70_000;

/// Bounds that no test here reaches unless it wants to.
const AMPLE: [&str; 4] = ["--max-requests", "100000", "--max-time", "2m"];

fn load(url: &str, arguments: &[&str]) -> Ran {
    let fixed = ["loadtest", "--json", "--url", url];
    cli::run([&fixed, arguments].concat())
}

fn of_edge(edge: &Edge) -> String {
    format!("{}/channels/agent/stable.json", edge.url())
}

fn of_origin(origin: &Origin) -> String {
    format!("http://{}/channels/agent/stable.json", origin.data)
}

fn origin_of(bodies: &[(&str, &[u8])]) -> (Origin, Arc<StoreDir>) {
    let store = StoreDir::with_files(bodies);
    (Setup::new().store(&store).start(), store)
}

/// What the origin says of itself, once it has counted all `requests`: an answer is counted after its last byte left.
fn counted(origin: &Origin, requests: u64) -> BTreeMap<String, f64> {
    poll(PATIENCE, "the origin has counted every answer", || {
        let now = metrics(origin);
        (requests_in(&now) >= requests).then_some(now)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "metrics print counts as decimals"
)]
fn requests_in(metrics: &BTreeMap<String, f64>) -> u64 {
    metrics
        .iter()
        .filter(|(series, _)| series.starts_with("headwater_requests_total"))
        .map(|(_, count)| *count as u64)
        .sum()
}

/// The bytes of the two documents that every device reads.
fn documents_of(origin: &Origin) -> u64 {
    let paths = [fixture::CHANNEL, "/artifacts/agent/1.0.0/release.json"];
    paths
        .iter()
        .map(|path| origin.get(path, "").body.len() as u64)
        .sum()
}

#[track_caller]
fn assert_devices(report: &Value, expected: &Value) {
    assert_eq!(report["devices"], *expected, "{report:#}");
}

fn all_verified(count: u64) -> Value {
    json!({"planned": count, "verified": count, "failed": 0, "damaged": 0, "cut_short": 0, "not_started": 0})
}

#[test]
fn two_hundred_devices_verify_every_byte_and_the_origin_counts_the_same() {
    let body = fixture::bytes(21, SIZE);
    let (origin, _store) = origin_of(&[("app.bin", &body)]);
    let documents = documents_of(&origin);
    let before = requests_in(&counted(&origin, 2));
    let report = load(
        &of_origin(&origin),
        &[&AMPLE[..], &["--devices", "200", "--concurrency", "50"]].concat(),
    );
    let report = report.ok().json();
    assert_devices(&report, &all_verified(200));
    assert_eq!(report["ended"], "all_done");
    assert_eq!(report["requests"], 600);
    assert_eq!(report["statuses"], json!({"200": 600}));
    assert_eq!(report["bytes"], 200 * (documents + SIZE as u64));
    assert_eq!(
        report["connections"], 200,
        "one for each device, and shared by none"
    );
    assert_eq!(
        (&report["errors"], &report["error_rate"]),
        (&json!({}), &json!(0.0))
    );
    let now = counted(&origin, before + 600);
    assert_eq!(requests_in(&now), before + 600);
}

#[test]
fn devices_that_break_off_resume_where_they_were_and_fetch_no_byte_twice() {
    let body = fixture::bytes(22, SIZE);
    let (origin, _store) = origin_of(&[("app.bin", &body)]);
    let documents = documents_of(&origin);
    let arguments = ["--devices", "20", "--abort", "1", "--seed", "5"];
    let report = load(&of_origin(&origin), &[&AMPLE[..], &arguments].concat())
        .ok()
        .json();
    assert_devices(&report, &all_verified(20));
    assert_eq!(report["broken_off"], 20);
    assert_eq!(report["statuses"], json!({"200": 60, "206": 20}));
    assert_eq!(report["bytes"], 20 * (documents + SIZE as u64));
    assert_eq!(
        report["connections"], 40,
        "what was broken off is not used again"
    );
}

#[test]
fn the_same_seed_breaks_off_the_same_devices() {
    let body = fixture::bytes(23, 300_000);
    let (origin, _store) = origin_of(&[("app.bin", &body)]);
    let broken_off = |seed: &str| {
        let arguments = ["--devices", "60", "--abort", "0.4", "--seed", seed];
        let report = load(&of_origin(&origin), &[&AMPLE[..], &arguments].concat());
        report.ok().json()["broken_off"].as_u64().unwrap()
    };
    let counts = ["1", "1", "2", "3", "4"].map(broken_off);
    assert_eq!(counts[0], counts[1]);
    assert!(
        counts[2..].iter().any(|count| *count != counts[0]),
        "{counts:?}"
    );
    assert!(
        counts.iter().all(|count| (10..40).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn pieces_are_asked_for_one_by_one() {
    let body = fixture::bytes(24, SIZE);
    let edge = Edge::start(content(&[("app.bin", &body, None)]), []);
    let report = load(
        &of_edge(&edge),
        &[&AMPLE[..], &["--devices", "1", "--ranges"]].concat(),
    );
    assert_devices(&report.ok().json(), &all_verified(1));
    let last = SIZE - 1;
    assert_eq!(
        edge.asked(),
        [
            "bytes=0-4194303".to_owned(),
            format!("bytes=4194304-{last}")
        ]
    );
}

#[test]
fn a_piece_that_was_broken_off_is_taken_up_inside_the_piece() {
    let body = fixture::bytes(25, SIZE);
    let edge = Edge::start(content(&[("app.bin", &body, None)]), []);
    let arguments = ["--devices", "1", "--ranges", "--abort", "1"];
    let report = load(&of_edge(&edge), &[&AMPLE[..], &arguments].concat())
        .ok()
        .json();
    assert_devices(&report, &all_verified(1));
    let ends: Vec<(usize, usize)> = edge
        .asked()
        .iter()
        .map(|range| {
            let (first, last) = range
                .strip_prefix("bytes=")
                .unwrap()
                .split_once('-')
                .unwrap();
            (first.parse().unwrap(), last.parse().unwrap())
        })
        .collect();
    assert_eq!(ends.len(), 3, "{ends:?}");
    // Where it broke off is the seed's choice; that its piece is finished first, and all bound to the digest, is not.
    let broken = ends
        .windows(2)
        .find(|pair| pair[0].1 == pair[1].1)
        .expect("one piece in two parts");
    assert!(broken[0].0 < broken[1].0, "{ends:?}");
    let etag = format!("\"{}\"", headwater::model::Digest::of(&body));
    for request in edge.artifact_requests() {
        assert_eq!(request.field("if-range"), Some(etag.as_str()));
    }
}

#[test]
fn several_artifacts_are_taken_in_turn_unless_one_is_named() {
    let (one, two) = (fixture::bytes(26, 1000), fixture::bytes(27, 3000));
    let (origin, _store) = origin_of(&[("one.bin", &one), ("two.bin", &two)]);
    let documents = documents_of(&origin);
    let url = of_origin(&origin);
    let devices = [&AMPLE[..], &["--devices", "10"]].concat();
    let turns = load(&url, &devices).ok().json();
    assert_eq!(turns["bytes"], 10 * documents + 5 * 1000 + 5 * 3000);
    let named = load(&url, &[&devices[..], &["--artifact", "two.bin"]].concat())
        .ok()
        .json();
    assert_eq!(named["bytes"], 10 * documents + 10 * 3000);
    let other = load(&url, &[&devices[..], &["--artifact", "three.bin"]].concat());
    assert_eq!(other.code, Some(1));
    assert!(
        other.stderr.contains("`one.bin`, `two.bin`"),
        "{}",
        other.stderr
    );
    assert_eq!(other.json()["errors"], json!({"unusable document": 10}));
}

#[test]
fn a_server_and_a_channel_by_name_are_the_same_as_the_document() {
    let origin = Origin::shared();
    let server = format!("http://{}", origin.data);
    let arguments = [
        "--product",
        "agent",
        "--channel",
        "stable",
        "--devices",
        "3",
    ];
    let report = load(&server, &[&AMPLE[..], &arguments].concat())
        .ok()
        .json();
    assert_eq!(
        report["url"],
        format!("{server}/channels/agent/stable.json")
    );
    assert_devices(&report, &all_verified(3));
}

#[test]
fn every_device_names_its_pop_in_turn_and_what_caches_say_is_counted() {
    let edge = Edge::start(content(&[("app.bin", b"x", None)]), []);
    let arguments = ["--devices", "7", "--concurrency", "1", "--pops", "3"];
    let report = load(&of_edge(&edge), &[&AMPLE[..], &arguments].concat())
        .ok()
        .json();
    let requests = edge.artifact_requests();
    let pops: Vec<_> = requests
        .iter()
        .map(|it| it.field("x-edge-pop").unwrap())
        .collect();
    assert_eq!(pops, ["0", "1", "2", "0", "1", "2", "0"]);
    assert_eq!(report["x_cache"], json!({"Hit from cloudfront": 7}));
}

#[test]
fn one_flipped_bit_is_told_from_every_other_failure() {
    let body = fixture::bytes(28, SIZE);
    for (style, where_it_is) in [(None, "bytes 0-"), (Some("--ranges"), "bytes 4194304-")] {
        let script = [
            Step::Honest,
            Step::Honest,
            Step::Honest,
            Step::Flip(SIZE - 5),
        ];
        let edge = Edge::start(content(&[("app.bin", &body, None)]), script);
        let mut arguments = AMPLE.to_vec();
        arguments.extend([
            "--devices",
            "4",
            "--concurrency",
            "1",
            "--error-rate-max",
            "1",
        ]);
        arguments.extend(style);
        let ran = load(&of_edge(&edge), &arguments);
        assert_eq!(ran.code, Some(5), "{}", ran.stderr);
        for part in [
            "1 of 4 devices were given other bytes",
            where_it_is,
            "X-Cache: Hit from cloudfront",
        ] {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        }
        let report = ran.json();
        assert_eq!(report["devices"]["damaged"], 1, "{report:#}");
        assert_eq!(report["devices"]["verified"], 3, "{report:#}");
        assert_eq!(
            report["errors"],
            json!({}),
            "wrong bytes are no failed request"
        );
    }
}

#[test]
fn the_share_of_failed_requests_decides_and_a_repeat_does_not_hide_them() {
    let unavailable = || {
        let fields = "Content-Length: 0\r\nConnection: close";
        Step::Raw(format!(
            "HTTP/1.1 503 Service Unavailable\r\n{fields}\r\n\r\n"
        ))
    };
    let run = |rate_max: &str| {
        let edge = Edge::start(content(&[("app.bin", b"bytes", None)]), [unavailable()]);
        let arguments = ["--devices", "6", "--error-rate-max", rate_max];
        load(&of_edge(&edge), &[&AMPLE[..], &arguments].concat())
    };
    let (within, beyond) = (run("0.06"), run("0.05"));
    for ran in [&within, &beyond] {
        let report = ran.json();
        assert_devices(&report, &all_verified(6));
        assert_eq!(report["requests"], 19);
        assert_eq!(report["errors"], json!({"status 503": 1}));
    }
    assert_eq!(within.code, Some(0), "{}", within.stderr);
    assert_eq!(beyond.code, Some(1));
    let says = "5.26 % of requests or devices failed, above the 5.00 % of --error-rate-max";
    assert!(beyond.stderr.contains(says), "{}", beyond.stderr);
}

#[test]
fn a_server_that_is_not_there_is_an_error_and_not_damage() {
    let ran = load(
        "http://127.0.0.1:1/channels/agent/stable.json",
        &[&AMPLE[..], &["--devices", "2"]].concat(),
    );
    assert_eq!(ran.code, Some(1));
    let report = ran.json();
    assert_eq!(
        report["errors"],
        json!({"unreachable": 6}),
        "three tries each"
    );
    assert_eq!(
        (&report["connections"], &report["devices"]["failed"]),
        (&json!(0), &json!(2))
    );
    assert!(ran.stderr.contains("Connection refused"), "{}", ran.stderr);
}

#[test]
fn no_request_is_sent_beyond_the_bound() {
    let body = fixture::bytes(29, 50_000);
    let (origin, _store) = origin_of(&[("app.bin", &body)]);
    for bound in [1_u64, 2, 7, 100] {
        let before = requests_in(&metrics(&origin));
        let ran = load(
            &of_origin(&origin),
            &[
                "--devices",
                "500",
                "--max-requests",
                &bound.to_string(),
                "--max-time",
                "1m",
            ],
        );
        let report = ran.json();
        assert_eq!(report["ended"], "max_requests");
        assert_eq!(report["requests"], bound);
        let now = counted(&origin, before + bound);
        assert_eq!(requests_in(&now), before + bound);
        let devices = &report["devices"];
        let of = |name: &str| devices[name].as_u64().unwrap();
        let sum: u64 = ["verified", "failed", "damaged", "cut_short", "not_started"]
            .map(of)
            .iter()
            .sum();
        assert_eq!(sum, 500, "{devices}");
    }
}

#[test]
fn exactly_as_many_requests_as_are_needed_are_enough() {
    let body = fixture::bytes(30, 1000);
    let (origin, _store) = origin_of(&[("app.bin", &body)]);
    let arguments = [
        "--devices",
        "10",
        "--max-requests",
        "30",
        "--max-time",
        "1m",
    ];
    let report = load(&of_origin(&origin), &arguments).ok().json();
    assert_eq!(report["ended"], "all_done");
    assert_devices(&report, &all_verified(10));
}

#[test]
fn whatever_hangs_is_ended_by_the_bound_on_time() {
    let body = fixture::bytes(31, SIZE);
    let script = [Step::Stall(1000), Step::Stall(1000)];
    let edge = Edge::start(content(&[("app.bin", &body, None)]), script);
    let started = Instant::now();
    let arguments = [
        "--devices",
        "4",
        "--concurrency",
        "2",
        "--max-requests",
        "100",
        "--max-time",
        "1s",
    ];
    let ran = load(&of_edge(&edge), &arguments);
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    let report = ran.json();
    assert_eq!(report["ended"], "max_time");
    assert_devices(
        &report,
        &json!({"planned": 4, "verified": 0, "failed": 0, "damaged": 0, "cut_short": 2, "not_started": 2}),
    );
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("no device had its update"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_interrupt_ends_it_with_the_figures_so_far() {
    let body = fixture::bytes(32, SIZE);
    let edge = Edge::start(
        content(&[("app.bin", &body, None)]),
        [Step::Honest, Step::Stall(1000)],
    );
    let url = of_edge(&edge);
    let arguments = [
        "loadtest",
        "--url",
        &url,
        "--devices",
        "2",
        "--concurrency",
        "1",
    ];
    let mut command = cli::command([&arguments[..], &AMPLE].concat());
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    poll(PATIENCE, "the second device hangs", || {
        (edge.artifact_requests().len() == 2).then_some(())
    });
    send(&child, rustix::process::Signal::INT);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "2: 1 verified, 0 failed, 0 with wrong bytes, 1 cut short",
        "interrupted after",
        "whole update",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: it was interrupted when 1 of 2 devices had their update\n",
        "and nothing is drawn where no terminal is"
    );
}

#[test]
fn without_both_bounds_it_refuses_and_asks_nobody() {
    let edge = Edge::start(content(&[("app.bin", b"x", None)]), []);
    let url = of_edge(&edge);
    for (bounds, missing) in [
        (&[][..], "--max-requests and --max-time must be set"),
        (&["--max-time", "1m"][..], ": --max-requests must be set"),
        (&["--max-requests", "9"][..], ": --max-time must be set"),
    ] {
        let ran = load(&url, bounds);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{bounds:?}");
        assert!(ran.stderr.contains(missing), "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains("hint: for instance --max-requests 600 --max-time 5m"),
            "{}",
            ran.stderr
        );
    }
    assert!(edge.artifact_requests().is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let url = "http://127.0.0.1:1/channels/agent/stable.json";
    let cases: [(&[&str], &str); 7] = [
        (&["--url", "http://127.0.0.1:1"], "names no channel"),
        (
            &["--url", "http://127.0.0.1:1/x"],
            "is not the path of a channel document",
        ),
        (
            &["--url", url, "--product", "agent", "--channel", "stable"],
            "names a channel already",
        ),
        (&["--url", url, "--abort", "1.1"], "a share from 0 to 1"),
        (&["--url", url, "--devices", "0"], "--devices"),
        (&["--url", url, "--max-time", "soon"], "a time such as 90s"),
        (
            &[
                "--url",
                url,
                "--devices",
                "99999999",
                "--concurrency",
                "99999999",
            ],
            "open files",
        ),
    ];
    for (arguments, reason) in cases {
        let fixed = ["loadtest", "--max-requests", "9"];
        let time: &[&str] = if arguments.contains(&"--max-time") {
            &[]
        } else {
            &["--max-time", "1m"]
        };
        let ran = cli::run([&fixed, time, arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn the_document_has_every_figure_that_its_help_names() {
    let origin = Origin::shared();
    let arguments = ["--devices", "2", "--artifact", "page"];
    let report = load(&of_origin(&origin), &[&AMPLE[..], &arguments].concat());
    let report = report.ok().json();
    let help = cli::run(["loadtest", "--help"])
        .ok()
        .stdout
        .replace('\n', " ");
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    for key in keys(&report)
        .iter()
        .chain(&keys(&report["devices"]))
        .chain(&keys(&report["first_byte_ms"]))
    {
        assert!(help.contains(key.as_str()), "{key}");
    }
    let times = ["count", "max", "p50", "p90", "p99"];
    assert_eq!(keys(&report["update_ms"]), times);
    for what in ["channel", "release", "artifact"] {
        let times = &report["first_byte_ms"][what];
        assert_eq!(times["count"], 2, "{report:#}");
        let [p50, p99, max] = ["p50", "p99", "max"].map(|key| times[key].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{times}");
    }
}
