//! What each command prints when it worked. The keys of every JSON document are a promise: exactly these.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli_sandbox::Sandbox;

/// SHA-256 of "one".
const ONE: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

fn keys(document: &Value) -> BTreeSet<&str> {
    let object = document.as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

fn exactly<const N: usize>(keys: [&str; N]) -> BTreeSet<&str> {
    BTreeSet::from(keys)
}

const CHANNEL: [&str; 8] = [
    "schema",
    "product",
    "channel",
    "revision",
    "updated_at",
    "release",
    "previous",
    "reason",
];

#[test]
fn init_says_whether_it_made_the_store() {
    let sandbox = Sandbox::new();
    let document = |state| json!({ "store": "./headwater-store", "state": state });
    assert_eq!(sandbox.json(&["init", "--json"]), document("created"));
    assert_eq!(sandbox.json(&["init", "--json"]), document("present"));
}

#[test]
fn publish_prints_exactly_the_promised_document() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "one");
    let expected = |state| {
        json!({
            "product": "agent",
            "version": "1.0.0+b1",
            "state": state,
            "artifacts": [{
                "name": "tool",
                "size": 3,
                "sha256": ONE,
                "url": "/artifacts/agent/1.0.0%2Bb1/tool",
            }],
            "channel": null,
        })
    };
    let publish = ["publish", "agent", "1.0.0+b1", "tool", "--json"];
    assert_eq!(sandbox.json(&publish), expected("published"));
    assert_eq!(sandbox.json(&publish), expected("unchanged"));
}

#[test]
fn publish_with_a_channel_prints_the_channel_document() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "one");
    let published = sandbox.json(&[
        "publish",
        "agent",
        "1.0.0",
        "tool",
        "--channel",
        "stable",
        "--json",
    ]);
    assert_eq!(keys(&published["channel"]), exactly(CHANNEL));
    assert_eq!(published["channel"]["release"]["version"], "1.0.0");
    assert_eq!(
        json!([published["channel"]]),
        sandbox.json(&["channels", "--json"])
    );
}

#[test]
fn a_dry_run_says_what_would_be_and_leaves_no_trace() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "one");
    let dry = sandbox.json(&[
        "publish",
        "agent",
        "1.0.0",
        "tool",
        "--channel",
        "stable",
        "--dry-run",
        "--json",
    ]);
    assert_eq!(
        (&dry["state"], &dry["channel"]),
        (&json!("published"), &Value::Null)
    );
    assert!(
        !sandbox.path().join("headwater-store").exists(),
        "a dry run made a store"
    );
    assert_eq!(std::fs::read_dir(sandbox.temporary()).unwrap().count(), 0);
    sandbox.done(&["init"]);
    sandbox.done(&["publish", "agent", "1.0.0", "tool", "--dry-run"]);
    assert_eq!(sandbox.json(&["releases", "--json"]), json!([]));
}

#[test]
fn promote_and_rollback_print_the_channel_document() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    sandbox.publish("1.1.0", "two");
    let promote =
        |version| sandbox.json(&["promote", "agent", version, "--to", "stable", "--json"]);
    let mut with_changed = exactly(CHANNEL);
    with_changed.insert("changed");
    let first = promote("1.0.0");
    assert_eq!(keys(&first), with_changed);
    assert_eq!(
        (&first["changed"], &first["revision"]),
        (&json!(true), &json!(1))
    );
    let second = promote("1.1.0");
    assert_eq!(second["previous"]["version"], "1.0.0");
    let again = promote("1.1.0");
    assert_eq!(
        (&again["changed"], &again["revision"]),
        (&json!(false), &second["revision"])
    );
    let back = sandbox.json(&[
        "rollback",
        "agent",
        "--channel",
        "stable",
        "--reason",
        "broken",
        "--json",
    ]);
    assert_eq!(
        (&back["release"]["version"], &back["reason"]),
        (&json!("1.0.0"), &json!("broken"))
    );
}

