//! The store in a bucket of S3, or of a server that speaks its protocol.
//!
//! Owns how each promise of the contract is kept by conditional writes, so that any number of publishers and origins
//! share a bucket: S3 itself refuses what came second. Objects have the names of the store's keys, byte for byte.
//! What publishers tell each other (leases, notes about uploads) is in `.headwater/` folders, which no key can name. Never
//! knows a release.
//!
//! Read next: `s3/bucket.rs` for the verbs, `s3/upload.rs` for artifacts, `s3/lease.rs` for reservations.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Semaphore;

use super::{
    Blob, Content, Created, Document, Entry, Facts, Key, Remote, Reservation, Store, StoreError,
    Swapped, Sweep, Tag, Upload,
};
use crate::model::{ByteRange, Digest, Locator, Product};

mod bucket;
mod endpoint;
mod failure;
mod io;
mod lease;
mod metadata;
mod multipart;
mod notes;
mod request;
mod sweep;
#[cfg(test)]
mod testing;
mod transport;
mod upload;

use bucket::{Bucket, Condition, PRIVATE, Written};
use io::Io;
use metadata::Metadata;
use upload::S3Upload;

/// Memory for the parts of all uploads of one process: eight usual ones, which together fill a fast line although each
/// connection waits for its answers.
const UPLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How often a waiting publisher asks whether a lease is free: a renewal takes longer, and a day of waiting costs
/// forty cents.
const RESERVE_INTERVAL: Duration = Duration::from_secs(1);

/// The folders that objects are in.
const FOLDERS: [&str; 2] = ["artifacts/", "channels/"];

/// Where a bucket is, and who asks.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// Before every key; empty, or without a slash at either end.
    pub prefix: String,
    /// The region; S3-compatible servers often need none.
    pub region: Option<String>,
    /// Another address than AWS's.
    pub endpoint_url: Option<String>,
    /// Whether the bucket stands in the path instead of the host name; `None`: when there is an `endpoint_url`.
    pub path_style: Option<bool>,
    /// How long one request may take before it is tried again; a large one may take longer.
    pub request_timeout: Duration,
    /// Who asks.
    pub credentials: Arc<dyn CredentialProvider<Credential = AwsCredential>>,
}

/// A store in a bucket. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct S3Store {
    bucket: Arc<Bucket>,
    io: Arc<Io>,
    /// What parts of uploads may still take, in MiB.
    memory: Arc<Semaphore>,
    memory_mebibytes: u32,
}

/// Memory is shared out in MiB, of which a part is a whole number.
fn in_mebibytes(bytes: u64) -> u32 {
    u32::try_from(bytes >> 20).unwrap_or(u32::MAX)
}

impl S3Store {
    /// Prepares to ask; asks nothing yet. Starts the threads that will.
    pub fn open(options: S3Options) -> Result<Self, StoreError> {
        let subject = format!("s3://{}", options.bucket);
        let io =
            Io::start().map_err(|source| StoreError::new("open the store", subject, source))?;
        let memory_mebibytes = in_mebibytes(UPLOAD_BYTES_MAX);
        Ok(Self {
            bucket: Arc::new(Bucket::open(options)?),
            io: Arc::new(io),
            memory: Arc::new(Semaphore::new(memory_mebibytes as usize)),
            memory_mebibytes,
        })
    }

