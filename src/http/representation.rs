//! The facts of one served object, as header values that are made once.
//!
//! Owns what every answer says of its object (DESIGN §5). Made when an object is loaded and kept with it, so that a
//! request copies values instead of formatting them. Never opens the object.

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::conditional::Validators;
use crate::model::{Digest, Lifetime};

/// What is known of an object before its bytes are read.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// In bytes.
    pub len: u64,
    /// Of the whole.
    pub sha256: Digest,
    /// When these bytes were bound to the URL; whole seconds, the rest is cut off.
    pub last_modified: Timestamp,
    /// The media type.
    pub content_type: &'a str,
    /// How caches may keep it.
    pub cache_control: &'a str,
    /// The field that carries cache tags and the tags.
    pub cache_tag: Option<(&'a str, &'a str)>,
    /// Whether the URL may ever name other bytes: decides how far a date can be trusted.
    pub lifetime: Lifetime,
}

/// One served object, ready for any number of requests.
#[derive(Clone, Debug)]
pub struct Representation {
    len: u64,
    etag: HeaderValue,
    last_modified: SystemTime,
    date_is_strong: bool,
    boundary: String,
    cache_tag_name: Option<HeaderName>,
    /// All fields of a 200.
    headers: HeaderMap,
}

/// An object that cannot be described in HTTP: its document is damaged or hostile.
#[derive(Debug, thiserror::Error)]
pub enum RepresentationError {
    /// A text that would not survive as a header value.
    #[error("`{}` cannot be the value of {field}: printable ASCII, not empty", text.escape_debug())]
    Value {
        /// Which header field.
        field: String,
        /// The text.
        text: String,
    },
    /// A field name outside the grammar.
    #[error("`{}` cannot be the name of a header field", text.escape_debug())]
    Name {
        /// The text.
        text: String,
        /// Why.
        source: header::InvalidHeaderName,
    },
    /// A date before 1970 or after 9999, which `Last-Modified` cannot say.
    #[error("{0} cannot be a Last-Modified date: 1970 to 9999")]
    Date(Timestamp),
}

/// A browser that meets an answer of ours must not take it for something else than it says.
pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// RFC 9530 §3.
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

impl Representation {
    /// Makes the header values of an object.
    pub fn new(description: &Description<'_>) -> Result<Self, RepresentationError> {
        let hex = description.sha256.to_hex();
        let etag = ascii(format!("\"{hex}\""));
        let last_modified = to_http_time(description.last_modified)?;
        let mut headers = HeaderMap::with_capacity(12);
        let mut cache_tag_name = None;
        if let Some((name, tags)) = description.cache_tag {
            let parsed =
                HeaderName::try_from(name).map_err(|source| RepresentationError::Name {
                    text: name.to_owned(),
                    source,
                })?;
            // First, so that no configured name can displace a field of the protocol.
            headers.insert(parsed.clone(), value(name, tags)?);
            cache_tag_name = Some(parsed);
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(description.len));
        headers.insert(
            header::CONTENT_TYPE,
            value("Content-Type", description.content_type)?,
        );
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, etag.clone());
        headers.insert(
            header::LAST_MODIFIED,
            ascii(httpdate::fmt_http_date(last_modified)),
        );
        headers.insert(
            header::CACHE_CONTROL,
            value("Cache-Control", description.cache_control)?,
        );
        headers.insert(
            REPR_DIGEST,
            ascii(format!("sha-256=:{}:", description.sha256.to_base64())),
        );
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        Ok(Self {
            len: description.len,
            etag,
            last_modified,
            // RFC 9110 §8.8.2.2: a date is weak because an object could change twice within its second. Under an
            // immutable URL it cannot change at all, so that the date names the bytes as well as the tag does.
            date_is_strong: description.lifetime == Lifetime::Immutable,
            // RFC 2046 §5.1.1: must not occur in a part. 128 bits of the object's own digest cannot, short of an
            // attack on SHA-256; and they are the same on every instance, like everything else that is sent.
            boundary: hex[..32].to_owned(),
            cache_tag_name,
            headers,
        })
    }

    /// In bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The strong tag, with its quotes.
    #[must_use]
    pub fn etag(&self) -> &HeaderValue {
        &self.etag
    }

    /// All fields of a 200.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn cache_tag_name(&self) -> Option<&HeaderName> {
        self.cache_tag_name.as_ref()
    }

    /// Separates the parts of a multipart answer: 32 characters, none of which needs quoting.
    pub(super) fn boundary(&self) -> &str {
        &self.boundary
    }

    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.etag.as_bytes(),
            last_modified: self.last_modified,
            date_is_strong: self.date_is_strong,
        }
    }
}

