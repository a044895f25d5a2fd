//! E-11: what is compressed at the edge.
//!
//! Owns the conditions and what becomes of the `ETag`. Never compresses: the proxy does.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::directives;

/// An encoding the edge can apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
}

/// Smaller bodies gain nothing, larger ones would hold up a node (fact 18; both ends are compressed).
const LENGTHS: std::ops::RangeInclusive<u64> = 1_000..=10_000_000;

/// The media types that CloudFront compresses, sorted (Developer Guide, "Serving compressed files").
const TYPES: [&str; 48] = [
    "application/dash+xml",
    "application/eot",
    "application/font",
    "application/font-sfnt",
    "application/javascript",
    "application/json",
    "application/opentype",
    "application/otf",
    "application/pdf",
    "application/pkcs7-mime",
    "application/protobuf",
    "application/rss+xml",
    "application/truetype",
    "application/ttf",
    "application/vnd.apple.mpegurl",
    "application/vnd.mapbox-vector-tile",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-opentype",
    "application/x-font-truetype",
    "application/x-font-ttf",
    "application/x-httpd-cgi",
    "application/x-javascript",
    "application/x-mpegurl",
    "application/x-opentype",
    "application/x-otf",
    "application/x-perl",
    "application/x-ttf",
    "application/xhtml+xml",
    "application/xml",
    "font/eot",
    "font/opentype",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/js",
    "text/plain",
    "text/richtext",
    "text/tab-separated-values",
    "text/x-component",
    "text/x-java-source",
    "text/x-script",
    "text/xml",
    "vnd.apple.mpegurl",
];

/// Which encoding to apply to an origin's answer, if any. `accepted` is the normalised field of `key.rs`.
///
/// Brotli where both are accepted. `Cache-Control: no-transform` forbids it (RFC 9110 §7.7; AWS is silent).
#[must_use]
pub fn encoding(
    status: u16,
    headers: &HeaderMap,
    cacheable: bool,
    accepted: Option<&str>,
    http_1_0: bool,
) -> Option<Encoding> {
    let is_compressible = cacheable
        && !http_1_0
        && matches!(status, 200 | 403 | 404)
        && !headers.contains_key(CONTENT_ENCODING)
        && has_fitting_length(headers)
        && has_listed_type(headers)
        && !directives::has(headers, "no-transform");
    if !is_compressible {
        return None;
    }
    match accepted? {
        "br" | "br,gzip" => Some(Encoding::Brotli),
        "gzip" => Some(Encoding::Gzip),
        _ => None,
    }
}

fn has_fitting_length(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .is_some_and(|length| LENGTHS.contains(&length))
}

/// RFC 9110 §8.3.1: a media type is compared without case and without its parameters.
fn has_listed_type(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim_ascii();
    TYPES
        .binary_search(&essence.to_ascii_lowercase().as_str())
        .is_ok()
}

/// The tag of the compressed form: strong becomes weak, weak stays, what is no tag goes.
///
/// As AWS words it, a tag is what begins like one.
#[must_use]
pub fn etag(of_identity: &HeaderValue) -> Option<HeaderValue> {
    match of_identity.as_bytes() {
        [b'W', b'/', ..] => Some(of_identity.clone()),
        tag @ [b'"', ..] => HeaderValue::from_bytes(&[b"W/", tag].concat()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    /// A document that is compressed, and what is different about it.
    fn document(changes: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CONTENT_LENGTH, HeaderValue::from_static("1000")),
        ]);
        for (name, value) in changes {
            let name = HeaderName::from_static(name);
            if value.is_empty() {
                headers.remove(name);
            } else {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        headers
    }

    #[test]
    fn e11_compression() {
        let with = |changes| encoding(200, &document(changes), true, Some("gzip"), false).is_some();
        for (row, changes, expected) in [
            ("T54 a document", &[][..], true),
            ("T54 999 bytes", &[("content-length", "999")], false),
            (
                "T54 10,000,000 bytes",
                &[("content-length", "10000000")],
                true,
            ),
            (
                "T54 10,000,001 bytes",
                &[("content-length", "10000001")],
                false,
            ),
            ("T54 no Content-Length", &[("content-length", "")], false),
            ("T54 no number", &[("content-length", "1000, 1000")], false),
            (
                "T55 a parameter",
                &[("content-type", "text/html; charset=utf-8")],
                true,
            ),
            ("T55 any case", &[("content-type", "Text/Plain ;x=y")], true),
            (
                "T55 no text",
                &[("content-type", "application/octet-stream")],
                false,
            ),
            ("T55 no text", &[("content-type", "application/zip")], false),
            (
                "T55 no text",
                &[("content-type", "application/gzip")],
                false,
            ),
            (
                "T55 no text",
                &[("content-type", "application/zstd")],
                false,
            ),
            (
                "T55 a type by its beginning",
                &[("content-type", "text/plainer")],
                false,
            ),
            ("T55 no type", &[("content-type", "")], false),
            (
                "T56 encoded by the origin",
                &[("content-encoding", "gzip")],
                false,
            ),
            (
                "T56 … or said to be not",
                &[("content-encoding", "identity")],
                false,
            ),
            (
                "T56 no-transform",
                &[("cache-control", "max-age=5, No-Transform")],
                false,
            ),
        ] {
            assert_eq!(with(changes), expected, "{row}: {changes:?}");
        }
    }

    #[test]
    fn e11_who_gets_it_compressed() {
        for (row, status, cacheable, accepted, http_1_0, expected) in [
            (
                "T56 both",
                200,
                true,
                Some("br,gzip"),
                false,
                Some(Encoding::Brotli),
            ),
            (
                "T56 br",
                200,
                true,
                Some("br"),
                false,
                Some(Encoding::Brotli),
            ),
            (
                "T56 gzip",
                200,
                true,
                Some("gzip"),
                false,
                Some(Encoding::Gzip),
            ),
            ("T56 neither", 200, true, None, false, None),
            (
                "T56 403",
                403,
                true,
                Some("gzip"),
                false,
                Some(Encoding::Gzip),
            ),
            (
                "T56 404",
                404,
                true,
                Some("gzip"),
                false,
                Some(Encoding::Gzip),
            ),
            ("T56 another status", 206, true, Some("gzip"), false, None),
            ("T56 another status", 201, true, Some("gzip"), false, None),
            ("T56 another status", 500, true, Some("gzip"), false, None),
            ("T56 a TTL of 0", 200, false, Some("gzip"), false, None),
            ("T56 HTTP/1.0", 200, true, Some("gzip"), true, None),
        ] {
            let found = encoding(status, &document(&[]), cacheable, accepted, http_1_0);
            assert_eq!(found, expected, "{row}: {status} {accepted:?}");
        }
    }

    #[test]
    fn e11_the_tag_of_the_compressed_form() {
        for (row, tag, expected) in [
            ("T57 strong", "\"x\"", Some("W/\"x\"")),
            ("T57 strong, empty", "\"\"", Some("W/\"\"")),
            ("T57 strong, with a comma", "\"a,b\"", Some("W/\"a,b\"")),
            ("T57 weak", "W/\"x\"", Some("W/\"x\"")),
            ("T57 no quotes", "x", None),
            ("T57 another prefix", "w/\"x\"", None),
            ("T57 empty", "", None),
        ] {
            let found = etag(&HeaderValue::from_static(tag));
            assert_eq!(
                found,
                expected.map(HeaderValue::from_static),
                "{row}: {tag}"
            );
        }
    }

    #[test]
    fn the_list_of_types_is_sorted_so_that_it_can_be_searched() {
        assert!(TYPES.is_sorted());
    }
}
