//! A channel moves, and every POP serves it: the purge end to end with `headwater edge`, whose invalidation API keeps
//! CloudFront's documented rules (idempotent references, quotas, delays).
//!
//! Owns what devices behind POPs see before and after, and that a repeat is the same purge. What a failure says stands
//! in `cdn_failures.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli_sandbox::until;
use crate::edge_cli::{Edge, asked};
use crate::harness::aws;
use crate::harness::cli::{self, Ran};
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::s3::S3Server;
use crate::harness::wire::{self, Conn, Response};

/// The built-in distribution of `headwater edge`.
pub const DISTRIBUTION: &str = "EDFDVBD6EXAMPLE";

/// Invalidations take effect before they are answered.
const AT_ONCE: &str = "[desk]\ninvalidation_effective_median = \"0s\"\ninvalidation_effective_p95 = \"0s\"\n\
                       invalidation_completed_median = \"0s\"\ninvalidation_completed_p95 = \"0s\"\n";

/// They stay in progress for the whole test.
const NEVER: &str = "[desk]\ninvalidation_effective_median = \"1h\"\ninvalidation_effective_p95 = \"1h\"\n\
                     invalidation_completed_median = \"1h\"\ninvalidation_completed_p95 = \"1h\"\n";

const DOCUMENT: &str = "/channels/agent/stable.json";
const REDIRECT: &str = "/channels/agent/stable/tool";
const OTHER: &str = "/channels/agent/beta.json";
const OLD_BYTES: &str = "/artifacts/agent/1.0.0/tool";
const RETIRED_BYTES: &str = "/artifacts/agent/0.9.0/tool";
const HIT: &str = "Hit from cloudfront";

/// A store with `agent` 1.0.0 in `stable` and `beta`, and 1.1.0 in no channel.
pub fn two_releases() -> Arc<StoreDir> {
    let store = StoreDir::empty();
    let old: [(&str, &[u8]); 2] = [("tool", b"old"), ("notes", b"old notes")];
    let new: [(&str, &[u8]); 2] = [("tool", b"new"), ("notes", b"new notes")];
    store.publish("1.0.0", &old, Some("stable"));
    store.publish("1.1.0", &new, None);
    store.commands().promote("agent", "1.0.0", "beta");
    store
}

