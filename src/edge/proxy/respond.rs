//! What a viewer is answered: the whole, a part, several parts, "you have it", or an error.
//!
//! Owns the fields of the answer and which bytes make its body. Never looks into a cache, and never decides what of an
//! object is wanted: `wish.rs`. Read next: `body.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};

use super::body::{Body, Segment};
use super::engine::{Decided, Engine, Exchange, LIMIT_EXCEEDED};
use super::fill::Interest;
use super::node::{Asked, Found, How};
use super::object::{Level, Source};
use super::wish::{Part, Wish, part};
use crate::edge::policy::link::{Hop, to_viewer};
use crate::edge::policy::record::ResultType;
use crate::edge::policy::spans::Span;

impl Engine {
    /// The answer. `Err`: the whole must be asked for.
    pub(super) fn respond(
        self: &Arc<Self>,
        asked: &Asked,
        wish: &Wish,
        found: Found,
    ) -> Result<Exchange, Box<Found>> {
        if found.passed.is_some() {
            return Ok(self.pass_on(asked, wish, found));
        }
        match part(asked, wish, &found) {
            Part::NeedsWhole => Err(Box::new(found)),
            Part::Whole => Ok(self.as_it_is(asked, found)),
            Part::NotModified => Ok(self.bodiless(asked, found, StatusCode::NOT_MODIFIED)),
            Part::PreconditionFailed => {
                Ok(self.bodiless(asked, found, StatusCode::PRECONDITION_FAILED))
            }
            Part::One(span, total) => Ok(self.one_part(asked, found, &span, total)),
            Part::Several(spans, total) => Ok(self.several_parts(asked, found, &spans, total)),
            Part::Unsatisfiable(total) => Ok(self.unsatisfiable(asked, found, total)),
        }
    }

    /// The whole object.
    pub(super) fn as_it_is(self: &Arc<Self>, asked: &Asked, mut found: Found) -> Exchange {
        let head = Arc::clone(&found.object.head);
        let mut answer = self.begin(asked, &found, head.status, head.headers.clone());
        let total = head.total;
        if let Some(total) = total {
            answer.length(total);
        }
        let body = if asked.method == Method::HEAD {
            found.satisfy();
            Body::empty(self)
        } else {
            let pieces = found.object.cut(&(0..total.unwrap_or(u64::MAX)));
            let segments = pieces.into_iter().map(Segment::piece);
            let interests = std::mem::take(&mut found.interests);
            Body::new(self, segments, total, found.is_hit()).along(interests, found.gate.take())
        };
        answer.with(body)
    }

    fn bodiless(self: &Arc<Self>, asked: &Asked, mut found: Found, status: StatusCode) -> Exchange {
        found.satisfy();
        let mut headers = found.object.head.headers.clone();
        if status == StatusCode::PRECONDITION_FAILED {
            headers.remove(header::CONTENT_ENCODING);
        }
        let mut answer = self.begin(asked, &found, status, headers);
        if status == StatusCode::PRECONDITION_FAILED {
            answer.length(0);
        }
        answer.with(Body::empty(self))
    }

    fn one_part(
        self: &Arc<Self>,
        asked: &Asked,
        mut found: Found,
        span: &Span,
        total: u64,
    ) -> Exchange {
        let headers = found.object.head.headers.clone();
        let mut answer = self.begin(asked, &found, StatusCode::PARTIAL_CONTENT, headers);
        answer.range(span, total);
        let pieces = found.object.cut(span);
        let interests = std::mem::take(&mut found.interests);
        let length = span.end - span.start;
        let segments = pieces.into_iter().map(Segment::piece);
        let body = Body::new(self, segments, Some(length), found.is_hit());
        answer.with(body.along(interests, found.gate.take()))
    }

