//! Every command under the role that `terraform/modules/publisher` makes for its product, and what that role is refused.
//!
//! The policies are the modules' own text. Between the real program and two servers (S3 in this process, CloudFront by
//! moto) stands a gate that answers 403 to what the policy does not allow: `harness::policy` says why it is ours and
//! not moto's. Nothing here ran against AWS.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli_sandbox::{Origin, Ran, Sandbox, wait};
use crate::harness::fault::{Fault, FaultProxy, Passed, every};
use crate::harness::moto::Moto;
use crate::harness::policy::{Policy, Wish, distribution_arn, gate, wishes_of};
use crate::harness::s3::S3Server;
use crate::harness::wire;
use crate::harness::{PATIENCE, fixture, module, poll};
use crate::s3_cli::run;

const BUCKET: &str = "arn:aws:s3:::releases";

/// Beside `agent`: what its name is the start of, and what differs by what other languages would take for a wildcard.
const OTHERS: [&str; 4] = ["agent-beta", "agent.2", "agen", "agent2"];

/// Three parts.
const LARGE_BYTES: usize = 17 << 20;

/// Far above the age at which a lease is free.
const LONG_AGO: Duration = Duration::from_secs(3_600);

fn publisher(more: &Value) -> Value {
    let mut variables = json!({
        "name": "headwater",
        "product": "agent",
        "bucket_arn": BUCKET,
        "prefix": "prod",
        "trusted_role_arns": ["arn:aws:iam::111122223333:role/ci"],
    });
    let more = more.as_object().unwrap().clone();
    variables.as_object_mut().unwrap().extend(more);
    variables
}

/// What the role may do, with these variables.
fn permissions(more: &Value) -> Policy {
    let files = ["permissions.tf", "variables.tf"];
    Policy::parse(&module::local(
        "publisher",
        &files,
        &publisher(more),
        "policy",
    ))
}

/// A bucket, a distribution of its own and one of somebody else, each behind a gate.
struct Stage {
    sandbox: Sandbox,
    server: S3Server,
    s3: FaultProxy,
    cloudfront: FaultProxy,
    distribution: String,
    other_distribution: String,
    policy: Policy,
}

impl Stage {
    /// The store has a release of every other product already.
    fn new() -> Self {
        let (moto, server) = (Moto::shared(), S3Server::start());
        let (distribution, other_distribution) = (moto.new_distribution(), moto.new_distribution());
        let policy = permissions(&json!({ "distribution_arn": distribution_arn(&distribution) }));
        let stage = Self {
            sandbox: Sandbox::new(),
            s3: FaultProxy::before(server.address()),
            cloudfront: FaultProxy::before(moto.address()),
            server,
            distribution,
            other_distribution,
            policy,
        };
        stage.sandbox.write("tool", "a tool");
        let large = fixture::bytes(7, LARGE_BYTES);
        stage.sandbox.write("large", &large);
        for product in OTHERS {
            stage.as_owner(&["publish", product, "1.0", "tool", "--channel", "stable"]);
            stage.as_owner(&["publish", product, "1.1", "tool"]);
        }
        stage.s3.inject(gate(&stage.policy));
        stage.cloudfront.inject(gate(&stage.policy));
        stage
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.s3.environment();
        variables.push(("AWS_ENDPOINT_URL_CLOUDFRONT", self.cloudfront.endpoint()));
        variables.push(("HEADWATER_STORE", self.server.store_url("prod")));
        variables
    }

    /// Runs a command as the publisher of `agent`.
    fn run(&self, arguments: &[&str]) -> Ran {
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        run(&self.sandbox, &variables, arguments)
    }