/// Runs a command of the store whose AWS endpoint is `endpoint`.
pub fn run(store: &StoreDir, endpoint: &str, arguments: &[&str]) -> Ran {
    let mut command = cli::command(arguments);
    let output = command
        .arg("--store")
        .arg(store.path())
        .envs(aws::environment(endpoint))
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// An origin and an edge in front of it.
struct Desk {
    store: Arc<StoreDir>,
    origin: Origin,
    edge: Edge,
}

impl Desk {
    fn new(config: &str, pops: &str) -> Self {
        Self::with_origin(Setup::new(), config, pops)
    }

    fn with_origin(setup: Setup, config: &str, pops: &str) -> Self {
        let store = two_releases();
        let origin = setup.store(&store).start();
        let edge = Edge::start(origin.data, config, &["--pops", pops]);
        Self {
            store,
            origin,
            edge,
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let endpoint = format!("http://{}", self.edge.address);
        run(&self.store, &endpoint, arguments)
    }

    /// The same with the edge's distribution and `--json`.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> Value {
        let flags = ["--distribution-id", DISTRIBUTION, "--json"];
        self.run(&[arguments, &flags].concat()).ok().json()
    }

    fn at(&self, pop: usize, target: &str) -> Response {
        self.edge.get(target, &format!("X-Edge-Pop: {pop}\r\n"))
    }

    /// Which version a device behind this POP is told of: by the document, and by the redirect.
    #[track_caller]
    fn versions(&self, pop: usize) -> (String, String) {
        let document = self.at(pop, DOCUMENT);
        assert_eq!(document.status, 200);
        let document: Value = serde_json::from_slice(&document.body).unwrap();
        let redirect = self.at(pop, REDIRECT);
        assert_eq!(redirect.status, 302);
        let location = redirect.need("location").split('/').nth(3).unwrap();
        let version = document["release"]["version"].as_str().unwrap();
        (version.to_owned(), location.to_owned())
    }

    #[track_caller]
    fn assert_all(&self, pops: usize, version: &str) {
        for pop in 0..pops {
            let expected = (version.to_owned(), version.to_owned());
            assert_eq!(self.versions(pop), expected, "POP {pop}");
        }
    }

    fn invalidations(&self) -> Vec<String> {
        invalidations(self.edge.address)
    }
}

/// The ids of all invalidations so far.
fn invalidations(edge: SocketAddr) -> Vec<String> {
    let target = format!("/2020-05-31/distribution/{DISTRIBUTION}/invalidation");
    let list = wire::get(edge, &target, "");
    let text = String::from_utf8(list.body).unwrap();
    let ids = text.split("<Id>").skip(1);
    ids.map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect()
}

const PROMOTE: [&str; 5] = ["promote", "agent", "1.1.0", "--to", "stable"];

#[test]
fn after_a_promote_every_pop_serves_the_new_channel_and_keeps_all_else() {
    let desk = Desk::new(AT_ONCE, "3");
    desk.assert_all(3, "1.0.0");
    for pop in 0..3 {
        for target in [OTHER, OLD_BYTES] {
            desk.at(pop, target);
            assert_eq!(desk.at(pop, target).need("x-cache"), HIT);
        }
    }
    // Somebody asks the origin all the time, so that it has just looked at the channel when that moves: a purge that
    // did not wait for it would fetch the old document again and keep it for half a minute.
    let is_over = AtomicBool::new(false);
    let origin = desk.origin.data;
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for target in [DOCUMENT, REDIRECT] {
                    wire::get(origin, target, "");
                }
            }
        });
        let told = desk.told(&[&PROMOTE[..], &["--wait"]].concat());
        is_over.store(true, Ordering::Relaxed);
        told
    });
    desk.assert_all(3, "1.1.0");
    for pop in 0..3 {
        for target in [OTHER, OLD_BYTES] {
            assert_eq!(desk.at(pop, target).need("x-cache"), HIT, "{target}");
        }
    }
    assert_eq!(asked(&desk.origin, OLD_BYTES), 1);
    assert_eq!(
        (&told["revision"], &told["changed"]),
        (&2.into(), &true.into())
    );
    let purge = &told["purge"];
    assert_eq!(purge["distribution_id"], DISTRIBUTION);
    assert_eq!(purge["status"], "Completed");
    assert_eq!(
        purge["paths"],
        serde_json::json!([DOCUMENT, "/channels/agent/stable/*"])
    );
    assert_eq!(desk.invalidations(), [purge["id"].as_str().unwrap()]);
    let reference = purge["reference"].as_str().unwrap();
    assert!(
        reference.starts_with("headwater/agent/stable/2/"),
        "{reference}"
    );
}

#[test]
fn each_form_of_accept_encoding_has_a_copy_of_a_channel_and_a_purge_drops_all_of_them() {
    let desk = Desk::new(AT_ONCE, "1");
    let forms = ["", "gzip", "br", "gzip, br", "br;q=1.0, gzip, deflate"];
    let ask = |target: &str| {
        forms.map(|form| {
            let field = match form {
                "" => String::new(),
                form => format!("Accept-Encoding: {form}\r\n"),
            };
            desk.edge.get(target, &field)
        })
    };
    ask(DOCUMENT);
    assert_eq!(
        asked(&desk.origin, DOCUMENT),
        4,
        "the last two are one form"
    );
    for answer in ask(DOCUMENT) {
        assert_eq!(answer.need("x-cache"), HIT);
        // Shorter than what an edge compresses: the tag stays a strong one.
        assert_eq!(answer.field("content-encoding"), None);
        assert!(answer.need("etag").starts_with('"'));
    }
    ask(OLD_BYTES);
    assert_eq!(asked(&desk.origin, OLD_BYTES), 1, "artifacts have one copy");
    desk.told(&[&PROMOTE[..], &["--wait"]].concat());
    for answer in ask(DOCUMENT) {
        let document: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(document["release"]["version"], "1.1.0");
    }
}

#[test]
fn without_a_purge_a_pop_serves_the_old_channel_until_its_lifetime_ends() {
    // Long enough for a busy machine to promote and ask within it.
    let lifetimes = "[server]\ndrain_delay = \"0s\"\n[channels]\nmax_age = \"10s\"\nstale_while_revalidate = \"0s\"\n";
    let desk = Desk::with_origin(Setup::new().config(lifetimes), AT_ONCE, "1");
    desk.assert_all(1, "1.0.0");
    let before = desk.run(&[&PROMOTE[..], &["--json"]].concat()).ok().json();
    assert_eq!(before.get("purge"), None, "{before}");
    let mut stale = 0;
    until("the new channel is served", || {
        let document = desk.at(0, DOCUMENT);
        let body: Value = serde_json::from_slice(&document.body).unwrap();
        if body["release"]["version"] == "1.1.0" {
            return Some(());
        }
        stale += 1;
        let age: u64 = document.field("age").unwrap_or("0").parse().unwrap();
        assert!(age <= 10, "{age}");
        None
    });
    assert!(stale > 0, "it was never stale: a purge would be of no use");
    assert!(desk.invalidations().is_empty());
}

