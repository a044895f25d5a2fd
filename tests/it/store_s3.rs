//! What only a bucket can get wrong: uploads in parts, metadata, other machines, other users of the bucket.
//!
//! Each promise is asked of both servers where both can show it; what needs to look into the server is asked of the
//! one in this process.

use std::time::Duration;

use bytes::Bytes;
use headwater::model::{Digest, PIECE_BYTES};
use headwater::store::{Content, Created, Digests, Facts, Swapped, Sweep};

use crate::harness::PATIENCE;
use crate::harness::fixture::{self, sha256_hex};
use crate::harness::s3::S3Server;
use crate::support::bucket::{Bucket, PREFIX, s3_store};
use crate::support::{artifact_key, bytes_of, channel_key, upload};

/// Three parts, the last one short.
const PARTS_BYTES: usize = 17 << 20;

macro_rules! on_both_servers {
    ($($promise:ident),+ $(,)?) => {
        mod in_process {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$promise(crate::support::bucket::Bucket::in_process()).await;
                }
            )+
        }
        mod in_moto {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$promise(crate::support::bucket::Bucket::in_moto()).await;
                }
            )+
        }
    };
}

on_both_servers!(
    an_upload_in_parts_is_the_sum_of_its_chunks_and_never_replaces,
    a_dropped_upload_in_parts_leaves_nothing_visible,
    a_live_upload_in_parts_survives_a_sweep,
    an_object_says_what_its_url_would,
    what_lies_beside_the_prefix_is_another_store,
    a_key_longer_than_s3_takes_is_refused,
    two_machines_share_reservations_and_channels,
);

/// All that a publisher knows of an artifact but its type.
fn facts_of(body: &[u8]) -> Facts {
    let pieces = body.chunks(usize::try_from(PIECE_BYTES).unwrap());
    Facts {
        digests: Some(Digests {
            whole: Digest::of(body),
            pieces: pieces.map(Digest::of).collect(),
        }),
        ..Facts::of_size(body.len() as u64)
    }
}

/// Asks again and again; panics when nothing came of it.
async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, asking).await;
    assert!(outcome.is_ok(), "not within {PATIENCE:?}: {what}");
}

async fn an_upload_in_parts_is_the_sum_of_its_chunks_and_never_replaces(bucket: Bucket) {
    let (store, key) = (&*bucket.store, artifact_key("big.img"));
    let body = fixture::bytes(1, PARTS_BYTES);
    assert_eq!(upload(store, &key, &body, 1_000_003).await, Created::New);
    assert_eq!(store.stat(&key).await.unwrap(), Some(PARTS_BYTES as u64));
    assert!(bytes_of(store, &key).await.unwrap() == body);
    let other = fixture::bytes(2, PARTS_BYTES);
    assert_eq!(upload(store, &key, &other, 4 << 20).await, Created::Taken);
    assert!(bytes_of(store, &key).await.unwrap() == body);
    eventually("no upload is left", async || bucket.uploads() == 0).await;
    if let Some(server) = &bucket.server {
        let parts = server.asked();
        let parts = parts.iter().filter(|one| one.operation == "UploadPart");
        assert!(parts.clone().count() >= 3);
        assert!(parts.clone().all(|part| part.body_bytes <= 8 << 20));
    }
}

async fn a_dropped_upload_in_parts_leaves_nothing_visible(bucket: Bucket) {
    let (store, key) = (&*bucket.store, artifact_key("big.img"));
    let body = Bytes::from(fixture::bytes(1, PARTS_BYTES));
    let mut dropped = store
        .create(&key, &Facts::of_size(PARTS_BYTES as u64))
        .await
        .unwrap();
    dropped.write(body.slice(..PARTS_BYTES - 1)).await.unwrap();
    drop(dropped);
    assert_eq!(store.stat(&key).await.unwrap(), None);
    assert_eq!(store.list("artifacts/").await.unwrap(), []);
    assert_eq!(upload(store, &key, &body, 5 << 20).await, Created::New);
    assert!(bytes_of(store, &key).await.unwrap() == body);
}

