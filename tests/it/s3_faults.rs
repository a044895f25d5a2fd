//! S3 slow, busy, broken, refusing, gone: what the commands do then, and what they say.
//!
//! Everything goes through a proxy that injects the fault. Whatever happens: the time is bounded, nothing is visible
//! by halves, the same command works once the fault is over, and no output ever shows a credential. What `serve` does
//! is in the suites of serving.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::aws::{KEY_ID, SECRET};
use crate::harness::cli::{self, Ran};
use crate::harness::fault::{Fault, FaultProxy, Rule, every, next};
use crate::harness::fixture::bytes;
use crate::harness::s3::{S3Server, store_url};
use crate::harness::{PATIENCE, poll};

/// More than one part of an upload.
const BIG_BYTES: usize = (8 << 20) + 12_345;

/// As an instance's role or a single sign-on gives it, beside the key.
const TOKEN: &str = "token/of/a/session+that/no/output/may/show==";

/// Far more than any command here may take, and less than what a person calls a hang; the machine may be busy.
const BOUND: Duration = Duration::from_secs(60);

/// A bucket behind a proxy, and a release to publish.
struct Rig {
    server: S3Server,
    proxy: FaultProxy,
    desk: TempDir,
    bucket: String,
    prefix: String,
}

impl Rig {
    /// A release of two small files.
    fn new() -> Self {
        let server = S3Server::start();
        let proxy = FaultProxy::before(server.address());
        let desk = tempfile::tempdir().unwrap();
        let input = desk.path().join("input");
        std::fs::create_dir(&input).unwrap();
        std::fs::write(input.join("a.bin"), bytes(1, 50_000)).unwrap();
        std::fs::write(input.join("b.txt"), "text\n").unwrap();
        let rig = Self {
            bucket: server.bucket().to_owned(),
            prefix: "one".to_owned(),
            server,
            proxy,
            desk,
        };
        // Far above what this machine takes for an answer, however busy it is.
        rig.wait_for_an_answer("20s");
        rig
    }

    /// A release with a file that goes in parts.
    fn with_big_file() -> Self {
        let rig = Self::new();
        let path = rig.desk.path().join("input/big.img");
        std::fs::write(path, bytes(2, BIG_BYTES)).unwrap();
        rig
    }

    /// Gives up soon, so that a fault that stays is reported soon.
    fn impatient(self) -> Self {
        self.wait_for_an_answer("1s");
        self
    }

    fn wait_for_an_answer(&self, timeout: &str) {
        let config = format!("[store]\nrequest_timeout = \"{timeout}\"\n");
        std::fs::write(self.desk.path().join("origin.toml"), config).unwrap();
    }

    /// Ends all faults, and the impatience that made them short.
    fn recover(&self) {
        self.proxy.heal();
        self.wait_for_an_answer("20s");
    }

    /// Runs a command to its end, in bounded time and without showing who asks.
    #[track_caller]
    fn run(&self, args: &[&str]) -> Ran {
        self.run_logging(args, "info")
    }

    #[track_caller]
    fn run_logging(&self, args: &[&str], level: &str) -> Ran {
        let start = Instant::now();
        let output = cli::command(args)
            .args([
                "--store",
                &store_url(&self.bucket, &self.prefix),
                "--config",
            ])
            .arg(self.desk.path().join("origin.toml"))
            .env("HEADWATER_LOG", level)
            .envs(self.proxy.environment())
            .env("AWS_SESSION_TOKEN", TOKEN)
            .output()
            .unwrap();
        let took = start.elapsed();
        assert!(took < BOUND, "{args:?} took {took:?}");
        let ran = Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        for secret in [SECRET, TOKEN, KEY_ID, "Signature=", "AWS4-HMAC-SHA256"] {
            let shows = ran.stdout.contains(secret) || ran.stderr.contains(secret);
            assert!(!shows, "{args:?} shows `{secret}`: {}", ran.stderr);
        }
        ran
    }

    #[track_caller]
    fn publish(&self) -> Ran {
        let input = self.desk.path().join("input");
        let input = input.to_str().unwrap();
        self.run(&["publish", "agent", "1.0.0", input, "--channel", "stable"])
    }

    #[track_caller]
    fn verify(&self) -> Ran {
        self.run(&["verify", "--json"])
    }

    /// Insists that a release is there whole and the channel names it, by a way without faults.
    #[track_caller]
    fn assert_published(&self) {
        self.proxy.heal();
        let verified = self.verify().ok().json();
        assert_eq!(verified["releases"], 1, "{verified}");
        assert_eq!(verified["damage"], serde_json::json!([]));
        assert_eq!(self.channels(), ["1.0.0"]);
        assert_eq!(self.server.uploads(), [""; 0]);
    }