#[test]
fn a_repeat_is_the_same_purge_and_waits_for_it_where_the_first_did_not() {
    let config = "[desk]\ninvalidation_effective_median = \"1s\"\ninvalidation_effective_p95 = \"1s\"\n\
                  invalidation_completed_median = \"3s\"\ninvalidation_completed_p95 = \"3s\"\n";
    let desk = Desk::new(config, "3");
    desk.assert_all(3, "1.0.0");
    let since = Instant::now();
    let first = desk.told(&PROMOTE);
    assert_eq!(first["purge"]["status"], "InProgress");
    let repeat = desk.told(&[&PROMOTE[..], &["--wait"]].concat());
    // Two until it is asked for, three until it is done.
    let waited = since.elapsed();
    assert!(waited >= Duration::from_secs(5), "{waited:?}");
    desk.assert_all(3, "1.1.0");
    assert_eq!(repeat["changed"], false);
    assert_eq!(repeat["purge"]["status"], "Completed");
    let by_hand = desk.told(&["invalidate", "agent", "stable", "--wait"]);
    for other in [&repeat["purge"], &by_hand] {
        for member in ["id", "reference", "paths", "created_at"] {
            assert_eq!(other[member], first["purge"][member], "{member}");
        }
    }
    assert_eq!(desk.invalidations().len(), 1);
    // Only who says so gets a new one.
    let again = desk.told(&["invalidate", "agent", "stable", "--again"]);
    assert_ne!(again["id"], first["purge"]["id"]);
    assert_eq!(again["paths"], first["purge"]["paths"]);
    assert_eq!(desk.invalidations().len(), 2);
}

#[test]
fn publish_and_rollback_purge_too_and_each_move_has_a_purge_of_its_own() {
    let desk = Desk::new(AT_ONCE, "1");
    desk.assert_all(1, "1.0.0");
    let input = tempfile::tempdir().unwrap();
    let tool = input.path().join("tool");
    std::fs::write(&tool, b"newest").unwrap();
    let path = tool.to_str().unwrap();
    let told = desk.told(&["publish", "agent", "1.2.0", path, "--channel", "stable"]);
    desk.assert_all(1, "1.2.0");
    assert_eq!(told["purge"]["status"], "Completed");
    assert_eq!(told["channel"]["revision"], 2);
    // The release before had a second name.
    assert_eq!(told["purge"]["paths"][1], "/channels/agent/stable/*");
    let back = desk.told(&["rollback", "agent", "--channel", "stable"]);
    desk.assert_all(1, "1.0.0");
    assert_ne!(back["purge"]["id"], told["purge"]["id"]);
    assert_eq!(desk.invalidations().len(), 2);
    // Without a channel nothing changes that an edge has.
    std::fs::write(&tool, b"unpromoted").unwrap();
    let told = desk.told(&["publish", "agent", "1.3.0", path]);
    assert_eq!(told.get("purge"), None);
    assert_eq!(desk.invalidations().len(), 2);
}

#[test]
fn a_channel_of_one_name_takes_no_wildcard() {
    let desk = Desk::new(AT_ONCE, "1");
    for version in ["1", "2"] {
        let files: [(&str, &[u8]); 1] = [("only", version.as_bytes())];
        desk.store.publish(version, &files, None);
        let told = desk.told(&["promote", "agent", version, "--to", "lonely"]);
        let expected = ["/channels/agent/lonely.json", "/channels/agent/lonely/only"];
        assert_eq!(told["purge"]["paths"], serde_json::json!(expected));
    }
}