async fn a_live_upload_in_parts_survives_a_sweep(bucket: Bucket) {
    let (store, key) = (&*bucket.store, artifact_key("big.img"));
    let body = Bytes::from(fixture::bytes(1, PARTS_BYTES));
    let held = store.reserve(key.scope()).await.unwrap();
    let mut upload = store
        .create(&key, &Facts::of_size(PARTS_BYTES as u64))
        .await
        .unwrap();
    upload.write(body.slice(..12 << 20)).await.unwrap();
    assert_eq!(store.sweep(Sweep::Remove).await.unwrap(), []);
    assert_eq!(bucket.elsewhere().sweep(Sweep::Remove).await.unwrap(), []);
    upload.write(body.slice(12 << 20..)).await.unwrap();
    assert_eq!(upload.finish().await.unwrap(), Created::New);
    drop(held);
    assert!(bytes_of(store, &key).await.unwrap() == body);
}

/// So that S3 itself can stand in as a second origin.
async fn an_object_says_what_its_url_would(bucket: Bucket) {
    let immutable = "public, max-age=31536000, immutable";
    let small = artifact_key("notes.json");
    let big = artifact_key("big.img");
    let body = fixture::bytes(1, PARTS_BYTES);
    for (key, body, content_type) in [
        (&small, &b"{}"[..], Some("application/json")),
        (&big, &body, None),
    ] {
        let facts = Facts {
            content_type: content_type.map(str::to_owned),
            ..facts_of(body)
        };
        let mut upload = bucket.store.create(key, &facts).await.unwrap();
        upload.write(Bytes::copy_from_slice(body)).await.unwrap();
        assert_eq!(upload.finish().await.unwrap(), Created::New);
    }
    let channel = channel_key("stable");
    let swapped = bucket.store.swap(&channel, None, Bytes::from("{}"));
    assert_eq!(swapped.await.unwrap(), Swapped::Done);
    for (key, content_type, digest) in [
        (&small, "application/json", sha256_hex(b"{}")),
        (&big, "application/octet-stream", sha256_hex(&body)),
    ] {
        let head = bucket.ask("HEAD", &format!("{PREFIX}/{key}"), b"");
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.need("cache-control"), immutable, "{key}");
        assert_eq!(head.need("content-type"), content_type, "{key}");
        assert_eq!(head.field("x-amz-meta-sha256"), Some(&*digest), "{key}");
    }
    let head = bucket.ask("HEAD", &format!("{PREFIX}/{channel}"), b"");
    assert_eq!(head.need("content-type"), "application/json");
    assert!(head.need("cache-control").contains("max-age="), "{head:?}");
    assert_ne!(head.need("cache-control"), immutable);
}

async fn what_lies_beside_the_prefix_is_another_store(bucket: Bucket) {
    let key = artifact_key("a");
    upload(&*bucket.store, &key, b"abc", 3).await;
    assert!(
        bucket
            .listing()
            .contains(&format!("<Key>{PREFIX}/{key}</Key>"))
    );
    // A neighbour whose prefix begins with ours, and one who does not obey our names.
    for beside in [format!("{PREFIX}ed/{key}"), "nobody".to_owned()] {
        assert_eq!(bucket.ask("PUT", &beside, b"x").status, 200);
    }
    let listed = bucket.store.list("artifacts/").await.unwrap();
    let keys: Vec<_> = listed.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, [key.as_str()]);
    assert_eq!(
        bucket.store.list_folders("artifacts/").await.unwrap(),
        ["agent"]
    );
    assert_eq!(bucket.store.sweep(Sweep::Remove).await.unwrap(), []);
    assert!(bucket.listing().contains("nobody"));
}