    /// The versions that channels name, by a way without faults.
    #[track_caller]
    fn channels(&self) -> Vec<String> {
        self.proxy.heal();
        let listed = self.run(&["channels", "agent", "--json"]).ok().json();
        let channels = listed.as_array().expect("a list of channels").iter();
        let version = |channel: &serde_json::Value| channel["release"]["version"].to_string();
        channels
            .map(|channel| version(channel).replace('"', ""))
            .collect()
    }

    /// How many releases and channels whoever looks into the bucket sees; a release that is seen is whole.
    #[track_caller]
    fn visible(&self) -> (usize, usize) {
        let folder = format!("{}/", self.prefix);
        let keys = self.server.keys();
        let keys: Vec<&str> = keys
            .iter()
            .filter_map(|key| key.strip_prefix(&folder))
            .collect();
        let releases = keys
            .iter()
            .filter_map(|key| key.strip_suffix("release.json"));
        for release in releases.clone() {
            for name in ["a.bin", "b.txt"] {
                let artifact = format!("{release}{name}");
                assert!(keys.contains(&&*artifact), "no `{artifact}`: {keys:?}");
            }
        }
        let channels = keys.iter().filter(|key| key.starts_with("channels/"));
        (releases.count(), channels.count())
    }

    /// What a publish says that meets `rule`: it fails, shows nothing, and works when it is repeated.
    #[track_caller]
    fn refused(&self, rule: Rule) -> Ran {
        self.proxy.inject(rule);
        let ran = self.publish();
        assert!(self.proxy.faults() > 0, "no fault was met");
        assert_ne!(ran.code, Some(0), "{}", ran.stderr);
        self.recover();
        assert_eq!(self.visible(), (0, 0));
        self.publish().ok();
        self.assert_published();
        ran
    }
}

#[track_caller]
fn assert_says(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in: {}", ran.stderr);
    }
}

// ---- what passes ----------------------------------------------------------------------------------------------------

#[test]
fn a_slow_s3_only_takes_longer() {
    let rig = Rig::new();
    rig.proxy
        .inject(every(Fault::Delay(Duration::from_millis(15))));
    rig.publish().ok();
    rig.proxy.heal();
    rig.proxy
        .inject(every(Fault::Slow(Duration::from_millis(15))));
    rig.verify().ok();
    assert!(rig.proxy.faults() > 5);
    rig.assert_published();
}

#[test]
fn every_kind_of_request_is_asked_again_after_a_500() {
    let rig = Rig::with_big_file();
    let kinds = [
        "HeadObject",
        "GetObject",
        "ListObjectsV2",
        "PutObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
    ];
    for kind in kinds {
        rig.proxy
            .inject(next(1, Fault::Error(500, "InternalError")).operation(kind));
    }
    rig.publish().ok();
    rig.verify().ok();
    for passed in rig.proxy.passed().iter().filter(|one| one.fault.is_some()) {
        let answered = |one: &&crate::harness::fault::Passed| {
            one.target == passed.target && one.fault.is_none()
        };
        assert!(
            rig.proxy.passed().iter().any(|one| answered(&one)),
            "{passed:?}"
        );
    }
    let met = rig.proxy.faults();
    assert!(
        met >= 5,
        "{met} of {} kinds: {:?}",
        kinds.len(),
        rig.proxy.passed()
    );
    rig.assert_published();
}

#[test]
fn slow_down_is_obeyed() {
    let rig = Rig::new();
    rig.proxy.inject(
        next(3, Fault::Error(503, "SlowDown"))
            .operation("PutObject")
            .key("a.bin"),
    );
    rig.publish().ok();
    let attempts: Vec<_> = rig.proxy.passed().into_iter().collect();
    let attempts: Vec<_> = attempts
        .iter()
        .filter(|one| one.operation == "PutObject" && one.key.ends_with("a.bin"))
        .collect();
    assert_eq!(attempts.len(), 4, "{attempts:?}");
    let paused = attempts[3].at - attempts[0].at;
    assert!(
        paused >= Duration::from_millis(100),
        "only {paused:?} for three refusals"
    );
    rig.assert_published();
}

#[test]
fn requests_that_break_off_are_sent_again() {
    let rig = Rig::with_big_file();
    for kind in [
        "PutObject",
        "CreateMultipartUpload",
        "UploadPart",
        "HeadObject",
    ] {
        rig.proxy.inject(next(1, Fault::Reset).operation(kind));
    }
    rig.publish().ok();
    assert!(rig.proxy.faults() >= 3);
    rig.assert_published();
}

