//! `verify --through`: a real origin, the real edge, and edges that lie in one thing each.
//!
//! Owns what a release engineer sees and how the run ends. Every single rule of a verdict is tested beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::cli_sandbox::{Ran, Sandbox, until};
use crate::edge_cli::{Edge, asked};
use crate::harness::aws;
use crate::harness::fixture;
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::upstream::{Nobody, Step, Upstream};

mod lies;

use lies::{B, LIES, lying};

const CHANNEL: &str = "/channels/agent/stable.json";
const REDIRECT: &str = "/channels/agent/stable/a";
const A: &str = "/artifacts/agent/1.0.0/a";

/// Long enough for every copy to outlive its test.
const SLOW_CHANNELS: &str = "[server]\ndrain_delay = \"0s\"\n[channels]\nmax_age = \"1h\"\n";

fn store() -> Arc<StoreDir> {
    let three_pieces = fixture::bytes(1, 2 * fixture::PIECE + 5);
    StoreDir::with_files(&[("a", b"first"), ("b/c", &three_pieces), ("empty", b"")])
}

fn origin(store: &Arc<StoreDir>) -> Origin {
    Setup::new().config(SLOW_CHANNELS).store(store).start()
}

/// Runs `verify … --through URL`, whose store is `store`.
fn verify(store: &StoreDir, through: &str, arguments: &[&str]) -> Ran {
    let path = store.path().to_str().unwrap();
    let line = ["verify", "--store", path, "--through", through];
    Sandbox::new().run(&[&line, arguments].concat())
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// An origin looks at its store a few times a second.
fn await_revision(origin: &Origin, revision: u64) {
    until("the origin has noticed the promote", || {
        let document = origin.get(CHANNEL, "").body;
        let channel: Value = serde_json::from_slice(&document).unwrap();
        (channel["revision"] == revision).then_some(())
    });
}

/// Runs it at three POPs with `--invalidate`, told to the edge's own API; the JSON document where there is one.
fn heal(store: &StoreDir, edge: &Edge, arguments: &[&str]) -> (Ran, Value) {
    let path = store.path().to_str().unwrap();
    let through = url(edge.address);
    let line = ["verify", "--store", path, "--through", &through];
    let flags = ["--pops", "0,1,2", "--invalidate", "--json"];
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&[&line, &flags[..], arguments].concat());
    let ran = command.envs(aws::environment(&through)).output();
    let ran = Ran::of(ran.unwrap());
    let document = serde_json::from_str(&ran.stdout).unwrap_or(Value::Null);
    (ran, document)
}

/// The JSON document, and the exit code.
fn judge(store: &StoreDir, address: SocketAddr, arguments: &[&str]) -> (i32, Value) {
    let ran = verify(store, &url(address), &[arguments, &["--json"]].concat());
    let document = serde_json::from_str(&ran.stdout);
    (
        ran.code,
        document.unwrap_or_else(|error| panic!("{error}: {}", ran.stderr)),
    )
}

/// `verdict path request` of every URL that is not good, and whether the count of them says the same.
#[track_caller]
fn odd(document: &Value) -> Vec<String> {
    let findings = document["findings"].as_array().unwrap();
    let good = document["verdicts"]["good"].as_u64().unwrap_or(0);
    let odd: Vec<_> = findings
        .iter()
        .filter(|it| it["verdict"] != "good")
        .collect();
    assert_eq!(findings.len() as u64, good + odd.len() as u64);
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let path = |finding: &Value| {
        let url = text(finding, "url");
        url.split_once("//")
            .unwrap()
            .1
            .split_once('/')
            .unwrap()
            .1
            .to_owned()
    };
    odd.iter()
        .map(|it| {
            format!(
                "{} /{} {}",
                text(it, "verdict"),
                path(it),
                text(it, "request")
            )
        })
        .collect()
}

