//! Other people's clients and the reference device, unmodified, through the edge to the real origin.
//!
//! Never tests a client: `real_clients` does that without an edge. Here the digests must be right, the resume must be
//! one, and the origin must have been asked for each byte once.

use super::{Edge, Setup};
use crate::harness::origin::Origin;
use crate::harness::viewer::{self};
use crate::harness::{cli, fixture};
use crate::real_clients::{Desk, finish};

/// The real origin, and an edge of the product's own distribution with a shield before it.
fn chain() -> (crate::harness::origin::Shared, Edge) {
    let origin = Origin::shared();
    let edge = Setup::new().pops(2).shield().start(origin.data);
    (origin, edge)
}

fn url(edge: &Edge, path: &str) -> String {
    format!("http://{}{path}", edge.address)
}

/// What of the log names a URL.
fn lines_of(edge: &Edge, path: &str) -> Vec<serde_json::Value> {
    let log = edge.log();
    log.into_iter()
        .filter(|line| line["cs-uri-stem"] == path)
        .collect()
}

#[test]
fn curl_resumes_through_the_edge() {
    let ((_origin, edge), desk) = (chain(), Desk::new());
    let big = url(&edge, &fixture::url("big"));
    desk.half("big", "big");
    let report = "%{http_code} %{size_download}";
    let ran = desk.run("curl", ["-fsS", "-C", "-", "-O", "-w", report, &big]);
    let body = fixture::body("big");
    assert_eq!(ran.text(), format!("206 {}", body.len() - body.len() / 2));
    desk.assert_file("big", body);
}

#[test]
fn wget_resumes_through_the_edge() {
    let ((_origin, edge), desk) = (chain(), Desk::new());
    let big = url(&edge, &fixture::url("big"));
    desk.half("big", "big");
    let ran = desk.run("wget", ["-nv", "-S", "-c", &big]);
    assert!(ran.stderr.contains("206 Partial Content"), "{}", ran.stderr);
    desk.assert_file("big", fixture::body("big"));
}

#[test]
fn aria2_fetches_eight_segments_through_the_edge_and_checks_the_digest_of_the_etag() {
    let ((_origin, edge), desk) = (chain(), Desk::new());
    let big = url(&edge, &fixture::url("big"));
    let etag = fixture::etag(fixture::body("big"));
    let checksum = format!("--checksum=sha-256={}", etag.trim_matches('"'));
    let segments = ["--no-conf", "-q", "-x8", "-s8", "-k1M", "-o", "big"];
    desk.run("aria2c", [&segments[..], &[&checksum, &big]].concat());
    desk.assert_file("big", fixture::body("big"));
}

#[test]
fn a_device_updates_itself_through_the_edge_and_the_next_one_is_a_hit() {
    let ((_origin, edge), desk) = (chain(), Desk::new());
    let from = url(&edge, "");
    for device in ["first", "second"] {
        let mut command =
            cli::command(["get", "agent", "--channel", "stable", "--artifact", "big"]);
        command
            .args(["--json", "--from", &from, "--output"])
            .arg(desk.path(device));
        assert!(finish(command).text().contains("downloaded"));
        desk.assert_file(&format!("{device}/big"), fixture::body("big"));
    }
    // Two devices on one machine meet the same POP.
    let lines = lines_of(&edge, &fixture::url("big"));
    let results: Vec<_> = lines
        .iter()
        .map(|line| &line["x-edge-result-type"])
        .collect();
    assert_eq!(results, ["Miss", "Hit"], "{lines:#?}");
}

#[test]
fn the_edge_changes_nothing_of_what_a_device_relies_on() {
    let (origin, edge) = chain();
    let path = fixture::url("piece-plus-one");
    let direct = viewer::ask(origin.data, "GET", &path, "");
    for _ in 0..2 {
        let through = viewer::ask(edge.address, "GET", &path, "");
        assert!(through.whole && through.body == direct.body);
        for name in [
            "content-length",
            "content-type",
            "etag",
            "last-modified",
            "accept-ranges",
            "cache-control",
            "repr-digest",
            "x-content-type-options",
            "cache-tag",
        ] {
            assert_eq!(through.head.field(name), direct.head.field(name), "{name}");
        }
    }
}
