//! A connection of one device's own, and the budget of requests that all share.
//!
//! Owns that devices share no connection and that a device has one at a time, as thousands of machines would; a pool
//! would open a second one whenever a body's end and the next request race. Never tries anything twice.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use tokio::sync::Mutex;
use tower_service::Service as _;

use super::tally::Tally;
use crate::device::error::TransferError;
use crate::device::transport::{Connector, Transport};

/// What hyper may keep of an answer that has arrived and was not taken yet. Ten thousand devices at a time then hold
/// 160 MiB; larger reads would hash no faster.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// The POP that a device asks for, where an edge lets it choose.
const POP_FIELD: HeaderName = HeaderName::from_static("x-edge-pop");

/// One device's way to the server.
pub(super) struct Line {
    connector: Connector,
    tally: Arc<Tally>,
    pop: Option<HeaderValue>,
    /// None before the first request and after a connection has ended.
    open: Mutex<Option<SendRequest<Empty<Bytes>>>>,
}

impl Line {
    pub(super) fn new(connector: Connector, tally: Arc<Tally>, pop: Option<usize>) -> Self {
        Self {
            connector,
            tally,
            pop: pop.map(HeaderValue::from),
            open: Mutex::new(None),
        }
    }

    async fn connect(&self, uri: &Uri) -> Result<SendRequest<Empty<Bytes>>, TransferError> {
        let mut connector = self.connector.clone();
        let stream = connector.call(uri.clone()).await;
        let stream = stream.map_err(TransferError::no_answer)?;
        let (sender, connection) = Builder::new()
            .max_buf_size(READ_BUFFER_BYTES)
            .handshake(stream)
            .await
            .map_err(TransferError::no_answer)?;
        self.tally.connected();
        // It ends with the sender. What breaks it is told to whoever waits for the answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    /// The connection of the request before, unless that one ended it.
    async fn reuse(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut sender = self.open.lock().await.take()?;
        sender.ready().await.is_ok().then_some(sender)
    }
}

#[async_trait]
impl Transport for Line {
    async fn send(
        &self,
        mut request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, TransferError> {
        if !self.tally.may_ask() {
            return Err(TransferError::OverBudget);
        }
        let mut sender = match self.reuse().await {
            Some(sender) => sender,
            None => self.connect(request.uri()).await?,
        };
        address(&mut request);
        if let Some(pop) = &self.pop {
            request.headers_mut().insert(POP_FIELD, pop.clone());
        }
        let answer = sender.send_request(request).await;
        *self.open.lock().await = Some(sender);
        answer.map_err(TransferError::no_answer)
    }
}

/// RFC 9112 §3.2.1 and RFC 9110 §7.2: an origin is sent the path, and the authority in `Host`.
fn address(request: &mut Request<Empty<Bytes>>) {
    let authority = request.uri().authority().map_or("", |it| it.as_str());
    // An authority has no character that a field value may not have.
    if let Ok(host) = HeaderValue::from_str(authority) {
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
}