#[test]
fn a_good_edge_is_good_at_every_pop_and_costs_the_origin_one_request_for_each_object() {
    let store = store();
    let origin = origin(&store);
    let edge = Edge::start(origin.data, "", &["--pops", "3"]);
    let (code, document) = judge(&store, edge.address, &["--pops", "0,1,2,1"]);
    assert_eq!((code, odd(&document)), (0, vec![]), "{document:#}");
    // Channel, three redirects, release document, three artifacts.
    assert_eq!(
        (&document["urls"], &document["pops"]),
        (&8.into(), &serde_json::json!(["0", "1", "2"]))
    );
    // 2 + 3 + 3 + (4 + 4 + 3) requests at each POP: nothing of nothing has no part.
    assert_eq!(document["requests"], 3 * 19, "{document:#}");
    let findings = document["findings"].as_array().unwrap();
    let mut pops: Vec<_> = findings
        .iter()
        .map(|it| it["pop"].as_str().unwrap())
        .collect();
    pops.sort_unstable();
    pops.dedup();
    assert_eq!(pops.len(), 3, "{pops:?}");
    assert!(
        findings
            .iter()
            .all(|it| it["id"].is_string() && it["x_cache"].is_string())
    );
    for path in [
        CHANNEL,
        REDIRECT,
        A,
        "/artifacts/agent/1.0.0/b/c",
        "/artifacts/agent/1.0.0/release.json",
    ] {
        assert_eq!(asked(&origin, &format!("\"{path}\"")), 1, "{path}");
    }
    let ran = verify(&store, &url(edge.address), &["agent"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains(" from cloudfront"), "{}", ran.stdout);
    assert!(
        ran.stdout.ends_with("MiB\n") && ran.stdout.contains("URLs 8, POPs 1: good 8; requests 19"),
        "{}",
        ran.stdout
    );
}

#[test]
fn each_lie_of_an_edge_is_found_at_its_url_and_nothing_else_is() {
    let store = store();
    let origin = origin(&store);
    for (name, twist, finding) in LIES {
        let edge = lying(&origin, twist);
        let (code, document) = judge(&store, edge.address, &[]);
        assert_eq!(odd(&document), [*finding], "{name}: {document:#}");
        let expected = if finding.starts_with("wrong") { 5 } else { 1 };
        assert_eq!(code, expected, "{name}");
    }
}

#[test]
fn the_error_names_the_exact_url_the_pop_and_the_piece() {
    let store = store();
    let origin = origin(&store);
    let edge = lying(&origin, LIES[0].1);
    let ran = verify(&store, &url(edge.address), &[]);
    let (exact, p) = (format!("{}{B}", url(edge.address)), fixture::PIECE);
    assert_eq!(ran.code, 5);
    let place = format!("{exact} at LIE1-P1 (asked: nearest)");
    assert!(
        ran.stderr
            .contains(&format!("error: {place} is not as published\n")),
        "{}",
        ran.stderr
    );
    let bytes = format!(
        "{place}, whole: other bytes: {}-{} have sha256 ",
        2 * p,
        2 * p + 4
    );
    assert!(ran.stdout.contains(&bytes), "{}", ran.stdout);
}

#[test]
fn an_old_channel_at_one_pop_of_three_is_told_and_only_strictly_a_failure() {
    let store = store();
    let origin = origin(&store);
    let pops: Vec<_> = (0..3)
        .map(|_| Edge::start(origin.data, "", &["--pops", "1"]))
        .collect();
    assert_eq!(pops[1].get(CHANNEL, "").status, 200);
    store.publish("2.0.0", &[("a", b"second")], Some("stable"));
    await_revision(&origin, 2);
    let list: Vec<_> = pops.iter().map(|pop| pop.address.to_string()).collect();
    let list = list.join(",");
    // The host is nobody's: only the POPs are connected to.
    let line = ["--pops", &list, "--json"];
    let ran = verify(&store, "http://updates.invalid", &line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(odd(&document), ["stale /channels/agent/stable.json whole"]);
    let findings = document["findings"].as_array().unwrap();
    let stale = findings.iter().find(|it| it["verdict"] == "stale").unwrap();
    assert_eq!(stale["asked"], pops[1].address.to_string());
    let what = stale["what"].as_str().unwrap();
    assert!(
        what.starts_with("revision 1, the store has 2: ") && what.contains("may stay for 3"),
        "{what}"
    );
    let ran = verify(
        &store,
        "http://updates.invalid",
        &["--pops", &list, "--strict"],
    );
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("/channels/agent/stable.json at "),
        "{}",
        ran.stderr
    );
}

/// The built-in distribution, and purges that are over before they are answered.
const DISTRIBUTION: [&str; 2] = ["--distribution-id", "EDFDVBD6EXAMPLE"];
const AT_ONCE: &str = "[desk]\ninvalidation_effective_median = \"0s\"\ninvalidation_effective_p95 = \"0s\"\n\
                       invalidation_completed_median = \"0s\"\ninvalidation_completed_p95 = \"0s\"\n";

#[test]
fn invalidate_makes_an_old_channel_new_at_every_pop_and_leaves_all_else_cached() {
    let store = store();
    let origin = origin(&store);
    let edge = Edge::start(origin.data, AT_ONCE, &["--pops", "3"]);
    for pop in 0..3 {
        for target in [CHANNEL, REDIRECT, A] {
            edge.get(target, &format!("X-Edge-Pop: {pop}\r\n"));
        }
    }
    store.publish("2.0.0", &[("a", b"second")], Some("stable"));
    await_revision(&origin, 2);
    let (ran, document) = heal(&store, &edge, &DISTRIBUTION);
    assert_eq!(
        (ran.code, odd(&document)),
        (0, vec![]),
        "{document:#}{}",
        ran.stderr
    );
    let purges = document["purges"].as_array().unwrap();
    assert_eq!(purges.len(), 1);
    assert_eq!(purges[0]["status"], "Completed");
    assert_eq!(purges[0]["paths"], serde_json::json!([CHANNEL, REDIRECT]));
    let before = document["before"].as_array().unwrap();
    assert_eq!(before.len(), 6, "{document:#}");
    assert!(before.iter().all(|it| it["verdict"] == "stale"));
    let artifact = edge.get(A, "X-Edge-Pop: 1\r\n");
    assert_eq!(artifact.need("x-cache"), "Hit from cloudfront");
    // Nothing is wrong any more, so that nothing is purged.
    let (ran, document) = heal(&store, &edge, &[&DISTRIBUTION[..], &["--strict"]].concat());
    assert_eq!((ran.code, &document["purges"]), (0, &serde_json::json!([])));
}

#[test]
fn invalidate_replaces_a_copy_with_other_bytes_once_the_origin_is_right() {
    let store = store();
    let behind = origin(&store);
    let is_bad = Arc::new(AtomicBool::new(true));
    let lies = Arc::clone(&is_bad);
    let bad = lying(&behind, move |seen, answer| {
        if seen.target == A && lies.load(Ordering::Relaxed) {
            answer.body[0] ^= 1;
        }
    });
    let edge = Edge::start(bad.address, AT_ONCE, &["--pops", "3"]);
    let (code, document) = judge(&store, edge.address, &["--pops", "0,1,2"]);
    assert_eq!(
        (code, odd(&document)),
        (5, vec![format!("wrong {A} whole"); 3])
    );
    // A purge alone heals nothing while the bytes behind the edge are bad.
    let (ran, document) = heal(&store, &edge, &DISTRIBUTION);
    assert_eq!((ran.code, odd(&document).len()), (5, 3), "{}", ran.stderr);
    is_bad.store(false, Ordering::Relaxed);
    let (ran, document) = heal(&store, &edge, &DISTRIBUTION);
    assert_eq!((ran.code, odd(&document)), (0, vec![]), "{document:#}");
    assert_eq!(document["purges"][0]["paths"], serde_json::json!([A]));
    assert_eq!(document["before"].as_array().unwrap().len(), 3);
}

#[test]
fn a_purge_that_fails_is_told_of_beside_what_it_was_for() {
    let store = store();
    let origin = origin(&store);
    let edge = Edge::start(origin.data, AT_ONCE, &["--pops", "3"]);
    let (ran, _) = heal(&store, &edge, &[]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (2, ""),
        "no distribution is named"
    );
    let elsewhere = ["--distribution-id", "E00000000000"];
    let (ran, document) = heal(&store, &edge, &elsewhere);
    assert_eq!(
        (ran.code, &document["purges"]),
        (0, &serde_json::json!([])),
        "{}",
        ran.stderr
    );
    edge.get(CHANNEL, "");
    store.publish("2.0.0", &[("a", b"second")], Some("stable"));
    await_revision(&origin, 2);
    let (ran, document) = heal(&store, &edge, &elsewhere);
    assert_eq!(
        (ran.code, &document["purges"][0]["status"]),
        (4, &"failed".into()),
        "{}",
        ran.stderr
    );
    assert_eq!(document["verdicts"]["stale"], 3 * (1 + 3), "{document:#}");
    let (ran, _) = heal(&store, &edge, &[&elsewhere[..], &["--strict"]].concat());
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("and the purge failed: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_host_stays_that_of_the_url_whichever_pop_is_connected_to() {
    let store = store();
    let origin = origin(&store);
    let edge = lying(&origin, |_, _| {});
    let pops = ["--pops", &edge.address.to_string()];
    let ran = verify(&store, "http://updates.invalid:8080", &pops);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let seen = edge.seen();
    assert!(!seen.is_empty());
    assert!(
        seen.iter()
            .all(|it| it.field("host").as_deref() == Some("updates.invalid:8080"))
    );
    assert!(seen.iter().all(|it| it.field("x-edge-pop").is_none()));
}

#[test]
fn a_copy_of_a_retired_release_is_told_of() {
    let store = store();
    for version in ["2.0.0", "3.0.0"] {
        store.publish(version, &[("a", version.as_bytes())], Some("stable"));
    }
    let origin = origin(&store);
    let edge = Edge::start(origin.data, "", &["--pops", "1"]);
    assert_eq!(edge.get(A, "").status, 200);
    store.commands().retire("agent", "1.0.0");
    until("the origin has noticed", || {
        (origin.get(A, "").status == 404).then_some(())
    });
    let (code, document) = judge(&store, edge.address, &[]);
    assert_eq!(
        (code, odd(&document)),
        (0, vec![format!("stale {A} whole")]),
        "{document:#}"
    );
    let (code, document) = judge(&store, edge.address, &["agent", "1.0.0", "--strict"]);
    assert_eq!(
        (code, &document["urls"]),
        (1, &4.into()),
        "its document and all of its artifacts"
    );
}

#[test]
fn artifacts_of_other_releases_are_asked_for_by_all_and_by_name() {
    let store = store();
    store.publish("2.0.0", &[("a", b"second")], Some("stable"));
    let origin = origin(&store);
    let urls = |arguments: &[&str]| {
        let (code, document) = judge(&store, origin.data, arguments);
        assert_eq!(code, 0, "{document:#}");
        document["urls"].as_u64().unwrap()
    };
    assert_eq!(
        urls(&[]),
        1 + 3 + 1 + 2,
        "the channel, its redirects and those of before, an old document, the current release"
    );
    assert_eq!(urls(&["--all"]), 1 + 3 + 4 + 2);
    assert_eq!(urls(&["agent", "1.0.0"]), 4);
}

#[test]
fn a_pop_that_cannot_be_reached_is_named() {
    let store = store();
    let origin = origin(&store);
    let deaf = Nobody::bind();
    let nobody = deaf.address();
    let list = format!("{},{nobody}", origin.data);
    let ran = verify(
        &store,
        &url(origin.data),
        &["agent", "1.0.0", "--pops", &list],
    );
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("good 4, unreachable 4"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains(&format!("(asked: {nobody})")),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stdout.contains("the server cannot be reached"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_pop_that_answers_nothing_is_not_asked_for_everything() {
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), &b"x"[..]))
        .collect();
    let store = StoreDir::with_files(&files);
    let silent = Upstream::start(|_| vec![Step::Close]);
    let (code, document) = judge(&store, silent.address, &["agent", "1.0.0"]);
    assert_eq!(code, 1);
    assert_eq!(document["verdicts"], serde_json::json!({"unreachable": 21}));
    // Four at a time, and up to four more until the last of the first four has failed; three tries each.
    let asked = silent.seen().len();
    assert!((12..=24).contains(&asked), "{asked}");
}

#[test]
fn input_that_makes_no_sense_is_refused_before_anything_is_asked() {
    let store = store();
    let edge = Upstream::start(|_| vec![Step::Close]);
    let through = url(edge.address);
    for (through, arguments, code) in [
        ("ftp://host", &[][..], 2),
        ("http://host/path", &[], 2),
        (&through, &["--pops", ""], 2),
        (&through, &["--pops", "a b"], 2),
        (&through, &["--pops", "0,,1"], 2),
        (&through, &["nothing"], 4),
        (&through, &["agent", "9.9.9"], 4),
        (&through, &["agent", "a/b"], 2),
    ] {
        let ran = verify(&store, through, arguments);
        assert_eq!(ran.code, code, "{through} {arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    let path = store.path().to_str().unwrap();
    for flag in [
        &["--pops", "0"][..],
        &["--all"],
        &["--strict"],
        &["--invalidate"],
    ] {
        let ran = Sandbox::new().run(&[&["verify", "--store", path], flag].concat());
        assert_eq!(ran.code, 2, "{flag:?} without --through");
    }
    assert!(edge.seen().is_empty());
}
