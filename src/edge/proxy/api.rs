//! CloudFront's invalidation API, REST-XML of 2020-05-31: create, get and list the invalidations of one distribution.
//!
//! Owns the requests, the delays, and when a batch reaches the engine. Never decides what a batch means or whether it is
//! within the quotas: `edge/policy/invalidation.rs` does. Never checks a signature: whoever reaches the listener may
//! invalidate, so it listens on loopback unless told otherwise. Documents are read and written in `api/xml.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use rand::{Rng as _, SeedableRng as _};
use rand_distr::{Distribution as _, LogNormal};
use rand_pcg::Pcg64;
use tokio::sync::Notify;

use super::engine::Engine;
use crate::edge::policy::Moment;
use crate::edge::policy::invalidation::{Batch, Delay, InvalidationError, Ledger};
use crate::edge::settings::{InvalidationDelays, Spread};
use crate::model::Clock;

mod xml;

/// Where the control plane begins: the version of the API is the first segment.
const ROOT: &str = "/2020-05-31/";

/// 3,000 paths of 4,000 characters, and the names of their elements.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Entries of a page, at most and by default.
const ITEMS_MAX: usize = 100;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The control plane of one distribution.
pub struct Control {
    engine: Arc<Engine>,
    distribution: String,
    delays: InvalidationDelays,
    clock: Clock,
    books: Mutex<Books>,
    /// A batch was accepted: the next moment may have come nearer.
    accepted: Notify,
}

struct Books {
    ledger: Ledger,
    /// Every batch effective up to here has reached the engine.
    applied: Moment,
    draws: Pcg64,
}

