//! The commands with a bucket as their store: the same as with a directory, whatever way the settings come.
//!
//! Owns what a person at a terminal meets: results, the configuration, missing and forbidden buckets. Where credentials
//! come from is in `s3_credentials`, what S3 itself does in `store_s3`; the server here is the one in this process.

use serde_json::Value;

use crate::cli_sandbox::{Origin, Ran, Sandbox};
use crate::harness::aws::{KEY_ID, REGION, SECRET};
use crate::harness::fault::{Fault, FaultProxy, every};
use crate::harness::s3::S3Server;
use crate::harness::upstream::{Upstream, ok};
use crate::harness::{PATIENCE, poll, wire};

/// Runs a command with these variables and no others.
pub fn run(sandbox: &Sandbox, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = sandbox.command(arguments);
    // The machine's own files and role stay out, as far as the variables do not name others.
    command.envs([
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]);
    command.envs(variables.iter().copied());
    Ran::of(command.output().unwrap())
}

/// A folder to run in, and a bucket.
pub struct Bench {
    pub sandbox: Sandbox,
    pub server: S3Server,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            sandbox: Sandbox::new(),
            server: S3Server::start(),
        }
    }

    /// Runs a command as the account, for the store below `prod`.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(&[], arguments)
    }

    pub fn run_with(&self, more: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let store = self.server.store_url("prod");
        let environment = self.server.environment();
        let mut variables: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        variables.push(("HEADWATER_STORE", &store));
        variables.extend(more);
        run(&self.sandbox, &variables, arguments)
    }

    /// Runs a command that has to succeed.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }
}

/// Replaces what differs from run to run: times, digests of documents that hold times, and the place of the store.
fn comparable(text: &str, places: &[&str]) -> String {
    let mut text = text.to_owned();
    for place in places {
        text = text.replace(place, "<store>");
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.');
    let mut words = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|c| is_part(c) != is_part(first))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_digest = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_time = word.len() >= 20 && word.starts_with("20") && word.ends_with('Z');
        words.push_str(match () {
            () if is_digest => "<digest>",
            () if is_time => "<time>",
            () => word,
        });
        rest = after;
    }
    words
}

#[test]
fn every_command_says_the_same_of_a_bucket_as_of_a_directory() {
    let (bench, plain) = (Bench::new(), Sandbox::new());
    let bucket_url = bench.server.store_url("prod");
    for sandbox in [&bench.sandbox, &plain] {
        sandbox.write("one/tool", "the first tool");
        sandbox.write("one/sub/notes.txt", "notes");
        sandbox.write("two/tool", "the second tool");
    }
    let commands: &[&[&str]] = &[
        &["publish", "agent", "1.0", "one", "--dry-run", "--json"],
        &["publish", "agent", "1.0", "one", "--notes", "first"],
        &[
            "publish", "agent", "1.0", "one", "--notes", "first", "--json",
        ],
        &["publish", "agent", "1.0", "two"],
        &["publish", "agent", "1.1", "two", "--dry-run"],
        &[
            "publish",
            "agent",
            "1.1",
            "two",
            "--channel",
            "stable",
            "--json",
        ],
        &["promote", "agent", "1.0", "--to", "beta"],
        &["promote", "agent", "1.0", "--to", "stable", "--json"],
        &["promote", "agent", "9.9", "--to", "stable"],
        &["rollback", "agent", "stable"],
        &["rollback", "agent", "nightly"],
        &["releases"],
        &["releases", "--json"],
        &["show", "agent", "1.1"],
        &["show", "agent", "1.1", "--json"],
        &["show", "agent", "7"],
        &["channels", "agent", "--json"],
        &["verify"],
        &["verify", "agent", "--json"],
        &["retire", "agent", "1.1", "--reason", "broken"],
        &["promote", "agent", "1.1", "--to", "nightly"],
        &["prune", "--keep", "1", "--dry-run", "--json"],
        &["prune", "--keep", "1", "--json"],
        &["releases", "--json"],
        &["verify", "--json"],
    ];
    for arguments in commands {
        let here = run(&plain, &[], arguments);
        let there = bench.run(arguments);
        let places = [bucket_url.as_str(), "./headwater-store"];
        assert_eq!(
            comparable(&there.transcript(), &places),
            comparable(&here.transcript(), &places),
            "{arguments:?}"
        );
    }
    assert!(
        bench
            .server
            .keys()
            .iter()
            .all(|key| key.starts_with("prod/")),
        "nothing is written beside the prefix: {:?}",
        bench.server.keys()
    );
}

#[test]
fn init_tries_conditional_writes_and_leaves_nothing_behind() {
    let bench = Bench::new();
    assert_eq!(
        bench.done(&["init"]),
        "the store `s3://releases/prod` is there, and its server honours conditional writes\n"
    );
    let document: Value = serde_json::from_str(&bench.done(&["init", "--json"])).unwrap();
    assert_eq!(
        document,
        serde_json::json!({
            "store": "s3://releases/prod", "state": "present", "conditional_writes": "honoured"
        })
    );
    assert_eq!(
        bench.server.count("PutObject"),
        6,
        "three writes are tried each time"
    );
    assert_eq!(bench.server.keys(), [] as [&str; 0]);
}

