//! Blocks over a store that a test can break. Owns the one fake of a store; only `tests/it/s3_serve*.rs` ask a real one.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;

use super::*;
use crate::catalog::{Artifact, Pieces};
use crate::model::{ArtifactName, ByteRange, Locator};
use crate::server::metrics::Metrics;
use crate::store::{
    Blob, Content, Created, Document, Entry, Facts, Key, Remote, Reservation, Store, StoreError,
    Swapped, Sweep, Tag, Upload,
};

/// What goes wrong with one read.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Fails,
    Flips,
    Hangs,
    IsShort,
}

/// One object, and what was asked of it.
#[derive(Debug, Default)]
struct Object {
    bytes: Bytes,
    faults: Mutex<VecDeque<Fault>>,
    reads: Mutex<Vec<ByteRange>>,
    opened: AtomicU64,
    is_away: AtomicBool,
}

#[derive(Clone, Debug)]
struct OneObject(Arc<Object>);

fn away(action: &'static str) -> StoreError {
    StoreError::new(action, "object", io::ErrorKind::ConnectionRefused.into())
}

#[async_trait]
impl Remote for OneObject {
    #[expect(clippy::cast_possible_truncation, reason = "a small object")]
    async fn read(&self, range: ByteRange) -> Result<Bytes, StoreError> {
        self.0.reads.lock().unwrap().push(range);
        if self.0.is_away.load(Ordering::Relaxed) {
            return Err(away("read"));
        }
        let (from, to) = (range.offset as usize, range.end() as usize);
        let fault = self.0.faults.lock().unwrap().pop_front();
        match fault {
            None => Ok(self.0.bytes.slice(from..to)),
            Some(Fault::Fails) => Err(away("read")),
            Some(Fault::Flips) => {
                let mut bytes = self.0.bytes[from..to].to_vec();
                bytes[17] ^= 1;
                Ok(bytes.into())
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::IsShort) => Ok(self.0.bytes.slice(from..to - 1)),
        }
    }
}

const NOT_ASKED: &str = "blocks never ask for this";

#[async_trait]
impl Store for OneObject {
    fn describe(&self) -> String {
        "one object".into()
    }

    async fn stat(&self, _key: &Key) -> Result<Option<u64>, StoreError> {
        Ok(Some(self.0.bytes.len() as u64))
    }

    async fn open(&self, _key: &Key) -> Result<Option<Blob>, StoreError> {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        if self.0.is_away.load(Ordering::Relaxed) {
            return Err(away("open"));
        }
        Ok(Some(Blob {
            content: Content::Remote(Arc::new(self.clone())),
            size: self.0.bytes.len() as u64,
        }))
    }

    async fn read(&self, _key: &Key, _size_max: u64) -> Result<Option<Document>, StoreError> {
        let range = ByteRange::whole(self.0.bytes.len() as u64);
        let bytes = Remote::read(self, range).await?;
        Ok(Some(Document {
            bytes,
            tag: Tag(String::new()),
        }))
    }

    async fn create(&self, _key: &Key, _facts: &Facts) -> Result<Box<dyn Upload>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn settle(&self, _keys: &[Key]) -> Result<(), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn put_new(&self, _key: &Key, _bytes: Bytes) -> Result<Created, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn swap(
        &self,
        _key: &Key,
        _expected: Option<&Tag>,
        _bytes: Bytes,
    ) -> Result<Swapped, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn list(&self, _prefix: &str) -> Result<Vec<Entry>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn list_folders(&self, _prefix: &str) -> Result<Vec<String>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn remove(&self, _keys: &[Key]) -> Result<(), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn try_reserve(&self, _scope: &str) -> Result<Option<Box<dyn Reservation>>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn probe(&self) -> Result<(), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn sweep(&self, _mode: Sweep) -> Result<Vec<Entry>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }
}

/// An artifact of a few blocks in a store, and its blocks in a cache.
struct Bench {
    object: Arc<Object>,
    source: Arc<Source>,
    blocks: Arc<Blocks>,
    counts: BlockCounts,
    _reading: Runtime,
}

/// Two blocks and a rest.
const SIZE: usize = 2 * BLOCK_BYTES + 1000;

fn in_memory() -> Cache {
    Cache {
        memory_bytes: 64 * PIECE_BYTES,
        disk_path: None,
        disk_bytes: 0,
        read_ahead_blocks: 0,
    }
}

fn on_disk(root: &tempfile::TempDir) -> Cache {
    Cache {
        disk_path: Some(root.path().join("cache")),
        disk_bytes: 32 * PIECE_BYTES,
        ..in_memory()
    }
}

fn artifact(bytes: &Bytes) -> Artifact {
    Artifact {
        name: ArtifactName::parse("a").unwrap(),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
        content_type: "application/octet-stream".into(),
        platform: None,
        pieces: Pieces {
            size: PIECE_BYTES,
            sha256: bytes.chunks(BLOCK_BYTES).map(Digest::of).collect(),
        },
    }
}

