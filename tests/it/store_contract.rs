//! Every promise of `src/store/mod.rs`, for each kind of store: `contract!` makes one test of each function here for
//! the store that it is given, so that the next store is one line.
//!
//! A bucket is held to the same promises on two servers that were written apart. What only one kind of store promises
//! is in `store_directory.rs` and `store_s3.rs`; a promise that takes thousands of requests is asked of a bucket in
//! fewer.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use headwater::model::ByteRange;
use headwater::store::{Blob, Content, Created, Facts, Key, Store, Swapped, Sweep};

use crate::harness::PATIENCE;
use crate::support::{artifact_key, bytes_of, channel_key, upload};

/// A store, and what must live as long as it.
type Fixture = (Box<dyn std::any::Any + Send>, Arc<dyn Store>);

macro_rules! contract {
    ($fixture:expr, [$($promise:ident),+ $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let (_keep, store): super::Fixture = $fixture;
                super::$promise(store).await;
            }
        )+
    };
}

/// What every kind of store promises; one of its own may follow.
macro_rules! store {
    ($module:ident, $fixture:expr, [$($own:ident),+ $(,)?]) => {
        mod $module {
            contract!(
                $fixture,
                [
                    what_was_put_is_read_back,
                    put_new_never_replaces,
                    an_upload_is_invisible_until_it_finishes,
                    a_dropped_upload_leaves_nothing,
                    an_upload_is_the_sum_of_its_chunks,
                    an_upload_of_another_size_than_announced_is_refused,
                    a_finished_upload_never_replaces,
                    a_key_that_is_a_folder_or_below_an_object_is_absent,
                    swap_creates_replaces_and_loses,
                    of_many_creators_one_wins,
                    a_listing_is_sorted_and_ends_at_the_prefix,
                    folders_are_listed_by_name,
                    what_is_removed_is_gone_and_can_come_again,
                    a_document_is_read_up_to_its_limit_and_not_beyond,
                    a_reservation_keeps_others_out_until_it_is_dropped,
                    a_waiting_publisher_gets_the_reservation_next,
                    a_live_publishers_files_survive_a_sweep,
                    a_store_that_is_there_can_be_probed,
                    $($own),+
                ]
            );
        }
    };
}

store!(
    directory,
    {
        let (folder, store) = crate::support::directory_store();
        (Box::new(folder), store)
    },
    [
        the_longest_name_has_a_place,
        thousands_of_objects_settle_together,
        of_many_swaps_at_once_each_revision_is_won_once,
        removing_races_with_creating_beside_it,
        an_open_object_outlives_its_key,
    ]
);

store!(
    s3_in_process,
    {
        let bucket = crate::support::bucket::Bucket::in_process();
        let store = std::sync::Arc::clone(&bucket.store);
        (Box::new(bucket), store)
    },
    [
        more_objects_than_a_page_of_s3_settle_together,
        of_some_swaps_at_once_each_revision_is_won_once,
        removing_sometimes_races_with_creating_beside_it,
        an_open_object_whose_key_has_others_is_an_error,
    ]
);

store!(
    s3_in_moto,
    {
        let bucket = crate::support::bucket::Bucket::in_moto();
        let store = std::sync::Arc::clone(&bucket.store);
        (Box::new(bucket), store)
    },
    [
        of_some_swaps_at_once_each_revision_is_won_once,
        removing_sometimes_races_with_creating_beside_it,
        an_open_object_whose_key_has_others_is_an_error,
    ]
);

/// Reads an open object whole.
async fn all_of(blob: &Blob) -> Bytes {
    match &blob.content {
        Content::File(file) => {
            let mut bytes = Vec::new();
            (&**file).read_to_end(&mut bytes).unwrap();
            bytes.into()
        }
        Content::Remote(remote) => remote.read(ByteRange::whole(blob.size)).await.unwrap(),
    }
}

fn folder_of(key: &Key) -> String {
    let (folder, _) = key.as_str().rsplit_once('/').unwrap();
    format!("{folder}/")
}

