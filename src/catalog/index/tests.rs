//! The index over a directory that changes, and with a clock that stands still. Owns what is looked at again and when;
//! never opens a socket.

use jiff::Timestamp;

use super::*;
use crate::catalog::{Pointer, Retirement};
use crate::model::Version;
use crate::store::disk::DirectoryStore;

const STALE_MAX: Duration = Duration::from_secs(60);

struct Bench {
    root: tempfile::TempDir,
    store: Arc<DirectoryStore>,
    index: Index,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::init(root.path()).unwrap());
        let index = Index::new(Arc::clone(&store) as Arc<dyn Store>, 4, STALE_MAX);
        Self { root, store, index }
    }

    async fn put(&self, locator: &Locator, bytes: impl Into<Bytes>) {
        self.store
            .put_new(&Key::of(locator).unwrap(), bytes.into())
            .await
            .unwrap();
    }

    async fn commit(&self, version: &str) -> Release {
        let release = Release::new(id(version), Timestamp::UNIX_EPOCH, None, Vec::new());
        self.put(&Locator::ReleaseDocument(id(version)), release.to_json())
            .await;
        release
    }

    fn path(&self, locator: &Locator) -> std::path::PathBuf {
        self.root.path().join(locator.to_store_key().unwrap())
    }
}

fn id(version: &str) -> ReleaseId {
    ReleaseId {
        product: Product::parse("agent").unwrap(),
        version: Version::parse(version).unwrap(),
    }
}

fn stable() -> (Product, ChannelName) {
    (
        Product::parse("agent").unwrap(),
        ChannelName::parse("stable").unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_release_is_found_one_period_after_its_commit() {
    let bench = Bench::new();
    assert!(bench.index.release(&id("1")).await.unwrap().is_none());
    bench.commit("1").await;
    tokio::time::advance(FRESH_FOR).await;
    assert!(bench.index.release(&id("1")).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_missing_release_is_looked_for_once_a_period() {
    let bench = Bench::new();
    assert!(bench.index.release(&id("1")).await.unwrap().is_none());
    bench.commit("1").await;
    assert!(bench.index.release(&id("1")).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_retired_release_is_gone_one_period_later_and_for_good() {
    let bench = Bench::new();
    bench.commit("1").await;
    assert!(bench.index.release(&id("1")).await.unwrap().is_some());
    let retirement = Retirement::new(Timestamp::UNIX_EPOCH, "old".into());
    bench
        .put(&Locator::Retirement(id("1")), retirement.to_json())
        .await;
    tokio::time::advance(FRESH_FOR).await;
    assert!(bench.index.release(&id("1")).await.unwrap().is_none());
    std::fs::remove_file(bench.path(&Locator::Retirement(id("1")))).unwrap();
    tokio::time::advance(FRESH_FOR).await;
    assert!(bench.index.release(&id("1")).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_loaded_release_is_not_read_again() {
    let bench = Bench::new();
    bench.commit("1").await;
    let loaded = bench.index.release(&id("1")).await.unwrap().unwrap();
    std::fs::write(bench.path(&Locator::ReleaseDocument(id("1"))), "half").unwrap();
    tokio::time::advance(FRESH_FOR).await;
    assert!(Arc::ptr_eq(
        &loaded,
        &bench.index.release(&id("1")).await.unwrap().unwrap()
    ));
}

#[tokio::test(start_paused = true)]
async fn a_half_written_document_is_an_error_and_not_a_release() {
    let bench = Bench::new();
    bench
        .put(&Locator::ReleaseDocument(id("1")), "{\"schema\": 1, \"prod")
        .await;
    let error = bench.index.release(&id("1")).await.unwrap_err();
    assert!(
        matches!(
            error,
            IndexError::Document {
                source: DocumentError::Unreadable(_),
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(bench.index.store_errors(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_moves_within_one_period_and_survives_a_damaged_document() {
    let bench = Bench::new();
    let (product, name) = stable();
    let at = |version: &str| {
        let release = Release::new(id(version), Timestamp::UNIX_EPOCH, None, Vec::new());
        Pointer::to(&release, &release.to_json())
    };
    let first = Channel::first(
        product.clone(),
        name.clone(),
        at("1"),
        Timestamp::UNIX_EPOCH,
        None,
    );
    let locator = Locator::Channel(product.clone(), name.clone());
    bench.put(&locator, first.to_json()).await;
    let current = async || {
        bench
            .index
            .channel(&product, &name)
            .await
            .unwrap()
            .unwrap()
            .channel
            .revision
    };
    assert_eq!(current().await, 1);
    let second = first.moved(at("2"), Timestamp::UNIX_EPOCH, None);
    std::fs::write(bench.path(&locator), second.to_json()).unwrap();
    assert_eq!(current().await, 1);
    tokio::time::advance(FRESH_FOR).await;
    assert_eq!(current().await, 2);
    std::fs::write(bench.path(&locator), "{").unwrap();
    tokio::time::advance(FRESH_FOR).await;
    assert_eq!(current().await, 2);
    assert_eq!(bench.index.store_errors(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_loaded_is_served_while_the_store_is_away() {
    let bench = Bench::new();
    bench.commit("1").await;
    assert!(bench.index.release(&id("1")).await.unwrap().is_some());
    // An unmounted disk looks like this: everything is gone, which is no retirement.
    let folder = bench
        .path(&Locator::ReleaseDocument(id("1")))
        .parent()
        .unwrap()
        .to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    tokio::time::advance(FRESH_FOR).await;
    assert!(bench.index.release(&id("1")).await.unwrap().is_some());
}
#[tokio::test(start_paused = true)]
async fn what_is_loaded_is_served_for_a_bounded_time_only_and_again_after_it() {
    let bench = Bench::new();
    bench.commit("1").await;
    let (product, name) = stable();
    let release = Release::new(id("1"), Timestamp::UNIX_EPOCH, None, Vec::new());
    let pointer = Pointer::to(&release, &release.to_json());
    let channel = Channel::first(
        product.clone(),
        name.clone(),
        pointer,
        Timestamp::UNIX_EPOCH,
        None,
    );
    let locator = Locator::Channel(product.clone(), name.clone());
    bench.put(&locator, channel.to_json()).await;
    let id = id("1");
    let look = async || {
        (
            bench.index.release(&id).await,
            bench.index.channel(&product, &name).await,
        )
    };
    assert!(matches!(look().await, (Ok(Some(_)), Ok(Some(_)))));
    // A file where a folder was is a store in trouble, as an empty folder is not.
    let folders = ["artifacts", "channels"].map(|name| bench.root.path().join(name));
    for folder in &folders {
        std::fs::remove_dir_all(folder).unwrap();
        std::fs::write(folder, "no folder").unwrap();
    }
    tokio::time::advance(STALE_MAX).await;
    assert!(matches!(look().await, (Ok(Some(_)), Ok(Some(_)))));
    tokio::time::advance(FRESH_FOR).await;
    let found = look().await;
    assert!(
        matches!(
            found,
            (Err(IndexError::Stale { .. }), Err(IndexError::Stale { .. }))
        ),
        "{found:?}"
    );
    for folder in &folders {
        std::fs::remove_file(folder).unwrap();
        std::fs::create_dir(folder).unwrap();
    }
    bench.put(&locator, channel.to_json()).await;
    tokio::time::advance(FRESH_FOR).await;
    assert!(matches!(look().await, (Ok(Some(_)), Ok(Some(_)))));
}
