//! What is behind a node: the next layer, or the origin.
//!
//! Owns the question that a fetch becomes, the reading of the origin's answer, and the answers that the edge makes itself.
//! Never opens a connection and never keeps an answer. Read next: `upstream.rs`.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;

use super::bodies::{Blob, Piece};
use super::engine::{Boxed, Engine, Exchange};
use super::node::{Asked, Found, How, Node, Passed, want_of};
use super::object::{Answer, ContentRange, Head, Object, Source};
use super::upstream::{Live, Question};
use super::wish::Wish;
use crate::edge::policy::attempts::Failure;
use crate::edge::policy::cache::{AnswerFault, Fetch, Want};
use crate::edge::policy::link::{from_origin, restrict, target, to_origin};

/// A viewer's conditions, for what is not cached: the origin answers them itself (fact 33).
const CONDITIONS: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

impl Engine {
    /// Asks what is behind a node.
    pub(super) fn behind<'a>(
        self: &'a Arc<Self>,
        node: &'a Arc<Node>,
        asked: &'a Arc<Asked>,
        fetch: &'a Fetch,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let Some(next) = self.next(node, asked) else {
                return self.ask_origin(node, asked, fetch).await;
            };
            let want = want_of(fetch);
            let look = next.look(self, asked.route, &asked.key, want);
            let found = next.find(self, asked, want, look).await;
            found.into_answer(next.level, want, fetch.condition.as_ref())
        })
    }

    async fn ask_origin(
        self: &Arc<Self>,
        node: &Arc<Node>,
        asked: &Arc<Asked>,
        fetch: &Fetch,
    ) -> Answer {
        let method = match asked.method {
            Method::OPTIONS => Method::OPTIONS,
            _ if fetch.head => Method::HEAD,
            _ => Method::GET,
        };
        let mut headers = self.headers_to_origin(asked, &method);
        let mut set = |name, value: &[u8]| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert(name, value);
            }
        };
        match (want_of(fetch), &fetch.condition) {
            (Want::Range { first, last }, _) => {
                let last = last.map(|last| last.to_string()).unwrap_or_default();
                set(header::RANGE, format!("bytes={first}-{last}").as_bytes());
            }
            (Want::Suffix(len), _) => set(header::RANGE, format!("bytes=-{len}").as_bytes()),
            (Want::Whole | Want::Head, _) => {}
        }
        if let Some(known) = &fetch.condition {
            // T11, T12: byte for byte as they came.
            if let Some(etag) = &known.etag {
                set(header::IF_NONE_MATCH, etag);
            }
            if let Some(date) = &known.last_modified {
                set(header::IF_MODIFIED_SINCE, date);
            }
        }
        let route = self.route(asked.route);
        let question = Question {
            path: target(&asked.uri, &route.behaviour),
            method,
            headers,
        };
        let answered = node.pools[route.link].ask(question, None).await;
        let answer = match answered {
            Ok(response) => {
                self.counters.answered(fetch.condition.is_some());
                self.read(response, asked, fetch.head)
            }
            Err(failure) => return self.failure(failure),
        };
        let is_part = answer.status == StatusCode::PARTIAL_CONTENT;
        let is_wanted = fetch.span.is_some() || fetch.suffix.is_some();
        if is_part && (!is_wanted || answer.span.is_none()) {
            // A part that nobody asked for, or that does not say which: nothing can be done with it.
            return self.failure(Failure::Invalid);
        }
        match answer.to_head().fault(&route.rules.ttl) {
            None => answer,
            Some(AnswerFault::RangeLength) => self.failure(Failure::ContentRangeLength),
            Some(AnswerFault::TooLarge) => self.failure(Failure::TooLarge),
        }
    }

    fn headers_to_origin(&self, asked: &Asked, method: &Method) -> HeaderMap {
        let viewer = asked.viewer.to_string();
        let hop = self.hop(asked, &viewer);
        let behaviour = &self.route(asked.route).behaviour;
        to_origin(method, &asked.headers, behaviour, &hop)
    }

    /// Reads an origin's answer.
    fn read(self: &Arc<Self>, response: Response<Live>, asked: &Asked, is_head: bool) -> Answer {
        let behaviour = &self.route(asked.route).behaviour;
        let (mut parts, live) = response.into_parts();
        from_origin(&mut parts.headers, SystemTime::from(self.time()));
        restrict(&mut parts.headers, behaviour);
        let tags = self.distribution().cache_tag_header.as_ref();
        let (head, length, range) = Head::read(parts.status, parts.headers, tags);
        let is_bodiless = is_head
            || matches!(
                parts.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        let span = match range {
            ContentRange::Part { span, .. } if parts.status == StatusCode::PARTIAL_CONTENT => {
                Some(span)
            }
            _ => None,
        };
        Answer {
            status: parts.status,
            said: head.said,
            head: Arc::new(head),
            span,
            length,
            source: if is_bodiless {
                Source::Nothing
            } else {
                Source::Live(Box::new(live))
            },
            hit_at: None,
            is_stale: false,
        }
    }

    /// The answer that the edge makes when the origin gave none.
    pub(super) fn failure(self: &Arc<Self>, failure: Failure) -> Answer {
        let status = StatusCode::from_u16(failure.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        self.page(status, failure.detailed_result_type())
    }

    /// An answer of the edge's own.
    fn page(self: &Arc<Self>, status: StatusCode, why: &'static str) -> Answer {
        let text = format!(
            "<!DOCTYPE html>\n<title>{status}</title>\n<h1>{status}</h1>\n<p>The request could not be satisfied: {why}.</p>\n"
        );
        let page = Bytes::from(text);
        let length = page.len() as u64;
        let mut headers = HeaderMap::new();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, html);
        from_origin(&mut headers, SystemTime::from(self.time()));
        let head = Head {
            status,
            headers,
            total: Some(length),
            said: crate::edge::policy::freshness::Directives::default(),
            tags: Vec::new(),
            failure: Some(why),
        };
        let blob = Blob::of(self.bodies(), page);
        let piece = Piece {
            span: 0..length,
            blob,
        };
        Answer {
            status,
            said: head.said,
            head: Arc::new(head),
            span: None,
            length: Some(length),
            source: Source::Pieces(vec![piece], Vec::new()),
            hit_at: None,
            is_stale: false,
        }
    }

    /// What there is to say when a fill ended without an answer.
    pub(super) fn no_answer(self: &Arc<Self>) -> Found {
        passed(self.failure(Failure::Lost))
    }

    /// An answer without any layer.
    pub(super) fn refusal(
        self: &Arc<Self>,
        asked: &Asked,
        status: StatusCode,
        why: &'static str,
    ) -> Exchange {
        let wish = Wish::read(&asked.method, &HeaderMap::new());
        let found = passed(self.page(status, why));
        match self.respond(asked, &wish, found) {
            Ok(exchange) => exchange,
            Err(found) => self.as_it_is(asked, *found),
        }
    }

    /// What is not cached goes straight from the POP to the origin, with its body and the viewer's conditions (fact 54).
    pub(super) async fn forward(
        self: &Arc<Self>,
        asked: Asked,
        body: Option<Incoming>,
    ) -> Exchange {
        let mut headers = self.headers_to_origin(&asked, &asked.method);
        for name in CONDITIONS {
            for value in asked.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let route = self.route(asked.route);
        let question = Question {
            method: asked.method.clone(),
            path: target(&asked.uri, &route.behaviour),
            headers,
        };
        let node = self.pop_node(&asked);
        let answer = match node.pools[route.link].ask(question, body).await {
            Ok(response) => {
                self.counters.answered(false);
                self.read(response, &asked, asked.method == Method::HEAD)
            }
            Err(failure) => self.failure(failure),
        };
        // The viewer's own `Range` was answered: nothing is to be cut.
        let wish = Wish::read(&asked.method, &HeaderMap::new());
        match self.respond(&asked, &wish, passed(answer)) {
            Ok(exchange) => exchange,
            Err(found) => self.as_it_is(&asked, *found),
        }
    }
}

/// An answer that is delivered as it is.
pub(super) fn passed(answer: Answer) -> Found {
    Found {
        object: Arc::new(Object {
            head: Arc::clone(&answer.head),
            pieces: Vec::new(),
        }),
        how: How::Fetched,
        age: answer.said.age,
        hit_at: answer.hit_at,
        is_stale: answer.is_stale,
        is_whole: false,
        passed: Some(Passed {
            status: answer.status,
            span: answer.span,
            length: answer.length,
            source: answer.source,
        }),
        interests: Vec::new(),
        gate: None,
    }
}