async fn what_was_put_is_read_back(store: Arc<dyn Store>) {
    for bytes in [&b""[..], b"bytes"] {
        let key = artifact_key(&format!("sub/{}", bytes.len()));
        assert_eq!(store.stat(&key).await.unwrap(), None);
        assert!(store.open(&key).await.unwrap().is_none());
        let created = store
            .put_new(&key, Bytes::from_static(bytes))
            .await
            .unwrap();
        assert_eq!(created, Created::New);
        assert_eq!(store.stat(&key).await.unwrap(), Some(bytes.len() as u64));
        assert_eq!(bytes_of(&*store, &key).await.unwrap(), bytes);
        let blob = store.open(&key).await.unwrap().unwrap();
        assert_eq!(blob.size, bytes.len() as u64);
        assert_eq!(all_of(&blob).await, bytes);
    }
}

async fn put_new_never_replaces(store: Arc<dyn Store>) {
    let key = artifact_key("a");
    store
        .put_new(&key, Bytes::from_static(b"first"))
        .await
        .unwrap();
    for bytes in [&b"second"[..], b"first"] {
        let created = store
            .put_new(&key, Bytes::from_static(bytes))
            .await
            .unwrap();
        assert_eq!(created, Created::Taken);
    }
    assert_eq!(bytes_of(&*store, &key).await.unwrap(), b"first");
}

async fn an_upload_is_invisible_until_it_finishes(store: Arc<dyn Store>) {
    let key = artifact_key("a");
    let mut upload = store.create(&key, &Facts::of_size(6)).await.unwrap();
    for chunk in ["one", "two"] {
        upload
            .write(Bytes::from_static(chunk.as_bytes()))
            .await
            .unwrap();
        assert_eq!(store.stat(&key).await.unwrap(), None);
        assert_eq!(store.list(&folder_of(&key)).await.unwrap(), []);
    }
    assert_eq!(upload.finish().await.unwrap(), Created::New);
    assert_eq!(bytes_of(&*store, &key).await.unwrap(), b"onetwo");
}

async fn a_dropped_upload_leaves_nothing(store: Arc<dyn Store>) {
    let key = artifact_key("a");
    let mut upload = store.create(&key, &Facts::of_size(6)).await.unwrap();
    upload.write(Bytes::from_static(b"one")).await.unwrap();
    drop(upload);
    assert_eq!(store.stat(&key).await.unwrap(), None);
    assert_eq!(store.list("artifacts/").await.unwrap(), []);
    assert_eq!(store.sweep(Sweep::DryRun).await.unwrap(), []);
}

async fn an_upload_is_the_sum_of_its_chunks(store: Arc<dyn Store>) {
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for chunk_bytes in [1 << 20, 65_536, 7_777] {
        let key = artifact_key(&format!("by {chunk_bytes}"));
        assert_eq!(
            upload(&*store, &key, &bytes, chunk_bytes).await,
            Created::New
        );
        assert!(bytes_of(&*store, &key).await.unwrap() == bytes);
    }
}

async fn an_upload_of_another_size_than_announced_is_refused(store: Arc<dyn Store>) {
    let key = artifact_key("a");
    let mut short = store.create(&key, &Facts::of_size(4)).await.unwrap();
    short.write(Bytes::from_static(b"one")).await.unwrap();
    assert!(short.finish().await.is_err());
    let mut long = store.create(&key, &Facts::of_size(4)).await.unwrap();
    long.write(Bytes::from_static(b"one")).await.unwrap();
    assert!(long.write(Bytes::from_static(b"two")).await.is_err());
    assert_eq!(store.stat(&key).await.unwrap(), None);
}

async fn a_finished_upload_never_replaces(store: Arc<dyn Store>) {
    let key = artifact_key("a");
    upload(&*store, &key, b"first", 2).await;
    assert_eq!(upload(&*store, &key, b"second", 2).await, Created::Taken);
    assert_eq!(bytes_of(&*store, &key).await.unwrap(), b"first");
}

async fn a_key_that_is_a_folder_or_below_an_object_is_absent(store: Arc<dyn Store>) {
    store
        .put_new(&artifact_key("a/b"), Bytes::new())
        .await
        .unwrap();
    for name in ["a", "a/b/c", "a/b/c/d", "none/at/all"] {
        let key = artifact_key(name);
        assert_eq!(store.stat(&key).await.unwrap(), None, "{name}");
        assert!(store.open(&key).await.unwrap().is_none(), "{name}");
        assert!(store.read(&key, 9).await.unwrap().is_none(), "{name}");
        store.remove(&[key]).await.unwrap();
    }
    assert_eq!(store.stat(&artifact_key("a/b")).await.unwrap(), Some(0));
}

