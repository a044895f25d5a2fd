//! What only a directory can get wrong: links, special files, full and read-only disks, dead publishers.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use bytes::Bytes;
use headwater::store::disk::DirectoryStore;
use headwater::store::{Created, Facts, Store, Sweep};

use crate::support::mount::Mount;
use crate::support::{artifact_key, bytes_of, channel_key, directory_store, upload};

/// Everything below a folder, so that "nothing was left" can be said.
fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_directory_is_a_store_only_after_init() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing")] {
        let error = DirectoryStore::open(&path).unwrap_err();
        let hint = error.source.to_string();
        assert!(hint.contains("headwater init --store"), "{hint}");
    }
    DirectoryStore::init(folder.path()).unwrap();
    DirectoryStore::init(folder.path()).unwrap();
    DirectoryStore::open(folder.path()).unwrap();
}

#[tokio::test]
async fn init_keeps_what_is_there() {
    let (_folder, store) = directory_store();
    let key = artifact_key("a");
    store.put_new(&key, Bytes::from("bytes")).await.unwrap();
    let again = DirectoryStore::init(store.path()).unwrap();
    assert_eq!(bytes_of(&again, &key).await.unwrap(), b"bytes");
}

#[tokio::test]
async fn links_and_special_files_are_no_objects() {
    let (folder, store) = directory_store();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let release = store.path().join("artifacts/agent/1.0");
    std::fs::create_dir_all(&release).unwrap();
    symlink("../../../../secret", release.join("link")).unwrap();
    symlink("../../../..", release.join("up")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(release.join("socket")).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(release.join("fifo"))
        .status()
        .unwrap();
    assert!(fifo.success());
    for name in ["link", "up/secret", "socket", "fifo"] {
        let key = artifact_key(name);
        assert_eq!(store.stat(&key).await.unwrap(), None, "{name}");
        assert!(store.open(&key).await.unwrap().is_none(), "{name}");
    }
    assert_eq!(store.list("artifacts/").await.unwrap(), []);
    // A link in the way is taken, not followed.
    let created = store
        .put_new(&artifact_key("link"), Bytes::from("x"))
        .await
        .unwrap();
    assert_eq!(created, Created::Taken);
    let secret = std::fs::read_to_string(folder.path().join("secret")).unwrap();
    assert_eq!(secret, "secret");
}

#[tokio::test]
async fn a_store_that_vanished_is_an_error_and_not_an_absent_object() {
    let (folder, store) = directory_store();
    let key = artifact_key("a");
    store.put_new(&key, Bytes::from("bytes")).await.unwrap();
    let aside = folder.path().join("aside");
    std::fs::rename(store.path(), &aside).unwrap();
    assert!(store.stat(&key).await.is_err());
    assert!(store.probe().await.is_err());
    std::fs::create_dir(store.path()).unwrap(); // as after `umount`: the empty mount point
    assert!(store.stat(&key).await.is_err());
    assert!(store.list("artifacts/").await.is_err());
    assert!(store.probe().await.is_err());
    std::fs::remove_dir(store.path()).unwrap();
    std::fs::rename(&aside, store.path()).unwrap();
    assert_eq!(store.stat(&key).await.unwrap(), Some(5));
    store.probe().await.unwrap();
}

#[tokio::test]
async fn objects_are_readable_for_another_server() {
    let (_folder, store) = directory_store();
    upload(&*store, &artifact_key("sub/a"), b"bytes", 2).await;
    store
        .swap(&channel_key("stable"), None, Bytes::from("{}"))
        .await
        .unwrap();
    for (path, mode) in [
        ("artifacts/agent/1.0/sub/a", 0o444),
        ("channels/agent/stable.json", 0o444),
        ("artifacts/agent/1.0/sub", 0o555),
    ] {
        let actual = std::fs::metadata(store.path().join(path))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(actual & mode, mode, "{path} has {actual:o}");
    }
}

#[tokio::test]
async fn an_empty_folder_of_a_dead_publish_is_not_in_the_way() {
    let (_folder, store) = directory_store();
    std::fs::create_dir_all(store.path().join("artifacts/agent/1.0/a/b/c")).unwrap();
    assert_eq!(
        upload(&*store, &artifact_key("a"), b"bytes", 9).await,
        Created::New
    );
    std::fs::create_dir_all(store.path().join("artifacts/agent/1.0/f")).unwrap();
    std::fs::write(store.path().join("artifacts/agent/1.0/f/g"), "in use").unwrap();
    assert!(
        store
            .put_new(&artifact_key("f"), Bytes::new())
            .await
            .is_err()
    );
    assert_eq!(
        bytes_of(&*store, &artifact_key("f/g")).await.unwrap(),
        b"in use"
    );
}

#[tokio::test]
async fn a_dead_publishers_files_are_swept_and_a_live_ones_are_not() {
    let (_folder, store) = directory_store();
    let mut live = store
        .create(&artifact_key("a"), &Facts::of_size(6))
        .await
        .unwrap();
    live.write(Bytes::from("one")).await.unwrap();
    // What SIGKILL leaves: the files, and a lock file that nobody locks.
    let dead = store.path().join(".headwater/tmp/1-0");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("alive"), "").unwrap();
    std::fs::write(dead.join("0"), "half").unwrap();
    std::fs::create_dir(store.path().join(".headwater/tmp/1-1")).unwrap();
    let found = store.sweep(Sweep::DryRun).await.unwrap();
    let found: Vec<_> = found
        .into_iter()
        .map(|entry| (entry.key, entry.size))
        .collect();
    assert_eq!(found, [(".headwater/tmp/1-0/0".to_owned(), 4)]);
    assert!(dead.exists());
    assert_eq!(store.sweep(Sweep::Remove).await.unwrap().len(), 1);
    assert!(!dead.exists());
    live.write(Bytes::from("two")).await.unwrap();
    assert_eq!(live.finish().await.unwrap(), Created::New);
}