    /// RFC 9110 §14.6.
    fn several_parts(
        self: &Arc<Self>,
        asked: &Asked,
        mut found: Found,
        spans: &[Span],
        total: u64,
    ) -> Exchange {
        let mut headers = found.object.head.headers.clone();
        // The id is new for each request and cannot be in an object that was there before.
        let boundary = asked.id.trim_end_matches('=');
        let content_type = headers.get(header::CONTENT_TYPE).cloned();
        let mut segments = Vec::with_capacity(spans.len() * 2 + 1);
        let (mut length, mut lead) = (0, "");
        for span in spans {
            let mut preamble = format!("{lead}--{boundary}\r\n").into_bytes();
            if let Some(content_type) = &content_type {
                preamble.extend_from_slice(b"Content-Type: ");
                preamble.extend_from_slice(content_type.as_bytes());
                preamble.extend_from_slice(b"\r\n");
            }
            let range = content_range(span, total);
            preamble.extend_from_slice(format!("Content-Range: {range}\r\n\r\n").as_bytes());
            length += preamble.len() as u64 + (span.end - span.start);
            segments.push(Segment::Bytes(preamble.into()));
            segments.extend(found.object.cut(span).into_iter().map(Segment::piece));
            lead = "\r\n";
        }
        let closing = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        length += closing.len() as u64;
        segments.push(Segment::Bytes(closing));
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        if let Ok(value) = HeaderValue::from_str(&content_type) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        let mut answer = self.begin(asked, &found, StatusCode::PARTIAL_CONTENT, headers);
        answer.length(length);
        let interests = std::mem::take(&mut found.interests);
        let body = Body::new(self, segments, Some(length), found.is_hit());
        answer.with(body.along(interests, found.gate.take()))
    }

    fn unsatisfiable(self: &Arc<Self>, asked: &Asked, mut found: Found, total: u64) -> Exchange {
        found.satisfy();
        let mut headers = found.object.head.headers.clone();
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_TYPE);
        let mut answer = self.begin(asked, &found, StatusCode::RANGE_NOT_SATISFIABLE, headers);
        answer.set(header::CONTENT_RANGE, &format!("bytes */{total}"));
        answer.length(0);
        answer.with(Body::empty(self))
    }

    /// What is not kept goes on as it came, cut to what the viewer asked for when more was fetched.
    fn pass_on(self: &Arc<Self>, asked: &Asked, wish: &Wish, mut found: Found) -> Exchange {
        let headers = found.object.head.headers.clone();
        let total = found.object.head.total;
        let Some(passed) = found.passed.take() else {
            return self.as_it_is(asked, found);
        };
        let mut answer = self.begin(asked, &found, passed.status, headers);
        let (mut skip, mut length) = (0, passed.length);
        match (passed.status, &passed.span) {
            (StatusCode::PARTIAL_CONTENT, Some(span)) => {
                let wanted = total
                    .and_then(|total| wish.one_of(total))
                    .filter(|one| span.start <= one.start && one.end <= span.end);
                let wanted = wanted.unwrap_or_else(|| span.clone());
                skip = wanted.start - span.start;
                length = Some(wanted.end - wanted.start);
                if let Some(total) = total {
                    answer.range(&wanted, total);
                } else {
                    let (first, last) = (wanted.start, wanted.end - 1);
                    answer.set(header::CONTENT_RANGE, &format!("bytes {first}-{last}/*"));
                }
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, _) => {
                if let Some(total) = total {
                    answer.set(header::CONTENT_RANGE, &format!("bytes */{total}"));
                }
            }
            _ => {}
        }
        let is_bodiless = matches!(
            passed.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        if let Some(length) = length
            && !is_bodiless
        {
            answer.length(length);
        }
        if wish.is_head() || is_bodiless {
            return answer.with(Body::empty(self));
        }
        let (segments, interests) = match passed.source {
            Source::Nothing => (Vec::new(), Vec::new()),
            Source::Live(live) => (vec![Segment::Live { live, skip }], Vec::new()),
            Source::Pieces(mut pieces, interests) => {
                for piece in &mut pieces {
                    let skipped = skip.min(piece.span.end - piece.span.start);
                    piece.span.start += skipped;
                    skip -= skipped;
                }
                (pieces.into_iter().map(Segment::piece).collect(), interests)
            }
        };
        let remaining = if segments.is_empty() { Some(0) } else { length };
        let body = Body::new(self, segments, remaining, false);
        answer.with(body.along(interests, None))
    }

    fn begin<'a>(
        &'a self,
        asked: &'a Asked,
        found: &Found,
        status: StatusCode,
        headers: HeaderMap,
    ) -> Beginning<'a> {
        let (result, detailed) = self.result(asked, found, status);
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        // RFC 9111 §5.1: not of an answer that the origin just gave.
        if found.how != How::Fetched || found.age >= Duration::from_secs(1) {
            let age = HeaderValue::from(found.age.as_secs());
            response.headers_mut().insert(header::AGE, age);
        }
        Beginning {
            engine: self,
            asked,
            response,
            record: Decided {
                result,
                detailed,
                request_id: asked.id.clone(),
                range: None,
                content_length: None,
            },
        }
    }

    /// Fact 52, and fact 56 for the shield: a hit there is a `Hit` when it is the POP's own regional edge cache.
    fn result(
        &self,
        asked: &Asked,
        found: &Found,
        status: StatusCode,
    ) -> (ResultType, &'static str) {
        if let Some(failure) = found.object.head.failure {
            if failure == LIMIT_EXCEEDED {
                return (ResultType::LimitExceeded, failure);
            }
            return (ResultType::Error, failure);
        }
        if status.as_u16() >= 400 {
            return (ResultType::Error, "Error");
        }
        let is_shield_hit = found.hit_at == Some(Level::Shield);
        let result = match found.how {
            How::Refreshed => ResultType::RefreshHit,
            How::Fetched if !is_shield_hit => ResultType::Miss,
            How::Fetched if self.topology().shield_hop(asked.pop) => ResultType::OriginShieldHit,
            How::Hit | How::Joined | How::Fetched => ResultType::Hit,
        };
        (result, result.detailed())
    }
}