async fn the_longest_name_has_a_place(store: Arc<dyn Store>) {
    let deep = vec!["d"; 512].join("/");
    let wide = [["w"; 4].map(|w| w.repeat(255)).join("/"), "x".into()].concat();
    let wide = &wide[..1023]; // the last segment has 255 bytes and the separators three
    for name in [deep.as_str(), wide] {
        let key = artifact_key(name);
        assert_eq!(upload(&*store, &key, b"bytes", 2).await, Created::New);
        assert_eq!(
            store.list(&folder_of(&key)).await.unwrap()[0].key,
            key.as_str()
        );
        store.remove(&[key]).await.unwrap();
    }
    assert_eq!(store.list("artifacts/").await.unwrap(), []);
}

async fn thousands_of_objects_settle_together(store: Arc<dyn Store>) {
    settle_together(store, 2_000).await;
}

async fn more_objects_than_a_page_of_s3_settle_together(store: Arc<dyn Store>) {
    settle_together(store, 1_003).await;
}

async fn settle_together(store: Arc<dyn Store>, count: usize) {
    let keys: Vec<Key> = (0..count)
        .map(|i| artifact_key(&format!("{}/{i}", i % 7)))
        .collect();
    let mut uploads = tokio::task::JoinSet::new();
    for some in keys.chunks(count.div_ceil(16)) {
        let (store, some) = (Arc::clone(&store), some.to_vec());
        uploads.spawn(async move {
            for key in &some {
                let mut upload = store.create(key, &Facts::of_size(3)).await.unwrap();
                upload.write(Bytes::from_static(b"abc")).await.unwrap();
                assert_eq!(upload.finish().await.unwrap(), Created::New);
            }
        });
    }
    uploads.join_all().await;
    store.settle(&keys).await.unwrap();
    store.settle(&keys[..3]).await.unwrap();
    store.settle(&[]).await.unwrap();
    assert_eq!(
        store.list("artifacts/agent/1.0/").await.unwrap().len(),
        keys.len()
    );
    assert_eq!(
        store.list_folders("artifacts/agent/1.0/").await.unwrap(),
        ["0", "1", "2", "3", "4", "5", "6"]
    );
    store.remove(&keys).await.unwrap();
    assert_eq!(store.list("artifacts/").await.unwrap(), []);
}

async fn swap_creates_replaces_and_loses(store: Arc<dyn Store>) {
    let key = channel_key("stable");
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    assert_eq!(
        store.swap(&key, None, bytes("one")).await.unwrap(),
        Swapped::Done
    );
    assert_eq!(
        store.swap(&key, None, bytes("two")).await.unwrap(),
        Swapped::Lost
    );
    let one = store.read(&key, 9).await.unwrap().unwrap();
    assert_eq!(one.bytes, "one");
    assert_eq!(
        store
            .swap(&key, Some(&one.tag), bytes("two"))
            .await
            .unwrap(),
        Swapped::Done
    );
    assert_eq!(
        store
            .swap(&key, Some(&one.tag), bytes("three"))
            .await
            .unwrap(),
        Swapped::Lost
    );
    assert_eq!(bytes_of(&*store, &key).await.unwrap(), b"two");
    let absent = channel_key("absent");
    assert_eq!(
        store
            .swap(&absent, Some(&one.tag), bytes("x"))
            .await
            .unwrap(),
        Swapped::Lost
    );
    assert_eq!(store.stat(&absent).await.unwrap(), None);
}

async fn of_many_swaps_at_once_each_revision_is_won_once(store: Arc<dyn Store>) {
    swap_at_once(store, 8, 5).await;
}

async fn of_some_swaps_at_once_each_revision_is_won_once(store: Arc<dyn Store>) {
    swap_at_once(store, 4, 3).await;
}