/// Stricter than [`HeaderValue`], which takes UTF-8 for bytes: RFC 9110 §5.5 wants new values to be ASCII.
fn value(field: &str, text: &str) -> Result<HeaderValue, RepresentationError> {
    HeaderValue::from_str(text)
        .ok()
        .filter(|_| !text.is_empty() && text.is_ascii())
        .ok_or_else(|| RepresentationError::Value {
            field: field.to_owned(),
            text: text.to_owned(),
        })
}

/// The header value of a text of this crate's own making.
#[expect(
    clippy::expect_used,
    reason = "callers pass what they formatted from digits, hex and ASCII constants"
)]
pub(super) fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("visible ASCII")
}

/// The first second of year 10000, beyond RFC 9110 §5.6.7.
const HTTP_SECONDS_END: u64 = 253_402_300_800;

fn to_http_time(at: Timestamp) -> Result<SystemTime, RepresentationError> {
    u64::try_from(at.as_second())
        .ok()
        .filter(|seconds| *seconds < HTTP_SECONDS_END)
        .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .ok_or(RepresentationError::Date(at))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, description, object};
    use super::*;

    #[test]
    fn the_tag_is_the_digest_and_nothing_of_the_file() {
        let object = object(3);
        let tag = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        assert_eq!(object.etag(), tag);
        assert_eq!((object.len(), object.is_empty()), (3, false));
    }

    #[test]
    fn the_boundary_is_a_token_of_legal_length_out_of_the_digest() {
        let object = object(3);
        assert_eq!(object.boundary(), "ba7816bf8f01cfea414140de5dae2223");
        assert!(object.boundary().len() <= 70);
    }

    #[test]
    fn fractions_of_a_second_are_cut_off_so_that_a_date_is_never_in_the_future() {
        let at = Timestamp::new(784_111_777, 999_999_999).unwrap();
        let object = Representation::new(&Description {
            last_modified: at,
            ..description(3)
        })
        .unwrap();
        assert_eq!(
            object.headers()[header::LAST_MODIFIED],
            testing::LAST_MODIFIED
        );
    }

    #[test]
    fn texts_that_are_no_header_values_are_refused() {
        for text in [
            "a\r\nSet-Cookie: x",
            "a\nb",
            "a\0",
            "\u{7f}",
            "caf\u{e9}",
            "",
        ] {
            for hostile in [
                Description {
                    content_type: text,
                    ..description(3)
                },
                Description {
                    cache_control: text,
                    ..description(3)
                },
                Description {
                    cache_tag: Some(("cache-tag", text)),
                    ..description(3)
                },
                Description {
                    cache_tag: Some((text, "tag")),
                    ..description(3)
                },
            ] {
                assert!(Representation::new(&hostile).is_err(), "{hostile:?}");
            }
        }
    }

    #[test]
    fn a_refusal_names_the_field_and_hides_control_characters() {
        let error = Representation::new(&Description {
            content_type: "a\u{1b}[2J",
            ..description(3)
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a\\u{1b}[2J` cannot be the value of Content-Type: printable ASCII, not empty"
        );
    }

    #[test]
    fn dates_that_http_cannot_say_are_refused() {
        let made = |second: i64| {
            let last_modified = Timestamp::from_second(second).unwrap();
            Representation::new(&Description {
                last_modified,
                ..description(3)
            })
        };
        assert!(made(-1).is_err());
        assert_eq!(
            made(0).unwrap().headers()[header::LAST_MODIFIED],
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
        let last = Timestamp::MAX.as_second();
        assert!(last < 253_402_300_800);
        assert!(made(last).is_ok());
    }

    #[test]
    fn a_configured_tag_name_cannot_displace_a_field_of_the_protocol() {
        let hostile = Description {
            cache_tag: Some(("content-length", "7")),
            ..description(3)
        };
        assert_eq!(
            Representation::new(&hostile).unwrap().headers()[header::CONTENT_LENGTH],
            "3"
        );
    }
}
