//! Which store a location means, how it is opened, and what `init` finds out about it.
//!
//! The only file that names a concrete store. Never decides anything about a release, and never creates a bucket. Its
//! functions block: no asynchronous code may call them. The store in a bucket brings the threads on which it talks with
//! S3 (`store/s3/io.rs`), so that nothing here outlives the question it was made for.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{AssemblyError, clock, system};
use crate::aws::Session;
use crate::config::{S3Location, StoreLocation, read_endpoint, read_region};
use crate::model::{ArtifactName, Locator, Product, ReleaseId, Version};
use crate::publish::Publisher;
use crate::store::disk::DirectoryStore;
use crate::store::s3::{S3Options, S3Store};
use crate::store::{Created, Key, Store, StoreError, Swapped, Tag};
use crate::telemetry::chain;

/// What became of [`create_store`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreState {
    /// This call made it.
    Created,
    /// It was there.
    Present,
}

/// Makes the store, unless it is there. A bucket is not ours to make: its owner decides on region, encryption and
/// policies; what is below its prefix needs no making.
pub fn create_store(location: &StoreLocation) -> Result<StoreState, AssemblyError> {
    match (open_store(location), location) {
        (Ok(_store), _) => Ok(StoreState::Present),
        (Err(AssemblyError::NoStore(_)), StoreLocation::Directory(path)) => {
            DirectoryStore::init(path).map_err(AssemblyError::Store)?;
            Ok(StoreState::Created)
        }
        (Err(error), _) => Err(error),
    }
}

/// Opens a store that is there. A bucket is asked once, so that one that is missing, forbidden or out of reach is
/// reported as such, and not as whatever would have been its first object.
pub fn open_store(location: &StoreLocation) -> Result<Arc<dyn Store>, AssemblyError> {
    match location {
        StoreLocation::Directory(path) => match DirectoryStore::open(path) {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) if error.source.kind() == ErrorKind::NotFound => {
                Err(AssemblyError::NoStore(path.display().to_string()))
            }
            Err(error) => Err(AssemblyError::Store(error)),
        },
        StoreLocation::S3(location) => {
            let options = ask(options(location.clone()))??;
            probe(&options)?.map_err(|error| match error.source.kind() {
                ErrorKind::NotFound => AssemblyError::NoBucket(error),
                _ => AssemblyError::Store(error),
            })?;
            open_bucket(options)
        }
    }
}

/// Opens the store of a server. S3 that is merely away does not keep it from starting: an instance may boot before its
/// network, and it says on `/readyz` that it cannot read.
pub(super) fn open_store_to_serve(
    location: &StoreLocation,
) -> Result<Arc<dyn Store>, AssemblyError> {
    let StoreLocation::S3(bucket) = location else {
        return open_store(location);
    };
    let options = ask(options(bucket.clone()))??;
    match probe(&options)? {
        Ok(()) => {}
        Err(error) if error.source.kind() == ErrorKind::NotFound => {
            return Err(AssemblyError::NoBucket(error));
        }
        Err(error) if error.source.kind() == ErrorKind::PermissionDenied => {
            return Err(AssemblyError::Store(error));
        }
        Err(error) => tracing::warn!(
            store = %location,
            error = chain(&error),
            "cannot read the store yet; serving starts, and `/readyz` says 503 until it can be read"
        ),
    }
    open_bucket(options)
}

/// Long enough for S3 across the world with a lost packet. Whoever mistyped an address waits for twice as long, because
/// a question is asked again.
const PROBED_AT_MOST: Duration = Duration::from_secs(3);

/// Asks a bucket once, with less patience than a release deserves.
fn probe(options: &S3Options) -> Result<Result<(), StoreError>, AssemblyError> {
    let hasty = S3Options {
        request_timeout: options.request_timeout.min(PROBED_AT_MOST),
        ..options.clone()
    };
    let store = S3Store::open(hasty).map_err(AssemblyError::Store)?;
    ask(async move { store.probe().await })
}