impl Bench {
    fn new(cache: &Cache) -> Self {
        Self::with_size(cache, SIZE)
    }

    fn with_size(cache: &Cache, size: usize) -> Self {
        let text = (0..u32::try_from(size / 4 + 1).unwrap()).flat_map(u32::to_le_bytes);
        let bytes: Bytes = text.take(size).collect::<Vec<u8>>().into();
        let object = Arc::new(Object {
            bytes: bytes.clone(),
            ..Object::default()
        });
        let key = Locator::from_url_path(b"/artifacts/agent/1/a").unwrap();
        let store = Arc::new(OneObject(Arc::clone(&object)));
        let source = Source::new(store, Key::of(&key).unwrap(), &artifact(&bytes));
        let (reading, readers) = Readers::start(4).unwrap();
        let counts = Metrics::new().blocks;
        let mut blocks = Blocks::open(cache, 8, readers, counts.clone()).unwrap();
        blocks.patience = Duration::from_secs(2);
        Self {
            object,
            source: Arc::new(source),
            blocks: Arc::new(blocks),
            counts,
            _reading: reading,
        }
    }

    fn fail(&self, faults: &[Fault]) {
        self.object.faults.lock().unwrap().extend(faults);
    }

    fn reads(&self) -> Vec<ByteRange> {
        self.object.reads.lock().unwrap().clone()
    }

    fn load(&self, index: usize) -> Result<Bytes, Damage> {
        let loading = self.blocks.load(&self.source, index);
        self.blocks.handle.block_on(loading).unwrap()
    }

    fn assert_good(&self, index: usize) {
        let range = self.source.range(index);
        let from = usize::try_from(range.offset).unwrap();
        let loaded = self.load(index).unwrap();
        assert!(loaded == self.object.bytes[from..from + loaded.len()]);
        assert_eq!(loaded.len() as u64, range.len);
    }
}

#[test]
fn a_block_is_fetched_alone_and_then_found_in_memory() {
    let bench = Bench::new(&in_memory());
    assert!(bench.blocks.get(&bench.source, 1).is_none());
    bench.assert_good(1);
    assert_eq!(bench.reads(), [ByteRange::new(PIECE_BYTES, PIECE_BYTES)]);
    assert!(bench.blocks.get(&bench.source, 1).is_some());
    assert!(!bench.blocks.is_in_memory(&bench.source, 0));
    bench.assert_good(2);
    assert_eq!(bench.object.opened.load(Ordering::Relaxed), 1);
    assert_eq!(bench.counts.fetched_bytes.get(), PIECE_BYTES + 1000);
}

#[test]
fn an_artifact_of_one_block_takes_one_request() {
    let bench = Bench::with_size(&in_memory(), 5000);
    bench.assert_good(0);
    assert_eq!(bench.object.opened.load(Ordering::Relaxed), 0);
    assert_eq!(bench.reads(), [ByteRange::whole(5000)]);
}

#[test]
fn fifty_who_want_a_block_at_once_fetch_it_once() {
    let bench = Bench::new(&in_memory());
    let all: Vec<_> = (0..50)
        .map(|_| bench.blocks.load(&bench.source, 0))
        .collect();
    for loading in all {
        let loaded = bench.blocks.handle.block_on(loading).unwrap().unwrap();
        assert_eq!(loaded.len() as u64, PIECE_BYTES);
    }
    assert_eq!(bench.reads().len(), 1);
}

#[test]
fn a_block_that_comes_wrong_once_is_fetched_once_more() {
    let bench = Bench::new(&in_memory());
    bench.fail(&[Fault::Flips]);
    bench.assert_good(0);
    assert_eq!((bench.reads().len(), bench.counts.damaged.get()), (2, 1));
    assert_eq!(
        bench.object.opened.load(Ordering::Relaxed),
        2,
        "under the same tag"
    );
}

#[test]
fn a_block_that_comes_wrong_twice_is_damage_and_never_kept() {
    let root = tempfile::tempdir().unwrap();
    let bench = Bench::new(&on_disk(&root));
    bench.fail(&[Fault::Flips, Fault::IsShort]);
    let damage = bench.load(0).unwrap_err();
    assert!(!damage.is_trouble(), "{damage:?}");
    let whole = ByteRange::new(0, PIECE_BYTES);
    assert!(
        matches!(&damage, Damage::Shared(why) if matches!(**why, Damage::Altered(range) if range == whole)),
        "{damage:?}"
    );
    assert_eq!((bench.reads().len(), bench.counts.damaged.get()), (2, 2));
    assert!(bench.blocks.get(&bench.source, 0).is_none());
    bench.assert_good(0);
    assert_eq!(bench.counts.disk_hits.get(), 0);
}

