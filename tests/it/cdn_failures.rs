//! What becomes of a move whose purge fails: a control plane that answers by a script, or is not there.
//!
//! Owns exit codes and messages. Every output is searched for credentials, also with everything logged.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::cdn_edge::{DISTRIBUTION, run, two_releases};
use crate::edge_cli::Edge;
use crate::harness::aws;
use crate::harness::cli::{self, Ran};
use crate::harness::origin::{Setup, StoreDir};
use crate::harness::upstream::{Nobody, Seen, Step, Upstream, message};

/// A session's token, as instance roles have it.
const TOKEN: &str = "headwater+session+token+that+no+output+may+show";

const PROMOTE: [&str; 7] = [
    "promote",
    "agent",
    "1.1.0",
    "--to",
    "stable",
    "--distribution-id",
    DISTRIBUTION,
];

const NAMESPACE: &str = "xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"";

fn refused(status: &str, code: &str, text: &str) -> Vec<Step> {
    let body = format!(
        "<ErrorResponse {NAMESPACE}><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>\
         <RequestId>r</RequestId></ErrorResponse>"
    );
    vec![Step::Send(message(
        status,
        "Content-Type: text/xml\r\n",
        body.as_bytes(),
    ))]
}

fn invalidation(id: &str, status: &str, reference: &str) -> String {
    format!(
        "<Invalidation {NAMESPACE}><Id>{id}</Id><Status>{status}</Status>\
         <CreateTime>2026-11-22T10:00:00Z</CreateTime><InvalidationBatch><Paths><Quantity>1</Quantity>\
         <Items><Path>/a</Path></Items></Paths><CallerReference>{reference}</CallerReference></InvalidationBatch>\
         </Invalidation>"
    )
}

fn xml(status: &str, body: &str) -> Vec<Step> {
    vec![Step::Send(message(
        status,
        "Content-Type: text/xml\r\n",
        body.as_bytes(),
    ))]
}

fn endpoint(upstream: &Upstream) -> String {
    format!("http://{}", upstream.address)
}

#[track_caller]
fn assert_moved(store: &StoreDir) {
    let document = std::fs::read(store.path().join("channels/agent/stable.json")).unwrap();
    let channel: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(
        (&channel["release"]["version"], &channel["revision"]),
        (&"1.1.0".into(), &2.into())
    );
}

/// Runs it with everything logged and a session token, and searches what it says.
#[track_caller]
fn run_searched(store: &StoreDir, endpoint: &str, arguments: &[&str]) -> Ran {
    let output = cli::command(arguments)
        .arg("--store")
        .arg(store.path())
        .envs(aws::environment(endpoint))
        .env("AWS_SESSION_TOKEN", TOKEN)
        .env("HEADWATER_LOG", "trace")
        .output()
        .unwrap();
    let ran = Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    for text in [&ran.stdout, &ran.stderr] {
        for secret in [aws::SECRET, TOKEN] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a credential is shown");
        }
    }
    ran
}

#[test]
fn an_edge_that_is_not_there_does_not_undo_the_move_and_the_message_repeats_the_purge() {
    let store = two_releases();
    let nobody = Nobody::bind();
    let nowhere = nobody.endpoint();
    let ran = run(&store, &nowhere, &[&PROMOTE[..], &["--json"]].concat());
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    assert_moved(&store);
    let report = ran.json();
    assert_eq!(
        (&report["changed"], &report["purge"]["status"]),
        (&true.into(), &"failed".into())
    );
    assert_eq!(report["purge"]["id"], Value::Null);
    let folder = store.path().display().to_string();
    let said = ran
        .stderr
        .replace(&nowhere, "[endpoint]")
        .replace(&folder, "[store]");
    insta::assert_snapshot!("unreachable", said);
    // What the message says is what helps.
    let command = ran
        .stderr
        .split('`')
        .find(|part| part.starts_with("headwater "))
        .unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let origin = Setup::new().store(&store).start();
    let edge = Edge::start(origin.data, "", &[]);
    let mut repeat = cli::command(words);
    repeat.envs(aws::environment(&format!("http://{}", edge.address)));
    let output = repeat.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("/channels/agent/stable.json /channels/agent/stable/*"),
        "{said}"
    );
}

#[test]
fn a_control_plane_that_is_busy_or_breaks_off_is_asked_the_same_again() {
    let busy = || {
        refused(
            "400 Bad Request",
            "TooManyInvalidationsInProgress",
            "not now",
        )
    };
    let script = [
        busy(),
        refused("400 Bad Request", "Throttling", "Rate exceeded"),
        // Whether it was accepted, nobody can know.
        vec![Step::Close],
        busy(),
    ];
    let count = AtomicUsize::new(0);
    let busy = Upstream::start(move |_seen: &Seen| {
        let step = script.get(count.fetch_add(1, Ordering::Relaxed));
        let accepted = || xml("201 Created", &invalidation("I1", "InProgress", "r"));
        step.cloned().unwrap_or_else(accepted)
    });
    let store = two_releases();
    let ran = run(
        &store,
        &endpoint(&busy),
        &[&PROMOTE[..], &["--json"]].concat(),
    );
    let purge = &ran.ok().json()["purge"];
    assert_eq!(
        (&purge["id"], &purge["status"]),
        (&"I1".into(), &"InProgress".into())
    );
    let seen = busy.seen();
    assert_eq!(seen.len(), 5);
    for one in &seen {
        assert_eq!(one.method, "POST");
        assert_eq!(
            one.target,
            format!("/2020-05-31/distribution/{DISTRIBUTION}/invalidation")
        );
        assert_eq!(one.body, seen[0].body, "the same reference and paths");
    }
    let body = String::from_utf8(seen[0].body.clone()).unwrap();
    assert!(body.contains("<Quantity>2</Quantity>"), "{body}");
    assert!(
        body.contains(purge["reference"].as_str().unwrap()),
        "{body}"
    );
}

