//! How a request travels: the connections of a device.
//!
//! Owns connecting and certificates. Never looks at what a request asks for or what an answer means.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::Authority;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::error::{DeviceError, TransferError};

/// Opens connections with or without TLS; a clone shares the certificates.
pub(super) type Connector = HttpsConnector<Dial>;

/// Opens TCP connections: to the host that a URL names, or to another one in its place. Beneath TLS, so that the name in
/// the certificate, like `Host`, stays the URL's.
#[derive(Clone)]
pub(super) struct Dial {
    tcp: HttpConnector,
    instead: Option<Authority>,
}

impl Service<Uri> for Dial {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = <HttpConnector as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Uri>::poll_ready(&mut self.tcp, context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        self.tcp.call(match &self.instead {
            Some(other) => redirected(to, other),
            None => to,
        })
    }
}

/// `to` with another host, and with its port where it names one.
fn redirected(to: Uri, other: &Authority) -> Uri {
    let authority = match (other.port_u16(), to.port_u16()) {
        (None, Some(port)) => format!("{other}:{port}").parse(),
        _ => Ok(other.clone()),
    };
    let mut parts = to.clone().into_parts();
    parts.authority = authority.ok();
    // A host with a port is an authority, and a scheme, an authority and a path are a URL.
    Uri::from_parts(parts).unwrap_or(to)
}

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

/// What opens connections, to `instead` where it is given and whatever the URL says.
pub(super) fn connector(
    security: Security,
    connect_timeout: Duration,
    instead: Option<Authority>,
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
        .wrap_connector(Dial { tcp, instead }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_to_the_other_host_and_keeps_the_port_unless_that_one_names_its_own() {
        for (to, other, dialled) in [
            (
                "https://cdn.example.com/a",
                "192.0.2.1",
                "https://192.0.2.1/a",
            ),
            (
                "http://cdn.example.com:8090/a",
                "192.0.2.1",
                "http://192.0.2.1:8090/a",
            ),
            (
                "http://cdn.example.com:8090/a",
                "192.0.2.1:81",
                "http://192.0.2.1:81/a",
            ),
            (
                "https://cdn.example.com/a",
                "[2001:db8::1]:444",
                "https://[2001:db8::1]:444/a",
            ),
            (
                "http://cdn.example.com:1/",
                "[2001:db8::1]",
                "http://[2001:db8::1]:1/",
            ),
            (
                "https://127.0.0.1/a",
                "e.cloudfront.net",
                "https://e.cloudfront.net/a",
            ),
        ] {
            let other = other.parse().unwrap();
            assert_eq!(redirected(to.parse().unwrap(), &other), dialled, "{to}");
        }
    }
}
