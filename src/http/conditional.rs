//! Preconditions: whether a request is to be answered, answered with "you have it", or refused.
//!
//! Owns RFC 9110 §13: the comparison of tags and dates and the order in which they count. Never looks at `Range`
//! itself. The object exists when this is asked: a 404 beats every precondition (§13.2.1).

use std::time::SystemTime;

use super::head::{Method, RequestHead};

/// What a precondition is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// A strong tag, with its quotes.
    pub(super) etag: &'a [u8],
    /// Whole seconds.
    pub(super) last_modified: SystemTime,
    /// Whether `last_modified` is a strong validator (RFC 9110 §8.8.2.2).
    pub(super) date_is_strong: bool,
}

/// What the preconditions of a request come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Answer the request.
    Proceed,
    /// 304
    NotModified,
    /// 412
    PreconditionFailed,
}

/// Evaluates the preconditions in the order of RFC 9110 §13.2.2, `If-Range` excepted.
///
/// A list of tags that is not one matches nothing, so that a client which cannot write a tag gets the whole object
/// (`If-None-Match`) or a refusal (`If-Match`), never somebody else's bytes. An invalid date is no condition at all
/// (§13.1.3, §13.1.4: "MUST ignore").
pub(super) fn evaluate(head: &RequestHead, object: Validators<'_>) -> Verdict {
    let is_read = matches!(head.method, Method::Get | Method::Head);
    if let Some(tags) = &head.if_match {
        // Steps 1 and 2: the date is not looked at beside a tag.
        if !matches_any(tags, |tag| tag.is_strong && tag.opaque == object.etag) {
            return Verdict::PreconditionFailed;
        }
    } else if let Some(date) = parse_date(head.if_unmodified_since.as_deref())
        && object.last_modified > date
    {
        return Verdict::PreconditionFailed;
    }
    if let Some(tags) = &head.if_none_match {
        // Steps 3 and 4: likewise.
        if matches_any(tags, |tag| tag.opaque == object.etag) {
            return if is_read {
                Verdict::NotModified
            } else {
                Verdict::PreconditionFailed
            };
        }
    } else if let Some(date) = parse_date(head.if_modified_since.as_deref())
        && is_read
        && object.last_modified <= date
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether `Range` counts as far as `If-Range` is concerned (RFC 9110 §13.1.5, step 5 of §13.2.2).
///
/// A tag must be strong and equal; a date must be exactly ours, and ours must be a strong validator.
pub(super) fn is_range_applicable(head: &RequestHead, object: Validators<'_>) -> bool {
    match head.if_range.as_deref() {
        None => true,
        Some(value @ ([b'"', ..] | [b'W', b'/', ..])) => value == object.etag, // ours is strong: a `W/` differs
        date => object.date_is_strong && parse_date(date) == Some(object.last_modified),
    }
}

/// One member of a list of tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tag<'a> {
    is_strong: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

/// Whether the value is `*`, or a list of which one member fits.
fn matches_any(value: &[u8], fits: impl Fn(Tag<'_>) -> bool) -> bool {
    value == b"*" || parse_tags(value, fits) == Some(true)
}

/// RFC 9110 §8.8.3: `1#entity-tag`; `None` when it is not one, otherwise whether a tag fits. Anything but a quote may
/// stand inside a tag: commas must (`etagc`), spaces and backslashes are what older grammars allowed.
fn parse_tags(mut rest: &[u8], fits: impl Fn(Tag<'_>) -> bool) -> Option<bool> {
    let mut found = None;
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] => return found,
            [b',', after @ ..] => {
                rest = after;
                continue;
            }
            _ => {}
        }
        let (is_strong, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (false, quoted), // §8.8.3: case-sensitive
            None => (true, rest),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let opaque_len = memchr::memchr(b'"', inside)? + 2;
        let (opaque, after) = quoted.split_at(opaque_len);
        found = Some(found == Some(true) || fits(Tag { is_strong, opaque }));
        rest = after.trim_ascii_start();
        if !matches!(rest, [] | [b',', ..]) {
            return None;
        }
    }
}

/// The three forms of RFC 9110 §5.6.7. Several lines of a date field were joined and so are no date (§13.1.3).
fn parse_date(value: Option<&[u8]>) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value?).ok()?).ok()
}
