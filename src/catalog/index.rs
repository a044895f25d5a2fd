//! What the origin knows: releases and channels in memory, and when each is looked at again.
//!
//! Releases are immutable, so a loaded document is never read again; only two things are asked anew, at most twice
//! a second per release and only when somebody requests it: does an unknown release exist by now, and was a known
//! one retired. What is loaded is served on while the store cannot be read, for a bounded time. Never opens an artifact
//! (`server/artifact.rs` does) and never writes.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use lru::LruCache;
use tokio::sync::{MutexGuard, Semaphore};
use tokio::time::{Instant, timeout};

use super::{
    CHANNEL_BYTES_MAX, Channel, DocumentError, RELEASE_BYTES_MAX, RETIREMENT_BYTES_MAX, Release,
    Turns,
};
use crate::model::{ChannelName, Digest, Locator, Product, ReleaseId};
use crate::store::{Document, Key, Store, StoreError};
use crate::telemetry::chain;

/// How long an answer from the store is good for. Two periods fit into the second within which a new release, a
/// moved channel and a retirement must be visible.
pub const FRESH_FOR: Duration = Duration::from_millis(400);

/// How long a request waits for the store before it is answered from memory, or with 503 when nothing is there.
/// A local file system answers in microseconds; a network one that takes longer than this is as good as away.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long a request waits that can be answered from memory. A bucket on the other side of the world answers in less;
/// and while a store hangs, one request for each object waits every time what is known has become old.
pub const PATIENCE_WITH_KNOWN: Duration = Duration::from_secs(1);

/// Names that do not exist, remembered so that a flood of requests for one costs one look a period. Bounded, because
/// the names come from strangers.
const ABSENT_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8191);

/// Releases and channels in memory, over a store. Shared by all threads of a server.
#[derive(Debug)]
pub struct Index {
    store: Arc<dyn Store>,
    reads: Semaphore,
    stale_max: Duration,
    started: Instant,
    releases: RwLock<HashMap<ReleaseId, Arc<Slot<LoadedRelease>>>>,
    channels: RwLock<HashMap<ChannelKey, Arc<Slot<LoadedChannel>>>>,
    absent: Mutex<LruCache<Key, Instant>>,
    /// Held while something unknown is looked for, by its name's share: a flood for one new release is one look.
    loading: Turns,
    errors: AtomicU64,
    changes: AtomicU64,
}

type ChannelKey = (Product, ChannelName);

/// A release in memory.
#[derive(Debug)]
pub struct LoadedRelease {
    /// What the document says.
    pub release: Release,
    /// The document's bytes, as they are served.
    pub document: Bytes,
    /// Their digest.
    pub digest: Digest,
}

/// A channel in memory.
#[derive(Debug)]
pub struct LoadedChannel {
    /// What the document says.
    pub channel: Channel,
    /// The document's bytes, as they are served.
    pub document: Bytes,
    /// Their digest.
    pub digest: Digest,
}

/// Something that was loaded at least once.
#[derive(Debug)]
struct Slot<T> {
    /// `None`: it existed and is gone for good (retired) or for now (a channel that was removed).
    value: RwLock<Option<Arc<T>>>,
    /// The last look, in milliseconds after `Index::started`.
    checked: AtomicU64,
    /// The last look that told something, likewise.
    seen: AtomicU64,
    /// Held by the one task that looks.
    looking: tokio::sync::Mutex<()>,
}

/// Why something could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The store did not answer in time.
    #[error("the store did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The store answered with an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has not answered for longer than what is known may be served.
    #[error("the store has not answered for {} s, `limits.store_stale_max` is {} s", age.as_secs(), max.as_secs())]
    Stale {
        /// Since it did.
        age: Duration,
        /// As configured.
        max: Duration,
    },
    /// The document is there, but cannot be used.
    #[error("cannot use `{key}`")]
    Document {
        /// Where it is stored.
        key: Key,
        /// What is wrong with it.
        source: DocumentError,
    },
}

impl<T> Slot<T> {
    fn new(value: Arc<T>, checked: u64) -> Self {
        let value = RwLock::new(Some(value));
        Self {
            value,
            checked: AtomicU64::new(checked),
            seen: AtomicU64::new(checked),
            looking: tokio::sync::Mutex::new(()),
        }
    }

