//! How a request travels: the connections of a device.
//!
//! Owns connecting and certificates. Never looks at what a request asks for or what an answer means.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::error::{DeviceError, TransferError};

/// Opens connections with or without TLS; a clone shares the certificates.
pub(super) type Connector = HttpsConnector<HttpConnector>;

/// Whether a server's certificate will have to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Security {
    /// `http`: no certificate of this machine is loaded; a device may have none.
    Plain,
    /// `https`.
    Tls,
}

/// Carries requests to one server.
#[async_trait]
pub(super) trait Transport: Send + Sync {
    /// Sends a request in absolute form and returns the head of its answer.
    async fn send(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, TransferError>;
}

/// As many connections as there are requests at a time, kept for the next ones.
pub(super) struct Pooled(legacy::Client<Connector, Empty<Bytes>>);

impl Pooled {
    pub(super) fn new(connector: Connector) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self(client)
    }
}

#[async_trait]
impl Transport for Pooled {
    async fn send(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, TransferError> {
        let answer = self.0.request(request).await;
        answer.map_err(TransferError::no_answer)
    }
}

/// What opens connections.
pub(super) fn connector(
    security: Security,
    connect_timeout: Duration,
) -> Result<Connector, DeviceError> {
    let mut tcp = HttpConnector::new();
    // The TLS connector in front of it looks at the scheme.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls_config(security)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp))
}

fn tls_config(security: Security) -> Result<ClientConfig, DeviceError> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| DeviceError::Roots(std::io::Error::other(error)))?;
    let builder = match security {
        Security::Tls => builder.with_native_roots().map_err(DeviceError::Roots)?,
        Security::Plain => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}
