//! Blocks of artifacts that are in a store on another machine: in memory, on disk, and on their way.
//!
//! A block is a piece of an artifact, 4 MiB. Owns three promises: a block enters memory only when its bytes are the
//! published ones, wherever they came from; N who want the same block fetch it once; and memory is bounded by
//! `cache.memory_bytes` and `limits.store_reads_max`, whatever clients do. Never waits on a thread that serves: look
//! with [`Blocks::get`], else wait for [`Blocks::load`], which goes on when nobody waits for it any more. Read next:
//! `source.rs` for how a block is asked for, `folder.rs` for where blocks outlive the process.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use foyer::{
    Age, BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, Load, LruConfig, PsyncIoEngineConfig, Spawner,
};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::damage::Damage;
use super::metrics::BlockCounts;
use super::readers::{READ_BYTES, Readers};
use crate::config::Cache;
use crate::model::{Digest, Digester, PIECE_BYTES};
use crate::telemetry::chain;

mod folder;
mod source;
#[cfg(test)]
mod tests;

use self::folder::{Folder, Geometry};
pub use self::source::{BlockKey, Source};

/// How long one block is asked for, again and again: half of the 30 s that CloudFront waits for an origin between two
/// packets, so that it is us who break a download off, and say so.
const FETCH_PATIENCE: Duration = Duration::from_secs(15);

/// Before the second attempt; doubled before each further one, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A store that recovers is noticed within this.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A disk that takes longer for 4 MiB is slower than the store.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// How long the end of a server waits for blocks to reach the disk. What is lost is fetched again.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Less memory than this would turn blocks out before they are sent.
const MEMORY_BLOCKS_MIN: usize = 4;

/// Each share of the memory has its own lock; below so many blocks in one, luck would decide what stays.
const BLOCKS_PER_SHARD: usize = 16;

/// Shares of the memory: enough for a dozen serving threads, each of which asks once for 4 MiB.
const SHARDS_MAX: usize = 16;

/// What is written to disk at once. Blocks that arrive while so much waits are not kept on disk: serving never waits
/// for it.
const WRITE_BYTES: usize = 32 * 1024 * 1024;

/// Threads that wait for the cache's disk: one writes, the others read.
const DISK_THREADS: usize = 4;

#[expect(
    clippy::cast_possible_truncation,
    reason = "4 MiB fit everywhere that this runs"
)]
const BLOCK_BYTES: usize = PIECE_BYTES as usize;

/// All blocks of one server.
#[derive(Debug)]
pub struct Blocks {
    cache: HybridCache<BlockKey, Bytes>,
    /// `Some`: blocks are also on disk.
    folder: Option<Folder>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    readers: Readers,
    fetching: Semaphore,
    counts: BlockCounts,
    patience: Duration,
    capacity: usize,
    ahead_max: usize,
    downloads: AtomicUsize,
}

/// Why nobody gets a block: one failure for all who wait.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failure(Arc<Damage>);

/// A download that takes part in the memory; counted until it is dropped.
#[derive(Debug)]
pub struct Download(Arc<Blocks>);

