//! One request to an edge or an origin, and its answer.
//!
//! Owns the time-outs and how a request for a part is written. Follows no redirect and tries nothing twice; what an
//! answer means is decided in `check.rs` and `download.rs`, how it travels in `transport.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderName, HeaderValue, IF_NONE_MATCH,
    IF_RANGE, RANGE, RETRY_AFTER, USER_AGENT,
};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::Watcher;
use super::error::{DeviceError, Trace, TransferError};
use super::transport::{self, Pooled, Security, Transport};
use crate::model::{ByteRange, Digest, Locator};

/// How long to wait and how often to try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// How long the head of an answer (with the connect before it), or the next byte of a body, may take.
    pub stall_timeout: Duration,
    /// How often a broken transfer is taken up again, without any progress in between, before giving up.
    pub retries_max: u32,
}

/// Speaks to one edge or origin; a clone shares its connections.
#[derive(Clone)]
pub struct Client {
    edge: Edge,
    transport: Arc<dyn Transport>,
    watcher: Arc<dyn Watcher>,
    pub(super) patience: Patience,
}

/// What is asked for of an object. An artifact's `ETag` is its digest, so that a device needs no memory of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// All of it.
    Whole,
    /// Nothing of it: the head of the answer alone (HEAD).
    Head,
    /// All of it, unless it is what the device has.
    UnlessIs(Digest),
    /// All from `offset` on, provided that it is still the same object; else all of it.
    Rest {
        /// The first position that is missing here.
        offset: u64,
        /// Which object.
        of: Digest,
    },
    /// One part, provided that it is still the same object; else all of it.
    Part {
        /// Which part.
        range: ByteRange,
        /// Of which object.
        of: Digest,
    },
}

impl Client {
    /// A client of the server at `from`: `http://host[:port]` or `https://host[:port]`.
    pub fn new(
        from: &str,
        patience: Patience,
        watcher: Arc<dyn Watcher>,
    ) -> Result<Self, DeviceError> {
        let edge = Edge::parse(from)?;
        let connector = transport::connector(edge.security(), patience.stall_timeout, None)?;
        let transport = Arc::new(Pooled::new(connector));
        Ok(Self::over(transport, edge, patience, watcher))
    }

    /// A client whose requests travel by `transport`.
    pub(super) fn over(
        transport: Arc<dyn Transport>,
        edge: Edge,
        patience: Patience,
        watcher: Arc<dyn Watcher>,
    ) -> Self {
        Self {
            edge,
            transport,
            watcher,
            patience,
        }
    }

    /// The full URL of an object, for requests and messages.
    #[must_use]
    pub fn url(&self, locator: &Locator) -> String {
        self.edge.url(locator)
    }

    /// Asks once and returns the head of the answer, whatever its status; the body follows through [`Answer::chunk`].
    /// Dropping the answer breaks the transfer off.
    pub async fn fetch(&self, locator: &Locator, ask: Ask) -> Result<Answer, TransferError> {
        let (what, started) = (what(locator), Instant::now());
        let request = self.transport.send(self.request(locator, ask));
        let stall_timeout = self.patience.stall_timeout;
        let response = tokio::time::timeout(stall_timeout, request)
            .await
            .unwrap_or(Err(TransferError::Stalled(stall_timeout)))
            .inspect_err(|failure| self.watcher.failed(what, failure))?;
        let (status, headers) = (response.status(), response.headers());
        self.watcher
            .answered(what, status.as_u16(), headers, started.elapsed());
        Ok(Answer {
            response,
            what,
            stall_timeout,
            started,
            bytes: 0,
            watcher: Arc::clone(&self.watcher),
        })
    }

    pub(super) fn watcher(&self) -> Arc<dyn Watcher> {
        Arc::clone(&self.watcher)
    }

    fn request(&self, locator: &Locator, ask: Ask) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        // Both halves were checked: the edge by `Edge::parse`, the path by the type of the locator.
        *request.uri_mut() = self.url(locator).parse().unwrap_or_default();
        if ask == Ask::Head {
            *request.method_mut() = Method::HEAD;
        }
        let headers = request.headers_mut();
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("headwater/", env!("CARGO_PKG_VERSION"))),
        );
        // Digests and ranges are those of the bytes that were published, never of a compressed form.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        match ask {
            Ask::Whole | Ask::Head => {}
            Ask::UnlessIs(digest) => insert(headers, IF_NONE_MATCH, &etag(digest)),
            Ask::Rest { offset, of } => {
                insert(headers, RANGE, &format!("bytes={offset}-"));
                insert(headers, IF_RANGE, &etag(of));
            }
            Ask::Part { range, of } => {
                let last = range.end().saturating_sub(1);
                insert(headers, RANGE, &format!("bytes={}-{last}", range.offset));
                insert(headers, IF_RANGE, &etag(of));
            }
        }
        request
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("edge", &self.edge)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

fn etag(digest: Digest) -> String {
    format!("\"{digest}\"")
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Digits, quotes and hyphens only: always a legal value.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// How watchers and messages name an object.
pub(super) fn what(locator: &Locator) -> &'static str {
    match locator {
        Locator::Artifact(..) | Locator::ChannelArtifact(..) => "artifact",
        Locator::ReleaseDocument(_) | Locator::Retirement(_) => "release",
        Locator::Channel(..) => "channel",
        Locator::Health => "health",
    }
}