    /// Runs `work` on the threads that talk with S3.
    async fn run<T, F>(&self, work: impl FnOnce(Arc<Bucket>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.io.run(work(Arc::clone(&self.bucket))).await
    }
}

/// A prefix below which there may be objects.
fn is_legal_prefix(prefix: &str) -> bool {
    let folders = prefix.strip_suffix('/').unwrap_or_default();
    FOLDERS.iter().any(|folder| prefix.starts_with(folder))
        && folders
            .split('/')
            .all(|s| !matches!(s, "" | "." | ".." | PRIVATE))
}

/// Whether a listed key is in a private folder, which are at the top and in each product's folder.
fn is_private(key: &str) -> bool {
    key.splitn(4, '/').take(3).any(|segment| segment == PRIVATE)
}

/// An object that was opened: its key and the tag that it had then.
#[derive(Debug)]
struct Opened {
    store: S3Store,
    key: String,
    tag: String,
}

#[async_trait]
impl Remote for Opened {
    async fn read(&self, range: ByteRange) -> Result<Bytes, StoreError> {
        let (key, tag) = (self.key.clone(), self.tag.clone());
        let read = self.store.run(|bucket| async move {
            bucket
                .read_range(&key, &tag, range.offset..range.end())
                .await
        });
        read.await
    }
}

#[async_trait]
impl Store for S3Store {
    fn describe(&self) -> String {
        self.bucket.describe()
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn stat(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        let key = key.to_string();
        let look = |bucket: Arc<Bucket>| async move { bucket.look(failure::STAT, &key).await };
        Ok(self.run(look).await?.map(|found| found.size))
    }

    async fn open(&self, key: &Key) -> Result<Option<Blob>, StoreError> {
        let key = key.to_string();
        let name = key.clone();
        let look = |bucket: Arc<Bucket>| async move { bucket.look(failure::OPEN, &name).await };
        Ok(self.run(look).await?.map(|found| Blob {
            size: found.size,
            content: Content::Remote(Arc::new(Opened {
                store: self.clone(),
                key,
                tag: found.tag,
            })),
        }))
    }

    async fn read(&self, key: &Key, size_max: u64) -> Result<Option<Document>, StoreError> {
        let key = key.to_string();
        let read = |bucket: Arc<Bucket>| async move { bucket.read(&key, size_max).await };
        let found = self.run(read).await?;
        Ok(found.map(|(bytes, tag)| Document {
            bytes,
            tag: Tag(tag),
        }))
    }

    async fn holds(&self, key: &Key, facts: &Facts) -> Result<bool, StoreError> {
        let (key, facts) = (key.clone(), facts.clone());
        self.run(|bucket| async move { upload::holds(&bucket, &key, &facts).await })
            .await
    }

    async fn create(&self, key: &Key, facts: &Facts) -> Result<Box<dyn Upload>, StoreError> {
        let upload = S3Upload::begin(self.clone(), key.clone(), facts.clone());
        Ok(Box::new(upload.await?))
    }

    /// Nothing: S3 answers when the bytes are durable.
    async fn settle(&self, _keys: &[Key]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn put_new(&self, key: &Key, bytes: Bytes) -> Result<Created, StoreError> {
        let key = key.clone();
        let put = |bucket: Arc<Bucket>| async move {
            let metadata = Metadata::of(&key, None, Some(Digest::of(&bytes)));
            bucket
                .write(key.as_str(), Condition::Absent, &bytes, &metadata)
                .await
        };
        Ok(match self.run(put).await? {
            Written::Done(_) => Created::New,
            Written::Refused => Created::Taken,
        })
    }

    async fn swap(
        &self,
        key: &Key,
        expected: Option<&Tag>,
        bytes: Bytes,
    ) -> Result<Swapped, StoreError> {
        let (key, expected) = (key.clone(), expected.cloned());
        let swap = |bucket: Arc<Bucket>| async move {
            let metadata = Metadata::of(&key, None, Some(Digest::of(&bytes)));
            let condition = match &expected {
                Some(Tag(tag)) => Condition::Tagged(tag),
                None => Condition::Absent,
            };
            bucket
                .write(key.as_str(), condition, &bytes, &metadata)
                .await
        };
        Ok(match self.run(swap).await? {
            Written::Done(_) => Swapped::Done,
            Written::Refused => Swapped::Lost,
        })
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        if !is_legal_prefix(prefix) {
            return Ok(Vec::new());
        }
        let prefix = prefix.to_owned();
        let list = |bucket: Arc<Bucket>| async move { bucket.list(&prefix).await };
        let mut found = self.run(list).await?;
        found.retain(|entry| !is_private(&entry.key));
        Ok(found)
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        if !is_legal_prefix(prefix) {
            return Ok(Vec::new());
        }
        let prefix = prefix.to_owned();
        let list = |bucket: Arc<Bucket>| async move { bucket.list_folders(&prefix).await };
        let mut found = self.run(list).await?;
        found.retain(|name| name != PRIVATE);
        Ok(found)
    }

    /// Artifacts go at the same time as their neighbours in the order given: no document is among them.
    async fn remove(&self, keys: &[Key]) -> Result<(), StoreError> {
        let is_artifact = |key: &Key| {
            matches!(
                Locator::from_store_key(key.as_str()),
                Some(Locator::Artifact(..))
            )
        };
        let runs: Vec<Vec<String>> = keys
            .chunk_by(|a, b| is_artifact(a) && is_artifact(b))
            .map(|run| run.iter().map(Key::to_string).collect())
            .collect();
        let remove = |bucket: Arc<Bucket>| async move {
            for run in runs {
                bucket.remove_all(&run).await?;
            }
            Ok(())
        };
        self.run(remove).await
    }

    async fn try_reserve(&self, scope: &str) -> Result<Option<Box<dyn Reservation>>, StoreError> {
        self.io.released(scope).await;
        let scope = scope.to_owned();
        let held = self.run(|bucket| lease::try_take(bucket, scope)).await?;
        let io = Arc::clone(&self.io);
        Ok(held.map(|held| Box::new(held.keep(io)) as Box<dyn Reservation>))
    }

    fn reserve_interval(&self) -> Duration {
        RESERVE_INTERVAL
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.run(|bucket| async move { bucket.probe().await }).await
    }

    async fn sweep(&self, mode: Sweep) -> Result<Vec<Entry>, StoreError> {
        self.run(|bucket| sweep::sweep(bucket, None, mode)).await
    }

    async fn sweep_product(
        &self,
        product: &Product,
        mode: Sweep,
    ) -> Result<Vec<Entry>, StoreError> {
        let product = product.clone();
        self.run(|bucket| sweep::sweep(bucket, Some(product), mode))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_folders_are_no_folders_of_objects() {
        for prefix in [
            "",
            "/",
            ".headwater/",
            "artifacts",
            "artifacts/../",
            "artifacts/agent/.headwater/",
            "other/",
        ] {
            assert!(!is_legal_prefix(prefix), "{prefix}");
        }
        assert!(is_legal_prefix("artifacts/agent/1.0/"));
        assert!(is_private("artifacts/agent/.headwater/lease/1.0"));
        assert!(is_private(".headwater/lease/x"));
        assert!(!is_private("artifacts/agent/1.0/.headwater/x")); // a legal name of an artifact
    }
}
