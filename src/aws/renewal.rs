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
            left.saturating_sub(RENEWED_BEFORE.min(left / 4))
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex as Lock;

    use aws_credential_types::provider::{self, ProvideCredentials, future};
    use aws_smithy_async::time::TimeSource;

    use super::*;

    const SECRET: &str = "hush-hush-hush";

    /// Answers each question with the next line of its script, and then stays silent for ever.
    #[derive(Debug)]
    struct Scripted {
        lines: Lock<VecDeque<provider::Result>>,
        asked: Lock<usize>,
    }

    impl Scripted {
        fn new(lines: impl IntoIterator<Item = provider::Result>) -> Arc<Self> {
            Arc::new(Self {
                lines: Lock::new(lines.into_iter().collect()),
                asked: Lock::new(0),
            })
        }

        fn asked(&self) -> usize {
            *self.asked.lock().unwrap()
        }
    }

    #[derive(Debug)]
    struct Shared(Arc<Scripted>);

    impl ProvideCredentials for Shared {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                *self.0.asked.lock().unwrap() += 1;
                // As long as a network: others arrive meanwhile.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let line = self.0.lines.lock().unwrap().pop_front();
                match line {
                    Some(line) => line,
                    None => std::future::pending().await,
                }
            })
        }
    }

    /// A date that runs with the paused clock.
    #[derive(Clone, Debug)]
    struct Date {
        start: Instant,
        skipped: Arc<Lock<Duration>>,
    }

    impl TimeSource for Date {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + self.start.elapsed() + *self.skipped.lock().unwrap()
        }
    }

    struct Stage {
        script: Arc<Scripted>,
        date: Date,
        renewed: Renewed,
    }

    fn stage(lines: impl IntoIterator<Item = provider::Result>) -> Stage {
        let script = Scripted::new(lines);
        let date = Date {
            start: Instant::now(),
            skipped: Arc::default(),
        };
        let provider = SharedCredentialsProvider::new(Shared(Arc::clone(&script)));
        let renewed = Renewed::new(provider, SharedTimeSource::new(date.clone()));
        Stage {
            script,
            date,
            renewed,
        }
    }

    impl Stage {
        async fn key(&self) -> Result<String, String> {
            let credential = self.renewed.get_credential().await;
            credential
                .map(|credential| credential.key_id.clone())
                .map_err(|error| chain(&error))
        }
    }

    /// Credentials that live until this long after the beginning.
    #[expect(clippy::unnecessary_wraps, reason = "a line of a script is a result")]
    fn until(key: &str, end: Option<Duration>) -> provider::Result {
        let expires = end.map(|end| SystemTime::UNIX_EPOCH + end);
        Ok(Credentials::new(key, SECRET, None, expires, "test"))
    }

    fn failed() -> provider::Result {
        Err(CredentialsError::provider_error("no route to the instance"))
    }

    fn nothing() -> provider::Result {
        Err(CredentialsError::not_loaded_no_source())
    }

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn many_requests_at_once_ask_once() {
        let stage = stage([until("A", Some(HOUR))]);
        let keys = futures_of(&stage, 8).await;
        assert_eq!(keys, vec![Ok("A".to_owned()); 8]);
        assert_eq!(stage.script.asked(), 1);
    }

    async fn futures_of(stage: &Stage, count: usize) -> Vec<Result<String, String>> {
        let mut keys = Vec::new();
        let (first, second, third, fourth) =
            tokio::join!(stage.key(), stage.key(), stage.key(), stage.key());
        keys.extend([first, second, third, fourth]);
        while keys.len() < count {
            keys.push(stage.key().await);
        }
        keys
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_of_a_role_are_renewed_five_minutes_before_they_expire() {
        let stage = stage([until("A", Some(HOUR)), until("B", Some(2 * HOUR))]);
        assert_eq!(stage.key().await.unwrap(), "A");
        tokio::time::sleep(54 * MINUTE).await;
        assert_eq!(stage.key().await.unwrap(), "A");
        tokio::time::sleep(MINUTE).await;
        assert_eq!(stage.key().await.unwrap(), "B");
        assert_eq!(stage.script.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn short_lived_ones_are_not_asked_for_with_every_request() {
        let stage = stage([until("A", Some(Duration::from_secs(60)))]);
        for _ in 0..5 {
            assert_eq!(stage.key().await.unwrap(), "A");
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        assert_eq!(stage.script.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_rotated_in_a_file_is_in_use_within_a_minute() {
        let stage = stage([until("A", None), until("B", None)]);
        assert_eq!(stage.key().await.unwrap(), "A");
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert_eq!(stage.key().await.unwrap(), "A");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(stage.key().await.unwrap(), "B");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_leaves_the_old_ones_in_use_until_they_expire() {
        let stage = stage([
            until("A", Some(HOUR)),
            failed(),
            nothing(),
            failed(),
            until("B", Some(3 * HOUR)),
        ]);
        assert_eq!(stage.key().await.unwrap(), "A");
        tokio::time::sleep(55 * MINUTE).await;
        assert_eq!(stage.key().await.unwrap(), "A");
        assert_eq!(stage.key().await.unwrap(), "A");
        assert_eq!(stage.script.asked(), 2, "not again at once");
        tokio::time::sleep(RENEWAL_RETRIED).await;
        assert_eq!(stage.key().await.unwrap(), "A");
        assert_eq!(stage.script.asked(), 3);
        tokio::time::sleep(RENEWED_BEFORE).await;
        let refusal = stage.key().await.unwrap_err();
        assert!(refusal.contains("no route to the instance"), "{refusal}");
        tokio::time::sleep(FAILURE_SHARED).await;
        assert_eq!(stage.key().await.unwrap(), "B");
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_slept_does_not_use_what_expired_meanwhile() {
        let stage = stage([until("A", Some(HOUR)), until("B", Some(9 * HOUR))]);
        assert_eq!(stage.key().await.unwrap(), "A");
        *stage.date.skipped.lock().unwrap() = 2 * HOUR;
        assert_eq!(stage.key().await.unwrap(), "B");
    }

    #[tokio::test(start_paused = true)]
    async fn without_credentials_the_places_are_named_and_waiting_requests_share_the_answer() {
        let stage = stage([nothing(), until("A", None)]);
        for refusal in futures_of(&stage, 8).await {
            let refusal = refusal.unwrap_err();
            for place in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "role"] {
                assert!(refusal.contains(place), "{refusal}");
            }
        }
        assert_eq!(stage.script.asked(), 1);
        tokio::time::sleep(FAILURE_SHARED).await;
        assert_eq!(stage.key().await.unwrap(), "A");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_provider_is_given_up() {
        let stage = stage([]);
        let start = Instant::now();
        let refusal = stage.key().await.unwrap_err();
        assert!(refusal.contains("timed out"), "{refusal}");
        assert_eq!(start.elapsed(), ASKED_AT_MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_that_can_be_printed_holds_a_secret() {
        let stage = stage([until("A", Some(HOUR))]);
        let credential = stage.renewed.get_credential().await.unwrap();
        assert_eq!(credential.secret_key, SECRET);
        let printed = format!("{:?} {:?}", stage.renewed, credential);
        assert!(!printed.contains(SECRET), "{printed}");
    }
}
