//! The verbs of one bucket: look, read, write under a condition, list, remove.
//!
//! Owns which name in the bucket an object has, and what a refused condition means when our own earlier attempt may
//! have been the one that won. Never knows what an object is for.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, GetResult, ObjectStore as _, PutMode, PutOptions,
    UpdateVersion,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::S3Options;
use super::endpoint::Endpoint;
use super::failure::{self, Cause, Step};
use super::metadata::Metadata;
use super::request::{Caller, Failed, Pauses, Request, patience, retry_config};
use super::transport::{Trace, Transport};
use crate::store::{Entry, StoreError};

/// The folder of what only publishers look at. No name of an object can have it as a segment at that place.
pub(super) const PRIVATE: &str = ".headwater";

/// S3's limit.
const KEY_BYTES_MAX: usize = 1024;

/// Removals under way at one time: S3 takes some 20 ms for each and 3,500 a second.
const REMOVALS_AT_ONCE: usize = 32;

/// One bucket, and the part of it that is the store.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) name: String,
    /// Before every key: empty, or with a slash at its end.
    prefix: String,
    objects: AmazonS3,
    pub(super) caller: Caller,
}

/// What must be true for a write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    /// There is no such object.
    Absent,
    /// The object has this tag.
    Tagged(&'a str),
}

/// What became of a conditional write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Written {
    /// The object has the new bytes, and this tag.
    Done(String),
    /// The condition was not true.
    Refused,
}

/// What a look at an object says.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) size: u64,
    pub(super) tag: String,
    pub(super) attributes: object_store::Attributes,
}

