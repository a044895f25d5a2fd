//! Which store a location means, how it is opened, and what `init` finds out about it.
//!
//! The only file that names a concrete store. Never decides anything about a release. Whatever asks S3 runs on one
//! runtime of its own: a serving thread must not drive connections to S3 beside those of its clients, and a connection
//! must not die with the command or the thread that happened to open it.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Handle, Runtime};

use super::{AssemblyError, clock, system};
use crate::aws::Session;
use crate::config::{S3Location, StoreLocation, read_endpoint};
use crate::model::{ArtifactName, Locator, Product, ReleaseId, Version};
use crate::publish::Publisher;
use crate::store::disk::DirectoryStore;
use crate::store::s3::{S3Options, S3Store};
use crate::store::{Created, Key, Store, StoreError, Swapped, Tag};

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
            let store = open_bucket(location)?;
            ask(probe(Arc::clone(&store)))?.map_err(unreachable)?;
            Ok(store)
        }
    }
}

/// Opens the store of a server. S3 that is merely away does not keep it from starting: an instance may boot before the
/// network, and it says on `/readyz` that it cannot read.
pub(super) fn open_store_to_serve(
    location: &StoreLocation,
) -> Result<Arc<dyn Store>, AssemblyError> {
    let StoreLocation::S3(bucket) = location else {
        return open_store(location);
    };
    let store = open_bucket(bucket)?;
    let asked = ask(tokio::time::timeout(
        PROBED_AT_MOST,
        probe(Arc::clone(&store)),
    ))?;
    match asked {
        Ok(Ok(())) => {}
        Ok(Err(error)) if is_final(&error) => return Err(unreachable(error)),
        Ok(Err(error)) => tracing::warn!(
            store = %location,
            error = crate::telemetry::chain(&error),
            "cannot read the store yet; serving starts, and `/readyz` says 503 until it can be read"
        ),
        Err(_too_long) => tracing::warn!(
            store = %location,
            "no answer from the store yet; serving starts, and `/readyz` says 503 until there is one"
        ),
    }
    Ok(store)
}

/// Long enough for S3 across the world with a lost packet, short enough for whoever waits for the sockets.
const PROBED_AT_MOST: Duration = Duration::from_secs(5);

async fn probe(store: Arc<dyn Store>) -> Result<(), StoreError> {
    store.probe().await
}

/// Whether waiting is of no use: the bucket is not there, or not for us.
fn is_final(error: &StoreError) -> bool {
    matches!(
        error.source.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied
    )
}

fn unreachable(error: StoreError) -> AssemblyError {
    match error.source.kind() {
        ErrorKind::NotFound => AssemblyError::NoBucket(error),
        _ => AssemblyError::Store(error),
    }
}

/// A publisher to a store that is there.
pub fn publisher(location: &StoreLocation) -> Result<Publisher, AssemblyError> {
    Ok(Publisher::new(open_store(location)?, clock()))
}

fn open_bucket(location: &S3Location) -> Result<Arc<dyn Store>, AssemblyError> {
    // Named once for everybody: with a second provider linked in, rustls' own choice would panic.
    let _already_named = rustls::crypto::ring::default_provider().install_default();
    let options = ask(options(location.clone()))??;
    let store = S3Store::open(options).map_err(AssemblyError::Store)?;
    Ok(Arc::new(store))
}

async fn options(location: S3Location) -> Result<S3Options, AssemblyError> {
    let session = Session::load(location.region.as_deref()).await;
    let endpoint_url = match (location.endpoint_url, session.endpoint_url("S3")) {
        (Some(configured), _) => Some(configured),
        (None, Some(text)) => Some(read_endpoint(&text).map_err(AssemblyError::Endpoint)?),
        (None, None) => None,
    };
    let region = match session.region() {
        None if endpoint_url.is_none() => session.region_of_instance().await,
        region => region,
    };
    Ok(S3Options {
        bucket: location.bucket,
        prefix: location.prefix,
        region,
        endpoint_url,
        path_style: location.path_style,
        request_timeout: location.request_timeout,
        credentials: session.credentials(),
    })
}

/// Runs one question to S3 on the runtime for it. Blocks; never called on a runtime's thread.
fn ask<T>(question: impl Future<Output = T>) -> Result<T, AssemblyError> {
    Ok(remote_runtime()?.block_on(question))
}

/// The runtime for S3, one for the process. Never shut down: the process ends with everything on it.
fn remote_runtime() -> Result<Handle, AssemblyError> {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    let mut started = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*started {
        return Ok(runtime.handle().clone());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("s3")
        .enable_all()
        .build()
        .map_err(system("start the runtime for S3"))?;
    let runtime = started.insert(runtime);
    Ok(runtime.handle().clone())
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
            tracing::info!(
                error = crate::telemetry::chain(&error),
                "cannot try conditional writes"
            );
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
