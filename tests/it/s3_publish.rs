//! Publishing to a bucket: what a repeat sends again, who waits for whom, what is left behind and what each refusal says.
//!
//! A publisher that dies is one whose requests end in the middle and that never asks again, which is all that S3 and
//! other publishers ever see of it: the proxy before the server cuts it off. What kill -9 does to the program
//! itself is in `publish_crash.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use headwater::model::ChannelName;
use headwater::publish::{Mode, PublishError, PublishState, Published, Publisher, Silent};
use headwater::store::s3::{S3Options, S3Store};
use headwater::store::{Created, Store, Swapped};
use jiff::Timestamp;

use crate::harness::fault::{Fault, FaultProxy, every, next};
use crate::harness::s3::S3Server;
use crate::harness::{PATIENCE, aws, fixture};
use crate::support::engineer::{Counter, request};
use crate::support::{artifact_key, bytes_of, channel_key, release_id};

const MEBIBYTE: usize = 1 << 20;

/// Five parts, the last one of one MiB and a byte.
const LARGE_BYTES: usize = 33 * MEBIBYTE + 1;

const PREFIX: &str = "pre fix/ü";

/// A server, a proxy before it, and files to publish.
struct Scene {
    server: S3Server,
    proxy: FaultProxy,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let server = S3Server::start();
        Self {
            proxy: FaultProxy::before(server.address()),
            server,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn input(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = self.folder.path().join(name);
        for (name, bytes) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn store(&self, endpoint: &str, request_timeout: Duration) -> Arc<dyn Store> {
        let options = S3Options {
            bucket: self.server.bucket().to_owned(),
            prefix: PREFIX.to_owned(),
            region: Some(aws::REGION.to_owned()),
            endpoint_url: Some(endpoint.to_owned()),
            path_style: None,
            request_timeout,
            credentials: aws::credentials(),
        };
        Arc::new(S3Store::open(options).unwrap())
    }

    /// Asks the server itself.
    fn direct(&self) -> Arc<dyn Store> {
        self.store(&self.server.endpoint(), PATIENCE)
    }

    /// Asks through the proxy.
    fn proxied(&self) -> Arc<dyn Store> {
        self.store(&self.proxy.endpoint(), PATIENCE)
    }

    /// The keys in the bucket that only publishers look at.
    fn private(&self) -> Vec<String> {
        let mut keys = self.server.keys();
        keys.retain(|key| key.contains("/.headwater/"));
        keys
    }

    /// Publishes `agent 1.0` in a process that dies after three parts of a large file were sent.
    async fn die_after_three_parts(&self, input: &Path) {
        self.proxy
            .inject(every(Fault::Hang).operation("UploadPart").after(3));
        let publisher = publisher_to(self.proxied());
        let request = request("agent", "1.0", &[input]);
        let publishing =
            tokio::spawn(async move { publisher.publish(request, Arc::new(Silent)).await });
        let dead = async {
            while self.proxy.faults() < 2 || self.sent_parts() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, dead)
            .await
            .expect("three parts are sent");
        self.proxy.refuse();
        publishing.abort();
        assert!(publishing.await.unwrap_err().is_cancelled());
        self.proxy.heal();
    }

    fn sent_parts(&self) -> usize {
        let sent = self.server.asked();
        let is_sent = |asked: &&crate::harness::s3::Asked| {
            asked.operation == "UploadPart" && asked.status == Some(200)
        };
        sent.iter().filter(is_sent).count()
    }

    /// Lets so much time pass for S3 that a dead publisher's reservation is over.
    fn expire_leases(&self) {
        let mut leases = self.private();
        leases.retain(|key| key.contains("/lease/"));
        assert_eq!(leases.len(), 1, "{leases:?}");
        self.server.age(&leases[0], Duration::from_secs(60));
    }
}

fn publisher_to(store: Arc<dyn Store>) -> Publisher {
    let second = AtomicI64::new(1_700_000_000);
    let clock = move || Timestamp::from_second(second.fetch_add(1, Ordering::Relaxed)).unwrap();
    Publisher::new(store, Arc::new(clock))
}

async fn publish(store: &Arc<dyn Store>, input: &Path) -> Result<Published, PublishError> {
    let publisher = publisher_to(Arc::clone(store));
    let request = request("agent", "1.0", &[input]);
    publisher.publish(request, Arc::new(Silent)).await
}

async fn damage(store: &Arc<dyn Store>) -> Vec<String> {
    let publisher = publisher_to(Arc::clone(store));
    let verified = publisher
        .verify(None, None, Arc::new(Silent))
        .await
        .unwrap();
    assert!(verified.artifacts > 0);
    let damage = verified.damage.into_iter();
    damage
        .map(|one| format!("{}: {}", one.key, one.what))
        .collect()
}

fn in_words(error: &PublishError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_repeat_of_a_publish_that_died_sends_only_the_parts_that_are_missing() {
    let scene = Scene::new();
    let large = fixture::bytes(1, LARGE_BYTES);
    let input = scene.input("in", &[("large", &large), ("small", b"small")]);
    scene.die_after_three_parts(&input).await;
    assert_eq!(scene.server.uploads().len(), 1);
    scene.expire_leases();
    scene.server.forget();
    let store = scene.direct();
    let counter = Arc::new(Counter::default());
    let engineer = publisher_to(Arc::clone(&store));
    let progress = Arc::clone(&counter);
    let published = engineer
        .publish(request("agent", "1.0", &[&input]), progress)
        .await;
    assert_eq!(published.unwrap().state, PublishState::Published);
    assert_eq!(scene.server.count("UploadPart"), 2);
    assert_eq!(scene.server.count("CreateMultipartUpload"), 0);
    assert!(bytes_of(&*store, &artifact_key("large")).await.unwrap() == large);
    assert_eq!(damage(&store).await, [""; 0]);
    assert_eq!(scene.server.uploads(), [""; 0]);
    let all = counter.bytes.load(Ordering::Relaxed);
    assert_eq!(counter.advanced.load(Ordering::Relaxed), all);
    drop((engineer, store)); // the end of a program waits until its reservations are given up
    assert_eq!(scene.private(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_other_bytes_are_not_gone_on_with() {
    let scene = Scene::new();
    let mut large = fixture::bytes(1, LARGE_BYTES);
    let input = scene.input("in", &[("large", &large)]);
    scene.die_after_three_parts(&input).await;
    scene.expire_leases();
    large[LARGE_BYTES - 1] ^= 1; // in the part that is missing: the parts that are there are the same
    let input = scene.input("in", &[("large", &large)]);
    let store = scene.direct();
    publish(&store, &input).await.unwrap();
    assert!(bytes_of(&*store, &artifact_key("large")).await.unwrap() == large);
    let head = scene.server.client().send(
        "HEAD",
        &format!(
            "/{}/pre%20fix/%C3%BC/artifacts/agent/1.0/large",
            scene.server.bucket()
        ),
        &[],
        "",
    );
    assert_eq!(head.need("x-amz-meta-sha256"), fixture::sha256_hex(&large));
    assert_eq!(damage(&store).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_lists_and_removes_what_a_dead_publisher_sent_and_not_before_it_is_dead() {
    let scene = Scene::new();
    let large = fixture::bytes(1, LARGE_BYTES);
    let input = scene.input("in", &[("large", &large)]);
    scene.die_after_three_parts(&input).await;
    let publisher = publisher_to(scene.direct());
    let pruned = publisher.prune(1, Mode::Commit).await.unwrap();
    assert_eq!(pruned.litter, [], "its reservation is not over");
    scene.expire_leases();
    let listed = publisher.prune(1, Mode::DryRun).await.unwrap();
    let upload = listed
        .litter
        .iter()
        .find(|(key, _)| key.contains("?uploadId="));
    let (key, size) = upload.expect("the upload is listed");
    assert!(key.starts_with("artifacts/agent/1.0/large?"), "{key}");
    assert!(*size >= 16 * MEBIBYTE as u64, "{size}");
    assert_eq!(scene.server.uploads().len(), 1);
    let other = "agen".parse().unwrap();
    let pruned = publisher.prune_product(&other, 1, Mode::Commit).await;
    let refused = pruned.unwrap_err();
    assert!(
        matches!(&refused, PublishError::NoProduct(product) if *product == other),
        "what is there is another product's: {refused}"
    );
    assert_eq!(scene.server.uploads().len(), 1);
    let pruned = publisher.prune(1, Mode::Commit).await.unwrap();
    assert_eq!(pruned.litter, listed.litter);
    assert_eq!(scene.server.uploads(), [""; 0]);
    assert_eq!(scene.private(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_publish_has_sent_is_not_sent_again() {
    let scene = Scene::new();
    let large = fixture::bytes(1, 9 * MEBIBYTE);
    let files: [(&str, &[u8]); 3] = [("large", &large), ("a", b"a"), ("sub/b", b"")];
    let input = scene.input("in", &files);
    let denied = Fault::Error(403, "AccessDenied");
    scene
        .proxy
        .inject(next(1, denied).operation("PutObject").key("release.json"));
    let store = scene.proxied();
    let failed = publish(&store, &input).await.unwrap_err();
    let text = in_words(&failed);
    assert!(
        text.contains("/release.json`: S3 answered 403 AccessDenied"),
        "{text}"
    );
    assert!(text.contains("`s3:PutObject` on `releases`"), "{text}");
    scene.server.forget();
    let published = publish(&store, &input).await.unwrap();
    assert_eq!(published.state, PublishState::Published);
    let written: Vec<String> = scene
        .server
        .asked()
        .into_iter()
        .filter(|asked| asked.body_bytes > 0 && !asked.key.contains(".headwater"))
        .map(|asked| asked.key)
        .collect();
    assert_eq!(
        written,
        [format!("{PREFIX}/artifacts/agent/1.0/release.json")]
    );
    assert_eq!(damage(&store).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leftovers_of_the_same_size_and_other_bytes_are_replaced() {
    let scene = Scene::new();
    let large = fixture::bytes(1, 9 * MEBIBYTE);
    let before = scene.input("before", &[("large", &large), ("a", b"before")]);
    scene.proxy.inject(
        next(1, Fault::Error(403, "AccessDenied"))
            .operation("PutObject")
            .key("release.json"),
    );
    let store = scene.proxied();
    publish(&store, &before).await.unwrap_err();
    let other = fixture::bytes(2, 9 * MEBIBYTE);
    let after = scene.input("after", &[("large", &other), ("a", b"after!")]);
    publish(&store, &after).await.unwrap();
    assert!(bytes_of(&*store, &artifact_key("large")).await.unwrap() == other);
    assert_eq!(
        bytes_of(&*store, &artifact_key("a")).await.unwrap(),
        b"after!"
    );
    assert_eq!(damage(&store).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_publishers_at_once_one_publishes_and_the_other_finds_it_done() {
    let scene = Scene::new();
    let large = fixture::bytes(1, 9 * MEBIBYTE);
    let input = scene.input("in", &[("large", &large), ("a", b"a")]);
    let other = scene.input("other", &[("large", &large), ("a", b"b")]);
    let (one, two, three) = (scene.direct(), scene.direct(), scene.direct());
    let same = tokio::join!(publish(&one, &input), publish(&two, &input));
    let mut states =
        [same.0.unwrap().state, same.1.unwrap().state].map(|state| format!("{state:?}"));
    states.sort();
    assert_eq!(states, ["Published", "Unchanged"]);
    let refused = publish(&three, &other).await.unwrap_err();
    assert!(
        matches!(refused, PublishError::OtherBytes { .. }),
        "{refused}"
    );
    assert_eq!(scene.server.count("UploadPart"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_promotes_at_once_both_move_the_channel() {
    let scene = Scene::new();
    let store = scene.direct();
    let input = scene.input("in", &[("a", b"a")]);
    for version in ["1.0", "2.0"] {
        let publisher = publisher_to(Arc::clone(&store));
        let request = request("agent", version, &[&input]);
        publisher.publish(request, Arc::new(Silent)).await.unwrap();
    }
    let (one, two) = (publisher_to(scene.direct()), publisher_to(scene.direct()));
    let channel = ChannelName::parse("stable").unwrap();
    let (first, second) = (release_id("agent", "1.0"), release_id("agent", "2.0"));
    let moved = tokio::join!(
        one.promote(&first, &channel, None),
        two.promote(&second, &channel, None)
    );
    let mut revisions = [
        moved.0.unwrap().channel.revision,
        moved.1.unwrap().channel.revision,
    ];
    revisions.sort_unstable();
    assert_eq!(revisions, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_counts_as_ours() {
    let scene = Scene::new();
    let store = scene.proxied();
    for operation in ["PutObject", "CompleteMultipartUpload"] {
        let lost = next(1, Fault::Lost).operation(operation);
        scene
            .proxy
            .inject(lost.when(|passed| !passed.key.contains(".headwater")));
    }
    let large = fixture::bytes(1, 9 * MEBIBYTE);
    let input = scene.input("in", &[("large", &large)]);
    let published = publish(&store, &input).await.unwrap();
    assert_eq!(published.state, PublishState::Published);
    assert_eq!(scene.proxy.faults(), 2);
    let key = channel_key("stable");
    for (expected, bytes) in [(false, "one"), (true, "two")] {
        scene
            .proxy
            .inject(next(1, Fault::Lost).operation("PutObject").key("channels/"));
        let tag = store
            .read(&key, 99)
            .await
            .unwrap()
            .map(|document| document.tag);
        assert_eq!(tag.is_some(), expected);
        let swapped = store.swap(&key, tag.as_ref(), Bytes::from(bytes)).await;
        assert_eq!(swapped.unwrap(), Swapped::Done, "{bytes}");
    }
    assert_eq!(scene.proxy.faults(), 4);
    // And one that is another's does not, although it has the same bytes.
    let taken = store
        .put_new(&artifact_key("large"), Bytes::from(large))
        .await;
    assert_eq!(taken.unwrap(), Created::Taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_asks_for_patience_gets_it() {
    let scene = Scene::new();
    let slow = Fault::Error(503, "SlowDown");
    for operation in [
        "UploadPart",
        "PutObject",
        "CompleteMultipartUpload",
        "ListObjectsV2",
    ] {
        scene.proxy.inject(next(2, slow).operation(operation));
    }
    scene
        .proxy
        .inject(next(1, Fault::Reset).operation("CreateMultipartUpload"));
    let large = fixture::bytes(1, 17 * MEBIBYTE);
    let input = scene.input("in", &[("large", &large)]);
    let store = scene.proxied();
    publish(&store, &input).await.unwrap();
    scene.proxy.inject(
        next(1, Fault::Cut(1000))
            .operation("GetObject")
            .key("large"),
    );
    assert_eq!(damage(&store).await, [""; 0]);
    assert_eq!(scene.proxy.faults(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_eight_parts_are_in_memory() {
    let scene = Scene::new();
    let large = scene.folder.path().join("large");
    std::fs::File::create(&large)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    scene
        .proxy
        .inject(every(Fault::Hang).operation("UploadPart"));
    let counter = Arc::new(Counter::default());
    let (publisher, progress) = (publisher_to(scene.proxied()), Arc::clone(&counter));
    let request = request("agent", "1.0", &[&large]);
    let publishing = tokio::spawn(async move { publisher.publish(request, progress).await });
    let full = async {
        while scene.proxy.faults() < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, full)
        .await
        .expect("eight parts are sent");
    // What the reader may be ahead of the parts: the chunks between the two.
    let mut read = 0;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        read = counter.advanced.load(Ordering::Relaxed);
    }
    assert!(read <= (64 + 17) << 20, "{read} bytes were read");
    assert_eq!(scene.proxy.faults(), 8);
    scene.proxy.refuse();
    publishing.abort();
    assert!(publishing.await.unwrap_err().is_cancelled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_legal_name_is_the_key_byte_for_byte() {
    let scene = Scene::new();
    let names = [
        "libfoo_1%3a2.0+b1~rc1_amd64.deb",
        "a b",
        "ü/日本",
        "#",
        "q?x=1&y",
        "[x]{y}",
        "*<>|^`\"'",
        "%2F%",
        ".headwater/x",
        "~",
    ];
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, name.as_bytes())).collect();
    let input = scene.input("in", &files);
    let store = scene.direct();
    publish(&store, &input).await.unwrap();
    let keys = scene.server.keys();
    for name in names {
        let key = format!("{PREFIX}/artifacts/agent/1.0/{name}");
        assert!(keys.contains(&key), "{key}: {keys:?}");
        assert_eq!(
            bytes_of(&*store, &artifact_key(name)).await.unwrap(),
            name.as_bytes()
        );
    }
    assert_eq!(damage(&store).await, [""; 0]);
    let publisher = publisher_to(Arc::clone(&store));
    publisher
        .retire(&release_id("agent", "1.0"), "a test".into())
        .await
        .unwrap();
    let left = store.list("artifacts/").await.unwrap();
    let left: Vec<_> = left.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(
        left,
        [
            "artifacts/agent/1.0/release.json",
            "artifacts/agent/1.0/retired.json"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_the_way_out_and_no_secret() {
    let scene = Scene::new();
    let timeout = Duration::from_millis(200);
    let store = scene.store(&scene.proxy.endpoint(), timeout);
    let mut said = Vec::new();
    let mut ask = async |expected: &'static str| {
        let error = store.read(&artifact_key("a"), 9).await.unwrap_err();
        let text = format!("{error}: {}", error.source);
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(
            text.contains("s3://releases/pre fix/ü/artifacts/agent/1.0/a"),
            "{text}"
        );
        said.push(text);
    };
    scene.server.expire_credentials();
    ask("renew them").await;
    scene.server.forget_credentials();
    ask("does not accept these credentials").await;
    scene.server.renew_credentials();
    scene.proxy.inject(every(Fault::Error(503, "SlowDown")));
    ask("S3 answered 503 SlowDown").await;
    scene.proxy.heal();
    scene.proxy.inject(every(Fault::Hang));
    ask("raise `store.request_timeout`").await;
    scene.proxy.refuse();
    ask("check `store.endpoint_url`").await;
    for text in said {
        assert!(
            !text.contains(aws::SECRET) && !text.contains(aws::KEY_ID),
            "{text}"
        );
        assert!(!text.contains("http://"), "{text}");
    }
}