impl Found {
    /// What it wanted of a fill it has already: that is not leaving.
    fn satisfy(&mut self) {
        self.interests.drain(..).for_each(Interest::satisfied);
    }

    /// Its bytes were in the POP's cache when they were asked for.
    fn is_hit(&self) -> bool {
        matches!(self.how, How::Hit | How::Refreshed)
    }
}

/// An answer whose head is being written.
pub(super) struct Beginning<'a> {
    engine: &'a Engine,
    asked: &'a Asked,
    response: Response<()>,
    record: Decided,
}

impl Beginning<'_> {
    fn length(&mut self, length: u64) {
        self.record.content_length = Some(length);
        let headers = self.response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }

    fn range(&mut self, span: &Span, total: u64) {
        self.set(header::CONTENT_RANGE, &content_range(span, total));
        self.record.range = Some((span.start, span.end - 1));
        self.length(span.end - span.start);
    }

    fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
    }

    fn with(mut self, body: Body) -> Exchange {
        let x_cache = self.record.result.x_cache();
        let viewer = String::new(); // nothing of it goes to the viewer
        let hop = self.engine.hop(self.asked, &viewer);
        to_viewer(self.response.headers_mut(), x_cache, &hop);
        Exchange {
            response: self.response.map(|()| body),
            record: self.record,
        }
    }
}

impl Engine {
    pub(super) fn hop<'a>(&'a self, asked: &'a Asked, viewer: &'a str) -> Hop<'a> {
        Hop {
            viewer,
            request_id: &asked.id,
            pop: &self.topology().pops[asked.pop].name,
            via_host: &self.distribution().domain,
        }
    }
}

fn content_range(span: &Span, total: u64) -> String {
    format!("bytes {}-{}/{total}", span.start, span.end - 1)
}
