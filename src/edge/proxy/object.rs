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

/// RFC 9110 §7.6.1: these are between two neighbours. Length and range are said anew for each answer.
const NOT_KEPT: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
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
        let total = match status {
            StatusCode::PARTIAL_CONTENT => match &range {
                ContentRange::Part { total, .. } => *total,
                _ => None,
            },
            StatusCode::RANGE_NOT_SATISFIABLE => match range {
                ContentRange::Unsatisfied { total } => Some(total),
                _ => None,
            },
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

    /// RFC 9111 §3.2: the fields of a 304 replace those that are kept, but for those that describe the bytes.
    pub(super) fn refreshed_by(&self, newer: &Self) -> Self {
        let mut headers = self.headers.clone();
        for name in newer.headers.keys() {
            if matches!(
                *name,
                header::CONTENT_ENCODING | header::CONTENT_TYPE | header::ETAG
            ) {
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
