//! The store in a bucket of S3, or of a server that speaks its protocol.
//!
//! Owns how each promise of the contract is kept by conditional writes, so that any number of publishers and origins share
//! a bucket. Never knows a release.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

use super::{
    Blob, Created, Document, Entry, Key, Reservation, Store, StoreError, Swapped, Sweep, Tag,
    Upload,
};

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
    /// How long one request may take before it is tried again.
    pub request_timeout: Duration,
    /// Who asks.
    pub credentials: Arc<dyn CredentialProvider<Credential = AwsCredential>>,
}

/// A store in a bucket.
#[derive(Debug)]
pub struct S3Store {}

impl S3Store {
    /// Prepares to ask; asks nothing yet.
    pub fn open(options: S3Options) -> Result<Self, StoreError> {
        let _ = options;
        todo!()
    }
}

#[async_trait]
impl Store for S3Store {
    fn describe(&self) -> String {
        todo!()
    }

    async fn stat(&self, _key: &Key) -> Result<Option<u64>, StoreError> {
        todo!()
    }

    async fn open(&self, _key: &Key) -> Result<Option<Blob>, StoreError> {
        todo!()
    }

    async fn read(&self, _key: &Key, _size_max: u64) -> Result<Option<Document>, StoreError> {
        todo!()
    }

    async fn create(&self, _key: &Key, _size: u64) -> Result<Box<dyn Upload>, StoreError> {
        todo!()
    }

    async fn settle(&self, _keys: &[Key]) -> Result<(), StoreError> {
        todo!()
    }

    async fn put_new(&self, _key: &Key, _bytes: Bytes) -> Result<Created, StoreError> {
        todo!()
    }

    async fn swap(
        &self,
        _key: &Key,
        _expected: Option<&Tag>,
        _bytes: Bytes,
    ) -> Result<Swapped, StoreError> {
        todo!()
    }

    async fn list(&self, _prefix: &str) -> Result<Vec<Entry>, StoreError> {
        todo!()
    }

    async fn list_folders(&self, _prefix: &str) -> Result<Vec<String>, StoreError> {
        todo!()
    }

    async fn remove(&self, _keys: &[Key]) -> Result<(), StoreError> {
        todo!()
    }

    async fn try_reserve(&self, _scope: &str) -> Result<Option<Box<dyn Reservation>>, StoreError> {
        todo!()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        todo!()
    }

    async fn sweep(&self, _mode: Sweep) -> Result<Vec<Entry>, StoreError> {
        todo!()
    }
}