#[test]
fn a_retired_release_is_purged_by_hand_alone() {
    let desk = Desk::new(AT_ONCE, "2");
    desk.store.publish("0.9.0", &[("tool", b"oldest")], None);
    for pop in 0..2 {
        desk.at(pop, RETIRED_BYTES);
        assert_eq!(desk.at(pop, RETIRED_BYTES).need("x-cache"), HIT);
    }
    let told = desk.told(&["retire", "agent", "0.9.0", "--reason", "leaks the key"]);
    assert_eq!(
        (&told["purge"]["status"], &told["purge"]["paths"]),
        (&"none".into(), &serde_json::json!([]))
    );
    assert!(desk.invalidations().is_empty(), "nobody was asked");
    let flags = ["--distribution-id", DISTRIBUTION, "--reason", "again"];
    let said = desk
        .run(&[&["retire", "agent", "0.9.0"], &flags[..]].concat())
        .ok()
        .stdout;
    let expected = "retired agent 0.9.0\nnothing to purge: no channel names it\n\
                    `headwater invalidate --release agent 0.9.0` takes what edges still have of it\n";
    assert_eq!(said, expected);
    assert_eq!(
        desk.at(0, RETIRED_BYTES).status,
        200,
        "the published bytes, still"
    );
    // The origin may know for a moment what it knew.
    until("the origin has noticed", || {
        (wire::get(desk.origin.data, RETIRED_BYTES, "").status == 404).then_some(())
    });
    let told = desk.told(&["invalidate", "--release", "agent", "0.9.0", "--wait"]);
    assert_eq!(
        told["paths"],
        serde_json::json!(["/artifacts/agent/0.9.0/*"])
    );
    for pop in 0..2 {
        assert_eq!(desk.at(pop, RETIRED_BYTES).status, 404);
    }
}

#[test]
fn a_release_by_tag_and_an_object_by_path_are_what_is_forgotten() {
    const NOTES: &str = "/artifacts/agent/1.0.0/notes";
    const NEW: &str = "/artifacts/agent/1.1.0/tool";
    let desk = Desk::new(AT_ONCE, "1");
    let caches = || [OLD_BYTES, NOTES, NEW].map(|target| desk.at(0, target).need("x-cache") == HIT);
    caches();
    assert_eq!(caches(), [true; 3]);
    let told = desk.told(&["invalidate", "--path", OLD_BYTES]);
    assert_eq!(told["paths"], serde_json::json!([OLD_BYTES]));
    assert_eq!(caches(), [false, true, true]);
    let told = desk.told(&["invalidate", "--release", "agent", "1.0.0", "--by-tag"]);
    assert_eq!(told["paths"], serde_json::json!(["#release:agent/1.0.0"]));
    assert_eq!(caches(), [false, false, true]);
    // By hand each is a new one.
    desk.told(&["invalidate", "--path", OLD_BYTES]);
    assert_eq!(desk.invalidations().len(), 3);
}

#[test]
fn a_dry_run_says_what_would_be_purged_and_asks_nobody() {
    let desk = Desk::new(AT_ONCE, "1");
    let planned = desk.told(&["invalidate", "agent", "stable", "--dry-run"]);
    assert_eq!(
        (&planned["status"], &planned["id"]),
        (&"dry-run".into(), &Value::Null)
    );
    assert!(desk.invalidations().is_empty());
    let sent = desk.told(&["invalidate", "agent", "stable"]);
    for member in ["paths", "reference", "distribution_id"] {
        assert_eq!(planned[member], sent[member], "{member}");
    }
    let flags = ["--distribution-id", DISTRIBUTION, "--dry-run"];
    let ran = desk.run(&[&["invalidate", "--path", OLD_BYTES], &flags[..]].concat());
    assert_eq!(ran.ok().stdout, format!("would purge {OLD_BYTES}\n"));
}

