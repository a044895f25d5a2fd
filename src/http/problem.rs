//! Everything that goes wrong, as RFC 9457 problem documents.
//!
//! Owns the one sentence that a client gets for each status, and how long a cache may keep it. Nothing of the request
//! and nothing of an inner error ever appears in one: a body is made of constants alone.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

use super::head::Refusal;
use super::range;
use super::reply::Reply;
use super::representation::{NOSNIFF, ascii};

/// What went wrong, from the client's point of view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// 400
    BadRequest,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 412
    PreconditionFailed,
    /// 414
    UriTooLong,
    /// 416
    RangeNotSatisfiable {
        /// Of the object.
        len: u64,
    },
    /// 431
    HeadTooLarge,
    /// 500
    Internal,
    /// 503
    Unavailable {
        /// When to come again; rounded up to whole seconds.
        retry_after: Option<Duration>,
    },
    /// 505
    VersionNotSupported,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadRequest(_) => Self::BadRequest,
            Refusal::UriTooLong => Self::UriTooLong,
            Refusal::HeadTooLarge => Self::HeadTooLarge,
            Refusal::UnsupportedVersion => Self::VersionNotSupported,
            Refusal::TimedOut => Self::RequestTimeout,
        }
    }
}

impl Problem {
    /// The status that it is answered with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// The one sentence that the client gets. No quotes and no backslashes: it goes into JSON as it is.
    fn detail(self) -> &'static str {
        match self {
            Self::BadRequest => "The request is not well-formed HTTP/1.1.",
            Self::Forbidden => "This origin answers only through its distribution.",
            Self::NotFound => "Nothing is published under this URL.",
            Self::MethodNotAllowed => "This origin only reads: use GET or HEAD.",
            Self::RequestTimeout => "The request took too long to arrive.",
            Self::PreconditionFailed => "The object is not the one that the request expects.",
            Self::UriTooLong => "The request target is longer than this origin reads.",
            Self::RangeNotSatisfiable { .. } => "No requested range lies within the object.",
            Self::HeadTooLarge => "The request head is larger than this origin reads.",
            Self::Internal => "The origin failed to answer; it has logged why.",
            Self::Unavailable { .. } => "The origin cannot answer now; try again later.",
            Self::VersionNotSupported => "This origin speaks HTTP/1.1 and HTTP/1.0.",
        }
    }

    /// RFC 9457 §4.2.1: `about:blank` says that the status is all there is, its reason phrase the title.
    fn to_document(self) -> String {
        let status = self.status();
        format!(
            "{{\"type\":\"about:blank\",\"title\":\"{}\",\"status\":{},\"detail\":\"{}\"}}\n",
            status.canonical_reason().unwrap_or_default(),
            status.as_u16(),
            self.detail()
        )
    }
}

/// Puts a problem into status, fields and body.
///
/// `CloudFront` caches 404, 414 and 5xx whatever the origin says, for at least its error-caching minimum; 400, 403, 405
/// and 412 only when they carry a max-age; 416 never. A 404 ends when a release is committed, so that it gets the
/// shortest lifetime there is instead of a cache's default; all others describe one request and get `no-store`.
#[must_use]
pub fn problem(problem: Problem) -> Reply {
    let body = problem.to_document();
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    let cache_control = match problem {
        Problem::NotFound => "public, max-age=1",
        _ => "no-store",
    };
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(cache_control),
    );
    match problem {
        Problem::MethodNotAllowed => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        Problem::RangeNotSatisfiable { len } => {
            headers.insert(
                header::CONTENT_RANGE,
                ascii(range::content_range_unsatisfied(len)),
            );
        }
        Problem::Unavailable {
            retry_after: Some(delay),
        } => {
            let seconds = delay
                .as_secs()
                .saturating_add(u64::from(delay.subsec_nanos() > 0));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        _ => {}
    }
    Reply {
        status: problem.status(),
        headers,
        body: Bytes::from(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Problem; 12] = [
        Problem::BadRequest,
        Problem::Forbidden,
        Problem::NotFound,
        Problem::MethodNotAllowed,
        Problem::RequestTimeout,
        Problem::PreconditionFailed,
        Problem::UriTooLong,
        Problem::RangeNotSatisfiable { len: 7 },
        Problem::HeadTooLarge,
        Problem::Internal,
        Problem::Unavailable { retry_after: None },
        Problem::VersionNotSupported,
    ];

    #[test]
    fn every_document_says_its_status_and_the_phrase_that_belongs_to_it() {
        for kind in ALL {
            let reply = problem(kind);
            let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(document["type"], "about:blank");
            assert_eq!(document["status"], reply.status.as_u16());
            assert_eq!(document["title"], reply.status.canonical_reason().unwrap());
            assert!(
                document["detail"].as_str().unwrap().ends_with('.'),
                "{kind:?}"
            );
            assert_eq!(
                reply.headers[header::CONTENT_TYPE],
                "application/problem+json"
            );
            assert_eq!(
                reply.headers[header::CONTENT_LENGTH],
                reply.body.len().to_string()
            );
        }
    }

    #[test]
    fn a_404_may_be_kept_for_one_second_and_nothing_else_at_all() {
        for kind in ALL {
            let expected = if kind == Problem::NotFound {
                "public, max-age=1"
            } else {
                "no-store"
            };
            assert_eq!(
                problem(kind).headers[header::CACHE_CONTROL],
                expected,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn each_refusal_of_a_head_has_its_status() {
        for (refusal, status) in [
            (Refusal::BadRequest("for the log"), 400),
            (Refusal::UriTooLong, 414),
            (Refusal::HeadTooLarge, 431),
            (Refusal::UnsupportedVersion, 505),
            (Refusal::TimedOut, 408),
        ] {
            let reply = problem(refusal.into());
            assert_eq!(reply.status, status);
            assert!(!reply.body.windows(7).any(|text| text == b"for the"));
        }
    }

    #[test]
    fn a_405_says_what_is_allowed_and_a_416_how_long_the_object_is() {
        assert_eq!(
            problem(Problem::MethodNotAllowed).headers[header::ALLOW],
            "GET, HEAD"
        );
        let unsatisfiable = problem(Problem::RangeNotSatisfiable { len: 0 });
        assert_eq!(unsatisfiable.headers[header::CONTENT_RANGE], "bytes */0");
    }

    #[test]
    fn a_503_rounds_its_delay_up() {
        let retry_after = |delay| {
            problem(Problem::Unavailable {
                retry_after: Some(delay),
            })
            .headers[header::RETRY_AFTER]
                .clone()
        };
        assert_eq!(retry_after(Duration::from_secs(5)), "5");
        assert_eq!(retry_after(Duration::from_millis(1)), "1");
        assert_eq!(retry_after(Duration::MAX), u64::MAX.to_string());
        let without = problem(Problem::Unavailable { retry_after: None });
        assert!(!without.headers.contains_key(header::RETRY_AFTER));
    }
}