fn open_bucket(options: S3Options) -> Result<Arc<dyn Store>, AssemblyError> {
    Ok(Arc::new(
        S3Store::open(options).map_err(AssemblyError::Store)?,
    ))
}

/// A publisher to a store that is there.
pub fn publisher(location: &StoreLocation) -> Result<Publisher, AssemblyError> {
    Ok(Publisher::new(open_store(location)?, clock()))
}

async fn options(location: S3Location) -> Result<S3Options, AssemblyError> {
    let session = Session::load(location.region.as_deref()).await;
    let endpoint_url = match (location.endpoint_url, session.endpoint_url("S3")) {
        (Some(configured), _) => Some(configured),
        (None, Some(text)) => {
            let name =
                "the endpoint of S3 (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or `endpoint_url`)";
            Some(read_endpoint(&text).map_err(wrong(name))?)
        }
        (None, None) => None,
    };
    let region = match session.region() {
        None if endpoint_url.is_none() => Session::region_of_instance().await,
        region => region,
    };
    let name = "the region (AWS_REGION, `region` or the instance's)";
    let region = region.map(|region| read_region(&region).map_err(wrong(name)));
    Ok(S3Options {
        bucket: location.bucket,
        prefix: location.prefix,
        region: region.transpose()?,
        endpoint_url,
        path_style: location.path_style,
        request_timeout: location.request_timeout,
        credentials: session.credentials(),
    })
}

fn wrong(name: &'static str) -> impl FnOnce(String) -> AssemblyError {
    move |what| AssemblyError::AwsSetting { name, what }
}

/// Waits for one question.
fn ask<T>(question: impl Future<Output = T>) -> Result<T, AssemblyError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    Ok(runtime.block_on(question))
}

/// What `init` found out about a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConditionalWrites {
    /// The server refused what must be refused.
    Honoured,
    /// The credentials may not write where it would have been tried.
    Unchecked,
}

/// Whether a store in a bucket can keep its promises: the bucket answers, and its server refuses a write whose condition
/// does not hold. Nothing remains of the objects that this takes.
pub fn examine_bucket(location: &StoreLocation) -> Result<ConditionalWrites, AssemblyError> {
    let store = open_store(location)?;
    let Some(key) = trial_key() else {
        return Ok(ConditionalWrites::Unchecked);
    };
    let tried = ask(async {
        let refused = try_conditions(&*store, &key).await;
        let removed = store.remove(&[key]).await;
        let refused = refused?;
        removed.map(|()| refused)
    })?;
    match tried {
        Ok(true) => Ok(ConditionalWrites::Honoured),
        Ok(false) => Err(AssemblyError::Unconditional(store.describe())),
        Err(error) if error.source.kind() == ErrorKind::PermissionDenied => {
            tracing::info!(error = chain(&error), "cannot try conditional writes");
            Ok(ConditionalWrites::Unchecked)
        }
        Err(error) => Err(AssemblyError::Store(error)),
    }
}

/// An object that no release lists, so that no origin serves it, under a name that two at once do not share.
fn trial_key() -> Option<Key> {
    let name = format!("{:016x}", rand::random::<u64>());
    let id = ReleaseId {
        product: Product::parse(TRIAL_PRODUCT).ok()?,
        version: Version::parse(&name).ok()?,
    };
    Key::of(&Locator::Artifact(id, ArtifactName::parse("trial").ok()?))
}

/// A role for one product may not write there; then nothing can be said about the server.
pub const TRIAL_PRODUCT: &str = "headwater-init";

/// Whether the server refuses to create what is there and to replace what has changed.
async fn try_conditions(store: &dyn Store, key: &Key) -> Result<bool, StoreError> {
    // Other bytes than the first: the same might be taken for a repetition of the first request.
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    let created = store.put_new(key, first).await?;
    let again = store.put_new(key, second.clone()).await?;
    if (created, again) != (Created::New, Created::Taken) {
        return Ok(false);
    }
    let stale = Tag("\"00000000000000000000000000000000\"".to_owned());
    Ok(store.swap(key, Some(&stale), second).await? == Swapped::Lost)
}
