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
use rand_distr::{Distribution as _, StandardNormal};
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

/// Timers count milliseconds: one that fires early would find nothing due.
const TIMER_STEP: Duration = Duration::from_millis(1);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The control plane of one distribution.
pub struct Control {
    engine: Arc<Engine>,
    distribution: String,
    delays: InvalidationDelays,
    /// The time of day when the engine's own clock began: read once, so that a batch keeps its date.
    began: Timestamp,
    books: Mutex<Books>,
    /// A batch was accepted: the next moment may have come nearer.
    accepted: Notify,
}

struct Books {
    ledger: Ledger,
    /// Every batch effective up to here has reached the engine.
    applied: Moment,
    draws: Pcg64,
    /// Of request ids: apart, so that questions do not change the delays of the same seed.
    ids: Pcg64,
}

impl Control {
    /// The control plane of a running engine.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        distribution: String,
        delays: InvalidationDelays,
        clock: &Clock,
    ) -> Self {
        let uptime = jiff::SignedDuration::try_from(engine.uptime()).unwrap_or_default();
        let now = clock();
        Self {
            engine,
            distribution,
            delays,
            began: now.checked_sub(uptime).unwrap_or(now),
            books: Mutex::new(Books {
                ledger: Ledger::default(),
                applied: Moment::default(),
                draws: Pcg64::seed_from_u64(delays.seed),
                ids: Pcg64::seed_from_u64(!delays.seed),
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
            let next = {
                let mut books = self.books();
                let now = self.now(&books);
                self.apply_until(&mut books, now)
            };
            match next {
                None => accepted.await,
                Some(wait) => {
                    let _sooner = tokio::time::timeout(wait, accepted).await;
                }
            }
        }
    }

    /// Applies what is due, and says how long it is until something else is. Under the lock, so that nobody is told
    /// `Completed` before it is so.
    fn apply_until(&self, books: &mut Books, now: Moment) -> Option<Duration> {
        let since = std::mem::replace(&mut books.applied, now);
        let due = books.ledger.due(since, now);
        if !due.is_empty() {
            let objects = self.engine.invalidate(&due);
            tracing::info!(items = due.len(), objects, "invalidated {objects} objects");
        }
        let waiting = books.ledger.list().map(|batch| batch.effective);
        let next = waiting.filter(|moment| *moment > now).min()?;
        Some(next.since(now) + TIMER_STEP)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never before what was applied already: a batch must not fall between two looks.
    fn now(&self, books: &Books) -> Moment {
        Moment::default()
            .after(self.engine.uptime())
            .max(books.applied)
    }

    /// The time of day at a moment.
    fn date(&self, moment: Moment) -> Timestamp {
        let later = moment.since(Moment::default());
        let later = jiff::SignedDuration::try_from(later).unwrap_or_default();
        self.began.checked_add(later).unwrap_or(self.began)
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
        let id: u128 = self.books().ids.random();
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
        let (batch, text) = {
            let mut books = self.books();
            let delay = self.delays.draw(&mut books.draws);
            let now = self.now(&books);
            let batch = books
                .ledger
                .create(&asked.caller_reference, &asked.paths, delay, now)?;
            // With no delay configured it has taken effect before the answer.
            let at_once = delay.effective.is_zero().then_some(batch.effective);
            let now = now.max(at_once.unwrap_or(now));
            self.apply_until(&mut books, now);
            let text = xml::invalidation(&self.seen(&batch, now));
            (batch, text)
        };
        self.accepted.notify_one();
        let mut response = document(StatusCode::CREATED, text);
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
        let mut books = self.books();
        let now = self.now(&books);
        self.apply_until(&mut books, now);
        let seen = self.seen(books.ledger.get(id)?, now);
        Ok(document(StatusCode::OK, xml::invalidation(&seen)))
    }

    fn list(&self, query: &str) -> Result<Response<Full<Bytes>>, Refusal> {
        let page = Page::read(query)?;
        let mut books = self.books();
        let now = self.now(&books);
        self.apply_until(&mut books, now);
        let mut batches = books.ledger.list();
        if let Some(marker) = &page.marker
            && !batches.any(|batch| batch.id == *marker)
        {
            let why = "The parameter Marker is not an invalidation of this distribution.";
            return Err(Refusal::bad_argument(why));
        }
        let shown = batches.by_ref().take(page.items_max);
        let shown: Vec<xml::Seen<'_>> = shown.map(|batch| self.seen(batch, now)).collect();
        let list = xml::List {
            marker: page.marker.as_deref().unwrap_or_default(),
            items_max: page.items_max,
            is_truncated: batches.next().is_some(),
            shown: &shown,
        };
        Ok(document(StatusCode::OK, xml::list(&list)))
    }

    /// A batch as it is told now.
    fn seen<'a>(&self, batch: &'a Batch, now: Moment) -> xml::Seen<'a> {
        xml::Seen {
            batch,
            is_completed: batch.completed <= now,
            created: self.date(batch.created),
        }
    }
}

