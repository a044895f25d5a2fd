//! Reservations in a bucket: an object that its holder keeps young.
//!
//! Owns when a reservation is held, lost and expired. A lease is created only where there is none, renewed and taken
//! over only under the tag that was seen. Its age is what S3 says it is, by the two dates of one answer: no two machines'
//! clocks are compared. Correctness never rests on it alone: commits and channels are conditional writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::bucket::{Bucket, Condition, PRIVATE, Written};
use super::failure::RESERVE;
use super::io::Io;
use super::metadata::Metadata;
use super::request::{Request, chance};
use crate::store::{Reservation, StoreError};

/// The age at which a lease's holder counts as dead: five renewals were missed. A publisher waits so long after a
/// crash of another one, and a holder that S3 does not answer for so long has lost it.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// How often a lease is renewed: half a cent of requests for an hour's publish.
const RENEWAL: Duration = Duration::from_secs(3);

/// How much earlier than others its holder regards a lease as expired: S3's dates are whole seconds, and what is done
/// under the lease takes its time.
const MARGIN: Duration = Duration::from_secs(5);

/// Far above what a lease has.
const LEASE_BYTES_MAX: u64 = 1024;

/// How often a lease that came and went meanwhile is asked for again.
const ATTEMPTS: u32 = 3;

/// Where the lease of a scope is: beside the scope, in the folder that its publisher may write to.
pub(super) fn key_of(scope: &str) -> String {
    match scope.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{PRIVATE}/lease/{name}"),
        None => format!("{PRIVATE}/lease/{scope}"),
    }
}

/// What is known of a lease.
#[derive(Debug)]
pub(super) struct Seen {
    tag: String,
    /// By S3's clock; `None` where the server says no time.
    age: Option<Duration>,
}

impl Seen {
    pub(super) fn is_expired(&self) -> bool {
        self.age.is_some_and(|age| age > LEASE)
    }
}

/// Looks at the lease under `key`; `None` when there is none.
pub(super) async fn look(bucket: &Bucket, key: &str) -> Result<Option<Seen>, StoreError> {
    let full = bucket.full(key);
    let response = match bucket
        .caller
        .send(Request::new(Method::HEAD, &full, &[]))
        .await
    {
        Ok(response) => response,
        Err(failed) if failed.cause.status() == Some(StatusCode::NOT_FOUND) => return Ok(None),
        Err(failed) => return Err(bucket.failed(RESERVE, key, failed)),
    };
    let date = |name| httpdate::parse_http_date(response.header(name)?).ok();
    let age = date("date")
        .zip(date("last-modified"))
        .map(|(now, then)| now.duration_since(then).unwrap_or_default());
    Ok(Some(Seen {
        tag: response.header("etag").unwrap_or_default().to_owned(),
        age,
    }))
}

/// Takes the lease of `scope`, unless a living publisher holds it.
pub(super) async fn try_take(
    bucket: Arc<Bucket>,
    scope: String,
) -> Result<Option<Held>, StoreError> {
    let key = key_of(&scope);
    let holder = chance();
    let bytes = content(holder, 0);
    for _ in 0..ATTEMPTS {
        let asked = Instant::now();
        let (absent, metadata) = (Condition::Absent, Metadata::private());
        let mut written = bucket.write(&key, absent, &bytes, &metadata).await?;
        if written == Written::Refused {
            match look(&bucket, &key).await? {
                None => continue, // it was given up meanwhile
                Some(seen) if seen.is_expired() => {
                    tracing::info!(%scope, "taking over {scope} from a publisher that has died");
                    let tagged = Condition::Tagged(&seen.tag);
                    written = bucket.write(&key, tagged, &bytes, &metadata).await?;
                }
                Some(_) => return Ok(None),
            }
        }
        let Written::Done(tag) = written else {
            return Ok(None); // another publisher was faster
        };
        let state = State {
            tag,
            renewals: 0,
            renewed: asked,
            is_lost: false,
        };
        return Ok(Some(Held(Arc::new(Shared {
            bucket,
            scope,
            key,
            holder,
            state: Mutex::new(state),
            renewing: tokio::sync::Mutex::new(()),
        }))));
    }
    Ok(None)
}

/// Other bytes for each holder and renewal: a tag is often the digest of the bytes.
fn content(holder: u64, renewal: u64) -> Bytes {
    let mut bytes = content_of(holder);
    bytes.extend_from_slice(format!("{renewal}}}\n").as_bytes());
    bytes.into()
}

/// How every lease of a holder begins.
fn content_of(holder: u64) -> Vec<u8> {
    format!("{{\"holder\":\"{holder:016x}\",\"renewal\":").into_bytes()
}

/// A lease that was taken and is not yet kept.
#[derive(Debug)]
pub(super) struct Held(Arc<Shared>);

/// What the holder of a lease and its renewals know.
#[derive(Debug)]
struct Shared {
    bucket: Arc<Bucket>,
    scope: String,
    key: String,
    holder: u64,
    state: Mutex<State>,
    /// Held for a renewal: of two at once one would find the tag of the other.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    tag: String,
    renewals: u64,
    /// When the renewal began that succeeded last: the lease is not older than that.
    renewed: Instant,
    /// Another publisher has it.
    is_lost: bool,
}