/// S3 takes keys of 1024 bytes, the prefix included.
async fn a_key_longer_than_s3_takes_is_refused(bucket: Bucket) {
    let fixed = format!("{PREFIX}/{}", artifact_key("x")).len() - 1;
    for (key_bytes, is_taken) in [(1024, true), (1025, false)] {
        let mut name = "n/".repeat(key_bytes - fixed);
        name.truncate(key_bytes - fixed);
        let name = if name.ends_with('/') {
            format!("{}m", &name[..name.len() - 1])
        } else {
            name
        };
        let key = artifact_key(&name);
        assert_eq!(PREFIX.len() + 1 + key.as_str().len(), key_bytes);
        let outcome = bucket.store.put_new(&key, Bytes::from("x")).await;
        assert_eq!(outcome.is_ok(), is_taken, "{key_bytes} bytes: {outcome:?}");
    }
}

async fn two_machines_share_reservations_and_channels(bucket: Bucket) {
    let (one, other) = (&bucket.store, &bucket.elsewhere());
    let held = one.reserve("agent").await.unwrap();
    assert!(other.try_reserve("agent").await.unwrap().is_none());
    drop(held);
    let taken = tokio::time::timeout(PATIENCE, other.reserve("agent")).await;
    drop(taken.expect("the reservation is free").unwrap());
    let key = channel_key("stable");
    one.swap(&key, None, Bytes::from("one")).await.unwrap();
    let seen = other.read(&key, 99).await.unwrap().unwrap();
    let swapped = other.swap(&key, Some(&seen.tag), Bytes::from("two"));
    assert_eq!(swapped.await.unwrap(), Swapped::Done);
    let lost = one.swap(&key, Some(&seen.tag), Bytes::from("three"));
    assert_eq!(lost.await.unwrap(), Swapped::Lost);
    assert_eq!(bytes_of(&**one, &key).await.unwrap(), b"two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_an_error_of_the_probe() {
    let server = S3Server::start();
    let store = s3_store(&server.endpoint(), "nowhere");
    let error = store.probe().await.unwrap_err();
    assert!(
        error.source.to_string().contains("nowhere"),
        "{}",
        error.source
    );
    assert!(store.list("artifacts/").await.is_err());
    let key = artifact_key("a");
    assert!(store.put_new(&key, Bytes::from("x")).await.is_err());
    assert!(store.read(&key, 9).await.is_err(), "not an absent object");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_swept_when_nobody_holds_its_release_and_not_before() {
    let bucket = Bucket::in_process();
    let server = bucket.server.as_ref().unwrap();
    let key = artifact_key("big.img");
    let begun = bucket.ask("POST", &format!("{PREFIX}/{key}?uploads="), b"");
    assert_eq!(begun.status, 200, "{begun:?}");
    let held = bucket.elsewhere().reserve(key.scope()).await.unwrap();
    assert_eq!(bucket.store.sweep(Sweep::Remove).await.unwrap(), []);
    assert_eq!(server.uploads().len(), 1);
    drop(held);
    eventually("the reservation is free", async || {
        bucket
            .store
            .try_reserve(key.scope())
            .await
            .unwrap()
            .is_some()
    })
    .await;
    eventually("the reservation is free again", async || {
        bucket.store.sweep(Sweep::DryRun).await.unwrap().len() == 1
    })
    .await;
    assert_eq!(server.uploads().len(), 1);
    let removed = bucket.store.sweep(Sweep::Remove).await.unwrap();
    assert!(removed[0].key.starts_with(key.as_str()), "{removed:?}");
    assert_eq!(server.uploads(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_read_without_the_rest() {
    let bucket = Bucket::in_process();
    let server = bucket.server.as_ref().unwrap();
    let (key, body) = (artifact_key("a"), fixture::bytes(3, 100_000));
    upload(&*bucket.store, &key, &body, 50_000).await;
    let blob = bucket.store.open(&key).await.unwrap().unwrap();
    server.forget();
    let Content::Remote(remote) = &blob.content else {
        panic!("a bucket is not of this machine: {blob:?}");
    };
    let range = headwater::model::ByteRange::new(70_000, 100);
    assert_eq!(remote.read(range).await.unwrap(), body[70_000..70_100]);
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].range.as_deref(), Some("bytes=70000-70099"));
    assert!(asked[0].if_match.is_some(), "{asked:?}");
}
