//! Reservations in a bucket: an object that its holder keeps young.
//!
//! Owns when a reservation is held, lost and expired. A lease is created only where there is none, renewed and taken
//! over only under the tag that was seen. Its age is what S3 says it is, by the two dates of one answer: no two machines'
//! clocks are compared. Correctness never rests on it alone: commits and channels are conditional writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
            renewed: asked,
            is_lost: false,
        };
        return Ok(Some(Held {
            bucket,
            scope,
            key,
            holder,
            state: Arc::new(Mutex::new(state)),
        }));
    }
    Ok(None)
}

/// Other bytes for each holder and renewal: a tag is often the digest of the bytes.
fn content(holder: u64, renewal: u64) -> Bytes {
    Bytes::from(format!(
        "{{\"holder\":\"{holder:016x}\",\"renewal\":{renewal}}}\n"
    ))
}

/// A lease that was taken and is not yet kept.
#[derive(Debug)]
pub(super) struct Held {
    bucket: Arc<Bucket>,
    scope: String,
    key: String,
    holder: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    tag: String,
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

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    /// Keeps the lease young until the returned reservation is dropped, which gives it up.
    pub(super) fn keep(self, io: Arc<Io>) -> Lease {
        let (bucket, key) = (Arc::clone(&self.bucket), self.key.clone());
        let (holder, state) = (self.holder, Arc::clone(&self.state));
        let metadata = Metadata::private();
        let renewing = io.handle().spawn(async move {
            for renewal in 1.. {
                tokio::time::sleep(RENEWAL).await;
                let asked = Instant::now();
                let tag = lock(&state).tag.clone();
                let condition = Condition::Tagged(&tag);
                let bytes = content(holder, renewal);
                let written = bucket.write(&key, condition, &bytes, &metadata);
                match written.await {
                    Ok(Written::Done(tag)) => {
                        let mut state = lock(&state);
                        state.tag = tag;
                        state.renewed = asked;
                    }
                    Ok(Written::Refused) => {
                        lock(&state).is_lost = true;
                        return;
                    }
                    // The next renewal may go better; the age of this one says how long that may be hoped for.
                    Err(error) => tracing::debug!(%error, key, "cannot renew `{key}`"),
                }
            }
        });
        Lease {
            held: self,
            renewing: Some(AbortOnDropHandle::new(renewing)),
            io,
        }
    }
}

/// A lease that is kept young.
#[derive(Debug)]
pub(super) struct Lease {
    held: Held,
    renewing: Option<AbortOnDropHandle<()>>,
    io: Arc<Io>,
}

impl Reservation for Lease {
    fn is_held(&self) -> bool {
        lock(&self.held.state).is_held()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let renewing = self.renewing.take();
        if !self.is_held() {
            return; // it may be another's by now, and expires by itself
        }
        let (bucket, key) = (Arc::clone(&self.held.bucket), self.held.key.clone());
        self.io.release(self.held.scope.clone(), async move {
            drop(renewing); // a renewal that is still under way finds no object under its tag
            if let Err(error) = bucket.remove(&key).await {
                tracing::debug!(%error, key, "cannot remove `{key}`, which expires by itself");
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
            renewed: Instant::now(),
            is_lost: false,
        };
        assert!(state.is_held());
        tokio::time::advance(LEASE.saturating_sub(MARGIN)).await;
        assert!(!state.is_held());
    }
}