async fn swap_at_once(store: Arc<dyn Store>, writer_count: usize, move_count: usize) {
    let key = channel_key("stable");
    store.swap(&key, None, Bytes::from("0")).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..writer_count {
        let (store, key) = (Arc::clone(&store), key.clone());
        writers.spawn(async move {
            let mut done = 0;
            while done < move_count {
                let old = store.read(&key, 99).await.unwrap().unwrap();
                let count: usize = std::str::from_utf8(&old.bytes).unwrap().parse().unwrap();
                let new = Bytes::from((count + 1).to_string());
                if store.swap(&key, Some(&old.tag), new).await.unwrap() == Swapped::Done {
                    done += 1;
                }
            }
        });
    }
    writers.join_all().await;
    let count = bytes_of(&*store, &key).await.unwrap();
    assert_eq!(count, (writer_count * move_count).to_string().as_bytes());
}

async fn of_many_creators_one_wins(store: Arc<dyn Store>) {
    let key = artifact_key("deep/below/a");
    let mut creators = tokio::task::JoinSet::new();
    for number in 0..8_u8 {
        let (store, key) = (Arc::clone(&store), key.clone());
        creators.spawn(async move {
            let created = if number % 2 == 0 {
                store
                    .put_new(&key, Bytes::from(vec![number; 9]))
                    .await
                    .unwrap()
            } else {
                upload(&*store, &key, &[number; 9], 4).await
            };
            (created == Created::New).then_some(number)
        });
    }
    let winners: Vec<u8> = creators.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(bytes_of(&*store, &key).await.unwrap(), [winners[0]; 9]);
}

async fn a_listing_is_sorted_and_ends_at_the_prefix(store: Arc<dyn Store>) {
    for name in ["b", "a/z", "a.b", "a/b/c"] {
        store
            .put_new(&artifact_key(name), Bytes::from(name))
            .await
            .unwrap();
    }
    store
        .put_new(&channel_key("stable"), Bytes::new())
        .await
        .unwrap();
    let listed = store.list("artifacts/agent/1.0/").await.unwrap();
    let keys: Vec<_> = listed
        .iter()
        .map(|entry| &entry.key["artifacts/agent/1.0/".len()..])
        .collect();
    assert_eq!(keys, ["a.b", "a/b/c", "a/z", "b"]);
    assert_eq!(
        listed.iter().map(|entry| entry.size).collect::<Vec<_>>(),
        [3, 5, 3, 1]
    );
    assert!(listed.iter().all(|entry| Key::parse(&entry.key).is_some()));
    assert_eq!(store.list("artifacts/agent/1./").await.unwrap(), []);
    assert_eq!(store.list("artifacts/agent/1.0/a/").await.unwrap().len(), 2);
    assert_eq!(store.list("channels/").await.unwrap().len(), 1);
    for prefix in [
        "",
        "/",
        "../",
        "artifacts/../",
        "artifacts//",
        ".headwater/",
    ] {
        assert_eq!(store.list(prefix).await.unwrap(), [], "{prefix}");
    }
}

async fn folders_are_listed_by_name(store: Arc<dyn Store>) {
    for name in ["b/x", "a/x/y", "c"] {
        store
            .put_new(&artifact_key(name), Bytes::new())
            .await
            .unwrap();
    }
    assert_eq!(store.list_folders("artifacts/").await.unwrap(), ["agent"]);
    assert_eq!(
        store.list_folders("artifacts/agent/1.0/").await.unwrap(),
        ["a", "b"]
    );
    assert!(store.list_folders("channels/").await.unwrap().is_empty());
    assert!(
        store
            .list_folders("artifacts/none/")
            .await
            .unwrap()
            .is_empty()
    );
}

async fn what_is_removed_is_gone_and_can_come_again(store: Arc<dyn Store>) {
    let keys = ["a/b/c", "a/d"].map(artifact_key);
    for key in &keys {
        store.put_new(key, Bytes::new()).await.unwrap();
    }
    store.remove(&keys).await.unwrap();
    store.remove(&keys).await.unwrap();
    assert_eq!(store.list("artifacts/").await.unwrap(), []);
    assert!(store.list_folders("artifacts/").await.unwrap().is_empty());
    // The name of a folder that is gone is free for an object.
    let created = store
        .put_new(&artifact_key("a"), Bytes::new())
        .await
        .unwrap();
    assert_eq!(created, Created::New);
}

async fn removing_races_with_creating_beside_it(store: Arc<dyn Store>) {
    remove_and_create(store, 100).await;
}

