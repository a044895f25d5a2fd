//! What a node keeps of an object, and what one layer answers another.
//!
//! Owns the head of an answer as it is kept, and which bodies its bytes are in. Never decides what is kept: that is
//! `edge/policy/cache.rs`. Read next: `node.rs`.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::bodies::Piece;
use super::fill::Interest;
use super::upstream::Live;
use crate::edge::policy::cache::{AnswerHead, Validators, Want};
use crate::edge::policy::freshness::Directives;
use crate::edge::policy::spans::Span;

/// RFC 1864, still in use; the `http` crate has no name for it.
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// RFC 9110 §7.6.1: these are between two neighbours. The length is said anew for each answer.
const NOT_KEPT: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
];

/// The head of an answer without what is said anew each time.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// 200 also for what came by 206: the object is the whole representation.
    pub(super) status: StatusCode,
    /// Without length, range, `Age` and what is between neighbours.
    pub(super) headers: HeaderMap,
    /// The size of the representation, when it is known.
    pub(super) total: Option<u64>,
    /// What it says about caching.
    pub(super) said: Directives,
    /// Cache tags, lower case.
    pub(super) tags: Vec<Box<str>>,
    /// The edge made this answer, because of this.
    pub(super) failure: Option<&'static str>,
}

/// One version of an object at one node. Never changed, only replaced: readers keep the one they have.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Its head.
    pub(super) head: Arc<Head>,
    /// Its bytes that are here or on their way. Ascending; they may overlap.
    pub(super) pieces: Vec<Piece>,
}

/// What a layer is answered: a response with its body still to come.
pub(super) struct Answer {
    /// Its status, which is not the head's for 206 and 304.
    pub(super) status: StatusCode,
    /// Its head.
    pub(super) head: Arc<Head>,
    /// For 206: which bytes.
    pub(super) span: Option<Span>,
    /// `Content-Length`, when known.
    pub(super) length: Option<u64>,
    /// What it says about caching, with the age it has now.
    pub(super) said: Directives,
    /// Where its bytes are.
    pub(super) source: Source,
    /// The layer behind had it.
    pub(super) hit_at: Option<Level>,
    /// A stale object of a layer behind stands in: nothing was refreshed by it.
    pub(super) is_stale: bool,
}

/// Where the bytes of an answer come from.
pub(super) enum Source {
    /// Nowhere.
    Nothing,
    /// From bodies, perhaps still growing. The interest keeps the fill going.
    Pieces(Vec<Piece>, Vec<Interest>),
    /// From the origin's connection.
    Live(Box<Live>),
}

/// Which layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    /// The POP.
    Pop,
    /// A regional edge cache.
    Regional,
    /// The regional edge cache that is the Origin Shield.
    Shield,
}

impl Head {
    /// Makes one from an answer's headers. Says its `Content-Length`, and for a 206 its `Content-Range`.
    pub(super) fn read(
        status: StatusCode,
        mut headers: HeaderMap,
        tag_header: Option<&HeaderName>,
    ) -> (Self, Option<u64>, ContentRange) {
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let range = ContentRange::parse(headers.get(header::CONTENT_RANGE));
        let said = Directives::read(&headers);
        let tags = tag_header.map_or_else(Vec::new, |name| tags(&headers, name));
        let listed: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in listed.iter().chain(&NOT_KEPT).chain([&header::AGE]) {
            headers.remove(name);
        }
        // RFC 9110 §14.4: it means something in these two only, and there the edge makes its own.
        if matches!(
            status,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
        ) {
            headers.remove(header::CONTENT_RANGE);
        }
        let total = match status {
            StatusCode::PARTIAL_CONTENT => match &range {
                ContentRange::Part { total, .. } => *total,
                _ => None,
            },
            StatusCode::RANGE_NOT_SATISFIABLE => match range {
                ContentRange::Unsatisfied { total } => Some(total),
                _ => None,
            },
            // RFC 9110 §15.3.5: it has no body and says no length; all of it is here.
            StatusCode::NO_CONTENT => Some(0),
            _ => length,
        };
        let head = Self {
            status,
            headers,
            total,
            said,
            tags,
            failure: None,
        };
        (head, length, range)
    }

    pub(super) fn validators(&self) -> Validators {
        let bytes = |name| {
            self.headers
                .get(name)
                .map(|value: &HeaderValue| value.as_bytes().into())
        };
        Validators {
            etag: bytes(header::ETAG),
            last_modified: bytes(header::LAST_MODIFIED),
        }
    }

    /// RFC 9111 §3.2: the fields of a 304 replace those that are kept, but for those that were made from the bytes.
    pub(super) fn refreshed_by(&self, newer: &Self) -> Self {
        let mut headers = self.headers.clone();
        for name in newer.headers.keys() {
            let is_of_the_bytes = matches!(
                *name,
                header::CONTENT_ENCODING | header::CONTENT_RANGE | header::ETAG
            );
            if is_of_the_bytes || name == CONTENT_MD5 {
                continue;
            }
            headers.remove(name);
            for value in newer.headers.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Self {
            headers,
            said: newer.said,
            ..self.clone()
        }
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Vec<Box<str>> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().to_ascii_lowercase().into_boxed_str())
        .filter(|tag| !tag.is_empty())
        .collect()
}

/// `Content-Range` as it came (RFC 9110 §14.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ContentRange {
    /// There is none.
    None,
    /// These bytes, of so many if that is said.
    Part { span: Span, total: Option<u64> },
    /// `bytes */N`.
    Unsatisfied { total: u64 },
    /// What is no such field.
    Other,
}