impl Control {
    /// The control plane of a running engine.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        distribution: String,
        delays: InvalidationDelays,
        clock: Clock,
    ) -> Self {
        Self {
            engine,
            distribution,
            delays,
            clock,
            books: Mutex::new(Books {
                ledger: Ledger::default(),
                applied: Moment::default(),
                draws: Pcg64::seed_from_u64(delays.seed),
            }),
            accepted: Notify::new(),
        }
    }

    /// Whether a path is the control plane's.
    pub(super) fn owns(path: &str) -> bool {
        path.starts_with(ROOT)
    }

    /// Hands each batch to the engine when its time has come. Never ends.
    pub(super) async fn apply(self: Arc<Self>) {
        loop {
            let accepted = self.accepted.notified();
            match self.apply_due() {
                None => accepted.await,
                Some(wait) => {
                    let _sooner = tokio::time::timeout(wait, accepted).await;
                }
            }
        }
    }

    /// Applies what is due, and says how long it is until something else is.
    fn apply_due(&self) -> Option<Duration> {
        let mut books = self.books();
        let now = self.now();
        let since = std::mem::replace(&mut books.applied, now);
        let due = books.ledger.due(since, now);
        if !due.is_empty() {
            // Under the lock, so that nobody is told `Completed` before it is so.
            let objects = self.engine.invalidate(&due);
            tracing::info!(items = due.len(), objects, "invalidated {objects} objects");
        }
        let waiting = books.ledger.list().map(|batch| batch.effective);
        let next = waiting.filter(|moment| *moment > now).min()?;
        Some(next.since(now) + Duration::from_millis(1)) // timers count milliseconds
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment::default().after(self.engine.uptime())
    }

    /// The time of day at a moment.
    fn date(&self, moment: Moment) -> Timestamp {
        let (now, today) = (self.now(), (self.clock)());
        let ago = jiff::SignedDuration::try_from(now.since(moment)).unwrap_or_default();
        today.checked_sub(ago).unwrap_or(today)
    }

    /// Answers one request of the API.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let request_id = self.request_id();
        let outcome = self.route(request).await;
        let mut response = outcome.unwrap_or_else(|refusal| refusal.into_response(&request_id));
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(REQUEST_ID, id);
        }
        response
    }

    /// In the form of a UUID.
    fn request_id(&self) -> String {
        let id: u128 = self.books().draws.random();
        let hex = format!("{id:032x}");
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        parts.join("-")
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path
            .strip_prefix(ROOT)
            .unwrap_or_default()
            .split('/')
            .collect();
        match segments.as_slice() {
            ["distribution", id, "invalidation", ..] if *id != self.distribution => {
                Err(Refusal::no_distribution(id))
            }
            ["distribution", _, "invalidation" | "invalidation/"] => match *request.method() {
                Method::GET => self.list(request.uri().query().unwrap_or_default()),
                Method::POST => self.create(request).await,
                _ => Err(Refusal::METHOD),
            },
            ["distribution", _, "invalidation", id] => match *request.method() {
                Method::GET => self.get(id),
                _ => Err(Refusal::METHOD),
            },
            _ => Err(Refusal::UNKNOWN),
        }
    }

    async fn create(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
        let host = request.headers().get(HOST).cloned();
        if request.body().size_hint().lower() > BODY_BYTES_MAX as u64 {
            return Err(Refusal::TOO_LARGE);
        }
        let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
            Err(_late) => return Err(Refusal::SLOW),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(Refusal::TOO_LARGE);
            }
            Ok(Err(_broken)) => return Err(Refusal::MISSING_BODY),
            Ok(Ok(body)) => body.to_bytes(),
        };
        if body.is_empty() {
            return Err(Refusal::MISSING_BODY);
        }
        let asked = xml::read_batch(&body)?;
        let batch = {
            let mut books = self.books();
            let delay = self.delays.draw(&mut books.draws);
            // Strictly after what was applied last, so that no batch falls between two looks.
            let now = self
                .now()
                .max(books.applied.after(Duration::from_micros(1)));
            books
                .ledger
                .create(&asked.caller_reference, &asked.paths, delay, now)?
        };
        self.apply_due(); // with no delay configured it has taken effect before the answer
        self.accepted.notify_one();
        let mut response = document(StatusCode::CREATED, xml::invalidation(&self.seen(&batch)));
        let host = host.as_ref().and_then(|host| host.to_str().ok());
        let location = format!(
            "http://{}{ROOT}distribution/{}/invalidation/{}",
            host.unwrap_or_default(),
            self.distribution,
            batch.id
        );
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    fn get(&self, id: &str) -> Result<Response<Full<Bytes>>, Refusal> {
        self.apply_due();
        let batch = self.books().ledger.get(id)?.clone();
        Ok(document(
            StatusCode::OK,
            xml::invalidation(&self.seen(&batch)),
        ))
    }

    fn list(&self, query: &str) -> Result<Response<Full<Bytes>>, Refusal> {
        let page = Page::read(query)?;
        self.apply_due();
        let batches: Vec<Batch> = self.books().ledger.list().cloned().collect();
        let after_marker = match &page.marker {
            None => 0,
            Some(marker) => {
                let at = batches.iter().position(|batch| batch.id == *marker);
                at.ok_or_else(|| {
                    Refusal::bad_argument(
                        "The parameter Marker is not an invalidation of this distribution.",
                    )
                })? + 1
            }
        };
        let rest = &batches[after_marker..];
        let shown = &rest[..rest.len().min(page.items_max)];
        let seen: Vec<xml::Seen<'_>> = shown.iter().map(|batch| self.seen(batch)).collect();
        let is_truncated = shown.len() < rest.len();
        Ok(document(
            StatusCode::OK,
            xml::list(&xml::List {
                marker: page.marker.as_deref().unwrap_or_default(),
                items_max: page.items_max,
                is_truncated,
                shown: &seen,
            }),
        ))
    }

    /// A batch as it is told now.
    fn seen<'a>(&self, batch: &'a Batch) -> xml::Seen<'a> {
        xml::Seen {
            batch,
            is_completed: self.now() >= batch.completed,
            created: self.date(batch.created),
        }
    }
}