/// The head of an answer and the rest of its body. Its watcher is told of it when it is dropped.
pub struct Answer {
    response: Response<Incoming>,
    what: &'static str,
    stall_timeout: Duration,
    started: Instant,
    bytes: u64,
    watcher: Arc<dyn Watcher>,
}

impl Answer {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What the answer says about the cache that it came through.
    #[must_use]
    pub fn trace(&self) -> Trace {
        Trace::of(self.headers())
    }

    /// `Content-Length`; an edge may leave it out.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.headers()
            .get(CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }

    /// `Content-Range` as it stands.
    #[must_use]
    pub fn content_range(&self) -> Option<&str> {
        self.headers().get(CONTENT_RANGE)?.to_str().ok()
    }

    /// The next bytes of the body, `None` at its proper end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, TransferError> {
        let chunk = self.next_data().await;
        chunk.inspect_err(|failure| self.watcher.failed(self.what, failure))
    }

    async fn next_data(&mut self) -> Result<Option<Bytes>, TransferError> {
        loop {
            let frame = tokio::time::timeout(self.stall_timeout, self.response.body_mut().frame())
                .await
                .map_err(|_elapsed| TransferError::Stalled(self.stall_timeout))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(TransferError::Broken(error)),
                Some(Ok(frame)) => {
                    // Trailers say nothing that a device would trust.
                    if let Ok(chunk) = frame.into_data() {
                        self.bytes += chunk.len() as u64;
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }

    /// All of a small body; `None` when it has more than `bytes_max`.
    pub async fn document(mut self, bytes_max: u64) -> Result<Option<Bytes>, TransferError> {
        let mut document = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if document.len() as u64 + chunk.len() as u64 > bytes_max {
                return Ok(None);
            }
            document.extend_from_slice(&chunk);
        }
        Ok(Some(document.freeze()))
    }

    /// The error of an answer that asks to come back later.
    pub(super) fn unavailable(&self) -> TransferError {
        let seconds = |value: &HeaderValue| value.to_str().ok()?.trim().parse().ok();
        TransferError::Unavailable {
            status: self.status(),
            retry_after: self
                .headers()
                .get(RETRY_AFTER)
                .and_then(seconds)
                .map(Duration::from_secs),
            trace: self.trace(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let status = self.status().as_u16();
        self.watcher
            .request(self.what, status, self.bytes, self.started.elapsed());
    }
}

/// The root of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Edge {
    scheme: Scheme,
    authority: Authority,
}

impl Edge {
    pub(super) fn security(&self) -> Security {
        if self.scheme == Scheme::HTTPS {
            Security::Tls
        } else {
            Security::Plain
        }
    }

    pub(super) fn url(&self, locator: &Locator) -> String {
        let Self { scheme, authority } = self;
        format!("{scheme}://{authority}{}", locator.to_url_path())
    }

    pub(super) fn parse(from: &str) -> Result<Self, DeviceError> {
        let refuse = |why| DeviceError::From {
            // A password in an URL must not reach a log through an error text.
            from: match from.rsplit_once('@') {
                Some((_, host)) => format!("…@{host}"),
                None => from.chars().flat_map(char::escape_debug).collect(),
            },
            why,
        };
        let uri: Uri = from.parse().map_err(|_error| refuse("it is not a URL"))?;
        let parts = uri.into_parts();
        let scheme = match parts.scheme {
            Some(scheme) if scheme == Scheme::HTTP || scheme == Scheme::HTTPS => scheme,
            Some(_) => return Err(refuse("its scheme is neither http nor https")),
            None => return Err(refuse("it has no scheme")),
        };
        let authority = parts.authority.ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it has a user name"));
        }
        if authority.host().is_empty() {
            return Err(refuse("it has no host"));
        }
        if authority.as_str() != authority.host() && authority.port_u16().is_none_or(|p| p == 0) {
            return Err(refuse("its port is not one of 1 to 65535"));
        }
        // The parser drops a fragment without a word.
        let has_rest = parts.path_and_query.is_some_and(|rest| rest != "/") || from.contains('#');
        if has_rest {
            return Err(refuse("it has a path, a query or a fragment"));
        }
        Ok(Self { scheme, authority })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_a_host_and_perhaps_a_port() {
        for from in [
            "http://127.0.0.1:8080",
            "https://updates.example.com",
            "https://updates.example.com/",
            "http://[::1]:1",
            "http://host:65535",
        ] {
            assert!(Edge::parse(from).is_ok(), "{from}");
        }
    }

    #[test]
    fn a_server_with_anything_more_is_a_usage_error() {
        for from in [
            "",
            "host",
            "host:80",
            "/path",
            "ftp://host",
            "http://",
            "http://:80",
            "http://host:0",
            "http://host:65536",
            "http://host:",
            "http://host/path",
            "http://host/?query",
            "http://host?query",
            "http://host#fragment",
            "http://host/#",
            "http://user@host",
            "http://a b",
        ] {
            let error = Edge::parse(from).expect_err(from);
            assert_eq!(error.exit_code(), 2, "{from}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_repeated_in_the_refusal() {
        let error = Edge::parse("http://user:secret@host").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(error.to_string().contains("user name"), "{error}");
    }
}
