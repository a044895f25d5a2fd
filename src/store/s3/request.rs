//! Requests that `object_store` has no verb for: signed, sent, and sent again.
//!
//! Owns patience: which failures are tried again, how soon, and for how long in all. Every request made here may be
//! repeated; what a repetition's refusal means is for the caller to find out. Never knows what a body says.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use object_store::CredentialProvider;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody, HttpService as _};
use object_store::{BackoffConfig, RetryConfig};
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::failure::Cause;
use super::transport::{Answer, Longer, Trace, Transport};
use crate::model::Digest;

/// The pause after the first failure; each further one is up to twice as long. S3 answers 503 while it divides a busy
/// prefix, which takes it seconds to minutes.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The longest pause: what a person who watches the progress still takes for work.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How many times the time limit of one request may pass before it is not sent again, so that an outage that outlives
/// two attempts is reported in bounded time.
const PATIENCE: u32 = 2;

/// For how long a failed request is sent again that may itself take `allowed`.
pub(super) fn patience(allowed: Duration) -> Duration {
    allowed * PATIENCE
}

/// The same rules for the requests that `object_store` makes.
pub(super) fn retry_config(timeout: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: PAUSE_FIRST,
            max_backoff: PAUSE_MAX,
            base: 2.0,
        },
        max_retries: usize::MAX, // the time is the limit
        retry_timeout: patience(timeout),
    }
}

/// A number that nobody can guess or repeat, good for names and for pauses.
pub(super) fn chance() -> u64 {
    RandomState::new().hash_one(0) // its keys come from the system
}

/// Sends signed requests to one bucket.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) endpoint: Endpoint,
    pub(super) credentials: Arc<dyn CredentialProvider<Credential = AwsCredential>>,
    pub(super) transport: Transport,
}

/// One request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Of the object, with the store's prefix; empty for the bucket.
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Of the body, where it is known already.
    pub(super) digest: Option<Digest>,
    /// How much longer than others it may take.
    pub(super) longer: Duration,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, key: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            method,
            key,
            query,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            digest: None,
            longer: Duration::ZERO,
        }
    }

    /// Adds a field; a value that no field can have is left out, and none of ours is such.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn body(mut self, body: Bytes, digest: Digest) -> Self {
        self.body = body;
        self.digest = Some(digest);
        self
    }
}

/// A success.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A request that failed for good.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) cause: Cause,
    /// Whether it was sent more than once: then a refusal may be the answer to an earlier attempt's success.
    pub(super) is_repeated: bool,
}

impl Caller {
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Response, Failed> {
        let trace = Trace::default();
        let started = Instant::now();
        let allowed = self.transport.allowance(request.body.len() as u64);
        let mut pauses = Pauses::default();
        loop {
            let cause = match self.attempt(&request, &trace).await {
                Ok(response) => return Ok(response),
                Err(cause) => cause,
            };
            if !cause.is_transient() || started.elapsed() >= patience(allowed) {
                return Err(Failed {
                    cause,
                    is_repeated: trace.attempts() > 1,
                });
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    async fn attempt(&self, request: &Request<'_>, trace: &Trace) -> Result<Response, Cause> {
        // Anew for every attempt: credentials may have been renewed meanwhile, and a signature ages.
        let credential = self.credentials.get_credential().await;
        let credential = credential.map_err(|error| Cause::Broken(error.into()))?;
        let mut signed: HttpRequest = http::Request::builder()
            .method(request.method.clone())
            .uri(self.endpoint.url(request.key, request.query))
            .extension(trace.clone())
            .extension(Longer(request.longer))
            .body(HttpRequestBody::from(request.body.clone()))
            .map_err(|error| Cause::Broken(error.into()))?;
        *signed.headers_mut() = request.headers.clone();
        let digest = request.digest.as_ref().map(|digest| &digest.as_bytes()[..]);
        AwsAuthorizer::new(&credential, "s3", &self.endpoint.region)
            .try_authorize(&mut signed, digest)
            .map_err(|error| Cause::Broken(error.into()))?;
        let answered = self.transport.call(signed).await;
        let (parts, body) = answered
            .map_err(|error| Cause::Broken(error.into()))?
            .into_parts();
        if let Some(answer) = trace.answer() {
            return Err(Cause::Refused(answer));
        }
        let body = body.collect().await;
        let body = body
            .map_err(|error| Cause::Broken(error.into()))?
            .to_bytes();
        if is_late_refusal(&body) {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(Cause::Refused(Answer::of(status, &parts.headers, &body)));
        }
        let headers = parts.headers;
        Ok(Response { headers, body })
    }
}

/// Whether the body of a 200 is an error all the same: S3 begins the answer to a long request before it is done.
fn is_late_refusal(body: &[u8]) -> bool {
    let text = body.trim_ascii_start();
    let text = match text.strip_prefix(b"<?xml") {
        Some(rest) => rest
            .iter()
            .position(|byte| *byte == b'>')
            .map(|at| &rest[at + 1..]),
        None => Some(text),
    };
    text.is_some_and(|text| text.trim_ascii_start().starts_with(b"<Error"))
}

/// The pauses between attempts: each up to twice as long as the one before, and never the same for two clients.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    done: u32,
}

impl Pauses {
    pub(super) fn next(&mut self) -> Duration {
        let longest = PAUSE_FIRST
            .saturating_mul(1 << self.done.min(16))
            .min(PAUSE_MAX);
        self.done += 1;
        let share = u32::try_from(chance() % 512).unwrap_or_default();
        longest.mul_f64(f64::from(512 + share) / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let mut pauses = Pauses::default();
        let all: Vec<_> = (0..40).map(|_| pauses.next()).collect();
        assert!(all[0] >= PAUSE_FIRST / 2 && all[0] <= PAUSE_FIRST);
        assert!(all.iter().all(|pause| *pause <= PAUSE_MAX));
        assert!(all[39] >= PAUSE_MAX / 2);
        assert!(all[20..].windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn an_error_in_the_body_of_a_success_is_an_error() {
        for body in [
            "<Error><Code>InternalError</Code></Error>",
            "\n <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\n<Error><Code>SlowDown</Code></Error>",
        ] {
            assert!(is_late_refusal(body.as_bytes()), "{body}");
        }
        for body in [
            "",
            "<CompleteMultipartUploadResult><Key>&lt;Error&gt;</Key></CompleteMultipartUploadResult>",
        ] {
            assert!(!is_late_refusal(body.as_bytes()), "{body}");
        }
    }
}