impl State {
    fn is_held(&self) -> bool {
        !self.is_lost && self.renewed.elapsed() < LEASE.saturating_sub(MARGIN)
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the lease young; false when another publisher has it.
    async fn renew(&self) -> Result<bool, StoreError> {
        let asked = Instant::now();
        let (tag, renewal) = {
            let mut state = self.state();
            if state.is_lost {
                return Ok(false);
            }
            state.renewals += 1;
            (state.tag.clone(), state.renewals)
        };
        let (bytes, metadata) = (content(self.holder, renewal), Metadata::private());
        let condition = Condition::Tagged(&tag);
        let written = self.bucket.write(&self.key, condition, &bytes, &metadata);
        match written.await? {
            Written::Done(tag) => {
                let mut state = self.state();
                state.tag = tag;
                state.renewed = asked;
                Ok(true)
            }
            Written::Refused => self.recognise().await,
        }
    }

    /// Whether the lease is ours although it has another tag: then a renewal was done that was reported as failed. It
    /// is as old as that one, and so not young; but the next renewal finds it.
    async fn recognise(&self) -> Result<bool, StoreError> {
        let found = self.bucket.read(&self.key, LEASE_BYTES_MAX).await?;
        let mut state = self.state();
        match found {
            Some((bytes, tag)) if bytes.starts_with(&content_of(self.holder)) => {
                state.tag = tag;
                Ok(state.is_held())
            }
            _ => {
                state.is_lost = true;
                Ok(false)
            }
        }
    }

    /// Whether the lease is held; asks, when the last renewal is long ago.
    async fn confirm(&self) -> Result<bool, StoreError> {
        let _alone = self.renewing.lock().await;
        if self.state().is_held() || self.renew().await? {
            return Ok(true);
        }
        self.renew().await // by the tag that the first one may have found
    }

    /// Keeps the lease young until another publisher has it.
    async fn keep_young(&self) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let _alone = self.renewing.lock().await;
            match self.renew().await {
                Ok(_) if !self.state().is_lost => {}
                Ok(_) => return,
                // The next renewal may go better; the age of this one says how long that may be hoped for.
                Err(error) => {
                    tracing::debug!(%error, key = self.key, "cannot renew `{}`", self.key);
                }
            }
        }
    }
}

impl Held {
    /// Keeps the lease young until the returned reservation is dropped, which gives it up.
    pub(super) fn keep(self, io: Arc<Io>) -> Lease {
        let shared = Arc::clone(&self.0);
        let renewing = io.handle().spawn(async move { shared.keep_young().await });
        Lease {
            shared: self.0,
            renewing: Some(AbortOnDropHandle::new(renewing)),
            io,
        }
    }
}

/// A lease that is kept young.
#[derive(Debug)]
pub(super) struct Lease {
    shared: Arc<Shared>,
    renewing: Option<AbortOnDropHandle<()>>,
    io: Arc<Io>,
}

#[async_trait]
impl Reservation for Lease {
    async fn confirm(&self) -> Result<bool, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.io.run(async move { shared.confirm().await }).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let renewing = self.renewing.take();
        if !self.shared.state().is_held() {
            return; // it may be another's by now, and expires by itself
        }
        let shared = Arc::clone(&self.shared);
        self.io.release(self.shared.scope.clone(), async move {
            drop(renewing); // a renewal that is still under way finds no object under its tag
            let key = &shared.key;
            // A removal that is repeated for longer could hit the lease of whoever took it over.
            match tokio::time::timeout(MARGIN, shared.bucket.remove(key)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, key, "cannot remove `{key}`, which expires by itself");
                }
                Err(_elapsed) => {
                    tracing::debug!(key, "gave up removing `{key}`, which expires by itself");
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_of_a_release_is_in_its_products_folder_and_is_no_object() {
        let key = key_of("artifacts/agent/1.0");
        assert_eq!(key, "artifacts/agent/.headwater/lease/1.0");
        assert_eq!(crate::store::Key::parse(&key), None);
        assert_eq!(key_of("agent 1.0"), ".headwater/lease/agent 1.0");
    }

    #[test]
    fn only_an_age_above_the_lease_time_is_expired() {
        let seen = |age: Option<u64>| Seen {
            tag: String::new(),
            age: age.map(Duration::from_secs),
        };
        assert!(!seen(Some(15)).is_expired());
        assert!(seen(Some(16)).is_expired());
        assert!(!seen(None).is_expired());
    }

    #[test]
    fn no_two_renewals_have_the_same_bytes() {
        assert_ne!(content(1, 0), content(1, 1));
        assert_ne!(content(1, 0), content(2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn its_holder_gives_a_lease_up_before_others_may_take_it() {
        let state = State {
            tag: String::new(),
            renewals: 0,
            renewed: Instant::now(),
            is_lost: false,
        };
        assert!(state.is_held());
        tokio::time::advance(LEASE.saturating_sub(MARGIN)).await;
        assert!(!state.is_held());
    }
}
