//! One HTTP exchange with S3: how long it may take, and what its refusal said.
//!
//! Owns the time limits, which grow with the bytes that travel, and what is remembered of an answer that was no success.
//! Never retries (`object_store` and `request.rs` do), never signs.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use tokio::time::{Instant, Sleep};

/// The slowest line that a transfer has to put up with. One part of 8 MiB then takes two minutes, and a line below it
/// would need more than a day for a release of 8 GiB.
const BYTES_PER_SECOND_MIN: u64 = 64 * 1024;

/// The longest refusal that is read: S3's have some hundred bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// How long the way to a server may take. Across the world it takes a third of a second; a second attempt soon is
/// worth more than waiting for a packet that was lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections are closed before S3 does it, which it does after some 20 seconds without a word.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// An answer that was no success.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// S3's own word for it, for instance `SlowDown`.
    pub(super) code: Option<String>,
    /// What AWS's support asks for.
    pub(super) request_id: Option<String>,
}

impl Answer {
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let header = headers.get("x-amz-request-id");
        let header = header.and_then(|value| value.to_str().ok());
        Self {
            status,
            code: element(&text, "Code"),
            request_id: header
                .map_or_else(|| element(&text, "RequestId"), |id| Some(id.to_owned())),
        }
    }
}

/// The text of the first element of that name. No parser: what a refusal's body is made of is not known.
fn element(text: &str, name: &str) -> Option<String> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let end = text[start..].find("</")?;
    let word: String = text[start..start + end]
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    (!word.is_empty()).then_some(word)
}

/// What happened to one request and its repetitions. Travels with the request; cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    attempts: u32,
    answer: Option<Answer>,
}

impl Trace {
    /// How often the request was sent.
    pub(super) fn attempts(&self) -> u32 {
        self.lock().attempts
    }

    /// The last answer, unless it was a success or there was none.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.lock().answer.clone()
    }

    /// A request's extensions with this in them.
    pub(super) fn extensions(&self) -> http::Extensions {
        let mut extensions = http::Extensions::new();
        extensions.insert(self.clone());
        extensions
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much longer than others a request may take, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Longer(pub(super) Duration);

/// The client of every request to S3.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    timeout: Duration,
}

impl Transport {
    pub(super) fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        // The process-wide choice of cryptography; whoever comes first makes it, and all make the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()?;
        Ok(Self { client, timeout })
    }

    /// How long the transfer of so many bytes may take.
    pub(super) fn allowance(&self, bytes: u64) -> Duration {
        self.timeout + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN)
    }
}

/// Hands the one client to `object_store`.
impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no complete answer within {0:?}")]
struct TookTooLong(Duration);

fn took_too_long(allowed: Duration) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, TookTooLong(allowed))
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let trace = request.extensions().get::<Trace>().cloned();
        let trace = trace.unwrap_or_default();
        {
            let mut seen = trace.lock();
            seen.attempts += 1;
            seen.answer = None;
        }
        let longer = request.extensions().get::<Longer>();
        let longer = longer.map_or(Duration::ZERO, |longer| longer.0);
        let allowed = self.allowance(request.body().content_length() as u64) + longer;
        let answered = tokio::time::timeout(allowed, HttpService::call(&self.client, request));
        let Ok(answered) = answered.await else {
            return Err(took_too_long(allowed));
        };
        let (parts, body) = answered?.into_parts();
        let length = parts.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let allowed = self.allowance(length.unwrap_or_default()) + longer;
        if parts.status.is_success() {
            let body = HttpResponseBody::new(Timed {
                body,
                sleep: Box::pin(tokio::time::sleep_until(Instant::now() + allowed)),
                allowed,
            });
            return Ok(HttpResponse::from_parts(parts, body));
        }
        let refusal = Limited::new(body, REFUSAL_BYTES_MAX).collect();
        let refusal = match tokio::time::timeout(allowed, refusal).await {
            Ok(Ok(refusal)) => refusal.to_bytes(),
            Ok(Err(_)) => Bytes::new(), // the status says the most of it
            Err(_) => return Err(took_too_long(allowed)),
        };
        trace.lock().answer = Some(Answer::of(parts.status, &parts.headers, &refusal));
        Ok(HttpResponse::from_parts(parts, refusal.into()))
    }
}

/// A body that has to be complete in time.
struct Timed {
    body: HttpResponseBody,
    sleep: Pin<Box<Sleep>>,
    allowed: Duration,
}

impl Body for Timed {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(self.sleep.as_mut().poll(context));
        Poll::Ready(Some(Err(took_too_long(self.allowed))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &[u8] =
        b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.\
                             </Message><RequestId>8F3</RequestId></Error>";

    #[test]
    fn a_refusal_says_its_code_and_its_request() {
        let answer = Answer::of(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new(), REFUSAL);
        assert_eq!(answer.code.as_deref(), Some("SlowDown"));
        assert_eq!(answer.request_id.as_deref(), Some("8F3"));
    }

    #[test]
    fn the_answer_to_a_head_has_its_request_in_a_field() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-request-id", "9A".parse().unwrap());
        let answer = Answer::of(StatusCode::FORBIDDEN, &headers, b"");
        assert_eq!(
            (answer.code, answer.request_id.as_deref()),
            (None, Some("9A"))
        );
    }

    #[test]
    fn a_large_part_may_take_longer_than_a_question() {
        let transport = Transport::new(Duration::from_secs(10)).unwrap();
        assert_eq!(transport.allowance(0), Duration::from_secs(10));
        assert_eq!(transport.allowance(8 << 20), Duration::from_secs(10 + 128));
    }
}
