//! Exit codes and error texts: each class once, each text as a user sees it.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use crate::cli_sandbox::Sandbox;

/// Runs one command after another in one directory and holds each to its snapshot.
fn snapshots(sandbox: &Sandbox, cases: &[(&str, &[&str])]) {
    for (name, arguments) in cases {
        let ran = sandbox.run(arguments);
        let text = format!("$ headwater {}\n{}", arguments.join(" "), ran.transcript());
        insta::assert_snapshot!(*name, text);
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_exit_code_2() {
    let sandbox = Sandbox::new();
    snapshots(
        &sandbox,
        &[
            ("usage_unknown_command", &["pubish"]),
            ("usage_product", &["publish", "Agent", "1.0", "tool"]),
            (
                "usage_version",
                &["promote", "agent", "1/0", "--to", "stable"],
            ),
            (
                "usage_platform",
                &[
                    "publish",
                    "agent",
                    "1.0",
                    "tool",
                    "--platform",
                    "tool=linux",
                ],
            ),
            ("usage_missing", &["rollback", "agent"]),
            ("usage_reason", &["retire", "agent", "1.0", "--reason", ""]),
            ("usage_keep", &["prune", "--keep", "0"]),
            (
                "usage_both",
                &[
                    "get",
                    "agent",
                    "--channel",
                    "c",
                    "--from",
                    "u",
                    "--artifact",
                    "a",
                    "--platform",
                    "l/x",
                ],
            ),
        ],
    );
}

#[test]
fn a_retirement_without_a_reason_takes_nothing_away() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    for reason in ["", " \t"] {
        let ran = sandbox.run(&["retire", "agent", "1.0.0", "--reason", reason]);
        assert_eq!(ran.code, 2, "{}", ran.transcript());
    }
    assert!(sandbox.json(&["show", "agent", "1.0.0", "--json"])["retired"].is_null());
}

#[test]
fn a_damaged_channel_of_a_product_without_releases_is_still_reported_by_prune() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    std::fs::create_dir_all(sandbox.path().join("headwater-store/channels/other")).unwrap();
    sandbox.write("headwater-store/channels/other/stable.json", "{");
    let ran = sandbox.run(&["prune", "other", "--keep", "1"]);
    assert_eq!(ran.code, 5, "{}", ran.transcript());
}

#[test]
fn a_configuration_that_makes_no_sense_is_exit_code_2_for_every_command() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "origin.toml",
        "[limits]\nidle_timeout = 75\nranges_max = 0\n",
    );
    snapshots(
        &sandbox,
        &[
            ("config_check", &["config", "check", "origin.toml"]),
            (
                "config_serve",
                &["serve", "--config", "origin.toml", "--threads", "many"],
            ),
            (
                "config_publish",
                &["publish", "agent", "1.0", "tool", "--config", "origin.toml"],
            ),
        ],
    );
}

#[test]
fn a_store_that_is_not_there_is_exit_code_4_with_a_way_out() {
    let sandbox = Sandbox::new();
    snapshots(
        &sandbox,
        &[
            ("no_store_serve", &["serve"]),
            ("no_store_releases", &["releases", "--store", "elsewhere"]),
            ("no_config", &["config", "check", "nothing.toml"]),
        ],
    );
    assert!(!sandbox.path().join("headwater-store").exists());
}

#[test]
fn what_is_not_in_the_store_is_exit_code_4_with_a_way_out() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    snapshots(
        &sandbox,
        &[
            (
                "not_found_promote",
                &["promote", "agent", "9.9.9", "--to", "stable"],
            ),
            (
                "not_found_rollback",
                &["rollback", "agent", "--channel", "stable"],
            ),
            ("not_found_show", &["show", "other", "1.0.0"]),
            (
                "not_found_retire",
                &["retire", "agent", "9.9.9", "--reason", "old"],
            ),
            ("not_found_prune", &["prune", "agnet", "--keep", "1"]),
        ],
    );
}

#[test]
fn what_would_break_immutability_is_exit_code_3_and_nothing_changes() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    sandbox.done(&["promote", "agent", "1.0.0", "--to", "stable"]);
    let before = sandbox.done(&["show", "agent", "1.0.0", "--json"]);
    sandbox.write("tool", "two");
    snapshots(
        &sandbox,
        &[
            ("refused_publish", &["publish", "agent", "1.0.0", "tool"]),
            (
                "refused_retire",
                &["retire", "agent", "1.0.0", "--reason", "old"],
            ),
        ],
    );
    assert_eq!(sandbox.done(&["show", "agent", "1.0.0", "--json"]), before);
}

#[test]
fn what_is_not_as_published_is_exit_code_5_and_named() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    let artifact = sandbox
        .path()
        .join("headwater-store/artifacts/agent/1.0.0/tool");
    std::fs::remove_file(&artifact).unwrap();
    std::fs::write(&artifact, "0ne").unwrap();
    let ran = sandbox.run(&["verify", "--json"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["damage"][0]["key"], "artifacts/agent/1.0.0/tool");
    snapshots(&sandbox, &[("damaged_verify", &["verify"])]);
}

#[test]
fn a_damaged_document_is_named_with_exit_code_5_after_everything_else() {
    let sandbox = Sandbox::new();
    sandbox.publish("1.0.0", "one");
    sandbox.publish("2.0.0", "two");
    sandbox.done(&["promote", "agent", "2.0.0", "--to", "stable"]);
    let releases = sandbox.json(&["releases", "--json"]);
    let channels = sandbox.json(&["channels", "--json"]);
    sandbox.write("headwater-store/artifacts/agent/1.0.0/release.json", "{");
    sandbox.write("headwater-store/channels/agent/beta.json", "{");
    for (listing, expected) in [("releases", &releases[1]), ("channels", &channels[0])] {
        let ran = sandbox.run(&[listing, "--json"]);
        assert_eq!(ran.code, 5, "{}", ran.transcript());
        let listed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(listed, serde_json::json!([expected]));
        insta::assert_snapshot!(format!("damaged_{listing}"), ran.stderr);
    }
    snapshots(&sandbox, &[("damaged_prune", &["prune", "--keep", "1"])]);
}

#[test]
fn an_edge_that_does_not_answer_is_exit_code_1() {
    let sandbox = Sandbox::new();
    // Bound, so that nobody else gets the port, and not listening, so that it refuses.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    silent.bind(&free.into()).unwrap();
    let port = silent.local_addr().unwrap().as_socket().unwrap().port();
    let from = format!("http://127.0.0.1:{port}");
    let ran = sandbox.run(&["get", "agent", "--channel", "stable", "--from", &from]);
    assert_eq!(ran.code, 1, "{}", ran.transcript());
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
}

#[test]
fn a_log_setting_that_makes_no_sense_is_exit_code_2() {
    let sandbox = Sandbox::new();
    let output = sandbox
        .command(&["init"])
        .env("HEADWATER_LOG", "a=b=c")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!sandbox.path().join("headwater-store").exists());
}