#[test]
fn listings_have_a_row_for_each_release_and_channel() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    sandbox.publish("1.10.0", "three");
    sandbox.done(&["promote", "agent", "1.10.0", "--to", "stable"]);
    let releases = sandbox.json(&["releases", "--json"]);
    let expected = [
        "product",
        "version",
        "published_at",
        "artifacts",
        "size",
        "retired",
        "channels",
    ];
    assert_eq!(keys(&releases[0]), exactly(expected));
    assert_eq!(releases[1]["version"], "1.10.0");
    assert_eq!(
        (&releases[1]["artifacts"], &releases[1]["size"]),
        (&json!(1), &json!(5))
    );
    assert_eq!(releases[1]["channels"], json!(["stable"]));
    assert_eq!(sandbox.json(&["releases", "agent", "--json"]), releases);

    let table = sandbox.done(&["releases"]);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        [
            "PRODUCT",
            "VERSION",
            "PUBLISHED",
            "ARTIFACTS",
            "SIZE",
            "CHANNELS"
        ]
    );
    assert_eq!(
        (rows[1][1], rows[2][1], rows[2].last()),
        ("1.0.0", "1.10.0", Some(&"stable"))
    );
    let table = sandbox.done(&["channels", "agent"]);
    assert!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("agent    stable   1.10.0"),
        "{table}"
    );
}

#[test]
fn show_prints_the_release_document_and_what_became_of_it() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "one");
    sandbox.done(&[
        "publish",
        "agent",
        "1.0.0",
        "tool",
        "--notes",
        "a\u{1b}[2Jb",
        "--platform",
        "tool=linux/x86_64",
    ]);
    let shown = sandbox.json(&["show", "agent", "1.0.0", "--json"]);
    let expected = [
        "schema",
        "product",
        "version",
        "published_at",
        "notes",
        "artifacts",
        "retired",
        "channels",
    ];
    assert_eq!(keys(&shown), exactly(expected));
    let stored = sandbox
        .path()
        .join("headwater-store/artifacts/agent/1.0.0/release.json");
    let stored: Value = serde_json::from_slice(&std::fs::read(stored).unwrap()).unwrap();
    for (key, value) in stored.as_object().unwrap() {
        assert_eq!(&shown[key], value, "{key}");
    }
    let text = sandbox.done(&["show", "agent", "1.0.0"]);
    assert!(
        text.contains(ONE) && text.contains("linux/x86_64"),
        "{text}"
    );
    assert!(
        text.contains("a\\u{1b}[2Jb"),
        "notes steer the terminal: {text:?}"
    );
}

#[test]
fn verify_counts_what_it_looked_at() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    let expected = json!({ "releases": 1, "artifacts": 1, "bytes": 3, "damage": [] });
    assert_eq!(sandbox.json(&["verify", "--json"]), expected);
    assert_eq!(
        sandbox.json(&["verify", "agent", "1.0.0", "--json"]),
        expected
    );
    assert!(sandbox.done(&["verify"]).starts_with("all as published"));
}

#[test]
fn retire_and_prune_say_what_they_took_away() {
    let sandbox = Sandbox::new();
    for (version, bytes) in [("1.0.0", "one"), ("1.1.0", "two"), ("1.2.0", "three")] {
        sandbox.publish(version, bytes);
    }
    let retired = sandbox.json(&["retire", "agent", "1.0.0", "--reason", "old", "--json"]);
    assert_eq!(
        keys(&retired),
        exactly(["product", "version", "retired_at", "reason"])
    );
    let prune = |more: &[&str]| sandbox.json(&[&["prune", "--keep", "1", "--json"], more].concat());
    let would = prune(&["--dry-run"]);
    assert_eq!(
        keys(&would),
        exactly(["retired", "litter", "bytes", "dry_run"])
    );
    assert_eq!(
        would["retired"],
        json!([{ "product": "agent", "version": "1.1.0" }])
    );
    let did = prune(&[]);
    assert_eq!(
        (&did["retired"], &did["dry_run"]),
        (&would["retired"], &json!(false))
    );
    let releases = sandbox.json(&["releases", "--json"]);
    assert_eq!(releases[0]["retired"]["reason"], "old");
    assert_eq!(releases[2]["retired"], Value::Null);
}

#[test]
fn get_says_where_the_artifact_is_and_how_it_came_there() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    sandbox.done(&["promote", "agent", "1.0.0", "--to", "stable"]);
    let origin = sandbox.serve(&[]);
    let get = [
        "get",
        "agent",
        "--channel",
        "stable",
        "--from",
        &origin.url,
        "--output",
        "device",
        "--json",
    ];
    let got = sandbox.json(&get);
    let expected = json!({
        "product": "agent", "channel": "stable", "version": "1.0.0", "artifact": "tool", "size": 3, "sha256": ONE,
        "path": "device/tool", "state": "downloaded", "bytes_transferred": 3, "bytes_resumed": 0,
    });
    assert_eq!(got, expected);
    assert_eq!(sandbox.json(&get)["state"], "current");
    let missing = ["get", "agent", "--channel", "beta", "--from", &origin.url];
    assert_eq!(sandbox.run(&missing).code, 4);
}