    fn get(&self) -> Option<Arc<T>> {
        self.value
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, value: Option<Arc<T>>) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

impl Index {
    /// An empty index over `store` that reads at most `reads_max` documents at a time, and goes on with what it knows for
    /// `stale_max` when it cannot.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, reads_max: usize, stale_max: Duration) -> Self {
        Self {
            store,
            reads: Semaphore::new(reads_max),
            stale_max,
            started: Instant::now(),
            releases: RwLock::default(),
            channels: RwLock::default(),
            absent: Mutex::new(LruCache::new(ABSENT_MAX)),
            loading: Turns::new(),
            errors: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    /// The store behind the index.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// How often the store failed to answer, ever.
    #[must_use]
    pub fn store_errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Grows whenever something that was known turned out to have changed. Whoever remembers an answer of the index
    /// forgets it then, so that no two threads contradict each other.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Releases in memory.
    #[must_use]
    pub fn loaded_releases(&self) -> usize {
        self.releases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// A release that is committed and not retired; `None` when there is none.
    pub async fn release(&self, id: &ReleaseId) -> Result<Option<Arc<LoadedRelease>>, IndexError> {
        let Some(slot) = self.release_slot(id) else {
            return self.load_release(id).await;
        };
        if self.is_fresh(&slot) {
            return self.known(&slot);
        }
        // One looks; the others go on with what is known, so that a store that hangs holds up one request and not all.
        let Ok(_looking) = slot.looking.try_lock() else {
            return self.known(&slot);
        };
        if slot.get().is_some() && !self.is_fresh(&slot) {
            match self.is_retired(id, PATIENCE_WITH_KNOWN).await {
                Ok(true) => {
                    slot.set(None);
                    self.changes.fetch_add(1, Ordering::Release);
                    self.mark_seen(&slot);
                }
                Ok(false) => self.mark_seen(&slot),
                // The bytes of a release never change, so that serving it on is right while the store is away.
                Err(error) => self.report(&error),
            }
            self.mark(&slot);
        }
        self.known(&slot)
    }

    /// A channel as it is now, or as it was last seen when the store cannot say; `None` when there is none.
    pub async fn channel(
        &self,
        product: &Product,
        name: &ChannelName,
    ) -> Result<Option<Arc<LoadedChannel>>, IndexError> {
        let id = (product.clone(), name.clone());
        let Some(slot) = self.channel_slot(&id) else {
            return self.load_channel(id).await;
        };
        if self.is_fresh(&slot) {
            return self.known(&slot);
        }
        let Ok(_looking) = slot.looking.try_lock() else {
            return self.known(&slot);
        };
        if !self.is_fresh(&slot) {
            let known = slot.get();
            match self.read_channel(&id, known.as_ref()).await {
                Ok(found) => {
                    let is_same =
                        found.as_ref().map(Arc::as_ptr) == known.as_ref().map(Arc::as_ptr);
                    slot.set(found);
                    if !is_same {
                        self.changes.fetch_add(1, Ordering::Release);
                    }
                    self.mark_seen(&slot);
                }
                Err(error) => self.report(&error),
            }
            self.mark(&slot);
        }
        self.known(&slot)
    }

    async fn load_release(&self, id: &ReleaseId) -> Result<Option<Arc<LoadedRelease>>, IndexError> {
        let Some(key) = Key::of(&Locator::ReleaseDocument(id.clone())) else {
            return Ok(None);
        };
        let _loading = self.count(self.turn_to_load(&key).await)?;
        if let Some(slot) = self.release_slot(id) {
            return Ok(slot.get());
        }
        if self.is_known_absent(&key) {
            return Ok(None);
        }
        if self.count(self.is_retired(id, PATIENCE).await)? {
            self.remember_absent(key);
            return Ok(None);
        }
        let Some(document) = self.count(self.read(&key, RELEASE_BYTES_MAX, PATIENCE).await)? else {
            self.remember_absent(key);
            return Ok(None);
        };
        let release = Release::from_json(id, &document.bytes)
            .map_err(|source| IndexError::Document { key, source });
        let digest = Digest::of(&document.bytes);
        let loaded = Arc::new(LoadedRelease {
            release: self.count(release)?,
            document: document.bytes,
            digest,
        });
        let slot = Slot::new(Arc::clone(&loaded), self.now());
        let mut releases = self
            .releases
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        releases.insert(id.clone(), Arc::new(slot));
        Ok(Some(loaded))
    }

    async fn load_channel(&self, id: ChannelKey) -> Result<Option<Arc<LoadedChannel>>, IndexError> {
        let Some(key) = Key::of(&Locator::Channel(id.0.clone(), id.1.clone())) else {
            return Ok(None);
        };
        let _loading = self.count(self.turn_to_load(&key).await)?;
        if let Some(slot) = self.channel_slot(&id) {
            return Ok(slot.get());
        }
        if self.is_known_absent(&key) {
            return Ok(None);
        }
        let Some(loaded) = self.count(self.read_channel(&id, None).await)? else {
            self.remember_absent(key);
            return Ok(None);
        };
        let slot = Slot::new(Arc::clone(&loaded), self.now());
        let mut channels = self
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        channels.insert(id, Arc::new(slot));
        Ok(Some(loaded))
    }

    fn release_slot(&self, id: &ReleaseId) -> Option<Arc<Slot<LoadedRelease>>> {
        self.releases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    fn channel_slot(&self, id: &ChannelKey) -> Option<Arc<Slot<LoadedChannel>>> {
        self.channels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    /// Waits for whoever loads the same name, no longer than for the store itself.
    async fn turn_to_load(&self, key: &Key) -> Result<MutexGuard<'_, ()>, IndexError> {
        timeout(PATIENCE, self.loading.take(key))
            .await
            .map_err(|_elapsed| IndexError::TimedOut(PATIENCE))
    }

    async fn read_channel(
        &self,
        (product, name): &ChannelKey,
        known: Option<&Arc<LoadedChannel>>,
    ) -> Result<Option<Arc<LoadedChannel>>, IndexError> {
        let Some(key) = Key::of(&Locator::Channel(product.clone(), name.clone())) else {
            return Ok(None);
        };
        let patience = known.map_or(PATIENCE, |_known| PATIENCE_WITH_KNOWN);
        let document = self.read(&key, CHANNEL_BYTES_MAX, patience).await?;
        let Some(Document { bytes, .. }) = document else {
            return Ok(None);
        };
        if let Some(known) = known.filter(|known| known.document == bytes) {
            return Ok(Some(Arc::clone(known)));
        }
        let channel = Channel::from_json(product, name, &bytes)
            .map_err(|source| IndexError::Document { key, source })?;
        let digest = Digest::of(&bytes);
        Ok(Some(Arc::new(LoadedChannel {
            channel,
            document: bytes,
            digest,
        })))
    }

    async fn is_retired(&self, id: &ReleaseId, patience: Duration) -> Result<bool, IndexError> {
        let Some(key) = Key::of(&Locator::Retirement(id.clone())) else {
            return Ok(false);
        };
        // Not `stat`: a bucket's answer to HEAD cannot tell a missing object from a missing bucket, so that a store in
        // one has to ask twice.
        let retirement = self.read(&key, RETIREMENT_BYTES_MAX, patience).await?;
        Ok(retirement.is_some())
    }

    /// Reads a document. Bounds how many requests are at the store and how long each stays there.
    async fn read(
        &self,
        key: &Key,
        size_max: u64,
        patience: Duration,
    ) -> Result<Option<Document>, IndexError> {
        let look = async {
            let _permit = self.reads.acquire().await;
            self.store.read(key, size_max).await
        };
        let looked = timeout(patience, look).await;
        Ok(looked.map_err(|_elapsed| IndexError::TimedOut(patience))??)
    }

    /// Counts an error on its way to a caller who will answer with 503.
    fn count<T>(&self, outcome: Result<T, IndexError>) -> Result<T, IndexError> {
        if outcome.is_err() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// Handles an error here: what is in memory is served on.
    fn report(&self, error: &IndexError) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            error = chain(error),
            "cannot look at the store; serving from memory"
        );
    }

    fn is_known_absent(&self, key: &Key) -> bool {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent
            .get(key)
            .is_some_and(|seen| seen.elapsed() < FRESH_FOR)
    }

    fn remember_absent(&self, key: Key) {
        self.absent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(key, Instant::now());
    }

    fn is_fresh<T>(&self, slot: &Slot<T>) -> bool {
        let age = self
            .now()
            .saturating_sub(slot.checked.load(Ordering::Relaxed));
        u128::from(age) < FRESH_FOR.as_millis()
    }

    /// What is known, unless that is too long ago. What is gone for good stays gone.
    fn known<T>(&self, slot: &Slot<T>) -> Result<Option<Arc<T>>, IndexError> {
        let value = slot.get();
        let seen = slot.seen.load(Ordering::Relaxed);
        let age = Duration::from_millis(self.now().saturating_sub(seen));
        // A fresh answer never is stale, however short the bound.
        if value.is_none() || age <= self.stale_max.max(FRESH_FOR) {
            return Ok(value);
        }
        let stale = IndexError::Stale {
            age,
            max: self.stale_max,
        };
        Err(stale)
    }

    fn mark_seen<T>(&self, slot: &Slot<T>) {
        slot.seen.store(self.now(), Ordering::Relaxed);
    }

    fn mark<T>(&self, slot: &Slot<T>) {
        slot.checked.store(self.now(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
