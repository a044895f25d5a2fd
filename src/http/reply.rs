//! Status and header fields of every answer that is not a plain error.
//!
//! Owns which fields a 200, 206, 304, 412 and 416 carry. Never sets `Date`, `Connection` or `Server`: the first two are
//! hyper's, the last is nobody's. HEAD gets the same reply as GET; leaving out the body is the server's part.

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

use super::plan::Plan;
use super::problem::{Problem, problem};
use super::range;
use super::representation::{Representation, ascii};
use crate::model::Locator;

/// Status and fields, and the body when it is not made of an object's bytes.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The fields; `Content-Length` wherever the answer may have a body.
    pub headers: HeaderMap,
    /// A small document, empty where the plan says which bytes of the object are the body.
    pub body: Bytes,
}

/// Puts a plan into status and fields.
#[must_use]
pub fn reply(plan: &Plan, object: &Representation) -> Reply {
    match plan {
        Plan::Whole => object_reply(StatusCode::OK, object.headers().clone()),
        Plan::Part(range) => {
            let mut headers = object.headers().clone();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.len));
            headers.insert(
                header::CONTENT_RANGE,
                ascii(range::content_range(*range, object.len())),
            );
            object_reply(StatusCode::PARTIAL_CONTENT, headers)
        }
        Plan::Parts(multipart) => {
            // RFC 9110 §15.3.7.2: no Content-Range beside those of the parts.
            let mut headers = object.headers().clone();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(multipart.len));
            headers.insert(header::CONTENT_TYPE, multipart.content_type.clone());
            object_reply(StatusCode::PARTIAL_CONTENT, headers)
        }
        Plan::NotModified => object_reply(StatusCode::NOT_MODIFIED, not_modified(object)),
        Plan::PreconditionFailed => problem(Problem::PreconditionFailed),
        Plan::Unsatisfiable => problem(Problem::RangeNotSatisfiable { len: object.len() }),
    }
}

fn object_reply(status: StatusCode, headers: HeaderMap) -> Reply {
    Reply {
        status,
        headers,
        body: Bytes::new(),
    }
}

/// RFC 9110 §15.4.5: of the fields of the 200, those that guide the update of a cache and no others. Cache tags are
/// among them: they decide what a purge of the refreshed entry is called.
fn not_modified(object: &Representation) -> HeaderMap {
    let of_whole = object.headers();
    let mut headers = HeaderMap::with_capacity(4);
    let names = [
        &header::ETAG,
        &header::CACHE_CONTROL,
        &header::LAST_MODIFIED,
    ];
    for name in names.into_iter().chain(object.cache_tag_name()) {
        if let Some(value) = of_whole.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers
}

/// 302 to another object of this origin. The location is an absolute path (RFC 9110 §10.2.2), so that it leads through
/// whatever edge the client came by; a [`Locator`]'s path has no empty segment, so that it never starts with `//`.
#[must_use]
pub fn found(to: &Locator, cache_control: &HeaderValue) -> Reply {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::LOCATION, ascii(to.to_url_path()));
    headers.insert(header::CACHE_CONTROL, cache_control.clone());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    Reply {
        status: StatusCode::FOUND,
        headers,
        body: Bytes::new(),
    }
}

/// 200 to a health probe.
#[must_use]
pub fn healthy() -> Reply {
    const BODY: &[u8] = b"ok\n";
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(BODY.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Reply {
        status: StatusCode::OK,
        headers,
        body: Bytes::from_static(BODY),
    }
}
