//! Credentials that are fetched once, shared by all requests, and renewed before they expire.
//!
//! Owns when credentials are asked for again and what becomes of requests while they cannot be had. Never prints one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_async::time::SharedTimeSource;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::telemetry::chain;

/// A role's credentials are replaced five minutes before they expire, by AWS too.
const RENEWED_BEFORE: Duration = Duration::from_secs(5 * 60);
/// Keys from a file or a variable name no end; a key that was rotated in its file is in use within a minute.
const ENDLESS_LOOKED_AT: Duration = Duration::from_secs(60);
/// A renewal that failed is tried again this much later, while the old credentials still serve.
const RENEWAL_RETRIED: Duration = Duration::from_secs(10);
/// Requests that arrive while nobody has credentials share an answer: each of them would wait for the same time-out.
const FAILURE_SHARED: Duration = Duration::from_secs(1);
/// An instance answers within milliseconds, a helper program that talks to an identity provider within seconds.
const ASKED_AT_MOST: Duration = Duration::from_secs(10);

/// Credentials from one provider.
pub(super) struct Renewed {
    provider: SharedCredentialsProvider,
    clock: SharedTimeSource,
    /// Held while the provider is asked, so that it is asked once for everybody.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failure: Option<(Instant, Unavailable)>,
}

struct Held {
    credential: Arc<AwsCredential>,
    expires: Option<SystemTime>,
    /// On the monotonic clock: a wrong clock must not make every request ask.
    asked_again: Instant,
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewed(…)")
    }
}

/// There are no credentials. The whole reason stands in the text, so that whoever reports it may drop what it wraps.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
struct Unavailable(String);

impl Unavailable {
    fn of(error: &CredentialsError) -> Self {
        Self(match error {
            CredentialsError::CredentialsNotLoaded(_) => {
                "there are no AWS credentials: neither AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, nor the profile \
                 (AWS_PROFILE, ~/.aws), nor a web identity, nor the role of a container or an instance has any; set the \
                 two variables, choose a profile with AWS_PROFILE, or give the machine a role"
                    .to_owned()
            }
            _ => format!("the AWS credentials cannot be had: {}", chain(error)),
        })
    }
}

impl Renewed {
    pub(super) fn new(provider: SharedCredentialsProvider, clock: SharedTimeSource) -> Self {
        Self {
            provider,
            clock,
            state: Mutex::default(),
        }
    }

    async fn credential(&self) -> Result<Arc<AwsCredential>, Unavailable> {
        let mut state = self.state.lock().await;
        let (now, date) = (Instant::now(), self.clock.now());
        let alive = state.held.as_ref().filter(|held| held.is_alive(date));
        if let Some(held) = alive.filter(|held| now < held.asked_again) {
            return Ok(Arc::clone(&held.credential));
        }
        if let (None, Some((at, failure))) = (alive, &state.failure)
            && now < *at + FAILURE_SHARED
        {
            return Err(failure.clone());
        }
        let asked = tokio::time::timeout(ASKED_AT_MOST, self.provider.provide_credentials()).await;
        let asked = asked
            .unwrap_or_else(|_too_long| Err(CredentialsError::provider_timed_out(ASKED_AT_MOST)));
        match (asked, &mut state.held) {
            (Ok(credentials), _) => {
                let held = Held::new(&credentials, date);
                let credential = Arc::clone(&held.credential);
                *state = State {
                    held: Some(held),
                    failure: None,
                };
                Ok(credential)
            }
            (Err(error), Some(held)) if held.is_alive(date) => {
                tracing::warn!(
                    error = chain(&error),
                    "cannot renew the AWS credentials; the old ones are used until they expire"
                );
                held.asked_again = Instant::now() + RENEWAL_RETRIED;
                Ok(Arc::clone(&held.credential))
            }
            (Err(error), _) => {
                let failure = Unavailable::of(&error);
                state.failure = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }
}

impl Held {
    fn new(credentials: &Credentials, date: SystemTime) -> Self {
        let expires = credentials.expiry();
        let left = expires.map(|expires| expires.duration_since(date).unwrap_or_default());
        // Of short-lived ones a quarter is left, or they would be asked for with every request.
        let lasts = left.map_or(ENDLESS_LOOKED_AT, |left| {
            left - RENEWED_BEFORE.min(left / 4)
        });
        Self {
            credential: Arc::new(AwsCredential {
                key_id: credentials.access_key_id().to_owned(),
                secret_key: credentials.secret_access_key().to_owned(),
                token: credentials.session_token().map(str::to_owned),
            }),
            expires,
            asked_again: Instant::now() + lasts,
        }
    }

    /// By the date, because a machine that sleeps stops the other clock.
    fn is_alive(&self, date: SystemTime) -> bool {
        self.expires.is_none_or(|expires| date < expires)
    }
}

#[async_trait]
impl CredentialProvider for Renewed {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let credential = self.credential().await;
        credential.map_err(|failure| object_store::Error::Generic {
            store: "S3",
            source: Box::new(failure),
        })
    }
}