impl Bucket {
    pub(super) fn open(options: S3Options) -> Result<Self, StoreError> {
        let subject = format!("s3://{}", options.bucket);
        let fail = |error: Box<dyn std::error::Error + Send + Sync>| {
            StoreError::new("open the store", &subject, std::io::Error::other(error))
        };
        let endpoint = Endpoint::of(&options).map_err(|error| fail(error.into()))?;
        let transport =
            Transport::new(options.request_timeout).map_err(|error| fail(error.into()))?;
        let objects = AmazonS3Builder::new()
            .with_bucket_name(&options.bucket)
            .with_region(&endpoint.region)
            // With this, the endpoint is the bucket's URL as it stands: `endpoint.rs` alone decides about it.
            .with_virtual_hosted_style_request(true)
            .with_endpoint(&endpoint.bucket_url)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_credentials(Arc::clone(&options.credentials))
            .with_retry(retry_config(options.request_timeout))
            .with_checksum_algorithm(Checksum::SHA256)
            .with_http_connector(transport.clone())
            .build()
            .map_err(|error| fail(error.into()))?;
        let prefix = match options.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self {
            name: options.bucket,
            prefix,
            objects,
            caller: Caller {
                endpoint,
                credentials: options.credentials,
                transport,
            },
        })
    }

    /// How messages name the store.
    pub(super) fn describe(&self) -> String {
        self.subject("").trim_end_matches('/').to_owned()
    }

    pub(super) fn subject(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.name, self.prefix)
    }

    /// The name in the bucket of what the store calls `key`.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What the store calls an object of the bucket.
    pub(super) fn relative<'a>(&self, full: &'a str) -> Option<&'a str> {
        full.strip_prefix(&self.prefix)
    }

    pub(super) fn error(&self, step: Step, key: &str, cause: Cause) -> StoreError {
        cause.into_error(step, &self.subject(key), &self.name)
    }

    pub(super) fn failed(&self, step: Step, key: &str, failed: Failed) -> StoreError {
        self.error(step, key, failed.cause)
    }

    /// Refuses a name that S3 would refuse, and that servers which take it would answer about in different ways.
    pub(super) fn check_length(&self, step: Step, key: &str) -> Result<(), StoreError> {
        let bytes = self.prefix.len() + key.len();
        if bytes <= KEY_BYTES_MAX {
            return Ok(());
        }
        let why = format!(
            "its name in the bucket has {bytes} bytes, prefix included; S3 takes {KEY_BYTES_MAX}; shorten the \
             artifact's name or the prefix"
        );
        let source = std::io::Error::new(std::io::ErrorKind::InvalidFilename, why);
        Err(StoreError::new(step.action, self.subject(key), source))
    }

    fn path(&self, step: Step, key: &str) -> Result<Path, StoreError> {
        // `parse` keeps every character of a key; `from` would escape some of them.
        Path::parse(self.full(key))
            .map_err(|error| self.error(step, key, Cause::Broken(error.into())))
    }

    /// Asks for an object, `None` when there is none in a bucket that is there.
    async fn get(
        &self,
        step: Step,
        key: &str,
        options: GetOptions,
    ) -> Result<Option<GetResult>, StoreError> {
        let path = self.path(step, key)?;
        let trace = Trace::default();
        let is_head = options.head;
        let options = GetOptions {
            extensions: trace.extensions(),
            ..options
        };
        let error = match self.objects.get_opts(&path, options).await {
            Ok(found) => return Ok(Some(found)),
            Err(error) => error,
        };
        let cause = Cause::of(error, &trace);
        if cause.status() != Some(StatusCode::NOT_FOUND) || cause.code() == "NoSuchBucket" {
            return Err(self.error(step, key, cause));
        }
        if is_head {
            // The answer to HEAD does not say what is not there: a bucket that is gone must not turn into 404s.
            self.probe().await?;
        }
        Ok(None)
    }

    pub(super) async fn look(&self, step: Step, key: &str) -> Result<Option<Found>, StoreError> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let found = self.get(step, key, options).await?;
        Ok(found.map(|found| Found {
            size: found.meta.size,
            tag: found.meta.e_tag.unwrap_or_default(),
            attributes: found.attributes,
        }))
    }

    /// Reads an object whole, with its tag, `None` when there is none. One above `size_max` is refused unread.
    pub(super) async fn read(
        &self,
        key: &str,
        size_max: u64,
    ) -> Result<Option<(Bytes, String)>, StoreError> {
        let step = failure::READ_OBJECT;
        let Some(found) = self.get(step, key, GetOptions::default()).await? else {
            return Ok(None);
        };
        if found.meta.size > size_max {
            let why = format!("it has more than the {size_max} bytes that are allowed");
            let source = std::io::Error::new(std::io::ErrorKind::FileTooLarge, why);
            return Err(StoreError::new(step.action, self.subject(key), source));
        }
        let tag = found.meta.e_tag.clone().unwrap_or_default();
        let bytes = found.bytes().await;
        let bytes =
            bytes.map_err(|error| self.error(step, key, Cause::of(error, &Trace::default())))?;
        Ok(Some((bytes, tag)))
    }

    /// Reads a part of the object that has this tag.
    pub(super) async fn read_range(
        &self,
        key: &str,
        tag: &str,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
        let step = failure::READ_OBJECT;
        if range.is_empty() {
            return Ok(Bytes::new()); // no range of HTTP is empty
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: (!tag.is_empty()).then(|| tag.to_owned()),
            ..GetOptions::default()
        };
        let replaced = |kind, why: &str| {
            let source = std::io::Error::new(kind, why.to_owned());
            StoreError::new(step.action, self.subject(key), source)
        };
        let found = match self.get(step, key, options).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                let why = "it was removed since it was opened";
                return Err(replaced(std::io::ErrorKind::NotFound, why));
            }
            Err(error) if error.source.kind() == std::io::ErrorKind::StaleNetworkFileHandle => {
                let why = "it was replaced since it was opened";
                return Err(replaced(error.source.kind(), why));
            }
            Err(error) => return Err(error),
        };
        let bytes = found.bytes().await;
        bytes.map_err(|error| self.error(step, key, Cause::of(error, &Trace::default())))
    }

    /// Writes a small object if `condition` is true at that moment, which S3 decides.
    pub(super) async fn write(
        &self,
        key: &str,
        condition: Condition<'_>,
        bytes: &Bytes,
        metadata: &Metadata,
    ) -> Result<Written, StoreError> {
        let step = match condition {
            Condition::Absent => failure::CREATE,
            Condition::Tagged(_) => failure::REPLACE,
        };
        self.check_length(step, key)?;
        let path = self.path(step, key)?;
        let mode = match condition {
            Condition::Absent => PutMode::Create,
            Condition::Tagged(tag) => PutMode::Update(UpdateVersion {
                e_tag: Some(tag.to_owned()),
                version: None,
            }),
        };
        let (started, mut pauses, mut attempts) = (Instant::now(), Pauses::default(), 0);
        let patience = patience(self.caller.transport.allowance(bytes.len() as u64));
        loop {
            let trace = Trace::default();
            let options = PutOptions {
                mode: mode.clone(),
                attributes: metadata.to_attributes(),
                extensions: trace.extensions(),
                ..PutOptions::default()
            };
            let put = self.objects.put_opts(&path, bytes.clone().into(), options);
            let cause = match put.await {
                Ok(done) => return Ok(Written::Done(done.e_tag.unwrap_or_default())),
                Err(error) => Cause::of(error, &trace),
            };
            attempts += trace.attempts();
            let is_conflict = match cause.status() {
                Some(StatusCode::PRECONDITION_FAILED | StatusCode::NOT_MODIFIED) => {
                    return self.refused(step, key, bytes, attempts > 1).await;
                }
                Some(StatusCode::NOT_FOUND)
                    if matches!(condition, Condition::Tagged(_))
                        && cause.code() != "NoSuchBucket" =>
                {
                    return self.refused(step, key, bytes, attempts > 1).await;
                }
                // Another write was under way; which of the two won is known only by asking again.
                Some(StatusCode::CONFLICT) => true,
                _ => false,
            };
            let is_over = started.elapsed() >= patience;
            if is_over && is_conflict {
                return Ok(Written::Refused);
            }
            // A status that may pass was tried again by `object_store`; a lost answer was not.
            if is_over || !(is_conflict || cause.status().is_none() && cause.is_transient()) {
                return Err(self.error(step, key, cause));
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    /// A refused condition, unless it was refused because an earlier attempt of ours made it false: its answer was
    /// lost, and its bytes are there.
    async fn refused(
        &self,
        step: Step,
        key: &str,
        bytes: &Bytes,
        is_repeated: bool,
    ) -> Result<Written, StoreError> {
        if !is_repeated {
            return Ok(Written::Refused);
        }
        match self.look(step, key).await? {
            Some(found) if found.size == bytes.len() as u64 => {}
            _ => return Ok(Written::Refused),
        }
        match self.read(key, bytes.len() as u64).await? {
            Some((there, tag)) if there == *bytes => Ok(Written::Done(tag)),
            _ => Ok(Written::Refused),
        }
    }

    /// Every object of the store whose key starts with `prefix`, sorted, whatever its name.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let page = self.page(failure::LIST, prefix, None, token).await?;
            for object in page.result.objects {
                if let Some(key) = self.relative(object.location.as_ref()) {
                    found.push(Entry {
                        key: key.to_owned(),
                        size: object.size,
                    });
                }
            }
            token = page.page_token;
            if token.is_none() {
                break;
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key)); // S3 sorts, some servers do not
        Ok(found)
    }

    /// The names of the folders directly below `prefix`, sorted.
    pub(super) async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut found = BTreeSet::new();
        let mut token = None;
        loop {
            let page = self.page(failure::LIST, prefix, Some("/"), token).await?;
            let names = page.result.common_prefixes.iter();
            found.extend(names.filter_map(|path| path.filename().map(str::to_owned)));
            token = page.page_token;
            if token.is_none() {
                return Ok(found.into_iter().collect());
            }
        }
    }

    async fn page(
        &self,
        step: Step,
        prefix: &str,
        delimiter: Option<&'static str>,
        page_token: Option<String>,
    ) -> Result<object_store::list::PaginatedListResult, StoreError> {
        let trace = Trace::default();
        let options = PaginatedListOptions {
            delimiter: delimiter.map(Into::into),
            page_token,
            extensions: trace.extensions(),
            ..PaginatedListOptions::default()
        };
        let full = self.full(prefix);
        let page = self.objects.list_paginated(Some(&full), options).await;
        page.map_err(|error| self.error(step, prefix, Cause::of(error, &trace)))
    }

    /// Whether the bucket can be read: the cheapest question that a read-only role may ask. It is about a folder that
    /// holds nothing, so that the role of one product may ask it too and learns no other product's names.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let trace = Trace::default();
        let folder = self.full(&format!("{PRIVATE}/"));
        let options = PaginatedListOptions {
            max_keys: Some(1),
            extensions: trace.extensions(),
            ..PaginatedListOptions::default()
        };
        let asked = self.objects.list_paginated(Some(&folder), options);
        match asked.await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(failure::PROBE, "", Cause::of(error, &trace))),
        }
    }

    /// Removes one object; that it is not there is no error.
    pub(super) async fn remove(&self, key: &str) -> Result<(), StoreError> {
        let full = self.full(key);
        let request = Request::new(Method::DELETE, &full, &[]);
        match self.caller.send(request).await {
            Err(failed)
                if failed.cause.status() == Some(StatusCode::NOT_FOUND)
                    && failed.cause.code() != "NoSuchBucket" =>
            {
                Ok(())
            }
            result => result
                .map(drop)
                .map_err(|failed| self.failed(failure::REMOVE, key, failed)),
        }
    }

    /// Removes objects that nobody needs to see go in order.
    pub(super) async fn remove_all(self: &Arc<Self>, keys: &[String]) -> Result<(), StoreError> {
        let mut removing = JoinSet::new();
        let mut keys = keys.iter();
        loop {
            while removing.len() < REMOVALS_AT_ONCE
                && let Some(key) = keys.next()
            {
                let (bucket, key) = (Arc::clone(self), key.clone());
                removing.spawn(async move { bucket.remove(&key).await });
            }
            match removing.join_next().await {
                None => return Ok(()),
                Some(Ok(removed)) => removed?,
                Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
    }
}