/// The write was done, its answer was lost, and the repetition is refused by what it wrote itself.
#[test]
fn a_write_whose_answer_was_lost_is_recognised_as_our_own() {
    for key in ["a.bin", "big.img", "channels/"] {
        let rig = Rig::with_big_file();
        let is_write = |operation| matches!(operation, "PutObject" | "CompleteMultipartUpload");
        let rule = next(1, Fault::Lost)
            .key(key)
            .when(move |one| is_write(one.operation));
        rig.proxy.inject(rule);
        rig.publish().ok();
        assert_eq!(rig.proxy.faults(), 1, "{key}: {:?}", rig.proxy.passed());
        rig.assert_published();
    }
}

/// 409: another conditional write was under way, and neither is judged.
#[test]
fn a_conflict_of_conditional_writes_is_asked_again() {
    let rig = Rig::new();
    for key in ["a.bin", "channels/"] {
        let fault = Fault::Error(409, "ConditionalRequestConflict");
        rig.proxy
            .inject(next(1, fault).operation("PutObject").key(key));
    }
    rig.publish().ok();
    assert_eq!(rig.proxy.faults(), 2);
    rig.assert_published();
}

#[test]
fn bodies_that_break_off_are_read_again() {
    let rig = Rig::with_big_file();
    rig.publish().ok();
    for (key, after) in [("a.bin", 20_000), ("big.img", 3_000_000), ("big.img", 0)] {
        rig.proxy
            .inject(next(1, Fault::Cut(after)).operation("GetObject").key(key));
    }
    rig.verify().ok();
    assert_eq!(rig.proxy.faults(), 3, "{:?}", rig.proxy.passed());
    rig.assert_published();
}

// ---- what does not --------------------------------------------------------------------------------------------------

#[test]
fn wrong_bytes_are_damage() {
    let rig = Rig::new();
    rig.publish().ok();
    let key = "one/artifacts/agent/1.0.0/a.bin";
    rig.proxy.inject(
        every(Fault::Flip(49_999))
            .operation("GetObject")
            .key("a.bin"),
    );
    let ran = rig.verify();
    assert_says(&ran, 5, &["not as published"]);
    assert!(
        ran.stdout.contains("artifacts/agent/1.0.0/a.bin"),
        "{}",
        ran.stdout
    );
    rig.assert_published();
    rig.server.corrupt(key, 0);
    assert_says(&rig.verify(), 5, &["not as published"]);
    rig.server.remove(key);
    assert_says(&rig.verify(), 5, &["not as published"]);
}

#[test]
fn an_endless_slow_down_is_reported() {
    let rig = Rig::new().impatient();
    let ran = rig.refused(every(Fault::Error(503, "SlowDown")));
    assert_says(&ran, 1, &["503 SlowDown", "s3://releases/one"]);
}

#[test]
fn expired_credentials_are_called_expired() {
    let rig = Rig::new();
    rig.server.expire_credentials();
    let ran = rig.publish();
    assert_says(&ran, 1, &["expired", "renew"]);
    assert_says(&rig.verify(), 1, &["expired", "renew"]);
    rig.server.renew_credentials();
    assert_eq!(rig.server.keys(), [""; 0]);
    // They expire in the middle, too.
    let ran = rig.refused(
        every(Fault::Error(400, "ExpiredToken"))
            .operation("PutObject")
            .after(2),
    );
    assert_says(&ran, 1, &["expired", "renew"]);
}

#[test]
fn credentials_that_nobody_knows_are_refused_and_not_shown() {
    let rig = Rig::new();
    rig.server.forget_credentials();
    for level in ["info", "trace"] {
        let ran = rig.run_logging(&["releases"], level);
        assert_says(&ran, 1, &["InvalidAccessKeyId", "access key"]);
    }
    rig.server.renew_credentials();
    let input = rig.desk.path().join("input");
    let publish = [
        "publish",
        "agent",
        "1.0.0",
        input.to_str().unwrap(),
        "--channel",
        "stable",
    ];
    rig.run_logging(&publish, "trace").ok();
    rig.assert_published();
}

#[test]
fn a_missing_permission_is_named() {
    let rig = Rig::new();
    let ran = rig.refused(every(Fault::Error(403, "AccessDenied")).operation("PutObject"));
    assert_says(&ran, 1, &["403 AccessDenied", "s3:PutObject", "`releases`"]);
}

#[test]
fn a_bucket_that_is_gone_is_called_gone() {
    let mut rig = Rig::new();
    rig.bucket = "nowhere".to_owned();
    let gone = &["NoSuchBucket", "nowhere"];
    assert_says(&rig.publish(), 4, gone);
    let promote = ["promote", "agent", "1.0.0", "--to", "stable"];
    for command in [&["verify"][..], &["releases"], &promote] {
        assert_says(&rig.run(command), 4, gone);
    }
    rig.bucket = rig.server.bucket().to_owned();
    rig.refused(
        every(Fault::Error(404, "NoSuchBucket"))
            .operation("PutObject")
            .after(2),
    );
}