impl InvalidationDelays {
    /// How long one batch takes. It is never reported complete before it is effective.
    fn draw(&self, draws: &mut Pcg64) -> Delay {
        let effective = draw(self.effective, draws);
        let completed = draw(self.completed, draws).max(effective);
        Delay {
            effective,
            completed,
        }
    }
}

fn draw(spread: Spread, draws: &mut Pcg64) -> Duration {
    /// The 95th percentile of the standard normal distribution.
    const Z95: f64 = 1.644_853_627;
    let (median, p95) = (spread.median.as_secs_f64(), spread.p95.as_secs_f64());
    if median <= 0.0 || p95 <= median {
        return spread.median;
    }
    let seconds = LogNormal::new(median.ln(), (p95 / median).ln() / Z95)
        .map_or(median, |distribution| distribution.sample(draws));
    Duration::try_from_secs_f64(seconds).unwrap_or(spread.p95)
}

/// `MaxItems` and `Marker`.
struct Page {
    items_max: usize,
    marker: Option<String>,
}

impl Page {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut page = Self {
            items_max: ITEMS_MAX,
            marker: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "MaxItems" => {
                    let items: Option<usize> = value.parse().ok().filter(|items| *items > 0);
                    let refusal = "The parameter MaxItems has to be a number above zero.";
                    let items = items.ok_or_else(|| Refusal::bad_argument(refusal))?;
                    page.items_max = items.min(ITEMS_MAX);
                }
                "Marker" if !value.is_empty() => page.marker = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(page)
    }
}

fn document(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/xml");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An error as the API tells it: status, code, message.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: std::borrow::Cow<'static, str>,
}

impl Refusal {
    const METHOD: Self = Self::of(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    );
    const UNKNOWN: Self = Self::of(
        StatusCode::NOT_FOUND,
        "NoSuchResource",
        "This edge answers CreateInvalidation, GetInvalidation and ListInvalidations alone.",
    );
    const MISSING_BODY: Self = Self::of(
        StatusCode::BAD_REQUEST,
        "MissingBody",
        "This operation requires a body. Ensure that the body is present and the Content-Type header is set.",
    );
    const SLOW: Self = Self::of(
        StatusCode::BAD_REQUEST,
        "RequestTimeout",
        "The body of the request did not arrive in time.",
    );
    const TOO_LARGE: Self = Self::of(
        StatusCode::PAYLOAD_TOO_LARGE,
        "BatchTooLarge",
        "Invalidation batch specified is too large.",
    );

    const fn of(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code,
            message: std::borrow::Cow::Borrowed(message),
        }
    }

    fn bad_argument(message: &'static str) -> Self {
        Self::of(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    }

    fn no_distribution(id: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "NoSuchDistribution",
            message: format!("The specified distribution does not exist: {id}").into(),
        }
    }

    fn into_response(self, request_id: &str) -> Response<Full<Bytes>> {
        let text = xml::error(self.code, &self.message, request_id);
        let mut response = document(self.status, text);
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = HeaderValue::from_static("GET, POST");
            response.headers_mut().insert(ALLOW, allowed);
        }
        response
    }
}

impl From<InvalidationError> for Refusal {
    fn from(error: InvalidationError) -> Self {
        let (status, code) = match &error {
            InvalidationError::InvalidArgument(_) => (StatusCode::BAD_REQUEST, "InvalidArgument"),
            InvalidationError::AlreadyExists(_) => {
                (StatusCode::BAD_REQUEST, "InvalidationBatchAlreadyExists")
            }
            InvalidationError::TooManyInProgress(_) => {
                (StatusCode::BAD_REQUEST, "TooManyInvalidationsInProgress")
            }
            InvalidationError::BatchTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "BatchTooLarge"),
            InvalidationError::NoSuchInvalidation(_) => {
                (StatusCode::NOT_FOUND, "NoSuchInvalidation")
            }
        };
        Self {
            status,
            code,
            message: error.to_string().into(),
        }
    }
}