#[test]
fn trouble_is_waited_out_within_bounds() {
    let bench = Bench::new(&in_memory());
    bench.fail(&[Fault::Fails, Fault::Fails]);
    bench.assert_good(0);
    bench.fail(&[Fault::Hangs]);
    let damage = bench.load(1).unwrap_err();
    assert!(damage.is_trouble(), "{damage:?}");
    bench.object.is_away.store(true, Ordering::Relaxed);
    let damage = bench.load(1).unwrap_err();
    assert!(damage.is_trouble(), "{damage:?}");
    bench.object.is_away.store(false, Ordering::Relaxed);
    bench.assert_good(1);
}

#[test]
fn blocks_outlive_a_restart_and_a_store_that_is_away() {
    let root = tempfile::tempdir().unwrap();
    let first = Bench::new(&on_disk(&root));
    for index in 0..3 {
        first.assert_good(index);
    }
    first.blocks.close();
    drop(first);
    let second = Bench::new(&on_disk(&root));
    second.object.is_away.store(true, Ordering::Relaxed);
    for index in 0..3 {
        second.assert_good(index);
    }
    assert_eq!(second.counts.disk_hits.get(), 3);
    assert_eq!(second.object.opened.load(Ordering::Relaxed), 0);
}

/// Flips a byte in the middle of every megabyte of every file: in each block, and in what the cache writes about them.
fn damage_files(root: &tempfile::TempDir, step: usize) {
    let mut folders = vec![root.path().join("cache")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            for at in (step / 2..bytes.len()).step_by(step) {
                bytes[at] ^= 1;
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn a_damaged_disk_costs_a_fetch_and_never_a_wrong_byte() {
    for step in [1 << 20, 64] {
        let root = tempfile::tempdir().unwrap();
        let first = Bench::new(&on_disk(&root));
        first.assert_good(0);
        first.assert_good(2);
        first.blocks.close();
        drop(first);
        damage_files(&root, step);
        let second = Bench::new(&on_disk(&root));
        second.assert_good(0);
        assert_eq!(second.reads().len(), 1, "every {step} bytes");
        second.assert_good(2);
    }
}

/// What a checksum cannot see: a block that was stored whole, under a name that is not its own.
#[test]
fn a_block_on_disk_is_judged_by_its_digest_and_not_by_its_checksum() {
    let root = tempfile::tempdir().unwrap();
    let bench = Bench::new(&on_disk(&root));
    let wrong = Bytes::from(vec![7; BLOCK_BYTES]);
    let entry = bench
        .blocks
        .cache
        .memory()
        .insert(bench.source.block(1), wrong);
    bench.blocks.cache.storage().enqueue(entry.piece(), true);
    drop(entry);
    let waited = bench.blocks.cache.storage().wait();
    bench.blocks.handle.block_on(waited);
    bench.blocks.cache.memory().clear();
    bench.assert_good(1);
    assert_eq!(bench.counts.damaged.get(), 1);
    assert_eq!(bench.reads().len(), 1);
}

#[test]
fn a_cache_folder_that_is_no_cache_is_made_one() {
    let root = tempfile::tempdir().unwrap();
    let config = on_disk(&root);
    let path = config.disk_path.clone().unwrap();
    let blocks = Folder::open(&path, Geometry::of(config.disk_bytes))
        .unwrap()
        .blocks();
    std::fs::write(&blocks, "a file where a folder should be").unwrap();
    let bench = Bench::new(&config);
    bench.assert_good(0);
    assert!(blocks.is_dir());
}

#[test]
fn a_download_reads_ahead_only_what_memory_holds_for_all() {
    let cache = Cache {
        memory_bytes: 8 * PIECE_BYTES,
        read_ahead_blocks: 2,
        ..in_memory()
    };
    let bench = Bench::new(&cache);
    let crowd: Vec<_> = (0..5).map(|_| bench.blocks.join()).collect();
    bench.blocks.read_ahead(&bench.source, 0..=2);
    drop(crowd);
    let _alone = bench.blocks.join();
    bench.blocks.read_ahead(&bench.source, 1..=2);
    for index in [1, 2] {
        bench.assert_good(index);
    }
    assert!(!bench.blocks.is_in_memory(&bench.source, 0));
    assert_eq!(bench.reads().len(), 2);
}

#[test]
fn memory_stays_within_its_budget() {
    let cache = Cache {
        memory_bytes: 4 * PIECE_BYTES,
        ..in_memory()
    };
    let bench = Bench::with_size(&cache, 12 * BLOCK_BYTES);
    for index in 0..12 {
        bench.assert_good(index);
    }
    assert!(bench.blocks.cache.memory().usage() <= 4 * BLOCK_BYTES);
    assert!(bench.blocks.is_in_memory(&bench.source, 11));
    assert!(!bench.blocks.is_in_memory(&bench.source, 0));
}
