//! Which POP of an edge is asked, and how a request gets there.
//!
//! Owns what an entry of `--pops` means. Never looks at an answer.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;

use crate::device::client::{Client, Edge};
use crate::device::transport::{self, Pooled, Transport};
use crate::device::{DeviceError, Patience, TransferError, Watcher};

/// One place of an edge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pop {
    /// Wherever the URL's host name leads.
    Nearest,
    /// The one behind this address; `Host` and the certificate stay the URL's.
    At(Authority),
    /// The one that a `headwater edge` knows by this name or number.
    Named(String),
}

/// An entry of a list of POPs that is neither an address nor a name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is no POP: an IP address, an edge's host name (either with a port or without), or a word for X-Edge-Pop"
)]
pub struct PopError(String);

/// Longer than any POP's name; a header field is no place for essays.
const NAME_CHARS_MAX: usize = 64;

/// By which a `headwater edge` lets a viewer choose.
const POP_FIELD: HeaderName = HeaderName::from_static("x-edge-pop");

impl FromStr for Pop {
    type Err = PopError;

    /// Whatever has a dot or a colon is an address: no POP's name has one, and every host name of a CDN does.
    fn from_str(text: &str) -> Result<Self, PopError> {
        let refuse = || PopError(text.escape_debug().to_string());
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return format!("[{address}]")
                .parse()
                .map(Self::At)
                .map_err(|_error| refuse());
        }
        if text.contains(['.', ':']) {
            let authority: Authority = text.parse().map_err(|_error| refuse())?;
            let host = authority.host().trim_matches(['[', ']']);
            let is_host = host.parse::<IpAddr>().is_ok() || is_host_name(host);
            let has_good_port =
                text == authority.host() || authority.port_u16().is_some_and(|port| port > 0);
            return (is_host && has_good_port && !text.contains('@'))
                .then_some(Self::At(authority))
                .ok_or_else(refuse);
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_name = (1..=NAME_CHARS_MAX).contains(&text.len()) && text.chars().all(is_word);
        is_name
            .then(|| Self::Named(text.to_owned()))
            .ok_or_else(refuse)
    }
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.split('.').all(is_label) && text.chars().any(|c| c.is_ascii_alphabetic())
}

/// As it was written.
impl fmt::Display for Pop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest => f.write_str("nearest"),
            Self::At(authority) => authority.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl Client {
    /// A client of the edge at `through` whose requests reach `pop`.
    pub fn at(
        through: &str,
        pop: &Pop,
        patience: Patience,
        watcher: Arc<dyn Watcher>,
    ) -> Result<Self, DeviceError> {
        let edge = Edge::parse(through)?;
        let (instead, name) = match pop {
            Pop::Nearest => (None, None),
            Pop::At(authority) => (Some(authority.clone()), None),
            // Letters, digits, hyphens and underscores are a legal value.
            Pop::Named(name) => (None, HeaderValue::from_str(name).ok()),
        };
        let connector = transport::connector(edge.security(), patience.stall_timeout, instead)?;
        let to_pop = ToPop {
            pooled: Pooled::new(connector),
            name,
        };
        Ok(Self::over(Arc::new(to_pop), edge, patience, watcher))
    }
}

/// Connections to one POP, and the field that chooses it.
struct ToPop {
    pooled: Pooled,
    name: Option<HeaderValue>,
}

#[async_trait]
impl Transport for ToPop {
    async fn send(
        &self,
        mut request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, TransferError> {
        if let Some(name) = &self.name {
            request.headers_mut().insert(POP_FIELD, name.clone());
        }
        self.pooled.send(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_a_dot_or_a_colon_is_connected_to_and_any_other_is_a_name() {
        for (text, pop) in [
            ("192.0.2.1", Pop::At("192.0.2.1".parse().unwrap())),
            ("192.0.2.1:8443", Pop::At("192.0.2.1:8443".parse().unwrap())),
            ("2001:db8::1", Pop::At("[2001:db8::1]".parse().unwrap())),
            (
                "[2001:db8::1]:444",
                Pop::At("[2001:db8::1]:444".parse().unwrap()),
            ),
            (
                "d1.cloudfront.net",
                Pop::At("d1.cloudfront.net".parse().unwrap()),
            ),
            ("localhost:80", Pop::At("localhost:80".parse().unwrap())),
            ("FRA56-P1", Pop::Named("FRA56-P1".to_owned())),
            ("0", Pop::Named("0".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(pop), "{text}");
        }
    }

    #[test]
    fn an_entry_that_could_leave_its_field_or_its_url_is_refused() {
        for text in [
            "",
            " ",
            "a b",
            "a\r\nX: y",
            "user@host.example",
            "host.example/path",
            "host.example:",
            "host.example:0",
            "host.example:65536",
            "a..b",
            "1.2.3.4.5",
            "[::1",
            "http://host.example",
            "caf\u{e9}",
        ] {
            assert!(text.parse::<Pop>().is_err(), "{text:?} is accepted");
        }
        assert!("x".repeat(NAME_CHARS_MAX).parse::<Pop>().is_ok());
        assert!("x".repeat(NAME_CHARS_MAX + 1).parse::<Pop>().is_err());
    }
}