    /// Runs a command that has to succeed.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Runs a command that no gate stands before.
    #[track_caller]
    fn as_owner(&self, arguments: &[&str]) -> String {
        let endpoint = self.server.endpoint();
        let mut variables = self.variables();
        variables.push(("AWS_ENDPOINT_URL", endpoint));
        let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let ran = run(&self.sandbox, &variables, arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Publishes a large file in a process that is killed after two of its parts.
    #[track_caller]
    fn die_while_publishing(&self, version: &str) {
        self.s3
            .inject(every(Fault::Hang).operation("UploadPart").after(2));
        let mut command = self
            .sandbox
            .command(&["publish", "agent", version, "large"]);
        command.envs(self.variables());
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let is_hanging = |one: &Passed| one.fault == Some(Fault::Hang);
        let is_sent = |one: &Passed| one.operation == "UploadPart" && one.status == Some(200);
        let before = self.s3.passed().len();
        poll(
            PATIENCE,
            "two parts that were sent and one that hangs",
            || {
                let new = &self.s3.passed()[before.saturating_sub(1)..];
                let sent = new.iter().filter(|one| is_sent(one)).count();
                (sent >= 2 && new.iter().any(is_hanging)).then_some(())
            },
        );
        child.kill().unwrap();
        wait(&mut child);
        self.s3.heal();
        self.s3.inject(gate(&self.policy));
        let lease = format!("prod/artifacts/agent/.headwater/lease/{version}");
        self.server.age(&lease, LONG_AGO);
    }

    /// Every request that came to a gate.
    fn asked(&self) -> Vec<Passed> {
        [self.s3.passed(), self.cloudfront.passed()].concat()
    }

    /// Everything in the bucket.
    fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let keys = self.server.keys().into_iter();
        keys.map(|key| (key.clone(), self.server.object(&key)))
            .collect()
    }
}

#[test]
fn every_command_works_for_its_own_product_and_uses_all_that_is_allowed() {
    let stage = Stage::new();
    let purge = ["--distribution-id", &stage.distribution, "--wait"];
    let purging = |command: &[&str]| stage.done(&[command, &purge].concat());
    assert!(stage.done(&["init"]).contains("releases"));
    purging(&["publish", "agent", "1.0", "tool", "--channel", "stable"]);
    stage.done(&["publish", "agent", "1.1", "tool", "large"]);
    stage.done(&["publish", "agent", "1.1", "tool", "large", "--dry-run"]);
    purging(&["promote", "agent", "1.1", "--to", "stable"]);
    purging(&["rollback", "agent", "--channel", "stable"]);
    purging(&["invalidate", "agent", "stable"]);
    purging(&["invalidate", "--release", "agent", "1.1"]);
    // A publish that was cut goes on where it was.
    stage.die_while_publishing("1.2");
    let resumed = stage.s3.passed().len();
    stage.done(&["publish", "agent", "1.2", "large"]);
    let parts = stage.s3.passed()[resumed..]
        .iter()
        .filter(|one| one.operation == "UploadPart")
        .count();
    assert_eq!(parts, 1, "two of three parts were there");
    // One that is never repeated is cleared away.
    stage.die_while_publishing("1.3");
    assert_eq!(stage.server.uploads().len(), 1);
    stage.done(&["retire", "agent", "1.2", "--reason", "a test"]);
    let pruned = stage.done(&["prune", "agent", "--keep", "2"]);
    assert!(pruned.contains("agent/1.3/large"), "{pruned}");
    assert_eq!(stage.server.uploads(), [""; 0], "{pruned}");
    for look in [
        &["releases", "agent"][..],
        &["show", "agent", "1.0"],
        &["channels", "agent"],
        &["verify", "agent"],
    ] {
        stage.done(look);
    }
    let asked = stage.asked();
    let refused: Vec<_> = asked.iter().filter(|one| one.status == Some(403)).collect();
    let is_expected = |one: &&&Passed| {
        // No policy can allow it for one product; `init` tries a product of its own.
        one.operation == "ListMultipartUploads" || one.key.contains("/headwater-init/")
    };
    let unexpected: Vec<_> = refused.iter().filter(|one| !is_expected(one)).collect();
    assert!(
        unexpected.is_empty() && !refused.is_empty(),
        "{unexpected:?}"
    );
    let done = asked
        .iter()
        .filter(|one| one.status.is_some_and(|status| status < 300));
    let used: BTreeSet<String> = done.flat_map(wishes_of).map(|wish| wish.action).collect();
    let mut allowed = stage.policy.actions();
    // For a purge that takes its time, and for a reference that was used: moto knows neither. `cdn_edge` has both.
    for action in ["cloudfront:GetInvalidation", "cloudfront:ListInvalidations"] {
        assert!(allowed.remove(action), "{action}");
    }
    assert_eq!(used, allowed);
}

#[test]
fn every_write_carries_a_digest_as_a_locked_bucket_demands() {
    let stage = Stage::new();
    stage.done(&[
        "publish",
        "agent",
        "1.0",
        "tool",
        "large",
        "--channel",
        "stable",
    ]);
    stage.done(&["promote", "agent", "1.0", "--to", "beta"]);
    let asked = stage.s3.passed();
    // Object Lock's default retention is for every new version, and S3 wants to know what it locks.
    for operation in ["PutObject", "UploadPart"] {
        let writes: Vec<_> = asked
            .iter()
            .filter(|one| one.operation == operation)
            .collect();
        assert!(writes.len() > 2, "{operation}: {writes:?}");
        for write in writes {
            assert_eq!(write.digests, ["x-amz-checksum-sha256"], "{write:?}");
        }
    }
}

#[test]
fn nothing_of_another_product_is_read_or_written_whatever_its_name_begins_with() {
    let stage = Stage::new();
    stage.done(&["publish", "agent", "1.0", "tool"]);
    let before = stage.contents();
    for product in OTHERS {
        for command in [
            &["publish", product, "2.0", "tool"][..],
            &["publish", product, "1.0", "tool", "--channel", "beta"],
            &["promote", product, "1.1", "--to", "stable"],
            &["rollback", product, "--channel", "stable"],
            &["retire", product, "1.1", "--reason", "a test"],
            &["prune", product, "--keep", "1"],
            &["releases", product],
            &["show", product, "1.0"],
            &["channels", product],
            &["verify", product],
        ] {
            let ran = stage.run(command);
            assert_eq!(ran.code, 1, "{command:?}: {}{}", ran.stdout, ran.stderr);
            assert!(
                ran.stderr.contains("403 AccessDenied") || ran.stderr.contains("S3 answered 403"),
                "{command:?}: {}",
                ran.stderr
            );
            assert!(
                ran.stderr.contains("the credentials need `s3:"),
                "{}",
                ran.stderr
            );
        }
    }
    // Nor of all products at once.
    for command in [&["releases"][..], &["verify"], &["prune", "--keep", "1"]] {
        let ran = stage.run(command);
        assert_eq!(ran.code, 1, "{command:?}: {}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(stage.contents(), before);
}

#[test]
fn another_bucket_and_another_prefix_are_refused() {
    let stage = Stage::new();
    for store in [
        "s3://elsewhere/prod",
        "s3://releases",
        "s3://releases/production",
    ] {
        for command in [
            &["publish", "agent", "1.0", "tool"][..],
            &["releases", "agent"],
        ] {
            let ran = stage.run(&[command, &["--store", store]].concat());
            assert_eq!(ran.code, 1, "{store} {command:?}: {}", ran.stderr);
            assert!(
                ran.stderr.contains("S3 answered 403"),
                "{store}: {}",
                ran.stderr
            );
        }
    }
    let target = format!("{BUCKET}/prod/artifacts/agent/1.0/tool");
    let elsewhere = target.replace(":::releases/", ":::releases-of-others/");
    assert!(stage.policy.allows(&Wish::new("s3:PutObject", &target)));
    assert!(!stage.policy.allows(&Wish::new("s3:PutObject", &elsewhere)));
}

#[test]
fn another_distribution_is_not_purged() {
    let stage = Stage::new();
    stage.done(&["publish", "agent", "1.0", "tool"]);
    stage.done(&["publish", "agent", "1.1", "tool", "--channel", "stable"]);
    let other = ["--distribution-id", &stage.other_distribution];
    let release = ["invalidate", "--release", "agent", "1.0"];
    let ran = stage.run(&[&release[..], &other].concat());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("CloudFront denies it"),
        "{}",
        ran.stderr
    );
    // A move is done all the same, and says that its purge was not.
    let promote = ["promote", "agent", "1.0", "--to", "stable"];
    let ran = stage.run(&[&promote[..], &other].concat());
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    let list = format!(
        "/2020-05-31/distribution/{}/invalidation",
        stage.other_distribution
    );
    let list = Moto::shared().cloudfront().send("GET", &list, &[], "");
    let text = String::from_utf8(list.body).unwrap();
    assert!(text.contains("<Quantity>0</Quantity>"), "{text}");
}

#[test]
fn what_no_publisher_needs_is_allowed_to_none() {
    let policy = permissions(&json!({ "distribution_arn": distribution_arn("E2QWRUHEXAMPLE") }));
    let own = format!("{BUCKET}/prod/artifacts/agent/1.0/tool");
    for action in [
        "s3:DeleteObjectVersion",
        "s3:GetObjectVersion",
        "s3:PutObjectAcl",
        "s3:PutObjectRetention",
        "s3:PutObjectLegalHold",
        "s3:BypassGovernanceRetention",
        "s3:PutObjectTagging",
        "s3:RestoreObject",
        "s3:ReplicateObject",
    ] {
        assert!(!policy.allows(&Wish::new(action, &own)), "{action}");
    }
    let own_prefix = "prod/artifacts/agent/";
    for action in [
        "s3:ListBucketVersions",
        "s3:ListBucketMultipartUploads",
        "s3:PutBucketPolicy",
        "s3:PutBucketVersioning",
        "s3:PutLifecycleConfiguration",
        "s3:DeleteBucket",
    ] {
        let wish = Wish::new(action, BUCKET).with("s3:prefix", own_prefix);
        assert!(!policy.allows(&wish), "{action}");
    }
    let list = Wish::new("s3:ListBucket", BUCKET);
    assert!(policy.allows(&list.clone().with("s3:prefix", own_prefix)));
    assert!(
        !policy.allows(&list),
        "a listing without a prefix is of the whole bucket"
    );
    for prefix in [
        "",
        "prod/",
        "prod/artifacts/",
        "prod/artifacts/agent",
        "prod/artifacts/agent-",
        "prod/channels/a",
    ] {
        assert!(
            !policy.allows(&list.clone().with("s3:prefix", prefix)),
            "{prefix}"
        );
    }
    for action in [
        "cloudfront:UpdateDistribution",
        "cloudfront:GetDistribution",
    ] {
        assert!(
            !policy.allows(&Wish::new(action, &distribution_arn("E2QWRUHEXAMPLE"))),
            "{action}"
        );
    }
    assert!(!policy.allows(&Wish::new(
        "iam:PassRole",
        "arn:aws:iam::111122223333:role/ci"
    )));
}

#[test]
fn a_key_of_kms_serves_the_product_through_s3_alone() {
    let key = "arn:aws:kms:eu-central-1:111122223333:key/0b1c2d3e-0000-4000-8000-000000000000";
    let policy = permissions(&json!({ "kms_key_arn": key }));
    let wish = |service: &str, object: &str| {
        Wish::new("kms:GenerateDataKey", key)
            .with("kms:ViaService", service)
            .with("kms:EncryptionContext:aws:s3:arn", object)
    };
    let s3 = "s3.eu-central-1.amazonaws.com";
    assert!(policy.allows(&wish(s3, BUCKET)));
    assert!(policy.allows(&wish(
        s3,
        &format!("{BUCKET}/prod/artifacts/agent/1.0/tool")
    )));
    assert!(!policy.allows(&wish(
        s3,
        &format!("{BUCKET}/prod/artifacts/agent-beta/1.0/tool")
    )));
    assert!(!policy.allows(&wish(s3, "arn:aws:s3:::elsewhere")));
    assert!(!policy.allows(&wish("dynamodb.eu-central-1.amazonaws.com", BUCKET)));
    assert!(
        !policy.allows(&Wish::new("kms:GenerateDataKey", key)),
        "not directly"
    );
}

#[test]
fn the_role_is_taken_on_by_the_named_workflows_alone() {
    let provider = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com";
    let github = json!({
        "repository": "example/agent", "refs": ["refs/tags/v*"], "environments": ["release"],
    });
    let more = json!({
        "github": github, "oidc_provider_arn": provider, "trusted_role_arns": [],
    });
    let files = ["trust.tf", "variables.tf"];
    let trust = Policy::parse(&module::local(
        "publisher",
        &files,
        &publisher(&more),
        "trust",
    ));
    let token = |audience: &str, subject: &str| {
        let wish = Wish::new("sts:AssumeRoleWithWebIdentity", "")
            .with("token.actions.githubusercontent.com:aud", audience)
            .with("token.actions.githubusercontent.com:sub", subject);
        trust.allows(&wish)
    };
    for subject in [
        "repo:example/agent:ref:refs/tags/v1.2.0",
        "repo:example/agent:environment:release",
    ] {
        assert!(token("sts.amazonaws.com", subject), "{subject}");
        assert!(
            !token("https://github.com/example", subject),
            "a token for somebody else"
        );
    }
    for subject in [
        "repo:example/agent:ref:refs/heads/main",
        "repo:example/agent:pull_request",
        "repo:example/agent:environment:release-candidates",
        "repo:example/agent:ref:refs/heads/v1:environment:release",
        "repo:example/agent-fork:environment:release",
        "repo:somebody/agent:environment:release",
        "repo:example/agent:ref:refs/tags/nightly",
    ] {
        assert!(!token("sts.amazonaws.com", subject), "{subject}");
    }
    assert!(!trust.allows(&Wish::new("sts:AssumeRole", "")));
}

#[test]
fn a_distribution_reads_what_is_published_and_nothing_that_publishers_tell_each_other() {
    let variables = json!({
        "name": "headwater",
        "bucket_name": "releases",
        "prefix": "prod",
        "distribution_arns": [distribution_arn("E2QWRUHEXAMPLE")],
    });
    let files = ["policy.tf", "variables.tf"];
    let policy = Policy::parse(&module::local("store", &files, &variables, "policy"));
    let policy = policy.about("cloudfront.amazonaws.com");
    let reads = |key: &str, distribution: &str, account: &str, tls: &str| {
        let wish = Wish::new("s3:GetObject", &format!("{BUCKET}/{key}"))
            .with("aws:SourceArn", &distribution_arn(distribution))
            .with("aws:SourceAccount", account)
            .with("aws:SecureTransport", "true")
            .with("s3:TlsVersion", tls);
        policy.allows(&wish)
    };
    let (own, account) = ("E2QWRUHEXAMPLE", "111122223333");
    for key in [
        "prod/artifacts/agent/1.0/tool",
        "prod/artifacts/agent/1.0/release.json",
        "prod/channels/agent/stable.json",
    ] {
        assert!(reads(key, own, account, "1.2"), "{key}");
        assert!(
            !reads(key, "EOTHER", account, "1.2"),
            "another distribution"
        );
        assert!(!reads(key, own, "444455556666", "1.2"), "another account");
        assert!(!reads(key, own, account, "1.1"), "old TLS");
    }
    for key in [
        "prod/artifacts/agent/.headwater/lease/1.0",
        "prod/artifacts/agent/.headwater/upload/1.0/0123",
        "prod/.headwater/lease/x",
        "prod/other",
        "artifacts/agent/1.0/tool",
        "production/artifacts/agent/1.0/tool",
    ] {
        assert!(!reads(key, own, account, "1.2"), "{key}");
    }
    let write = Wish::new(
        "s3:PutObject",
        &format!("{BUCKET}/prod/channels/agent/stable.json"),
    );
    assert!(!policy.allows(&write.with("aws:SourceArn", &distribution_arn(own))));
}

#[test]
fn an_origin_serves_with_permission_to_read_alone() {
    let stage = Stage::new();
    stage.as_owner(&["publish", "agent", "1.0", "tool", "--channel", "stable"]);
    let policy = Policy::parse(&json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": [format!("{BUCKET}/prod/artifacts/*"), format!("{BUCKET}/prod/channels/*")],
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": BUCKET,
                "Condition": { "StringLike": {
                    "s3:prefix": ["prod/.headwater/", "prod/artifacts/*", "prod/channels/*"],
                } },
            },
        ],
    }));
    stage.s3.heal();
    stage.s3.inject(gate(&policy));
    let before = stage.s3.passed().len();
    let mut command =
        stage
            .sandbox
            .command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.envs(stage.variables());
    let origin = Origin::start(command);
    let address = |url: &str| url.strip_prefix("http://").unwrap().parse().unwrap();
    let (data, admin) = (address(&origin.url), address(&origin.admin_url));
    poll(PATIENCE, "the origin is ready", || {
        (wire::get(admin, "/readyz", "").status == 200).then_some(())
    });
    assert_eq!(
        wire::get(data, "/artifacts/agent/1.0/tool", "").body,
        b"a tool"
    );
    assert_eq!(
        wire::get(data, "/channels/agent/stable.json", "").status,
        200
    );
    assert_eq!(wire::get(data, "/artifacts/agent/9.9/tool", "").status, 404);
    assert_eq!(
        wire::get(data, "/channels/agent/nightly.json", "").status,
        404
    );
    let asked = stage.s3.passed().split_off(before);
    let refused: Vec<_> = asked.iter().filter(|one| one.status == Some(403)).collect();
    assert!(refused.is_empty() && asked.len() > 3, "{refused:?}");
    assert_eq!(stage.run(&["publish", "agent", "2.0", "tool"]).code, 1);
}