impl Drop for Download {
    fn drop(&mut self) {
        self.0.downloads.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Blocks {
    /// Opens the cache that `config` describes, with what is left on disk of the last run. At most `fetches_max` blocks
    /// are asked of the store at a time.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process uses it. What is in it never is an error.
    pub fn open(
        config: &Cache,
        fetches_max: usize,
        readers: Readers,
        counts: BlockCounts,
    ) -> io::Result<Self> {
        let memory_bytes = usize::try_from(config.memory_bytes).unwrap_or(usize::MAX);
        let memory_blocks = (memory_bytes / BLOCK_BYTES).max(MEMORY_BLOCKS_MIN);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(DISK_THREADS)
            .enable_time()
            .thread_name("headwater-block")
            .build()?;
        let folder = match &config.disk_path {
            Some(path) => Some(Folder::open(path, Geometry::of(config.disk_bytes))?),
            None => None,
        };
        let (cache, folder) = open_cache(&runtime, memory_blocks, folder)?;
        Ok(Self {
            cache,
            folder,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            readers,
            // One more in flight than fits into memory would only turn another one out.
            fetching: Semaphore::new(fetches_max.clamp(1, memory_blocks)),
            counts,
            patience: FETCH_PATIENCE,
            capacity: memory_blocks,
            ahead_max: config.read_ahead_blocks,
            downloads: AtomicUsize::new(0),
        })
    }

    /// A block, if it is in memory.
    #[must_use]
    pub fn get(&self, source: &Source, index: usize) -> Option<Bytes> {
        let entry = self.cache.memory().get(&source.block(index))?;
        self.counts.memory_hits.inc();
        Some(entry.value().clone())
    }

    /// Whether a block is in memory.
    #[must_use]
    pub fn is_in_memory(&self, source: &Source, index: usize) -> bool {
        self.cache.memory().contains(&source.block(index))
    }

    /// Gets a block from wherever it is nearest. Goes on when nobody waits any more.
    #[must_use]
    pub fn load(
        self: &Arc<Self>,
        source: &Arc<Source>,
        index: usize,
    ) -> JoinHandle<Result<Bytes, Damage>> {
        let work = Arc::clone(self).bring(Arc::clone(source), index);
        self.handle.spawn(work)
    }

    /// Counts a download among those that share the memory.
    #[must_use]
    pub fn join(self: &Arc<Self>) -> Download {
        self.downloads.fetch_add(1, Ordering::Relaxed);
        Download(Arc::clone(self))
    }

    /// Starts on those of `wanted` that come next, as many as all downloads together may have ahead in half the
    /// memory: with a thousand downloads, a block that comes early is gone again before it is sent.
    pub fn read_ahead(self: &Arc<Self>, source: &Arc<Source>, wanted: RangeInclusive<usize>) {
        let downloads = self.downloads.load(Ordering::Relaxed).max(1);
        let ahead_max = self.ahead_max.min(self.capacity / 2 / downloads);
        for index in wanted.take(ahead_max) {
            if self.fetching.available_permits() == 0 {
                return;
            }
            if !self.is_in_memory(source, index) {
                drop(self.load(source, index)); // it goes on by itself
            }
        }
    }

    /// Waits, but not for long, until what is on its way to the disk is there.
    pub fn close(&self) {
        if self.folder.is_none() {
            return;
        }
        let closing = async { timeout(CLOSE_PATIENCE, self.cache.storage().close()).await };
        match self.handle.block_on(closing) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = chain(&error), "cannot close the block cache");
            }
            Err(_elapsed) => tracing::warn!(
                "the disk of the block cache is too slow: some blocks will be fetched again"
            ),
        }
    }

    /// The one way into memory. The cache makes one of all who ask at the same time.
    async fn bring(self: Arc<Self>, source: Arc<Source>, index: usize) -> Result<Bytes, Damage> {
        let is_for_disk = Arc::new(AtomicBool::new(false));
        let found = self.cache.memory().get_or_fetch(&source.block(index), || {
            let (me, source) = (Arc::clone(&self), Arc::clone(&source));
            let is_for_disk = Arc::clone(&is_for_disk);
            async move {
                let found = me.find(&source, index, &is_for_disk).await;
                found.map_err(|damage| Failure(Arc::new(damage)))
            }
        });
        match found.await {
            Ok(entry) => {
                if is_for_disk.load(Ordering::Relaxed) {
                    self.cache.storage().enqueue(entry.piece(), false);
                }
                Ok(entry.value().clone())
            }
            Err(error) => Err(match error.downcast_ref::<Failure>() {
                Some(Failure(damage)) => Damage::Shared(Arc::clone(damage)),
                None => Damage::Unreadable(io::Error::other(error)),
            }),
        }
    }

    async fn find(
        &self,
        source: &Arc<Source>,
        index: usize,
        is_for_disk: &AtomicBool,
    ) -> Result<Bytes, Damage> {
        if self.folder.is_some() {
            if let Some((bytes, age)) = self.find_on_disk(source, index).await {
                self.counts.disk_hits.inc();
                // Its place on disk is among the next to be overwritten, and somebody still wants it.
                is_for_disk.store(age == Age::Old, Ordering::Relaxed);
                return Ok(bytes);
            }
            is_for_disk.store(true, Ordering::Relaxed);
        }
        self.fetch(source, index).await
    }

    /// A block from disk, verified; what is wrong there is dropped.
    async fn find_on_disk(&self, source: &Arc<Source>, index: usize) -> Option<(Bytes, Age)> {
        let (key, range) = (source.key(), source.range(index));
        let storage = self.cache.storage();
        let block = source.block(index);
        let (bytes, age) = match timeout(DISK_PATIENCE, storage.load(&block)).await {
            Ok(Ok(Load::Entry {
                value, populated, ..
            })) => (value, populated.age),
            // On its way to the disk: it was verified on its way into memory.
            Ok(Ok(Load::Piece { piece, .. })) => return Some((piece.value().clone(), Age::Young)),
            Ok(Ok(Load::Miss | Load::Throttled)) => return None,
            Ok(Err(error)) => {
                let error = chain(&error);
                tracing::warn!(error, %key, "cannot read a block of `{key}` from the cache's disk");
                storage.delete(&block);
                return None;
            }
            Err(_elapsed) => {
                tracing::warn!(%key, "the disk of the block cache is too slow");
                return None;
            }
        };
        if self.is_good(source, index, &bytes).await {
            return Some((bytes, age));
        }
        self.counts.damaged.inc();
        tracing::warn!(
            %key, offset = range.offset, len = range.len,
            "dropped a damaged block of `{key}` from the cache's disk: {} bytes from {} on", range.len, range.offset
        );
        storage.delete(&block);
        None
    }

    /// A block from the store, verified: asked for again while the store is in trouble, and once more when it is wrong.
    async fn fetch(&self, source: &Arc<Source>, index: usize) -> Result<Bytes, Damage> {
        let _in_flight = self.counts.fetch_begins();
        let deadline = Instant::now() + self.patience;
        let mut pause = PAUSE_MIN;
        let mut has_been_wrong = false;
        loop {
            let attempt = timeout_at(deadline, self.attempt(source, index)).await;
            let damage = match attempt {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(damage)) => damage,
                Err(_elapsed) => return Err(Damage::TimedOut(self.patience)),
            };
            // Whatever is wrong may be mended by now, under another tag.
            source.forget().await;
            match &damage {
                Damage::Altered(_) if has_been_wrong => return Err(damage),
                Damage::Altered(_) => has_been_wrong = true,
                _ if !damage.is_trouble() || Instant::now() + pause >= deadline => {
                    return Err(damage);
                }
                _ => {
                    let key = source.key();
                    tracing::debug!(error = chain(&damage), %key, "fetching a block of `{key}` again");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn attempt(&self, source: &Arc<Source>, index: usize) -> Result<Bytes, Damage> {
        let _permit = self.fetching.acquire().await;
        let range = source.range(index);
        self.counts.fetches.inc();
        let bytes = source.read(range).await?;
        self.counts.fetched_bytes.inc_by(bytes.len() as u64);
        if self.is_good(source, index, &bytes).await {
            return Ok(bytes);
        }
        self.counts.damaged.inc();
        let (key, damage) = (source.key(), Damage::Altered(range));
        tracing::error!(
            %key, offset = range.offset, len = range.len, "the store sent a damaged block of `{key}`: {damage}"
        );
        Err(damage)
    }

    /// Whether bytes are the published ones.
    async fn is_good(&self, source: &Source, index: usize, bytes: &Bytes) -> bool {
        let (expected, bytes) = (source.digest(index), bytes.clone());
        if bytes.len() as u64 != source.range(index).len {
            return false;
        }
        let verified = self.readers.run(move || Ok(digest_of(&bytes) == expected));
        verified.await.unwrap_or(false)
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // whoever waits for a dead disk must not keep the process
        }
    }
}

/// At a reader's pace: see `READ_BYTES`.
fn digest_of(bytes: &[u8]) -> Digest {
    let mut digester = Digester::new();
    for part in bytes.chunks(READ_BYTES) {
        digester.update(part);
        std::thread::yield_now();
    }
    digester.finish()
}

type Opened = HybridCache<BlockKey, Bytes>;

/// Opens what is there; what cannot be understood is thrown away, and a folder that fails twice is done without.
fn open_cache(
    runtime: &Runtime,
    capacity: usize,
    folder: Option<Folder>,
) -> io::Result<(Opened, Option<Folder>)> {
    let attempt = |place: Option<(PathBuf, Geometry)>| {
        let building = build(runtime.handle().clone(), capacity, place);
        // In a task: what a damaged folder brings down there is not this thread. What the cache says about the steps of
        // its own construction is no news.
        let building = building.with_subscriber(NoSubscriber::default());
        let built = runtime.block_on(runtime.spawn(building));
        built.map_err(io::Error::other)?.map_err(io::Error::other)
    };
    let Some(folder) = folder else {
        return Ok((attempt(None)?, None));
    };
    let place = || Some((folder.blocks(), folder.geometry()));
    let opened = attempt(place()).or_else(|error| {
        let error = chain(&error);
        tracing::warn!(
            error,
            "the block cache on disk is damaged; starting with an empty one"
        );
        folder.empty()?;
        attempt(place())
    });
    let opened = opened.and_then(|cache| folder.reserve().map(|()| cache));
    match opened {
        Ok(cache) => Ok((cache, Some(folder))),
        Err(error) => {
            let error = chain(&error);
            tracing::error!(
                error,
                "the block cache on disk cannot be used; keeping blocks in memory only"
            );
            Ok((attempt(None)?, None))
        }
    }
}

async fn build(
    handle: Handle,
    capacity: usize,
    place: Option<(PathBuf, Geometry)>,
) -> foyer::Result<Opened> {
    let builder = HybridCacheBuilder::new()
        .with_name("blocks")
        .with_policy(HybridCachePolicy::WriteOnInsertion) // by `bring`, once; a process that is killed has kept them
        .with_flush_on_close(false)
        .memory(capacity * BLOCK_BYTES)
        .with_shards((capacity / BLOCKS_PER_SHARD).clamp(1, SHARDS_MAX))
        // The order in which blocks are used is all there is to know: those that were read ahead come last.
        .with_eviction_config(LruConfig::default())
        .with_weighter(|_key: &BlockKey, bytes: &Bytes| bytes.len())
        .storage()
        .with_spawner(Spawner::from(handle))
        .with_io_engine_config(PsyncIoEngineConfig::new());
    let Some((path, geometry)) = place else {
        return builder.build().await;
    };
    let device = FsDeviceBuilder::new(path)
        .with_capacity(geometry.bytes())
        .build()?;
    let engine = BlockEngineConfig::new(device)
        .with_block_size(geometry.segment_bytes)
        .with_buffer_pool_size(WRITE_BYTES)
        .with_submit_queue_size_threshold(2 * WRITE_BYTES);
    builder.with_engine_config(engine).build().await
}