#[test]
fn a_server_that_refuses_connections_is_reported_with_the_way_out() {
    let rig = Rig::new().impatient();
    rig.proxy.refuse();
    for ran in [rig.publish(), rig.verify()] {
        assert_says(&ran, 1, &["store.endpoint_url"]);
    }
    rig.recover();
    rig.publish().ok();
    rig.assert_published();
}

#[test]
fn a_server_that_says_nothing_is_reported_with_the_way_out() {
    let rig = Rig::new().impatient();
    let ran = rig.refused(every(Fault::Hang));
    assert_says(&ran, 1, &["store.request_timeout"]);
}

// ---- at every step --------------------------------------------------------------------------------------------------

/// A publish and its promote, refused at each of their requests in turn. Not at the removal of the reservation: who may
/// not do that keeps the next one waiting until it expires, and nothing else.
#[test]
fn wherever_a_publish_ends_nothing_is_visible_by_halves() {
    let mut rig = Rig::new();
    let mut ended_after = Vec::new();
    loop {
        let step = ended_after.len();
        rig.prefix = format!("step-{step}");
        let rule = next(1, Fault::Error(403, "AccessDenied")).after(step);
        rig.proxy
            .inject(rule.when(|one| one.operation != "DeleteObject"));
        let before = rig.proxy.faults();
        let ran = rig.publish();
        rig.proxy.heal();
        let (releases, channels) = rig.visible();
        if rig.proxy.faults() == before {
            assert_eq!((ran.code, releases, channels), (Some(0), 1, 1));
            break;
        }
        assert_says(&ran, 1, &["AccessDenied"]);
        assert_eq!(channels, 0, "step {step}: it failed, and the channel moved");
        rig.publish().ok();
        assert_eq!(rig.visible(), (1, 1), "step {step}");
        ended_after.push(releases);
        assert!(
            step < 40,
            "a small publish needs few requests: {ended_after:?}"
        );
    }
    rig.assert_published();
    assert!(
        ended_after.contains(&0) && ended_after.contains(&1),
        "{ended_after:?}"
    );
    assert!(
        ended_after.is_sorted(),
        "once visible, visible: {ended_after:?}"
    );
}

#[test]
fn of_two_promotes_at_once_both_are_done_one_after_the_other() {
    let rig = Rig::new();
    rig.publish().ok();
    let input = rig.desk.path().join("input");
    for version in ["1.0.1", "1.0.2"] {
        rig.run(&["publish", "agent", version, input.to_str().unwrap()])
            .ok();
    }
    // Both read the same revision before either writes.
    let rule = every(Fault::Delay(Duration::from_millis(150)));
    rig.proxy
        .inject(rule.operation("PutObject").key("channels/agent/stable"));
    std::thread::scope(|scope| {
        let promotes = ["1.0.1", "1.0.2"].map(|version| {
            let rig = &rig;
            scope.spawn(move || rig.run(&["promote", "agent", version, "--to", "stable"]))
        });
        for promote in promotes {
            promote.join().unwrap().ok();
        }
    });
    rig.proxy.heal();
    let channel = rig.server.object("one/channels/agent/stable.json");
    let channel: serde_json::Value = serde_json::from_slice(&channel).unwrap();
    assert_eq!(channel["revision"], 3, "{channel}");
}

#[test]
fn a_promote_that_has_lost_its_reservation_moves_nothing() {
    let rig = Rig::new();
    let input = rig.desk.path().join("input");
    rig.run(&["publish", "agent", "1.0.0", input.to_str().unwrap()])
        .ok();
    let busy = every(Fault::Error(503, "SlowDown")).operation("GetObject");
    rig.proxy.inject(busy.key("channels/agent/stable"));
    let ran = std::thread::scope(|scope| {
        let promote = scope.spawn(|| rig.run(&["promote", "agent", "1.0.0", "--to", "stable"]));
        rig.proxy.await_faults(1);
        // It holds its lease and waits for the channel. Another publisher takes the lease over:
        let mut keys = rig.server.keys().into_iter();
        let lease = keys.find(|key| key.contains("/lease/")).unwrap();
        let target = format!("/{}/{lease}", rig.bucket);
        let taken = rig.server.client().send("PUT", &target, &[], b"another's");
        assert_eq!(taken.status, 200, "{taken:?}");
        poll(PATIENCE, "a holder that looks for its lease", || {
            let passed = rig.proxy.passed();
            passed
                .iter()
                .any(|one| {
                    one.operation == "GetObject"
                        && one.key.contains("/lease/")
                        && one.status == Some(200)
                })
                .then_some(())
        });
        rig.proxy.heal();
        promote.join().unwrap()
    });
    assert_says(
        &ran,
        1,
        &["reservation of agent 1.0.0", "no channel was moved"],
    );
    assert_eq!(rig.visible(), (1, 0));
}