impl InvalidationDelays {
    /// How long one batch takes. Both parts come from one draw: a batch that is slow to take effect is slow to be
    /// reported, and is never reported before.
    fn draw(&self, draws: &mut Pcg64) -> Delay {
        let normal: f64 = StandardNormal.sample(draws);
        let effective = self.effective.at(normal);
        let completed = self.completed.at(normal).max(effective);
        Delay {
            effective,
            completed,
        }
    }
}

impl Spread {
    /// The lognormal value at so many standard deviations from the median.
    fn at(self, normal: f64) -> Duration {
        /// The 95th percentile of the standard normal distribution.
        const Z95: f64 = 1.644_853_626_951_472_2;
        let (median, p95) = (self.median.as_secs_f64(), self.p95.as_secs_f64());
        if median <= 0.0 || p95 <= median {
            return self.median;
        }
        let seconds = median * (p95 / median).powf(normal / Z95);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.p95)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn delays(effective: (u32, u32), completed: (u32, u32)) -> InvalidationDelays {
        let spread = |(median, p95)| Spread {
            median: SECOND * median,
            p95: SECOND * p95,
        };
        InvalidationDelays {
            effective: spread(effective),
            completed: spread(completed),
            seed: 7,
        }
    }

    fn draws(of: InvalidationDelays, count: usize) -> Vec<Delay> {
        let mut draws = Pcg64::seed_from_u64(of.seed);
        (0..count).map(|_| of.draw(&mut draws)).collect()
    }

    #[test]
    fn half_of_all_delays_are_below_the_median_and_95_of_100_below_the_percentile() {
        let drawn = draws(delays((2, 5), (10, 25)), 20_000);
        let below = |is: &dyn Fn(&Delay) -> bool| drawn.iter().filter(|delay| is(delay)).count();
        for (count, expected) in [
            (below(&|delay| delay.effective < SECOND * 2), 10_000),
            (below(&|delay| delay.effective < SECOND * 5), 19_000),
            (below(&|delay| delay.completed < SECOND * 10), 10_000),
            (below(&|delay| delay.completed < SECOND * 25), 19_000),
        ] {
            assert!(count.abs_diff(expected) < 200, "{count} {expected}");
        }
    }

    #[test]
    fn equal_percentiles_are_always_that_long_and_zeros_at_once() {
        for delay in draws(delays((3, 3), (0, 0)), 100) {
            assert_eq!(delay.effective, SECOND * 3);
            assert_eq!(delay.completed, delay.effective, "never reported before");
        }
        let at_once = draws(delays((0, 0), (0, 0)), 1);
        assert_eq!(
            (at_once[0].effective, at_once[0].completed),
            (Duration::ZERO, Duration::ZERO)
        );
    }

    #[test]
    fn the_same_seed_draws_the_same_delays() {
        let of = delays((2, 5), (10, 25));
        assert_eq!(draws(of, 50), draws(of, 50));
        let other = InvalidationDelays { seed: 8, ..of };
        assert_ne!(draws(of, 50), draws(other, 50));
    }

    #[test]
    fn a_page_is_read_from_its_query_and_never_longer_than_100() {
        let read = |query: &str| {
            let page = Page::read(query).map_err(|refusal| refusal.code)?;
            Ok((page.items_max, page.marker))
        };
        assert_eq!(read(""), Ok((100, None)));
        assert_eq!(
            read("MaxItems=7&Marker=I%31"),
            Ok((7, Some("I1".to_owned())))
        );
        assert_eq!(read("Marker=&Other=1"), Ok((100, None)));
        assert_eq!(read("MaxItems=1000"), Ok((100, None)));
        for wrong in ["MaxItems=0", "MaxItems=-1", "MaxItems=", "MaxItems=x"] {
            assert_eq!(read(wrong), Err("InvalidArgument"), "{wrong}");
        }
    }
}