#[test]
fn a_purge_that_somebody_else_sees_to_its_end_is_waited_for_through_throttling() {
    let count = AtomicUsize::new(0);
    let slow = Upstream::start(move |seen: &Seen| {
        match (seen.method.as_str(), count.fetch_add(1, Ordering::Relaxed)) {
            ("POST", _) => xml("201 Created", &invalidation("I1", "InProgress", "r")),
            (_, 1) => xml("200 OK", &invalidation("I1", "InProgress", "r")),
            (_, 2) => refused("400 Bad Request", "Throttling", "Rate exceeded"),
            (_, 3) => refused("500 Internal Server Error", "InternalError", "sorry"),
            _ => xml("200 OK", &invalidation("I1", "Completed", "r")),
        }
    });
    let store = two_releases();
    let ran = run(
        &store,
        &endpoint(&slow),
        &[&PROMOTE[..], &["--wait"]].concat(),
    )
    .ok();
    assert!(
        ran.stdout.contains("purge I1 is Completed"),
        "{}",
        ran.stdout
    );
    assert_eq!(slow.seen().len(), 5);
}

#[test]
fn a_purge_that_is_accepted_but_may_not_be_looked_at_is_not_called_untold() {
    let blind = Upstream::start(|seen: &Seen| match seen.method.as_str() {
        "POST" => xml("201 Created", &invalidation("I1", "InProgress", "r")),
        _ => refused("403 Forbidden", "AccessDenied", "no GetInvalidation"),
    });
    let store = two_releases();
    let flags = ["--wait", "--json"];
    let ran = run(&store, &endpoint(&blind), &[&PROMOTE[..], &flags].concat());
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    let expected = "the channel has moved and the edge was told, but has not said that it is done: \
                    invalidation `I1` was accepted, but how far it is cannot be seen: \
                    CloudFront denies it (AccessDenied): no GetInvalidation";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    let purge = &ran.json()["purge"];
    assert_eq!(
        (&purge["id"], &purge["status"]),
        (&"I1".into(), &"InProgress".into())
    );
}

#[test]
fn a_reference_that_the_service_calls_used_is_looked_up() {
    let list = format!(
        "<InvalidationList {NAMESPACE}><Marker></Marker><MaxItems>20</MaxItems><IsTruncated>false</IsTruncated>\
         <Quantity>2</Quantity><Items><InvalidationSummary><Id>I2</Id><CreateTime>2026-11-22T10:00:00Z</CreateTime>\
         <Status>Completed</Status></InvalidationSummary><InvalidationSummary><Id>I1</Id>\
         <CreateTime>2026-11-22T10:00:00Z</CreateTime><Status>Completed</Status></InvalidationSummary></Items>\
         </InvalidationList>"
    );
    let reference = std::sync::Mutex::new(String::new());
    let used = Upstream::start(move |seen: &Seen| {
        let mut reference = reference.lock().unwrap();
        if seen.method == "POST" {
            let body = String::from_utf8(seen.body.clone()).unwrap();
            let (_, rest) = body.split_once("<CallerReference>").unwrap();
            rest.split('<').next().unwrap().clone_into(&mut reference);
            let text = "Your request contains a caller reference that was used for a previous invalidation batch \
                        for the same distribution.";
            return refused("400 Bad Request", "InvalidArgument", text);
        }
        match seen.target.rsplit('/').next().unwrap() {
            "I2" => xml("200 OK", &invalidation("I2", "Completed", "another")),
            "I1" => xml("200 OK", &invalidation("I1", "Completed", &reference)),
            _ => xml("200 OK", &list),
        }
    });
    let store = two_releases();
    let ran = run(&store, &endpoint(&used), &PROMOTE).ok();
    assert!(
        ran.stdout.contains("purge I1 is Completed"),
        "{}",
        ran.stdout
    );
}

