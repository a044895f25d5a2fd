//! Everything that goes wrong, as RFC 9457 problem documents.
//!
//! Owns the one sentence that a client gets for each status, and how long a cache may keep it. Nothing of the request
//! and nothing of an inner error ever appears in one: the bodies are constants.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

use super::head::Refusal;
use super::range;
use super::reply::Reply;
use super::representation::ascii;

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

/// The body: RFC 9457 §4.2.1 lets `about:blank` mean "the status says it all", with the reason phrase as title.
macro_rules! document {
    ($status:literal, $title:literal, $detail:literal) => {
        concat!(
            r#"{"type":"about:blank","title":""#,
            $title,
            r#"","status":"#,
            $status,
            r#","detail":""#,
            $detail,
            "\"}\n"
        )
    };
}

impl Problem {
    /// Status and body.
    fn document(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                document!(
                    400,
                    "Bad Request",
                    "The request is not well-formed HTTP/1.1."
                ),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                document!(
                    403,
                    "Forbidden",
                    "This origin answers only through its distribution."
                ),
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                document!(404, "Not Found", "Nothing is published under this URL."),
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                document!(
                    405,
                    "Method Not Allowed",
                    "This origin only reads: use GET or HEAD."
                ),
            ),
            Self::RequestTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                document!(
                    408,
                    "Request Timeout",
                    "The request took too long to arrive."
                ),
            ),
            Self::PreconditionFailed => (
                StatusCode::PRECONDITION_FAILED,
                document!(
                    412,
                    "Precondition Failed",
                    "The object is not the one that the request expects."
                ),
            ),
            Self::UriTooLong => (
                StatusCode::URI_TOO_LONG,
                document!(
                    414,
                    "URI Too Long",
                    "The request target is longer than this origin reads."
                ),
            ),
            Self::RangeNotSatisfiable { .. } => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                document!(
                    416,
                    "Range Not Satisfiable",
                    "No requested range lies within the object."
                ),
            ),
            Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                document!(
                    431,
                    "Request Header Fields Too Large",
                    "The request head is larger than this origin reads."
                ),
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                document!(
                    500,
                    "Internal Server Error",
                    "The origin failed to answer; it has logged why."
                ),
            ),
            Self::Unavailable { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                document!(
                    503,
                    "Service Unavailable",
                    "The origin cannot answer now; try again later."
                ),
            ),
            Self::VersionNotSupported => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                document!(
                    505,
                    "HTTP Version Not Supported",
                    "This origin speaks HTTP/1.1 and HTTP/1.0."
                ),
            ),
        }
    }
}

/// Puts a problem into status, fields and body.
///
/// `CloudFront` caches 404, 414 and 5xx whatever the origin says, for at least its error-caching minimum; 400, 403, 405
/// and 412 only when they carry a max-age; 416 never. A 404 ends when a release is committed, so that it gets the
/// shortest lifetime there is instead of a cache's default; all others describe one request and get `no-store`.
#[must_use]
pub fn problem(problem: Problem) -> Reply {
    let (status, body) = problem.document();
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
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
        status,
        headers,
        body: Bytes::from_static(body.as_bytes()),
    }
}