async fn removing_sometimes_races_with_creating_beside_it(store: Arc<dyn Store>) {
    remove_and_create(store, 5).await;
}

async fn remove_and_create(store: Arc<dyn Store>, rounds: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let key = artifact_key(&format!("deep/folder/{worker}"));
            for _ in 0..rounds {
                assert_eq!(upload(&*store, &key, b"abc", 3).await, Created::New);
                store.remove(std::slice::from_ref(&key)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(store.list("artifacts/").await.unwrap(), []);
}

async fn an_open_object_outlives_its_key(store: Arc<dyn Store>) {
    let key = channel_key("stable");
    store.swap(&key, None, Bytes::from("old")).await.unwrap();
    let blob = store.open(&key).await.unwrap().unwrap();
    let tag = store.read(&key, 9).await.unwrap().unwrap().tag;
    store
        .swap(&key, Some(&tag), Bytes::from("newer"))
        .await
        .unwrap();
    store.remove(&[key]).await.unwrap();
    assert_eq!(blob.size, 3);
    assert_eq!(all_of(&blob).await, "old");
}

/// A bucket keeps no old states for those who read them: what was opened is read, or nothing is.
async fn an_open_object_whose_key_has_others_is_an_error(store: Arc<dyn Store>) {
    let keys = ["replaced", "removed"].map(channel_key);
    let mut blobs = Vec::new();
    for key in &keys {
        store.swap(key, None, Bytes::from("old")).await.unwrap();
        let blob = store.open(key).await.unwrap().unwrap();
        assert_eq!(all_of(&blob).await, "old");
        blobs.push(blob);
    }
    let tag = store.read(&keys[0], 9).await.unwrap().unwrap().tag;
    // As long as the old one, so that nothing but its tag tells them apart.
    let swapped = store.swap(&keys[0], Some(&tag), Bytes::from("new"));
    assert_eq!(swapped.await.unwrap(), Swapped::Done);
    store.remove(&keys[1..]).await.unwrap();
    for blob in blobs {
        let Content::Remote(remote) = &blob.content else {
            panic!("a bucket is not of this machine: {blob:?}");
        };
        for range in [ByteRange::whole(3), ByteRange::new(1, 1)] {
            let outcome = remote.read(range).await;
            assert!(outcome.is_err(), "{outcome:?}");
        }
    }
}

async fn a_document_is_read_up_to_its_limit_and_not_beyond(store: Arc<dyn Store>) {
    let key = channel_key("stable");
    store
        .put_new(&key, Bytes::from(vec![b'x'; 100]))
        .await
        .unwrap();
    assert_eq!(
        store.read(&key, 100).await.unwrap().unwrap().bytes.len(),
        100
    );
    let error = store.read(&key, 99).await.unwrap_err();
    assert!(
        error.source.to_string().contains("99 bytes"),
        "{}",
        error.source
    );
}

async fn a_reservation_keeps_others_out_until_it_is_dropped(store: Arc<dyn Store>) {
    let held = store.reserve("agent 1.0").await.unwrap();
    assert!(store.try_reserve("agent 1.0").await.unwrap().is_none());
    assert!(store.try_reserve("agent 2.0").await.unwrap().is_some());
    drop(held);
    // A bucket is told in the background.
    tokio::time::timeout(PATIENCE, store.reserve("agent 1.0"))
        .await
        .expect("the reservation is free")
        .unwrap();
}

async fn a_waiting_publisher_gets_the_reservation_next(store: Arc<dyn Store>) {
    let held = store.reserve("agent 1.0").await.unwrap();
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.reserve("agent 1.0").await.map(drop) })
    };
    assert!(!waiting.is_finished());
    drop(held);
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the reservation is free")
        .unwrap()
        .unwrap();
}

async fn a_live_publishers_files_survive_a_sweep(store: Arc<dyn Store>) {
    let key = artifact_key("a");
    let mut upload = store.create(&key, &Facts::of_size(6)).await.unwrap();
    upload.write(Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(store.sweep(Sweep::Remove).await.unwrap(), []);
    upload.write(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(upload.finish().await.unwrap(), Created::New);
    assert_eq!(bytes_of(&*store, &key).await.unwrap(), b"onetwo");
}

async fn a_store_that_is_there_can_be_probed(store: Arc<dyn Store>) {
    store.probe().await.unwrap();
}