impl ContentRange {
    fn parse(value: Option<&HeaderValue>) -> Self {
        let Some(value) = value else {
            return Self::None;
        };
        let part = || {
            let (range, total) = value
                .to_str()
                .ok()?
                .strip_prefix("bytes ")?
                .trim()
                .split_once('/')?;
            if range == "*" {
                let total = total.parse().ok()?;
                return Some(Self::Unsatisfied { total });
            }
            let (first, last) = range.split_once('-')?;
            let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
            let total = match total {
                "*" => None,
                total => Some(total.parse::<u64>().ok()?),
            };
            let is_valid = first <= last && last < total.unwrap_or(u64::MAX);
            is_valid.then(|| Self::Part {
                span: first..last + 1,
                total,
            })
        };
        part().unwrap_or(Self::Other)
    }
}

impl Object {
    /// The part of the representation that an answer to `want` has, when all of it is here or on its way. `None`: it is
    /// not, or the want is beyond the end.
    pub(super) fn span_of(&self, want: Want) -> Option<Span> {
        let total = self.head.total;
        let span = match want {
            Want::Whole | Want::Head => 0..total.unwrap_or(u64::MAX),
            Want::Range { first, last } => {
                let end = last.map_or(u64::MAX, |last| last.saturating_add(1));
                first..end.min(total.unwrap_or(u64::MAX))
            }
            Want::Suffix(len) => total?.saturating_sub(len)..total?,
        };
        Some(span)
    }

    /// Whether every byte of the span is here or on its way.
    pub(super) fn covers(&self, span: &Span) -> bool {
        let mut at = span.start;
        for piece in &self.pieces {
            if piece.span.start <= at {
                at = at.max(piece.span.end);
            }
        }
        at >= span.end
    }

    /// The pieces that a span is made of, cut to it.
    pub(super) fn cut(&self, span: &Span) -> Vec<Piece> {
        let mut at = span.start;
        let mut cut = Vec::with_capacity(1);
        for piece in &self.pieces {
            if piece.span.start <= at && piece.span.end > at {
                let end = piece.span.end.min(span.end);
                cut.push(Piece {
                    span: at..end,
                    blob: Arc::clone(&piece.blob),
                });
                at = end;
            }
            if at >= span.end {
                break;
            }
        }
        cut
    }

    /// The same with other pieces beside those that it has.
    pub(super) fn with(&self, head: Arc<Head>, more: &[Piece]) -> Self {
        let mut pieces: Vec<Piece> = more.to_vec();
        // What a new piece has all of is not needed any more.
        pieces.extend(
            self.pieces
                .iter()
                .filter(|old| {
                    !more
                        .iter()
                        .any(|new| new.span.start <= old.span.start && old.span.end <= new.span.end)
                })
                .cloned(),
        );
        pieces.sort_by_key(|piece| (piece.span.start, piece.span.end));
        Self { head, pieces }
    }

    /// The same without some pieces.
    pub(super) fn without(&self, gone: &[Piece]) -> Self {
        let mut rest = self.clone();
        rest.pieces.retain(|piece| {
            !gone
                .iter()
                .any(|gone| gone.span == piece.span && Arc::ptr_eq(&gone.blob, &piece.blob))
        });
        rest
    }
}

impl Answer {
    /// What the cache is told of it.
    pub(super) fn to_head(&self) -> AnswerHead {
        AnswerHead {
            status: self.status.as_u16(),
            said: self.said,
            validators: self.head.validators(),
            length: self.length,
            span: self.span.clone(),
            total: self.head.total,
            tags: self.head.tags.clone(),
        }
    }

    /// How old it was when it came.
    pub(super) fn age(&self) -> Duration {
        self.said.age
    }
}

#[cfg(test)]
mod tests {
    use super::super::bodies::Bodies;
    use super::*;

    fn range(text: &str) -> ContentRange {
        ContentRange::parse(Some(&HeaderValue::from_str(text).unwrap()))
    }

    #[test]
    fn a_content_range_says_which_bytes_or_is_none() {
        let part = |span, total| ContentRange::Part { span, total };
        assert_eq!(range("bytes 0-9/100"), part(0..10, Some(100)));
        assert_eq!(range("bytes 5-5/*"), part(5..6, None));
        assert_eq!(range("bytes */7"), ContentRange::Unsatisfied { total: 7 });
        for wrong in [
            "bytes 9-0/100",
            "bytes 0-100/100",
            "bytes 0-9",
            "bytes=0-9/100",
            "lines 0-9/100",
            "bytes -9/100",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(range(wrong), ContentRange::Other, "{wrong}");
        }
        assert_eq!(ContentRange::parse(None), ContentRange::None);
    }

    #[test]
    fn pieces_that_overlap_are_cut_so_that_each_byte_comes_once() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Arc::new(Bodies::new(folder.path(), 1000, 1000).unwrap());
        let piece = |span: Span| Piece {
            blob: super::super::bodies::Blob::new(&bodies, span.start),
            span,
        };
        let head = Arc::new(Head {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            total: Some(100),
            said: Directives::default(),
            tags: Vec::new(),
            failure: None,
        });
        let object = Object {
            head: Arc::clone(&head),
            pieces: vec![piece(0..30), piece(20..60), piece(70..100)],
        };
        assert!(object.covers(&(5..60)) && object.covers(&(70..100)));
        assert!(!object.covers(&(0..100)) && !object.covers(&(65..70)));
        let spans = |object: &Object, span: Span| -> Vec<Span> {
            let cut = object.cut(&span);
            cut.into_iter().map(|piece| piece.span).collect()
        };
        assert_eq!(spans(&object, 10..50), [10..30, 30..50]);
        let whole = object.with(head, &[piece(55..80)]);
        assert_eq!(spans(&whole, 0..100), [0..30, 30..60, 60..80, 80..100]);
        let gone = whole.pieces[2].clone();
        assert!(!whole.without(&[gone]).covers(&(60..70)));
    }
}