#[test]
fn quotas_that_are_used_up_for_a_while_only_delay_the_purge() {
    let config = "[desk]\ninvalidation_effective_median = \"0s\"\ninvalidation_effective_p95 = \"0s\"\n\
                  invalidation_completed_median = \"5s\"\ninvalidation_completed_p95 = \"5s\"\n";
    let desk = Desk::new(config, "1");
    desk.assert_all(1, "1.0.0");
    let paths = (0..15).map(|n| format!("<Path>/{n}/*</Path>"));
    let paths = paths.collect::<Vec<_>>().concat();
    let body = format!(
        "<InvalidationBatch xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Paths><Quantity>15</Quantity>\
         <Items>{paths}</Items></Paths><CallerReference>all wildcards</CallerReference></InvalidationBatch>"
    );
    let since = Instant::now();
    let mut conn = Conn::open(desk.edge.address);
    conn.send(format!(
        "POST /2020-05-31/distribution/{DISTRIBUTION}/invalidation HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(conn.response("POST").status, 201);
    let told = desk.told(&PROMOTE);
    assert_eq!(told["purge"]["status"], "InProgress");
    let waited = since.elapsed();
    assert!(
        waited >= Duration::from_secs(5),
        "no room before that: {waited:?}"
    );
    desk.assert_all(1, "1.1.0");
}

#[test]
fn quotas_that_stay_used_up_cost_the_timeout_and_not_the_move() {
    let desk = Desk::new(NEVER, "1");
    for version in 0..15 {
        let version = format!("9.{version}");
        let told = desk.told(&["invalidate", "--release", "agent", &version]);
        assert_eq!(told["status"], "InProgress");
    }
    let settings = tempfile::tempdir().unwrap();
    let config = settings.path().join("origin.toml");
    std::fs::write(&config, "[cdn]\ntimeout = \"5s\"\n").unwrap();
    let flags = [
        "--distribution-id",
        DISTRIBUTION,
        "--config",
        config.to_str().unwrap(),
    ];
    let ran = desk.run(&[&PROMOTE[..], &flags].concat());
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("TooManyInvalidationsInProgress"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("5s (`cdn.timeout`)"), "{}", ran.stderr);
    let channel = std::fs::read_to_string(desk.store.path().join("channels/agent/stable.json"));
    assert!(
        channel.unwrap().contains("\"1.1.0\""),
        "the channel has moved"
    );
    // One that is accepted, but never done.
    let one_name = ["invalidate", "--path", OLD_BYTES, "--wait"];
    let ran = desk.run(&[&one_name[..], &flags].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("is not complete after 5s"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("is InProgress"), "{}", ran.stdout);
}

#[test]
fn the_configuration_names_edge_endpoint_and_wait_and_a_flag_overrides_it() {
    let desk = Desk::new(NEVER, "1");
    let settings = tempfile::tempdir().unwrap();
    let config = settings.path().join("origin.toml");
    let endpoint = format!("http://{}", desk.edge.address);
    let text = format!(
        "[cdn]\ndistribution_id = \"{DISTRIBUTION}\"\nendpoint_url = \"{endpoint}\"\nwait = true\ntimeout = \"5s\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let flags = ["--config", config.to_str().unwrap(), "--json"];
    let elsewhere = "http://127.0.0.1:9";
    let ran = run(&desk.store, elsewhere, &[&PROMOTE[..], &flags].concat());
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    let expected = "the channel has moved and the edge was told, but has not said that it is done";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    let told = ran.json();
    assert_eq!(told["purge"]["status"], "InProgress");
    assert_eq!(
        desk.invalidations(),
        [told["purge"]["id"].as_str().unwrap()]
    );
    let repeat = [&PROMOTE[..], &flags, &["--no-wait"]].concat();
    let repeat = run(&desk.store, elsewhere, &repeat).ok().json();
    assert_eq!(repeat["purge"]["id"], told["purge"]["id"]);
    assert_eq!(repeat["purge"]["status"], "InProgress");
    // For people it is one line more.
    let repeat = [&PROMOTE[..], &flags[..2], &["--no-wait"]].concat();
    let said = run(&desk.store, elsewhere, &repeat).ok().stdout;
    let id = told["purge"]["id"].as_str().unwrap();
    let line = said.lines().nth(1).unwrap();
    assert!(
        line.starts_with(&format!("purge {id} is InProgress, asked for at 2")),
        "{said}"
    );
    assert!(
        line.ends_with(": /channels/agent/stable.json /channels/agent/stable/*"),
        "{said}"
    );
}

#[test]
fn a_channel_in_a_bucket_is_purged_where_the_variable_for_cloudfront_says() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, AT_ONCE, &[]);
    let bucket = S3Server::start();
    let input = tempfile::tempdir().unwrap();
    let tool = input.path().join("tool");
    std::fs::write(&tool, b"first").unwrap();
    let publish = ["publish", "agent", "1.0.0", tool.to_str().unwrap()];
    let store = bucket.store_url("prefix");
    let flags = [
        "--channel",
        "stable",
        "--distribution-id",
        DISTRIBUTION,
        "--store",
        &store,
        "--json",
    ];
    let output = cli::command([&publish[..], &flags].concat())
        .envs(bucket.environment())
        .env(
            "AWS_ENDPOINT_URL_CLOUDFRONT",
            format!("http://{}", edge.address),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["channel"]["revision"], 1);
    assert_eq!(told["purge"]["status"], "Completed");
    assert_eq!(
        told["purge"]["paths"],
        serde_json::json!([DOCUMENT, REDIRECT])
    );
    assert_eq!(
        invalidations(edge.address),
        [told["purge"]["id"].as_str().unwrap()]
    );
}
