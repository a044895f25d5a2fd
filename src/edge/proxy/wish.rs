//! What a viewer wishes, and what of an object answers it.
//!
//! Owns the viewer's `Range`, `If-Range` and conditions: what is asked of the cache for their sake, and whether the whole,
//! a part, several, or "you have it" is the answer. Never writes one: `respond.rs`.

use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::node::{Asked, Found};
use super::object::Head;
use crate::edge::policy::cache::{Want, is_same_weak, is_weak};
use crate::edge::policy::spans::Span;
use crate::http::{Selection, select};

/// As the origin (`http/plan.rs`): real updaters send up to a thousand.
const RANGES_MAX: usize = 1024;

/// What a viewer wishes, before anything is known of the object.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    is_head: bool,
    range: Option<Ranges>,
}

#[derive(Clone, Debug)]
struct Ranges {
    value: HeaderValue,
    if_range: Option<HeaderValue>,
    want: Want,
    /// How many there are.
    count: usize,
}

impl Wish {
    pub(super) fn read(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            is_head: method == Method::HEAD,
            // RFC 9110 §14.2: `Range` is for GET only. Two such fields are none that can be understood.
            range: (method == Method::GET)
                .then(|| single(headers, header::RANGE))
                .flatten()
                .and_then(|value| Ranges::read(value, headers)),
        }
    }

    /// The same without a range.
    pub(super) fn of_whole(self) -> Self {
        Self {
            range: None,
            ..self
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    /// The single part that is wished of an object of `total` bytes.
    pub(super) fn one_of(&self, total: u64) -> Option<Span> {
        let ranges = self.range.as_ref()?;
        match select(ranges.value.as_bytes(), total, RANGES_MAX) {
            Selection::One(range) => Some(range.offset..range.end()),
            _ => None,
        }
    }

    pub(super) fn want(&self) -> Want {
        match &self.range {
            _ if self.is_head => Want::Head,
            None => Want::Whole,
            Some(ranges) => ranges.want,
        }
    }
}

fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

impl Ranges {
    /// `None`: the whole is the answer. Several ranges must be ascending, apart and valid (fact 32); what is fetched for
    /// them is all from the first to the last.
    fn read(value: &HeaderValue, headers: &HeaderMap) -> Option<Self> {
        // Against the largest object there could be: where a suffix begins is not known yet.
        let (first, last, count) = match select(value.as_bytes(), u64::MAX, RANGES_MAX) {
            Selection::One(range) => (range, range, 1),
            Selection::Several(ranges) => {
                let is_ascending = ranges
                    .windows(2)
                    .all(|pair| matches!(pair, [a, b] if a.end() <= b.offset));
                let (first, last) = (*ranges.first()?, *ranges.last()?);
                if !is_ascending {
                    return None;
                }
                (first, last, ranges.len())
            }
            Selection::Whole | Selection::Unsatisfiable => return None,
        };
        let is_suffix = |offset: u64| offset > u64::MAX / 2;
        let want = if is_suffix(first.offset) {
            Want::Suffix(u64::MAX - first.offset)
        } else {
            Want::Range {
                first: first.offset,
                last: (last.end() != u64::MAX).then(|| last.end() - 1),
            }
        };
        Some(Self {
            value: value.clone(),
            if_range: headers.get(header::IF_RANGE).cloned(),
            want,
            count,
        })
    }
}

/// What is sent of an object.
pub(super) enum Part {
    Whole,
    NotModified,
    PreconditionFailed,
    One(Span, u64),
    Several(Vec<Span>, u64),
    Unsatisfiable(u64),
    /// The whole, but only a part was asked of the cache.
    NeedsWhole,
}

/// What of a kept object is the answer.
pub(super) fn part(asked: &Asked, wish: &Wish, found: &Found) -> Part {
    let head = &found.object.head;
    if head.status != StatusCode::OK {
        return Part::Whole;
    }
    if let Some(early) = precondition(&asked.headers, head) {
        return early;
    }
    let Some(ranges) = &wish.range else {
        return Part::Whole;
    };
    if found.is_whole {
        return Part::Whole; // T33, T34: the origin answered the part with the whole.
    }
    let whole = || {
        let is_here = found.object.covers(&(0..head.total.unwrap_or(u64::MAX)));
        if is_here {
            Part::Whole
        } else {
            Part::NeedsWhole
        }
    };
    let (Some(total), true) = (head.total, ranges.is_applicable(head)) else {
        return whole();
    };
    match select(ranges.value.as_bytes(), total, RANGES_MAX) {
        Selection::One(range) if ranges.count == 1 => Part::One(range.offset..range.end(), total),
        Selection::Several(parts) if parts.len() == ranges.count => {
            let is_ascending = parts
                .windows(2)
                .all(|pair| matches!(pair, [a, b] if a.end() <= b.offset));
            if is_ascending {
                let spans = parts.iter().map(|range| range.offset..range.end());
                Part::Several(spans.collect(), total)
            } else {
                whole() // a suffix that reaches into the part before it
            }
        }
        Selection::Unsatisfiable => Part::Unsatisfiable(total),
        // Fact 32: one that is not valid spoils them all.
        Selection::Whole | Selection::One(_) | Selection::Several(_) => whole(),
    }
}

impl Ranges {
    fn is_applicable(&self, head: &Head) -> bool {
        let Some(if_range) = &self.if_range else {
            return true;
        };
        head.validators().satisfies_if_range(if_range.as_bytes())
    }
}

/// RFC 9110 §13.2.2, steps 1 to 4. A date that is none is no condition.
fn precondition(asked: &HeaderMap, head: &Head) -> Option<Part> {
    let etag = head.headers.get(header::ETAG).map(HeaderValue::as_bytes);
    let modified = || date(head.headers.get(header::LAST_MODIFIED));
    if asked.contains_key(header::IF_MATCH) {
        if !matches(asked, header::IF_MATCH, |tag| {
            !is_weak(tag) && Some(tag) == etag
        }) {
            return Some(Part::PreconditionFailed);
        }
    } else if let (Some(since), Some(modified)) =
        (date(asked.get(header::IF_UNMODIFIED_SINCE)), modified())
        && modified > since
    {
        return Some(Part::PreconditionFailed);
    }
    if asked.contains_key(header::IF_NONE_MATCH) {
        if matches(asked, header::IF_NONE_MATCH, |tag| {
            etag.is_some_and(|etag| is_same_weak(tag, etag))
        }) {
            return Some(Part::NotModified);
        }
    } else if let (Some(since), Some(modified)) =
        (date(asked.get(header::IF_MODIFIED_SINCE)), modified())
        && modified <= since
    {
        return Some(Part::NotModified);
    }
    None
}

fn date(value: Option<&HeaderValue>) -> Option<SystemTime> {
    httpdate::parse_http_date(value?.to_str().ok()?).ok()
}

/// Whether a list of tags is `*` or one of its members fits. RFC 9110 §8.8.3: a comma may stand inside a tag.
fn matches(headers: &HeaderMap, name: HeaderName, fits: impl Fn(&[u8]) -> bool) -> bool {
    headers.get_all(name).iter().any(|value| {
        let mut rest = value.as_bytes().trim_ascii();
        if rest == b"*" {
            return true;
        }
        while let Some(open) = memchr::memchr(b'"', rest) {
            let Some(len) = memchr::memchr(b'"', &rest[open + 1..]) else {
                return false;
            };
            let end = open + 1 + len + 1;
            let start = if rest[..open].ends_with(b"W/") {
                open - 2
            } else {
                open
            };
            if fits(&rest[start..end]) {
                return true;
            }
            rest = &rest[end..];
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(value: &'static str, wanted: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
        matches(&headers, header::IF_NONE_MATCH, |tag| {
            tag == wanted.as_bytes()
        })
    }

    #[test]
    fn a_list_of_tags_is_read_member_by_member() {
        for value in [
            "\"a\"",
            "\"x\", \"a\"",
            "W/\"x\",\"a\"",
            "\"x,\", \"a\" ",
            "*",
        ] {
            assert!(fits(value, "\"a\""), "{value}");
        }
        for value in ["", "a", "\"a", "W/\"a\"", "\"x\", \"ab\"", "\"x, \"a"] {
            assert!(!fits(value, "\"a\""), "{value}");
        }
        assert!(fits("\"x\", W/\"a\"", "W/\"a\""));
    }

    #[test]
    fn what_is_asked_of_the_cache_is_all_from_the_first_range_to_the_last() {
        let range = |first, last| Want::Range { first, last };
        for (value, want) in [
            ("bytes=0-9", range(0, Some(9))),
            ("bytes=5-", range(5, None)),
            ("bytes=-7", Want::Suffix(7)),
            ("bytes=0-9,20-29", range(0, Some(29))),
            ("bytes=3-9,20-", range(3, None)),
            ("bytes=3-9,-5", range(3, None)),
            ("bytes=20-29,0-9", Want::Whole),
            ("bytes=0-9,9-12", Want::Whole),
            ("bytes=9-0", Want::Whole),
            ("lines=0-9", Want::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(value));
            assert_eq!(Wish::read(&Method::GET, &headers).want(), want, "{value}");
            assert_eq!(Wish::read(&Method::HEAD, &headers).want(), Want::Head);
        }
    }
}