#[test]
fn init_says_what_it_could_not_check() {
    let bench = Bench::new();
    let proxy = FaultProxy::before(bench.server.address());
    proxy.inject(every(Fault::Error(403, "AccessDenied")).operation("PutObject"));
    let ran = bench.run_with(&[("AWS_ENDPOINT_URL", &proxy.endpoint())], &["init"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("`artifacts/headwater-init/`"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("is not known"), "{}", ran.stdout);
}

#[test]
fn init_refuses_a_server_that_ignores_conditions() {
    let bench = Bench::new();
    let careless = Upstream::start(|seen| match seen.method.as_str() {
        "PUT" => ok("ETag: \"always-done\"\r\n", b""),
        "GET" => ok(
            "",
            b"<ListBucketResult><Name>releases</Name></ListBucketResult>",
        ),
        _ => ok("", b""),
    });
    let endpoint = format!("http://{}", careless.address);
    let ran = bench.run_with(&[("AWS_ENDPOINT_URL", &endpoint)], &["init"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("ignores conditional writes"),
        "{}",
        ran.stderr
    );
    let last = careless.seen().pop().unwrap();
    assert_eq!(last.method, "DELETE", "the object is removed all the same");
}

#[test]
fn a_missing_bucket_is_exit_code_4_and_told_how_to_make() {
    let bench = Bench::new();
    bench.sandbox.write("tool", "a tool");
    for arguments in [
        &["init"][..],
        &["publish", "agent", "1.0", "tool"],
        &["publish", "agent", "1.0", "tool", "--dry-run"],
        &["promote", "agent", "1.0", "--to", "stable"],
        &["releases"],
        &["verify"],
        &["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    ] {
        let ran = bench.run_with(&[("HEADWATER_STORE", "s3://elsewhere/prod")], arguments);
        assert_eq!(ran.code, 4, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("aws s3 mb s3://elsewhere"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn what_may_not_be_read_is_named_with_the_permission_that_is_missing() {
    let bench = Bench::new();
    let proxy = FaultProxy::before(bench.server.address());
    proxy.inject(every(Fault::Error(403, "AccessDenied")));
    for arguments in [
        &["init"][..],
        &["releases"],
        &["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    ] {
        let ran = bench.run_with(&[("AWS_ENDPOINT_URL", &proxy.endpoint())], arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("s3:ListBucket"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_reported_with_the_settings_to_look_at() {
    let bench = Bench::new();
    let proxy = FaultProxy::before(bench.server.address());
    proxy.refuse();
    let ran = bench.run_with(&[("AWS_ENDPOINT_URL", &proxy.endpoint())], &["releases"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`store.endpoint_url`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    let bench = Bench::new();
    bench.sandbox.write("tool", "a tool");
    bench.done(&["publish", "agent", "1.0", "tool", "--dry-run"]);
    let asked = bench.server.asked();
    let writes: Vec<_> = asked
        .iter()
        .filter(|asked| {
            !matches!(
                asked.operation,
                "ListObjectsV2" | "HeadObject" | "GetObject" | "HeadBucket"
            )
        })
        .collect();
    assert!(!asked.is_empty() && writes.is_empty(), "{writes:?}");
}

#[test]
fn a_file_names_bucket_region_and_endpoint() {
    let bench = Bench::new();
    let file = bench.sandbox.write(
        "origin.toml",
        format!(
            "[store]\npath = \"{}\"\nregion = \"{REGION}\"\nendpoint_url = \"{}/\"\npath_style = true\n",
            bench.server.store_url("prod"),
            bench.server.endpoint()
        ),
    );
    bench.sandbox.write("tool", "a tool");
    let file = file.to_str().unwrap();
    let account = [
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    let publish = ["publish", "agent", "1.0", "tool", "--config", file];
    let ran = run(&bench.sandbox, &account, &publish);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // The file overrides what AWS's own variables say.
    let nowhere = [
        account[0],
        account[1],
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
    ];
    let ran = run(&bench.sandbox, &nowhere, &["releases", "--config", file]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("1.0"), "{}", ran.stdout);
    let shown = run(&bench.sandbox, &account, &["config", "show", file]).stdout;
    assert!(shown.contains("path = \"s3://releases/prod\""), "{shown}");
    assert!(shown.contains("path_style = true"), "{shown}");
    assert!(
        !shown.contains(SECRET) && !shown.contains(KEY_ID),
        "{shown}"
    );
}

#[test]
fn check_reports_every_wrong_value_of_the_store_the_cache_and_the_edge() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "origin.toml",
        "\
[store]
path = \"S3://Updates\"
region = \"eu central\"
endpoint_url = \"https://AKIDEXAMPLE:hush@s3.example.com\"
path_style = \"yes\"
request_timeout = \"1h\"
access_key_id = \"AKIDEXAMPLE\"
[cache]
memory_bytes = 1048576
disk_bytes = 17179869184
read_ahead_blocks = -1
[cdn]
kind = \"fastly\"
distribution_id = \"E-1\"
endpoint_url = \"cloudfront.example.com\"
wait = \"yes\"
timeout = \"2h\"
",
    );
    let ran = sandbox.run(&["config", "check", "origin.toml"]);
    insta::assert_snapshot!("config_check", ran.transcript());
}

#[test]
fn serving_starts_while_s3_is_away_and_is_not_ready() {
    let bench = Bench::new();
    let proxy = FaultProxy::before(bench.server.address());
    proxy.refuse();
    let free = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut command = bench.sandbox.command(&free);
    command.envs(proxy.environment());
    command.args(["--store", &bench.server.store_url("prod")]);
    let origin = Origin::start(command);
    let admin = origin.admin_url.strip_prefix("http://").unwrap();
    let admin = admin.parse().unwrap();
    let ready = || wire::get(admin, "/readyz", "").status;
    assert_eq!(ready(), 503);
    proxy.heal();
    poll(PATIENCE, "the origin is ready", || {
        (ready() == 200).then_some(())
    });
}