#[tokio::test]
async fn a_publisher_leaves_no_folder_when_it_ends() {
    let (_folder, store) = directory_store();
    upload(&*store, &artifact_key("a"), b"bytes", 2).await;
    let path = store.path().to_owned();
    drop(store);
    assert_eq!(files_below(&path.join(".headwater")), [] as [String; 0]);
    assert_eq!(
        std::fs::read_dir(path.join(".headwater/tmp"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_full_disk_is_named_and_leaves_nothing() {
    let disk = Mount::tmpfs("1m");
    let store = DirectoryStore::init(disk.path().join("store")).unwrap();
    let key = artifact_key("large");
    let mut upload = store.create(&key, &Facts::of_size(4 << 20)).await.unwrap();
    let mut result = Ok(());
    for _ in 0..4 {
        result = upload.write(Bytes::from(vec![7; 1 << 20])).await;
        if result.is_err() {
            break;
        }
    }
    let error = result.unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::StorageFull);
    assert!(
        error.to_string().contains("artifacts/agent/1.0/large"),
        "{error}"
    );
    drop(upload);
    let error = store
        .put_new(&key, Bytes::from(vec![7; 2 << 20]))
        .await
        .unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(store.list("artifacts/").await.unwrap(), []);
    assert_eq!(store.sweep(Sweep::DryRun).await.unwrap(), []);
    // The room is there again.
    store
        .put_new(&key, Bytes::from(vec![7; 500 << 10]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_leaves_a_channel_as_it_was() {
    let disk = Mount::tmpfs("1m");
    let store = DirectoryStore::init(disk.path().join("store")).unwrap();
    let key = channel_key("stable");
    store.swap(&key, None, Bytes::from("one")).await.unwrap();
    let filler = vec![0; 2 << 20];
    let _ = std::fs::write(disk.path().join("filler"), &filler);
    let tag = store.read(&key, 9).await.unwrap().unwrap().tag;
    let error = store
        .swap(&key, Some(&tag), Bytes::from("two"))
        .await
        .unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(bytes_of(&store, &key).await.unwrap(), b"one");
}

#[tokio::test]
async fn a_read_only_store_is_read_and_not_written() {
    let (folder, store) = directory_store();
    let key = artifact_key("a");
    store.put_new(&key, Bytes::from("bytes")).await.unwrap();
    let view = Mount::read_only(store.path(), &folder.path().join("view"));
    let store = DirectoryStore::open(view.path()).unwrap();
    store.probe().await.unwrap();
    assert_eq!(bytes_of(&store, &key).await.unwrap(), b"bytes");
    let kind = std::io::ErrorKind::ReadOnlyFilesystem;
    let error = store
        .put_new(&artifact_key("b"), Bytes::new())
        .await
        .unwrap_err();
    assert_eq!(error.source.kind(), kind);
    assert_eq!(store.remove(&[key]).await.unwrap_err().source.kind(), kind);
    assert_eq!(
        store
            .try_reserve("x")
            .await
            .map(drop)
            .unwrap_err()
            .source
            .kind(),
        kind
    );
}