#[test]
fn every_final_refusal_is_told_without_a_second_attempt_and_without_a_credential() {
    let denied = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: cloudfront:CreateInvalidation";
    let rows = [
        ("403 Forbidden", "AccessDenied", denied, denied),
        (
            "403 Forbidden",
            "SignatureDoesNotMatch",
            TOKEN,
            "SignatureDoesNotMatch",
        ),
        (
            "404 Not Found",
            "NoSuchDistribution",
            "x",
            "there is no distribution `EDFDVBD6EXAMPLE`",
        ),
        (
            "400 Bad Request",
            "InvalidArgument",
            "a bad path",
            "(InvalidArgument): a bad path",
        ),
        (
            "400 Bad Request",
            "InvalidationBatchAlreadyExists",
            "x",
            "was used before",
        ),
    ];
    for (status, code, text, expected) in rows {
        let store = two_releases();
        let upstream = Upstream::start(move |seen: &Seen| match seen.method.as_str() {
            "POST" => refused(status, code, text),
            _ => xml(
                "200 OK",
                &format!("<InvalidationList {NAMESPACE}><Quantity>0</Quantity></InvalidationList>"),
            ),
        });
        let ran = run(&store, &endpoint(&upstream), &PROMOTE);
        assert_eq!(ran.code, Some(6), "{code}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{code}: {}", ran.stderr);
        assert!(!ran.stderr.contains(TOKEN), "{code}: {}", ran.stderr);
        assert_moved(&store);
        let posts = upstream
            .seen()
            .iter()
            .filter(|seen| seen.method == "POST")
            .count();
        assert_eq!(posts, 1, "{code}");
    }
}

#[test]
fn no_log_at_any_level_shows_a_credential() {
    let store = two_releases();
    let fine =
        Upstream::start(|_: &Seen| xml("201 Created", &invalidation("I1", "Completed", "r")));
    let ran = run_searched(&store, &endpoint(&fine), &PROMOTE);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let seen = fine.seen();
    let is_signed = |seen: &Seen| {
        seen.field("authorization")
            .is_some_and(|text| text.contains(aws::KEY_ID))
    };
    assert!(is_signed(&seen[0]), "{:?}", seen[0]);
    assert_eq!(
        seen[0].field("x-amz-security-token").as_deref(),
        Some(TOKEN)
    );
    let denies = Upstream::start(|_: &Seen| refused("403 Forbidden", "ExpiredToken", TOKEN));
    let ran = run_searched(&store, &endpoint(&denies), &PROMOTE);
    assert_eq!(ran.code, Some(6));
    let ran = run_searched(&store, &Nobody::bind().endpoint(), &PROMOTE);
    assert_eq!(ran.code, Some(6));
}

#[test]
fn an_edge_that_never_answers_costs_the_timeout() {
    let silent = Upstream::start(|_: &Seen| vec![Step::Hang]);
    let store = two_releases();
    let settings = store.path().join("origin.toml");
    std::fs::write(&settings, "[cdn]\ntimeout = \"500ms\"\n").unwrap();
    let flags = ["--config", settings.to_str().unwrap()];
    let ran = run(&store, &endpoint(&silent), &[&PROMOTE[..], &flags].concat());
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    let expected = "it was not accepted within 500ms (`cdn.timeout`)";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    assert_moved(&store);
}

#[test]
fn without_credentials_it_says_so() {
    let store = two_releases();
    let nobody = Nobody::bind();
    let output = cli::command(PROMOTE)
        .arg("--store")
        .arg(store.path())
        .envs(aws::environment(&nobody.endpoint()))
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("there are no AWS credentials"), "{said}");
    assert_moved(&store);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_moves() {
    let store = two_releases();
    let nobody = Nobody::bind();
    let nowhere = nobody.endpoint();
    let rows: [(&[&str], i32, &str); 10] = [
        (
            &["promote", "agent", "1.1.0", "--to", "stable", "--wait"],
            2,
            "no distribution is named",
        ),
        (
            &[
                "promote",
                "agent",
                "1.1.0",
                "--to",
                "stable",
                "--distribution-id",
                "E/..",
            ],
            2,
            "letters and digits",
        ),
        (
            &["invalidate", "agent", "stable"],
            2,
            "no distribution is named",
        ),
        (
            &["invalidate", "agent", "nosuch", "--distribution-id", "E1"],
            4,
            "nosuch",
        ),
        (
            &["invalidate", "agent", "--distribution-id", "E1"],
            2,
            "CHANNEL",
        ),
        (
            &["invalidate", "agent", "stable", "--by-tag"],
            2,
            "--by-tag",
        ),
        (
            &["invalidate", "--path", "/channels/a/b.json", "--by-tag"],
            2,
            "--by-tag",
        ),
        (
            &[
                "invalidate",
                "--release",
                "agent",
                "1/0",
                "--distribution-id",
                "E1",
            ],
            2,
            "--release",
        ),
        (
            &[
                "invalidate",
                "--path",
                "/nothing",
                "--distribution-id",
                "E1",
            ],
            2,
            "it has to be the path",
        ),
        (
            &[
                "invalidate",
                "agent",
                "stable",
                "--path",
                "/channels/a/b.json",
                "--distribution-id",
                "E1",
            ],
            2,
            "--path",
        ),
    ];
    for (arguments, code, expected) in rows {
        let ran = run(&store, &nowhere, arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(expected),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    let document =
        std::fs::read_to_string(store.path().join("channels/agent/stable.json")).unwrap();
    assert!(document.contains("\"revision\": 1,"), "{document}");
}
