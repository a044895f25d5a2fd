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
use super::representation::{NOSNIFF, Representation, ascii};
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
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
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
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    Reply {
        status: StatusCode::OK,
        headers,
        body: Bytes::from_static(BODY),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::plan;
    use super::super::testing::head_with;
    use super::super::testing::{LAST_MODIFIED, description, object};
    use super::*;

    const LEN: u64 = 1000;
    const ETAG: &str = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
    const IMMUTABLE: &str = "public, max-age=31536000, immutable";

    fn reply_to(method: &str, lines: &str) -> Reply {
        let object = object(LEN);
        reply(
            &plan(&head_with(method, lines.as_bytes()), &object, 1024),
            &object,
        )
    }

    /// All fields, sorted by name.
    fn fields(reply: &Reply) -> Vec<(&str, &str)> {
        let mut fields: Vec<_> = reply
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        fields.sort_unstable();
        fields
    }

    #[test]
    fn a_200_has_every_field_of_the_design_and_no_other() {
        let reply = reply_to("GET", "");
        assert_eq!(reply.status, 200);
        assert_eq!(
            fields(&reply),
            [
                ("accept-ranges", "bytes"),
                ("cache-control", IMMUTABLE),
                ("cache-tag", "product:agent,release:agent/1.0"),
                ("content-length", "1000"),
                ("content-type", "application/zstd"),
                ("etag", ETAG),
                ("last-modified", LAST_MODIFIED),
                (
                    "repr-digest",
                    "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"
                ),
                ("x-content-type-options", "nosniff"),
            ]
        );
        assert!(reply.body.is_empty());
    }

    #[test]
    fn head_gets_the_fields_of_get_even_with_a_range() {
        let (get, head) = (
            reply_to("GET", ""),
            reply_to("HEAD", "Range: bytes=0-1\r\n"),
        );
        assert_eq!((get.status, fields(&get)), (head.status, fields(&head)));
    }

    #[test]
    fn a_206_of_one_part_has_the_fields_of_the_200_with_its_own_length_and_place() {
        let (whole, part) = (reply_to("GET", ""), reply_to("GET", "Range: bytes=-10\r\n"));
        assert_eq!(part.status, 206);
        let mut expected = fields(&whole);
        expected.retain(|(name, _)| *name != "content-length");
        expected.extend([
            ("content-length", "10"),
            ("content-range", "bytes 990-999/1000"),
        ]);
        expected.sort_unstable();
        assert_eq!(fields(&part), expected);
    }

    #[test]
    fn a_206_of_several_parts_has_no_place_of_its_own_and_an_exact_length() {
        let object = object(LEN);
        let plan = plan(
            &head_with("GET", b"Range: bytes=0-1,5-6\r\n"),
            &object,
            1024,
        );
        let Plan::Parts(multipart) = &plan else {
            panic!("{plan:?}")
        };
        let reply = reply(&plan, &object);
        assert_eq!(reply.status, 206);
        assert!(!reply.headers.contains_key(header::CONTENT_RANGE));
        assert_eq!(
            reply.headers[header::CONTENT_LENGTH],
            multipart.len.to_string()
        );
        assert!(
            reply.headers[header::CONTENT_TYPE]
                .to_str()
                .unwrap()
                .ends_with("; boundary=ba7816bf8f01cfea414140de5dae2223")
        );
        assert_eq!(reply.headers[header::ETAG], ETAG);
        assert_eq!(reply.headers[header::CACHE_CONTROL], IMMUTABLE);
    }

    #[test]
    fn a_304_carries_what_updates_a_cache_and_nothing_of_the_content() {
        let reply = reply_to("GET", &format!("If-None-Match: {ETAG}\r\n"));
        assert_eq!(reply.status, 304);
        assert_eq!(
            fields(&reply),
            [
                ("cache-control", IMMUTABLE),
                ("cache-tag", "product:agent,release:agent/1.0"),
                ("etag", ETAG),
                ("last-modified", LAST_MODIFIED),
            ]
        );
        assert!(reply.body.is_empty());
    }

    #[test]
    fn a_412_and_a_416_are_small_problems_that_no_cache_keeps() {
        let failed = reply_to("GET", "If-Match: \"x\"\r\n");
        assert_eq!(failed.status, 412);
        let unsatisfiable = reply_to("GET", "Range: bytes=1000-\r\n");
        assert_eq!(unsatisfiable.status, 416);
        assert_eq!(unsatisfiable.headers[header::CONTENT_RANGE], "bytes */1000");
        for reply in [failed, unsatisfiable] {
            assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
            assert_eq!(
                reply.headers[header::CONTENT_LENGTH],
                reply.body.len().to_string()
            );
            assert!(!reply.headers.contains_key(header::ETAG));
        }
    }

    #[test]
    fn an_object_without_a_cache_tag_sends_none() {
        let untagged = super::super::Description {
            cache_tag: None,
            ..description(LEN)
        };
        let object = Representation::new(&untagged).unwrap();
        for plan in [Plan::Whole, Plan::NotModified] {
            assert!(!reply(&plan, &object).headers.contains_key("cache-tag"));
        }
    }

    #[test]
    fn a_redirect_is_an_absolute_path_with_the_escapes_of_its_name() {
        let to = Locator::from_url_path(b"/artifacts/agent/1.0+b1/a%20b").unwrap();
        let reply = found(&to, &HeaderValue::from_static("public, max-age=30"));
        assert_eq!(reply.status, 302);
        assert_eq!(
            fields(&reply),
            [
                ("cache-control", "public, max-age=30"),
                ("content-length", "0"),
                ("location", "/artifacts/agent/1.0%2Bb1/a%20b"),
                ("x-content-type-options", "nosniff"),
            ]
        );
    }

    #[test]
    fn a_health_probe_gets_two_letters_that_no_cache_keeps() {
        let reply = healthy();
        assert_eq!(
            (reply.status, &reply.body[..]),
            (StatusCode::OK, b"ok\n".as_slice())
        );
        assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(reply.headers[header::CONTENT_LENGTH], "3");
    }
}
