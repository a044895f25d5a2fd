//! `verify --through`: a real origin, the real edge, and edges that lie in one thing each.
//!
//! Owns what a release engineer sees and how the run ends. Every single rule of a verdict is tested beside it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::Value;

use crate::cli_sandbox::{Ran, Sandbox, until};
use crate::edge_cli::{Edge, asked};
use crate::harness::fixture;
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::upstream::{Seen, Step, Upstream};
use crate::harness::wire;

const CHANNEL: &str = "/channels/agent/stable.json";
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

/// An edge that passes on what the origin answers, after `twist` had its way with it.
fn lying(
    origin: &Origin,
    twist: impl Fn(&Seen, &mut wire::Response) + Send + Sync + 'static,
) -> Upstream {
    let behind = origin.data;
    Upstream::start(move |seen| {
        let mut fields = String::new();
        for (name, value) in &seen.fields {
            if ["range", "if-range", "if-none-match"].contains(&name.as_str()) {
                let _ = write!(fields, "{name}: {value}\r\n");
            }
        }
        let mut answer = wire::request(behind, &seen.method, &seen.target, &fields);
        answer
            .head
            .fields
            .push(("X-Amz-Cf-Pop".into(), "LIE1-P1".into()));
        twist(seen, &mut answer);
        vec![Step::Send(printed(&answer))]
    })
}

fn printed(answer: &wire::Response) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} -\r\n", answer.head.status);
    for (name, value) in &answer.head.fields {
        if !name.eq_ignore_ascii_case("connection") {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(&answer.body);
    bytes
}

/// Sets a field, or removes it where the value is empty.
fn set(answer: &mut wire::Response, name: &str, value: &str) {
    let fields = &mut answer.head.fields;
    fields.retain(|(it, _)| !it.eq_ignore_ascii_case(name));
    if !value.is_empty() {
        fields.push((name.to_owned(), value.to_owned()));
    }
}

#[test]
fn a_good_edge_is_good_at_every_pop_and_costs_the_origin_one_request_for_each_object() {
    let store = store();
    let origin = origin(&store);
    let edge = Edge::start(origin.data, "", &["--pops", "3"]);
    let (code, document) = judge(&store, edge.address, &["--pops", "0,1,2,1"]);
    assert_eq!((code, odd(&document)), (0, vec![]), "{document:#}");
    // Channel, release document, three artifacts.
    assert_eq!(
        (&document["urls"], &document["pops"]),
        (&5.into(), &serde_json::json!(["0", "1", "2"]))
    );
    // 2 + 3 + (4 + 4 + 3) requests at each POP: nothing of nothing has no part.
    assert_eq!(document["requests"], 3 * 16, "{document:#}");
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
        ran.stdout.ends_with("MiB\n") && ran.stdout.contains("URLs 5, POPs 1: good 5; requests 16"),
        "{}",
        ran.stdout
    );
}

/// What an edge does to one kind of answer, and how that is found.
type Lie = (&'static str, fn(&Seen, &mut wire::Response), &'static str);

const B: &str = "/artifacts/agent/1.0.0/b/c";

fn is_part(seen: &Seen) -> bool {
    seen.target == B && seen.field("range").is_some()
}

fn is_whole(seen: &Seen, target: &str) -> bool {
    let is_plain = seen.field("range").is_none() && seen.field("if-none-match").is_none();
    seen.target == target && seen.method == "GET" && is_plain
}

const LIES: &[Lie] = &[
    (
        "one byte flipped in the last piece",
        |seen, answer| {
            if is_whole(seen, B) {
                answer.body[2 * fixture::PIECE + 4] ^= 1;
            }
        },
        "wrong /artifacts/agent/1.0.0/b/c whole",
    ),
    (
        "one byte flipped, in parts alone",
        |seen, answer| {
            if is_part(seen) {
                answer.body[0] ^= 1;
            }
        },
        "wrong /artifacts/agent/1.0.0/b/c range",
    ),
    (
        "a weak tag",
        |seen, answer| {
            if is_whole(seen, A) {
                let tag = format!("W/{}", answer.need("etag"));
                set(answer, "ETag", &tag);
            }
        },
        "wrong /artifacts/agent/1.0.0/a whole",
    ),
    (
        "no tag, in heads alone",
        |seen, answer| {
            if seen.target == A && seen.method == "HEAD" {
                set(answer, "ETag", "");
            }
        },
        "wrong /artifacts/agent/1.0.0/a head",
    ),
    (
        "another part than was asked for",
        |seen, answer| {
            if is_part(seen) {
                let range = format!("bytes 0-4194303/{}", 2 * fixture::PIECE + 5);
                set(answer, "Content-Range", &range);
            }
        },
        "wrong /artifacts/agent/1.0.0/b/c range",
    ),
    (
        "everything for a part",
        |seen, answer| {
            if is_part(seen) {
                answer.head.status = 200;
                set(answer, "Content-Range", "");
            }
        },
        "wrong /artifacts/agent/1.0.0/b/c range",
    ),
    (
        "everything for what is there already",
        |seen, answer| {
            if seen.target == A && seen.field("if-none-match").is_some() {
                answer.head.status = 200;
                set(answer, "Content-Length", "5");
                answer.body = b"first".to_vec();
            }
        },
        "wrong /artifacts/agent/1.0.0/a conditional",
    ),
    (
        "a cookie",
        |seen, answer| {
            if seen.target == CHANNEL {
                set(answer, "Set-Cookie", "session=1");
            }
        },
        "wrong /channels/agent/stable.json whole",
    ),
    (
        "a shorter life",
        |seen, answer| {
            if seen.target.ends_with("/release.json") {
                set(answer, "Cache-Control", "public, max-age=86400");
            }
        },
        "wrong /artifacts/agent/1.0.0/release.json whole",
    ),
    (
        "a page of its own",
        |seen, answer| {
            if is_whole(seen, A) {
                answer.head.status = 403;
            }
        },
        "wrong /artifacts/agent/1.0.0/a whole",
    ),
    (
        "another document of the same revision",
        |seen, answer| {
            if is_whole(seen, CHANNEL) {
                let at = wire::find(&answer.body, b"\"reason\": null").unwrap();
                answer.body[at + 10..at + 14].copy_from_slice(b"\"no\"");
            }
        },
        "wrong /channels/agent/stable.json whole",
    ),
    (
        "later",
        |seen, answer| {
            if seen.target == A {
                answer.head.status = 503;
            }
        },
        "unreachable /artifacts/agent/1.0.0/a whole",
    ),
];

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
        1 + 1 + 2,
        "the channel, an old document, the current release"
    );
    assert_eq!(urls(&["--all"]), 1 + 4 + 2);
    assert_eq!(urls(&["agent", "1.0.0"]), 4);
}

#[test]
fn a_pop_that_cannot_be_reached_is_named() {
    let store = store();
    let origin = origin(&store);
    // Bound and deaf: connects are refused, and nobody else can have the port meanwhile.
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    let dead = deaf.local_addr().unwrap().as_socket().unwrap();
    let list = format!("{},{dead}", origin.data);
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
        ran.stderr.contains(&format!("(asked: {dead})")),
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
    for flag in [&["--pops", "0"][..], &["--all"], &["--strict"]] {
        let ran = Sandbox::new().run(&[&["verify", "--store", path], flag].concat());
        assert_eq!(ran.code, 2, "{flag:?} without --through");
    }
    assert!(edge.seen().is_empty());
}
